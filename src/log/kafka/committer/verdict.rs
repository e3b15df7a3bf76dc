//! What became of a transaction whose commit was not answered.
//!
//! To be asked after a new producer of the same id is ready: the transaction has ended by then, one way or the other.
//! It was atomic, so one lane whose offset it was to change tells for all of them.

use std::sync::Arc;

use super::transaction::Entry;
use crate::log::OffsetCommit;
use crate::log::kafka::probe::Probe;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Committed,
    NotCommitted,
    /// No lane's offset was to change, or the cluster cannot be asked.
    Open,
}

/// Blocks.
pub fn ask(probe: &Probe, entry: &Entry) -> Verdict {
    for job in &entry.admitted {
        for staged in &job.lanes {
            let Some(before) = job.member.last(&staged.lane) else { continue };
            let place = (Arc::clone(&staged.lane.topic), staged.lane.partition);
            let Ok(found) = probe.committed_now(&job.member.group, &[place]) else { continue };
            let now = found.first().map(|offset| &offset.committed);
            match judge(&before, &staged.offset, now) {
                Verdict::Open => {}
                verdict => return verdict,
            }
        }
    }
    Verdict::Open
}

fn judge(before: &OffsetCommit, wanted: &OffsetCommit, now: Option<&OffsetCommit>) -> Verdict {
    match now {
        _ if before == wanted => Verdict::Open,
        Some(now) if now == wanted => Verdict::Committed,
        Some(now) if now == before => Verdict::NotCommitted,
        // Someone else's: the lane has moved on.
        _ => Verdict::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_lane_tells_only_if_it_was_to_change() {
        let at = |offset, metadata: &str| OffsetCommit { offset, metadata: metadata.to_owned() };
        for (before, wanted, now, expected) in [
            (at(1, "a"), at(2, "a"), Some(at(2, "a")), Verdict::Committed),
            (at(1, "a"), at(1, "b"), Some(at(1, "b")), Verdict::Committed),
            (at(1, "a"), at(2, "a"), Some(at(1, "a")), Verdict::NotCommitted),
            (at(1, "a"), at(1, "b"), Some(at(1, "a")), Verdict::NotCommitted),
            (at(1, "a"), at(1, "a"), Some(at(1, "a")), Verdict::Open),
            (at(1, "a"), at(2, "a"), Some(at(3, "")), Verdict::Open), // reset meanwhile
            (at(1, "a"), at(2, "a"), None, Verdict::Open),            // deleted meanwhile
        ] {
            assert_eq!(judge(&before, &wanted, now.as_ref()), expected, "{before:?} {wanted:?} {now:?}");
        }
    }
}
