//! What was sent and what came back, added up.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cli::generate::plan::Planned;
use crate::cli::partner::Answer;

/// Examples kept of what came otherwise.
const EXAMPLES: usize = 20;

/// Counts of one sender, or of all of them.
#[derive(Debug, Default)]
pub struct Tally {
    pub sent: u64,
    /// Sent later than planned because the one before it was not answered yet.
    pub late: u64,
    /// By status; `none` where no answer came.
    pub answers: BTreeMap<String, u64>,
    pub differences: u64,
    pub examples: Vec<String>,
    /// From the planned time to the answer, in microseconds.
    pub latencies_us: Vec<u32>,
    /// What the messages must come to: outcomes, events by topic, classes of rejections, records in the log.
    pub outcomes: BTreeMap<String, u64>,
    pub events: BTreeMap<String, u64>,
    pub rejections: BTreeMap<String, u64>,
    pub stored: u64,
}

impl Tally {
    /// Counts one message and its answer.
    pub fn count(&mut self, planned: &Planned, answer: &Result<Answer, String>, took: Duration, was_late: bool) {
        self.sent += 1;
        self.late += u64::from(was_late);
        let status = answer.as_ref().map_or("none".to_owned(), |answer| answer.status.to_string());
        *self.answers.entry(status).or_default() += 1;
        self.latencies_us.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        if let Some(difference) = planned.expected.difference(answer) {
            self.differences += 1;
            if self.examples.len() < EXAMPLES {
                self.examples.push(format!("{} {:?}: {difference}", planned.message.order_id, planned.message.kind));
            }
        }
        self.stored += u64::from(!planned.effects.is_empty());
        for effect in &planned.effects {
            *self.outcomes.entry(effect.outcome.to_owned()).or_default() += 1;
            for topic in effect.topics {
                *self.events.entry((*topic).to_owned()).or_default() += 1;
            }
        }
        if let Some((code, _)) = &planned.expected.problem {
            *self.rejections.entry(code.to_string()).or_default() += 1;
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.sent += other.sent;
        self.late += other.late;
        self.differences += other.differences;
        self.stored += other.stored;
        self.latencies_us.extend(other.latencies_us);
        let room = EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
        for (mine, others) in [
            (&mut self.answers, other.answers),
            (&mut self.outcomes, other.outcomes),
            (&mut self.events, other.events),
            (&mut self.rejections, other.rejections),
        ] {
            for (name, count) in others {
                *mine.entry(name).or_default() += count;
            }
        }
    }

    /// The latency that this part of the messages (0 to 1) did not exceed, in milliseconds; nothing was sent: 0.
    pub fn latency_ms(&mut self, part: f64) -> f64 {
        self.latencies_us.sort_unstable();
        let last = self.latencies_us.len().saturating_sub(1);
        let index = (part * last as f64).round() as usize;
        self.latencies_us.get(index).map_or(0.0, |latency_us| f64::from(*latency_us) / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_messages_is_answered_within_its_latency() {
        let mut tally = Tally { latencies_us: (1..=101).rev().map(|n| n * 1000).collect(), ..Tally::default() };

        for (part, expected) in [(0.0, 1.0), (0.5, 51.0), (0.99, 100.0), (1.0, 101.0)] {
            assert_eq!(tally.latency_ms(part), expected, "{part}");
        }
        assert_eq!(Tally::default().latency_ms(0.5), 0.0);
    }
}
