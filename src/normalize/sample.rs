//! A file mapped as if it had arrived: what `map` and an adapter's cases do.
//!
//! A route that only records reach takes its file as the record's JSON document: it is written as framed Avro and goes
//! the whole way of a record of its topic. An embedded document may be written as the document it is instead of as its
//! text, which nobody wants to read.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value as Json;

use crate::canonical::draft::Draft;
use crate::config::binding::Binding;
use crate::normalize::adapter::Adapter;
use crate::normalize::call;
use crate::normalize::manifest::webhook::ROUTE;
use crate::normalize::program::Defect;
use crate::normalize::route::Route;
use crate::normalize::topic::{Form, TopicDefect, TopicRoute};
use crate::normalize::webhook::{Message, Messages};
use crate::schema;
use crate::verify::{Context, Verified};

/// A file for a route, and the circumstances it arrives in.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The payload, a record as JSON, or framed Avro.
    pub input: Bytes,
    pub binding: Arc<Binding>,
    /// `received_from` is filled in.
    pub context: Context,
}

/// Why a file cannot be mapped; a payload that is refused has a draft.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Mapping(#[from] Defect),
    #[error("is neither framed Avro nor the JSON of record `{record}`: {problem}")]
    NoJson { record: String, problem: String },
    #[error(transparent)]
    Schema(schema::Error),
    #[error(transparent)]
    Call(#[from] call::Error),
}

impl Sample {
    /// What the file becomes by `name`, a route of `adapter` or its webhook; `None` if it has neither.
    pub fn map(self, adapter: &Adapter, name: &str) -> Option<Result<Messages, Error>> {
        if let Some(route) = adapter.route(name) {
            let draft = self.normalize(adapter, route);
            return Some(draft.map(|draft| Messages::One(Message::Draft(Box::new(draft)))));
        }
        let webhook = adapter.webhook().filter(|_| name == ROUTE)?;
        let context = Context { received_from: "http".to_owned(), ..self.context };
        Some(webhook.normalize(&Verified::by_operator(self.binding, self.input, context)).map_err(Error::Mapping))
    }

    /// The draft of the file by `route` of `adapter`.
    ///
    /// # Errors
    /// The mapping has a defect, or the file is no record although only records reach the route.
    pub fn normalize(self, adapter: &Adapter, route: &Arc<Route>) -> Result<Draft, Error> {
        let reaches = |topic: &&Arc<TopicRoute>| topic.records().any(|(_, known)| Arc::ptr_eq(known, route));
        let takes_json = route.http().is_some()
            || adapter.topics().any(|topic| topic.native().is_some_and(|native| Arc::ptr_eq(native, route)));
        let framed = self.input.first() == Some(&0);
        match (adapter.topics().find(reaches), adapter.records()) {
            (Some(topic), Some(catalogue)) if framed || !takes_json => {
                let record = topic.records().find(|(_, known)| Arc::ptr_eq(known, route)).map(|(record, _)| record);
                let input = match record {
                    Some(record) if !framed => encoded(&self.input, record, route, catalogue)?,
                    _ => self.input.clone(),
                };
                self.by_topic(input, topic, catalogue)
            }
            _ => {
                let context = Context { received_from: "http".to_owned(), ..self.context };
                Ok(route.normalize(&Verified::by_operator(self.binding, self.input, context))?)
            }
        }
    }

    /// The drafts of the file as the topics of `adapter` make them whose JSON values are mapped like `route` does.
    /// None for a file a topic does not take for JSON, or one that says something by its path.
    ///
    /// # Errors
    /// As [`Sample::normalize`].
    pub fn normalize_natively(&self, adapter: &Adapter, route: &Route) -> Result<Vec<Draft>, Error> {
        if Form::of(&self.input) != Form::Json || !self.context.path.is_empty() {
            return Ok(Vec::new());
        }
        let alike = adapter.topics().filter(|topic| topic.native().is_some_and(|native| native.maps_like(route)));
        let catalogue = schema::Catalogue::default();
        alike.map(|topic| self.clone().by_topic(self.input.clone(), topic, &catalogue)).collect()
    }

    fn by_topic(self, input: Bytes, topic: &TopicRoute, catalogue: &schema::Catalogue) -> Result<Draft, Error> {
        let context = Context { received_from: topic.topic().to_owned(), ..self.context };
        topic.normalize(&Verified::by_operator(self.binding, input, context), catalogue).map_err(
            |defect| match defect {
                TopicDefect::Mapping(defect) => Error::Mapping(defect),
                TopicDefect::Unlearned { source, .. } => Error::Schema(source),
            },
        )
    }
}

/// The record's JSON document as framed Avro.
fn encoded(document: &[u8], record: &str, route: &Route, catalogue: &schema::Catalogue) -> Result<Bytes, Error> {
    let mut document: Json = serde_json::from_slice(document)
        .map_err(|error| Error::NoJson { record: record.to_owned(), problem: error.to_string() })?;
    if let Some(place) = route.embedded().and_then(|embedded| document.pointer_mut(&embedded.at.text))
        && (place.is_object() || place.is_array())
    {
        *place = Json::String(place.to_string());
    }
    let name = record.rsplit('.').next().unwrap_or(record);
    catalogue.encode_json(name, &document).map_err(Error::Schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::draft::DraftBody;
    use crate::normalize::tests::{adapters, binding};

    const ENVELOPE: &[u8] = include_bytes!("../../mappings/pyxis/cases/envelope_cancelled/input.json");

    fn normalize(route: &str, input: impl Into<Bytes>) -> Result<Draft, Error> {
        let adapters = adapters();
        let adapter = adapters.adapter("pyxis").expect("the adapter is there");
        let sample = Sample { input: input.into(), binding: Arc::new(binding()), context: Context::default() };
        sample.normalize(adapter, adapter.route(route).expect("the route is there"))
    }

    #[test]
    fn a_record_may_be_json_or_framed() {
        let document = serde_json::from_slice(ENVELOPE).expect("JSON");
        let framed = crate::schema::tests::catalogue().encode_json("PyxisOrderCancelled", &document).expect("a record");

        let from_json = normalize("order-cancelled-envelope", ENVELOPE).expect("a record");
        let from_framed = normalize("order-cancelled-envelope", framed.clone()).expect("a record");

        assert_eq!(from_json, from_framed);
        assert_eq!((from_json.raw, from_json.head.received_from.as_str()), (framed, "sales.pyxis.order.cancelled"));
        assert!(matches!(from_json.body, DraftBody::Cancellation(_)));
    }

    #[test]
    fn what_is_no_record_is_told_from_a_record_that_is_refused() {
        for (input, expected) in [
            ("", "is neither framed Avro nor the JSON of record `com.ahs.fsm.events.sales.PyxisOrderCancelled`: EOF"),
            ("{}", "record `PyxisOrderCancelled` cannot be written, at `/event_id`: expected string, found nothing"),
        ] {
            let error = normalize("order-cancelled-envelope", input).expect_err(expected);

            assert!(error.to_string().contains(expected), "{input}: {error}");
        }
        let draft = normalize("order-cancelled-envelope", Bytes::from_static(b"\0\0\0\0\x07")).expect("a draft");
        assert!(matches!(draft.body, DraftBody::Rejection(_)), "{draft:?}");
    }

    #[test]
    fn native_json_goes_the_way_of_its_route() {
        let draft = normalize("order-cancelled", "{}").expect("a draft");

        assert_eq!(draft.head.received_from, "http");
    }
}
