//! The settings Kafka should have for a topic, and what is to be done about others.

use std::collections::BTreeMap;

use crate::log::kafka::admin::FRAMING_BYTES;
use crate::topics::{Role, Topic};

/// One setting of one topic, by Kafka's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub setting: &'static str,
    pub value: String,
    pub rule: Rule,
}

/// What is to be done about another value than the expected one. Numbers: `-1` is without bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It is set right.
    Mend,
    /// A lower number is raised; a higher one promises more and stays.
    Raise,
    /// A lower number is raised; a higher one is refused, for this reason.
    OnlyRaise(&'static str),
    /// It is refused, for this reason: setting it right does not undo what it did.
    Refuse(&'static str),
}

/// How a value compares with what is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fits,
    Change,
    Refused(&'static str),
}

/// How many copies have to have a record before it counts as written.
pub const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

const FOREIGN_TIMES: &str =
    "its records have times of their writers' clocks, by which they would be due, or deleted, at the wrong time";
const DELETES_UNREAD: &str = "records nobody has worked off yet would be deleted, and may have been";
const COMPACTED: &str = "compaction keeps one record a key and takes the others, and such a topic cannot be trimmed";
const NOT_COMPACTED: &str = "keys whose last record is gone would be set free";
const WIDER: &str = "records too large for the topics they have to go on to may be in it, and nothing is made smaller";

/// What `topic` should have with `replication` copies of each partition; `None`: unknown.
///
/// Held topics: a key that is set free leaves a tombstone, and a start reads the topic whole; so it is compacted
/// early and in small pieces.
pub fn of(topic: &Topic, replication: Option<u16>) -> Vec<Expected> {
    let expected = |setting, value: &dyn ToString, rule| Expected { setting, value: value.to_string(), rule };
    let retention = topic.retention.map_or(-1, |kept| i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
    let mut all = Vec::with_capacity(12);
    match topic.role {
        Role::Intake | Role::Retry | Role::Control | Role::DeadLetter => {
            all.push(expected("cleanup.policy", &"delete", Rule::Refuse(COMPACTED)));
            all.push(expected("message.timestamp.type", &"LogAppendTime", Rule::Refuse(FOREIGN_TIMES)));
            all.push(expected("retention.ms", &retention, Rule::Refuse(DELETES_UNREAD)));
            all.push(expected("retention.bytes", &-1, Rule::Refuse(DELETES_UNREAD)));
        }
        Role::Held => {
            all.push(expected("cleanup.policy", &"compact", Rule::Refuse(NOT_COMPACTED)));
            all.push(expected("message.timestamp.type", &"LogAppendTime", Rule::Refuse(FOREIGN_TIMES)));
            all.push(expected("segment.ms", &(60 * 60 * 1000), Rule::Mend));
            all.push(expected("segment.bytes", &(64 << 20), Rule::Mend));
            all.push(expected("min.cleanable.dirty.ratio", &0.1, Rule::Mend));
        }
        Role::Published => {
            all.push(expected("cleanup.policy", &"delete", Rule::Refuse(COMPACTED)));
            all.push(expected("message.timestamp.type", &"LogAppendTime", Rule::Mend));
            all.push(expected("retention.ms", &retention, Rule::Raise));
        }
        Role::Foreign { .. } => {
            all.push(expected("cleanup.policy", &"delete", Rule::Refuse(COMPACTED)));
            all.push(expected("retention.ms", &retention, Rule::Raise));
        }
    }
    if let Some(bytes) = topic.max_record_bytes {
        let bytes = bytes.saturating_add(FRAMING_BYTES).min(i32::MAX as usize);
        all.push(expected("max.message.bytes", &bytes, Rule::OnlyRaise(WIDER)));
    }
    if topic.role.is_own() {
        all.push(expected("compression.type", &"snappy", Rule::Mend));
        // A replica that is behind and becomes the leader takes with it what was acknowledged.
        all.push(expected("unclean.leader.election.enable", &false, Rule::Mend));
    }
    // What is accepted is on two brokers; with fewer than three copies that would stop at the loss of one.
    if let Some(copies) = replication {
        all.push(expected(MIN_INSYNC_REPLICAS, &(if copies >= 3 { 2 } else { 1 }), Rule::Raise));
    }
    all
}

/// As the broker is told them.
pub fn values(expected: &[Expected]) -> BTreeMap<String, String> {
    expected.iter().map(|expected| (expected.setting.to_owned(), expected.value.clone())).collect()
}

impl Expected {
    /// `None`: the cluster does not show it.
    pub fn judge(&self, found: Option<&str>) -> Verdict {
        let Some(found) = found.filter(|found| *found != self.value) else {
            return if found.is_some() { Verdict::Fits } else { Verdict::Change };
        };
        let is_higher = || match (found.parse::<i64>(), self.value.parse::<i64>()) {
            (Ok(found), Ok(expected)) => found < 0 || expected >= 0 && found >= expected,
            _ => false,
        };
        match self.rule {
            Rule::Mend => Verdict::Change,
            Rule::Raise if is_higher() => Verdict::Fits,
            Rule::OnlyRaise(reason) if is_higher() => Verdict::Refused(reason),
            Rule::Raise | Rule::OnlyRaise(_) => Verdict::Change,
            Rule::Refuse(reason) => Verdict::Refused(reason),
        }
    }
}
