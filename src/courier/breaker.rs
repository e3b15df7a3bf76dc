//! Whether a target is asked at all: a circuit breaker, and the pauses the target asks for.
//!
//! Pure: results and time in. Closed, everything passes; after failures in a row it opens and nothing passes; after a
//! while it is half-open and one request at a time, the probe, finds out whether it closes. A pause stands beside that:
//! it stops everything for as long as the target said.
//!
//! Source: `contracts/canonical-events.md` section 9.

use std::time::Duration;

use crate::canonical::ids::Sha256Digest;
use crate::config::courier::BreakerSettings;
use crate::courier::answer::NotMade;
use crate::courier::retry_after;
use crate::lane::batch;

/// What a result does to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Success,
    /// Nobody is there.
    Opens,
    Counts,
    /// The credential was refused: two records in a row open it.
    Unauthorized,
    /// The target is there and this one record is wrong.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Closed,
    Open,
    HalfOpen,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What may be asked of the target now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    pub state: State,
    /// While open: epoch milliseconds at which it is half-open.
    pub open_until_ms: Option<i64>,
    /// Epoch milliseconds at which the pause ends that the target asked for.
    pub paused_until_ms: Option<i64>,
    /// Half-open, and the one request that may be made is under way.
    pub is_probing: bool,
}

/// The right to one request, which ends with [`Breaker::settle`] or [`Breaker::abandon`].
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    generation: u64,
    is_probe: bool,
}

#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    phase: Phase,
    paused_until_ms: Option<i64>,
    /// The record whose credential was refused last, if nothing else came since.
    refused: Option<Sha256Digest>,
    /// One more with each change of phase: what was begun in an earlier one says nothing about this one.
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed { failures: u32 },
    Open { until_ms: i64 },
    HalfOpen { successes: u32, is_probing: bool },
}

impl Breaker {
    pub fn new(settings: BreakerSettings) -> Self {
        let phase = Phase::Closed { failures: 0 };
        Self { settings, phase, paused_until_ms: None, refused: None, generation: 0 }
    }

    /// `now_ms`: epoch milliseconds, here and below. A clock that goes back makes nothing wait for longer than it would
    /// have had to from the start.
    pub fn condition(&mut self, now_ms: i64) -> Condition {
        self.wake(now_ms);
        let (state, open_until_ms, is_probing) = match self.phase {
            Phase::Closed { .. } => (State::Closed, None, false),
            Phase::Open { until_ms } => (State::Open, Some(until_ms), false),
            Phase::HalfOpen { is_probing, .. } => (State::HalfOpen, None, is_probing),
        };
        Condition { state, open_until_ms, paused_until_ms: self.paused_until_ms, is_probing }
    }

    /// # Errors
    /// Why no request may be made now.
    pub fn admit(&mut self, now_ms: i64) -> Result<Permit, NotMade> {
        self.condition(now_ms).admits()?;
        if let Phase::HalfOpen { is_probing, .. } = &mut self.phase {
            *is_probing = true;
            return Ok(Permit { generation: self.generation, is_probe: true });
        }
        Ok(Permit { generation: self.generation, is_probe: false })
    }

    /// A request has come to its end. `record` tells records apart, not attempts. Returns whether a probe failed: that
    /// was no attempt.
    pub fn settle(&mut self, permit: Permit, effect: Effect, record: Sha256Digest, now_ms: i64) -> bool {
        self.wake(now_ms);
        let failed = matches!(effect, Effect::Opens | Effect::Counts | Effect::Unauthorized);
        let failed_probe = permit.is_probe && failed;
        if permit.generation != self.generation {
            return failed_probe;
        }
        let refused = self.refused.take();
        if effect == Effect::Unauthorized {
            self.refused = Some(record);
        }
        match (&mut self.phase, effect) {
            (Phase::Closed { failures }, Effect::Success) => *failures = 0,
            (Phase::Closed { failures }, Effect::Counts) => {
                *failures = failures.saturating_add(1);
                if *failures >= self.settings.failures {
                    self.open(now_ms);
                }
            }
            (Phase::Closed { .. }, Effect::Unauthorized) => {
                if refused.is_some_and(|refused| refused != record) {
                    self.open(now_ms);
                }
            }
            (Phase::Closed { .. } | Phase::HalfOpen { .. }, Effect::Opens) => self.open(now_ms),
            (Phase::HalfOpen { .. }, Effect::Counts | Effect::Unauthorized) => self.open(now_ms),
            (Phase::HalfOpen { successes, is_probing }, Effect::Success) => {
                (*successes, *is_probing) = (successes.saturating_add(1), false);
                if *successes >= self.settings.successes {
                    self.enter(Phase::Closed { failures: 0 });
                }
            }
            (Phase::HalfOpen { is_probing, .. }, Effect::Nothing) => *is_probing = false,
            // Of a permit there is none while it is open, or it is of an earlier generation.
            (Phase::Closed { .. }, Effect::Nothing) | (Phase::Open { .. }, _) => {}
        }
        failed_probe
    }

    /// The request was not made, or nobody waits for its end any more.
    pub fn abandon(&mut self, permit: Permit) {
        if let Phase::HalfOpen { is_probing, .. } = &mut self.phase
            && permit.generation == self.generation
        {
            *is_probing = false;
        }
    }

    /// The target wants to be left alone for `pause`, at most `retry_after::LONGEST` of it. A longer pause that is
    /// under way stays.
    pub fn pause(&mut self, pause: Duration, now_ms: i64) {
        let until_ms = now_ms.saturating_add(milliseconds(pause.min(retry_after::LONGEST)));
        self.paused_until_ms = self.paused_until_ms.max(Some(until_ms));
    }

    fn open(&mut self, now_ms: i64) {
        self.enter(Phase::Open { until_ms: now_ms.saturating_add(milliseconds(self.settings.open_for)) });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.refused = None;
        self.generation = self.generation.wrapping_add(1);
    }

    /// What the passing of time does.
    fn wake(&mut self, now_ms: i64) {
        if let Some(until_ms) = self.paused_until_ms {
            let until_ms = until_ms.min(now_ms.saturating_add(milliseconds(retry_after::LONGEST)));
            self.paused_until_ms = (now_ms < until_ms).then_some(until_ms);
        }
        if let Phase::Open { until_ms } = self.phase {
            let until_ms = until_ms.min(now_ms.saturating_add(milliseconds(self.settings.open_for)));
            self.phase = Phase::Open { until_ms };
            if now_ms >= until_ms {
                self.enter(Phase::HalfOpen { successes: 0, is_probing: false });
            }
        }
    }
}

impl Condition {
    /// # Errors
    /// Why no request may be made now.
    pub fn admits(&self) -> Result<(), NotMade> {
        match self.state {
            State::Open => Err(NotMade::Open),
            _ if self.paused_until_ms.is_some() => Err(NotMade::Paused),
            State::HalfOpen if self.is_probing => Err(NotMade::Probing),
            State::Closed | State::HalfOpen => Ok(()),
        }
    }

    /// What a lane of the target is to be told. Half-open, one probe is admitted at a time: tell it to one lane, and
    /// the others that the target is paused, or they ask in vain.
    pub fn for_lane(&self) -> batch::Target {
        match self.state {
            State::Closed if self.paused_until_ms.is_none() => batch::Target::Available,
            State::HalfOpen if self.paused_until_ms.is_none() => batch::Target::Probing,
            _ => batch::Target::Paused,
        }
    }

    /// Epoch milliseconds at which the condition changes by itself: worth another look then.
    pub fn changes_at_ms(&self) -> Option<i64> {
        match (self.open_until_ms, self.paused_until_ms) {
            (Some(open), Some(paused)) => Some(open.min(paused)),
            (open, paused) => open.or(paused),
        }
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
