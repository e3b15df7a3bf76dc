//! How often a target is asked: a token bucket whose tokens are taken in advance, in the order asked.
//!
//! How many requests are under way at once is not said here but by the [`target`](crate::courier::target).

use std::time::Duration;

use crate::rate::{Bucket, Limit};

/// One target's bucket. It holds what comes in a second, at least one token.
#[derive(Debug)]
pub struct Pace {
    limit: Option<Limit>,
    bucket: Bucket,
    ahead: u32,
}

impl Pace {
    /// `per_minute`: 0 is no limit. `concurrency`: as many may have taken a token and be waiting for its time.
    pub fn new(per_minute: u32, concurrency: usize) -> Self {
        let ahead = u32::try_from(concurrency).unwrap_or(u32::MAX);
        Self { limit: Limit::per_minute(per_minute, per_minute / 60), bucket: Bucket::default(), ahead }
    }

    /// How long a request asked for now has to wait. `now_ms`: epoch milliseconds.
    pub fn wait(&self, now_ms: i64) -> Duration {
        let wait_us =
            self.limit.map_or(0, |limit| self.bucket.wait_us(limit, self.ahead, now_ms.saturating_mul(1_000)));
        Duration::from_micros(u64::try_from(wait_us).unwrap_or(0))
    }

    /// Takes the token [`Pace::wait`] spoke of.
    pub fn take(&mut self, now_ms: i64) {
        if let Some(limit) = self.limit {
            self.bucket.take(limit, self.ahead, now_ms.saturating_mul(1_000));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_772_612_130_000;

    fn waits(pace: &mut Pace, now_ms: i64, count: usize) -> Vec<u128> {
        let mut take = || {
            let wait = pace.wait(now_ms);
            pace.take(now_ms);
            wait.as_millis()
        };
        (0..count).map(|_| take()).collect()
    }

    #[test]
    fn a_second_of_tokens_may_be_used_at_once_and_the_next_ones_wait_their_turn() {
        for (per_minute, expected) in [
            (0, [0, 0, 0, 0, 0]),
            (60, [0, 1_000, 2_000, 3_000, 4_000]),
            (120, [0, 0, 500, 1_000, 1_500]),
            (30, [0, 2_000, 4_000, 6_000, 8_000]),
        ] {
            assert_eq!(waits(&mut Pace::new(per_minute, 8), NOW_MS, 5), expected, "{per_minute}");
        }
    }

    #[test]
    fn tokens_come_back_with_time_and_never_more_than_a_second_of_them() {
        let mut pace = Pace::new(120, 8);
        waits(&mut pace, NOW_MS, 4);

        assert_eq!(waits(&mut pace, NOW_MS + 1_500, 1), [0]);
        assert_eq!(waits(&mut pace, NOW_MS + 60_000, 3), [0, 0, 500]);
    }

    #[test]
    fn a_clock_that_goes_back_makes_nobody_wait_for_longer_than_those_before_him_take() {
        let mut pace = Pace::new(60, 2);
        waits(&mut pace, NOW_MS, 3);

        assert_eq!(pace.wait(NOW_MS - 3_600_000), Duration::from_secs(3));
    }
}
