//! The events read here, with the fields of their Avro schemas.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::event::fsm::{FsmOrderStatusUpdated, FsmTvOutcomeRecorded, TvOutcome};

/// An event of the platform that is about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlatformEvent {
    StatusUpdated(FsmOrderStatusUpdated),
    TvOutcomeRecorded(FsmTvOutcomeRecorded),
    Other(Platform),
}

/// An event of another domain, to be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platform {
    TvOutcomeRecorded(TvOutcomeRecorded),
    AssignmentConfirmed(AssignmentConfirmed),
    ServiceOrderCancelled(ServiceOrderCancelled),
}

/// `com.ahs.fsm.events.projects.TvOutcomeRecorded`, without what is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TvOutcomeRecorded {
    pub event_id: String,
    pub tv_service_order_id: String,
    #[serde(default)]
    pub linked_installation_order_id: Option<String>,
    pub outcome: TvOutcome,
    #[serde(default)]
    pub modifications: Option<Vec<Modification>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modification {
    pub description: String,
}

/// `com.ahs.fsm.events.assignments.AssignmentConfirmed`, without what is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentConfirmed {
    pub event_id: String,
    pub service_order_id: String,
    /// `YYYY-MM-DD`.
    pub confirmed_date: String,
}

/// `com.ahs.fsm.events.projects.ServiceOrderCancelled`, without what is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceOrderCancelled {
    pub event_id: String,
    pub service_order_id: String,
}

impl PlatformEvent {
    /// The event of a document that is a `record`, named without its namespace; `None` if it is not one, or the record
    /// is none of those above.
    pub(super) fn read(record: &str, document: Value) -> Option<Self> {
        fn of<T: DeserializeOwned>(document: Value) -> Option<T> {
            serde_json::from_value(document).ok()
        }
        match record {
            "FsmOrderStatusUpdated" => of(document).map(Self::StatusUpdated),
            "FsmTvOutcomeRecorded" => of(document).map(Self::TvOutcomeRecorded),
            "TvOutcomeRecorded" => of(document).map(|event| Self::Other(Platform::TvOutcomeRecorded(event))),
            "AssignmentConfirmed" => of(document).map(|event| Self::Other(Platform::AssignmentConfirmed(event))),
            "ServiceOrderCancelled" => of(document).map(|event| Self::Other(Platform::ServiceOrderCancelled(event))),
            _ => None,
        }
    }

    /// Whether events of `record` are read here.
    pub(super) fn is_read(record: &str) -> bool {
        [
            "FsmOrderStatusUpdated",
            "FsmTvOutcomeRecorded",
            "TvOutcomeRecorded",
            "AssignmentConfirmed",
            "ServiceOrderCancelled",
        ]
        .contains(&record)
    }

    pub fn event_id(&self) -> &str {
        match self {
            Self::StatusUpdated(event) => &event.event_id,
            Self::TvOutcomeRecorded(event) => &event.event_id,
            Self::Other(Platform::TvOutcomeRecorded(event)) => &event.event_id,
            Self::Other(Platform::AssignmentConfirmed(event)) => &event.event_id,
            Self::Other(Platform::ServiceOrderCancelled(event)) => &event.event_id,
        }
    }
}
