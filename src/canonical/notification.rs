//! A notification: a platform event that a binding's partner may have to be told about.
//!
//! It is the value of a record of `crossdock.out.<binding>`, as JSON, and complete: with the binding and the mappings it
//! gives the HTTP request, today or at a replay in a month. Whether there is a request at all, the mappings decide
//! (`normalize::call`).
//!
//! Source: DESIGN section 1 (keys), `contracts/canonical-events.md` section 9 ("Repeats").

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::ids::{OrderKey, Sha256Digest};
use crate::canonical::order::SourceSystem;

/// `FsmOrderStatusUpdated` with its namespace.
pub const STATUS_UPDATED: &str = "com.ahs.fsm.events.integration.FsmOrderStatusUpdated";
/// `FsmTvOutcomeRecorded` with its namespace.
pub const TV_OUTCOME_RECORDED: &str = "com.ahs.fsm.events.integration.FsmTvOutcomeRecorded";

/// `PaymentReady` with its namespace.
pub const PAYMENT_READY: &str = "com.ahs.fsm.events.integration.PaymentReady";

/// What a notification is about, and what a call of it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Status,
    TvOutcome,
    Cancellation,
    Payment,
    Callback,
}

/// One event for one binding. Serialized in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// What the event is about. The call it causes may be of another kind: a visit's `NO` is a cancellation.
    pub kind: Kind,
    /// Where the event was consumed.
    pub topic: String,
    /// The event's record, with its namespace.
    pub record: String,
    /// Of the consumed event.
    pub event_id: String,
    pub tenant_id: String,
    pub source_system: SourceSystem,
    pub source_key: String,
    pub external_order_id: String,
    pub fsm_service_order_id: String,
    /// Selling country of the order, where the gateway knows it.
    pub country_code: Option<String>,
    /// Whether the gateway has processed a cancellation of the order from its own source.
    pub cancelled_by_source: bool,
    /// The decoded event: every field of its schema, in schema order.
    pub event: Value,
}

/// What a topic of notifications is called, before the name of its binding.
pub const OUT: &str = "crossdock.out.";

/// The internal topic of a binding's notifications: its lanes' own.
pub fn out_topic(binding: &str) -> String {
    format!("{OUT}{binding}")
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Status, Self::TvOutcome, Self::Cancellation, Self::Payment, Self::Callback];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::TvOutcome => "tv_outcome",
            Self::Cancellation => "cancellation",
            Self::Payment => "payment",
            Self::Callback => "callback",
        }
    }

    /// What events of `record`, its name with its namespace, are about; `None`: nothing a partner is told.
    pub fn of_record(record: &str) -> Option<Self> {
        match record {
            STATUS_UPDATED => Some(Self::Status),
            TV_OUTCOME_RECORDED => Some(Self::TvOutcome),
            PAYMENT_READY => Some(Self::Payment),
            _ => None,
        }
    }
}

impl Notification {
    /// The value on the log.
    ///
    /// # Errors
    /// [`serde_json::Error`] never occurs for what [`Self::from_bytes`] or the translator made.
    pub fn to_bytes(&self) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(self).map(Bytes::from)
    }

    /// # Errors
    /// `value` is not the JSON of a notification.
    pub fn from_bytes(value: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(value)
    }

    /// The order it is about.
    pub fn order(&self) -> OrderKey {
        OrderKey {
            tenant_id: self.tenant_id.clone(),
            source_key: self.source_key.clone(),
            external_order_id: self.external_order_id.clone(),
        }
    }

    /// `X-Idempotency-Key` of the call of `kind` to `target`, the binding's name: every retry and replay has the same.
    ///
    /// Hex SHA-256 of `tenant_id|target|external_order_id|kind|event_id`, and of that with `|edit:<edit>` behind it if an
    /// operator has edited the notification: `edit` is the id of his command. Source: `contracts/canonical-events.md`
    /// section 9, and `research/stream-engines.md` section 2.13, rule 12.
    pub fn idempotency_key(&self, target: &str, kind: Kind, edit: Option<&str>) -> Sha256Digest {
        let Self { tenant_id, external_order_id, event_id, .. } = self;
        let mut text = format!("{tenant_id}|{target}|{external_order_id}|{}|{event_id}", kind.as_str());
        if let Some(edit) = edit {
            text.push_str("|edit:");
            text.push_str(edit);
        }
        Sha256Digest::of(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn notification() -> Notification {
        Notification {
            kind: Kind::Status,
            topic: "fsm.order.scheduled".into(),
            record: STATUS_UPDATED.into(),
            event_id: "e-1".into(),
            tenant_id: "north".into(),
            source_system: SourceSystem::Pyxis,
            source_key: "pyxis".into(),
            external_order_id: "PYX-1".into(),
            fsm_service_order_id: "8fc78ce8-6c4a-55d8-aaaa-f149200431d2".into(),
            country_code: Some("FR".into()),
            cancelled_by_source: false,
            event: json!({ "event_id": "e-1", "event_timestamp": 1_772_700_000_000_i64, "provider_name": null }),
        }
    }

    #[test]
    fn a_notification_is_read_as_it_was_written() {
        let written = notification().to_bytes().expect("JSON");

        assert_eq!(Notification::from_bytes(&written).expect("a notification"), notification());
        assert!(written.starts_with(br#"{"kind":"status","topic":"fsm.order.scheduled","record":"com.ahs"#));
    }

    #[test]
    fn the_idempotency_key_is_that_of_the_contract() {
        // printf 'north|pyxis-north|PYX-1|cancellation|e-1' | sha256sum
        let key = notification().idempotency_key("pyxis-north", Kind::Cancellation, None);
        // The same with `|edit:c-1` at its end.
        let edited = notification().idempotency_key("pyxis-north", Kind::Cancellation, Some("c-1"));

        assert_eq!(key.to_string(), "717c235c0906f04bd9a4d38ad8f69b1de6c3fcdf5d7bae2fe3d2fba66bf6d4d6");
        assert_eq!(edited.to_string(), "87b30265609a99984bfcb8ed83d42d311bba69281a1ba54384b3f16f209e412e");
        assert_ne!(key, notification().idempotency_key("pyxis-north", Kind::Status, None));
    }

    #[test]
    fn a_kind_is_written_as_it_is_named() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
        }
    }
}
