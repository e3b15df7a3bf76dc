//! The event of a call to a sales system that finally failed.

use serde::Serialize;
use uuid::Uuid;

use crate::canonical::event::{Body, Event, STATUS_FAILED, source_key};
use crate::canonical::order::SourceSystem;
use crate::log::Header;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SalesStatusFailed {
    pub event_id: String,
    /// Epoch milliseconds: when the call was given up.
    pub event_timestamp: i64,
    pub source_system: SourceSystem,
    pub external_order_id: String,
    pub fsm_service_order_id: String,
    /// `status`, `tv_outcome` or `cancellation`.
    pub notification: String,
    /// `None` if no answer came.
    pub http_status: Option<i32>,
    pub error_code: String,
    pub error_message: String,
    /// Attempts behind the first.
    pub retry_count: i32,
}

/// The event of `body`. `headers`: what its schema has no field for.
///
/// Source: `contracts/canonical-events.md` sections 2.2 and 3.
pub fn status_failed(event_id: Uuid, body: SalesStatusFailed, headers: Vec<Header>) -> Event {
    let key = source_key(body.source_system, &body.external_order_id);
    Event { topic: STATUS_FAILED, key, event_id, body: Body::StatusFailed(body), headers }
}
