//! After which delays a record is tried again: the retry topics of a target's lanes.
//!
//! A delay here is the tier's. By how much a record is later than that, so that those that failed together do not come
//! back together, the lane draws from record and tier ([`Policy::delay_ms`]): a restart and the other engine draw the same.

use std::time::Duration;

use crate::backoff;
use crate::config::courier::{CourierSettings, RetrySettings};
use crate::lane::{Policy, Tier};

/// The delays by number of failures: the list that is given, else as many as there are retries, each twice the one
/// before, up to the longest.
pub fn delays(settings: &RetrySettings) -> Vec<Duration> {
    if let Some(delays) = &settings.delays {
        return delays.clone();
    }
    // Without jitter: that is the lane's.
    let policy = backoff::Policy { first: settings.first, most: settings.most, jitter: 0.0 };
    let mut delays = backoff::Delays::new(policy);
    (0..settings.retries).map(|_| delays.next_delay()).collect()
}

/// Gives a lane of the target its delays, its attempts and its second rounds; the rest of `policy` stays.
pub fn apply(settings: &CourierSettings, policy: &mut Policy) {
    let delays = delays(&settings.retry);
    policy.attempts = u16::try_from(delays.len()).unwrap_or(u16::MAX).saturating_add(1);
    policy.tiers = delays.into_iter().map(|delay| Tier { delay, retired: false }).collect();
    policy.jitter_permille = settings.retry.jitter_percent.saturating_mul(10);
    policy.second_rounds.clone_from(&settings.second_rounds);
    policy.concurrency = settings.concurrency;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::courier::Profile;

    #[test]
    fn each_kind_of_target_has_the_delays_of_the_contract() {
        for (profile, expected, jitter_permille) in [
            (Profile::Sales, vec![1, 2, 4], 100),
            (Profile::Erp, vec![2, 4, 8, 16, 32], 200),
            (Profile::Esignature, vec![1, 2, 4], 0),
        ] {
            let mut policy = Policy::default();
            apply(&CourierSettings::of(profile), &mut policy);

            let seconds: Vec<_> = policy.tiers.iter().map(|tier| tier.delay.as_secs()).collect();
            assert_eq!(seconds, expected, "{profile:?}");
            assert_eq!(usize::from(policy.attempts), expected.len() + 1, "{profile:?}");
            assert_eq!(policy.jitter_permille, jitter_permille, "{profile:?}");
            let longest = policy.delay_ms(0, 17);
            let least = i64::try_from(expected[0] * 1_000).unwrap();
            assert!((least..=least + least * i64::from(jitter_permille) / 1_000).contains(&longest), "{profile:?}");
        }
    }

    #[test]
    fn delays_stop_growing_at_the_longest_and_a_list_is_taken_as_it_is() {
        let seconds = |seconds: &[u64]| seconds.iter().copied().map(Duration::from_secs).collect::<Vec<_>>();
        let doubled = RetrySettings { retries: 7, ..CourierSettings::default().retry };
        assert_eq!(delays(&doubled), seconds(&[1, 2, 4, 8, 16, 30, 30]));

        let listed = RetrySettings { delays: Some(seconds(&[5, 300, 5])), ..doubled.clone() };
        assert_eq!(delays(&listed), seconds(&[5, 300, 5]));

        let none = RetrySettings { retries: 0, ..doubled };
        assert_eq!(delays(&none), Vec::<Duration>::new());
    }
}
