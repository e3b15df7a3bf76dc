//! Counts what a batch decided, for the metrics; exported once the decisions are published.

use std::time::Duration;

use crate::store::Outcome;
use crate::telemetry::metrics::Metrics;

/// Stands for the binding of a record that is no message.
const NO_BINDING: &str = "none";

/// Messages by binding and outcome; the end of a record that waited counts as one more.
#[derive(Debug, Default)]
pub struct Tally(Vec<(String, Outcome, u64)>);

impl Tally {
    /// Counts one message; `binding` is `None` if it is not known.
    pub fn count(&mut self, binding: Option<&str>, outcome: Outcome) {
        let binding = binding.unwrap_or(NO_BINDING);
        match self.0.iter_mut().find(|(of, to, _)| of == binding && *to == outcome) {
            Some((.., number)) => *number += 1,
            None => self.0.push((binding.to_owned(), outcome, 1)),
        }
    }

    /// `took`: from the first record of the batch to the commit of its effects.
    pub fn export(&self, metrics: &Metrics, topic: &str, took: Duration) {
        let messages: u64 = self.0.iter().map(|(.., number)| number).sum();
        let seconds = metrics.kafka_event_processing_seconds.with_label_values(&[topic]);
        let each = took.as_secs_f64() / messages.max(1) as f64;
        (0..messages).for_each(|_| seconds.observe(each));
        for (binding, outcome, number) in &self.0 {
            metrics.outcomes.with_label_values(&[binding.as_str(), name(*outcome)]).inc_by(*number);
            let status = if *outcome == Outcome::Rejected { "error" } else { "success" };
            metrics.kafka_events_processed.with_label_values(&[topic, status]).inc_by(*number);
        }
    }
}

/// As the ledger writes it.
const fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Duplicate => "duplicate",
        Outcome::Stale => "stale",
        Outcome::Parked => "parked",
        Outcome::Suppressed => "suppressed",
        Outcome::Ignored => "ignored",
        Outcome::Rejected => "rejected",
        Outcome::Expired => "expired",
    }
}
