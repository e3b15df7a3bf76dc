//! One schema of ours, and the bodies of its values: Avro binary without a frame.

use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;

use apache_avro::Schema;
use apache_avro::error::Details;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::schema::plan::Plan;
use crate::schema::read::Spelling;
use crate::schema::{Decoded, Error, Fault, read, write};

/// One schema.
pub struct Entry {
    /// In `ids.toml`; what stands in a frame if no registry gives the ids.
    pub id: u32,
    /// The record's name without its namespace, as in the header `event-type`.
    pub record: String,
    /// Below the folder of schemas.
    pub file: PathBuf,
    /// A former schema of the record: values written with it are read, none is written.
    pub is_superseded: bool,
    /// The file's content.
    pub text: String,
    /// What a registry has given it. Set once: an id stands for the same schema for ever.
    pub(super) registered: OnceLock<u32>,
    pub(super) schema: Schema,
    pub(crate) plan: Plan,
}

impl Entry {
    /// The record's name with its namespace.
    pub fn full_name(&self) -> String {
        full_name(&self.schema)
    }

    /// Appends a value of a type of ours.
    pub(super) fn encode<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), Error> {
        // Made for each value: a writer borrows its schema, so keeping it would leak the schema at every reload, and
        // making one costs less than a microsecond.
        let writer = GenericDatumWriter::builder(&self.schema).build();
        writer.and_then(|writer| writer.write_ser(out, value)).map_err(|error| self.refused(&error))?;
        Ok(())
    }

    /// Appends a document.
    pub(super) fn encode_json(&self, document: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
        write::write(&self.plan, document, out).map_err(|fault| Error::Write {
            record: self.record.clone(),
            path: fault.pointer(),
            problem: fault.problem,
        })
    }

    pub(super) fn decode(&self, body: &[u8], spelling: Spelling) -> Result<Decoded, Error> {
        let (value, rest) = read::read(&self.plan, spelling, body).map_err(|fault| unreadable(&self.record, fault))?;
        all_read(&self.record, rest)?;
        Ok(Decoded { record: self.record.clone(), full_name: self.full_name(), value })
    }

    pub(super) fn decode_as<T: DeserializeOwned>(&self, record: &str, mut body: &[u8]) -> Result<T, Error> {
        if self.record != record {
            return Err(Error::WrongRecord { expected: record.to_owned(), found: self.record.clone() });
        }
        let reader = GenericDatumReader::builder(&self.schema).build();
        let value = reader.and_then(|reader| reader.read_deser(&mut body)).map_err(|error| {
            let problem = match error.details() {
                Details::ReadBytes(_) | Details::ReadIntoBuf(_) | Details::ReadVariableIntegerBytes(_) => {
                    "the value is cut off"
                }
                _ => "the bytes are not what the schema says",
            };
            unreadable(record, Fault::new(problem))
        })?;
        all_read(record, body)?;
        Ok(value)
    }

    /// The field is all that is taken over: the rest of the library's text holds the value and the whole schema.
    fn refused(&self, error: &apache_avro::Error) -> Error {
        let (path, problem) = match error.details() {
            Details::SerializeRecordFieldWithSchema { field_name, .. } => {
                (format!("/{field_name}"), "the type's member is not what the schema says")
            }
            Details::MissingDefaultForSkippedField { field_name, .. } => {
                (format!("/{field_name}"), "the type has no such member and the schema no default")
            }
            _ => (String::new(), "the type is not what the schema says"),
        };
        Error::Write { record: self.record.clone(), path, problem: problem.to_owned() }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).field("record", &self.record).finish_non_exhaustive()
    }
}

/// The name of a record with its namespace; empty for what is no record.
pub(super) fn full_name(schema: &Schema) -> String {
    match schema {
        Schema::Record(record) => record.name.fullname(None),
        _ => String::new(),
    }
}

pub(super) fn unreadable(record: &str, fault: Fault) -> Error {
    Error::Read { record: record.to_owned(), path: fault.pointer(), problem: fault.problem }
}

pub(super) fn all_read(record: &str, rest: &[u8]) -> Result<(), Error> {
    match rest.len() {
        0 => Ok(()),
        bytes => Err(Error::TrailingBytes { record: record.to_owned(), bytes }),
    }
}
