//! Plays one step: sends it, and asks the gateway what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::canonical::event::ORDER_FAILED;
use crate::cli::client;
use crate::cli::demo::script::{self, Step};
use crate::cli::partner::oracle::{Effect, Order, Way};
use crate::cli::partner::{Answer, Observer, Receiver, Sample, Sender};
use crate::clock::{Clock as _, SystemClock};

/// A decision is made some milliseconds after the answer.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Longer than any machine needs for one.
const DECIDED_WITHIN: Duration = Duration::from_secs(10);

/// The partner systems and the gateway between them.
pub struct Stage {
    pub partners: Vec<Partner>,
    pub observer: Observer,
    pub tenant: String,
    /// Records put on topics.
    pub appended: u64,
    /// Orders by partner and id, as they should stand.
    orders: BTreeMap<(usize, String), Known>,
}

pub struct Partner {
    pub sample: Sample,
    pub sender: Sender,
    /// Is called.
    pub receiver: Receiver,
    /// The binding's name.
    pub binding: String,
    pub source_key: String,
}

#[derive(Default)]
struct Known {
    order: Order,
    /// Steps of its journey seen so far.
    seen: usize,
}

/// What became of a step.
#[derive(Debug)]
pub struct Scored {
    /// What the door said; nothing for a record of a topic.
    pub answer: Option<Result<Answer, String>>,
    /// What the gateway says it decided, and the topics it published to: first of this message, then of those that
    /// waited for it.
    pub decisions: Vec<Decision>,
    /// What came otherwise than the contract has it.
    pub surprise: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub outcome: String,
    pub topics: Vec<String>,
}

impl Stage {
    pub fn new(partners: Vec<Partner>, observer: Observer, tenant: &str) -> Self {
        Self { partners, observer, tenant: tenant.to_owned(), appended: 0, orders: BTreeMap::new() }
    }

    /// Epoch milliseconds.
    pub fn now_ms(&self) -> i64 {
        SystemClock.now_ms()
    }

    /// Whether the gateway reads the first partner's topics.
    ///
    /// # Errors
    /// The operations API does not answer.
    pub async fn has_topics(&self) -> Result<bool, client::Error> {
        match self.partners.first().and_then(|partner| partner.sample.topic_of_updates()) {
            Some(topic) => self.observer.has_topic(topic).await,
            None => Ok(false),
        }
    }

    /// # Errors
    /// The operations API does not answer.
    pub async fn play(&mut self, step: &Step) -> Result<Scored, client::Error> {
        let Some(partner) = self.partners.get(step.partner) else {
            return Ok(Scored { answer: None, decisions: Vec::new(), surprise: Some("no such partner".to_owned()) });
        };
        let delivery = partner.sample.delivery(&step.message);
        let expected = partner.sample.expected(&step.message);
        let answer = match (step.way, &delivery.record) {
            (Way::Topic, Some((topic, key))) => {
                self.observer.append(topic, key, &delivery.body).await?;
                self.appended += 1;
                None
            }
            _ => Some(partner.sender.send(&delivery).await),
        };
        let mut surprise = answer.as_ref().and_then(|answer| expected.difference(answer));
        let decisions = match &expected.problem {
            Some((code, _)) if code.is_published() => self.rejected(&step.message.order_id).await?,
            Some(_) => Vec::new(),
            None => {
                let known = self.orders.entry((step.partner, step.message.order_id.clone())).or_default();
                let effects = known.order.take(step.message.kind, step.way);
                let (from, until) = (known.seen, known.seen + effects.len());
                known.seen = until;
                let id = &step.message.order_id;
                let found = decided(&self.observer, &partner.source_key, &self.tenant, id, from, until).await?;
                let wanted: Vec<_> = effects.iter().map(Decision::from).collect();
                if found != wanted {
                    let name = |decision: &Decision| decision.to_string();
                    let list = |all: &[Decision]| all.iter().map(name).collect::<Vec<_>>().join("; ");
                    surprise = surprise.or(Some(format!("expected {}, found {}", list(&wanted), list(&found))));
                }
                found
            }
        };
        if expected.problem.as_ref().is_some_and(|(code, _)| code.is_published()) && decisions.is_empty() {
            surprise = surprise.or(Some(format!("expected an event on {ORDER_FAILED}, found none")));
        }
        Ok(Scored { answer, decisions, surprise })
    }

    /// A rejection's order may have no readable id: its event is looked for.
    async fn rejected(&self, id: &str) -> Result<Vec<Decision>, client::Error> {
        let deadline = Instant::now() + DECIDED_WITHIN;
        loop {
            if self.observer.events(ORDER_FAILED, id).await?.events > 0 {
                return Ok(vec![Decision { outcome: "rejected".to_owned(), topics: vec![ORDER_FAILED.to_owned()] }]);
            }
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Partner {
    /// Its order of that number.
    pub fn order_id(&self, number: u32) -> String {
        script::order_id(&self.sample.adapter, number)
    }
}

impl From<&Effect> for Decision {
    fn from(effect: &Effect) -> Self {
        let topics = effect.topics.iter().map(|topic| (*topic).to_owned()).collect();
        Self { outcome: effect.outcome.to_owned(), topics }
    }
}

impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.topics.as_slice() {
            [] => f.write_str(&self.outcome),
            topics => write!(f, "{} with {}", self.outcome, topics.join(", ")),
        }
    }
}

/// Steps `from..until` of the order's journey, as far as there are so many in time.
async fn decided(
    observer: &Observer,
    source_key: &str,
    tenant: &str,
    id: &str,
    from: usize,
    until: usize,
) -> Result<Vec<Decision>, client::Error> {
    let deadline = Instant::now() + DECIDED_WITHIN;
    loop {
        let order = observer.order(source_key, tenant, id).await?.unwrap_or_default();
        let journey = order["journey"].as_array().map(Vec::as_slice).unwrap_or_default();
        if journey.len() >= until || Instant::now() >= deadline {
            return Ok(journey.iter().skip(from).map(decision).collect());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn decision(step: &Value) -> Decision {
    let events = step["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let topics = events.iter().filter_map(|event| event["topic"].as_str()).map(str::to_owned).collect();
    Decision { outcome: step["outcome"].as_str().unwrap_or("?").to_owned(), topics }
}
