//! Planted faults: rules the lane must not have, and the model must notice.

use crate::lane::index::{Index, KeyState};
use crate::lane::place::{Seq, Topic};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::lane) enum Mutation {
    #[default]
    None,
    /// The first record of a key in a tier is its head if no higher tier has any: sound only while no record is
    /// appended to the same tier again.
    CountsPerTier,
    /// A key is freed when its record's end is decided, not when that is committed.
    FreesAtStage,
    /// A copy is acted on whatever its hop, and whether its record has ended.
    StaleCopies,
    /// A decision found in the store is taken as done: its appends are lost.
    KnownOriginSkipped,
    /// Recovery ends before the control topic is read.
    ControlLast,
    /// Retry topics as frameworks have them: a record is attempted whenever it is due, whatever its key.
    EveryRecordForItself,
}

impl Mutation {
    /// `None`: as it should be.
    pub fn is_head(self, index: &Index, key: &KeyState, seq: Seq) -> Option<bool> {
        match self {
            Self::EveryRecordForItself => Some(true),
            Self::CountsPerTier => {
                let entry = index.get(seq)?;
                let Topic::Tier(_) = entry.topic else { return None };
                let others = || key.seqs.iter().filter(|other| **other != seq).filter_map(|seq| index.get(*seq));
                let is_behind = others().any(|other| match other.topic {
                    Topic::Tier(_) if other.topic == entry.topic => other.place() < entry.place(),
                    Topic::Tier(_) => other.topic > entry.topic,
                    Topic::Held => true,
                    Topic::Source | Topic::Control => false,
                });
                Some(!is_behind && key.running.is_none())
            }
            _ => None,
        }
    }
}
