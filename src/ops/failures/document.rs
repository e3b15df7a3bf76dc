//! Failures as they are answered.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use crate::canonical::ids::Sha256Digest;
use crate::canonical::rejection::Problem;
use crate::door::rfc3339;
use crate::ops::audit::Row;
use crate::recovery::dead_letter::DeadRecord;
use crate::recovery::failure::Detail;
use crate::store::recovery::{FailureGroup, FailureRow};

/// Longest message in a list; the failure itself has the whole.
const LISTED_MESSAGE_BYTES: usize = 500;

#[derive(Serialize)]
pub struct Page {
    pub failures: Vec<Document>,
    /// For `after`; null at the end.
    pub next: Option<String>,
}

#[derive(Serialize)]
pub struct Groups {
    pub groups: Vec<Group>,
}

#[derive(Serialize)]
pub struct Group {
    group_id: Uuid,
    failures: u64,
    tenant_id: String,
    binding: String,
    error_code: String,
    /// Of the newest failure, as its message.
    pointer: String,
    message: String,
    first_at: String,
    last_at: String,
    newest_failure_id: Uuid,
}

/// A failure.
#[derive(Serialize)]
pub struct Document {
    failure_id: Uuid,
    state: &'static str,
    kind: &'static str,
    tenant_id: String,
    binding: String,
    source_key: String,
    external_order_id: String,
    error_code: String,
    pointer: String,
    message: String,
    failed_at: String,
    retry_count: u32,
    group_id: Uuid,
    /// The failure whose payload was replayed.
    replay_of: Option<Uuid>,
    correlation_id: String,
    raw_sha256: Option<Sha256Digest>,
}

/// A failure and everything known of it.
#[derive(Serialize)]
pub struct Whole {
    pub failure: Document,
    pub problems: Vec<Problem>,
    pub omitted_problems: usize,
    pub route: Option<String>,
    pub path: BTreeMap<String, String>,
    pub received_from: Option<String>,
    pub received_at: Option<String>,
    pub mapped_by: Option<String>,
    pub event: Place,
    /// Of a dead letter: which record of which lane it is.
    pub record: Option<Record>,
    /// What the partner answered a call with.
    pub http_status: Option<i64>,
    pub payload: Payload,
    /// The order the payload speaks of, if it was ever created or cancelled.
    pub order: Option<Order>,
    /// Failures of this one's replays, newest first.
    pub replay_failures: Vec<Document>,
    /// Other failures of the same order, newest first, at most twenty.
    pub siblings: Vec<Document>,
    /// What operators did about it, newest first.
    pub audit: Vec<Row>,
}

#[derive(Serialize)]
pub struct Place {
    pub topic: String,
    pub partition: u32,
    pub offset: i64,
}

/// The record a dead letter is of.
#[derive(Serialize)]
pub struct Record {
    /// The key it is found by among the keys that are not free.
    key: String,
    /// The lane's own topic.
    topic: String,
    partition: u32,
    seq: i64,
    hop: u32,
    attempts: u16,
    disposition: String,
    first_failed_at: Option<String>,
    /// Whether it held its key when it was indexed.
    held: bool,
}

#[derive(Serialize)]
pub struct Order {
    pub order_id: Uuid,
    /// As the state table of the contract names it.
    pub state: &'static str,
}

/// The payload, as far as the caller may see it.
#[derive(Serialize)]
pub struct Payload {
    /// `kept`, `expired`, or `hidden` from this caller.
    pub state: &'static str,
    pub link: Option<String>,
    pub text: Option<String>,
    /// If it is not UTF-8.
    pub base64: Option<String>,
}

impl Document {
    pub fn whole(row: &FailureRow) -> Self {
        let FailureRow { failure, state, .. } = row;
        let detail = Detail::of(failure);
        Self {
            failure_id: failure.event_id,
            state: state.as_str(),
            kind: failure.kind.as_str(),
            tenant_id: failure.tenant_id.clone(),
            binding: failure.binding.clone(),
            source_key: failure.source_key.clone(),
            external_order_id: failure.external_order_id.clone(),
            error_code: failure.error_code.clone(),
            pointer: failure.pointer.clone(),
            message: detail.message,
            failed_at: rfc3339(failure.failed_at),
            retry_count: detail.retry_count,
            group_id: failure.group,
            replay_of: failure.replay_of,
            correlation_id: failure.correlation_id.clone(),
            raw_sha256: failure.raw_sha256,
        }
    }

    pub fn listed(row: &FailureRow) -> Self {
        let mut document = Self::whole(row);
        shorten(&mut document.message);
        document
    }
}

impl Record {
    pub fn of(record: &DeadRecord) -> Self {
        let key = record.key().map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
        Self {
            key: key.unwrap_or_default(),
            topic: record.topic.clone(),
            partition: record.partition,
            seq: record.seq,
            hop: record.hop,
            attempts: record.attempts,
            disposition: record.disposition.clone(),
            first_failed_at: record.first_failed_at.map(rfc3339),
            held: record.is_held,
        }
    }
}

impl Group {
    pub fn of(group: FailureGroup) -> Self {
        let FailureGroup { failures, first_at, last_at, newest } = group;
        let mut message = Detail::of(&newest.failure).message;
        shorten(&mut message);
        let failure = newest.failure;
        Self {
            group_id: failure.group,
            failures,
            tenant_id: failure.tenant_id,
            binding: failure.binding,
            error_code: failure.error_code,
            pointer: failure.pointer,
            message,
            first_at: rfc3339(first_at),
            last_at: rfc3339(last_at),
            newest_failure_id: failure.event_id,
        }
    }
}

fn shorten(message: &mut String) {
    if message.len() > LISTED_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(LISTED_MESSAGE_BYTES));
        message.push('…');
    }
}
