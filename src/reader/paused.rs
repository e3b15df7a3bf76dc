//! Partitions that stand still at a record nothing can be made of now.
//!
//! The group's subscription goes on handing out what follows: that is let go, and read again from the log, by offset,
//! once the record can be mapped. So a partition that stands still for a week costs a position.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Duration, Instant};

use crate::backoff::{Delays, Policy};
use crate::log::Stored;

/// Topic and partition.
pub type Place = (Arc<str>, u32);

/// Why a partition stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    pub cause: Cause,
    /// For operators.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Mapping,
    Registry,
    /// The intake refuses what was made of the record.
    Append,
}

impl Cause {
    /// As the metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mapping => "mapping",
            Self::Registry => "registry",
            Self::Append => "append",
        }
    }
}

/// Those of one group.
#[derive(Debug, Default)]
pub struct Paused {
    partitions: BTreeMap<Place, Position>,
}

#[derive(Debug)]
struct Position {
    /// The record it stands at.
    from: i64,
    /// The subscription hands out records from here on.
    seen: i64,
    delays: Delays,
    due: Instant,
}

impl Paused {
    /// Whether `records`, just handed out, are of a partition that stands still; they are to be let go then.
    pub fn lets_go(&mut self, place: &Place, records: &[Stored]) -> bool {
        let Some(position) = self.partitions.get_mut(place) else { return false };
        if let Some(last) = records.last() {
            position.seen = position.seen.max(last.offset.saturating_add(1));
        }
        true
    }

    /// The partition stands still at `from`; `seen`: the subscription hands out what follows. Tells how long it will be
    /// left alone.
    pub fn stop_at(&mut self, place: Place, from: i64, seen: i64, policy: Policy) -> Duration {
        let new = || Position { from, seen, delays: Delays::new(policy), due: Instant::now() };
        let position = self.partitions.entry(place).or_insert_with(new);
        if from > position.from {
            position.delays.reset();
        }
        position.from = from;
        position.seen = position.seen.max(seen);
        let delay = position.delays.next_delay();
        position.due = Instant::now() + delay;
        delay
    }

    /// The partition has been read up to `next`; `true` if the subscription hands out all that follows.
    pub fn goes_on(&mut self, place: &Place, next: i64) -> bool {
        let Some(position) = self.partitions.get_mut(place) else { return true };
        position.from = next;
        position.delays.reset();
        let is_level = next >= position.seen;
        if is_level {
            self.partitions.remove(place);
        }
        is_level
    }

    /// Partitions to be tried now: where each stands, and where the subscription is.
    pub fn due(&self) -> Vec<(Place, i64, i64)> {
        let now = Instant::now();
        let due = self.partitions.iter().filter(|(_, position)| position.due <= now);
        due.map(|(place, position)| (place.clone(), position.from, position.seen)).collect()
    }

    /// All are to be tried now: the mappings have changed.
    pub fn all_are_due(&mut self) {
        let now = Instant::now();
        for position in self.partitions.values_mut() {
            position.due = now;
            position.delays.reset();
        }
    }

    /// How long until one is to be tried; `None` if none stands still.
    pub fn next_due(&self) -> Option<Duration> {
        let now = Instant::now();
        self.partitions.values().map(|position| position.due.saturating_duration_since(now)).min()
    }

    /// Forgets all of them: a new subscription begins at what is committed.
    pub fn clear(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.partitions).into_keys().collect()
    }
}
