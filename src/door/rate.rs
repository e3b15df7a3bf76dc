//! How often a tenant may deliver.
//!
//! A token bucket per tenant. Tenants come from the configuration, so there are few and no sender can make more.
//!
//! Source: `contracts/canonical-events.md` section 11.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::rate::{Bucket, Limit};

#[derive(Debug, Default)]
pub(super) struct RateLimiter {
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// The bucket is empty: whole seconds until it holds a token again, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted {
    pub retry_after_s: u32,
}

impl RateLimiter {
    /// Takes one token of `tenant`. The bucket is refilled at `per_minute` tokens a minute and holds a quarter of
    /// that, at least one; 0 is no limit. `now_ms`: epoch milliseconds.
    pub fn take(&self, tenant: &str, per_minute: u32, now_ms: i64) -> Result<(), Exhausted> {
        let Some(limit) = Limit::per_minute(per_minute, per_minute / 4) else { return Ok(()) };
        let now_us = now_ms.saturating_mul(1000);
        // Held while one number changes; a poisoned lock still guards a good number.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(tenant) {
            buckets.insert(tenant.to_owned(), Bucket::default());
        }
        let Some(bucket) = buckets.get_mut(tenant) else { return Ok(()) };
        let wait_us = bucket.wait_us(limit, 0, now_us);
        if wait_us > 0 {
            let retry_after_s = u32::try_from((wait_us + 999_999) / 1_000_000).unwrap_or(u32::MAX);
            return Err(Exhausted { retry_after_s });
        }
        bucket.take(limit, 0, now_us);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_772_612_130_000;

    fn taken(limiter: &RateLimiter, tenant: &str, per_minute: u32, now_ms: i64) -> usize {
        (0..1000).take_while(|_| limiter.take(tenant, per_minute, now_ms).is_ok()).count()
    }

    #[test]
    fn a_full_bucket_holds_a_quarter_of_the_rate_and_at_least_one() {
        for (per_minute, expected) in [(100, 25), (60, 15), (7, 1), (1, 1), (0, 1000)] {
            assert_eq!(taken(&RateLimiter::default(), "north", per_minute, NOW_MS), expected, "{per_minute}");
        }
    }

    #[test]
    fn the_bucket_is_refilled_at_the_rate_and_never_above_its_capacity() {
        for (elapsed_ms, expected) in [(599, 0), (600, 1), (6_000, 10), (60_000, 25), (600_000, 25)] {
            let limiter = RateLimiter::default();
            taken(&limiter, "north", 100, NOW_MS);

            assert_eq!(taken(&limiter, "north", 100, NOW_MS + elapsed_ms), expected, "{elapsed_ms}");
        }
    }

    #[test]
    fn the_refused_are_told_when_the_next_token_comes_in_whole_seconds() {
        for (per_minute, elapsed_ms, retry_after_s) in [(100, 0, 1), (4, 0, 15), (4, 14_500, 1), (1, 1_000, 59)] {
            let limiter = RateLimiter::default();
            taken(&limiter, "north", per_minute, NOW_MS);

            let refused = limiter.take("north", per_minute, NOW_MS + elapsed_ms);

            assert_eq!(refused, Err(Exhausted { retry_after_s }), "{per_minute} after {elapsed_ms} ms");
        }
    }

    #[test]
    fn one_tenant_does_not_use_up_another_tenants_tokens() {
        let limiter = RateLimiter::default();
        taken(&limiter, "north", 100, NOW_MS);

        assert_eq!(taken(&limiter, "south", 100, NOW_MS), 25);
    }

    #[test]
    fn a_clock_that_goes_back_blocks_nobody_for_longer_than_a_refill() {
        let limiter = RateLimiter::default();
        taken(&limiter, "north", 100, NOW_MS);

        let an_hour_back = NOW_MS - 3_600_000;

        assert_eq!(limiter.take("north", 100, an_hour_back), Err(Exhausted { retry_after_s: 1 }));
        assert_eq!(limiter.take("north", 100, an_hour_back + 600), Err(Exhausted { retry_after_s: 1 }));
    }
}
