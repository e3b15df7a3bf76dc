//! A failure, read from the dead letter of a lane.
//!
//! A dead letter is the record as it came, and in headers of the lane which record it is and what it failed of. Its id
//! in the index is derived from the record's place and the moves behind it: read again it is the same failure, and a
//! record that came back and died again is another one.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::canonical::event::MAX_MESSAGE_BYTES;
use crate::canonical::notification::OUT;
use crate::canonical::{headers, ids};
use crate::lane::moved::{self, Moved};
use crate::lane::{Key, Seq, header};
use crate::log::Stored;
use crate::recovery::failure::{Detail, MAX_TEXT_BYTES, cleaned};
use crate::recovery::group;
use crate::store::LaneId;
use crate::store::recovery::{Failure, FailureKind};

/// What a lane's dead letters are called, before the name of its topic.
pub const PREFIX: &str = "dlq.";

/// Which record of which lane a dead letter is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadRecord {
    /// The lane's own topic.
    pub topic: String,
    pub partition: u32,
    /// Offset in the lane's own topic.
    pub seq: Seq,
    /// Moves behind the dead letter.
    pub hop: u32,
    /// Attempts that counted.
    pub attempts: u16,
    /// The key's bytes: those of a translator's lane may be no text.
    key_base64: String,
    /// Why it is dead, as the lane names it.
    pub disposition: String,
    /// Epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failed_at: Option<i64>,
    /// It held its key when it was indexed: the record is in the held topic as well.
    #[serde(default)]
    pub is_held: bool,
}

/// Why a record is no dead letter of a lane.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Header(#[from] moved::Error),
    #[error("dead letter in `{found}` is of a record of `{expected}`")]
    Topic { found: String, expected: String },
}

impl DeadRecord {
    pub fn lane(&self) -> LaneId {
        LaneId { topic: Arc::from(self.topic.as_str()), partition: self.partition }
    }

    /// `None` if the index is damaged.
    pub fn key(&self) -> Option<Key> {
        Key::new(&STANDARD.decode(&self.key_base64).ok()?)
    }
}

/// The binding whose calls go through `topic`.
pub fn binding_of(topic: &str) -> Option<&str> {
    topic.strip_prefix(OUT)
}

/// Source key and external order id under which failures of records with that key are in the index.
pub fn order_of(topic: &str, key: &[u8]) -> (String, String) {
    let Owner { source_key, external_order_id, .. } = owner(kind_of(topic), key, String::new());
    (source_key, external_order_id)
}

/// The failure a dead letter is.
///
/// # Errors
/// [`Error`] if no lane can have written it there.
pub fn read(stored: &Stored) -> Result<Failure, Error> {
    let record = &stored.record;
    let read = Moved::read(record)?;
    let origin = record.header(header::ORIGIN).unwrap_or_default();
    let (topic, partition) = lane(origin).ok_or(moved::Error(header::ORIGIN))?;
    if stored.topic.strip_prefix(PREFIX) != Some(topic) {
        return Err(Error::Topic { found: stored.topic.to_string(), expected: topic.to_owned() });
    }
    let text = |name: &str| cleaned(record.header(name).unwrap_or_default().to_owned(), MAX_TEXT_BYTES);
    let number = |name: &str| record.header(name).and_then(|number| number.parse::<i64>().ok());
    let disposition = text(header::DISPOSITION);
    let or_disposition = |text: String| if text.is_empty() { disposition.clone() } else { text };
    let error_code = or_disposition(text(header::ERROR_CLASS));
    let message =
        or_disposition(cleaned(record.header(header::ERROR).unwrap_or_default().to_owned(), MAX_MESSAGE_BYTES));
    let (kind, binding) = (kind_of(topic), binding_of(topic).unwrap_or_default().to_owned());
    let Owner { tenant_id, source_key, external_order_id } = owner(kind, read.key.as_bytes(), text(headers::TENANT_ID));
    let detail = Detail {
        source_system: text(headers::SOURCE_SYSTEM),
        http_status: number(header::HTTP_STATUS),
        traceparent: record.header(headers::TRACEPARENT).map(|text| cleaned(text.to_owned(), MAX_TEXT_BYTES)),
        received_at: number(header::SOURCE_TIME),
        received_from: Some(topic.to_owned()),
        record: Some(DeadRecord {
            topic: topic.to_owned(),
            partition,
            seq: read.seq,
            hop: read.hop,
            attempts: read.attempts,
            key_base64: STANDARD.encode(read.key.as_bytes()),
            disposition: disposition.clone(),
            first_failed_at: number(header::FIRST_FAILED_AT),
            is_held: false,
        }),
        message,
        ..Detail::default()
    };
    Ok(Failure {
        event_id: ids::dead_letter_id(origin, read.hop),
        kind,
        failed_at: stored.timestamp_ms,
        correlation_id: text(headers::CORRELATION_ID),
        pointer: String::new(),
        group: group::id(&tenant_id, &binding, &error_code, "", &detail.message),
        replay_of: None,
        raw_sha256: None,
        place: (stored.topic.clone(), stored.partition, stored.offset),
        // Texts and numbers are always JSON.
        detail: serde_json::to_string(&detail).unwrap_or_default(),
        tenant_id,
        source_key,
        external_order_id,
        binding,
        error_code,
    })
}

fn kind_of(topic: &str) -> FailureKind {
    if binding_of(topic).is_some() { FailureKind::Call } else { FailureKind::Translation }
}

/// Whose order a record is about.
struct Owner {
    tenant_id: String,
    source_key: String,
    external_order_id: String,
}

/// A courier's key names the order. A translator's is an id of the platform, which stands for the order here; its
/// tenant is known if the record says so.
fn owner(kind: FailureKind, key: &[u8], tenant_id: String) -> Owner {
    let key = cleaned(String::from_utf8_lossy(key).into_owned(), 3 * MAX_TEXT_BYTES);
    let short = |text: &str| cleaned(text.to_owned(), MAX_TEXT_BYTES);
    let mut parts = key.splitn(3, '|');
    match (kind, parts.next(), parts.next(), parts.next()) {
        (FailureKind::Call, Some(tenant), Some(source), Some(order)) => {
            Owner { tenant_id: short(tenant), source_key: short(source), external_order_id: short(order) }
        }
        _ => Owner { tenant_id, source_key: String::new(), external_order_id: short(&key) },
    }
}

/// Topic and partition of `topic/partition/offset`.
fn lane(origin: &str) -> Option<(&str, u32)> {
    let (lane, _) = origin.rsplit_once('/')?;
    let (topic, partition) = lane.rsplit_once('/')?;
    Some((topic, partition.parse().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::lane::Topic;
    use crate::lane::batch::{self, Disposition, Move, Role};
    use crate::lane::moved::Trail;
    use crate::log::{Header, Record};

    pub const LANE_TOPIC: &str = "crossdock.out.pyxis-north";
    pub const KEY: &str = "north|pyxis|PYX|1";

    /// The record a call is made of.
    pub fn call() -> Record {
        let headers = [
            (headers::TENANT_ID, "north"),
            (headers::CORRELATION_ID, "c-1"),
            (headers::SOURCE_SYSTEM, "PYXIS"),
            ("x-mark", "kept"),
        ];
        Record {
            key: Some(Bytes::from_static(KEY.as_bytes())),
            value: Some(Bytes::from_static(br#"{"tenant_id":"north","event_id":"e-1","status":"COMPLETED"}"#)),
            headers: headers.map(|(name, value)| Header::text(name, value)).to_vec(),
        }
    }

    /// The dead letter of `record`, as the lane `topic`/1 writes it with `hop` moves behind it.
    pub fn letter(topic: &str, record: &Record, seq: Seq, hop: u32) -> Stored {
        let moved = Move {
            to: Topic::Held,
            role: Role::Head,
            attempts: 4,
            round: 0,
            is_passing: true,
            disposition: Some(Disposition::AttemptsExhausted),
        };
        let failure = batch::Failure { class: "timeout".into(), http_status: Some(504), message: "no answer".into() };
        let trail = Trail { topic, partition: 1, seq, hop: hop - 1, appended_at_ms: 100, now_ms: 200, edit: None };
        let record = moved::dead_letter(record, &moved, Some(&failure), &trail);
        Stored { topic: format!("{PREFIX}{topic}").into(), partition: 1, offset: 5, timestamp_ms: 300, record }
    }

    #[test]
    fn a_dead_call_is_indexed_with_everything_known_of_it() {
        let failure = read(&letter(LANE_TOPIC, &call(), 42, 3)).expect("it is one");

        let record = DeadRecord {
            topic: LANE_TOPIC.into(),
            partition: 1,
            seq: 42,
            hop: 3,
            attempts: 4,
            key_base64: STANDARD.encode(KEY),
            disposition: "attempts-exhausted".into(),
            first_failed_at: Some(200),
            is_held: false,
        };
        assert_eq!(record.key(), Key::new(KEY.as_bytes()));
        let detail = Detail {
            source_system: "PYXIS".into(),
            message: "no answer".into(),
            http_status: Some(504),
            received_at: Some(100),
            received_from: Some(LANE_TOPIC.into()),
            record: Some(record),
            ..Detail::default()
        };
        assert_eq!(Detail::of(&failure), detail);
        let expected = Failure {
            tenant_id: "north".into(),
            event_id: ids::dead_letter_id("crossdock.out.pyxis-north/1/42", 3),
            kind: FailureKind::Call,
            failed_at: 300,
            binding: "pyxis-north".into(),
            error_code: "timeout".into(),
            source_key: "pyxis".into(),
            external_order_id: "PYX|1".into(),
            correlation_id: "c-1".into(),
            pointer: String::new(),
            group: group::id("north", "pyxis-north", "timeout", "", "no answer"),
            replay_of: None,
            raw_sha256: None,
            place: ("dlq.crossdock.out.pyxis-north".into(), 1, 5),
            detail: failure.detail.clone(),
        };
        assert_eq!(failure, expected);
    }

    #[test]
    fn one_that_came_back_and_died_again_is_another_failure() {
        let ids = [3, 3, 4].map(|hop| read(&letter(LANE_TOPIC, &call(), 42, hop)).expect("it is one").event_id);

        assert_eq!(ids[0], ids[1]);
        assert_ne!(ids[1], ids[2]);
    }

    #[test]
    fn the_tenant_of_a_translation_is_the_one_its_record_names() {
        let record = Record { key: Some(Bytes::from_static(b"fsm|\xff")), ..call() };
        let without = Record { headers: Vec::new(), ..record.clone() };
        for (record, tenant) in [(record, "north"), (without, "")] {
            let failure = read(&letter("crossdock.platform", &record, 1, 1)).expect("it is one");

            assert_eq!((failure.kind, failure.binding.as_str()), (FailureKind::Translation, ""));
            assert_eq!((failure.tenant_id.as_str(), failure.source_key.as_str()), (tenant, ""));
            assert_eq!(failure.external_order_id, "fsm|\u{fffd}");
        }
    }

    #[test]
    fn what_no_lane_wrote_there_is_refused_by_name() {
        let foreign = Stored { record: call(), ..letter(LANE_TOPIC, &call(), 1, 1) };
        let strayed = Stored { topic: "dlq.crossdock.platform".into(), ..letter(LANE_TOPIC, &call(), 1, 1) };
        for (stored, expected) in [
            (foreign, "moved record lacks header `cd-origin`, or it is not as expected"),
            (strayed, "dead letter in `dlq.crossdock.platform` is of a record of `crossdock.out.pyxis-north`"),
        ] {
            assert_eq!(read(&stored).expect_err("it is none").to_string(), expected);
        }
    }
}
