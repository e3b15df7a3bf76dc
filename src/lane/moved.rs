//! Headers a lane writes on a record it moves, and how the record is got back as it was.
//!
//! Value, foreign headers and, but in the held topic, the key are untouched: bytes in, the same bytes out. Headers of
//! the lane are replaced, never appended; `cd-first-failed-at` and `cd-src-ts` keep their first value.
//!
//! `cd-src` is not among them: it says where a hop read the record, long before a lane took it.
//!
//! Source: `research/stream-engines.md` section 2.2.

use std::str::FromStr;

use bytes::Bytes;

use crate::lane::batch::{Disposition, Failure, Move, Role};
use crate::lane::header;
use crate::lane::place::{Key, Seq, Topic};
use crate::log::{Header, Record};

/// Most bytes the headers add to a record, `cd-key` apart (it is as long as the key): topics have 64 KiB of room for
/// both.
pub const MAX_HEADER_BYTES: usize = 4 << 10;

const MAX_ERROR_BYTES: usize = 1 << 10;
const MAX_CLASS_BYTES: usize = 128;

/// What is known of a moved record before its value is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub seq: Seq,
    pub key: Key,
    pub hop: u32,
    pub attempts: u16,
    pub round: u8,
    pub role: Role,
    pub is_passing: bool,
}

/// What a copy says of where it comes from, beside its [`Move`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail<'a> {
    /// Topic and partition of the lane.
    pub topic: &'a str,
    pub partition: u32,
    pub seq: Seq,
    /// Moves behind the copy that is moved; its copy says one more.
    pub hop: u32,
    /// Append time of the copy that is moved: of the lane's own topic if that is where it lies.
    pub appended_at_ms: i64,
    /// Time of the failure, if one is named.
    pub now_ms: i64,
    /// The command whose value the copy has, if it was edited now.
    pub edit: Option<&'a str>,
}

/// A copy that a lane cannot have written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("moved record lacks header `{0}`, or it is not as expected")]
pub struct Error(pub &'static str);

impl Moved {
    /// # Errors
    /// [`Error`] names the header.
    pub fn read(record: &Record) -> Result<Self, Error> {
        let fields = Fields(&record.headers);
        let seq = fields.text(header::ORIGIN).and_then(|origin| origin.rsplit_once('/')?.1.parse().ok());
        let key = fields.bytes(header::KEY).or(record.key.as_ref()).and_then(|key| Key::new(key));
        Ok(Self {
            seq: seq.ok_or(Error(header::ORIGIN))?,
            key: key.ok_or(Error(header::KEY))?,
            hop: fields.number(header::HOP).ok_or(Error(header::HOP))?,
            attempts: fields.number(header::ATTEMPT).ok_or(Error(header::ATTEMPT))?,
            round: fields.number(header::ROUND).ok_or(Error(header::ROUND))?,
            role: match fields.text(header::ROLE) {
                Some("head") => Role::Head,
                Some("follower") => Role::Follower,
                _ => return Err(Error(header::ROLE)),
            },
            is_passing: fields.text(header::PASSING) == Some("1"),
        })
    }
}

/// The copy of `record` for `moved.to`. `record` is as it was read, from whatever topic of the lane.
pub fn stamp(record: &Record, key: &Key, moved: &Move, failure: Option<&Failure>, trail: &Trail<'_>) -> Record {
    let mut copy = write(record, moved, failure, trail);
    if moved.to == Topic::Held {
        copy.headers.push(Header { name: header::KEY.to_owned(), value: Bytes::copy_from_slice(key.as_bytes()) });
        copy.key = Some(held_key(key, trail.topic, trail.seq));
    }
    copy
}

/// The copy of `record` for the dead letters: as it came, headers of the lane apart.
pub fn dead_letter(record: &Record, moved: &Move, failure: Option<&Failure>, trail: &Trail<'_>) -> Record {
    write(record, moved, failure, trail)
}

/// The key of a held copy: compaction must keep one copy of each record, and offsets of two topics may be equal.
pub fn held_key(key: &Key, topic: &str, seq: Seq) -> Bytes {
    let mut bytes = key.as_bytes().to_vec();
    bytes.extend_from_slice(format!("|{topic}|{seq}").as_bytes());
    bytes.into()
}

/// The record a held key names: what a tombstone releases.
pub fn held_seq(key: &[u8]) -> Option<Seq> {
    let start = key.iter().rposition(|byte| *byte == b'|')?;
    std::str::from_utf8(key.get(start + 1..)?).ok()?.parse().ok()
}

/// What an attempt is made with: the record as it came, without any header of the lane.
pub fn restore(record: &Record) -> Record {
    let key = Fields(&record.headers).bytes(header::KEY).cloned().or_else(|| record.key.clone());
    let headers = record.headers.iter().filter(|header| !header::ALL.contains(&header.name.as_str()));
    Record { key, value: record.value.clone(), headers: headers.cloned().collect() }
}

fn write(record: &Record, moved: &Move, failure: Option<&Failure>, trail: &Trail<'_>) -> Record {
    let fields = Fields(&record.headers);
    let kept = |name: &str| fields.text(name).filter(|text| text.len() <= MAX_CLASS_BYTES).map(str::to_owned);
    let mut copy = restore(record);
    let mut put = |name: &str, value: String| copy.headers.push(Header::text(name, value));
    put(header::ORIGIN, format!("{}/{}/{}", trail.topic, trail.partition, trail.seq));
    put(header::SOURCE_TIME, kept(header::SOURCE_TIME).unwrap_or_else(|| trail.appended_at_ms.to_string()));
    if let Topic::Tier(number) = moved.to {
        put(header::TIER, (u16::from(number) + 1).to_string());
    }
    put(header::HOP, trail.hop.saturating_add(1).to_string());
    put(header::ATTEMPT, moved.attempts.to_string());
    put(header::ROUND, moved.round.to_string());
    put(header::ROLE, role_name(moved.role).to_owned());
    if moved.is_passing {
        put(header::PASSING, "1".to_owned());
    }
    let failed_at = kept(header::FIRST_FAILED_AT).or_else(|| failure.map(|_| trail.now_ms.to_string()));
    if let Some(failed_at) = failed_at {
        put(header::FIRST_FAILED_AT, failed_at);
    }
    if let Some(disposition) = moved.disposition {
        put(header::DISPOSITION, disposition.name().to_owned());
    }
    match failure {
        Some(Failure { class, http_status, message }) => {
            put(header::ERROR_CLASS, cut(class, MAX_CLASS_BYTES).to_owned());
            put(header::ERROR, cut(message, MAX_ERROR_BYTES).to_owned());
            if let Some(status) = http_status {
                put(header::HTTP_STATUS, status.to_string());
            }
        }
        // A move without an attempt says of what the last one failed.
        None => {
            for name in [header::DISPOSITION, header::ERROR_CLASS, header::HTTP_STATUS] {
                if let Some(text) = kept(name).filter(|_| name != header::DISPOSITION || moved.disposition.is_none()) {
                    put(name, text);
                }
            }
            if let Some(error) = fields.text(header::ERROR) {
                put(header::ERROR, cut(error, MAX_ERROR_BYTES).to_owned());
            }
        }
    }
    if let Some(edit) = trail.edit.map(str::to_owned).or_else(|| kept(header::EDIT)) {
        put(header::EDIT, cut(&edit, MAX_CLASS_BYTES).to_owned());
    }
    copy
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Head => "head",
        Role::Follower => "follower",
    }
}

impl Disposition {
    /// As headers and the ledger write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AttemptsExhausted => "attempts-exhausted",
            Self::Rejected => "rejected",
            Self::Undecodable => "undecodable",
            Self::KeyOverflow => "key-overflow",
            Self::Flushed => "flushed",
        }
    }
}

/// Headers, looked up by name. The last one of a name counts: it is ours if one is.
pub(super) struct Fields<'a>(pub(super) &'a [Header]);

impl<'a> Fields<'a> {
    pub fn bytes(&self, name: &str) -> Option<&'a Bytes> {
        self.0.iter().rfind(|header| header.name == name).map(|header| &header.value)
    }

    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    pub fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }
}

/// Whether `name` is `prefix` itself or one of its family: `prefix-…`.
pub(super) fn is_own(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// At most `most` bytes of `text`, whole characters.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAIL: Trail<'static> = Trail {
        topic: "crossdock.out.pyxis-north",
        partition: 3,
        seq: 42,
        hop: 0,
        appended_at_ms: 1_000,
        now_ms: 2_000,
        edit: None,
    };

    fn moved(to: Topic) -> Move {
        Move { to, role: Role::Head, attempts: 2, round: 1, is_passing: true, disposition: None }
    }

    fn record() -> Record {
        let foreign = [("traceparent", "00-ab"), ("cd-src", "sales.pyxis.order.created/1/7"), ("traceparent", "again")];
        let mut headers: Vec<_> = foreign.map(|(name, value)| Header::text(name, value)).to_vec();
        headers.push(Header { name: "raw".to_owned(), value: Bytes::from_static(b"\xff\x00") });
        Record {
            key: Some(Bytes::from_static(b"north|pyxis|\xfe")),
            value: Some(Bytes::from_static(b"\x00v")),
            headers,
        }
    }

    fn key(record: &Record) -> Key {
        Key::new(record.key.as_ref().unwrap()).unwrap()
    }

    fn failure(size: usize) -> Failure {
        Failure { class: "é".repeat(size), http_status: Some(503), message: "é".repeat(size) }
    }

    #[test]
    fn through_every_move_the_record_stays_byte_for_byte_what_it_was() {
        let original = record();
        let key = key(&original);
        let mut copy = original.clone();
        for (hop, to) in
            [Topic::Tier(0), Topic::Tier(1), Topic::Held, Topic::Held, Topic::Tier(0)].into_iter().enumerate()
        {
            let trail = Trail { hop: u32::try_from(hop).unwrap(), ..TRAIL };
            copy = stamp(&copy, &key, &moved(to), Some(&failure(3)), &trail);

            assert_eq!(restore(&copy), original, "hop {hop}");
            let expected = Moved {
                seq: 42,
                key: key.clone(),
                hop: trail.hop + 1,
                attempts: 2,
                round: 1,
                role: Role::Head,
                is_passing: true,
            };
            assert_eq!(Moved::read(&copy), Ok(expected));
        }
        let dead = dead_letter(&copy, &moved(Topic::Held), None, &TRAIL);
        assert_eq!((&dead.key, &dead.value), (&original.key, &original.value));
        assert_eq!(restore(&dead), original);
    }

    #[test]
    fn first_failure_time_and_source_time_keep_their_first_value() {
        let original = record();
        let key = key(&original);
        let first = stamp(&original, &key, &moved(Topic::Tier(0)), Some(&failure(1)), &TRAIL);
        let later = Trail { hop: 1, appended_at_ms: 9_000, now_ms: 9_500, ..TRAIL };

        let second = stamp(&first, &key, &moved(Topic::Tier(1)), None, &later);

        assert_eq!(second.header(header::SOURCE_TIME), Some("1000"));
        assert_eq!(second.header(header::FIRST_FAILED_AT), Some("2000"));
        assert_eq!(second.header(header::ERROR_CLASS), Some("é"), "a move says what the last attempt failed of");
        assert_eq!(second.header(header::HTTP_STATUS), Some("503"));
        assert_eq!(second.header(header::TIER), Some("2"));
        assert_eq!(second.headers.iter().filter(|header| header.name == header::HOP).count(), 1, "replaced");
    }

    #[test]
    fn headers_stay_below_their_bound_whatever_the_failure_says() {
        let original = record();
        let topic = "t".repeat(249);
        let trail = Trail {
            topic: &topic,
            partition: u32::MAX,
            seq: i64::MAX,
            hop: u32::MAX,
            appended_at_ms: i64::MIN,
            now_ms: i64::MIN,
            edit: Some(&"e".repeat(9_999)),
        };
        let widest =
            Move { disposition: Some(Disposition::AttemptsExhausted), attempts: u16::MAX, ..moved(Topic::Tier(255)) };

        let copy = stamp(&original, &key(&original), &widest, Some(&failure(9_999)), &trail);

        let added = copy.size() - original.size();
        assert!(added <= MAX_HEADER_BYTES, "{added} bytes");
    }

    #[test]
    fn held_copies_of_one_key_have_keys_of_their_own() {
        let key = Key::new(b"k").unwrap();

        assert_ne!(held_key(&key, "a", 1), held_key(&key, "a", 2));
        assert_ne!(held_key(&key, "a", 1), held_key(&key, "b", 1), "offsets of two topics may be equal");
        assert_eq!(held_seq(&held_key(&key, "a", 17)), Some(17));
        assert_eq!(held_seq(b"17"), None);
    }

    #[test]
    fn a_copy_without_the_lanes_headers_is_refused() {
        let original = record();
        let copy = stamp(&original, &key(&original), &moved(Topic::Tier(0)), None, &TRAIL);
        for name in [header::ORIGIN, header::HOP, header::ATTEMPT, header::ROUND, header::ROLE] {
            let mut broken = copy.clone();
            broken.headers.retain(|header| header.name != name);

            assert_eq!(Moved::read(&broken), Err(Error(name)));
        }
    }
}
