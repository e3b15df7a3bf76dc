//! The Avro schemas of every event, and the one way between values and bytes on the log.
//!
//! A [`Catalogue`] holds the schemas of `schemas/`, each under the stable id `schemas/ids.toml` gives it. Values are
//! written in Confluent framing: `0x00`, the id as 4 bytes big-endian, Avro binary. Events of our own types are
//! written by serde directly ([`Catalogue::encode`]); documents of people and of other systems take the way over
//! JSON ([`Catalogue::encode_json`], [`Catalogue::decode`]), whose errors name the place in the document.
//!
//! A value is read with the schema that wrote it, found by the id in the frame. With a [`registry::Registry`] behind
//! the catalogue the ids are the registry's, and a value that another version of a schema of ours wrote is resolved to
//! ours. Reading and writing never wait: who meets an id for the first time is told so ([`Error::UnlearnedId`]), asks
//! ([`Catalogue::learn`]) and reads again. What only the registry can answer is never held against the value.
//! Absent on purpose: no error repeats a value or a whole schema.
//!
//! Source: `contracts/canonical-events.md` sections 3 and 4.

mod catalogue;
mod entry;
mod load;
mod logical;
mod plan;
mod read;
pub mod registry;
pub mod topics;
mod write;

pub use catalogue::{Catalogue, Decoded, Replaced};
pub use entry::Entry;
pub(crate) use plan::{Plan, Shape};

/// Why a value cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("no schema for record `{record}`")]
    UnknownRecord { record: String },
    #[error("no schema with id {id}")]
    UnknownId { id: u32 },
    /// The registry was not asked for it yet.
    #[error("schema id {id} was not met before: the schema registry has to be asked")]
    UnlearnedId { id: u32 },
    #[error("schema {id} of the registry cannot be used: {problem}")]
    Unusable { id: u32, problem: String },
    /// The registry was not asked for its id yet, or does not have it.
    #[error("record `{record}` has no id of the schema registry yet")]
    Unresolved { record: String },
    #[error("not in the schema registry: `{}`; `crossdock schemas register` registers them", subjects.join("`, `"))]
    Unregistered { subjects: Vec<String> },
    #[error(transparent)]
    Registry(registry::Error),
    #[error("value of {bytes} bytes is not framed Avro: expected 0x00 and a schema id of 4 bytes")]
    Unframed { bytes: usize },
    #[error("value is a `{found}`, expected a `{expected}`")]
    WrongRecord { expected: String, found: String },
    /// `path` is a JSON Pointer into the document, empty for the whole.
    #[error("record `{record}` cannot be written, at `{path}`: {problem}")]
    Write { record: String, path: String, problem: String },
    /// `path` is a JSON Pointer into the document that was being read, empty for the whole.
    #[error("record `{record}` cannot be read, at `{path}`: {problem}")]
    Read { record: String, path: String, problem: String },
    #[error("record `{record}` ends {bytes} bytes before its value does")]
    TrailingBytes { record: String, bytes: usize },
}

impl Error {
    /// Whether it says nothing about the value: the same value may be read or written later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::UnlearnedId { .. } | Self::Unresolved { .. } | Self::Registry(_))
    }
}

/// What is wrong at one place of a document. The place is put together while the error travels up, so the way down
/// costs nothing.
#[derive(Debug)]
struct Fault {
    /// Innermost segment first.
    path: Vec<String>,
    problem: String,
}

impl Fault {
    fn new(problem: impl Into<String>) -> Self {
        Self { path: Vec::new(), problem: problem.into() }
    }

    fn expected(expected: &str, found: &str) -> Self {
        Self::new(format!("expected {expected}, found {found}"))
    }

    fn within(mut self, segment: impl ToString) -> Self {
        self.path.push(segment.to_string());
        self
    }

    /// The place as an RFC 6901 pointer.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for segment in self.path.iter().rev() {
            pointer.push('/');
            pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
        }
        pointer
    }
}

#[cfg(test)]
pub(crate) mod tests;
