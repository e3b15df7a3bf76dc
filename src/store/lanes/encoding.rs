//! Decisions, answers, failures and headers as they are stored: the same on every engine, so that a lane moves between
//! engines as it is. Codes are never given a new meaning.

use bytes::Bytes;

use crate::lane::batch::{Answer, CommandOutcome, Decision, Disposition, Failure, Move, Role, Ruling};
use crate::lane::place::{Key, Place, Seq, Topic};
use crate::log::Header;
use crate::store::effects;
use crate::store::wire::{Cursor, Error, put_bytes, put_number};

const VERSION: u8 = 1;

/// What of a decision has no column of its own: all but batch, origin and sequence.
pub(in crate::store) fn decision(decision: &Decision) -> Vec<u8> {
    let Decision { key, hop, attempts, payload, ruling, failure, .. } = decision;
    let mut bytes = vec![VERSION];
    put_bytes(&mut bytes, key.as_bytes());
    put_number(&mut bytes, u64::from(*hop));
    put_number(&mut bytes, u64::from(*attempts));
    bytes.push(topic(payload.topic));
    put_offset(&mut bytes, payload.offset);
    put_ruling(&mut bytes, *ruling);
    put_optional_failure(&mut bytes, failure.as_ref());
    bytes
}

/// The decision that [`decision`] put into `bytes`; it is a known one.
///
/// # Errors
/// One of [`Error`]; never a panic, whatever the bytes are.
pub(in crate::store) fn read_decision(batch: u64, origin: Place, seq: Seq, bytes: Bytes) -> Result<Decision, Error> {
    let mut cursor = Cursor::new(bytes, VERSION)?;
    let key = Key::new(&cursor.sized()?).ok_or_else(|| cursor.unknown(0))?;
    let hop = cursor.small()?;
    let attempts = cursor.small()?;
    let payload = Place { topic: read_topic(&mut cursor)?, offset: offset(&mut cursor)? };
    let ruling = ruling(&mut cursor)?;
    let failure = optional_failure(&mut cursor)?;
    cursor.end()?;
    Ok(Decision { batch, origin, seq, key, hop, attempts, payload, ruling, failure, is_known: true })
}

pub(in crate::store) fn answer(answer: &Answer) -> Vec<u8> {
    let (code, failure) = match answer {
        Answer::Applied => (1, None),
        Answer::Parked => (2, None),
        Answer::Failed(failure) => (3, Some(failure)),
        Answer::Rejected(failure) => (4, Some(failure)),
        Answer::Undecodable(failure) => (5, Some(failure)),
        Answer::TargetFailed => (6, None),
    };
    let mut bytes = vec![VERSION, code];
    failure.into_iter().for_each(|failure| put_failure(&mut bytes, failure));
    bytes
}

pub(in crate::store) fn read_answer(bytes: Bytes) -> Result<Answer, Error> {
    let mut cursor = Cursor::new(bytes, VERSION)?;
    let answer = match cursor.byte()? {
        1 => Answer::Applied,
        2 => Answer::Parked,
        3 => Answer::Failed(read_failure(&mut cursor)?),
        4 => Answer::Rejected(read_failure(&mut cursor)?),
        5 => Answer::Undecodable(read_failure(&mut cursor)?),
        6 => Answer::TargetFailed,
        code => return Err(cursor.unknown(code)),
    };
    cursor.end()?;
    Ok(answer)
}

pub(in crate::store) fn failure(failure: &Failure) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    put_failure(&mut bytes, failure);
    bytes
}

pub(in crate::store) fn failure_of(bytes: Bytes) -> Result<Failure, Error> {
    let mut cursor = Cursor::new(bytes, VERSION)?;
    let failure = read_failure(&mut cursor)?;
    cursor.end()?;
    Ok(failure)
}

pub(in crate::store) fn headers(headers: &[Header]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    effects::put_headers(&mut bytes, headers);
    bytes
}

pub(in crate::store) fn headers_of(bytes: Bytes) -> Result<Vec<Header>, Error> {
    let mut cursor = Cursor::new(bytes, VERSION)?;
    let headers = effects::headers(&mut cursor)?;
    cursor.end()?;
    Ok(headers)
}

/// 0 to 2, and from 3 on the tiers. A lane has fewer tiers than would fit.
pub(in crate::store) fn topic(topic: Topic) -> u8 {
    match topic {
        Topic::Source => 0,
        Topic::Control => 1,
        Topic::Held => 2,
        Topic::Tier(number) => number.saturating_add(3),
    }
}

pub(in crate::store) fn topic_of(code: u8) -> Topic {
    match code {
        0 => Topic::Source,
        1 => Topic::Control,
        2 => Topic::Held,
        tier => Topic::Tier(tier - 3),
    }
}

pub(in crate::store) fn role(role: Role) -> u8 {
    match role {
        Role::Head => 0,
        Role::Follower => 1,
    }
}

pub(in crate::store) fn role_of(code: u8) -> Option<Role> {
    match code {
        0 => Some(Role::Head),
        1 => Some(Role::Follower),
        _ => None,
    }
}

/// `None`: not stored, since the first command of that id may not be done.
pub(in crate::store) fn outcome(outcome: CommandOutcome) -> Option<u8> {
    match outcome {
        CommandOutcome::Done => Some(1),
        CommandOutcome::Nothing => Some(2),
        CommandOutcome::Overtaken => Some(3),
        CommandOutcome::NotHead => Some(4),
        CommandOutcome::Repeated => None,
    }
}

pub(in crate::store) fn outcome_of(code: u8) -> Option<CommandOutcome> {
    match code {
        1 => Some(CommandOutcome::Done),
        2 => Some(CommandOutcome::Nothing),
        3 => Some(CommandOutcome::Overtaken),
        4 => Some(CommandOutcome::NotHead),
        _ => None,
    }
}

fn put_ruling(bytes: &mut Vec<u8>, ruling: Ruling) {
    match ruling {
        Ruling::Applied => bytes.push(1),
        Ruling::Parked => bytes.push(2),
        Ruling::Superseded => bytes.push(3),
        Ruling::Skipped => bytes.push(4),
        Ruling::Dead(disposition) => bytes.extend([5, disposition_code(disposition)]),
        Ruling::Moved(Move { to, role: as_role, attempts, round, is_passing, disposition }) => {
            bytes.extend([6, topic(to), role(as_role), round, u8::from(is_passing)]);
            bytes.push(disposition.map_or(0, disposition_code));
            put_number(bytes, u64::from(attempts));
        }
    }
}

fn ruling(cursor: &mut Cursor) -> Result<Ruling, Error> {
    Ok(match cursor.byte()? {
        1 => Ruling::Applied,
        2 => Ruling::Parked,
        3 => Ruling::Superseded,
        4 => Ruling::Skipped,
        5 => {
            let code = cursor.byte()?;
            Ruling::Dead(disposition(code).ok_or_else(|| cursor.unknown(code))?)
        }
        6 => {
            let to = read_topic(cursor)?;
            let code = cursor.byte()?;
            let role = role_of(code).ok_or_else(|| cursor.unknown(code))?;
            let round = cursor.byte()?;
            let is_passing = cursor.byte()? != 0;
            let disposition = match cursor.byte()? {
                0 => None,
                code => Some(disposition(code).ok_or_else(|| cursor.unknown(code))?),
            };
            Ruling::Moved(Move { to, role, attempts: cursor.small()?, round, is_passing, disposition })
        }
        code => return Err(cursor.unknown(code)),
    })
}

/// From 1.
fn disposition_code(disposition: Disposition) -> u8 {
    match disposition {
        Disposition::AttemptsExhausted => 1,
        Disposition::Rejected => 2,
        Disposition::Undecodable => 3,
        Disposition::KeyOverflow => 4,
        Disposition::Flushed => 5,
    }
}

fn disposition(code: u8) -> Option<Disposition> {
    match code {
        1 => Some(Disposition::AttemptsExhausted),
        2 => Some(Disposition::Rejected),
        3 => Some(Disposition::Undecodable),
        4 => Some(Disposition::KeyOverflow),
        5 => Some(Disposition::Flushed),
        _ => None,
    }
}

fn put_optional_failure(bytes: &mut Vec<u8>, failure: Option<&Failure>) {
    bytes.push(u8::from(failure.is_some()));
    failure.into_iter().for_each(|failure| put_failure(bytes, failure));
}

fn optional_failure(cursor: &mut Cursor) -> Result<Option<Failure>, Error> {
    match cursor.byte()? {
        0 => Ok(None),
        1 => read_failure(cursor).map(Some),
        code => Err(cursor.unknown(code)),
    }
}

/// The status is one more than it is; 0: none.
fn put_failure(bytes: &mut Vec<u8>, failure: &Failure) {
    let Failure { class, http_status, message } = failure;
    put_bytes(bytes, class.as_bytes());
    put_number(bytes, http_status.map_or(0, |status| u64::from(status) + 1));
    put_bytes(bytes, message.as_bytes());
}

fn read_failure(cursor: &mut Cursor) -> Result<Failure, Error> {
    let class = cursor.text()?;
    let http_status = match cursor.number()?.checked_sub(1) {
        None => None,
        Some(status) => Some(u16::try_from(status).map_err(|_| cursor.too_large())?),
    };
    Ok(Failure { class, http_status, message: cursor.text()? })
}

fn read_topic(cursor: &mut Cursor) -> Result<Topic, Error> {
    cursor.byte().map(topic_of)
}

/// Offsets are not negative; one that is comes back all the same.
fn put_offset(bytes: &mut Vec<u8>, offset: i64) {
    put_number(bytes, offset.cast_unsigned());
}

fn offset(cursor: &mut Cursor) -> Result<i64, Error> {
    cursor.number().map(u64::cast_signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures() -> [Failure; 3] {
        let text = |text: &str| text.to_owned();
        [
            Failure::default(),
            Failure { class: text("http"), http_status: Some(503), message: text("é\0漢") },
            Failure { class: text(""), http_status: Some(u16::MAX), message: "x".repeat(1_000) },
        ]
    }

    fn decisions() -> Vec<Decision> {
        let moved = |to, role, disposition| {
            Ruling::Moved(Move { to, role, attempts: u16::MAX, round: 255, is_passing: true, disposition })
        };
        let rulings = [
            Ruling::Applied,
            Ruling::Parked,
            Ruling::Superseded,
            Ruling::Skipped,
            Ruling::Dead(Disposition::AttemptsExhausted),
            Ruling::Dead(Disposition::Undecodable),
            Ruling::Dead(Disposition::KeyOverflow),
            moved(Topic::Held, Role::Head, Some(Disposition::Rejected)),
            moved(Topic::Tier(250), Role::Follower, Some(Disposition::Flushed)),
            moved(Topic::Tier(0), Role::Head, None),
        ];
        let failures: Vec<_> = failures().into_iter().map(Some).chain([None]).collect();
        let decision = |(at, ruling): (usize, Ruling)| Decision {
            batch: 7,
            origin: Place::new(Topic::Tier(1), 9),
            seq: 3,
            key: Key::new(b"north|\xff\x00").unwrap(),
            hop: u32::MAX - at as u32,
            attempts: at as u16,
            payload: Place::new([Topic::Source, Topic::Control, Topic::Held][at % 3], i64::MAX - at as i64),
            ruling,
            failure: failures[at % failures.len()].clone(),
            is_known: true,
        };
        rulings.into_iter().enumerate().map(decision).collect()
    }

    #[test]
    fn what_is_stored_comes_back_equal() {
        for expected in decisions() {
            let bytes = decision(&expected).into();
            assert_eq!(read_decision(7, expected.origin, 3, bytes), Ok(expected));
        }
        let [a, b, c] = failures();
        for expected in
            [Answer::Applied, Answer::Parked, Answer::Failed(a), Answer::Rejected(b.clone()), Answer::Undecodable(c)]
        {
            assert_eq!(read_answer(answer(&expected).into()), Ok(expected));
        }
        assert_eq!(failure_of(failure(&b).into()), Ok(b));
        let expected = vec![Header { name: "n".to_owned(), value: Bytes::from_static(&[0xff, 0]) }];
        assert_eq!(headers_of(headers(&expected).into()), Ok(expected));
        for code in 0..=u8::MAX {
            assert_eq!(topic(topic_of(code)), code);
            assert!(role_of(code).is_none_or(|found| role(found) == code));
            assert!(outcome_of(code).is_none_or(|found| outcome(found) == Some(code)));
        }
    }

    #[test]
    fn damaged_bytes_are_refused_without_a_panic() {
        for whole in decisions() {
            let sound = decision(&whole);
            let read = |bytes: Vec<u8>| read_decision(7, whole.origin, 3, bytes.into());
            for len in 0..sound.len() {
                assert!(read(sound[..len].to_vec()).is_err(), "{len} bytes");
            }
            for at in 0..sound.len() {
                for byte in [0, 7, 0x80, 0xff] {
                    let mut bytes = sound.clone();
                    bytes[at] = byte;
                    let _ = read(bytes); // sound or not: it returns
                }
            }
        }
        for (bytes, expected) in [
            (vec![], Error::Truncated { at: 0 }),
            (vec![2, 1], Error::Version { found: 2, expected: 1 }),
            (vec![1, 9], Error::Code { found: 9, at: 2 }),
            (vec![1, 1, 0], Error::Trailing { end: 2, len: 3 }),
        ] {
            assert_eq!(read_answer(bytes.into()), Err(expected));
        }
    }
}
