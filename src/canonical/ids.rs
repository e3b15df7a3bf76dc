//! Identifiers: every one is derived, none is random, so the same input always gives the same output.
//!
//! Source: `contracts/canonical-events.md` section 5 and DESIGN section 1 (keys).

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::canonical::order::SourceSystem;

/// Namespace of every UUIDv5 below.
pub const NAMESPACE: Uuid = Uuid::from_u128(0xf9d5ecc7_f511_47f3_827a_87555558266a);

/// Stands for an external order id that could not be read or has an unusable shape.
pub const UNKNOWN_ORDER: &str = "unknown";

/// Identity of one order: the unit of state, order and idempotency.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OrderKey {
    pub tenant_id: String,
    /// `pyxis`, `tempo`, `sap` or `custom.<source id>`.
    pub source_key: String,
    pub external_order_id: String,
}

impl OrderKey {
    /// `fsm_service_order_id`: UUIDv5 of `tenant:source:external`.
    pub fn service_order_id(&self) -> Uuid {
        derive(&format!("{}:{}:{}", self.tenant_id, self.source_key, self.external_order_id))
    }

    /// The system the order is of.
    pub fn source_system(&self) -> SourceSystem {
        match self.source_key.as_str() {
            "pyxis" => SourceSystem::Pyxis,
            "tempo" => SourceSystem::Tempo,
            "sap" => SourceSystem::Sap,
            _ => SourceSystem::Custom,
        }
    }

    /// Partition key of the order on `crossdock.intake` and `crossdock.out.<binding>`.
    pub fn partition_key(&self) -> String {
        format!("{}|{}|{}", self.tenant_id, self.source_key, self.external_order_id)
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.partition_key())
    }
}

/// Partition key of a payload whose order id could not be read.
pub fn unreadable_partition_key(tenant_id: &str, source_key: &str, raw: Sha256Digest) -> String {
    format!("{tenant_id}|{source_key}|{raw}")
}

/// `event_id` of an order event published on `topic`.
pub fn order_event_id(topic: &str, service_order_id: Uuid, revision: i64) -> Uuid {
    derive(&format!("{topic}:{service_order_id}:{revision}"))
}

/// `event_id` of an event that is published on `topic` because the event `consumed` (its `event_id`) says so.
pub fn translated_event_id(topic: &str, consumed: &str) -> Uuid {
    derive(&format!("{topic}:{consumed}"))
}

/// `event_id` of a `SalesOrderFailed`.
pub fn rejection_event_id(raw: Sha256Digest, retry_count: u32) -> Uuid {
    derive(&format!("integration.sales.order.failed:{raw}:{retry_count}"))
}

/// Under which a dead letter is in the failure index. `origin`: `topic/partition/offset` in its lane's own topic; `hop`:
/// moves behind the dead letter, so that a record which dies again is a failure of its own.
pub fn dead_letter_id(origin: &str, hop: u32) -> Uuid {
    derive(&format!("dead-letter:{origin}:{hop}"))
}

/// Under which the store remembers that `tenant_id` had the event `event_id` published on `topic`.
pub fn published_event_id(tenant_id: &str, topic: &str, event_id: Uuid) -> Uuid {
    // Neither a tenant nor a topic has a colon.
    derive(&format!("{tenant_id}:{topic}:{event_id}"))
}

/// Under which the store remembers that a message made of the record at `source` (`topic/partition/offset`) was decided.
///
/// The payload is part of it: of a topic that was deleted and made again, other records have the same places. So is the
/// replay: it is decided anew.
pub fn source_id(source: &str, raw: Sha256Digest, retry_count: u32) -> Uuid {
    // No tenant has a slash: no id of a published event is one of these.
    derive(&format!("{source}:{raw}:{retry_count}"))
}

/// Under which the store remembers that a source's delivery counted. `delivery_id`: as the source names it.
pub fn delivery_guard(tenant_id: &str, source_key: &str, delivery_id: &str) -> Uuid {
    // Neither a tenant nor a source key has a bar, and no other derived name begins with a tenant and one.
    derive(&format!("{tenant_id}|{source_key}|{delivery_id}"))
}

fn derive(name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

/// A SHA-256 digest, shown as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// `None` unless `text` is 64 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The digits without an allocation: every order is written with a handful of digests.
    fn with_hex<T>(&self, act: impl FnOnce(&str) -> T) -> T {
        let mut digits = [b'0'; 64];
        // Neither can fail: two digits a byte, and digits are ASCII.
        let _ = hex::encode_to_slice(self.0, &mut digits);
        act(str::from_utf8(&digits).unwrap_or_default())
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_hex(|hex| f.write_str(hex))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256Digest({self})")
    }
}

impl Serialize for Sha256Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_hex(|hex| serializer.serialize_str(hex))
    }
}

impl<'de> Deserialize<'de> for Sha256Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("expected 64 hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> OrderKey {
        OrderKey {
            tenant_id: "north".into(),
            source_key: "pyxis".into(),
            external_order_id: "PYX-FR-20260304-7731".into(),
        }
    }

    #[test]
    fn ids_are_those_printed_in_the_contract() {
        let id = order().service_order_id();
        let revision = 1_772_612_130_000;

        assert_eq!(id.to_string(), "8fc78ce8-6c4a-55d8-aaaa-f149200431d2");
        for (topic, expected) in [
            ("integration.sales.order_received", "9478506a-9d09-57c5-a89e-1f1c103e2680"),
            ("integration.sales.order.normalized", "bbd48371-33e6-5a6b-956c-a94669e9595b"),
        ] {
            assert_eq!(order_event_id(topic, id, revision).to_string(), expected, "{topic}");
        }
        let tempo =
            OrderKey { source_key: "tempo".into(), external_order_id: "TEMPO-ES-20260311-0417".into(), ..order() };
        assert_eq!(tempo.service_order_id().to_string(), "f047371d-b2e4-551f-8a27-98de3afce03b");
    }
}
