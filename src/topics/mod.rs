//! The topics this gateway has to do with, as data: the one place that knows their names, sizes and times.
//!
//! The embedded log makes its topics from [`own`] at start. For Kafka [`plan`] holds the same list against the cluster,
//! and [`apply`] does what the plan says; a start makes what is missing and changes nothing that is there. Topics of
//! others ([`foreign()`]) are only compared; they belong to those who write them.
//!
//! Absent on purpose: nothing here deletes a topic, shortens what it keeps, or changes a count of partitions.

pub mod apply;
pub mod expected;
pub mod foreign;
pub mod plan;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::canonical::draft::INTAKE;
use crate::canonical::event::{FAILED_EVENTS, STATUS_FAILED};
use crate::config::settings::{LogEngine, LogSettings};
use crate::driver::Topics as LaneTopics;
use crate::log::TopicSpec;
use crate::{sequence, translate};

/// A draft carries the payload (up to 10 MiB) and the canonical order made of it.
const INTAKE_RECORD_BYTES: usize = 16 << 20;
/// What a record may grow by on its way: the headers that say where it came from and why.
const HEADROOM_BYTES: usize = 64 << 10;
/// Events stay below 1 MB (seed 002): they carry projections, and large payloads by reference.
const EVENT_RECORD_BYTES: usize = 1 << 20;

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub role: Role,
    pub partitions: u32,
    /// Copies of each partition; `None`: the cluster's default.
    pub replication: Option<u16>,
    /// Key, value and headers of one record together; `None`: as its owner sees fit.
    pub max_record_bytes: Option<usize>,
    /// `None`: kept until trimmed behind what was committed.
    pub retention: Option<Duration>,
}

/// What a topic is for; its settings follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A lane's own: each record waits for its turn.
    Intake,
    /// Failed records on their way back to their lane.
    Retry,
    /// Records whose key waits for an operator or a second round; compacted, a copy a record.
    Held,
    /// Operators' commands to a lane.
    Control,
    /// Records a lane has given up, for operators.
    DeadLetter,
    /// Events for the platform.
    Published,
    /// Written by others; this group is to read it.
    Foreign { group: &'static str },
}

impl Role {
    pub fn is_own(self) -> bool {
        !matches!(self, Self::Foreign { .. })
    }

    /// As machines read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Retry => "retry",
            Self::Held => "held",
            Self::Control => "control",
            Self::DeadLetter => "dead_letter",
            Self::Published => "published",
            Self::Foreign { .. } => "foreign",
        }
    }
}

impl Topic {
    pub fn new(name: impl Into<String>, role: Role, settings: &LogSettings) -> Self {
        let (max_record_bytes, retention) = match role {
            Role::Intake => (Some(INTAKE_RECORD_BYTES), None),
            Role::Retry | Role::Held | Role::Control | Role::DeadLetter => {
                (Some(INTAKE_RECORD_BYTES + HEADROOM_BYTES), None)
            }
            Role::Published => (Some(EVENT_RECORD_BYTES), Some(settings.retention)),
            Role::Foreign { .. } => (None, Some(settings.retention)),
        };
        let replication = match &settings.engine {
            LogEngine::Sqlite => None,
            LogEngine::Kafka(kafka) => kafka.replication_factor,
        };
        Self { name: name.into(), role, partitions: settings.partitions, replication, max_record_bytes, retention }
    }

    /// As any event log makes it.
    pub fn spec(&self) -> TopicSpec {
        TopicSpec {
            name: self.name.clone(),
            partitions: self.partitions,
            max_record_bytes: self.max_record_bytes.unwrap_or(usize::MAX),
            retention: self.retention,
        }
    }
}

/// Every topic that must exist before the door opens: those this gateway alone writes. `lanes`: the lanes' topics beside
/// the intake.
pub fn own<'a>(settings: &LogSettings, lanes: impl IntoIterator<Item = &'a LaneTopics>) -> Vec<Topic> {
    let mut topics = vec![
        Topic::new(INTAKE, Role::Intake, settings),
        Topic::new(sequence::dead_letters(), Role::DeadLetter, settings),
    ];
    let published = sequence::PUBLISHED.into_iter().chain([STATUS_FAILED]);
    topics.extend(published.map(|name| Topic::new(name, Role::Published, settings)));
    topics.extend(of_lanes(settings, lanes));
    topics
}

/// The topics of `lanes` alone.
pub fn of_lanes<'a>(settings: &LogSettings, lanes: impl IntoIterator<Item = &'a LaneTopics>) -> Vec<Topic> {
    let all = lanes.into_iter().flat_map(LaneTopics::all);
    all.map(|(name, role)| Topic::new(&*name, role, settings)).collect()
}

/// Topics this gateway writes as others do: it makes them where they are missing, and leaves them as they are.
pub fn shared(settings: &LogSettings) -> Vec<Topic> {
    let names = translate::PUBLISHED.into_iter().chain([FAILED_EVENTS]);
    names.map(|name| Topic::new(name, Role::Published, settings)).collect()
}

/// Every topic of others that the contracts let this gateway read.
pub fn foreign(settings: &LogSettings) -> Vec<Topic> {
    let own = own(settings, []);
    let others = foreign::READ.iter().filter(|(name, _)| own.iter().all(|topic| topic.name != *name));
    others.map(|(name, group)| Topic::new(*name, Role::Foreign { group }, settings)).collect()
}

/// A topic that a binding reads, as the embedded log makes it: there its writers are this gateway's own operators.
pub fn inbound(name: &str, settings: &LogSettings) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        partitions: settings.partitions,
        max_record_bytes: usize::MAX,
        retention: Some(settings.retention),
    }
}
