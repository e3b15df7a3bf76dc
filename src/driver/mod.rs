//! Runs lanes of the lane engine over log and store.
//!
//! [`crate::lane`] decides; a [`Stage`] says what a record is to do; the driver reads, writes, attempts and tells the
//! time, in the order of `docs/lane.md`, "Driving it". It knows neither HTTP, nor the platform's events, nor which
//! engines run.

mod attempts;
mod durable;
mod owner;
mod payloads;
mod reading;
mod releases;
mod takeover;
pub mod topics;
mod work;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::driver::owner::Owner;
use crate::lane::Policy;
use crate::lane::checkpoint::Balance;
use crate::log::{self, EventLog, Membership};
use crate::ownership::{Board, Calls, End, LaneStatus, Member, Pace, Runner};
use crate::store::{LaneId, LaneStore};
use crate::telemetry::metrics::Metrics;

pub use topics::Topics;
pub use work::{Decided, Done, Entry, Job, Reach, Said, Waits, Work};

/// The consumer group that owns the lanes of every stage.
pub const GROUP: &str = "crossdock.lanes";

/// A lane topic and what its records are to do.
#[derive(Clone)]
pub struct Stage {
    /// The lanes' own topic.
    pub topic: Arc<str>,
    /// [`Policy::tiers`] as configured, none retired: those found in the log are added.
    pub policy: Policy,
    pub work: Arc<dyn Work>,
}

/// What the driver works with.
pub struct Deps {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn LaneStore>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub pace: Pace,
    /// Lets a lane go on behind offsets that were never decided, or what the store has lost of some.
    pub accept_skip: bool,
    /// How long attempts under way may go on when a lane stops.
    pub drain: Duration,
    /// Changes whenever links were written, by whomever in this process: parked records are looked at then.
    pub learned: watch::Sender<u64>,
}

/// The running lanes: a member of [`GROUP`] with a task for each lane it owns.
pub struct Driver {
    board: Arc<Board>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Driver {
    /// Joins [`GROUP`] on the topics of `stages`, each given once. Lanes come and go from then on; [`Self::problems`]
    /// tells when all run. Other stages need another driver: this one is stopped first.
    ///
    /// # Errors
    /// If the group cannot be joined: a topic is absent, or the log cannot be used.
    pub async fn start(deps: Deps, stages: Vec<Stage>) -> Result<Self, log::Error> {
        let topics: Vec<_> = stages.iter().map(|stage| Arc::clone(&stage.topic)).collect();
        let names: Vec<_> = topics.iter().map(|topic| &**topic).collect();
        let membership: Arc<dyn Membership> = Arc::from(deps.log.join(GROUP, &names).await?);
        let board = Arc::new(Board::new(Arc::clone(&deps.metrics), topics));
        let (stop, stopping) = watch::channel(false);
        let stages = stages.into_iter().map(|stage| (Arc::clone(&stage.topic), Arc::new(stage))).collect();
        let member = Member {
            group: GROUP,
            log: Arc::clone(&deps.log),
            membership,
            board: Arc::clone(&board),
            metrics: Arc::clone(&deps.metrics),
            pace: deps.pace,
            stopping,
            runner: Lanes { deps: Arc::new(deps), stages },
        };
        Ok(Self { board, stop, task: tokio::spawn(member.run()) })
    }

    /// What each lane owned here is doing.
    pub fn lanes(&self) -> BTreeMap<LaneId, LaneStatus> {
        self.board.lanes()
    }

    /// Where the records of each lane owned here are, as of its last commit.
    pub fn balances(&self) -> BTreeMap<LaneId, Balance> {
        self.board.balances()
    }

    /// Every reason why a lane does not run; empty if all do.
    pub fn problems(&self) -> Vec<String> {
        self.board.problems()
    }

    /// Lets attempts end, makes durable what they decided, and leaves the group.
    pub async fn stop(self) {
        // Nobody listens any more if the task has ended by itself.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "driver ended abnormally");
        }
    }
}

/// Runs the lanes of all stages.
struct Lanes {
    deps: Arc<Deps>,
    stages: BTreeMap<Arc<str>, Arc<Stage>>,
}

impl Runner for Lanes {
    fn run(&self, calls: Calls) -> BoxFuture<'static, End> {
        let (deps, stage) = (Arc::clone(&self.deps), self.stages.get(&calls.id.topic).cloned());
        Box::pin(async move {
            let Some(stage) = stage else {
                return End::Refused { reason: "no stage has this topic".to_owned() };
            };
            match Owner::take_over(deps, stage, calls).await {
                Ok(owner) => owner.run().await,
                Err(end) => end,
            }
        })
    }
}
