//! What one commit of a lane says, beside its appends: how far each topic is finished, and where every record is.
//!
//! The log keeps it as offsets with metadata; the store keeps the last one it saw confirmed (P). In the lane's own
//! topic the metadata goes on after the bitset: `;n=<number>;b=<balance>`. The number grows with every commit, so
//! that two commits never say the same and the one that is behind, log or store, can be told.

use std::collections::BTreeMap;

use crate::lane::marks::{self, Finished};
use crate::lane::place::Topic;

/// State of a lane as of one commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of the commit, from 1; 0 before the first.
    pub number: u64,
    /// The control topic, the tiers and the lane's own topic. The held topic has none: tombstones say what is finished.
    pub finished: BTreeMap<Topic, Finished>,
    pub balance: Balance,
}

/// Where the records a lane took are: `taken` is the sum of the others at every commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    pub taken: u64,
    pub applied: u64,
    pub superseded: u64,
    pub skipped: u64,
    pub dead: u64,
    pub held: u64,
    pub parked: u64,
    /// In the retry topics.
    pub in_flight: u64,
}

/// Reads one state of a balance.
type State = fn(&Balance) -> u64;

impl Balance {
    /// The states by name, as metrics and answers write them.
    pub const STATES: [(&'static str, State); 8] = [
        ("taken", |balance| balance.taken),
        ("applied", |balance| balance.applied),
        ("superseded", |balance| balance.superseded),
        ("skipped", |balance| balance.skipped),
        ("dead", |balance| balance.dead),
        ("held", |balance| balance.held),
        ("parked", |balance| balance.parked),
        ("in_flight", |balance| balance.in_flight),
    ];

    pub fn is_even(&self) -> bool {
        let Self { taken, applied, superseded, skipped, dead, held, parked, in_flight } = *self;
        let parts = [applied, superseded, skipped, dead, held, parked, in_flight];
        parts.into_iter().try_fold(0u64, u64::checked_add) == Some(taken)
    }

    /// Sets `taken` to the sum of the others.
    pub(super) fn even(&mut self) {
        let Self { applied, superseded, skipped, dead, held, parked, in_flight, .. } = *self;
        let parts = [applied, superseded, skipped, dead, held, parked, in_flight];
        self.taken = parts.into_iter().fold(0, u64::saturating_add);
    }

    fn parts(&mut self) -> [&mut u64; 8] {
        let Self { taken, applied, superseded, skipped, dead, held, parked, in_flight } = self;
        [taken, applied, superseded, skipped, dead, held, parked, in_flight]
    }
}

impl Checkpoint {
    /// How far `topic` is finished.
    pub fn of(&self, topic: Topic) -> Finished {
        self.finished.get(&topic).cloned().unwrap_or_default()
    }

    /// Text beside the committed offset of `topic`, at most 2 800 bytes.
    pub fn text(&self, topic: Topic) -> String {
        let mut text = self.of(topic).to_text();
        if topic == Topic::Source {
            let mut balance = self.balance;
            let parts = balance.parts().map(|part| part.to_string());
            text.push_str(&format!(";n={};b={}", self.number, parts.join(",")));
        }
        text
    }

    /// Takes over what the log has committed for `topic`; `false` if another tool has committed it.
    ///
    /// # Errors
    /// [`marks::Error`] if the text is ours and cannot be read.
    pub fn learn(&mut self, topic: Topic, offset: i64, text: &str) -> Result<bool, marks::Error> {
        let Some((finished, rest)) = Finished::parse(offset, text)? else { return Ok(false) };
        if topic == Topic::Source {
            (self.number, self.balance) = parse_count(rest).ok_or(marks::Error::Damaged)?;
        } else if !rest.is_empty() {
            return Err(marks::Error::Newer);
        }
        self.finished.insert(topic, finished);
        Ok(true)
    }
}

impl Checkpoint {
    /// The whole of it, as the store keeps it: number and balance, then a line a topic with its offset and bitset.
    pub fn to_text(&self) -> String {
        let mut balance = self.balance;
        let parts = balance.parts().map(|part| part.to_string());
        let mut text = format!("n={};b={}", self.number, parts.join(","));
        for (topic, finished) in &self.finished {
            text.push_str(&format!("\n{topic} {} {}", finished.low, finished.to_text()));
        }
        text
    }

    /// What [`Checkpoint::to_text`] gave.
    ///
    /// # Errors
    /// [`marks::Error`] if it is damaged, or of a newer version.
    pub fn parse(text: &str) -> Result<Self, marks::Error> {
        let mut lines = text.split('\n');
        let count = lines.next().and_then(parse_count);
        let (number, balance) = count.ok_or(marks::Error::Damaged)?;
        let mut checkpoint = Self { number, finished: BTreeMap::new(), balance };
        for line in lines {
            let mut words = line.splitn(3, ' ');
            let topic = words.next().and_then(Topic::named).ok_or(marks::Error::Damaged)?;
            let offset = words.next().and_then(|offset| offset.parse().ok()).ok_or(marks::Error::Damaged)?;
            match Finished::parse(offset, words.next().unwrap_or_default())? {
                Some((finished, "")) => checkpoint.finished.insert(topic, finished),
                _ => return Err(marks::Error::Damaged),
            };
        }
        Ok(checkpoint)
    }
}

fn parse_count(text: &str) -> Option<(u64, Balance)> {
    let (number, balance) = text.strip_prefix("n=")?.split_once(";b=")?;
    let mut parsed = Balance::default();
    let mut found = balance.split(',');
    for part in parsed.parts() {
        *part = found.next()?.parse().ok()?;
    }
    if found.next().is_some() {
        return None;
    }
    Some((number.parse().ok()?, parsed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::policy::MAX_SOURCE_SPAN;

    const FULL: Balance = Balance {
        taken: u64::MAX,
        applied: u64::MAX,
        superseded: u64::MAX,
        skipped: u64::MAX,
        dead: u64::MAX,
        held: u64::MAX,
        parked: u64::MAX,
        in_flight: u64::MAX,
    };

    #[test]
    fn the_longest_text_is_read_back_and_below_2800_bytes() {
        let bits = vec![0xff; usize::try_from(MAX_SOURCE_SPAN / 8).unwrap()];
        let finished = [(Topic::Source, Finished { low: 5, bits })].into();
        let checkpoint = Checkpoint { number: u64::MAX, finished, balance: FULL };

        let text = checkpoint.text(Topic::Source);

        assert!(text.len() < 2_800, "{} bytes", text.len());
        let mut read = Checkpoint::default();
        assert_eq!(read.learn(Topic::Source, 5, &text), Ok(true));
        assert_eq!(read, checkpoint);
    }

    #[test]
    fn a_text_that_is_not_whole_is_refused() {
        for (topic, text, expected) in [
            (Topic::Source, "", Ok(false)),
            (Topic::Source, "cd1:", Err(marks::Error::Damaged)),
            (Topic::Source, "cd1:;n=1;b=1,1,0,0,0,0,0", Err(marks::Error::Damaged)),
            (Topic::Source, "cd1:;n=1;b=1,1,0,0,0,0,0,0,0", Err(marks::Error::Damaged)),
            (Topic::Source, "cd1:;n=1;b=1,1,0,0,0,0,0,0", Ok(true)),
            (Topic::Tier(0), "cd1:AQ", Ok(true)),
            (Topic::Tier(0), "cd1:;n=1", Err(marks::Error::Newer)),
        ] {
            assert_eq!(Checkpoint::default().learn(topic, 3, text), expected, "{topic} {text}");
        }
    }

    #[test]
    fn what_the_store_keeps_is_read_back_whole() {
        let marks = |low, bits: &[u8]| Finished { low, bits: bits.to_vec() };
        let finished = [
            (Topic::Control, marks(0, &[])),
            (Topic::Tier(0), marks(7, &[0xff, 1])),
            (Topic::Tier(255), marks(1, &[])),
            (Topic::Source, marks(i64::MAX, &[2])),
        ];
        for checkpoint in [
            Checkpoint::default(),
            Checkpoint { number: 3, finished: BTreeMap::new(), balance: FULL },
            Checkpoint { number: u64::MAX, finished: finished.into(), balance: FULL },
        ] {
            assert_eq!(Checkpoint::parse(&checkpoint.to_text()), Ok(checkpoint));
        }
        let count = "n=1;b=1,1,0,0,0,0,0,0";
        for (text, expected) in [
            (String::new(), marks::Error::Damaged),
            (format!("{count}\n"), marks::Error::Damaged),
            (format!("{count}\nretry.0 5 cd1:"), marks::Error::Damaged),
            (format!("{count}\nretry.257 5 cd1:"), marks::Error::Damaged),
            (format!("{count}\nsource 5 "), marks::Error::Damaged),
            (format!("{count}\nsource 5 cd1:;n=1"), marks::Error::Damaged),
            (format!("{count}\nsource 5 cd2:"), marks::Error::Newer),
        ] {
            assert_eq!(Checkpoint::parse(&text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_balance_is_even_only_if_every_record_is_in_one_state() {
        assert!(Balance { taken: 3, applied: 1, held: 2, ..Balance::default() }.is_even());
        assert!(!Balance { taken: 3, applied: 1, held: 1, ..Balance::default() }.is_even());
        assert!(!FULL.is_even());
    }
}
