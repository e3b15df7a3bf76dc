//! The event of a rejected payload, and what travels beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::canonical::draft::DraftHead;
use crate::canonical::event::{Body, Event, ORDER_FAILED, source_key};
use crate::canonical::headers;
use crate::canonical::ids::{self, Sha256Digest};
use crate::canonical::order::SourceSystem;
use crate::canonical::rejection::Rejection;
use crate::log::Header;

/// Largest payload an event carries; a larger one is referred to by its digest.
pub const MAX_RAW_BYTES: usize = 256 << 10;
/// Longest `error_message`, so that the event of a rejection stays below the size the platform wants.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// Longest header `cd-problems`, for the same reason.
pub const MAX_PROBLEMS_BYTES: usize = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SalesOrderFailed {
    pub event_id: String,
    pub event_timestamp: i64,
    pub source_system: SourceSystem,
    /// [`ids::UNKNOWN_ORDER`] if it could not be read.
    pub external_order_id: String,
    pub error_code: String,
    /// Begins with the path of the first problem; at most [`MAX_MESSAGE_BYTES`].
    pub error_message: String,
    /// As [`raw_payload`] gives it.
    pub raw_payload: String,
    pub retry_count: i32,
}

/// A payload was rejected. `raw` is the payload as received, of which `head` has the digest.
pub fn failed(head: &DraftHead, rejection: &Rejection, raw: &[u8], published_at: i64) -> Event {
    let event_id = ids::rejection_event_id(head.raw_sha256, head.retry_count);
    let external_order_id = head.external_order_id.as_deref().unwrap_or(ids::UNKNOWN_ORDER);
    let body = SalesOrderFailed {
        event_id: event_id.to_string(),
        event_timestamp: published_at,
        source_system: head.source_system,
        external_order_id: external_order_id.to_owned(),
        error_code: rejection.code().as_str().to_owned(),
        error_message: cut(rejection.message()),
        raw_payload: raw_payload(raw, head.raw_sha256),
        retry_count: i32::try_from(head.retry_count).unwrap_or(i32::MAX),
    };
    let key = source_key(head.source_system, external_order_id);
    Event { topic: ORDER_FAILED, key, event_id, body: Body::Failed(body), headers: circumstances(head, rejection) }
}

/// What the schema of a rejection has no field for, and whoever finds, explains or replays one has to know.
fn circumstances(head: &DraftHead, rejection: &Rejection) -> Vec<Header> {
    let mut fields = vec![
        Header::text(headers::BINDING, head.binding.as_str()),
        Header::text(headers::SOURCE_KEY, head.source_key.as_str()),
        Header::text(headers::RECEIVED_FROM, head.received_from.as_str()),
        Header::text(headers::RECEIVED_AT, head.received_at.to_string()),
        Header::text(headers::RAW_SHA256, head.raw_sha256.to_string()),
        Header::text(headers::MAPPED_BY, head.transformation_version.as_str()),
        Header::text(headers::PROBLEMS, rejection.to_json(MAX_PROBLEMS_BYTES)),
    ];
    fields.extend(head.route.as_deref().map(|route| Header::text(headers::ROUTE, route)));
    if !head.path.is_empty() {
        // A map of texts is always JSON.
        fields.push(Header::text(headers::PATH, serde_json::to_string(&head.path).unwrap_or_default()));
    }
    fields.extend(head.replay_of.map(|id| Header::text(headers::REPLAY_OF, id.to_string())));
    fields
}

/// A payload as an event carries it: its text, `base64:<…>` if it is not UTF-8, `ref:sha256:<64 hex digits>` above
/// [`MAX_RAW_BYTES`].
///
/// Source: `contracts/canonical-events.md` section 7.
pub fn raw_payload(raw: &[u8], digest: Sha256Digest) -> String {
    if raw.len() > MAX_RAW_BYTES {
        return format!("ref:sha256:{digest}");
    }
    match std::str::from_utf8(raw) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("base64:{}", STANDARD.encode(raw)),
    }
}

/// At most [`MAX_MESSAGE_BYTES`], cut between characters.
fn cut(mut message: String) -> String {
    const ELLIPSIS: &str = "…";
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES - ELLIPSIS.len()));
        message.push_str(ELLIPSIS);
    }
    message
}
