//! What every lane is doing, for readiness and for the metrics that speak of all lanes together.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::canonical::draft::INTAKE;
use crate::store::Balance;
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
pub(super) struct Board {
    metrics: Arc<Metrics>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    lanes: BTreeMap<u32, LaneStatus>,
    balances: BTreeMap<u32, Balance>,
    /// Why the group cannot be asked for lanes, if it cannot.
    group: Option<String>,
}

impl Board {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, seen: Mutex::default() }
    }

    pub fn set(&self, partition: u32, status: LaneStatus) {
        let running = i64::from(status == LaneStatus::Running);
        self.metrics.lane_running.with_label_values(&[INTAKE, &partition.to_string()]).set(running);
        self.seen().lanes.insert(partition, status);
    }

    /// Forgets a lane that is owned no more.
    pub fn remove(&self, partition: u32) {
        let mut seen = self.seen();
        seen.lanes.remove(&partition);
        seen.balances.remove(&partition);
        self.metrics.lane_running.with_label_values(&[INTAKE, &partition.to_string()]).set(0);
        self.export(&seen);
    }

    pub fn set_balance(&self, partition: u32, balance: Balance) {
        let mut seen = self.seen();
        seen.balances.insert(partition, balance);
        self.export(&seen);
    }

    pub fn set_group(&self, problem: Option<String>) {
        self.seen().group = problem;
    }

    pub fn lanes(&self) -> BTreeMap<u32, LaneStatus> {
        self.seen().lanes.clone()
    }

    /// Every reason why orders are not being published now; empty if they are.
    pub fn problems(&self) -> Vec<String> {
        let seen = self.seen();
        let lanes = seen.lanes.iter().filter(|(_, status)| **status != LaneStatus::Running);
        let mut problems: Vec<_> =
            lanes.map(|(partition, status)| format!("lane {INTAKE}/{partition} is {status}")).collect();
        if seen.lanes.is_empty() {
            // A member that owns lanes and cannot ask for more is no problem of any order.
            problems.push(seen.group.clone().unwrap_or_else(|| format!("no lane of {INTAKE} is owned")));
        }
        problems
    }

    fn export(&self, seen: &Seen) {
        let sum = |of: fn(&Balance) -> u64| seen.balances.values().map(of).sum::<u64>();
        for (state, records) in [
            ("taken", sum(|balance| balance.taken)),
            ("applied", sum(|balance| balance.applied)),
            ("parked", sum(|balance| balance.parked)),
        ] {
            let gauge = self.metrics.lane_records.with_label_values(&[INTAKE, state]);
            gauge.set(i64::try_from(records).unwrap_or(i64::MAX));
        }
    }

    // Every writer leaves the maps whole, so a panic elsewhere does not spoil them.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
