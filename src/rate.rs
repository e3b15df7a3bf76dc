//! Token buckets: how often something may happen, with a few at once.
//!
//! A bucket is one number: the time at which it will be full again (the generic cell rate algorithm).

/// Tokens a minute, and how many a full bucket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    interval_us: i64,
    capacity: i64,
}

/// Full when it is new.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    full_at_us: i64,
}

impl Limit {
    /// `capacity`: at least 1 is taken. `None` for 0 a minute, which is no limit.
    pub fn per_minute(tokens: u32, capacity: u32) -> Option<Self> {
        let interval_us = 60_000_000_i64.checked_div(i64::from(tokens))?;
        Some(Self { interval_us, capacity: i64::from(capacity.max(1)) })
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self { full_at_us: i64::MIN }
    }
}

impl Bucket {
    /// Microseconds until there is a token that nobody has taken; 0: there is one now. `now_us`: epoch microseconds.
    pub fn wait_us(&self, limit: Limit, ahead: u32, now_us: i64) -> i64 {
        let base_us = self.base_us(limit, ahead, now_us);
        (base_us - now_us).saturating_sub((limit.capacity - 1).saturating_mul(limit.interval_us)).max(0)
    }

    /// Takes a token, of the future if there is none now: [`Bucket::wait_us`], asked before, says when it may be used.
    /// `ahead`: most tokens of the future that are taken at a time.
    pub fn take(&mut self, limit: Limit, ahead: u32, now_us: i64) {
        self.full_at_us = self.base_us(limit, ahead, now_us).saturating_add(limit.interval_us);
    }

    /// Anything later than all tokens taken was written before the clock went back.
    fn base_us(&self, limit: Limit, ahead: u32, now_us: i64) -> i64 {
        let most = limit.capacity.saturating_add(i64::from(ahead)).saturating_mul(limit.interval_us);
        self.full_at_us.clamp(now_us, now_us.saturating_add(most))
    }
}
