//! The store: order state, decisions by origin with their exact effects, payloads by digest, parked updates,
//! published events, links, the ledger, the failure index and the audit.
//!
//! The log and the store commit apart, the store first. So a decision is written together with the exact bytes it
//! will publish; after a crash between the two commits the lane finds the decision under its origin and publishes
//! the same bytes again, never "duplicate" and never nothing. Every write carries the lane's epoch; an older one
//! is refused under a lock.
//!
//! Two engines stand behind the trait: SQLite (embedded) and PostgreSQL. Every promise made here is one function
//! in [`conformance`], run unchanged on each engine.

pub mod conformance;
pub mod effects;
pub mod jobs;
pub mod lanes;
pub mod postgres;
pub mod recovery;
pub mod sqlite;
mod wire;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::canonical::ids::{OrderKey, Sha256Digest};
use crate::log::Append;
pub use crate::store::jobs::JobStore;
pub use crate::store::lanes::LaneStore;
pub use crate::store::recovery::RecoveryStore;

/// Everything the gateway remembers beside the log.
pub trait Store: RecoveryStore + LaneStore + JobStore + Send + Sync + 'static {
    /// Takes the lane over: bumps its epoch under an exclusive lock and returns what is known of it. From then on
    /// a write with an older epoch is refused, also one already under way.
    fn take_lane(&self, lane: &LaneId) -> BoxFuture<'_, Result<LaneRow, Error>>;

    /// One transaction: checks the epoch, then writes everything in `write`. Durable when it returns. May share a
    /// transaction of the engine with other calls; their failures stay apart.
    ///
    /// An origin that has a decision keeps it. If that holds for every decision of a write that has any, it is the
    /// same write again, after an answer that was lost: it is answered `Ok` and changes nothing.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the lane has a newer epoch: nothing was written.
    fn write(&self, write: LaneWrite) -> BoxFuture<'_, Result<(), Error>>;

    /// States of the orders, in the order of `ids`; `None` for an unknown one. Parked updates come with them,
    /// by ascending revision, then by origin.
    fn orders(&self, ids: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<Option<OrderState>>, Error>>;

    /// Decisions of the lane about records and releases whose `offset` is in `from..to`: by offset, the record before
    /// its releases, those in the order they were written.
    fn decisions(&self, lane: &LaneId, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<Decision>, Error>>;

    /// Decisions of timers of the lane whose timer number is above `after`, by number.
    fn timer_decisions(&self, lane: &LaneId, after: u64) -> BoxFuture<'_, Result<Vec<Decision>, Error>>;

    /// What is due on the lane at `now_ms`, a deadline at that time included: by deadline, then by the offset of the
    /// record that set it; the first `limit` of that order. A lane tells by this order which timers have run.
    fn due(&self, lane: &LaneId, now_ms: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Due>, Error>>;

    /// Those of `ids` that were written as a [`PublishedEvent`], by whatever lane, and are still kept. A lane asks
    /// before the write that would publish them; so each is published once, unless two lanes ask at the same moment.
    fn published_events(&self, ids: Vec<Uuid>) -> BoxFuture<'_, Result<HashSet<Uuid>, Error>>;

    /// The raw payload with that digest, if it is still kept.
    fn payload(&self, digest: Sha256Digest) -> BoxFuture<'_, Result<Option<Bytes>, Error>>;

    /// The journey of one order, oldest first.
    fn ledger(&self, order: Uuid) -> BoxFuture<'_, Result<Vec<LedgerEntry>, Error>>;

    /// Deletes what is past its time: decisions below each lane's border and payloads, published events, ledger rows,
    /// orders and failures older than `keep`; never an order with something parked, never a row of the audit. Bounded
    /// work per call; returns the number of rows deleted (0: nothing is left to do).
    ///
    /// Of the lane engine: below the border decisions, releases, claims and ends, but nothing of a batch that was not
    /// seen confirmed, and neither claim nor end of a record that is outstanding or parked. How a record ended that was
    /// ever dead, the last claim of a key, links and delivered values go by the limit of orders, executed commands by
    /// that of the ledger.
    fn prune(&self, keep: Keep) -> BoxFuture<'_, Result<u64, Error>>;

    /// Orders stored and parked rows waiting, for the metrics.
    fn counts(&self) -> BoxFuture<'_, Result<Counts, Error>>;
}

/// A lane as the store knows it, whoever owns it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId {
    pub topic: Arc<str>,
    pub partition: u32,
}

/// What the store knows of a lane when it is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneRow {
    /// To be carried by every write.
    pub epoch: u64,
    /// Decided up to: next offset without a decision (W).
    pub decided: i64,
    /// The log's commit was seen confirmed up to here (P).
    pub confirmed: i64,
    /// Number of the last timer decided.
    pub timers: u64,
    /// Records by state: taken = applied + parked.
    pub balance: Balance,
}

/// Where every record a lane took now is. `taken` is the sum of the others at every commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    pub taken: u64,
    pub applied: u64,
    pub parked: u64,
}

/// One batch of a lane.
#[derive(Debug, Clone)]
pub struct LaneWrite {
    pub lane: LaneId,
    pub epoch: u64,
    pub decided: i64,
    pub confirmed: i64,
    pub timers: u64,
    pub balance: Balance,
    pub decisions: Vec<Decision>,
    /// Whole new states; the last one wins if an order is named twice.
    pub orders: Vec<OrderState>,
    pub payloads: Vec<Payload>,
    /// Events the decisions publish and no order's state guards, and records of topics they are about. One that is there already stays as it is, with its
    /// first time.
    pub events: Vec<PublishedEvent>,
    pub ledger: Vec<LedgerEntry>,
}

/// What was decided about one origin, and the exact effects.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub origin: Origin,
    pub outcome: Outcome,
    /// To be appended byte for byte, each time the origin is met.
    pub effects: Vec<Append>,
    /// Epoch milliseconds.
    pub decided_at: i64,
}

/// What a decision is about: a record of the lane, or a timer that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A record of the lane's topic.
    Record { offset: i64 },
    /// The update parked at `parked`, released by the creation at `offset`.
    Release { offset: i64, parked: i64 },
    /// The `number`-th timer of the lane (from 1), set when the record at `offset` was parked.
    Timer { number: u64, offset: i64 },
}

/// How a message ended, or that it waits.
///
/// Source: `contracts/canonical-events.md` section 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Accepted,
    Duplicate,
    Stale,
    Parked,
    Suppressed,
    Ignored,
    Rejected,
    /// A tombstone whose order never came.
    Expired,
}

/// The state of one order: what the state table of the contract needs, and the canonical order itself.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderState {
    pub key: OrderKey,
    pub phase: Phase,
    /// Updates that wait for the creation, by ascending revision, then by offset. Only in [`Phase::Unknown`] and
    /// [`Phase::Tombstone`].
    pub parked: Vec<ParkedUpdate>,
    /// Epoch milliseconds of the last change.
    pub changed_at: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Only parked updates are known.
    Unknown,
    Received(Accepted),
    Cancelled(Accepted),
    /// Cancelled before it was created.
    Tombstone(Tombstone),
}

/// An order that was created.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Epoch milliseconds.
    pub revision: i64,
    pub digest: Sha256Digest,
    /// The canonical order as JSON; `status`, `revision` and `updated_at` in it are current.
    pub canonical: Bytes,
    pub transformation_version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Offset of the cancellation in the lane.
    pub offset: i64,
    /// Epoch milliseconds: revision and time of the cancellation.
    pub cancelled_at: i64,
    pub reason_code: String,
    pub reason: Option<String>,
    /// Epoch milliseconds.
    pub expires_at: i64,
}

/// An update that waits for its order's creation.
#[derive(Debug, Clone, PartialEq)]
pub struct ParkedUpdate {
    /// Offset of the update in the lane.
    pub offset: i64,
    pub revision: i64,
    /// Epoch milliseconds.
    pub expires_at: i64,
    /// The record's value, as it stands in the lane's topic.
    pub value: Bytes,
    /// The record's headers that the events made of it carry on.
    pub traceparent: Option<String>,
}

/// A timer that ran out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub order: Uuid,
    pub kind: DueKind,
    /// Offset of the record that set the timer.
    pub offset: i64,
    pub expires_at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DueKind {
    ParkedUpdate,
    Tombstone,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    pub digest: Sha256Digest,
    pub bytes: Bytes,
    /// Epoch milliseconds.
    pub received_at: i64,
}

/// That an event was published, so that it is not published again of another origin. Order events need none: the
/// order's state is their guard. Nothing but the id is kept, whatever the tenant, topic and `event_id`.
///
/// Also that a record of a topic was decided, so that it is not decided again if it is appended to the lane twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedEvent {
    /// As [`crate::canonical::ids::published_event_id`], or `source_id` beside it, derives it.
    pub id: Uuid,
    /// Epoch milliseconds.
    pub published_at: i64,
}

/// One step of an order's journey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The order; for a rejection without a readable id, the nil UUID.
    pub order: Uuid,
    pub lane: LaneId,
    pub origin: Origin,
    /// Epoch milliseconds.
    pub at: i64,
    /// A JSON object: see `sequence::ledger`.
    pub detail: String,
}

/// How long things are kept. Times are epoch milliseconds: what is older goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    pub payloads_since: i64,
    pub events_since: i64,
    pub ledger_since: i64,
    pub orders_since: i64,
    pub failures_since: i64,
    /// By lane, the first origin offset whose decision is kept (the replay window's border). The decision about a
    /// timer goes by [`LaneWrite::decided`] of the write it came with: its record may be a month below the border.
    pub decisions_from: Vec<(LaneId, i64)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub orders: u64,
    pub parked_updates: u64,
    pub tombstones: u64,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("lane `{topic}`/{partition} has epoch {current}, this owner has {own}")]
    Fenced { topic: String, partition: u32, own: u64, current: u64 },
    /// The store cannot be reached or written now; the same call may succeed later.
    #[error("store is unavailable: {reason}")]
    Unavailable { reason: String },
    /// The store's files are damaged or from another version.
    #[error("store `{path}` cannot be used: {reason}")]
    Unusable { path: String, reason: String },
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl OrderState {
    pub fn id(&self) -> Uuid {
        self.key.service_order_id()
    }
}
