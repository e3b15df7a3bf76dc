//! The schemas by record name and by id, and the frame around every value.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::schema::read::Spelling;
use crate::schema::registry::{self, Learned, Registry, Writer};
use crate::schema::{Entry, Error, topics};

/// First byte of a frame; the id follows.
const MAGIC: u8 = 0;
const FRAME_BYTES: usize = 5;
/// Room for an ordinary event, so that writing one allocates once.
const USUAL_BYTES: usize = 512;

/// Every schema known to this process. Cheap to share; what a schema says never changes, others may join them.
#[derive(Default)]
pub struct Catalogue {
    schemas: Schemas,
    /// Those that came by [`Catalogue::extend`].
    added: RwLock<Arc<Schemas>>,
    /// `None`: ids are those of `ids.toml`.
    registry: Option<Learned>,
}

#[derive(Default)]
struct Schemas {
    /// By id of `ids.toml`.
    entries: BTreeMap<u32, Arc<Entry>>,
    by_record: HashMap<String, Arc<Entry>>,
}

/// A value as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Name of the record that wrote it, without its namespace.
    pub record: String,
    /// The same with its namespace.
    pub full_name: String,
    /// Members in schema order. A union is the value it holds; bytes are base64 text; the doubles JSON cannot write are
    /// `"NaN"`, `"Infinity"` and `"-Infinity"`; a logical type is what it is on the wire.
    pub value: Value,
}

impl Catalogue {
    /// Ids are unique among `entries`, and record names among those that are not superseded, which [`Catalogue::load`]
    /// sees to; of two the last wins.
    pub(super) fn of(entries: Vec<Entry>) -> Self {
        Self { schemas: Schemas::of(entries.into_iter().map(Arc::new)), ..Self::default() }
    }

    /// Takes over the schemas of `newer` that are not known yet; those it does not have stay known, for values may have
    /// been written with them. What is written from now on is written with the schema a record has in `newer`.
    ///
    /// # Errors
    /// The schemas that are others now than those their ids stand for; nothing was taken over.
    pub fn extend(&self, newer: Self) -> Result<(), Vec<Replaced>> {
        let mut added = self.added.write().unwrap_or_else(PoisonError::into_inner);
        let known = |id: &u32| self.schemas.entries.get(id).or_else(|| added.entries.get(id));
        let mut replaced = Vec::new();
        let mut new = Vec::new();
        for entry in newer.schemas.entries.into_values() {
            match known(&entry.id) {
                Some(known) if known.text == entry.text && known.record == entry.record => {}
                Some(_) => replaced.push(Replaced { id: entry.id, file: entry.file.clone() }),
                None => new.push(entry),
            }
        }
        if replaced.is_empty() {
            *added = Arc::new(Schemas::of(added.entries.values().cloned().chain(new)));
            return Ok(());
        }
        Err(replaced)
    }

    /// The same schemas with ids of `registry` in the place of those of `ids.toml`, in both directions. Nothing can be
    /// written before [`Catalogue::resolve`] and nothing read before [`Catalogue::learn`].
    pub fn with_registry(self, registry: Registry, clock: Arc<dyn Clock>) -> Self {
        Self { registry: Some(Learned::new(registry, clock)), ..self }
    }

    /// The schema of every record, by id of `ids.toml`; none that is superseded.
    pub fn records(&self) -> impl Iterator<Item = &Entry> {
        self.schemas.entries.values().map(AsRef::as_ref).filter(|entry| !entry.is_superseded)
    }

    /// Looks up the ids to write with, one for each record of the contract's topics; each of `required` must have its
    /// record. Known ids stay known; without a registry there is nothing to do.
    ///
    /// # Errors
    /// [`Error::Registry`] if it cannot be asked; [`Error::Unregistered`] with all that `required` misses.
    pub async fn resolve(&self, required: &[&str]) -> Result<(), Error> {
        let Some(learned) = &self.registry else { return Ok(()) };
        let mut missing = Vec::new();
        for (topic, record) in topics::RECORDS {
            let entry = self.shared(record)?;
            let subject = topics::subject(topic);
            match learned.registry.look_up(&subject, &entry.text).await {
                Ok(id) => {
                    learned.know(id, &entry);
                    // Of one schema's ids any will do: a reader finds the same schema by each.
                    entry.registered.get_or_init(|| id);
                }
                Err(registry::Error::Unknown { .. }) if required.contains(&topic) => missing.push(subject),
                Err(registry::Error::Unknown { .. }) => {}
                Err(cause) => return Err(Error::Registry(cause)),
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(Error::Unregistered { subjects: missing }) }
    }

    /// As [`Catalogue::resolve`], but waits for a registry that does not answer, however long.
    ///
    /// # Errors
    /// Those that do not pass with time.
    pub async fn resolve_when_up(&self, required: &[&str]) -> Result<(), Error> {
        let mut is_told = false;
        loop {
            match self.resolve(required).await {
                // Credentials it does not accept are nothing to wait for.
                Err(Error::Registry(error)) if error.is_transient() => {
                    if !is_told {
                        warn!(%error, "nothing can be published until the schema registry answers");
                        is_told = true;
                    }
                    tokio::time::sleep(self.pause().max(Duration::from_millis(1))).await;
                }
                done => {
                    if is_told && done.is_ok() {
                        info!("the schema registry answers");
                    }
                    return done;
                }
            }
        }
    }

    /// Makes sure that values with this id can be read: asks the registry if it is one that was not met before.
    ///
    /// # Errors
    /// [`Error::UnknownId`] if nobody knows it; [`Error::Registry`] if the registry cannot be asked now, at once in the
    /// pause after a failure.
    pub async fn learn(&self, id: u32) -> Result<(), Error> {
        match &self.registry {
            None => self.entry(id).map(|_| ()),
            Some(learned) => learned.learn(id, |record| self.shared(record).ok()).await,
        }
    }

    /// As [`Catalogue::learn`], for the id of a framed value; what is not framed is fine.
    ///
    /// # Errors
    /// As [`Catalogue::learn`].
    pub async fn learn_from(&self, value: &[u8]) -> Result<(), Error> {
        match unframed(value) {
            Ok((id, _)) => self.learn(id).await,
            Err(_) => Ok(()),
        }
    }

    /// How long the registry is left alone because it did not answer; zero if it did.
    pub fn pause(&self) -> Duration {
        self.registry.as_ref().map_or(Duration::ZERO, |learned| learned.registry.pause())
    }

    /// The framed value of a type of ours, written by serde straight into Avro.
    ///
    /// The members of `value` are named and ordered like the schema's fields; one that is missing takes its default.
    ///
    /// # Errors
    /// [`Error::UnknownRecord`]; [`Error::Write`] if the type is not what the schema says; [`Error::Unresolved`].
    pub fn encode<T: Serialize>(&self, record: &str, value: &T) -> Result<Bytes, Error> {
        self.encode_about(record, value, USUAL_BYTES)
    }

    /// As [`Catalogue::encode`], for a value of about `bytes`: so much room is made at once.
    ///
    /// # Errors
    /// As [`Catalogue::encode`].
    pub fn encode_about<T: Serialize>(&self, record: &str, value: &T, bytes: usize) -> Result<Bytes, Error> {
        let entry = self.shared(record)?;
        let mut out = self.frame(&entry, bytes)?;
        entry.encode(value, &mut out)?;
        Ok(out.into())
    }

    /// The framed value of a JSON document, spelled as [`Decoded`] spells it. A field that has a default or may be
    /// null may be absent.
    ///
    /// # Errors
    /// [`Error::UnknownRecord`]; [`Error::Write`] at the first place that is not what the schema says;
    /// [`Error::Unresolved`].
    pub fn encode_json(&self, record: &str, document: &Value) -> Result<Bytes, Error> {
        let entry = self.shared(record)?;
        let mut out = self.frame(&entry, USUAL_BYTES)?;
        entry.encode_json(document, &mut out)?;
        Ok(out.into())
    }

    /// Reads a framed value of any record. One that another version of a schema of ours wrote comes as ours has it.
    ///
    /// # Errors
    /// [`Error::Unframed`], [`Error::UnknownId`], [`Error::UnlearnedId`], [`Error::Unusable`], [`Error::Read`] or
    /// [`Error::TrailingBytes`].
    pub fn decode(&self, framed: &[u8]) -> Result<Decoded, Error> {
        self.decode_spelled(framed, Spelling::Wire)
    }

    /// As [`Catalogue::decode`], with the logical types of our schemas as what they mean: dates, times and timestamps
    /// in ISO 8601 (`2026-03-19`, `09:15:30`, `2026-03-04T08:15:30.5Z`, a local timestamp without `Z`), a decimal and a
    /// UUID as text. Such a document cannot be written as Avro again.
    ///
    /// # Errors
    /// As [`Catalogue::decode`]; [`Error::Read`] also for a value its logical type does not allow.
    pub fn decode_meaning(&self, framed: &[u8]) -> Result<Decoded, Error> {
        self.decode_spelled(framed, Spelling::Meaning)
    }

    fn decode_spelled(&self, framed: &[u8], spelling: Spelling) -> Result<Decoded, Error> {
        let (writer, body) = self.writer_of(framed)?;
        match writer {
            WrittenBy::Entry(entry) => entry.decode(body, spelling),
            WrittenBy::Registered(writer) => writer.decode(body, spelling),
        }
    }

    /// Reads a framed value of `record` into a type of ours, for values this process wrote itself: a length that the
    /// bytes do not fill is allocated before it is refused.
    ///
    /// # Errors
    /// As [`Catalogue::decode`], and [`Error::WrongRecord`].
    pub fn decode_as<T: DeserializeOwned>(&self, record: &str, framed: &[u8]) -> Result<T, Error> {
        let (writer, body) = self.writer_of(framed)?;
        match writer {
            WrittenBy::Entry(entry) => entry.decode_as(record, body),
            WrittenBy::Registered(writer) => writer.decode_as(record, body),
        }
    }

    /// The schema to write a record with.
    fn shared(&self, record: &str) -> Result<Arc<Entry>, Error> {
        let added = self.added.read().unwrap_or_else(PoisonError::into_inner);
        let entry = added.by_record.get(record).or_else(|| self.schemas.by_record.get(record));
        entry.cloned().ok_or_else(|| Error::UnknownRecord { record: record.to_owned() })
    }

    /// By id of `ids.toml`.
    fn entry(&self, id: u32) -> Result<Arc<Entry>, Error> {
        if let Some(entry) = self.schemas.entries.get(&id) {
            return Ok(Arc::clone(entry));
        }
        let added = self.added.read().unwrap_or_else(PoisonError::into_inner);
        added.entries.get(&id).cloned().ok_or(Error::UnknownId { id })
    }

    /// The start of a value of this schema, with room for about `bytes`.
    fn frame(&self, entry: &Entry, bytes: usize) -> Result<Vec<u8>, Error> {
        let id = match &self.registry {
            None => entry.id,
            Some(_) => {
                let id = entry.registered.get();
                *id.ok_or_else(|| Error::Unresolved { record: entry.record.clone() })?
            }
        };
        let mut out = Vec::with_capacity(FRAME_BYTES + bytes);
        out.push(MAGIC);
        out.extend_from_slice(&id.to_be_bytes());
        Ok(out)
    }

    /// The schema that wrote a framed value, and the value without its frame.
    fn writer_of<'a>(&self, framed: &'a [u8]) -> Result<(WrittenBy, &'a [u8]), Error> {
        let (id, body) = unframed(framed)?;
        let writer = match &self.registry {
            None => WrittenBy::Entry(self.entry(id)?),
            Some(learned) => WrittenBy::Registered(learned.writer(id)?),
        };
        Ok((writer, body))
    }
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registry = self.registry.as_ref().map(|learned| &learned.registry);
        f.debug_struct("Catalogue")
            .field("ids", &self.schemas.entries.keys())
            .field("registry", &registry)
            .finish_non_exhaustive()
    }
}

impl Schemas {
    fn of(entries: impl Iterator<Item = Arc<Entry>>) -> Self {
        let mut schemas = Self::default();
        for entry in entries {
            if !entry.is_superseded {
                schemas.by_record.insert(entry.record.clone(), Arc::clone(&entry));
            }
            schemas.entries.insert(entry.id, entry);
        }
        schemas
    }
}

/// A schema that is another now than the one its id stands for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema {id} has changed: an id stands for one schema for ever, a changed schema takes the next number")]
pub struct Replaced {
    pub id: u32,
    /// Below the folder of schemas.
    pub file: PathBuf,
}

enum WrittenBy {
    Entry(Arc<Entry>),
    Registered(Arc<Writer>),
}

fn unframed(framed: &[u8]) -> Result<(u32, &[u8]), Error> {
    match framed.split_first_chunk::<FRAME_BYTES>() {
        Some(([MAGIC, id @ ..], body)) => Ok((u32::from_be_bytes(*id), body)),
        _ => Err(Error::Unframed { bytes: framed.len() }),
    }
}
