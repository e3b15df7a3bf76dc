//! How often a tenant may deliver.
//!
//! A token bucket per tenant, kept as one number: the time at which it will be full again (the generic cell rate
//! algorithm). Tenants come from the configuration, so there are few and no sender can make more.
//!
//! Source: `contracts/canonical-events.md` section 11.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Default)]
pub(super) struct RateLimiter {
    /// Epoch microseconds at which the tenant's bucket is full again.
    full_at_us: Mutex<HashMap<String, i64>>,
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
        if per_minute == 0 {
            return Ok(());
        }
        let interval_us = 60_000_000 / i64::from(per_minute);
        let capacity = i64::from((per_minute / 4).max(1));
        let now_us = now_ms.saturating_mul(1000);
        // Held while one number changes; a poisoned lock still guards a good number.
        let mut buckets = self.full_at_us.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(tenant) {
            buckets.insert(tenant.to_owned(), now_us);
        }
        let Some(full_at_us) = buckets.get_mut(tenant) else { return Ok(()) };
        // An empty bucket is full after `capacity` intervals: anything later was written before the clock went back.
        let base_us = (*full_at_us).clamp(now_us, now_us.saturating_add(capacity * interval_us));
        let wait_us = base_us.saturating_sub(now_us) - (capacity - 1) * interval_us;
        if wait_us > 0 {
            let retry_after_s = u32::try_from((wait_us + 999_999) / 1_000_000).unwrap_or(u32::MAX);
            return Err(Exhausted { retry_after_s });
        }
        *full_at_us = base_us.saturating_add(interval_us);
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
