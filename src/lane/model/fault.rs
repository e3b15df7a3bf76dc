//! Rules that were found by breaking a lane, broken again on purpose.

use crate::lane::mutation::Mutation;

/// What is planted: in the lane, or in what drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    CountsPerTier,
    FreesAtStage,
    /// Recovery reads to the last stable offset and not to the high watermark.
    LastStableOffset,
    ControlLast,
    KnownOriginSkipped,
    /// A commit uses the group's metadata of the moment, not that of the owner's beginning.
    GroupMetadataReread,
    TwoSources,
    StaleCopies,
    EveryRecordForItself,
}

impl Fault {
    pub fn mutation(self) -> Mutation {
        match self {
            Self::CountsPerTier => Mutation::CountsPerTier,
            Self::FreesAtStage => Mutation::FreesAtStage,
            Self::ControlLast => Mutation::ControlLast,
            Self::KnownOriginSkipped => Mutation::KnownOriginSkipped,
            Self::StaleCopies => Mutation::StaleCopies,
            Self::EveryRecordForItself => Mutation::EveryRecordForItself,
            Self::None | Self::LastStableOffset | Self::GroupMetadataReread | Self::TwoSources => Mutation::None,
        }
    }
}
