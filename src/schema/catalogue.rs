//! The schemas by record name and by id, and the frame around every value.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::schema::registry::{self, Learned, Registry, Writer};
use crate::schema::{Entry, Error, topics};

/// First byte of a frame; the id follows.
const MAGIC: u8 = 0;
const FRAME_BYTES: usize = 5;
/// Room for an ordinary event, so that writing one allocates once.
const USUAL_BYTES: usize = 512;

/// Every schema known to this process. Cheap to share; what the schemas say never changes: a reload makes a new one.
pub struct Catalogue {
    /// By id of `ids.toml`.
    entries: BTreeMap<u32, Arc<Entry>>,
    by_record: HashMap<String, Arc<Entry>>,
    /// `None`: ids are those of `ids.toml`.
    registry: Option<Learned>,
}

/// A value as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Name of the record that wrote it, without its namespace.
    pub record: String,
    /// Members in schema order. A nullable union is the value or null; bytes are base64 text; the doubles JSON cannot
    /// write are `"NaN"`, `"Infinity"` and `"-Infinity"`.
    pub value: Value,
}

impl Catalogue {
    /// Both ids and record names are unique among `entries`, which [`Catalogue::load`] sees to; of two the last wins.
    pub(super) fn of(entries: Vec<Entry>) -> Self {
        let mut catalogue = Self { entries: BTreeMap::new(), by_record: HashMap::new(), registry: None };
        for entry in entries.into_iter().map(Arc::new) {
            catalogue.by_record.insert(entry.record.clone(), Arc::clone(&entry));
            catalogue.entries.insert(entry.id, entry);
        }
        catalogue
    }

    /// The same schemas with ids of `registry` in the place of those of `ids.toml`, in both directions. Nothing can be
    /// written before [`Catalogue::resolve`] and nothing read before [`Catalogue::learn`].
    pub fn with_registry(self, registry: Registry, clock: Arc<dyn Clock>) -> Self {
        Self { registry: Some(Learned::new(registry, clock)), ..self }
    }

    /// Every schema, by id of `ids.toml`.
    pub fn records(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(AsRef::as_ref)
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
                    learned.know(id, entry);
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
            None if self.entries.contains_key(&id) => Ok(()),
            None => Err(Error::UnknownId { id }),
            Some(learned) => learned.learn(id, |record| self.by_record.get(record).cloned()).await,
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
        let mut out = self.frame(entry, bytes)?;
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
        let mut out = self.frame(entry, USUAL_BYTES)?;
        entry.encode_json(document, &mut out)?;
        Ok(out.into())
    }

    /// Reads a framed value of any record. One that another version of a schema of ours wrote comes as ours has it.
    ///
    /// # Errors
    /// [`Error::Unframed`], [`Error::UnknownId`], [`Error::UnlearnedId`], [`Error::Unusable`], [`Error::Read`] or
    /// [`Error::TrailingBytes`].
    pub fn decode(&self, framed: &[u8]) -> Result<Decoded, Error> {
        let (writer, body) = self.writer_of(framed)?;
        match writer {
            WrittenBy::Entry(entry) => entry.decode(body),
            WrittenBy::Registered(writer) => writer.decode(body),
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

    fn shared(&self, record: &str) -> Result<&Arc<Entry>, Error> {
        self.by_record.get(record).ok_or_else(|| Error::UnknownRecord { record: record.to_owned() })
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
    fn writer_of<'a>(&self, framed: &'a [u8]) -> Result<(WrittenBy<'_>, &'a [u8]), Error> {
        let (id, body) = unframed(framed)?;
        let writer = match &self.registry {
            None => WrittenBy::Entry(self.entries.get(&id).ok_or(Error::UnknownId { id })?),
            Some(learned) => WrittenBy::Registered(learned.writer(id)?),
        };
        Ok((writer, body))
    }
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registry = self.registry.as_ref().map(|learned| &learned.registry);
        f.debug_struct("Catalogue")
            .field("ids", &self.entries.keys())
            .field("registry", &registry)
            .finish_non_exhaustive()
    }
}

enum WrittenBy<'a> {
    Entry(&'a Entry),
    Registered(Arc<Writer>),
}

fn unframed(framed: &[u8]) -> Result<(u32, &[u8]), Error> {
    match framed.split_first_chunk::<FRAME_BYTES>() {
        Some(([MAGIC, id @ ..], body)) => Ok((u32::from_be_bytes(*id), body)),
        _ => Err(Error::Unframed { bytes: framed.len() }),
    }
}
