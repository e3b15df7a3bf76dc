//! Holds what was sent against what the gateway says of itself: its metrics, and the events on its topics.
//!
//! Expects to be alone: another sender's messages would be in the same metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::canonical::draft::INTAKE;
use crate::cli::client;
use crate::cli::generate::tally::Tally;
use crate::cli::partner::Observer;
use crate::cli::partner::gateway::Metrics;
use crate::sequence::PUBLISHED;

/// Given up when nothing more was decided for so long.
const STILL: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The gateway before the run.
pub struct Before {
    metrics: Metrics,
    /// Events on each topic whose order ids begin with the run's mark: another adapter's run may have had the same seed.
    events: BTreeMap<&'static str, u64>,
    binding: String,
    mark: String,
}

/// What was counted on one side and on the other.
#[derive(Debug, Default)]
pub struct Verified {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    what: String,
    sent: u64,
    found: u64,
}

impl Before {
    /// `mark`: what the order ids of the run begin with.
    ///
    /// # Errors
    /// The operations API does not answer.
    pub async fn look(observer: &Observer, binding: &str, mark: String) -> Result<Self, client::Error> {
        let metrics = observer.metrics().await?;
        let mut events = BTreeMap::new();
        for topic in PUBLISHED {
            events.insert(topic, observer.events(topic, &mark).await?.events);
        }
        Ok(Self { metrics, events, binding: binding.to_owned(), mark })
    }

    /// Waits until the gateway has decided everything of `tally`, or decides no more, and compares. `is_http`: whether
    /// the door answered.
    ///
    /// # Errors
    /// The operations API does not answer.
    pub async fn compare(&self, observer: &Observer, tally: &Tally, is_http: bool) -> Result<Verified, client::Error> {
        let after = self.settled(observer, tally.outcomes.values().sum()).await?;
        let mut verified = Verified::default();
        let binding = [("binding", self.binding.as_str())];
        verified.all("outcome", &tally.outcomes, &self.since(&after, "crossdock_outcomes_total", &binding, "outcome"));
        if is_http {
            let answers = self.since(&after, "crossdock_door_requests_total", &[], "status");
            verified.all("answer", &tally.answers, &answers);
            let rejections = self.since(&after, "crossdock_rejections_total", &[], "error_code");
            verified.all("rejection", &tally.rejections, &rejections);
        }
        let lanes = self.since(&after, "crossdock_lane_records", &[("topic", INTAKE)], "state");
        let taken = lanes.get("taken").copied().unwrap_or_default();
        verified.add("records taken".to_owned(), tally.stored, taken);
        let others = after.by("crossdock_lane_records", &[("topic", INTAKE)], "state");
        let settled = others.iter().filter(|(state, _)| *state != "taken").map(|(_, records)| records).sum();
        verified.add(
            "balance: taken = applied + parked".to_owned(),
            others.get("taken").copied().unwrap_or_default(),
            settled,
        );
        for topic in PUBLISHED {
            let found = observer.events(topic, &self.mark).await?;
            let sent = tally.events.get(topic).copied().unwrap_or_default();
            let before = self.events.get(topic).copied().unwrap_or_default();
            verified.add(format!("events on {topic}"), sent, found.events.saturating_sub(before));
            if found.repeated > 0 {
                verified.add(format!("events twice on {topic}"), 0, found.repeated);
            }
        }
        Ok(verified)
    }

    async fn settled(&self, observer: &Observer, expected: u64) -> Result<Metrics, client::Error> {
        let binding = [("binding", self.binding.as_str())];
        let before = self.metrics.sum("crossdock_outcomes_total", &binding);
        let (mut decided, mut moved) = (0, Instant::now());
        loop {
            let metrics = observer.metrics().await?;
            let now = metrics.sum("crossdock_outcomes_total", &binding).saturating_sub(before);
            if now != decided {
                (decided, moved) = (now, Instant::now());
            }
            if decided >= expected || moved.elapsed() >= STILL {
                return Ok(metrics);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// By `label`, what was added since; what was not is left out.
    fn since(&self, after: &Metrics, name: &str, labels: &[(&str, &str)], label: &str) -> BTreeMap<String, u64> {
        let before = self.metrics.by(name, labels, label);
        let mut added = after.by(name, labels, label);
        for (value, count) in &mut added {
            *count = count.saturating_sub(before.get(value).copied().unwrap_or_default());
        }
        added.retain(|_, count| *count > 0);
        added
    }
}

impl Verified {
    pub fn agrees(&self) -> bool {
        self.lines.iter().all(|line| line.sent == line.found)
    }

    pub fn text(&self) -> String {
        let mut text = format!("\n{:<50} {:>10} {:>10}\n", "verified", "sent", "gateway");
        for line in &self.lines {
            let mark = if line.sent == line.found { "" } else { "  differs" };
            text += &format!("  {:<48} {:>10} {:>10}{mark}\n", line.what, line.sent, line.found);
        }
        let verdict = if self.agrees() {
            "the report, the metrics and the topics agree to the record"
        } else {
            "the report, the metrics and the topics do NOT agree"
        };
        text + verdict + "\n"
    }

    pub fn document(&self) -> Value {
        let line = |line: &Line| json!({"what": line.what, "sent": line.sent, "gateway": line.found});
        json!({"agrees": self.agrees(), "lines": self.lines.iter().map(line).collect::<Vec<_>>()})
    }

    /// Every name of either side.
    fn all(&mut self, what: &str, sent: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) {
        let mut names: Vec<_> = sent.keys().chain(found.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let of = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or_default();
            self.add(format!("{what} {name}"), of(sent), of(found));
        }
    }

    fn add(&mut self, what: String, sent: u64, found: u64) {
        self.lines.push(Line { what, sent, found });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_more_or_less_on_either_side_is_a_difference() {
        let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let sent: BTreeMap<_, _> = counts(&[("accepted", 3), ("stale", 1)]);
        for (found, agrees) in [
            (counts(&[("accepted", 3), ("stale", 1)]), true),
            (counts(&[("accepted", 3)]), false),
            (counts(&[("accepted", 4), ("stale", 1)]), false),
            (counts(&[("accepted", 3), ("stale", 1), ("expired", 1)]), false),
        ] {
            let mut verified = Verified::default();
            verified.all("outcome", &sent, &found);

            assert_eq!(verified.agrees(), agrees, "{found:?}");
            assert_eq!(verified.text().contains("differs"), !agrees);
            assert_eq!(verified.document()["agrees"], agrees);
        }
    }
}
