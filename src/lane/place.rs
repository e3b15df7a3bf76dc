//! Where a record of a lane lies: its own topic, a retry tier, the held or the control topic.

use std::fmt;
use std::sync::Arc;

/// The order of a record in its lane: its offset in the lane's own topic. Kept through every move.
pub type Seq = i64;

/// What a topic is to its lane. All of them have the lane's partition number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Operators' commands. First, as recovery reads it before the others.
    Control,
    /// Records whose key waits for an operator or a second round; compacted by key and [`Seq`].
    Held,
    /// Retry topics, numbered as in [`crate::lane::Policy::tiers`].
    Tier(u8),
    /// The lane's own.
    Source,
}

/// One copy of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub topic: Topic,
    pub offset: i64,
}

/// What the order of records hangs on. Never empty: a record without a key cannot enter a lane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// `None` if `bytes` is empty.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() { None } else { Some(Self(Arc::from(bytes))) }
    }

    /// Of a record that has none: nobody else has this one.
    pub fn of_place(topic: &str, partition: u32, offset: i64) -> Self {
        Self(Arc::from(format!("{topic}/{partition}/{offset}").into_bytes()))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Place {
    pub fn new(topic: Topic, offset: i64) -> Self {
        Self { topic, offset }
    }
}

impl Topic {
    /// The topic that is shown as `name`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "control" => Some(Self::Control),
            "held" => Some(Self::Held),
            "source" => Some(Self::Source),
            _ => {
                let number: u16 = name.strip_prefix("retry.")?.parse().ok()?;
                Some(Self::Tier(u8::try_from(number.checked_sub(1)?).ok()?))
            }
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control => f.write_str("control"),
            Self::Held => f.write_str("held"),
            Self::Tier(number) => write!(f, "retry.{}", u16::from(*number) + 1),
            Self::Source => f.write_str("source"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.topic, self.offset)
    }
}
