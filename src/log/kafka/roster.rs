//! Which lanes a member owns, as the member itself knows it, and which of them a transaction is about.
//!
//! The broker fences members, not lanes: an offset is accepted from any current member of the group. So a lane is
//! checked here, under the same lock under which the member's identity for the transaction is taken, and a lane that
//! is to be given up is given up only after the transaction that carries it has ended.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::mpsc;

use super::member::GroupContext;
use super::native::transaction::GroupMetadata;
use crate::log::{Error, Lane, OffsetCommit, Ownership};

/// One number for each assignment. It begins with the time in milliseconds: a process has fewer assignments than
/// milliseconds, so the next one begins above it.
static GENERATIONS: LazyLock<AtomicU64> = LazyLock::new(|| {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    AtomicU64::new(u64::try_from(since_epoch.as_millis()).unwrap_or_default())
});

pub struct Roster {
    pub group: String,
    /// Where offsets of topics other than the lanes' own are kept: a group without members.
    pub companion: String,
    consumer: OnceLock<Weak<BaseConsumer<GroupContext>>>,
    state: Mutex<State>,
    /// Told when a transaction has ended.
    left: Condvar,
    changes: mpsc::UnboundedSender<Result<Ownership, Error>>,
}

#[derive(Default)]
struct State {
    held: HashMap<(Arc<str>, u32), Held>,
    /// The consumer is about to be closed and must not be shared any more.
    closed: bool,
}

struct Held {
    generation: u64,
    /// Commits of the transaction under way that carry it.
    in_flight: usize,
    /// It is being given up.
    leaving: bool,
    /// What this member last committed or found committed.
    last: Option<OffsetCommit>,
}

/// Why a commit cannot take part in a transaction now.
#[derive(Debug)]
pub enum Refusal {
    Fenced(Error),
    /// The member is between two generations.
    NotNow,
}

/// The group in which the companion offsets of `group` are kept.
pub fn companion(group: &str) -> String {
    format!("{group}.lanes")
}

impl Roster {
    pub fn new(group: &str, changes: mpsc::UnboundedSender<Result<Ownership, Error>>) -> Self {
        Self {
            group: group.to_owned(),
            companion: companion(group),
            consumer: OnceLock::new(),
            state: Mutex::default(),
            left: Condvar::new(),
            changes,
        }
    }

    /// Said once, before the consumer subscribes.
    pub fn attend(&self, consumer: &Arc<BaseConsumer<GroupContext>>) {
        let _ = self.consumer.set(Arc::downgrade(consumer));
    }

    /// Enters the lanes of commits into a transaction that has produced nothing yet. For each commit whether it may
    /// take part, and the identity under which those that may have to commit their offsets.
    pub fn enter(&self, commits: &[Vec<&Lane>]) -> (Vec<Result<(), Refusal>>, Option<GroupMetadata>) {
        let mut state = self.state();
        let fenced = |lanes: &Vec<&Lane>| lanes.iter().find(|lane| !state.owns(lane)).map(|lane| fenced(lane));
        let refusals: Vec<_> = commits.iter().map(fenced).collect();
        let metadata = if state.closed { None } else { self.identity() };
        let entered = refusals.into_iter().zip(commits).map(|(refusal, lanes)| match refusal {
            Some(error) => Err(Refusal::Fenced(error)),
            None if metadata.is_none() => Err(Refusal::NotNow),
            None => {
                lanes.iter().for_each(|lane| state.count(lane, |in_flight| in_flight + 1));
                Ok(())
            }
        });
        (entered.collect(), metadata)
    }

    /// The transaction that lanes had entered has ended.
    pub fn leave<'a>(&self, lanes: impl IntoIterator<Item = &'a Lane>) {
        let mut state = self.state();
        for lane in lanes {
            state.count(lane, |in_flight| in_flight.saturating_sub(1));
        }
        self.left.notify_all();
    }

    /// What is committed of a lane now.
    pub fn remember(&self, lane: &Lane, committed: OffsetCommit) {
        let mut state = self.state();
        if let Some(held) = state.held.get_mut(&(lane.topic.clone(), lane.partition))
            && held.generation == lane.generation
        {
            held.last = Some(committed);
        }
    }

    /// What was committed of a lane before; `None` if that is not known.
    pub fn last(&self, lane: &Lane) -> Option<OffsetCommit> {
        let state = self.state();
        let held = state.held.get(&(lane.topic.clone(), lane.partition))?;
        held.last.clone().filter(|_| held.generation == lane.generation)
    }

    pub fn assign(&self, partitions: Vec<(Arc<str>, u32)>) {
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        let mut lanes = Vec::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            let held = Held { generation, in_flight: 0, leaving: false, last: None };
            state.held.insert((topic.clone(), partition), held);
            lanes.push(Lane { topic, partition, generation });
        }
        self.tell(lanes, Ownership::Assigned);
    }

    /// Returns when no transaction carries any of the lanes, and none will.
    pub fn revoke(&self, partitions: &[(Arc<str>, u32)]) {
        let mut state = self.state();
        for place in partitions {
            if let Some(held) = state.held.get_mut(place) {
                held.leaving = true;
            }
        }
        let busy = |state: &mut State| {
            partitions.iter().any(|place| state.held.get(place).is_some_and(|held| held.in_flight > 0))
        };
        state = self.left.wait_while(state, busy).unwrap_or_else(PoisonError::into_inner);
        let mut lanes = Vec::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            if let Some(held) = state.held.remove(&(topic.clone(), *partition)) {
                lanes.push(Lane { topic: topic.clone(), partition: *partition, generation: held.generation });
            }
        }
        self.tell(lanes, Ownership::Revoked);
    }

    /// Gives up what is left: a member whose place was taken is not told of its lanes one by one.
    pub fn revoke_all(&self) {
        let mut places: Vec<_> = self.state().held.keys().cloned().collect();
        places.sort();
        self.revoke(&places);
    }

    /// The last that is said: the member is none any more, and will not be one again.
    pub fn end(&self, error: Error) {
        let _ = self.changes.send(Err(error));
    }

    /// From now on nobody else holds a share of the consumer.
    pub fn close(&self) {
        self.state().closed = true;
    }

    /// Taken under the lock of the lanes.
    fn identity(&self) -> Option<GroupMetadata> {
        let consumer = self.consumer.get()?.upgrade()?;
        GroupMetadata::of(consumer.client())
    }

    fn tell(&self, lanes: Vec<Lane>, change: fn(Vec<Lane>) -> Ownership) {
        if !lanes.is_empty() {
            // Fails only when nobody listens any more.
            let _ = self.changes.send(Ok(change(lanes)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn owns(&self, lane: &Lane) -> bool {
        let held = self.held.get(&(lane.topic.clone(), lane.partition));
        held.is_some_and(|held| held.generation == lane.generation && !held.leaving)
    }

    fn count(&mut self, lane: &Lane, change: impl FnOnce(usize) -> usize) {
        if let Some(held) = self.held.get_mut(&(lane.topic.clone(), lane.partition)) {
            held.in_flight = change(held.in_flight);
        }
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster").field("group", &self.group).finish_non_exhaustive()
    }
}

pub fn fenced(lane: &Lane) -> Error {
    Error::Fenced { topic: lane.topic.to_string(), partition: lane.partition }
}
