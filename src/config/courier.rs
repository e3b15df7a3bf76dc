//! How a target is called: the settings of the courier, with the contract's values for each kind of target.

use std::time::Duration;

use crate::config::settings::TlsSettings;

/// One target's.
#[derive(Debug, Clone, PartialEq)]
pub struct CourierSettings {
    /// From the begin of a request to the end of its answer.
    pub timeout: Duration,
    /// Requests under way at once.
    pub concurrency: usize,
    /// Requests a minute; 0 is no limit.
    pub rate_per_minute: u32,
    pub retry: RetrySettings,
    pub breaker: BreakerSettings,
    /// When a held record is tried again by itself.
    pub second_rounds: Vec<Duration>,
    pub tls: TlsSettings,
}

/// How often, and after which delays, a record is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySettings {
    /// The delays by number, where given; else `retries` of them that double.
    pub delays: Option<Vec<Duration>>,
    pub retries: u16,
    pub first: Duration,
    pub most: Duration,
    /// A delay is up to so many percent longer.
    pub jitter_percent: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    pub open_for: Duration,
    /// Successes in a row, of one probe after the other, that close it.
    pub successes: u32,
}

/// Kinds of targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    #[default]
    Sales,
    Erp,
    Esignature,
}

impl CourierSettings {
    /// Source: `contracts/canonical-events.md` section 9; rate and concurrency are ours.
    pub fn of(profile: Profile) -> Self {
        let seconds = Duration::from_secs;
        let (timeout, retries, first, most, jitter_percent) = match profile {
            Profile::Sales => (30, 3, 1, 30, 10),
            Profile::Erp => (45, 5, 2, 60, 20),
            Profile::Esignature => (60, 3, 1, 30, 0),
        };
        let (failures, open_for, successes) = match profile {
            Profile::Sales => (5, 60, 2),
            Profile::Erp => (3, 120, 2),
            Profile::Esignature => (5, 300, 3),
        };
        Self {
            timeout: seconds(timeout),
            concurrency: 16,
            rate_per_minute: 0,
            retry: RetrySettings { delays: None, retries, first: seconds(first), most: seconds(most), jitter_percent },
            breaker: BreakerSettings { failures, open_for: seconds(open_for), successes },
            second_rounds: [15, 60, 360].map(|minutes| seconds(minutes * 60)).to_vec(),
            tls: TlsSettings::default(),
        }
    }
}

/// A sales system's.
impl Default for CourierSettings {
    fn default() -> Self {
        Self::of(Profile::Sales)
    }
}
