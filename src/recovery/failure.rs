//! A failure, read from the event that published it.
//!
//! The event says what its schema has room for; the headers say the rest: binding, route, every problem, the payload's
//! digest. An event without them (another gateway's, an older one's) is indexed with what it has.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::canonical::event::MAX_MESSAGE_BYTES;
use crate::canonical::headers;
use crate::canonical::ids::{Sha256Digest, UNKNOWN_ORDER};
use crate::canonical::rejection::{Problem, Rejection};
use crate::log::Stored;
use crate::recovery::dead_letter::DeadRecord;
use crate::recovery::group;
use crate::schema::{self, Catalogue};
use crate::store::recovery::{Failure, FailureKind};

/// Longest text of a failure, its message apart.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 10;

/// What is told of a failure beside what it is found by. `Failure::detail` is its JSON text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// `PYXIS`, `CUSTOM`.
    pub source_system: String,
    /// `error_message` of the event.
    pub message: String,
    /// Every problem that was found, the first one first; empty if the event does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Problems beyond those.
    #[serde(default)]
    pub omitted: usize,
    /// How often the payload had been replayed.
    pub retry_count: u32,
    /// `<adapter>/<route>` it was mapped by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Parameters of the path it was sent to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub path: BTreeMap<String, String>,
    /// `http` or the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_from: Option<String>,
    /// Epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<i64>,
    /// `<adapter>/<version>` of the mapping that rejected it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Of a call that failed: what was to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<i64>,
    /// Of a dead letter: which record it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<DeadRecord>,
}

/// Why a record is no failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("expected a value, found none")]
    NoValue,
    #[error(transparent)]
    Schema(#[from] schema::Error),
    #[error("expected a `SalesOrderFailed` or `SalesStatusFailed`, found a `{record}`")]
    Record { record: String },
    #[error("`event_id` is not a UUID")]
    EventId,
}

impl Error {
    /// Whether the record may be readable later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Schema(cause) if cause.is_transient())
    }
}

impl Detail {
    /// The detail of an indexed failure; what cannot be read is empty.
    pub fn of(failure: &Failure) -> Self {
        serde_json::from_str(&failure.detail).unwrap_or_default()
    }
}

/// The failure `stored` publishes.
///
/// # Errors
/// [`Error`] if it publishes none; one that [is transient](Error::is_transient) if the schema is to be learned first.
pub fn read(catalogue: &Catalogue, stored: &Stored) -> Result<Failure, Error> {
    let value = stored.record.value.as_deref().ok_or(Error::NoValue)?;
    let decoded = catalogue.decode(value)?;
    let kind = match decoded.record.as_str() {
        "SalesOrderFailed" => FailureKind::Order,
        "SalesStatusFailed" => FailureKind::Status,
        _ => return Err(Error::Record { record: decoded.record }),
    };
    let event = Event { value: &decoded.value, stored };
    let event_id = event.field("event_id").and_then(|id| Uuid::parse_str(&id).ok()).ok_or(Error::EventId)?;
    let message = cleaned(event.field("error_message").unwrap_or_default(), MAX_MESSAGE_BYTES);
    let rejection: Option<Rejection> =
        event.header(headers::PROBLEMS).and_then(|problems| serde_json::from_str(problems).ok());
    let (problems, omitted) = match &rejection {
        Some(rejection) => (rejection.problems().to_vec(), rejection.omitted()),
        None => (Vec::new(), 0),
    };
    let (pointer, cause) = match problems.first() {
        Some(Problem { field, message, .. }) => (field.as_str(), message.as_str()),
        None => split(&message),
    };
    let tenant_id = event.text(headers::TENANT_ID);
    let binding = event.text(headers::BINDING);
    let error_code = cleaned(event.field("error_code").unwrap_or_default(), MAX_TEXT_BYTES);
    let pointer = cleaned(pointer.to_owned(), MAX_TEXT_BYTES);
    let group = group::id(&tenant_id, &binding, &error_code, &pointer, cause);
    let number = |name: &str| decoded.value[name].as_i64();
    let optional = |name: &str| event.header(name).map(|text| cleaned(text.to_owned(), MAX_TEXT_BYTES));
    let detail = Detail {
        source_system: event.field("source_system").unwrap_or_default(),
        problems,
        omitted,
        retry_count: number("retry_count").and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
        route: optional(headers::ROUTE),
        path: event.header(headers::PATH).and_then(|path| serde_json::from_str(path).ok()).unwrap_or_default(),
        received_from: optional(headers::RECEIVED_FROM),
        received_at: event.header(headers::RECEIVED_AT).and_then(|at| at.parse().ok()),
        mapped_by: optional(headers::MAPPED_BY),
        traceparent: optional(headers::TRACEPARENT),
        notification: event.field("notification"),
        http_status: number("http_status"),
        record: None,
        message,
    };
    Ok(Failure {
        event_id,
        kind,
        failed_at: number("event_timestamp").unwrap_or(stored.timestamp_ms),
        error_code,
        source_key: event.text(headers::SOURCE_KEY),
        external_order_id: cleaned(
            event.field("external_order_id").unwrap_or_else(|| UNKNOWN_ORDER.to_owned()),
            MAX_TEXT_BYTES,
        ),
        correlation_id: event.text(headers::CORRELATION_ID),
        pointer,
        group,
        replay_of: event.header(headers::REPLAY_OF).and_then(|id| Uuid::parse_str(id).ok()),
        raw_sha256: event.digest(),
        place: (stored.topic.clone(), stored.partition, stored.offset),
        // Texts and numbers are always JSON.
        detail: serde_json::to_string(&detail).unwrap_or_default(),
        tenant_id,
        binding,
    })
}

struct Event<'a> {
    value: &'a Value,
    stored: &'a Stored,
}

impl Event<'_> {
    fn field(&self, name: &str) -> Option<String> {
        self.value[name].as_str().map(str::to_owned)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.stored.record.header(name)
    }

    /// A header's text, empty if it is not there.
    fn text(&self, name: &str) -> String {
        cleaned(self.header(name).unwrap_or_default().to_owned(), MAX_TEXT_BYTES)
    }

    /// Of the payload: as the header says, else as `raw_payload` shows it.
    fn digest(&self) -> Option<Sha256Digest> {
        if let Some(digest) = self.header(headers::RAW_SHA256) {
            return Sha256Digest::from_hex(digest);
        }
        let raw = self.value["raw_payload"].as_str()?;
        match (raw.strip_prefix("ref:sha256:"), raw.strip_prefix("base64:")) {
            (Some(digest), _) => Sha256Digest::from_hex(digest),
            (None, Some(base64)) => STANDARD.decode(base64).ok().map(|bytes| Sha256Digest::of(&bytes)),
            (None, None) => Some(Sha256Digest::of(raw.as_bytes())),
        }
    }
}

/// The pointer a message begins with, and what follows.
fn split(message: &str) -> (&str, &str) {
    match message.split_once(": ") {
        Some((pointer, rest)) if pointer.starts_with('/') => (pointer, rest),
        _ => ("", message),
    }
}

/// What the index can hold: no U+0000, at most `bytes` bytes.
pub(super) fn cleaned(text: String, bytes: usize) -> String {
    let mut text = if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    text.truncate(text.floor_char_boundary(bytes));
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::canonical::draft::DraftHead;
    use crate::canonical::event::{self, Meta};
    use crate::canonical::order::SourceSystem;
    use crate::canonical::rejection::Code;
    use crate::log::{Append, Record};
    use crate::schema::tests::catalogue;

    const FAILED_AT: i64 = 1_772_612_131_300;

    fn head(raw: &[u8]) -> DraftHead {
        DraftHead {
            tenant_id: "north".into(),
            source_system: SourceSystem::Pyxis,
            source_key: "pyxis".into(),
            external_order_id: Some("PYX-1".into()),
            binding: "pyxis-north".into(),
            received_from: "http".into(),
            received_at: 1_772_612_131_210,
            correlation_id: "c-1".into(),
            raw_sha256: Sha256Digest::of(raw),
            retry_count: 1,
            transformation_version: "pyxis/1.0.0".into(),
            route: Some("pyxis/order".into()),
            path: [("order_id".to_owned(), "PYX-1".to_owned())].into(),
            replay_of: Some(Uuid::from_u128(7)),
            delivery_id: None,
        }
    }

    fn published(rejection: &Rejection, raw: &[u8]) -> Stored {
        let head = head(raw);
        let meta = Meta {
            correlation_id: &head.correlation_id,
            tenant_id: &head.tenant_id,
            source_system: head.source_system,
            traceparent: Some("00-a-b-01"),
        };
        let event = event::failed(&head, rejection, raw, FAILED_AT);
        let Append { topic, record, .. } = event.to_append(&catalogue(), &meta).expect("it fits its schema");
        Stored { topic, partition: 3, offset: 17, timestamp_ms: 1, record }
    }

    fn rejection() -> Rejection {
        let problem = |field: &str| Problem::new(Code::UnknownCode, field, "expected a code of the table `services`");
        Rejection::of(vec![problem("/line_items/2/service_code"), problem("/line_items/4/service_code")])
            .expect("there are problems")
    }

    #[test]
    fn a_published_rejection_is_indexed_with_everything_known_of_it() {
        let failure = read(&catalogue(), &published(&rejection(), b"{}")).expect("it is a failure");

        let expected = Failure {
            tenant_id: "north".into(),
            event_id: crate::canonical::ids::rejection_event_id(Sha256Digest::of(b"{}"), 1),
            kind: FailureKind::Order,
            failed_at: FAILED_AT,
            binding: "pyxis-north".into(),
            error_code: "UNKNOWN_CODE".into(),
            source_key: "pyxis".into(),
            external_order_id: "PYX-1".into(),
            correlation_id: "c-1".into(),
            pointer: "/line_items/2/service_code".into(),
            group: group::id(
                "north",
                "pyxis-north",
                "UNKNOWN_CODE",
                "/line_items/9/service_code",
                "expected a code of the table `services`",
            ),
            replay_of: Some(Uuid::from_u128(7)),
            raw_sha256: Some(Sha256Digest::of(b"{}")),
            place: (event::ORDER_FAILED.into(), 3, 17),
            detail: failure.detail.clone(),
        };
        assert_eq!(failure, expected);
        let detail = Detail::of(&failure);
        assert_eq!(detail.problems, rejection().problems());
        assert_eq!((detail.route.as_deref(), detail.retry_count), (Some("pyxis/order"), 1));
        assert_eq!(detail.path["order_id"], "PYX-1");
        assert_eq!((detail.received_from.as_deref(), detail.received_at), (Some("http"), Some(1_772_612_131_210)));
        assert_eq!(detail.traceparent.as_deref(), Some("00-a-b-01"));
    }

    #[test]
    fn an_event_without_our_headers_is_indexed_with_what_it_has() {
        let large = vec![b'x'; event::MAX_RAW_BYTES + 1];
        for raw in [&b"{}"[..], b"\xff\x00", &large] {
            let mut stored = published(&rejection(), raw);
            stored.record.headers.clear();

            let failure = read(&catalogue(), &stored).expect("it is a failure");

            assert_eq!(failure.raw_sha256, Some(Sha256Digest::of(raw)));
            assert_eq!(failure.pointer, "/line_items/2/service_code");
            assert_eq!((failure.tenant_id.as_str(), failure.replay_of), ("", None));
        }
    }

    #[test]
    fn no_text_is_too_long_for_the_index_or_has_a_nul() {
        let field = format!("/\0{}", "é".repeat(1 << 20));
        let stored = published(&Rejection::one(Code::MalformedPayload, field.clone(), field), b"{}");

        let failure = read(&catalogue(), &stored).expect("it is a failure");

        assert!(failure.pointer.starts_with("/\u{fffd}é") && failure.pointer.len() <= MAX_TEXT_BYTES);
        assert!(failure.detail.len() < 4 * MAX_MESSAGE_BYTES && !failure.detail.contains('\0'));
    }

    #[test]
    fn what_is_no_failure_is_told_so() {
        let catalogue = catalogue();
        let cancelled = serde_json::json!({"event_id": "e", "event_timestamp": 1, "service_order_id": "s"});
        let other = catalogue.encode_json("ServiceOrderCancelled", &cancelled).expect("it fits");
        let failed = serde_json::json!({"event_id": "e", "event_timestamp": 1, "source_system": "SAP",
            "external_order_id": "1", "error_code": "X", "error_message": "", "raw_payload": ""});
        let other_id = catalogue.encode_json("SalesOrderFailed", &failed).expect("it fits");
        for (value, expected) in [
            (None, "expected a value, found none"),
            (Some(other), "expected a `SalesOrderFailed` or `SalesStatusFailed`, found a `ServiceOrderCancelled`"),
            (Some(other_id), "`event_id` is not a UUID"),
            (
                Some(Bytes::from_static(b"{}")),
                "value of 2 bytes is not framed Avro: expected 0x00 and a schema id of 4 bytes",
            ),
        ] {
            let record = Record { value, ..Record::default() };
            let stored = Stored { topic: "t".into(), partition: 0, offset: 0, timestamp_ms: 0, record };

            let error = read(&catalogue, &stored).expect_err("it is no failure");

            assert_eq!(error.to_string(), expected);
            assert!(!error.is_transient());
        }
    }
}
