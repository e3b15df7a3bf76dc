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
mod tally;
mod timer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::canonical::draft::INTAKE;
use crate::canonical::event;
use crate::clock::Clock;
use crate::config::settings::SequenceSettings;
use crate::log::{self, EventLog, Membership};
use crate::ownership::{Board, Calls, End, Member, Runner};
use crate::schema::Catalogue;
use crate::sequence::engine::Engines;
use crate::sequence::lane::Lane;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

pub use crate::ownership::{LaneStatus, Pace};

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
        let board = Arc::new(Board::new(Arc::clone(&deps.metrics), vec![Arc::from(INTAKE)]));
        let (stop, stopping) = watch::channel(false);
        let member = Member {
            group: GROUP,
            log: Arc::clone(&deps.log),
            membership,
            board: Arc::clone(&board),
            metrics: Arc::clone(&deps.metrics),
            pace: deps.pace,
            stopping,
            runner: Lanes(Arc::new(deps)),
        };
        Ok(Self { board, stop, task: tokio::spawn(member.run()) })
    }

    /// What each lane owned here is doing, by partition.
    pub fn lanes(&self) -> BTreeMap<u32, LaneStatus> {
        self.board.lanes().into_iter().map(|(lane, status)| (lane.partition, status)).collect()
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

/// Runs the lanes of the intake.
struct Lanes(Arc<Deps>);

impl Runner for Lanes {
    fn run(&self, calls: Calls) -> BoxFuture<'static, End> {
        let engines = Engines { deps: Arc::clone(&self.0), calls };
        Box::pin(async move {
            match Lane::start(engines).await {
                Ok(lane) => lane.run().await,
                Err(end) => end,
            }
        })
    }
}
