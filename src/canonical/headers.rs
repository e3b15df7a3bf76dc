//! The headers on the log: their names, and what of a sender's is carried on.
//!
//! Source: `contracts/canonical-events.md` sections 4 and 11 and DESIGN section 5 ("Headers on the log").

pub const CORRELATION_ID: &str = "correlation-id";
pub const TENANT_ID: &str = "tenant-id";
pub const SOURCE_SYSTEM: &str = "source-system";
/// The record name of the Avro schema.
pub const EVENT_TYPE: &str = "event-type";
/// The `event_id`; for activities their `idempotency_key`.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// W3C trace context, carried end to end.
pub const TRACEPARENT: &str = "traceparent";
/// The binding whose payload was rejected. This and those below: on a published rejection, for the failure index.
pub const BINDING: &str = "cd-binding";
/// `<adapter>/<route>` the payload was mapped by.
pub const ROUTE: &str = "cd-route";
/// Parameters of the path the payload was sent to, as a JSON object; absent if there are none.
pub const PATH: &str = "cd-path";
/// As in the order's key: `pyxis`, `custom.<source id>`.
pub const SOURCE_KEY: &str = "cd-source-key";
/// `http` or the topic.
pub const RECEIVED_FROM: &str = "cd-received-from";
/// Epoch milliseconds, in decimal digits.
pub const RECEIVED_AT: &str = "cd-received-at";
/// SHA-256 of the payload, 64 hex digits.
pub const RAW_SHA256: &str = "cd-raw-sha256";
/// `<adapter>/<version>` of the mapping that rejected it.
pub const MAPPED_BY: &str = "cd-mapped-by";
/// Every problem: `{"problems": [{"code", "field", "message"}], "omitted": <number>}`.
pub const PROBLEMS: &str = "cd-problems";
/// `event_id` of the rejection the payload is a replay of; absent otherwise.
pub const REPLAY_OF: &str = "cd-replay-of";
/// `topic/partition/offset` a record was made from.
pub const SOURCE: &str = "cd-src";

const MAX_CORRELATION_ID_BYTES: usize = 128;

/// The value of [`SOURCE`] for a record.
pub fn source(topic: &str, partition: u32, offset: i64) -> String {
    format!("{topic}/{partition}/{offset}")
}

/// Whether a sender's correlation id is taken over: 1 to 128 printable ASCII characters.
pub fn is_correlation_id(text: &str) -> bool {
    (1..=MAX_CORRELATION_ID_BYTES).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Whether a sender's trace context is well formed; what would have to be guessed at is not carried on.
///
/// Source: W3C Trace Context, "traceparent header field values"; a later version may carry more fields.
pub fn is_traceparent(text: &str) -> bool {
    let mut fields = text.split('-');
    let mut hex = |digits: usize| {
        fields.next().filter(|field| {
            field.len() == digits && field.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        })
    };
    let (Some(version), Some(trace), Some(parent), Some(_flags)) = (hex(2), hex(32), hex(16), hex(2)) else {
        return false;
    };
    let is_zero = |field: &str| field.bytes().all(|byte| byte == b'0');
    let version_allows_length = text.len() == 55 || (version != "00" && text.len() <= 256);
    version != "ff" && !is_zero(trace) && !is_zero(parent) && version_allows_length
}
