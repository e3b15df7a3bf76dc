//! What every group is doing, for readiness and the metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::reader::paused::{Pause, Place};
use crate::telemetry::metrics::Metrics;

#[derive(Debug)]
pub(super) struct Board {
    metrics: Arc<Metrics>,
    groups: Mutex<BTreeMap<Arc<str>, Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Why the group does not read at all.
    problem: Option<String>,
    /// Partitions that stand still, each with the record it stands at and why.
    paused: BTreeMap<Place, (i64, Pause)>,
    /// Topics that are not there.
    missing: BTreeSet<Arc<str>>,
}

impl Board {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, groups: Mutex::default() }
    }

    /// The group does not read, or reads again.
    pub fn set_problem(&self, group: &Arc<str>, problem: Option<String>) {
        self.groups().entry(Arc::clone(group)).or_default().problem = problem;
    }

    pub fn pause(&self, group: &Arc<str>, place: &Place, at: i64, pause: Pause) {
        let labels = [group, &*place.0, &place.1.to_string()];
        self.metrics.reader_paused.with_label_values(&labels).set(1);
        self.metrics.reader_pauses.with_label_values(&[group, &place.0, pause.cause.as_str()]).inc();
        self.groups().entry(Arc::clone(group)).or_default().paused.insert(place.clone(), (at, pause));
    }

    /// The partition goes on, if it stood still.
    pub fn resume(&self, group: &Arc<str>, place: &Place) {
        let mut groups = self.groups();
        let stood_still = groups.get_mut(group).and_then(|seen| seen.paused.remove(place)).is_some();
        if stood_still {
            self.metrics.reader_paused.with_label_values(&[group, &*place.0, &place.1.to_string()]).set(0);
        }
    }

    pub fn set_missing(&self, group: &Arc<str>, missing: BTreeSet<Arc<str>>) {
        if let Some(seen) = self.groups().get_mut(group) {
            seen.missing = missing;
        }
    }

    /// Forgets a group that is left.
    pub fn remove(&self, group: &Arc<str>) {
        let Some(seen) = self.groups().remove(group) else { return };
        for (topic, partition) in seen.paused.into_keys() {
            self.metrics.reader_paused.with_label_values(&[group, &*topic, &partition.to_string()]).set(0);
        }
    }

    /// Every reason why a group does not read at all.
    pub fn problems(&self) -> Vec<String> {
        let groups = self.groups();
        let problems = groups.iter().filter_map(|(group, seen)| Some((group, seen.problem.as_ref()?)));
        problems.map(|(group, problem)| format!("group {group}: {problem}")).collect()
    }

    /// What stands still or is not there.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for (group, seen) in &*self.groups() {
            for ((topic, partition), (at, pause)) in &seen.paused {
                remarks.push(format!("group {group}: {topic}/{partition} stands still at {at}: {}", pause.reason));
            }
            remarks.extend(seen.missing.iter().map(|topic| format!("group {group}: there is no topic {topic}")));
        }
        remarks
    }

    // Every writer leaves the map whole, so a panic elsewhere does not spoil it.
    fn groups(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Seen>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
