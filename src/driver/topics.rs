//! The topics of one lane topic, and which of them is what to its lanes.
//!
//! A retry topic is called `<topic>.retry.<number>.<delay>`. Its number is what offsets, decisions and copies know it
//! by, so it keeps it for ever: a delay that is configured anew gets a number nobody had, and a retry topic that is
//! found and not configured any more is *retired*: read until it is empty, and not written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::lane::{Policy, Tier, Topic};
use crate::topics::Role;

/// Numbers of retry topics are from 1 to this.
const MOST_TIERS: usize = 254;

/// A delay has no number left: too many retry topics were configured in the course of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("lane topic `{topic}` has no number left for a retry topic: at most {MOST_TIERS} are told apart")]
pub struct Error {
    pub topic: String,
}

/// All topics of one lane topic. They have as many partitions as it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    pub source: Arc<str>,
    pub held: Arc<str>,
    pub control: Arc<str>,
    /// The dead letters.
    pub dead: Arc<str>,
    /// By number.
    pub tiers: BTreeMap<u8, TierTopic>,
}

/// One retry topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierTopic {
    pub name: Arc<str>,
    pub delay: Duration,
    /// Not configured any more.
    pub retired: bool,
}

impl Topics {
    /// The topics of lane topic `source` with `delays` configured, where the log has `existing`.
    ///
    /// Delays take the numbers of existing retry topics with the same delay as long as these go up; the others get new
    /// ones, above all that exist.
    ///
    /// # Errors
    /// [`Error`] if there are more retry topics than numbers.
    pub fn of<'a>(
        source: &str,
        delays: impl IntoIterator<Item = Duration>,
        existing: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        let prefix = format!("{source}.retry.");
        let mut tiers: BTreeMap<u8, TierTopic> = BTreeMap::new();
        for name in existing {
            let Some((number, delay)) = name.strip_prefix(&prefix).and_then(parse) else { continue };
            tiers.insert(number, TierTopic { name: Arc::from(name), delay, retired: true });
        }
        let mut last = 0;
        for delay in delays {
            let found = tiers.range(last + 1..).find(|(_, tier)| tier.delay == delay).map(|(number, _)| *number);
            let next = tiers.last_key_value().map_or(0, |(number, _)| *number).max(last).checked_add(1);
            let number = found.or(next).ok_or_else(|| Error { topic: source.to_owned() })?;
            let name = || Arc::from(format!("{prefix}{number}.{}", text(delay)));
            tiers.entry(number).or_insert_with(|| TierTopic { name: name(), delay, retired: false }).retired = false;
            if number == u8::MAX {
                return Err(Error { topic: source.to_owned() });
            }
            last = number;
        }
        Ok(Self {
            source: Arc::from(source),
            held: Arc::from(format!("{source}.held")),
            control: Arc::from(format!("{source}.control")),
            dead: Arc::from(format!("dlq.{source}")),
            tiers,
        })
    }

    /// Every topic with what it is for, the lane's own first.
    pub fn all(&self) -> Vec<(Arc<str>, Role)> {
        let tiers = self.tiers.values().map(|tier| (&tier.name, Role::Retry));
        let others = [(&self.held, Role::Held), (&self.control, Role::Control), (&self.dead, Role::DeadLetter)];
        let all = [(&self.source, Role::Intake)].into_iter().chain(tiers).chain(others);
        all.map(|(name, role)| (Arc::clone(name), role)).collect()
    }

    /// `policy` with these tiers. A number that no topic has is a tier out of use.
    pub fn policy(&self, policy: &Policy) -> Policy {
        let most = self.tiers.last_key_value().map_or(0, |(number, _)| *number);
        let tier = |number| match self.tiers.get(&number) {
            Some(tier) => Tier { delay: tier.delay, retired: tier.retired },
            None => Tier { delay: Duration::ZERO, retired: true },
        };
        Policy { tiers: (1..=most).map(tier).collect(), ..policy.clone() }
    }

    /// What the lane calls its own, the control topic and the tiers that exist: those it commits offsets of.
    pub fn committed(&self) -> impl Iterator<Item = (Topic, &Arc<str>)> {
        let tiers = self.tiers.iter().map(|(number, tier)| (Topic::Tier(number.saturating_sub(1)), &tier.name));
        [(Topic::Control, &self.control), (Topic::Source, &self.source)].into_iter().chain(tiers)
    }

    /// `None`: there is no such topic.
    pub fn name(&self, topic: Topic) -> Option<&Arc<str>> {
        match topic {
            Topic::Control => Some(&self.control),
            Topic::Held => Some(&self.held),
            Topic::Source => Some(&self.source),
            Topic::Tier(tier) => self.tiers.get(&tier.checked_add(1)?).map(|tier| &tier.name),
        }
    }
}

/// As topic names have it: `500ms`, `2s`, `15m`.
fn text(delay: Duration) -> String {
    let ms = delay.as_millis();
    match (ms % 60_000, ms % 1_000) {
        (0, _) if ms > 0 => format!("{}m", ms / 60_000),
        (_, 0) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

/// Number and delay of `<number>.<delay>`; `None`: none of ours.
fn parse(rest: &str) -> Option<(u8, Duration)> {
    let (number, delay) = rest.split_once('.')?;
    let number = number.parse().ok().filter(|parsed: &u8| *parsed > 0 && parsed.to_string() == number)?;
    let digits = delay.find(|c: char| !c.is_ascii_digit())?;
    let (amount, unit) = delay.split_at_checked(digits)?;
    let amount: u64 = amount.parse().ok()?;
    let ms = match unit {
        "ms" => amount,
        "s" => amount.checked_mul(1_000)?,
        "m" => amount.checked_mul(60_000)?,
        _ => return None,
    };
    Some((number, Duration::from_millis(ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: &str = "crossdock.out.pyxis-north";

    fn tiers(delays_ms: &[u64], existing: &[&str]) -> Vec<(u8, String, bool)> {
        let existing: Vec<_> = existing.iter().map(|rest| format!("{OUT}.retry.{rest}")).collect();
        let delays = delays_ms.iter().map(|ms| Duration::from_millis(*ms));
        let topics = Topics::of(OUT, delays, existing.iter().map(String::as_str)).expect("few enough");
        let told = |(number, tier): (&u8, &TierTopic)| {
            let rest = tier.name.strip_prefix(OUT).expect("named after the lane topic");
            (*number, rest.to_owned(), tier.retired)
        };
        topics.tiers.iter().map(told).collect()
    }

    #[test]
    fn a_retry_topic_keeps_its_number_and_a_new_delay_gets_a_new_one() {
        for (name, delays, existing, expected) in [
            (
                "new",
                &[500, 2_000, 120_000][..],
                &[][..],
                &[(1, "1.500ms", false), (2, "2.2s", false), (3, "3.2m", false)][..],
            ),
            ("the same again", &[1_000, 2_000], &["1.1s", "2.2s"], &[(1, "1.1s", false), (2, "2.2s", false)]),
            ("twice the same delay", &[1_000, 1_000], &["1.1s"], &[(1, "1.1s", false), (2, "2.1s", false)]),
            ("one less", &[1_000], &["1.1s", "2.2s"], &[(1, "1.1s", false), (2, "2.2s", true)]),
            (
                "the first is another",
                &[5_000, 2_000],
                &["1.1s", "2.2s"],
                &[(1, "1.1s", true), (2, "2.2s", true), (3, "3.5s", false), (4, "4.2s", false)],
            ),
            ("one was deleted", &[2_000, 4_000], &["2.2s"], &[(2, "2.2s", false), (3, "3.4s", false)]),
            ("no retry", &[], &["1.1s"], &[(1, "1.1s", true)]),
            ("foreign names", &[1_000], &["0.1s", "x.1s", "01.1s", "2.1h", "3", "300.1s"], &[(1, "1.1s", false)]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|(number, rest, retired)| (*number, format!(".retry.{rest}"), *retired)).collect();
            assert_eq!(tiers(delays, existing), expected, "{name}");
        }
    }

    #[test]
    fn a_number_without_a_topic_is_a_tier_out_of_use() {
        let topics = Topics::of(OUT, [Duration::from_secs(2)], [&*format!("{OUT}.retry.2.2s")]).expect("one tier");

        let policy = topics.policy(&Policy::default());

        assert_eq!(policy.tiers.iter().map(|tier| tier.retired).collect::<Vec<_>>(), [true, false]);
        assert_eq!(policy.first_tier(), Some(1));
        assert_eq!((topics.name(Topic::Tier(0)), topics.committed().count()), (None, 3));
        assert_eq!(topics.name(Topic::Tier(1)).map(|name| &**name), Some("crossdock.out.pyxis-north.retry.2.2s"));
    }

    #[test]
    fn more_delays_than_numbers_are_refused() {
        assert!(Topics::of(OUT, (1..256).map(Duration::from_secs), []).is_err());
        assert!(Topics::of(OUT, (1..255).map(Duration::from_secs), []).is_ok());
    }
}
