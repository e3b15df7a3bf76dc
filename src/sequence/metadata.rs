//! The text kept beside the lane's committed offset: what else that commit finished.
//!
//! `cd1:<finished>;t=<n>;h=<ms>/<offset>`. `cd1` is the version. `finished` is the place of the bitset of offsets
//! finished above the committed one, at most [`MAX_FINISHED`] characters; a lane without retries finishes in order
//! and leaves it empty. `t` is the number of the last timer whose effects are in the log, `h` its place in the order
//! in which timers run, absent before the first one: after a loss of the store it tells which of those found again
//! have already spoken.
//!
//! An offset without this text was not committed by a lane: it was reset by a tool, or has expired.

/// Longest text a log keeps beside an offset: Kafka's limit.
pub const MAX_BYTES: usize = 4_096;

/// Characters left to the bitset: 2 800 bytes in base64.
pub const MAX_FINISHED: usize = 3_736;

const FAMILY: &str = "cd";
const VERSION: &str = "cd1:";

/// What a commit of this lane says beside its offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Number of the last timer whose effects are committed; 0 before the first.
    pub timers: u64,
    /// The place of that timer.
    pub horizon: Option<Horizon>,
}

/// The place of a timer in the order in which they run: by deadline, then by the record that set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Horizon {
    /// Epoch milliseconds.
    pub deadline: i64,
    pub offset: i64,
}

/// A text of ours this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("offset metadata is of a newer version, expected `cd1`")]
    Newer,
    #[error("offset metadata of version `cd1` is damaged")]
    Damaged,
}

impl Metadata {
    /// The text to commit, at most 80 bytes.
    pub fn to_text(self) -> String {
        match self.horizon {
            Some(Horizon { deadline, offset }) => format!("{VERSION};t={};h={deadline}/{offset}", self.timers),
            None => format!("{VERSION};t={}", self.timers),
        }
    }

    /// `None`: the text is not ours.
    ///
    /// # Errors
    /// [`Error`] if it is ours and says something this version does not understand: going on would forget it.
    pub fn parse(text: &str) -> Result<Option<Self>, Error> {
        let Some(fields) = text.strip_prefix(VERSION) else {
            return if is_of_another_version(text) { Err(Error::Newer) } else { Ok(None) };
        };
        let mut fields = fields.split(';');
        if fields.next() != Some("") {
            return Err(Error::Newer);
        }
        let mut timers = None;
        let mut horizon = None;
        for field in fields {
            match field.split_once('=') {
                Some(("t", number)) => timers = Some(number.parse().map_err(|_| Error::Damaged)?),
                Some(("h", place)) => horizon = Some(Horizon::parse(place).ok_or(Error::Damaged)?),
                _ => return Err(Error::Newer),
            }
        }
        Ok(Some(Self { timers: timers.ok_or(Error::Damaged)?, horizon }))
    }
}

impl Horizon {
    fn parse(text: &str) -> Option<Self> {
        let (deadline, offset) = text.split_once('/')?;
        Some(Self { deadline: deadline.parse().ok()?, offset: offset.parse().ok()? })
    }
}

fn is_of_another_version(text: &str) -> bool {
    let version = text.strip_prefix(FAMILY).and_then(|rest| rest.split_once(':'));
    version.is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for metadata in [
            Metadata::default(),
            Metadata { timers: 7, horizon: None },
            Metadata { timers: u64::MAX, horizon: Some(Horizon { deadline: i64::MIN, offset: i64::MAX }) },
        ] {
            let text = metadata.to_text();

            assert_eq!(Metadata::parse(&text), Ok(Some(metadata)), "{text}");
            assert!(text.len() + MAX_FINISHED <= MAX_BYTES, "{text} leaves room for the bitset");
        }
    }

    #[test]
    fn foreign_text_is_not_ours_and_ours_is_never_guessed() {
        for (text, expected) in [
            ("", Ok(None)),
            ("reset by kafka-consumer-groups", Ok(None)),
            ("cd:", Ok(None)),
            ("cdx:;t=1", Ok(None)),
            ("cd1:;t=0", Ok(Some(Metadata::default()))),
            ("cd2:;t=1", Err(Error::Newer)),
            ("cd1:AAEC;t=1", Err(Error::Newer)), // offsets finished out of order
            ("cd1:;t=1;z=1", Err(Error::Newer)),
            ("cd1:", Err(Error::Damaged)),
            ("cd1:;t=", Err(Error::Damaged)),
            ("cd1:;t=-1", Err(Error::Damaged)),
            ("cd1:;t=1;h=soon", Err(Error::Damaged)),
            ("cd1:;t=1;h=77", Err(Error::Damaged)),
        ] {
            assert_eq!(Metadata::parse(text), expected, "{text}");
        }
    }
}
