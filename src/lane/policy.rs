//! The settings of a lane: delays, attempts, what a dead head means, and every cap.

use std::time::Duration;

use crate::lane::place::Seq;

/// Widest span of offsets whose finished ones a commit can name: 16 384 bits are 2 731 characters.
pub const MAX_SPAN: i64 = 16_384;

/// Widest span in the lane's own topic: its commit also says the balance, and stays below 2 800 bytes with it.
pub const MAX_SOURCE_SPAN: i64 = 8_192;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Retry topics by number. A tier that is no longer configured stays here as `retired` until it is empty: it is
    /// read and not written, so that numbers never change their meaning while a lane runs.
    pub tiers: Vec<Tier>,
    /// Attempts in all before a record is dead; 1: no retry. Beyond the last tier that one repeats.
    pub attempts: u16,
    /// Part of a tier's delay by which a record may be later, in thousandths.
    pub jitter_permille: u16,
    pub on_dead: OnDead,
    /// When a held head is attempted again by itself, counted from when it was held last; then it waits for an
    /// operator.
    pub second_rounds: Vec<Duration>,
    /// Attempts running at once.
    pub concurrency: usize,
    /// Second rounds running at once.
    pub second_round_concurrency: usize,
    /// Records of the lane's own topic taken and not yet finished or handed on.
    pub window: usize,
    /// Outstanding records of one key; one more goes to the dead letters with `key-overflow`.
    pub key_cap: usize,
    /// Outstanding records of all keys; at the cap the lane takes no more.
    pub lane_cap: usize,
    /// Commands read and not yet executed.
    pub command_cap: usize,
    /// Decisions in one commit.
    pub batch: usize,
    /// At most [`MAX_SPAN`].
    pub span: i64,
    /// At most [`MAX_SOURCE_SPAN`].
    pub source_span: i64,
    /// Of the lane's name: gives each lane its own jitter.
    pub salt: u64,
}

/// A retry topic: every record in it waits for the same delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    pub delay: Duration,
    pub retired: bool,
}

/// What becomes of a key whose head is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDead {
    /// The key is held until an operator acts or a second round succeeds.
    Hold,
    /// The key goes on without the record.
    Continue,
    /// As `Hold`, and what was waiting behind the head is dead as well.
    Flush,
    /// If a later record of the key waits, the head is superseded by it and no dead letter; else as `Continue`.
    Supersede,
}

impl Default for Policy {
    /// Three retries, after 1, 2 and 4 seconds; second rounds after 15 minutes, 1 hour and 6 hours.
    fn default() -> Self {
        let tier = |seconds| Tier { delay: Duration::from_secs(seconds), retired: false };
        Self {
            tiers: vec![tier(1), tier(2), tier(4)],
            attempts: 4,
            jitter_permille: 100,
            on_dead: OnDead::Hold,
            second_rounds: [15, 60, 360].map(|minutes| Duration::from_secs(minutes * 60)).to_vec(),
            concurrency: 16,
            second_round_concurrency: 1,
            window: 1_024,
            key_cap: 1_000,
            lane_cap: 16_384,
            command_cap: 256,
            batch: 1_000,
            span: MAX_SPAN,
            source_span: MAX_SOURCE_SPAN,
            salt: 0,
        }
    }
}

impl Policy {
    /// The tier for a record that has failed `attempts` times: the `attempts`-th that is in use, or the last.
    /// `None` if there is none, or the record has had its attempts.
    pub fn tier_after(&self, attempts: u16) -> Option<u8> {
        if attempts >= self.attempts {
            return None;
        }
        let used = self.tiers.iter().enumerate().filter(|(_, tier)| !tier.retired).map(|(number, _)| number);
        used.take(usize::from(attempts.max(1))).last().and_then(|number| u8::try_from(number).ok())
    }

    /// The tier in which records wait behind their head.
    pub fn first_tier(&self) -> Option<u8> {
        self.tiers.iter().position(|tier| !tier.retired).and_then(|number| u8::try_from(number).ok())
    }

    /// Milliseconds from the append to a tier until the record is due, jitter included. The same after a restart and
    /// on every engine: it depends on the record and the tier alone.
    pub fn delay_ms(&self, tier: u8, seq: Seq) -> i64 {
        let delay = self.tiers.get(usize::from(tier)).map_or(0, |tier| milliseconds(tier.delay));
        let share = delay.saturating_mul(i64::from(self.jitter_permille)) / 1_000;
        let drawn =
            mix(self.salt ^ mix(seq.cast_unsigned()) ^ u64::from(tier)) % share.cast_unsigned().saturating_add(1);
        delay.saturating_add(i64::try_from(drawn).unwrap_or(0))
    }

    /// Milliseconds from the append to the held topic until the next second round; `None`: there is none.
    pub fn round_ms(&self, round: u8) -> Option<i64> {
        self.second_rounds.get(usize::from(round)).copied().map(milliseconds)
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The finalizer of SplitMix64.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_leads_to_the_next_tier_in_use_until_attempts_run_out() {
        let mut policy = Policy::default();
        assert_eq!([1, 2, 3, 4].map(|attempts| policy.tier_after(attempts)), [Some(0), Some(1), Some(2), None]);

        policy.tiers[1].retired = true;
        policy.attempts = 5;
        assert_eq!([1, 2, 3, 4, 5].map(|n| policy.tier_after(n)), [Some(0), Some(2), Some(2), Some(2), None]);
    }

    #[test]
    fn a_delay_is_never_shorter_than_the_tier_says_and_the_same_each_time() {
        let policy = Policy::default();
        let delays: Vec<_> = (0..1_000).map(|seq| policy.delay_ms(1, seq)).collect();

        assert!(delays.iter().all(|delay| (2_000..=2_200).contains(delay)));
        assert!(delays.iter().min() < delays.iter().max(), "the jitter spreads them");
        assert_eq!(delays, (0..1_000).map(|seq| policy.delay_ms(1, seq)).collect::<Vec<_>>());
    }
}
