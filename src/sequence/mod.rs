//! The sequencer: puts messages in order and publishes what they mean.
//!
//! Every message, by whatever route it came, is a record of `crossdock.intake` under its order's key. A *lane* is
//! one partition of it, owned by one process at a time. [`decide`] is the order state machine, pure; `batch` runs
//! it over a batch; the lane puts log and store around it: each record is decided once, its effects are written with
//! the decision, and those bytes are published, again after a crash if need be.
//!
//! Absent on purpose: nothing here maps a payload, calls a partner, or retries a message. A message that is no
//! message becomes a dead letter; everything else ends by the table.

mod batch;
pub mod decide;
mod engine;
mod lane;
pub mod ledger;
pub mod message;
pub mod metadata;
mod recovery;
mod settle;
mod source;
mod state;
mod status;
mod tally;
mod timer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::canonical::draft::INTAKE;
use crate::canonical::event;
use crate::clock::Clock;
use crate::config::settings::SequenceSettings;
use crate::log::{self, EventLog, Membership, Ownership};
use crate::schema::Catalogue;
use crate::sequence::engine::{End, Engines};
use crate::sequence::lane::Lane;
use crate::sequence::status::Board;
use crate::store::{LaneId, Store};
use crate::telemetry::metrics::Metrics;

pub use status::LaneStatus;

/// The consumer group that owns the lanes.
pub const GROUP: &str = "crossdock.sequencer";

/// Every topic the sequencer appends to, [`dead_letters`] apart.
pub const PUBLISHED: [&str; 5] =
    [event::ORDER_RECEIVED, event::ORDER_NORMALIZED, event::ORDER_UPDATED, event::ORDER_CANCELLED, event::ORDER_FAILED];

/// Topic of the records of [`INTAKE`] that are no message, as many partitions as it has. Its records may be a little
/// larger: they carry one header more.
pub fn dead_letters() -> String {
    format!("dlq.{INTAKE}")
}

/// What the sequencer works with.
pub struct Deps {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub settings: SequenceSettings,
    /// Lets a lane go on behind offsets that were never decided; each such gap is recorded.
    pub accept_skip: bool,
    pub pace: Pace,
}

/// How often the sequencer looks and asks again.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Longest wait for a record.
    pub poll: Duration,
    /// Time between two looks at timers and lag, by the clock.
    pub check_every: Duration,
    /// First wait after a failed call of an engine; it doubles up to `backoff_cap`.
    pub backoff_first: Duration,
    pub backoff_cap: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            check_every: Duration::from_secs(1),
            backoff_first: Duration::from_millis(50),
            backoff_cap: Duration::from_secs(5),
        }
    }
}

/// The running sequencer: a member of [`GROUP`] with a task for each lane it owns.
#[derive(Debug)]
pub struct Sequencer {
    board: Arc<Board>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Sequencer {
    /// Joins [`GROUP`] on [`INTAKE`]. Lanes come and go from then on; [`Self::problems`] tells when all run.
    ///
    /// # Errors
    /// If the group cannot be joined: [`INTAKE`] is absent, or the log cannot be used.
    pub async fn start(deps: Deps) -> Result<Self, log::Error> {
        let membership: Arc<dyn Membership> = Arc::from(deps.log.join(GROUP, &[INTAKE]).await?);
        let board = Arc::new(Board::new(Arc::clone(&deps.metrics)));
        let (stop, stopping) = watch::channel(false);
        let member =
            Member { deps: Arc::new(deps), membership, board: Arc::clone(&board), stopping, lanes: BTreeMap::new() };
        Ok(Self { board, stop, task: tokio::spawn(member.run()) })
    }

    /// What each lane owned here is doing, by partition.
    pub fn lanes(&self) -> BTreeMap<u32, LaneStatus> {
        self.board.lanes()
    }

    /// Every reason why orders are not being published now; empty if they are.
    pub fn problems(&self) -> Vec<String> {
        self.board.problems()
    }

    /// Finishes the batches under way, commits them and leaves the group.
    pub async fn stop(self) {
        // Nobody listens any more if the task has ended by itself.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "sequencer ended abnormally");
        }
    }
}

/// The member's task: starts a lane's task when it is assigned, stops it when it is revoked.
struct Member {
    deps: Arc<Deps>,
    membership: Arc<dyn Membership>,
    board: Arc<Board>,
    stopping: watch::Receiver<bool>,
    /// By partition.
    lanes: BTreeMap<u32, RunningLane>,
}

struct RunningLane {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Member {
    async fn run(mut self) {
        let mut delay = self.deps.pace.backoff_first;
        while let Some(change) = unless_stopped(&mut self.stopping, self.membership.next()).await {
            match change {
                Ok(Ownership::Assigned(lanes)) => {
                    delay = self.deps.pace.backoff_first;
                    self.board.set_group(None);
                    for lane in lanes {
                        self.stop_lane(lane.partition).await;
                        self.start_lane(lane);
                    }
                }
                Ok(Ownership::Revoked(lanes)) => {
                    for lane in lanes {
                        self.stop_lane(lane.partition).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, group = GROUP, "group cannot be asked for lanes");
                    self.board.set_group(Some(format!("group {GROUP}: {error}")));
                    if unless_stopped(&mut self.stopping, tokio::time::sleep(delay)).await.is_none() {
                        break;
                    }
                    delay = delay.saturating_mul(2).min(self.deps.pace.backoff_cap);
                }
            }
        }
        // All are told before any is waited for: they finish their batches side by side.
        for lane in self.lanes.values() {
            lane.tell_to_stop();
        }
        while let Some(partition) = self.lanes.keys().next().copied() {
            self.stop_lane(partition).await;
        }
    }

    fn start_lane(&mut self, lane: log::Lane) {
        let partition = lane.partition;
        let (stop, stopping) = watch::channel(false);
        let engines = Engines {
            deps: Arc::clone(&self.deps),
            membership: Arc::clone(&self.membership),
            board: Arc::clone(&self.board),
            id: LaneId { topic: Arc::clone(&lane.topic), partition },
            lane,
            stop: stopping,
        };
        self.board.set(partition, LaneStatus::Recovering);
        self.lanes.insert(partition, RunningLane { stop, task: tokio::spawn(run_lane(engines)) });
    }

    /// Stops the lane, if it is here, and waits for its end.
    async fn stop_lane(&mut self, partition: u32) {
        let Some(lane) = self.lanes.remove(&partition) else { return };
        lane.tell_to_stop();
        if let Err(error) = lane.task.await {
            tracing::error!(partition, %error, "lane ended abnormally");
        }
        self.board.remove(partition);
    }
}

impl RunningLane {
    fn tell_to_stop(&self) {
        // A lane that has ended by itself needs no telling.
        let _ = self.stop.send(true);
    }
}

/// `None` once `stop` says so, or has lost its sender: the sequencer's handle was dropped.
async fn unless_stopped<T>(stop: &mut watch::Receiver<bool>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => None,
        value = work => Some(value),
    }
}

/// Runs one lane to its end, which the board then tells.
async fn run_lane(engines: Engines) {
    let board = Arc::clone(&engines.board);
    let LaneId { topic, partition } = engines.id.clone();
    let life = async {
        match Lane::start(engines).await {
            Ok(lane) => lane.run().await,
            Err(end) => end,
        }
    };
    // A defect of ours must show as a lane that does not run, not as one that runs no more and says nothing.
    let end = AssertUnwindSafe(life).catch_unwind().await;
    match end.unwrap_or_else(|_| End::Refused { reason: "lane panicked".to_owned() }) {
        End::Stopped => tracing::info!(%topic, partition, "lane stopped"),
        End::Fenced => {
            tracing::warn!(%topic, partition, "lane is owned by another member, dropped");
            // Until the group tells so, too, and the lane is revoked.
            board.set(partition, LaneStatus::Refused { reason: "another member owns it".to_owned() });
        }
        End::Refused { reason } => {
            tracing::error!(%topic, partition, reason, "lane refused");
            board.set(partition, LaneStatus::Refused { reason });
        }
    }
}

/// An error with its causes. None of those met here repeats a value of an order.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
