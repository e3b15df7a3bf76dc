//! Names of the headers on the log.
//!
//! Source: `contracts/canonical-events.md` section 4 and DESIGN section 5 ("Headers on the log").

pub const CORRELATION_ID: &str = "correlation-id";
pub const TENANT_ID: &str = "tenant-id";
pub const SOURCE_SYSTEM: &str = "source-system";
/// The record name of the Avro schema.
pub const EVENT_TYPE: &str = "event-type";
/// The `event_id`; for activities their `idempotency_key`.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// W3C trace context, carried end to end.
pub const TRACEPARENT: &str = "traceparent";
/// `topic/partition/offset` a record was made from.
pub const SOURCE: &str = "cd-src";
