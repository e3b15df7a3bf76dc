//! From which checkpoint a new owner goes on.
//!
//! Three facts decide: what the log has committed (C), what the store has decided (W) and what the store saw confirmed
//! (P).
//!
//! | committed offsets | the lane |
//! |---|---|
//! | ours, all of them | goes on from C; what the store has decided beyond C is appended again, as recorded |
//! | ours, with a higher number than the store's | the store is behind: C holds all the same, and the stage reads the lane's own topic again from P to restore its state, without effects |
//! | one foreign or missing | goes on from P in every topic; what the store has decided beyond P is appended again |
//! | foreign, beyond W | a gap: nobody decided about what is skipped, and an operator has to accept that |
//!
//! P is at most one commit behind C. So a foreign offset costs at most one commit's appends, written twice: the second
//! copy of a record in a tier is recognized by its hop, or by the end of the record that the store knows.
//!
//! Source: `research/stream-engines.md` section 2.13, rule 11.

use std::collections::BTreeMap;

use crate::lane::checkpoint::Checkpoint;
use crate::lane::marks::{self, Finished};
use crate::lane::place::Topic;
use crate::log::{Bounds, Committed};

/// What log and store know of a lane when it is taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Of the control topic, the tiers and the lane's own topic, as committed.
    pub committed: BTreeMap<Topic, Committed>,
    /// W: first offset of the lane's own topic above all that the store has decided.
    pub decided: i64,
    /// Number of the last batch in the store.
    pub number: u64,
    /// P.
    pub confirmed: Checkpoint,
}

/// Where a lane goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub checkpoint: Checkpoint,
    /// Number of the last batch, in the log or the store.
    pub number: u64,
    /// The store is behind: records of the lane's own topic from here on that the checkpoint has as finished are to be
    /// shown to the stage, which restores its state from them and has no effects.
    pub restore_from: Option<i64>,
    /// Never taken; to be recorded.
    pub gap: Option<Gap>,
    /// The checkpoint is the last commit; otherwise the log may have one more.
    pub is_last: bool,
}

/// Offsets nobody decided about: `from..to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub from: i64,
    pub to: i64,
}

/// A lane that must not run before an operator has decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("log ends at offset {end}, but offset {known} was reached: it lost records or is another log")]
    LogLost { end: i64, known: i64 },
    #[error("store is behind: it saw offset {from} confirmed, the log begins at {start}")]
    LogTooShort { from: i64, start: i64 },
    #[error("offsets {from} to {to} were never decided", from = .0.from, to = .0.to)]
    Gap(Gap),
    #[error("committed offset of topic `{topic}` cannot be read")]
    Metadata {
        topic: Topic,
        #[source]
        cause: marks::Error,
    },
}

/// Decides where the lane goes on. `bounds` are those of its own topic.
///
/// # Errors
/// [`Refusal`] where going on could lose records or repeat what others were told is done.
pub fn plan(standing: &Standing, bounds: Bounds, accept_skip: bool) -> Result<Plan, Refusal> {
    let Standing { committed, decided, number, confirmed } = standing;
    let source = committed.get(&Topic::Source);
    let known = source.map_or(0, |source| source.offset).max(*decided);
    if bounds.end < known {
        return Err(Refusal::LogLost { end: bounds.end, known });
    }
    let mut own = Checkpoint::default();
    let mut is_own = source.is_some();
    for (topic, committed) in committed {
        let learned = own.learn(*topic, committed.offset, &committed.metadata);
        is_own &= learned.map_err(|cause| Refusal::Metadata { topic: *topic, cause })?;
    }
    // A topic that was committed once and is not any more has lost its offset; one that never was is new.
    is_own &= confirmed.finished.keys().all(|topic| committed.contains_key(topic));
    if is_own {
        let is_behind = own.number > *number;
        let from = confirmed.of(Topic::Source).low;
        if is_behind && bounds.start > from {
            return Err(Refusal::LogTooShort { from, start: bounds.start });
        }
        let number = own.number.max(*number);
        let restore_from = is_behind.then_some(from);
        return Ok(Plan { checkpoint: own, number, restore_from, gap: None, is_last: true });
    }
    let number = own.number.max(confirmed.number).max(*number);
    let mut plan = Plan { checkpoint: confirmed.clone(), number, restore_from: None, gap: None, is_last: false };
    let to = source.map_or(bounds.start, |source| source.offset.max(bounds.start));
    if to > *decided {
        let gap = Gap { from: *decided, to };
        if !accept_skip {
            return Err(Refusal::Gap(gap));
        }
        plan.checkpoint.finished.insert(Topic::Source, Finished::below(to));
        plan.gap = Some(gap);
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirmed(number: u64, low: i64) -> Checkpoint {
        let finished = [
            (Topic::Control, Finished::below(0)),
            (Topic::Tier(0), Finished::below(low)),
            (Topic::Source, Finished::below(low)),
        ];
        Checkpoint { number, finished: finished.into(), ..Checkpoint::default() }
    }

    fn committed(checkpoint: &Checkpoint) -> BTreeMap<Topic, Committed> {
        let commit = |(topic, finished): (&Topic, &Finished)| {
            (*topic, Committed { offset: finished.low, metadata: checkpoint.text(*topic) })
        };
        checkpoint.finished.iter().map(commit).collect()
    }

    fn standing(log: &Checkpoint, number: u64, decided: i64, store: &Checkpoint) -> Standing {
        Standing { committed: committed(log), decided, number, confirmed: store.clone() }
    }

    const WHOLE: Bounds = Bounds { start: 0, end: 100 };

    fn reset(mut standing: Standing, topic: Topic, offset: Option<i64>) -> Standing {
        standing.committed.remove(&topic);
        if let Some(offset) = offset {
            standing.committed.insert(topic, Committed { offset, metadata: String::new() });
        }
        standing
    }

    #[test]
    fn log_and_store_decide_from_which_checkpoint_the_lane_goes_on() {
        let (p, c) = (confirmed(3, 5), confirmed(4, 9));
        let usual = || standing(&c, 4, 9, &p);
        let from = |checkpoint: &Checkpoint, number, is_last| {
            Ok(Plan { checkpoint: checkpoint.clone(), number, restore_from: None, gap: None, is_last })
        };
        for (name, standing, bounds, expected) in [
            ("a new lane", Standing::default(), Bounds { start: 0, end: 0 }, from(&Checkpoint::default(), 0, false)),
            ("log and store agree", usual(), WHOLE, from(&c, 4, true)),
            ("crash between the commits", Standing { number: 5, decided: 20, ..usual() }, WHOLE, from(&c, 5, true)),
            (
                "the store is behind",
                standing(&c, 3, 6, &p),
                WHOLE,
                from(&c, 4, true).map(|plan| Plan { restore_from: Some(5), ..plan }),
            ),
            (
                "the store is behind what the log keeps",
                standing(&c, 3, 6, &p),
                Bounds { start: 6, end: 100 },
                Err(Refusal::LogTooShort { from: 5, start: 6 }),
            ),
            ("the lane's topic reset back", reset(usual(), Topic::Source, Some(2)), WHOLE, from(&p, 4, false)),
            ("the lane's topic reset below W", reset(usual(), Topic::Source, Some(9)), WHOLE, from(&p, 4, false)),
            (
                "the lane's topic reset beyond W",
                reset(usual(), Topic::Source, Some(12)),
                WHOLE,
                Err(Refusal::Gap(Gap { from: 9, to: 12 })),
            ),
            ("the lane's offset is missing", reset(usual(), Topic::Source, None), WHOLE, from(&p, 4, false)),
            ("a tier reset", reset(usual(), Topic::Tier(0), Some(0)), WHOLE, from(&p, 4, false)),
            ("a tier's offset expired", reset(usual(), Topic::Tier(0), None), WHOLE, from(&p, 4, false)),
            ("another log", usual(), Bounds { start: 0, end: 8 }, Err(Refusal::LogLost { end: 8, known: 9 })),
        ] {
            assert_eq!(plan(&standing, bounds, false), expected, "{name}");
        }
    }

    #[test]
    fn a_new_tier_is_not_taken_for_a_lost_offset() {
        let (p, c) = (confirmed(3, 5), confirmed(4, 9));
        let mut standing = standing(&c, 4, 9, &p);
        standing.confirmed.finished.remove(&Topic::Tier(0));
        standing.committed.remove(&Topic::Tier(0));

        assert!(plan(&standing, WHOLE, false).is_ok_and(|plan| plan.is_last));
    }

    #[test]
    fn an_accepted_gap_is_named_and_skipped() {
        let standing = reset(standing(&confirmed(4, 9), 4, 9, &confirmed(3, 5)), Topic::Source, Some(12));

        let plan = plan(&standing, WHOLE, true).unwrap();

        assert_eq!(plan.gap, Some(Gap { from: 9, to: 12 }));
        assert_eq!(plan.checkpoint.of(Topic::Source), Finished::below(12));
    }
}
