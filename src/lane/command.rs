//! Operators' commands, as records of the control topic.
//!
//! The verb and its arguments are headers; the value is the payload a command brings along, so that it is moved like
//! any other record. Commands are executed by the lane's owner, in the order of the topic as far as each key goes.

use crate::lane::header;
use crate::lane::moved::{Fields, is_own};
use crate::lane::place::{Key, Seq};
use crate::log::{Header, Record};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Executed once, however often it is written. At most 128 bytes.
    pub id: String,
    pub key: Key,
    pub verb: Verb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// One attempt at the held head; if it succeeds, what waits behind it follows.
    Retry,
    /// As `Retry`, with the value of the command's record.
    Edit { seq: Seq },
    /// Ends one outstanding record without an attempt. Why stands in the ledger and in header `cd-reason`.
    Skip { seq: Seq },
    /// Skips every outstanding record of the key up to `through`, the last one the operator saw.
    Purge { through: Seq },
    /// Brings a dead record back; the command's record is the dead letter, `hop` and `attempts` what its headers say.
    Replay { seq: Seq, hop: u32, attempts: u16, is_forced: bool },
}

/// A control record that is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("command lacks header `{0}`, or it is not as expected")]
    Header(&'static str),
    #[error("command `{0}` is not known")]
    Verb(String),
}

const MAX_ID_BYTES: usize = 128;

impl Command {
    /// The headers of the control record, to be put before any others.
    pub fn headers(&self) -> Vec<Header> {
        let mut headers = vec![
            Header::text(header::COMMAND, self.id.clone()),
            Header { name: header::COMMAND_KEY.to_owned(), value: self.key.as_bytes().to_vec().into() },
        ];
        let mut number = |name: &str, number: i64| headers.push(Header::text(name, number.to_string()));
        let verb = match self.verb {
            Verb::Retry => "retry",
            Verb::Edit { seq } => {
                number(header::COMMAND_SEQ, seq);
                "edit"
            }
            Verb::Skip { seq } => {
                number(header::COMMAND_SEQ, seq);
                "skip"
            }
            Verb::Purge { through } => {
                number(header::COMMAND_SEQ, through);
                "purge"
            }
            Verb::Replay { seq, hop, attempts, is_forced } => {
                number(header::COMMAND_SEQ, seq);
                number(header::COMMAND_HOP, i64::from(hop));
                number(header::COMMAND_ATTEMPTS, i64::from(attempts));
                number(header::COMMAND_FORCE, i64::from(is_forced));
                "replay"
            }
        };
        headers.push(Header::text(header::COMMAND_VERB, verb));
        headers
    }

    /// # Errors
    /// [`Error`] names what is wrong: the record is finished without effect, and the operator is told.
    pub fn read(record: &Record) -> Result<Self, Error> {
        let fields = Fields(&record.headers);
        let id = fields.text(header::COMMAND).filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES);
        let id = id.ok_or(Error::Header(header::COMMAND))?.to_owned();
        let key = fields.bytes(header::COMMAND_KEY).and_then(|key| Key::new(key));
        let key = key.ok_or(Error::Header(header::COMMAND_KEY))?;
        let seq = || fields.number::<Seq>(header::COMMAND_SEQ).ok_or(Error::Header(header::COMMAND_SEQ));
        let verb = match fields.text(header::COMMAND_VERB).ok_or(Error::Header(header::COMMAND_VERB))? {
            "retry" => Verb::Retry,
            "edit" => Verb::Edit { seq: seq()? },
            "skip" => Verb::Skip { seq: seq()? },
            "purge" => Verb::Purge { through: seq()? },
            "replay" => Verb::Replay {
                seq: seq()?,
                hop: fields.number(header::COMMAND_HOP).ok_or(Error::Header(header::COMMAND_HOP))?,
                attempts: fields.number(header::COMMAND_ATTEMPTS).ok_or(Error::Header(header::COMMAND_ATTEMPTS))?,
                is_forced: match fields.number(header::COMMAND_FORCE) {
                    Some(0u8) => false,
                    Some(1) => true,
                    _ => return Err(Error::Header(header::COMMAND_FORCE)),
                },
            },
            verb => return Err(Error::Verb(verb.to_owned())),
        };
        Ok(Self { id, key, verb })
    }
}

/// `record` as it was before a command carried it: without the command's headers.
pub fn carried(record: &Record) -> Record {
    let headers = record.headers.iter().filter(|header| !is_own(&header.name, header::COMMAND_PREFIX));
    Record { headers: headers.cloned().collect(), ..record.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for verb in [
            Verb::Retry,
            Verb::Edit { seq: 7 },
            Verb::Skip { seq: i64::MAX },
            Verb::Purge { through: 9 },
            Verb::Replay { seq: 3, hop: 4, attempts: 2, is_forced: true },
            Verb::Replay { seq: 3, hop: 0, attempts: 0, is_forced: false },
        ] {
            let command = Command { id: "c-1".to_owned(), key: Key::new(b"north|\xff").unwrap(), verb };
            let record = Record { headers: command.headers(), ..Record::default() };

            assert_eq!(Command::read(&record), Ok(command));
            assert_eq!(carried(&record).headers, []);
        }
    }

    #[test]
    fn a_record_that_is_no_command_says_why() {
        let whole = Command { id: "c".to_owned(), key: Key::new(b"k").unwrap(), verb: Verb::Skip { seq: 1 } }.headers();
        let with = |name: &str, value: &str| {
            let mut headers: Vec<_> = whole.iter().filter(|header| header.name != name).cloned().collect();
            headers.push(Header::text(name, value));
            Command::read(&Record { headers, ..Record::default() })
        };

        assert_eq!(Command::read(&Record::default()), Err(Error::Header(header::COMMAND)));
        assert_eq!(with(header::COMMAND, &"x".repeat(129)), Err(Error::Header(header::COMMAND)));
        assert_eq!(with(header::COMMAND_KEY, ""), Err(Error::Header(header::COMMAND_KEY)));
        assert_eq!(with(header::COMMAND_SEQ, "1e3"), Err(Error::Header(header::COMMAND_SEQ)));
        assert_eq!(with(header::COMMAND_VERB, "drop"), Err(Error::Verb("drop".to_owned())));
        assert_eq!(with(header::COMMAND_VERB, "replay"), Err(Error::Header(header::COMMAND_HOP)));
    }
}
