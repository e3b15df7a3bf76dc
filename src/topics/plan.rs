//! Holds the topics as they should be against those a cluster has. Pure: the same two lists give the same plan.

use std::collections::BTreeMap;
use std::fmt;

use crate::log::kafka::admin::{Cluster, Described};
use crate::topics::Topic;
use crate::topics::expected::{self, Expected, MIN_INSYNC_REPLICAS, Verdict};

/// A topic, what there is of it, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    pub topic: Topic,
    /// Partitions and copies of each; `None`: there is no such topic.
    pub found: Option<(u32, u16)>,
    pub expected: Vec<Expected>,
    /// What `apply` would set right; of a topic of others: what its owner may want to know.
    pub changes: Vec<Difference>,
    /// What nobody sets right but a person.
    pub refusals: Vec<Refusal>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub setting: &'static str,
    pub found: String,
    pub expected: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub difference: Difference,
    pub reason: &'static str,
}

/// What is to be done about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Missing,
    Same,
    Change,
    /// Nothing is done to any topic before a person has settled this.
    Refused,
    /// A topic of others, not as the contracts have it.
    Differs,
}

const FROZEN: &str = "the count is frozen when a topic is made, for the order of each key hangs on it; growth is a new \
                      generation of the topic";
const FEWER_COPIES: &str = "copies are added with Kafka's own `kafka-reassign-partitions`";
const TOO_FEW_BROKERS: &str = "each copy of a partition needs a broker of its own";
const UNWRITABLE: &str = "more copies have to confirm a record than there are, so none is ever accepted";
const HIDDEN: &str = "this user may not see the topic's settings: it needs `DescribeConfigs`";

/// Compares each of `topics` with what `found` has under its name.
pub fn compare(topics: &[Topic], found: &BTreeMap<String, Described>, cluster: Cluster) -> Vec<Comparison> {
    let comparisons = topics.iter().map(|topic| match found.get(&topic.name) {
        Some(described) => existing(topic, described),
        None => missing(topic, cluster),
    });
    comparisons.collect()
}

impl Comparison {
    pub fn state(&self) -> State {
        let is_own = self.topic.role.is_own();
        match self.found {
            _ if !self.refusals.is_empty() && is_own => State::Refused,
            None => State::Missing,
            Some(_) if self.changes.is_empty() && self.refusals.is_empty() => State::Same,
            Some(_) if is_own => State::Change,
            Some(_) => State::Differs,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { setting, found, expected } = &self.difference;
        write!(f, "{setting}: found {found}, expected {expected}: {}", self.reason)
    }
}

fn missing(topic: &Topic, cluster: Cluster) -> Comparison {
    let replication = topic.replication.or(cluster.replication);
    let mut refusals = Vec::new();
    let is_too_many = |copies: &u16| usize::from(*copies) > cluster.brokers && topic.role.is_own();
    if let Some(copies) = replication.filter(is_too_many) {
        let difference = difference("brokers", cluster.brokers, copies);
        refusals.push(Refusal { difference, reason: TOO_FEW_BROKERS });
    }
    let expected = expected::of(topic, replication);
    Comparison { topic: topic.clone(), found: None, expected, changes: Vec::new(), refusals }
}

fn existing(topic: &Topic, described: &Described) -> Comparison {
    let Described { partitions, replication, settings, .. } = described;
    let expected = expected::of(topic, Some(*replication));
    let (mut changes, mut refusals) = (Vec::new(), Vec::new());
    let mut refuse = |difference, reason| refusals.push(Refusal { difference, reason });
    // Topics of others are read whatever their number of partitions.
    if topic.role.is_own() && *partitions != topic.partitions {
        refuse(difference("partitions", partitions, topic.partitions), FROZEN);
    }
    if let Some(copies) = topic.replication.filter(|copies| replication < copies && topic.role.is_own()) {
        refuse(difference("replication", replication, copies), FEWER_COPIES);
    }
    let Some(settings) = settings else {
        refuse(difference("settings", "hidden", "visible"), HIDDEN);
        return Comparison {
            topic: topic.clone(),
            found: Some((*partitions, *replication)),
            expected,
            changes,
            refusals,
        };
    };
    for expected in &expected {
        let found = settings.get(expected.setting).and_then(|setting| setting.value.as_deref());
        let difference = difference(expected.setting, found.unwrap_or("nothing"), &expected.value);
        match expected.judge(found) {
            _ if is_unwritable(expected, found, *replication) => refuse(difference, UNWRITABLE),
            Verdict::Fits => {}
            Verdict::Change => changes.push(difference),
            Verdict::Refused(reason) => refuse(difference, reason),
        }
    }
    Comparison { topic: topic.clone(), found: Some((*partitions, *replication)), expected, changes, refusals }
}

/// Whether more copies have to confirm a record than there are.
fn is_unwritable(expected: &Expected, found: Option<&str>, replication: u16) -> bool {
    let confirm = found.filter(|_| expected.setting == MIN_INSYNC_REPLICAS).and_then(|found| found.parse().ok());
    confirm.is_some_and(|confirm: u16| confirm > replication)
}

fn difference(setting: &'static str, found: impl ToString, expected: impl ToString) -> Difference {
    Difference { setting, found: found.to_string(), expected: expected.to_string() }
}
