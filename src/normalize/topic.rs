//! One inbound topic: from the value of a record to the draft.
//!
//! A value is either the source's native JSON document, or framed Avro whose record the manifest names. Both end in a
//! [`Route`], so a topic adds no rules of its own: it only finds out which route a value belongs to.
//!
//! Source: `contracts/canonical-events.md` section 4.

use std::sync::Arc;

use crate::canonical::draft::{Draft, DraftBody};
use crate::canonical::rejection::{Code, Rejection};
use crate::normalize::decode::from_record;
use crate::normalize::manifest::{Manifest, TopicSpec};
use crate::normalize::program::Defect;
use crate::normalize::route::{self, Route};
use crate::schema::{self, Catalogue, Decoded};
use crate::verify::Verified;

/// One inbound topic of an adapter, ready to map.
#[derive(Debug)]
pub struct TopicRoute {
    adapter: Arc<Manifest>,
    spec: TopicSpec,
    /// Maps native JSON; `None`: the topic has none.
    native: Option<Arc<Route>>,
    /// Map framed Avro, by the full name of the record that wrote it.
    records: Vec<(String, Arc<Route>)>,
}

/// Why a record has no draft. Nothing is said about the record: the same one may have a draft later.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TopicDefect {
    /// The mapping is at fault.
    #[error(transparent)]
    Mapping(#[from] Defect),
    /// The schema that wrote the record was not met before, or the registry could not be asked: have it learned
    /// ([`Catalogue::learn_from`]) and call again.
    #[error("the schema of a record of topic `{topic}` is not known yet")]
    Unlearned { topic: String, source: schema::Error },
}

/// What a value looks like from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    /// Or nothing at all: the catalogue tells.
    Framed,
}

impl TopicRoute {
    pub(super) fn new(
        adapter: Arc<Manifest>,
        spec: TopicSpec,
        native: Option<Arc<Route>>,
        records: Vec<(String, Arc<Route>)>,
    ) -> Self {
        Self { adapter, spec, native, records }
    }

    /// As the manifest names it.
    pub fn topic(&self) -> &str {
        &self.spec.name
    }

    /// The consumer group that reads it.
    pub fn group(&self) -> &str {
        &self.spec.group
    }

    pub fn adapter(&self) -> &Manifest {
        &self.adapter
    }

    /// Largest value, inclusive; a larger one is `PAYLOAD_TOO_LARGE`, see [`TopicRoute::refuse`].
    pub fn max_bytes(&self) -> usize {
        self.adapter.body_bytes
    }

    /// The route of native JSON values, if the topic has any.
    pub fn native(&self) -> Option<&Arc<Route>> {
        self.native.as_ref()
    }

    /// Full names of the records of framed Avro values, each with its route.
    pub fn records(&self) -> impl Iterator<Item = (&str, &Arc<Route>)> {
        self.records.iter().map(|(record, route)| (record.as_str(), route))
    }

    /// Decodes, validates and maps a record's value. One that begins with `{`, `[`, JSON white space or a byte order
    /// mark is the native JSON document; framed Avro is decoded by the schema that wrote it. Everything else is
    /// `SCHEMA_MISMATCH`, and so are an id nobody knows, a record the topic does not have, and bytes that are not what
    /// their schema says. Rejections are drafts, as with [`Route::normalize`]. The size is for the caller to judge.
    ///
    /// # Errors
    /// [`TopicDefect`]: nothing that the sender could mend.
    pub fn normalize(&self, delivery: &Verified, catalogue: &Catalogue) -> Result<Draft, TopicDefect> {
        match (Form::of(delivery.body()), &self.native) {
            (Form::Json, Some(native)) => Ok(native.normalize(delivery)?),
            (Form::Json, None) => Ok(self.mismatch(delivery, "expected framed Avro, found what may be JSON")),
            (Form::Framed, _) if self.records.is_empty() => {
                Ok(self.mismatch(delivery, "expected a JSON document that begins with `{`"))
            }
            (Form::Framed, _) => match catalogue.decode_meaning(delivery.body()) {
                Ok(decoded) => self.normalize_record(delivery, decoded),
                Err(source) if source.is_transient() => {
                    Err(TopicDefect::Unlearned { topic: self.spec.name.clone(), source })
                }
                Err(error) => Ok(self.mismatch(delivery, error.to_string())),
            },
        }
    }

    /// The draft that carries `rejection`, found before decoding. The order's id is not looked for.
    pub fn refuse(&self, delivery: &Verified, rejection: Rejection) -> Draft {
        route::draft(&self.adapter, delivery, None, DraftBody::Rejection(rejection))
    }

    fn normalize_record(&self, delivery: &Verified, decoded: Decoded) -> Result<Draft, TopicDefect> {
        let Some((_, route)) = self.records.iter().find(|(record, _)| *record == decoded.full_name) else {
            let records: Vec<&str> = self.records.iter().map(|(record, _)| record.as_str()).collect();
            let message = format!("expected record `{}`, found `{}`", records.join("` or `"), decoded.full_name);
            return Ok(self.mismatch(delivery, message));
        };
        match from_record(decoded.value) {
            Ok(payload) => Ok(route.map(delivery, payload, Vec::new())?),
            Err(rejection) => Ok(self.refuse(delivery, rejection)),
        }
    }

    fn mismatch(&self, delivery: &Verified, message: impl Into<String>) -> Draft {
        self.refuse(delivery, Rejection::one(Code::SchemaMismatch, "", message))
    }
}

impl Form {
    pub fn of(value: &[u8]) -> Self {
        match value {
            [b'{' | b'[' | b' ' | b'\t' | b'\n' | b'\r', ..] | [0xef, 0xbb, 0xbf, ..] => Self::Json,
            _ => Self::Framed,
        }
    }
}

#[cfg(test)]
mod tests;
