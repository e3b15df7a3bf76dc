//! How long to leave something alone that failed: the one place that knows the crate `backoff`.
//!
//! Only its exponential policy is used. Nothing is retried here and nobody sleeps: who waits asks for a delay.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

const MULTIPLIER: f64 = 2.0;

/// Bounds of the delays after failures in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The first delay; each further one is twice as long.
    pub first: Duration,
    /// No delay is longer.
    pub most: Duration,
    /// A delay is drawn this part around its length, 0.0 to 1.0, so that those who failed together do not all come
    /// back together.
    pub jitter: f64,
}

/// The delays of one row of failures.
#[derive(Debug)]
pub struct Delays {
    policy: Policy,
    exponential: ExponentialBackoff,
}

impl Delays {
    pub fn new(policy: Policy) -> Self {
        let exponential = ExponentialBackoffBuilder::new()
            .with_initial_interval(policy.first)
            .with_max_interval(policy.most)
            .with_multiplier(MULTIPLIER)
            .with_randomization_factor(policy.jitter.clamp(0.0, 1.0))
            .with_max_elapsed_time(None)
            .build();
        Self { policy, exponential }
    }

    /// The next delay, at most [`Policy::most`].
    pub fn next_delay(&mut self) -> Duration {
        // Without a limit of elapsed time there always is a next one.
        self.exponential.next_backoff().unwrap_or(self.policy.most).min(self.policy.most)
    }

    /// The row has ended: the next delay is the first again.
    pub fn reset(&mut self) {
        self.exponential.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { first: Duration::from_millis(100), most: Duration::from_millis(500), jitter: 0.0 };

    fn milliseconds(delays: &mut Delays, count: usize) -> Vec<u128> {
        (0..count).map(|_| delays.next_delay().as_millis()).collect()
    }

    #[test]
    fn delays_double_up_to_the_most_and_begin_again_after_success() {
        let mut delays = Delays::new(POLICY);

        assert_eq!(milliseconds(&mut delays, 5), [100, 200, 400, 500, 500]);
        delays.reset();
        assert_eq!(milliseconds(&mut delays, 2), [100, 200]);
    }

    #[test]
    fn jitter_stays_around_the_delay_and_below_the_most() {
        let mut delays = Delays::new(Policy { jitter: 0.2, ..POLICY });

        let bounds = [(80, 120), (160, 240), (320, 480), (400, 500)];
        for (found, (least, most)) in milliseconds(&mut delays, 4).into_iter().zip(bounds) {
            assert!((least..=most).contains(&found), "{found} is not in {least}..={most}");
        }
    }
}
