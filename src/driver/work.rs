//! What a lane does with a record: the seam between the driver and a stage.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::lane::batch::{Answer, Decision, Target};
use crate::lane::place::{Key, Place, Seq};
use crate::log::{Append, Record};
use crate::store::lanes::{Delivered, Link, Parked};
use crate::store::{LaneId, LedgerEntry, Origin};

/// The work of one lane topic: of the courier for one binding, of the translator.
///
/// The driver keeps order, retries, dead letters, held keys and durability; work makes one attempt at one record, and
/// says what a decision means to others. All its lanes share it.
pub trait Work: Send + Sync + 'static {
    /// Whether attempts reach outside. Never changes.
    fn reach(&self) -> Reach;

    /// Makes one attempt. Several run at once, never two of one key in one lane. The future may be dropped: when the
    /// gateway stops, or the lane is lost; what it has told a partner by then is told again by a later attempt.
    ///
    /// What has nothing to do with the record (the partner is away, a store of its own cannot be asked, [`Job::deadline`]
    /// is too near) is [`Answer::TargetFailed`]. A panic is a fault of the lane.
    fn attempt(&self, job: Job) -> BoxFuture<'static, Done>;

    /// What a decision that neither applies nor parks its record appends and says beside the record's copy and its
    /// letter in `dlq.<topic>`, which the driver writes: the formats of the owner for a dead record
    /// ([`Decision::dead_letter`]), the step of the order's journey. Asked before the decision is written to the
    /// store; not asked when it is met again.
    fn decided(&self, decided: &Decided<'_>) -> Said;

    /// Lets a parked record go: what it waited for is known, or its time has run out. `None`: it stays parked, and is
    /// offered again at the next check. Only work inside parks.
    fn release(&self, parked: Parked, is_expired: bool) -> BoxFuture<'static, Option<Said>>;

    /// Whether the target can be called. A lane whose attempt was [`Answer::TargetFailed`] stands still until this
    /// says (at a check at the latest, also if it says what it said before) that it may go on.
    fn target(&self) -> watch::Receiver<Target>;
}

/// How far attempts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// They do nothing but answer, and can be repeated without anyone seeing it. Their answers are not written down
    /// by themselves: all that comes of one stands with the decision.
    Inside,
    /// They change something elsewhere: each is claimed before it begins, and its answer is in the store before
    /// anything is decided. An answer found in the store comes without effects, links, events and waiting: [`Done`] must have none.
    Outside {
        /// Longest time from the beginning of a request to its answer or its end.
        timeout: Duration,
    },
}

/// One attempt at one record.
#[derive(Debug, Clone)]
pub struct Job {
    pub lane: LaneId,
    /// Offset in the lane's own topic. With `lane` the identity of the record, with `attempt` that of the attempt.
    pub seq: Seq,
    pub key: Key,
    /// From 1.
    pub attempt: u16,
    /// The copy that is attempted.
    pub place: Place,
    /// Append time in the lane's own topic, epoch milliseconds.
    pub since: i64,
    /// As it came: key, value and headers, without those of the lane.
    pub record: Record,
    /// The operator's command that gave the record the value it has; `None`: it is the one it came with.
    pub edit: Option<String>,
    /// End of the claim: from then on another owner may be at the record. A request is begun only while the whole
    /// time-out is left; to be checked just before it is written. Work inside has no use for it.
    pub deadline: Instant,
}

/// How an attempt ended, and what comes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    pub answer: Answer,
    /// For [`Answer::Applied`]: appended with the decision.
    pub effects: Vec<Append>,
    /// For [`Answer::Applied`]: written with the decision.
    pub links: Vec<Link>,
    /// For [`Answer::Applied`]: ids of what `effects` publish, as
    /// [`published_event_id`](crate::canonical::ids::published_event_id) derives them, remembered with the decision so
    /// that the same is not published of another record.
    pub events: Vec<Uuid>,
    /// For [`Answer::Parked`], which needs it.
    pub waits: Option<Waits>,
    /// Written with the answer.
    pub delivered: Option<Delivered>,
    /// The attempt as steps of orders' journeys. Written with the answer (outside) or the decision (inside).
    pub ledger: Vec<Entry>,
}

/// What a parked record waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// Platform ids; the link of any of them makes the record releasable.
    pub wanted: Vec<String>,
    /// Epoch milliseconds.
    pub expires_at: i64,
}

/// A step of one order's journey. Lane, origin and time are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The order; the nil UUID if it is not known.
    pub order: Uuid,
    /// A JSON object: see [`crate::sequence::ledger`].
    pub detail: String,
}

/// A record about which something was decided.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    pub lane: &'a LaneId,
    pub decision: &'a Decision,
    /// As it came, or as an operator edited it; without the headers of the lane.
    pub record: &'a Record,
    /// As [`Job::since`].
    pub since: i64,
    /// Epoch milliseconds.
    pub now_ms: i64,
}

/// What is appended and written down with a decision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    pub effects: Vec<Append>,
    pub links: Vec<Link>,
    /// As [`Done::events`].
    pub events: Vec<Uuid>,
    pub ledger: Vec<Entry>,
}

impl Done {
    /// An answer of which nothing comes.
    pub fn of(answer: Answer) -> Self {
        let (effects, links, events, ledger) = Default::default();
        Self { answer, effects, links, events, waits: None, delivered: None, ledger }
    }
}

/// The rows of the ledger that `entries` are, of the record at `seq`.
pub(super) fn rows(entries: Vec<Entry>, lane: &LaneId, seq: Seq, at: i64) -> Vec<LedgerEntry> {
    let origin = Origin::Record { offset: seq };
    let row = |Entry { order, detail }| LedgerEntry { order, lane: lane.clone(), origin, at, detail };
    entries.into_iter().map(row).collect()
}
