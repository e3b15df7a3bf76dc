//! Where a lane goes on when it is taken over: log and store commit apart, and one of them may be behind.
//!
//! Three facts decide: the committed offset with its metadata (C), what the store has decided (W) and what the store
//! saw confirmed by the log (P). Metadata of our own tells that C was committed by a lane.
//!
//! | committed offset | the lane |
//! |---|---|
//! | ours, C ≤ W | runs from C; the recorded effects of C..W are published again (crash between the commits) |
//! | ours, C > W | the store is behind: reads again from W, changes state, publishes nothing below C |
//! | foreign or missing | runs from W; of the recorded effects of P..W it publishes what the log does not have |
//!
//! Whoever sets an offset moves no decision: below W all is decided, to read it again would change nothing. But with
//! our metadata goes the one note of whether the last step was published; then the log is searched for its events.
//! Beyond W lies what nobody decided: such an offset is a gap, which an operator has to accept. A log that ends
//! before W or C has lost records, or is another log: its offsets would meet decisions about other records.
//!
//! Source: `research/stream-engines.md` section 2.13, rule 11.

use crate::log::{Bounds, Committed};
use crate::sequence::ledger::Gap;
use crate::sequence::metadata::{self, Horizon, Metadata};
use crate::store::LaneRow;

/// Where a lane goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// First offset to read.
    pub next: i64,
    /// Origins below it are published already.
    pub silent_below: i64,
    /// Timers up to this one have spoken already.
    pub silent_until: Option<Horizon>,
    /// The last timer decided, in the store or before it was lost.
    pub metadata: Metadata,
    pub unconfirmed: Unconfirmed,
    /// Never taken; to be recorded.
    pub gap: Option<Gap>,
}

/// Decisions whose effects may not be in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unconfirmed {
    None,
    /// Those of timers with a number above it: they are not.
    TimersAfter(u64),
    /// Those about records at `from..to`, and those of the timers that ran last: nothing but the log itself tells.
    LastStep {
        from: i64,
        to: i64,
    },
}

/// A lane that must not run before an operator has decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("log ends at offset {end}, but offset {known} was reached: it lost records or is another log")]
    LogLost { end: i64, known: i64 },
    #[error("store is behind: it decided up to offset {decided}, the log begins at {start}")]
    LogTooShort { decided: i64, start: i64 },
    #[error("offsets {from} to {to} were never decided: the lane goes on at {to} only with `crossdock serve --accept-skip`", from = .0.from, to = .0.to)]
    Gap(Gap),
    #[error(transparent)]
    Metadata(#[from] metadata::Error),
}

/// Decides where the lane goes on. `bounds` are those of its topic.
///
/// # Errors
/// [`Refusal`] where going on could lose records or publish other records' effects.
pub fn plan(committed: Option<&Committed>, row: &LaneRow, bounds: Bounds, accept_skip: bool) -> Result<Plan, Refusal> {
    let Bounds { start, end } = bounds;
    let known = committed.map_or(0, |committed| committed.offset).max(row.decided);
    if end < known {
        return Err(Refusal::LogLost { end, known });
    }
    let ours = match committed {
        Some(committed) => Metadata::parse(&committed.metadata)?.map(|metadata| (committed.offset, metadata)),
        None => None,
    };
    let base = Plan {
        next: row.decided,
        silent_below: row.decided.min(row.confirmed),
        silent_until: None,
        metadata: Metadata { timers: row.timers, horizon: None },
        unconfirmed: Unconfirmed::None,
        gap: None,
    };
    if let Some((offset, metadata)) = ours {
        let timers = row.timers.max(metadata.timers);
        let unconfirmed =
            if row.timers > metadata.timers { Unconfirmed::TimersAfter(metadata.timers) } else { Unconfirmed::None };
        let silent_until = if row.timers < metadata.timers { metadata.horizon } else { None };
        let metadata = Metadata { timers, ..metadata };
        let base = Plan { metadata, unconfirmed, silent_until, ..base };
        if offset > row.decided {
            if start > row.decided {
                return Err(Refusal::LogTooShort { decided: row.decided, start });
            }
            return Ok(Plan { silent_below: offset, ..base });
        }
        return from(offset.max(start), row.decided, accept_skip, base);
    }
    let asked = committed.map_or(row.decided, |committed| committed.offset);
    // Also for a new lane: its offset is made its own before its first batch, so that a crash in it is an ordinary one.
    let unconfirmed = Unconfirmed::LastStep { from: row.confirmed.min(row.decided), to: row.decided };
    from(asked.max(row.decided).max(start), row.decided, accept_skip, Plan { unconfirmed, ..base })
}

fn from(next: i64, decided: i64, accept_skip: bool, base: Plan) -> Result<Plan, Refusal> {
    let gap = (next > decided).then_some(Gap { from: decided, to: next });
    match gap {
        Some(gap) if !accept_skip => Err(Refusal::Gap(gap)),
        gap => Ok(Plan { next, silent_below: next, gap, ..base }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Balance;

    fn row(decided: i64, confirmed: i64, timers: u64) -> LaneRow {
        LaneRow { epoch: 3, decided, confirmed, timers, balance: Balance::default() }
    }

    fn at(offset: i64, metadata: &str) -> Committed {
        Committed { offset, metadata: metadata.to_owned() }
    }

    fn bounds(start: i64, end: i64) -> Bounds {
        Bounds { start, end }
    }

    fn run_from(next: i64) -> Plan {
        let metadata = Metadata::default();
        let unconfirmed = Unconfirmed::None;
        Plan { next, silent_below: next, silent_until: None, metadata, unconfirmed, gap: None }
    }

    /// Of a lane with this W and P, whose offset is not ours.
    fn searched(decided: i64, confirmed: i64) -> Plan {
        Plan { unconfirmed: Unconfirmed::LastStep { from: confirmed, to: decided }, ..run_from(decided) }
    }

    const HORIZON: Option<Horizon> = Some(Horizon { deadline: 77, offset: 3 });

    #[test]
    fn log_and_store_decide_where_the_lane_goes_on() {
        let whole = bounds(0, 100);
        for (name, committed, row, bounds, expected) in [
            ("a new lane", None, row(0, 0, 0), bounds(0, 0), Ok(searched(0, 0))),
            ("log and store agree", Some(at(9, "cd1:;t=0")), row(9, 5, 0), whole, Ok(run_from(9))),
            ("crash between the commits", Some(at(5, "cd1:;t=0")), row(9, 5, 0), whole, Ok(run_from(5))),
            (
                "the store is behind",
                Some(at(20, "cd1:;t=4;h=77/3")),
                row(9, 5, 2),
                whole,
                Ok(Plan {
                    silent_below: 20,
                    silent_until: HORIZON,
                    metadata: Metadata { timers: 4, horizon: HORIZON },
                    ..run_from(9)
                }),
            ),
            (
                "the store is behind what the log keeps",
                Some(at(20, "cd1:;t=0")),
                row(9, 5, 0),
                bounds(10, 100),
                Err(Refusal::LogTooShort { decided: 9, start: 10 }),
            ),
            ("reset below P", Some(at(2, "")), row(9, 5, 0), whole, Ok(searched(9, 5))),
            ("reset between P and W", Some(at(7, "tool")), row(9, 5, 0), whole, Ok(searched(9, 5))),
            ("reset to W", Some(at(9, "")), row(9, 5, 0), whole, Ok(searched(9, 5))),
            ("reset, all of it confirmed", Some(at(2, "")), row(9, 9, 0), whole, Ok(searched(9, 9))),
            ("reset below what the log keeps", Some(at(2, "")), row(9, 5, 0), bounds(7, 100), Ok(searched(9, 5))),
            ("reset beyond W", Some(at(12, "")), row(9, 5, 0), whole, Err(Refusal::Gap(Gap { from: 9, to: 12 }))),
            ("missing", None, row(9, 5, 0), whole, Ok(searched(9, 5))),
            (
                "missing, and the log was trimmed beyond W",
                None,
                row(9, 5, 0),
                bounds(30, 100),
                Err(Refusal::Gap(Gap { from: 9, to: 30 })),
            ),
            ("another log", None, row(9, 5, 0), bounds(0, 4), Err(Refusal::LogLost { end: 4, known: 9 })),
            (
                "a log that lost its end",
                Some(at(20, "cd1:;t=0")),
                row(9, 5, 0),
                bounds(0, 19),
                Err(Refusal::LogLost { end: 19, known: 20 }),
            ),
            (
                "timers decided, not committed",
                Some(at(9, "cd1:;t=3;h=77/3")),
                row(9, 9, 5),
                whole,
                Ok(Plan {
                    metadata: Metadata { timers: 5, horizon: HORIZON },
                    unconfirmed: Unconfirmed::TimersAfter(3),
                    ..run_from(9)
                }),
            ),
            (
                "timers decided, commit unknown",
                Some(at(9, "")),
                row(9, 9, 5),
                whole,
                Ok(Plan { metadata: Metadata { timers: 5, horizon: None }, ..searched(9, 9) }),
            ),
            (
                "committed by a newer version",
                Some(at(9, "cd2:x")),
                row(9, 9, 0),
                whole,
                Err(Refusal::Metadata(metadata::Error::Newer)),
            ),
        ] {
            assert_eq!(plan(committed.as_ref(), &row, bounds, false), expected, "{name}");
        }
    }

    #[test]
    fn an_accepted_gap_is_named() {
        let committed = at(12, "");

        let plan = plan(Some(&committed), &row(9, 5, 0), bounds(0, 100), true);

        let accepted = Plan { next: 12, silent_below: 12, gap: Some(Gap { from: 9, to: 12 }), ..searched(9, 5) };
        assert_eq!(plan, Ok(accepted));
    }
}
