//! The reader: inbound topics, by the consumer groups of the contracts.
//!
//! A hop, as the door is: each record becomes a draft, or a rejection, and is appended to `crossdock.intake`; then its
//! offset is committed. One task a group. Nothing is decided here and nothing is remembered: what is appended again
//! after a crash carries the place it was read at (`cd-src`), and the sequencer decides that place once.
//!
//! **Order.** The records of one partition are appended in their order, and the next batch of it only once the last one
//! is acknowledged. The partitions of a group go side by side, and wait for nobody: one whose mapping is at fault, or
//! whose schema the registry cannot tell now, stands still at that record, tried again with growing delays and after
//! each reload, while the others go on. No record is ever passed over, and none rejected for a fault of ours.
//!
//! **Memory.** A group holds one poll's records ([`ReaderSettings`]) and what was made of them. Of a partition that
//! stands still it holds a position; it reads from there once it goes on.
//!
//! Absent on purpose: nothing here knows a partner system, and no record waits for the store.
//!
//! Source: `contracts/canonical-events.md` sections 2.1, 2.3, 4, 7 and 8.

mod adapters;
mod board;
mod calls;
mod group;
mod lag;
mod paused;
mod prepare;
mod topic;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::backoff::Policy;
use crate::clock::Clock;
use crate::config::settings::ReaderSettings;
use crate::log::EventLog;
use crate::reader::board::Board;
use crate::reader::group::GroupReader;
use crate::reader::lag::Lag;
use crate::reader::topic::Groups;
use crate::schema::Catalogue;
use crate::telemetry::metrics::Metrics;

pub use topic::{Error, Inbound, InboundTopic, Installation};

/// What the reader works with.
pub struct Deps {
    pub log: Arc<dyn EventLog>,
    pub catalogue: Arc<Catalogue>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// Makes the correlation ids of records that bring none.
    pub new_id: Arc<dyn Fn() -> Uuid + Send + Sync>,
    pub settings: ReaderSettings,
    /// How long a topic is taken to keep a record; half of it unread is an alarm.
    pub retention: Duration,
    pub pace: Pace,
}

/// How often the reader looks and asks again.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Longest wait for a record.
    pub poll: Duration,
    /// Time between two looks at how far behind the groups are.
    pub look_every: Duration,
    /// After failed calls of the log.
    pub log: Policy,
    /// Of a partition that stands still.
    pub paused: Policy,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            poll: seconds(1),
            look_every: seconds(10),
            log: Policy { first: Duration::from_millis(50), most: seconds(5), jitter: 0.2 },
            paused: Policy { first: seconds(1), most: seconds(60), jitter: 0.2 },
        }
    }
}

/// The running reader: a task for each group that is installed.
#[derive(Debug)]
pub struct Reader {
    board: Arc<Board>,
    installed: watch::Sender<Arc<Groups>>,
    stop: watch::Sender<bool>,
    /// Until it is waited for.
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Reader {
    /// A reader of nothing, until [`Self::install`]. Within a runtime.
    pub fn start(deps: Deps) -> Self {
        let deps = Arc::new(deps);
        let board = Arc::new(Board::new(Arc::clone(&deps.metrics)));
        let (installed, groups) = watch::channel(Arc::default());
        let (stop, stopping) = watch::channel(false);
        let supervisor = Supervisor { deps, board: Arc::clone(&board), groups, stopping, running: BTreeMap::new() };
        let task = tokio::sync::Mutex::new(Some(tokio::spawn(supervisor.run())));
        Self { board, installed, stop, task }
    }

    /// Reads the topics of `installation` from now on, and no others: new groups are joined, those without a topic are
    /// left, and a batch under way ends on the routes it began with.
    pub fn install(&self, installation: Installation) {
        self.installed.send_replace(Arc::new(installation.groups));
    }

    /// Every reason why a group does not read at all now; empty if all do.
    pub fn problems(&self) -> Vec<String> {
        self.board.problems()
    }

    /// What stands still, or is not there to be read, while everything else goes on.
    pub fn remarks(&self) -> Vec<String> {
        self.board.remarks()
    }

    /// Appends and commits the batches under way, and leaves the groups.
    pub async fn stop(&self) {
        // Nobody listens any more if the task has ended by itself.
        let _ = self.stop.send(true);
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "reader ended abnormally");
        }
    }
}

/// Starts a task for each group that comes and stops those of the groups that go.
struct Supervisor {
    deps: Arc<Deps>,
    board: Arc<Board>,
    groups: watch::Receiver<Arc<Groups>>,
    stopping: watch::Receiver<bool>,
    running: BTreeMap<Arc<str>, Running>,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Supervisor {
    async fn run(mut self) {
        let (deps, board, groups) = (Arc::clone(&self.deps), Arc::clone(&self.board), self.groups.clone());
        let look = tokio::spawn(Lag { deps, board, groups, stopping: self.stopping.clone() }.run());
        loop {
            let wanted = Arc::clone(&self.groups.borrow_and_update());
            self.stop_all_but(&wanted).await;
            for group in wanted.keys() {
                if !self.running.contains_key(group) {
                    self.start(group);
                }
            }
            tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stop| *stop) => break,
                // The sender goes with the reader's handle: that is a stop as well.
                changed = self.groups.changed() => if changed.is_err() { break },
            }
        }
        self.stop_all_but(&Groups::new()).await;
        // It looks at the same word.
        let _ = look.await;
    }

    fn start(&mut self, group: &Arc<str>) {
        let (stop, stopping) = watch::channel(false);
        let (deps, board) = (Arc::clone(&self.deps), Arc::clone(&self.board));
        let reader = GroupReader::new(Arc::clone(group), deps, board, self.groups.clone(), stopping);
        self.running.insert(Arc::clone(group), Running { stop, task: tokio::spawn(reader.run()) });
    }

    async fn stop_all_but(&mut self, wanted: &Groups) {
        let gone: Vec<_> = self.running.extract_if(.., |group, _| !wanted.contains_key(group)).collect();
        // All are told before any is waited for: they finish their batches side by side.
        for (_, running) in &gone {
            let _ = running.stop.send(true);
        }
        for (group, running) in gone {
            if let Err(error) = running.task.await {
                tracing::error!(%group, %error, "group ended abnormally");
            }
            self.board.remove(&group);
        }
    }
}
