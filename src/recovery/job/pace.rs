//! How fast a job goes, and when it goes no further.

use serde::{Deserialize, Serialize};

/// How a job is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// Items begun a second, 1 to 1 000, once the job is warm.
    pub per_second: u32,
    /// Items that are begun first; nothing more is begun before each of them has an outcome. At most 10 000.
    pub canary: u32,
    /// The job stops when more than this share of the items with an outcome failed, 0 to 100.
    pub most_failed_percent: u32,
    /// Who began it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operator: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `{name}` to be {from} to {to}, found {found}")]
pub struct Error {
    name: &'static str,
    from: u32,
    to: u32,
    found: u32,
}

/// From the end of the canary to the full pace.
const RAMP_MS: f64 = 30_000.0;
/// Of the full pace, at the beginning of the ramp.
const COLD: f64 = 0.1;

impl Default for Pace {
    fn default() -> Self {
        Self { per_second: 10, canary: 10, most_failed_percent: 20, operator: String::new() }
    }
}

impl Pace {
    /// # Errors
    /// `Error` names the first number that is out of its bounds.
    pub fn check(self) -> Result<Self, Error> {
        for (name, from, to, found) in [
            ("per_second", 1, 1_000, self.per_second),
            ("canary", 0, 10_000, self.canary),
            ("most_failed_percent", 0, 100, self.most_failed_percent),
        ] {
            if !(from..=to).contains(&found) {
                return Err(Error { name, from, to, found });
            }
        }
        Ok(self)
    }

    pub fn to_json(&self) -> String {
        // Texts and numbers are always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What cannot be read is the usual pace.
    pub fn of_json(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Whether too many of `settled` items failed.
    pub fn is_exceeded(&self, failed: u64, settled: u64) -> bool {
        failed.saturating_mul(100) > settled.saturating_mul(u64::from(self.most_failed_percent))
    }

    /// Items that may have been begun `elapsed_ms` after the beginning, at the full pace from the first moment.
    pub fn steady(&self, elapsed_ms: i64) -> u64 {
        whole(f64::from(self.per_second) * millis(elapsed_ms) / 1_000.0)
    }

    /// Items that may have been begun `elapsed_ms` after the beginning of the ramp: a tenth of the pace at first, all of
    /// it after half a minute.
    pub fn ramped(&self, elapsed_ms: i64) -> u64 {
        let (elapsed, per_ms) = (millis(elapsed_ms), f64::from(self.per_second) / 1_000.0);
        let warming = elapsed.min(RAMP_MS);
        let begun = COLD * warming + (1.0 - COLD) * warming * warming / (2.0 * RAMP_MS);
        whole(per_ms * (begun + (elapsed - warming)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a job does not run for 285 000 years")]
fn millis(elapsed_ms: i64) -> f64 {
    elapsed_ms.max(0) as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative; too large is as large as can be"
)]
fn whole(items: f64) -> u64 {
    items as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_warms_up_before_it_goes_at_its_pace() {
        let pace = Pace { per_second: 100, ..Pace::default() };

        let begun = [0, 1_000, 10_000, 30_000, 31_000, 60_000].map(|elapsed| pace.ramped(elapsed));

        assert_eq!(begun, [0, 11, 250, 1_650, 1_750, 4_650]);
        assert_eq!([-5, 0, 999, 1_000].map(|elapsed| pace.steady(elapsed)), [0, 0, 99, 100]);
    }

    #[test]
    fn a_share_is_exceeded_when_it_is_more() {
        let pace = |most_failed_percent| Pace { most_failed_percent, ..Pace::default() };
        for (percent, failed, settled, expected) in
            [(20, 2, 10, false), (20, 3, 10, true), (0, 0, 10, false), (0, 1, 1_000, true), (100, 9, 9, false)]
        {
            assert_eq!(pace(percent).is_exceeded(failed, settled), expected, "{failed} of {settled} at {percent} %");
        }
    }

    #[test]
    fn a_pace_out_of_bounds_is_refused_by_name() {
        let refused = Pace { per_second: 0, ..Pace::default() }.check().unwrap_err();

        assert_eq!(refused.to_string(), "expected `per_second` to be 1 to 1000, found 0");
        assert!(Pace { most_failed_percent: 101, ..Pace::default() }.check().is_err());
        assert_eq!(Pace::of_json(Some(&Pace::default().to_json())), Pace::default());
        assert_eq!(Pace::of_json(Some("{")), Pace::default());
    }
}
