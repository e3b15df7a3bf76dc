//! The platform's own events about an order, which the gateway also makes of the events of other domains.
//!
//! Read from the log or made here, they are the same structs, with the fields of their Avro schemas in schema order.

use serde::{Deserialize, Serialize};

use crate::canonical::event::{Body, Event, source_key};
use crate::canonical::ids::{self, OrderKey};
use crate::canonical::order::SourceSystem;

pub const STATUS_UPDATED: &str = "fsm.order.status_updated";
pub const SCHEDULED: &str = "fsm.order.scheduled";
pub const TV_OUTCOME_RECORDED: &str = "fsm.tv.outcome_recorded";
pub const TV_MODIFICATIONS_REQUIRED: &str = "fsm.tv.modifications_required";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsmOrderStatusUpdated {
    pub event_id: String,
    /// Epoch milliseconds.
    pub event_timestamp: i64,
    pub source_system: SourceSystem,
    pub external_order_id: String,
    pub fsm_service_order_id: String,
    pub status: OrderStatus,
    /// `YYYY-MM-DD`.
    #[serde(default)]
    pub scheduled_date: Option<String>,
    #[serde(default)]
    pub provider_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsmTvOutcomeRecorded {
    pub event_id: String,
    /// Epoch milliseconds.
    pub event_timestamp: i64,
    pub source_system: SourceSystem,
    pub external_order_id: String,
    pub tv_outcome: TvOutcome,
    #[serde(default)]
    pub modifications: Option<Vec<ScopeModification>>,
    #[serde(default)]
    pub cancellation_reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeModification {
    pub description: String,
    pub requires_repricing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderStatus {
    Created,
    Scheduled,
    Assigned,
    InProgress,
    Completed,
    Cancelled,
}

/// What a technical visit found: whether the order can be done as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TvOutcome {
    Yes,
    YesBut,
    No,
}

/// The status of `order` became `status`, as the event `consumed` says. `published_at`: epoch milliseconds.
pub fn status_updated(
    topic: &'static str,
    order: &OrderKey,
    status: OrderStatus,
    scheduled_date: Option<String>,
    consumed: &str,
    published_at: i64,
) -> Event {
    let event_id = ids::translated_event_id(topic, consumed);
    let source_system = order.source_system();
    let body = FsmOrderStatusUpdated {
        event_id: event_id.to_string(),
        event_timestamp: published_at,
        source_system,
        external_order_id: order.external_order_id.clone(),
        fsm_service_order_id: order.service_order_id().to_string(),
        status,
        scheduled_date,
        provider_name: None,
    };
    let key = source_key(source_system, &order.external_order_id);
    Event { topic, key, event_id, body: Body::StatusUpdated(body), headers: Vec::new() }
}

/// A technical visit of `order` had this outcome, as the event `consumed` says. `published_at`: epoch milliseconds.
pub fn tv_outcome_recorded(
    topic: &'static str,
    order: &OrderKey,
    tv_outcome: TvOutcome,
    modifications: Option<Vec<ScopeModification>>,
    cancellation_reason: Option<String>,
    consumed: &str,
    published_at: i64,
) -> Event {
    let event_id = ids::translated_event_id(topic, consumed);
    let source_system = order.source_system();
    let body = FsmTvOutcomeRecorded {
        event_id: event_id.to_string(),
        event_timestamp: published_at,
        source_system,
        external_order_id: order.external_order_id.clone(),
        tv_outcome,
        modifications,
        cancellation_reason,
    };
    let key = source_key(source_system, &order.external_order_id);
    Event { topic, key, event_id, body: Body::TvOutcomeRecorded(body), headers: Vec::new() }
}
