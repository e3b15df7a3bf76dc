//! What a registry has said, kept: an id stands for the same schema for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::clock::Clock;
use crate::schema::registry::answer::Schema;
use crate::schema::registry::{self, Registry, Writer};
use crate::schema::{Entry, Error};

/// How long an id the registry does not know is not asked for again. It may be registered yet, or the registry may be a
/// copy that comes behind.
const UNKNOWN_FOR_MS: i64 = 10_000;
/// Most unknown ids kept; with them all asked for anew, each record with one costs a question and nothing else.
const MOST_UNKNOWN: usize = 1_000;
/// Most schemas one schema refers to, those they refer to included.
const MOST_REFERENCES: usize = 50;

/// The schemas of one registry, as far as this process has met them.
pub(in crate::schema) struct Learned {
    pub registry: Registry,
    clock: Arc<dyn Clock>,
    writers: RwLock<HashMap<u32, Arc<Writer>>>,
    /// Ids the registry does not know, and until when that is believed, in epoch milliseconds.
    unknown: Mutex<HashMap<u32, i64>>,
    /// One question at a time: lanes that meet the same id together ask for it once.
    asking: tokio::sync::Mutex<()>,
}

impl Learned {
    pub fn new(registry: Registry, clock: Arc<dyn Clock>) -> Self {
        Self {
            registry,
            clock,
            writers: RwLock::default(),
            unknown: Mutex::default(),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    /// # Errors
    /// [`Error::UnlearnedId`] if the registry was not asked; [`Error::UnknownId`] if it was and does not know it.
    pub fn writer(&self, id: u32) -> Result<Arc<Writer>, Error> {
        let writers = self.writers.read().unwrap_or_else(PoisonError::into_inner);
        match writers.get(&id) {
            Some(writer) => Ok(Arc::clone(writer)),
            None if self.is_unknown(id) => Err(Error::UnknownId { id }),
            None => Err(Error::UnlearnedId { id }),
        }
    }

    /// The registry has given `entry` this id.
    pub fn know(&self, id: u32, entry: &Arc<Entry>) {
        self.keep(id, Writer::Ours(Arc::clone(entry)));
    }

    /// Asks for an id unless the answer is known; `of_record` finds a schema of ours by its record's name.
    ///
    /// # Errors
    /// [`Error::UnknownId`]; [`Error::Registry`] if there is no answer.
    pub async fn learn(&self, id: u32, of_record: impl FnOnce(&str) -> Option<Arc<Entry>>) -> Result<(), Error> {
        let is_open = |known: Result<Arc<Writer>, Error>| match known {
            Ok(_) => Ok(false),
            Err(Error::UnlearnedId { .. }) => Ok(true),
            Err(error) => Err(error),
        };
        if !is_open(self.writer(id))? {
            return Ok(());
        }
        let _turn = self.asking.lock().await;
        // Somebody may have asked while this one waited.
        if !is_open(self.writer(id))? {
            return Ok(());
        }
        let schema = match self.registry.schema(id).await {
            Ok(schema) => schema,
            Err(registry::Error::Unknown { .. }) => {
                self.take_for_unknown(id);
                return Err(Error::UnknownId { id });
            }
            Err(cause) => return Err(Error::Registry(cause)),
        };
        let writer = match &schema.kind {
            Some(kind) if kind != "AVRO" => Writer::Unusable { id, problem: "it is not an Avro schema".to_owned() },
            _ => match self.references(&schema).await? {
                Some(references) => Writer::of(id, &schema.text, &references, of_record),
                None => Writer::Unusable { id, problem: format!("it refers to more than {MOST_REFERENCES} others") },
            },
        };
        self.keep(id, writer);
        Ok(())
    }

    /// The schemas `schema` refers to, and those they refer to; `None` if they are too many.
    async fn references(&self, schema: &Schema) -> Result<Option<Vec<String>>, Error> {
        let mut texts = Vec::new();
        let mut seen = Vec::new();
        let mut open: Vec<_> = schema.references.iter().map(|it| (it.subject.clone(), it.version)).collect();
        while let Some(reference) = open.pop() {
            if seen.contains(&reference) {
                continue;
            }
            if seen.len() == MOST_REFERENCES {
                return Ok(None);
            }
            let (subject, version) = &reference;
            match self.registry.version(subject, *version).await {
                Ok(found) => {
                    open.extend(found.references.into_iter().map(|it| (it.subject, it.version)));
                    // Two versions of one type cannot both be meant; the library refuses two of one name.
                    texts.push(found.text);
                }
                // Deleted: whether it is needed, parsing will tell.
                Err(registry::Error::Unknown { .. }) => {}
                Err(cause) => return Err(Error::Registry(cause)),
            }
            seen.push(reference);
        }
        Ok(Some(texts))
    }

    fn keep(&self, id: u32, writer: Writer) {
        self.writers.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(writer));
        self.unknown().remove(&id);
    }

    fn is_unknown(&self, id: u32) -> bool {
        let left_ms = self.unknown().get(&id).map_or(0, |until_ms| until_ms.saturating_sub(self.clock.now_ms()));
        // A clock that was set back makes it no longer.
        (1..=UNKNOWN_FOR_MS).contains(&left_ms)
    }

    fn take_for_unknown(&self, id: u32) {
        let now_ms = self.clock.now_ms();
        let mut unknown = self.unknown();
        if unknown.len() >= MOST_UNKNOWN {
            unknown.retain(|_, until_ms| *until_ms > now_ms);
        }
        if unknown.len() >= MOST_UNKNOWN {
            unknown.clear();
        }
        unknown.insert(id, now_ms.saturating_add(UNKNOWN_FOR_MS));
    }

    fn unknown(&self) -> MutexGuard<'_, HashMap<u32, i64>> {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
