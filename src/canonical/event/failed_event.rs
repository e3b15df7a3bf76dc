//! `dlq.failed_events`: what could not be used and has no failure topic of its own, in the owner's form.
//!
//! Source: `contracts/canonical-events.md` sections 2.2 and 7.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::canonical::event::{MAX_MESSAGE_BYTES, MAX_RAW_BYTES, raw_payload};
use crate::canonical::headers;
use crate::canonical::ids::Sha256Digest;
use crate::canonical::rejection::Code;
use crate::log::{Append, Header, Record};
use crate::schema::Catalogue;

pub const FAILED_EVENTS: &str = "dlq.failed_events";

/// A record that failed for good.
#[derive(Debug, Clone, Copy)]
pub struct FailedEvent<'a> {
    /// Where it was consumed, or `http:<source>`.
    pub topic: &'a str,
    /// As it was on that topic.
    pub record: &'a Record,
    /// `<CLASS> <pointer>: <message>`, of a call `DELIVERY_FAILED <HTTP status or cause>: <message>`.
    pub error: &'a str,
    /// Epoch milliseconds.
    pub failed_at: i64,
}

#[derive(Serialize)]
struct Document<'a> {
    original_topic: &'a str,
    original_event: Value,
    error: &'a str,
    failed_at: i64,
}

impl FailedEvent<'_> {
    /// The text of `error` for what is wrong with a record; `pointer` is empty for the whole of it.
    pub fn error(code: Code, pointer: &str, message: &str) -> String {
        format!("{code} {pointer}: {message}")
    }

    /// The record for [`FAILED_EVENTS`]: under its own key, with its own headers that say whose it is.
    ///
    /// `original_event` is the decoded value if it decodes, else its text, else `base64:…`; a value above
    /// [`MAX_RAW_BYTES`] is `ref:sha256:…`.
    pub fn to_append(&self, catalogue: &Catalogue) -> Append {
        let error = self.error.get(..self.error.floor_char_boundary(MAX_MESSAGE_BYTES)).unwrap_or_default();
        let document = Document {
            original_topic: self.topic,
            original_event: self.record.value.as_ref().map_or(Value::Null, |value| original(value, catalogue)),
            error,
            failed_at: self.failed_at,
        };
        let kept = [
            headers::CORRELATION_ID,
            headers::TENANT_ID,
            headers::SOURCE_SYSTEM,
            headers::EVENT_TYPE,
            headers::IDEMPOTENCY_KEY,
            headers::TRACEPARENT,
            headers::SOURCE,
        ];
        let is_kept = |header: &&Header| kept.contains(&header.name.as_str());
        // A document of texts and what was JSON before is always JSON.
        let value = serde_json::to_vec(&document).unwrap_or_default();
        let record = Record {
            key: self.record.key.clone(),
            value: Some(Bytes::from(value)),
            headers: self.record.headers.iter().filter(is_kept).cloned().collect(),
        };
        Append { topic: Arc::from(FAILED_EVENTS), partition: None, record }
    }
}

fn original(value: &Bytes, catalogue: &Catalogue) -> Value {
    if value.len() > MAX_RAW_BYTES {
        return Value::from(raw_payload(value, Sha256Digest::of(value)));
    }
    if let Ok(decoded) = catalogue.decode(value) {
        return decoded.value;
    }
    let document = std::str::from_utf8(value).ok().and_then(|text| serde_json::from_str(text).ok());
    document.unwrap_or_else(|| Value::from(raw_payload(value, Sha256Digest::of(value))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failed(value: Option<Bytes>, catalogue: &Catalogue) -> Value {
        let headers = vec![Header::text("tenant-id", "north"), Header::text("x-foreign", "1")];
        let record = Record { key: Some(Bytes::from_static(b"FR_1")), value, headers };
        let failed = FailedEvent { topic: "projects.x", record: &record, error: "SCHEMA_MISMATCH : no", failed_at: 7 };

        let append = failed.to_append(catalogue);

        assert_eq!((append.topic.as_ref(), append.record.key.as_deref()), (FAILED_EVENTS, Some(&b"FR_1"[..])));
        assert_eq!(append.record.headers, [Header::text("tenant-id", "north")]);
        serde_json::from_slice(&append.record.value.expect("a value")).expect("JSON")
    }

    #[test]
    fn the_original_is_shown_as_well_as_it_can_be_read() {
        let catalogue = crate::schema::tests::catalogue();
        let cancelled = json!({ "event_id": "e", "event_timestamp": 1, "service_order_id": "s", "reason": null });
        let framed = catalogue.encode_json("ServiceOrderCancelled", &cancelled).expect("a record");
        let large = Bytes::from(vec![b'x'; MAX_RAW_BYTES + 1]);
        for (value, expected) in [
            (Some(framed), cancelled),
            (Some(Bytes::from_static(b"{\"a\": 1.50}")), serde_json::from_str("{\"a\": 1.50}").expect("JSON")),
            (Some(Bytes::from_static(b"half {")), json!("half {")),
            (Some(Bytes::from_static(b"\xff\x00")), json!("base64:/wA=")),
            (Some(large.clone()), json!(format!("ref:sha256:{}", Sha256Digest::of(&large)))),
            (None, json!(null)),
        ] {
            let document = failed(value, &catalogue);

            assert_eq!(document["original_event"], expected);
            assert_eq!(
                (&document["original_topic"], &document["error"], &document["failed_at"]),
                (&json!("projects.x"), &json!("SCHEMA_MISMATCH : no"), &json!(7))
            );
        }
    }
}
