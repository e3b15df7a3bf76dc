//! What the store keeps of the lanes that the lane engine runs: decisions by origin with their exact effects, claims of
//! attempts and their answers, where each record that is not done lies, links, delivered values, and records that wait
//! for a link.
//!
//! Source: `docs/lane.md`, "Driving it"; `contracts/canonical-events.md` sections 8 and 9.

pub(super) mod encoding;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::canonical::ids::OrderKey;
use crate::lane::batch::{Answer, Batch, ClaimAnswer, Decision, Failure, Role};
use crate::lane::checkpoint::Checkpoint;
use crate::lane::place::{Seq, Topic};
use crate::log::{Append, Header};
use crate::store::{Error, LaneId, LedgerEntry, PublishedEvent};

/// The part of a [`super::Store`] for lanes of the lane engine.
///
/// Lanes of the engine and the sequencer's share nothing but the table of epochs: a [`LaneId`] belongs to one of them.
pub trait LaneStore: Send + Sync {
    /// Takes the lane over: bumps its epoch under an exclusive lock and returns what is known of it. From then on a
    /// write or an answer with an older epoch is refused, also one already under way.
    ///
    /// On an engine that one process alone can have open, claims of earlier epochs lapse: their owner is dead, or is
    /// this process, whose attempts the caller has waited for.
    fn take_over(&self, lane: &LaneId) -> BoxFuture<'_, Result<Taken, Error>>;

    /// One transaction: checks the epoch, then writes everything in `write`, then answers the claims, in their order.
    /// Durable when it returns. May share a transaction of the engine with other calls; their failures stay apart.
    ///
    /// An origin that has a decision keeps it. A write with the number of the last one is the same write again, after
    /// an answer that was lost: it changes nothing, and its claims are answered again.
    ///
    /// A claim is granted if `(seq, attempt)` has none, or its own epoch has it without an answer, or one that expired;
    /// [`ClaimAnswer::Settled`] if it has an answer; else [`ClaimAnswer::Busy`]. Of a guarded one see
    /// [`ClaimAnswer::Overtaken`]. Expiry goes by the engine's clock: the database's where there is one.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the lane has a newer epoch: nothing was written.
    fn write_batch(&self, write: BatchWrite) -> BoxFuture<'_, Result<Vec<ClaimAnswer>, Error>>;

    /// Writes an attempt's answer down, and in the same transaction what it delivered. [`Answer::TargetFailed`] removes
    /// the claim instead: it was no attempt. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the lane has a newer epoch: nothing was written.
    fn settle(&self, settle: Settle) -> BoxFuture<'_, Result<(), Error>>;

    /// What was decided with copies in `topic` as origin, whose offset is in `from..to`: by offset.
    fn decided_in(&self, lane: &LaneId, topic: Topic, from: i64, to: i64)
    -> BoxFuture<'_, Result<Vec<Decided>, Error>>;

    /// Releases of parked records written with batches above number `after`: by number, then sequence.
    fn released_after(&self, lane: &LaneId, after: u64) -> BoxFuture<'_, Result<Vec<Released>, Error>>;

    /// Those of `seqs` that have ended, with the moves behind the copy they ended with.
    fn ended(&self, lane: &LaneId, seqs: Vec<Seq>) -> BoxFuture<'_, Result<BTreeMap<Seq, u32>, Error>>;

    /// Those of `ids` that are commands of the lane which were executed.
    fn executed(&self, lane: &LaneId, ids: Vec<String>) -> BoxFuture<'_, Result<HashSet<String>, Error>>;

    /// Parked records of the lane that can be released: those whose link is known by now, and those whose deadline is at
    /// or before `now_ms`. By sequence; the first `limit`.
    fn releasable(&self, lane: &LaneId, now_ms: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Parked>, Error>>;

    /// The links of platform ids, in the order of `ids`; `None` for an unknown one. An order this gateway accepted is
    /// known by its `fsm_service_order_id` without a link of its own.
    fn links(&self, ids: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Link>>, Error>>;

    /// The orders of any tenant with that source and external id, at most `limit`.
    fn orders_called(
        &self,
        source_key: &str,
        external_order_id: &str,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Link>, Error>>;

    /// The value delivered last for each of these, in their order.
    fn delivered(&self, of: Vec<DeliveredOf>) -> BoxFuture<'_, Result<Vec<Option<String>>, Error>>;

    /// Keys that are not free, `filter` says which: by the time their head has been waiting, the longest first, then by
    /// lane and key; the first `limit` (at most [`super::recovery::MAX_PAGE`]) behind `after`.
    fn keys(
        &self,
        filter: KeyFilter,
        after: Option<KeyCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<KeyRow>, Error>>;

    /// Outstanding records of one key, by sequence, from `from` on; the first `limit`.
    fn key_records(
        &self,
        lane: &LaneId,
        key: Bytes,
        from: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<OutstandingRow>, Error>>;

    /// Outcomes of commands, in the order of `ids`; `None`: not executed yet, or not known.
    fn command_outcomes(&self, ids: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<CommandOutcomeRow>>, Error>>;
}

/// What the store knows of a lane when it is taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// To be carried by every write.
    pub epoch: u64,
    /// W: first offset of the lane's own topic above all that was decided.
    pub decided: i64,
    /// Number of the last batch written.
    pub number: u64,
    /// P: the checkpoint that was seen confirmed last.
    pub confirmed: Checkpoint,
}

/// One batch of a lane.
#[derive(Debug, Clone)]
pub struct BatchWrite {
    pub lane: LaneId,
    pub epoch: u64,
    /// Epoch milliseconds: of the decisions, and of the claims where the engine has no clock of its own.
    pub now_ms: i64,
    /// Milliseconds from a claim's grant until it expires: the longest attempt and a reserve.
    pub claim_ms: i64,
    pub batch: Batch,
    /// What each decision of the batch appends, in their order; those of a known one are not written.
    pub effects: Vec<Vec<Append>>,
    /// Of the decisions that park.
    pub parked: Vec<Parked>,
    /// Parked records that are so no more.
    pub released: Vec<Released>,
    /// A newer one of an id takes the place of the older.
    pub links: Vec<Link>,
    /// As [`super::LaneWrite::events`].
    pub events: Vec<PublishedEvent>,
    pub ledger: Vec<LedgerEntry>,
}

/// What was decided about one copy of a record, with its exact appends.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    pub decision: Decision,
    pub effects: Vec<Append>,
}

/// The answer of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    pub lane: LaneId,
    pub epoch: u64,
    pub seq: Seq,
    pub attempt: u16,
    pub answer: Answer,
    pub delivered: Option<Delivered>,
    /// The attempt, as a step of the order's journey.
    pub ledger: Vec<LedgerEntry>,
}

/// What deliveries are told apart by: a value equal to the last one of these is not sent again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveredOf {
    pub tenant_id: String,
    /// The binding's name.
    pub target: String,
    pub external_order_id: String,
    /// `status`, `tv_outcome`, `cancellation`, `payment`, `callback`.
    pub kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    pub of: DeliveredOf,
    pub value: String,
    /// Epoch milliseconds.
    pub at: i64,
}

/// What a platform id stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// `fsm_service_order_id`, or another id of the platform for the same order.
    pub platform_id: String,
    pub order: OrderKey,
    /// Empty if it is not known.
    pub country_code: String,
}

/// A record of the lane that waits in the store. Its origin is finished; it blocks no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    pub seq: Seq,
    /// Any of these makes it releasable.
    pub wanted: Vec<String>,
    /// Epoch milliseconds.
    pub expires_at: i64,
    pub key: Bytes,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// A parked record that was released, or ran out.
#[derive(Debug, Clone, PartialEq)]
pub struct Released {
    pub seq: Seq,
    /// Number of the batch it was written with.
    pub batch: u64,
    pub effects: Vec<Append>,
}

/// An outstanding record that lies in a tier or the held topic: the projection of the lanes' moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutstandingRow {
    pub seq: Seq,
    pub key: Bytes,
    pub topic: Topic,
    pub hop: u32,
    pub attempts: u16,
    pub round: u8,
    pub role: Role,
    pub is_passing: bool,
    /// What it failed of last; followers have none.
    pub failure: Option<Failure>,
    /// Epoch milliseconds: since when it is outstanding.
    pub since: i64,
    /// Epoch milliseconds of the last move.
    pub moved_at: i64,
}

/// A key that is not free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    pub lane: LaneId,
    /// The smallest outstanding record of it.
    pub head: OutstandingRow,
    pub records: u64,
    pub last: Seq,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// `None`: of every tenant. A key's tenant is what stands before its first `|`.
    pub tenants: Option<Vec<String>>,
    /// The lanes' topic.
    pub topic: Option<Arc<str>>,
    pub key: Option<Bytes>,
    /// Whether the head is held, or in a tier; `None`: either.
    pub is_held: Option<bool>,
}

/// Where a page of keys ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCursor {
    pub since: i64,
    pub lane: LaneId,
    pub key: Bytes,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutcomeRow {
    pub id: String,
    pub outcome: crate::lane::batch::CommandOutcome,
    /// Epoch milliseconds.
    pub at: i64,
}

impl Link {
    /// The order, as the ledger knows it.
    pub fn order_id(&self) -> Uuid {
        self.order.service_order_id()
    }
}

/// The tenant a key belongs to: what stands before its first `|`.
pub(super) fn tenant_of(key: &[u8]) -> Option<&[u8]> {
    let end = key.iter().position(|byte| *byte == b'|')?;
    key.get(..end)
}

/// The order whose own id `platform_id` is, if it has that form: 36 characters.
pub(super) fn order_id_of(platform_id: &str) -> Option<Uuid> {
    Uuid::try_parse(platform_id).ok().filter(|_| platform_id.len() == 36)
}

/// The country in a canonical order; empty if there is none.
pub(super) fn country_of(canonical: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Order {
        country_code: String,
    }
    serde_json::from_slice(canonical).map_or_else(|_| String::new(), |order: Order| order.country_code)
}
