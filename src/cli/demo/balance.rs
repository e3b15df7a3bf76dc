//! The balance of a gateway: what it took, what became of it and what it published, from its own metrics and topics.
//!
//! Every line says what must equal what. Nothing here knows what was sent, so whoever sent more meanwhile is in it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::canonical::draft::INTAKE;
use crate::canonical::event::{ORDER_CANCELLED, ORDER_FAILED, ORDER_NORMALIZED, ORDER_RECEIVED, ORDER_UPDATED};
use crate::cli::client;
use crate::cli::demo::told::Ink;
use crate::cli::partner::Observer;

/// What the topics of the records for partners begin with.
const OUT: &str = "crossdock.out.";
const TOPICS: [&str; 5] = [ORDER_RECEIVED, ORDER_UPDATED, ORDER_CANCELLED, ORDER_NORMALIZED, ORDER_FAILED];

/// What is on its way is given so long to arrive.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Columns of a list.
const LINE: usize = 98;

/// One look at all of it.
#[derive(Debug, Default)]
pub struct Balance {
    /// Records of the lanes by state; `taken` is the sum of the others.
    lanes: BTreeMap<String, u64>,
    /// The same of the records for partners.
    out: BTreeMap<String, u64>,
    outcomes: BTreeMap<String, u64>,
    events: BTreeMap<&'static str, u64>,
    /// Deliveries the door refused, by class.
    rejections: BTreeMap<String, u64>,
    /// Deliveries the door answered with 202.
    accepted: u64,
    /// Records read from inbound topics.
    read: u64,
    repeated_events: u64,
}

/// Two sums that must be equal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Equation {
    left: (&'static str, u64),
    right: (&'static str, u64),
}

impl Balance {
    /// Looks until it holds, or until it should long hold. `read`: records that were put on inbound topics.
    ///
    /// # Errors
    /// The operations API does not answer.
    pub async fn settled(observer: &Observer, read: u64) -> Result<Self, client::Error> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        loop {
            let balance = Self::look(observer, read).await?;
            if balance.holds() || Instant::now() >= deadline {
                return Ok(balance);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(observer: &Observer, read: u64) -> Result<Self, client::Error> {
        let metrics = observer.metrics().await?;
        let mut balance = Self {
            lanes: metrics.by("crossdock_lane_records", &[("topic", INTAKE)], "state"),
            outcomes: metrics.by("crossdock_outcomes_total", &[], "outcome"),
            rejections: metrics.by("crossdock_rejections_total", &[], "error_code"),
            accepted: metrics.sum("crossdock_door_requests_total", &[("status", "202")]),
            read,
            ..Self::default()
        };
        let topics = metrics.by("crossdock_lane_records", &[], "topic");
        for topic in topics.keys().filter(|topic| topic.starts_with(OUT)) {
            for (state, records) in metrics.by("crossdock_lane_records", &[("topic", topic)], "state") {
                *balance.out.entry(state).or_default() += records;
            }
        }
        for topic in TOPICS {
            let found = observer.events(topic, "").await?;
            balance.events.insert(topic, found.events);
            balance.repeated_events += found.repeated;
        }
        Ok(balance)
    }

    pub fn holds(&self) -> bool {
        self.equations().iter().all(Equation::holds)
    }

    fn equations(&self) -> Vec<Equation> {
        let state = |name: &str| self.lanes.get(name).copied().unwrap_or_default();
        let outcome = |name: &str| self.outcomes.get(name).copied().unwrap_or_default();
        let events = |topic: &str| self.events.get(topic).copied().unwrap_or_default();
        let others = |lanes: &BTreeMap<String, u64>| {
            lanes.iter().filter(|(name, _)| *name != "taken").map(|(_, records)| records).sum()
        };
        let is_stored = |code: &&String| !matches!(code.as_str(), "AUTHENTICATION_FAILED" | "PAYLOAD_TOO_LARGE");
        let refused: u64 = self.rejections.iter().filter(|(code, _)| is_stored(code)).map(|(_, count)| count).sum();
        vec![
            Equation {
                left: ("deliveries stored + records read from topics", self.accepted + refused + self.read),
                right: ("records taken", state("taken")),
            },
            Equation { left: ("records taken", state("taken")), right: ("applied + parked", others(&self.lanes)) },
            Equation {
                left: ("records for partners taken", self.out.get("taken").copied().unwrap_or_default()),
                right: ("applied + held + dead + …", others(&self.out)),
            },
            Equation {
                left: ("accepted + suppressed", outcome("accepted") + outcome("suppressed")),
                right: (
                    "order_received + order_updated + order_cancelled",
                    events(ORDER_RECEIVED) + events(ORDER_UPDATED) + events(ORDER_CANCELLED),
                ),
            },
            Equation {
                left: ("order_received + order_updated", events(ORDER_RECEIVED) + events(ORDER_UPDATED)),
                right: ("order.normalized", events(ORDER_NORMALIZED)),
            },
            Equation { left: ("events published twice", self.repeated_events), right: ("as promised", 0) },
        ]
    }

    pub fn text(&self, ink: Ink) -> String {
        let list = |counts: Vec<(&str, u64)>| {
            let shown = counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}"));
            shown.collect::<Vec<_>>().join(", ")
        };
        let of =
            |counts: &BTreeMap<String, u64>| list(counts.iter().map(|(name, count)| (name.as_str(), *count)).collect());
        let events =
            list(TOPICS.iter().map(|topic| (*topic, self.events.get(topic).copied().unwrap_or_default())).collect());
        let mut text = format!("{}\n", ink.bold("Balance"));
        for (name, line) in [
            ("records", of(&self.lanes)),
            ("for partners", of(&self.out)),
            ("outcomes", of(&self.outcomes)),
            ("events", events.replace("integration.sales.", "")),
            ("rejections", of(&self.rejections)),
        ] {
            text += &format!("  {name:<14}{}\n", wrapped(&line));
        }
        for equation in self.equations() {
            let line = equation.to_string();
            text += &if equation.holds() { format!("  {line}\n") } else { ink.red(&format!("  {line}\n")) };
        }
        text += &if self.holds() { ink.green("  balance holds\n") } else { ink.red("  balance does NOT hold\n") };
        text
    }

    pub fn document(&self) -> Value {
        json!({"balance": {
            "holds": self.holds(),
            "records": self.lanes,
            "records_for_partners": self.out,
            "outcomes": self.outcomes,
            "events": self.events,
            "rejections": self.rejections,
        }})
    }
}

impl Equation {
    fn holds(&self) -> bool {
        self.left.1 == self.right.1
    }
}

impl std::fmt::Display for Equation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ((left, left_count), (right, right_count)) = (self.left, self.right);
        let sign = if self.holds() { '=' } else { '≠' };
        write!(f, "{left_count:>4} {sign} {right_count:<4} {left} {sign} {right}")
    }
}

/// A list cut into lines that fit beside its name.
fn wrapped(list: &str) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for item in list.split_inclusive(", ") {
        if column > 0 && column + item.len() > LINE {
            text.truncate(text.trim_end().len());
            text += "\n                ";
            column = 0;
        }
        column += item.len();
        text += item;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance() -> Balance {
        let map = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Balance {
            lanes: map(&[("taken", 9), ("applied", 8), ("parked", 1)]),
            out: map(&[("taken", 4), ("applied", 2), ("held", 2)]),
            outcomes: map(&[("accepted", 4), ("duplicate", 1), ("parked", 1), ("rejected", 3)]),
            events: [(ORDER_RECEIVED, 2), (ORDER_UPDATED, 1), (ORDER_CANCELLED, 1), (ORDER_NORMALIZED, 3)].into(),
            rejections: map(&[("AUTHENTICATION_FAILED", 5), ("PAYLOAD_TOO_LARGE", 5), ("UNKNOWN_CODE", 3)]),
            accepted: 5,
            read: 1,
            repeated_events: 0,
        }
    }

    #[test]
    fn it_holds_only_if_every_sum_does() {
        assert!(balance().holds(), "{:?}", balance().equations());
        let breaks: [fn(&mut Balance); 7] = [
            |balance| *balance.out.entry("held".to_owned()).or_default() += 1,
            |balance| *balance.lanes.entry("applied".to_owned()).or_default() += 1,
            |balance| balance.accepted += 1,
            |balance| *balance.rejections.entry("UNKNOWN_CODE".to_owned()).or_default() += 1,
            |balance| *balance.outcomes.entry("accepted".to_owned()).or_default() += 1,
            |balance| *balance.events.entry(ORDER_NORMALIZED).or_default() += 1,
            |balance| balance.repeated_events += 1,
        ];
        for (index, spoil) in breaks.into_iter().enumerate() {
            let mut balance = balance();
            spoil(&mut balance);

            assert!(!balance.holds(), "{index}");
            assert!(balance.text(Ink { is_color: false }).contains("NOT hold"), "{index}");
        }
    }
}
