//! Replay jobs as they are answered.

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::door::rfc3339;
use crate::store::jobs::{ItemCounts, ItemRow, JobRow};

#[derive(Serialize)]
pub struct Page {
    pub jobs: Vec<Document>,
    /// For `before`; null at the end.
    pub next: Option<i64>,
}

#[derive(Serialize)]
pub struct Items {
    pub items: Vec<Item>,
    /// For `after`; null at the end.
    pub next: Option<i64>,
}

/// A job and how far it is.
#[derive(Serialize)]
pub struct Document {
    job_id: Uuid,
    number: i64,
    /// `planned`, `running`, `done`, `stopped` or `cancelled`.
    state: &'static str,
    /// Why it was stopped or cancelled.
    note: Option<String>,
    planned_by: String,
    reason: String,
    /// Null: of every tenant.
    tenants: Option<Vec<String>>,
    /// The selection, as it was asked for.
    failures: Option<Box<RawValue>>,
    pace: Option<Box<RawValue>>,
    planned_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    items: u64,
    /// Orders the items are of.
    keys: u64,
    /// Those of them that have an older open failure outside of the job.
    keys_left_behind: u64,
    counts: Counts,
}

#[derive(Serialize)]
struct Counts {
    pending: u64,
    requested: u64,
    succeeded: u64,
    failed: u64,
    refused: u64,
}

#[derive(Serialize)]
pub struct Item {
    number: i64,
    failure_id: Uuid,
    tenant_id: String,
    kind: &'static str,
    /// `pending`, `requested`, `succeeded`, `failed` or `refused`.
    state: &'static str,
    outcome: Option<String>,
    command_id: Option<Uuid>,
    changed_at: Option<String>,
}

impl Document {
    pub fn of(job: &JobRow) -> Self {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).ok();
        let ItemCounts { pending, requested, succeeded, failed, refused } = job.counts;
        Self {
            job_id: job.id,
            number: job.number,
            state: job.state.as_str(),
            note: job.note.clone(),
            planned_by: job.operator.clone(),
            reason: job.reason.clone(),
            tenants: job.tenants.clone(),
            failures: raw(&job.question),
            pace: job.pace.as_deref().and_then(raw),
            planned_at: rfc3339(job.created_at),
            started_at: job.started_at.map(rfc3339),
            ended_at: job.ended_at.map(rfc3339),
            items: job.counts.all(),
            keys: job.keys,
            keys_left_behind: job.keys_left_behind,
            counts: Counts { pending, requested, succeeded, failed, refused },
        }
    }
}

impl Item {
    pub fn of(item: ItemRow) -> Self {
        let ItemRow { number, tenant_id, event_id, kind, state, command_id, outcome, changed_at } = item;
        Self {
            number,
            failure_id: event_id,
            tenant_id,
            kind: kind.as_str(),
            state: state.as_str(),
            outcome,
            command_id,
            changed_at: changed_at.map(rfc3339),
        }
    }
}
