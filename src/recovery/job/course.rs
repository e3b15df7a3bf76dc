//! What a running job does next: pure, counts and time in, one step out.

use crate::recovery::job::pace::Pace;
use crate::store::jobs::ItemCounts;

/// Most items that are begun and have no outcome. A target that is down fills them, and the job waits.
pub(super) const MAX_IN_FLIGHT: u64 = 64;
/// Outcomes before a share says something, where the canary is smaller.
const FEWEST: u64 = 10;

/// A job's way, as this runner knows it. Another runner begins its own, at the phase the counts are in.
#[derive(Debug)]
pub(super) struct Course {
    pace: Pace,
    phase: Phase,
    /// Epoch milliseconds: beginning of the phase.
    since: i64,
    /// Items that had been begun by then.
    begun: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Canary,
    Rest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Begin as many items, at least one.
    Begin(u64),
    Wait,
    /// Too many failed.
    Stop(String),
    /// Every item has an outcome.
    Finish,
}

impl Course {
    pub fn new(pace: Pace, counts: &ItemCounts, now_ms: i64) -> Self {
        let canary = u64::from(pace.canary).min(counts.all());
        let phase = if counts.settled() < canary { Phase::Canary } else { Phase::Rest };
        Self { pace, phase, since: now_ms, begun: begun(counts) }
    }

    pub fn next(&mut self, counts: &ItemCounts, now_ms: i64) -> Step {
        let canary = u64::from(self.pace.canary).min(counts.all());
        let (failed, settled) = (counts.failed, counts.settled());
        // As soon as it is sure, whatever becomes of the rest of the canary.
        if self.phase == Phase::Canary && self.pace.is_exceeded(failed, canary) {
            return Step::Stop(format!("{failed} of the first {canary} items failed"));
        }
        if self.phase == Phase::Rest && settled >= canary.max(FEWEST) && self.pace.is_exceeded(failed, settled) {
            return Step::Stop(format!("{failed} of {settled} items failed"));
        }
        if counts.pending == 0 {
            return if counts.requested == 0 { Step::Finish } else { Step::Wait };
        }
        if self.phase == Phase::Canary && settled >= canary {
            *self = Self { phase: Phase::Rest, since: now_ms, begun: begun(counts), pace: self.pace.clone() };
        }
        let elapsed = now_ms.saturating_sub(self.since);
        let due = match self.phase {
            // At once: one item can always be begun.
            Phase::Canary => self.pace.steady(elapsed).saturating_add(1),
            Phase::Rest => self.pace.ramped(elapsed).saturating_add(1),
        };
        let due = self.begun.saturating_add(due).saturating_sub(begun(counts));
        let room = match self.phase {
            Phase::Canary => canary.saturating_sub(begun(counts)),
            Phase::Rest => counts.pending,
        };
        match due.min(room).min(MAX_IN_FLIGHT.saturating_sub(counts.requested)) {
            0 => Step::Wait,
            items => Step::Begin(items),
        }
    }
}

fn begun(counts: &ItemCounts) -> u64 {
    counts.all().saturating_sub(counts.pending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_second: u32, canary: u32) -> Pace {
        Pace { per_second, canary, ..Pace::default() }
    }

    fn counts(pending: u64, requested: u64, succeeded: u64, failed: u64) -> ItemCounts {
        ItemCounts { pending, requested, succeeded, failed, refused: 0 }
    }

    #[test]
    fn nothing_more_is_begun_before_the_canary_has_its_outcomes() {
        let mut course = Course::new(pace(1_000, 3), &counts(100, 0, 0, 0), 0);

        assert_eq!(course.next(&counts(100, 0, 0, 0), 0), Step::Begin(1));
        assert_eq!(course.next(&counts(99, 1, 0, 0), 5_000), Step::Begin(2));
        assert_eq!(course.next(&counts(97, 3, 0, 0), 9_000), Step::Wait);
        assert_eq!(course.next(&counts(97, 1, 2, 0), 9_000), Step::Wait);
        assert_eq!(course.next(&counts(97, 0, 3, 0), 9_000), Step::Begin(1), "the ramp begins now");
        assert_eq!(course.next(&counts(96, 1, 3, 0), 9_100), Step::Begin(10));
    }

    #[test]
    fn a_canary_that_fails_stops_the_job_as_soon_as_that_is_sure() {
        let mut course = Course::new(pace(10, 10), &counts(100, 0, 0, 0), 0);

        assert_eq!(course.next(&counts(90, 8, 0, 2), 1), Step::Wait);
        assert_eq!(course.next(&counts(90, 7, 0, 3), 1), Step::Stop("3 of the first 10 items failed".to_owned()));
    }

    #[test]
    fn later_failures_stop_it_by_their_share() {
        let mut course = Course::new(pace(10, 0), &counts(100, 0, 0, 0), 0);

        assert!(matches!(course.next(&counts(91, 0, 0, 9), 1), Step::Begin(_) | Step::Wait), "too few to say");
        assert_eq!(course.next(&counts(85, 0, 12, 3), 1), Step::Wait, "as many as may");
        assert_eq!(course.next(&counts(85, 0, 11, 4), 1), Step::Stop("4 of 15 items failed".to_owned()));
    }

    #[test]
    fn what_is_in_flight_is_bounded_and_waited_for_at_the_end() {
        let mut course = Course::new(pace(1_000, 0), &counts(1_000, 0, 0, 0), 0);

        assert_eq!(course.next(&counts(1_000, 0, 0, 0), 60_000), Step::Begin(MAX_IN_FLIGHT));
        assert_eq!(course.next(&counts(936, 64, 0, 0), 60_000), Step::Wait);
        assert_eq!(course.next(&counts(0, 1, 999, 0), 60_000), Step::Wait);
        assert_eq!(course.next(&counts(0, 0, 1_000, 0), 60_000), Step::Finish);
    }

    #[test]
    fn another_runner_goes_on_in_the_same_phase() {
        let mut in_canary = Course::new(pace(1_000, 5), &counts(97, 3, 0, 0), 70_000);
        assert_eq!(in_canary.next(&counts(97, 3, 0, 0), 71_000), Step::Begin(2));

        let mut behind = Course::new(pace(1_000, 5), &counts(50, 0, 50, 0), 70_000);
        assert_eq!(behind.next(&counts(50, 0, 50, 0), 70_000), Step::Begin(1), "and warms up anew");
    }
}
