//! The schema that wrote a value, and how its values become ours.
//!
//! A registry may know an older or a newer version of a record of ours: such values are resolved to our schema as the
//! Avro specification says. The library that resolves allocates what a length says and knows no depth, so each value is
//! read first by our own bounded reader; what passed it is safe to hand on.

use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::error::Details;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::schema::entry::{all_read, full_name, unreadable};
use crate::schema::plan::Plan;
use crate::schema::read::Spelling;
use crate::schema::{Decoded, Entry, Error, Fault, read};

/// What an id of a registry stands for.
pub(in crate::schema) enum Writer {
    /// A schema of ours, or one whose values are the same on the wire.
    Ours(Arc<Entry>),
    /// Another version of a record of ours.
    Other { version: Foreign, ours: Arc<Entry>, ours_bare: Schema },
    /// A record we have no schema of.
    Unknown(Foreign),
    /// Nothing values can be read with.
    Unusable { id: u32, problem: String },
}

/// A schema that is not ours.
pub(in crate::schema) struct Foreign {
    /// The record's name without its namespace.
    record: String,
    schema: Schema,
    plan: Plan,
}

impl Writer {
    /// `text` refers to no schema but those of `references`; `of_record` finds a schema of ours by its record's name.
    pub fn of(id: u32, text: &str, references: &[String], of_record: impl FnOnce(&str) -> Option<Arc<Entry>>) -> Self {
        let foreign = match Foreign::parse(text, references) {
            Ok(foreign) => foreign,
            Err(problem) => return Self::Unusable { id, problem },
        };
        let Some(ours) = of_record(&foreign.record) else { return Self::Unknown(foreign) };
        match bare(&ours.text).map(|json| Schema::parse(&json)) {
            Ok(Ok(ours_bare)) if ours_bare.canonical_form() == foreign.schema.canonical_form() => Self::Ours(ours),
            Ok(Ok(ours_bare)) => Self::Other { version: foreign, ours, ours_bare },
            _ => Self::Unusable { id, problem: format!("our schema of `{}` cannot be resolved to", ours.record) },
        }
    }

    pub fn decode(&self, body: &[u8], spelling: Spelling) -> Result<Decoded, Error> {
        match self {
            Self::Ours(entry) => entry.decode(body, spelling),
            Self::Other { version, ours, ours_bare } => {
                let decoded = ours.decode(&version.resolve(ours_bare, body)?, spelling)?;
                Ok(Decoded { full_name: full_name(&version.schema), ..decoded })
            }
            Self::Unknown(foreign) => {
                let value = foreign.read(body)?;
                Ok(Decoded { record: foreign.record.clone(), full_name: full_name(&foreign.schema), value })
            }
            Self::Unusable { id, problem } => Err(unusable(*id, problem)),
        }
    }

    pub fn decode_as<T: DeserializeOwned>(&self, record: &str, body: &[u8]) -> Result<T, Error> {
        match self {
            Self::Ours(entry) => entry.decode_as(record, body),
            Self::Other { version, ours, ours_bare } if ours.record == record => {
                ours.decode_as(record, &version.resolve(ours_bare, body)?)
            }
            Self::Other { version: found, .. } | Self::Unknown(found) => {
                Err(Error::WrongRecord { expected: record.to_owned(), found: found.record.clone() })
            }
            Self::Unusable { id, problem } => Err(unusable(*id, problem)),
        }
    }
}

impl Foreign {
    /// # Errors
    /// Why nothing can be read with it. The library's message is left out: it repeats the schema.
    fn parse(text: &str, references: &[String]) -> Result<Self, String> {
        let not_json = |_| "it is not JSON".to_owned();
        let json = bare(text).map_err(not_json)?;
        let others = references.iter().map(|text| bare(text).map(|json| json.to_string()));
        let others = others.collect::<Result<Vec<_>, _>>().map_err(not_json)?;
        let not_avro = |_| "it is not an Avro schema, or refers to one that is not there".to_owned();
        let schema = if others.is_empty() {
            Schema::parse(&json).map_err(not_avro)?
        } else {
            let (mut schema, others) = Schema::parse_str_with_list(&json.to_string(), others).map_err(not_avro)?;
            schema.denormalize(&others).map_err(not_avro)?;
            schema
        };
        let Schema::Record(record) = &schema else { return Err("expected a record, found another type".to_owned()) };
        let record = record.name.name().to_owned();
        let plan = Plan::compile(&schema).map_err(|fault| format!("field `{}`: {}", fault.pointer(), fault.problem))?;
        Ok(Self { record, schema, plan })
    }

    fn read(&self, body: &[u8]) -> Result<Value, Error> {
        let (value, rest) =
            read::read(&self.plan, Spelling::Wire, body).map_err(|fault| unreadable(&self.record, fault))?;
        all_read(&self.record, rest)?;
        Ok(value)
    }

    /// The value as our schema writes it.
    fn resolve(&self, ours: &Schema, mut body: &[u8]) -> Result<Vec<u8>, Error> {
        self.read(body)?;
        let resolved = GenericDatumReader::builder(&self.schema)
            .reader_schema(ours)
            .build()
            .and_then(|reader| reader.read_value(&mut body))
            .and_then(|value| GenericDatumWriter::builder(ours).build()?.write_value_to_vec(value));
        resolved.map_err(|error| {
            let fault = match error.details() {
                Details::GetField(field) => {
                    Fault::new("the schema that wrote it has no such field, and ours no default").within(field)
                }
                _ => Fault::new("the schema that wrote it allows what ours does not"),
            };
            unreadable(&self.record, fault)
        })
    }
}

/// A schema without its logical types. They change nothing on the wire, but the library resolves a `timestamp-millis`
/// to no plain `long`.
fn bare(text: &str) -> serde_json::Result<Value> {
    let mut json = serde_json::from_str(text)?;
    strip(&mut json);
    Ok(json)
}

/// Goes where a schema has schemas: a default may hold any member.
fn strip(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.remove("logicalType");
            for place in ["type", "items", "values", "fields"] {
                if let Some(inner) = members.get_mut(place) {
                    strip(inner);
                }
            }
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(strip),
        _ => {}
    }
}

fn unusable(id: u32, problem: &str) -> Error {
    Error::Unusable { id, problem: problem.to_owned() }
}
