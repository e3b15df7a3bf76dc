//! What every lane is doing, for readiness and for the metrics that speak of all lanes of a topic together.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::lane::checkpoint::Balance;
use crate::store::LaneId;
use crate::telemetry::metrics::Metrics;

/// What one lane is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneStatus {
    /// Finds out where it goes on.
    Recovering,
    Running,
    /// Repeats a call of the log or the store until it succeeds; nothing is lost meanwhile.
    Waiting {
        reason: String,
    },
    /// Stands still until an operator has decided.
    Refused {
        reason: String,
    },
}

impl fmt::Display for LaneStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recovering => f.write_str("recovering"),
            Self::Running => f.write_str("running"),
            Self::Waiting { reason } => write!(f, "waiting: {reason}"),
            Self::Refused { reason } => write!(f, "refused: {reason}"),
        }
    }
}

/// The lanes of one member, shared by their tasks.
#[derive(Debug)]
pub struct Board {
    metrics: Arc<Metrics>,
    /// The topics whose lanes the member asks for.
    topics: Vec<Arc<str>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    lanes: BTreeMap<LaneId, LaneStatus>,
    balances: BTreeMap<LaneId, Balance>,
    /// Why the group cannot be asked for lanes, if it cannot.
    group: Option<String>,
}

impl Board {
    pub fn new(metrics: Arc<Metrics>, topics: Vec<Arc<str>>) -> Self {
        Self { metrics, topics, seen: Mutex::default() }
    }

    pub fn set(&self, lane: &LaneId, status: LaneStatus) {
        self.export_running(lane, status == LaneStatus::Running);
        self.seen().lanes.insert(lane.clone(), status);
    }

    /// Forgets a lane that is owned no more.
    pub fn remove(&self, lane: &LaneId) {
        let mut seen = self.seen();
        seen.lanes.remove(lane);
        seen.balances.remove(lane);
        self.export_running(lane, false);
        self.export(&seen, &lane.topic);
    }

    pub fn set_balance(&self, lane: &LaneId, balance: Balance) {
        let mut seen = self.seen();
        seen.balances.insert(lane.clone(), balance);
        self.export(&seen, &lane.topic);
    }

    pub fn set_group(&self, problem: Option<String>) {
        self.seen().group = problem;
    }

    pub fn lanes(&self) -> BTreeMap<LaneId, LaneStatus> {
        self.seen().lanes.clone()
    }

    /// Where the records of each lane are, as of its last commit.
    pub fn balances(&self) -> BTreeMap<LaneId, Balance> {
        self.seen().balances.clone()
    }

    /// Every reason why records are not being taken now; empty if they are.
    pub fn problems(&self) -> Vec<String> {
        let seen = self.seen();
        let lanes = seen.lanes.iter().filter(|(_, status)| **status != LaneStatus::Running);
        let mut problems: Vec<_> =
            lanes.map(|(lane, status)| format!("lane {}/{} is {status}", lane.topic, lane.partition)).collect();
        if seen.lanes.is_empty() && !self.topics.is_empty() {
            // A member that owns lanes and cannot ask for more is no problem of any order.
            let none = || format!("no lane of {} is owned", self.topics.join(", "));
            problems.push(seen.group.clone().unwrap_or_else(none));
        }
        problems
    }

    fn export_running(&self, lane: &LaneId, is_running: bool) {
        let gauge = self.metrics.lane_running.with_label_values(&[&*lane.topic, &lane.partition.to_string()]);
        gauge.set(i64::from(is_running));
    }

    fn export(&self, seen: &Seen, topic: &str) {
        let balances = || seen.balances.iter().filter(|(lane, _)| &*lane.topic == topic).map(|(_, balance)| balance);
        self.metrics.set_lane_records(topic, Balance::STATES.map(|(state, of)| (state, balances().map(of).sum())));
    }

    // Every writer leaves the maps whole, so a panic elsewhere does not spoil them.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
