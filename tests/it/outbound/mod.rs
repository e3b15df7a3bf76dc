//! The way out: what the platform says becomes calls to partner systems, in order, whatever these do.

pub mod balance;
pub mod partners;
pub mod platform;

mod failing_partners;
mod held_keys;
mod isolation;
mod journey;
mod kills;
mod operators;
mod printed_calls;
mod repeats;
mod replay_jobs;
mod retries;
#[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
mod scale_out;
mod stopping;
mod tiers;
mod translation;
mod waiting;

use partners::Partners;
use platform::{Event, Order};

use crate::support::{Gateway, Options, PATIENCE};

/// A gateway and the partners it calls.
pub struct World {
    pub gateway: Gateway,
    pub partners: Partners,
}

/// Retries soon, and a breaker that stays out of the way: tests of it set their own.
pub const QUICK: &str = "courier.sales.timeout = \"2s\"\n\
                         courier.sales.retry_delays = [\"100ms\", \"200ms\", \"400ms\"]\n\
                         courier.sales.retry_jitter_percent = 10\n\
                         courier.sales.breaker_failures = 1000\n\
                         courier.sales.second_rounds = []\n";

impl World {
    pub async fn start() -> Self {
        Self::start_with(QUICK).await
    }

    /// With these lines at the top of the configuration.
    pub async fn start_with(top: &str) -> Self {
        let partners = Partners::start().await;
        let gateway = Gateway::start_with(&partners.options(&Options { top: top.to_owned(), ..Options::default() }));
        Self { gateway, partners }
    }
}

/// Waits for what must happen.
pub async fn in_time<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}
