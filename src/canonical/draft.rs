//! What a hop appends to `crossdock.intake` and the sequencer reads: one normalized, not yet ordered message.
//!
//! A [`Draft`] is only made by `normalize` (from a `Verified` delivery) or read back from the log.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::canonical::ids::{self, OrderKey, Sha256Digest};
use crate::canonical::order::{CanonicalOrder, SourceSystem, Warning};
use crate::canonical::rejection::Rejection;

/// The internal topic every inbound message passes.
pub const INTAKE: &str = "crossdock.intake";

/// One inbound message on its way to the sequencer.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub head: DraftHead,
    pub body: DraftBody,
    /// The payload as received, byte for byte.
    pub raw: Bytes,
}

/// What is known of every message, accepted or rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftHead {
    pub tenant_id: String,
    pub source_system: SourceSystem,
    pub source_key: String,
    /// `None` if it could not be read from the payload or has an unusable shape.
    pub external_order_id: Option<String>,
    /// The binding's name.
    pub binding: String,
    /// `http` or the topic it came from.
    pub received_from: String,
    /// Epoch milliseconds.
    pub received_at: i64,
    pub correlation_id: String,
    pub raw_sha256: Sha256Digest,
    /// How often this payload was replayed.
    pub retry_count: u32,
    /// `<adapter>/<version>` of the mapping used.
    pub transformation_version: String,
    /// `<adapter>/<route>` it was mapped by; `None` on a record written before routes were kept.
    pub route: Option<String>,
    /// Parameters of the path it was sent to, by name: mapping it again checks them again.
    pub path: BTreeMap<String, String>,
    /// `event_id` of the rejection this payload is a replay of.
    pub replay_of: Option<Uuid>,
    /// The sender's own id of the delivery, the same on every repeat of it: one such message of a source counts.
    pub delivery_id: Option<String>,
}

// Externally tagged: serde's other forms buffer numbers, which `arbitrary_precision` does not survive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DraftBody {
    Order(Box<OrderDraft>),
    Cancellation(CancellationDraft),
    Rejection(Rejection),
}

/// A creation or an update: always the whole order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDraft {
    pub intent: Intent,
    pub order: CanonicalOrder,
    pub digest: Sha256Digest,
    /// Pointer of the payload's order id, named when the state rejects the message.
    pub id_field: String,
    /// Pointer of the field the revision was taken from.
    pub revision_field: String,
}

/// What the sender says the message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    Created,
    Updated,
    /// By REST: created in the states unknown and tombstone, updated in RECEIVED.
    Upsert,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancellationDraft {
    /// Epoch milliseconds; also the revision.
    pub cancelled_at: i64,
    pub country_code: Option<String>,
    pub reason_code: String,
    pub reason: Option<String>,
    pub warnings: Vec<Warning>,
    /// Pointer of the payload's order id.
    pub id_field: String,
}

impl DraftHead {
    /// The order the message speaks of, if its id could be read.
    pub fn order_key(&self) -> Option<OrderKey> {
        Some(OrderKey {
            tenant_id: self.tenant_id.clone(),
            source_key: self.source_key.clone(),
            external_order_id: self.external_order_id.clone()?,
        })
    }

    pub fn service_order_id(&self) -> Option<Uuid> {
        self.order_key().map(|key| key.service_order_id())
    }

    /// Under which the store remembers that the delivery counted, if it names itself.
    pub fn delivery_guard(&self) -> Option<Uuid> {
        let id = self.delivery_id.as_ref()?;
        Some(ids::delivery_guard(&self.tenant_id, &self.source_key, id))
    }

    /// Partition key on [`INTAKE`].
    pub fn partition_key(&self) -> String {
        match self.order_key() {
            Some(key) => key.partition_key(),
            None => ids::unreadable_partition_key(&self.tenant_id, &self.source_key, self.raw_sha256),
        }
    }
}
