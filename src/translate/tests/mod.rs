//! The rules of translation, each by a table; no store, no log.

mod lane;
mod notifying;
mod orders;
mod reading;
mod translating;

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::canonical::ids::OrderKey;
use crate::log::{Header, Record};
use crate::schema::Catalogue;
use crate::schema::topics::record_of;

/// 2026-03-05T08:40:00Z
const NOW: i64 = 1_772_700_000_000;
const DAY_MS: i64 = 86_400_000;

fn catalogue() -> &'static Catalogue {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(crate::schema::tests::catalogue);
    &CATALOGUE
}

/// An event of `topic` as framed Avro, with these headers.
fn record(topic: &str, event: &Value, headers: &[(&str, &str)]) -> Record {
    let value = catalogue().encode_json(record_of(topic).expect("a known topic"), event).expect("an event");
    Record {
        key: Some(Bytes::from_static(b"key")),
        value: Some(value),
        headers: headers.iter().map(|(name, value)| Header::text(name, *value)).collect(),
    }
}

fn consumed(topic: &str, event: &Value, headers: &[(&str, &str)]) -> Consumed {
    Consumed::read(topic, &record(topic, event, headers), catalogue()).expect("an event")
}

fn order(source_key: &str, external_order_id: &str) -> KnownOrder {
    KnownOrder {
        key: OrderKey {
            tenant_id: "north".into(),
            source_key: source_key.into(),
            external_order_id: external_order_id.into(),
        },
        country_code: Some("FR".into()),
    }
}

/// The order of the contract's examples.
fn pyxis() -> KnownOrder {
    order("pyxis", "PYX-FR-20260304-7731")
}

fn linked(order: KnownOrder) -> Found {
    Found { linked: Some(order), named: Vec::new() }
}

fn visit(outcome: &str, modifications: Value) -> Value {
    json!({
        "event_id": "e-1", "event_timestamp": 1, "tv_service_order_id": "visit-1",
        "linked_installation_order_id": "order-1", "outcome": outcome, "modifications": modifications,
        "recorded_by": "someone",
    })
}

fn confirmed() -> Value {
    json!({
        "event_id": "e-1", "event_timestamp": 1, "service_order_id": "order-1", "provider_id": "p", "team_id": "t",
        "confirmed_date": "2026-03-19", "confirmed_time_start": "08:00", "confirmed_time_end": "12:00",
    })
}

fn cancelled() -> Value {
    json!({ "event_id": "e-1", "event_timestamp": 1, "service_order_id": "order-1", "reason": "No longer wanted" })
}

fn status(source_system: &str, status: &str) -> Value {
    json!({
        "event_id": "e-1", "event_timestamp": NOW, "source_system": source_system,
        "external_order_id": "PYX-FR-20260304-7731", "fsm_service_order_id": "fsm-1", "status": status,
        "scheduled_date": null, "provider_name": null,
    })
}

fn outcome(source_system: &str, outcome: &str) -> Value {
    json!({
        "event_id": "e-1", "event_timestamp": NOW, "source_system": source_system,
        "external_order_id": "PYX-FR-20260304-7731", "tv_outcome": outcome, "modifications": null,
        "cancellation_reason": null,
    })
}
