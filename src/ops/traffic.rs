//! What each binding's adapter did lately, told from the counters: whether it is silent, works, or refuses much.
//!
//! A gateway knows what its own lanes decided since it started; of several gateways each tells its part.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector as _;

use crate::telemetry::metrics::Metrics;

/// What is called lately.
pub const WINDOW_MS: i64 = 300_000;
/// Time between two looks: the times told are exact to this.
const STEP_MS: i64 = 5_000;
/// Fewer messages say nothing about an adapter.
const ENOUGH: u64 = 5;

/// Counts of messages by binding. Cheap to ask.
pub struct Traffic {
    metrics: Arc<Metrics>,
    looks: Mutex<Looks>,
}

#[derive(Default)]
struct Looks {
    last_ms: Option<i64>,
    by_binding: BTreeMap<String, Series>,
}

/// Totals since the start, one a look, those of the window and the one before.
#[derive(Default)]
struct Series {
    looks: VecDeque<(i64, Totals)>,
    last_message_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Totals {
    accepted: u64,
    rejected: u64,
}

/// What a binding's adapter did in the last [`WINDOW_MS`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    /// Messages that ended as anything but a rejection.
    pub accepted: u64,
    pub rejected: u64,
    /// Epoch milliseconds; `None`: none since this gateway started.
    pub last_message_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing came lately. Whether something should have, the gateway does not know.
    Idle,
    Ok,
    /// At least five messages came and at least half of them were refused.
    Degraded,
}

impl Traffic {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, looks: Mutex::default() }
    }

    /// Looks at the counters, if the last look is long enough ago.
    pub fn look(&self, now_ms: i64) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.last_ms.is_some_and(|last| (0..STEP_MS).contains(&now_ms.saturating_sub(last))) {
            return;
        }
        looks.last_ms = Some(now_ms);
        for (binding, totals) in self.totals() {
            looks.by_binding.entry(binding).or_default().add(now_ms, totals);
        }
    }

    /// What `binding`'s adapter did, as far as the last look saw.
    pub fn recent(&self, binding: &str) -> Recent {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.by_binding.get(binding).map(Series::recent).unwrap_or_default()
    }

    fn totals(&self) -> BTreeMap<String, Totals> {
        let mut totals = BTreeMap::<String, Totals>::new();
        for family in self.metrics.outcomes.collect() {
            for metric in family.get_metric() {
                let label = |name: &str| metric.get_label().iter().find(|label| label.name() == name);
                let (Some(binding), Some(outcome)) = (label("binding"), label("outcome")) else { continue };
                let count = metric.get_counter().get_value() as u64;
                let totals = totals.entry(binding.value().to_owned()).or_default();
                match outcome.value() {
                    "rejected" => totals.rejected += count,
                    _ => totals.accepted += count,
                }
            }
        }
        totals
    }
}

impl Series {
    fn add(&mut self, now_ms: i64, totals: Totals) {
        let before = self.looks.back().map(|(_, totals)| *totals).unwrap_or_default();
        if totals != before {
            self.last_message_ms = Some(now_ms);
        }
        if self.looks.is_empty() {
            self.looks.push_back((now_ms, Totals::default())); // nothing was counted before the first look
        }
        self.looks.push_back((now_ms, totals));
        while self.looks.get(1).is_some_and(|(at, _)| now_ms.saturating_sub(*at) >= WINDOW_MS) {
            self.looks.pop_front();
        }
    }

    fn recent(&self) -> Recent {
        let (Some((_, first)), Some((_, last))) = (self.looks.front(), self.looks.back()) else {
            return Recent::default();
        };
        Recent {
            accepted: last.accepted.saturating_sub(first.accepted),
            rejected: last.rejected.saturating_sub(first.rejected),
            last_message_ms: self.last_message_ms,
        }
    }
}

impl Recent {
    pub fn condition(&self) -> Condition {
        let messages = self.accepted + self.rejected;
        match messages {
            0 => Condition::Idle,
            _ if messages >= ENOUGH && self.rejected * 2 >= messages => Condition::Degraded,
            _ => Condition::Ok,
        }
    }
}

impl Condition {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ok => "ok",
            Self::Degraded => "degraded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_five_minutes_count() {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let traffic = Traffic::new(Arc::clone(&metrics));
        let count = |outcome: &str, by| metrics.outcomes.with_label_values(&["pyxis-north", outcome]).inc_by(by);
        assert_eq!(traffic.recent("pyxis-north"), Recent::default());

        count("rejected", 5);
        traffic.look(0);
        count("accepted", 2);
        count("duplicate", 1);
        traffic.look(STEP_MS - 1); // too early
        assert_eq!(traffic.recent("pyxis-north"), Recent { accepted: 0, rejected: 5, last_message_ms: Some(0) });
        traffic.look(STEP_MS);
        let last_message_ms = Some(STEP_MS);
        assert_eq!(traffic.recent("pyxis-north"), Recent { accepted: 3, rejected: 5, last_message_ms });

        for step in 2..=60 {
            traffic.look(step * STEP_MS);
        }
        assert_eq!(traffic.recent("pyxis-north"), Recent { accepted: 3, rejected: 0, last_message_ms });
        traffic.look(61 * STEP_MS);
        assert_eq!(traffic.recent("pyxis-north"), Recent { accepted: 0, rejected: 0, last_message_ms });
        assert_eq!(traffic.recent("tempo-north"), Recent::default());
    }

    #[test]
    fn an_adapter_is_degraded_when_half_of_enough_is_refused() {
        for (accepted, rejected, expected) in [
            (0, 0, Condition::Idle),
            (0, 1, Condition::Ok),
            (0, 4, Condition::Ok),
            (0, 5, Condition::Degraded),
            (3, 2, Condition::Ok),
            (5, 5, Condition::Degraded),
            (100, 99, Condition::Ok),
        ] {
            let recent = Recent { accepted, rejected, last_message_ms: None };

            assert_eq!(recent.condition(), expected, "{accepted} accepted, {rejected} rejected");
        }
    }
}
