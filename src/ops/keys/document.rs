//! Keys that are not free, as they are answered.

use serde::Serialize;
use uuid::Uuid;

use crate::door::rfc3339;
use crate::lane::Topic;
use crate::lane::batch::{Failure, Role};
use crate::recovery::dead_letter::binding_of;
use crate::recovery::keys::{Commanded, Standing, outcome_name, tenant_of};
use crate::store::LaneId;
use crate::store::lanes::{KeyCursor, KeyRow, OutstandingRow};

#[derive(Serialize)]
pub struct Page {
    pub keys: Vec<Document>,
    /// For `after`; null at the end.
    pub next: Option<String>,
}

/// A key that is not free.
#[derive(Serialize)]
pub struct Document {
    key: String,
    tenant_id: Option<String>,
    /// The lane's own topic.
    topic: String,
    partition: u32,
    binding: Option<String>,
    /// `held`: it waits for an operator or a second round. `retrying`: its head is attempted when it is due.
    state: &'static str,
    head: Record,
    records: u64,
    last_seq: i64,
}

/// A key and what waits of it.
#[derive(Serialize)]
pub struct Whole {
    pub key: Document,
    /// The failure that holds it, if the index has it already.
    pub failure_id: Option<Uuid>,
    pub records: Vec<Record>,
    /// For `from`; null at the end.
    pub next: Option<i64>,
}

/// A record that waits.
#[derive(Serialize)]
pub struct Record {
    seq: i64,
    /// Where it lies: `held`, `retry.1` and so on.
    place: String,
    /// `head`: it failed itself; `follower`: it waits behind one that did.
    role: &'static str,
    attempts: u16,
    second_rounds: u8,
    hop: u32,
    /// Whether a second round may help.
    passing: bool,
    waiting_since: String,
    moved_at: String,
    failure: Option<Cause>,
}

/// What a record failed of last.
#[derive(Serialize)]
pub struct Cause {
    class: String,
    http_status: Option<u16>,
    message: String,
}

/// What a command came to.
#[derive(Serialize)]
pub struct Answer {
    command_id: Uuid,
    /// `done`, `nothing_to_do`, `overtaken`, `not_head`, or `not_executed_yet`.
    outcome: &'static str,
    /// After `done`: where the record is now, `ended`, `dead`, `held`, `retry.1` and so on.
    record: Option<String>,
    /// What the attempt failed of, if the record still waits.
    failure: Option<Cause>,
}

impl Document {
    pub fn of(row: &KeyRow) -> Self {
        let KeyRow { lane, head, records, last } = row;
        Self {
            key: String::from_utf8_lossy(&head.key).into_owned(),
            tenant_id: tenant_of(&head.key).map(str::to_owned),
            topic: lane.topic.to_string(),
            partition: lane.partition,
            binding: binding_of(&lane.topic).map(str::to_owned),
            state: if head.topic == Topic::Held { "held" } else { "retrying" },
            head: Record::of(head),
            records: *records,
            last_seq: *last,
        }
    }
}

impl Record {
    pub fn of(row: &OutstandingRow) -> Self {
        Self {
            seq: row.seq,
            place: row.topic.to_string(),
            role: match row.role {
                Role::Head => "head",
                Role::Follower => "follower",
            },
            attempts: row.attempts,
            second_rounds: row.round,
            hop: row.hop,
            passing: row.is_passing,
            waiting_since: rfc3339(row.since),
            moved_at: rfc3339(row.moved_at),
            failure: row.failure.clone().map(Cause::of),
        }
    }
}

impl Cause {
    fn of(failure: Failure) -> Self {
        let Failure { class, http_status, message } = failure;
        Self { class, http_status, message }
    }
}

impl Answer {
    pub fn of(commanded: Commanded) -> Self {
        let Commanded { command_id, outcome, standing } = commanded;
        let (record, failure) = match standing {
            None => (None, None),
            Some(Standing::Ended) => (Some("ended".to_owned()), None),
            Some(Standing::DiedAgain(failure)) => (Some("dead".to_owned()), failure.map(Cause::of)),
            Some(Standing::Waits(topic, failure)) => (Some(topic.to_string()), failure.map(Cause::of)),
        };
        Self { command_id, outcome: outcome.map_or("not_executed_yet", outcome_name), record, failure }
    }
}

/// `since.partition.key.topic`, the key in hex; a topic's name may have dots.
pub fn cursor_of(row: &KeyRow) -> String {
    let LaneId { topic, partition } = &row.lane;
    format!("{}.{partition}.{}.{topic}", row.head.since, hex::encode(&row.head.key))
}

pub fn cursor(text: &str) -> Option<KeyCursor> {
    let mut parts = text.splitn(4, '.');
    let since = parts.next()?.parse().ok()?;
    let partition = parts.next()?.parse().ok()?;
    let key = hex::decode(parts.next()?).ok()?.into();
    Some(KeyCursor { since, lane: LaneId { topic: parts.next()?.into(), partition }, key })
}
