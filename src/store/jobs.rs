//! Replay jobs: failures that were selected once, replayed one by one, and what came of each.
//!
//! A job's items are frozen when it is planned: one a failure, oldest first, so that of one key the earlier failure goes
//! first. What became of an item is written by whoever holds the lease; there is one runner at a time, and one that lost
//! the lease is refused.

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::store::Error;
use crate::store::recovery::{FailureFilter, FailureKind};

/// Most items of a job.
pub const MAX_ITEMS: usize = 100_000;

/// The replay jobs of a [`super::Store`].
pub trait JobStore: Send + Sync {
    /// Writes a job and one item for each failure its filter names, in one transaction. One of that id that is there
    /// stays as it is. `None`: more than [`MAX_ITEMS`] failures match, and nothing was written.
    fn plan_job(&self, plan: JobPlan) -> BoxFuture<'_, Result<Option<JobRow>, Error>>;

    /// The jobs `filter` names, newest first: the first `limit` (at most [`super::recovery::MAX_PAGE`]) before job
    /// number `before`.
    fn jobs(&self, filter: JobFilter, before: Option<i64>, limit: usize) -> BoxFuture<'_, Result<Vec<JobRow>, Error>>;

    /// Items of the job by number, those of `state` if one is said: the first `limit` (at most
    /// [`super::recovery::MAX_PAGE`]) behind number `after`.
    fn job_items(
        &self,
        job: Uuid,
        state: Option<ItemState>,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ItemRow>, Error>>;

    /// Changes the job if it is in one of the states `change` is from, and if its lease is the newest one; returns
    /// whether it did.
    fn change_job(&self, change: JobChange) -> BoxFuture<'_, Result<bool, Error>>;

    /// Takes the lease of all jobs until `until_ms`, or prolongs it; its number, which grows with each new holder.
    /// `None`: somebody else has it beyond `now_ms`.
    fn lease_jobs(&self, holder: Uuid, now_ms: i64, until_ms: i64) -> BoxFuture<'_, Result<Option<u64>, Error>>;

    /// Writes down what became of items, in one transaction. `false`: the lease is not the newest one, and nothing was
    /// written.
    fn change_items(&self, lease: u64, job: Uuid, changes: Vec<ItemChange>) -> BoxFuture<'_, Result<bool, Error>>;
}

/// A job to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPlan {
    pub id: Uuid,
    /// Epoch milliseconds.
    pub created_at: i64,
    pub operator: String,
    pub reason: String,
    /// The failures. Its tenants are those the job is of.
    pub filter: FailureFilter,
    /// The filter for people: a JSON object.
    pub question: String,
}

/// A job and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Grows with every job.
    pub number: i64,
    pub id: Uuid,
    pub operator: String,
    pub reason: String,
    /// `None`: of every tenant.
    pub tenants: Option<Vec<String>>,
    pub question: String,
    pub state: JobState,
    /// How it is to run, a JSON object; `None` before it was started.
    pub pace: Option<String>,
    /// Epoch milliseconds, as the other times.
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// Why it was stopped.
    pub note: Option<String>,
    /// Orders its items are of, each with its tenant and binding.
    pub keys: u64,
    /// Those of them that have an open failure which is older than an item of theirs and no item.
    pub keys_left_behind: u64,
    pub counts: ItemCounts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Its items are frozen; nothing is done yet.
    Planned,
    Running,
    /// Every item came to an outcome.
    Done,
    /// Too many items failed: those that were not begun stay as they are.
    Stopped,
    Cancelled,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ItemCounts {
    pub pending: u64,
    pub requested: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub refused: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRow {
    /// From 1, oldest failure first.
    pub number: i64,
    pub tenant_id: String,
    /// The failure.
    pub event_id: Uuid,
    pub kind: FailureKind,
    pub state: ItemState,
    /// The command or the replay it was asked for with.
    pub command_id: Option<Uuid>,
    /// What became of it, in a word or two.
    pub outcome: Option<String>,
    /// Epoch milliseconds of the last change.
    pub changed_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ItemState {
    Pending,
    /// It was begun; its outcome is not known yet.
    Requested,
    /// The record came to its end, or the payload was accepted.
    Succeeded,
    /// It failed again.
    Failed,
    /// It cannot be replayed now, and nothing was done.
    Refused,
}

/// A new state of a job; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobChange {
    pub id: Uuid,
    pub from: Vec<JobState>,
    pub to: JobState,
    /// Only if this lease is the newest one.
    pub lease: Option<u64>,
    pub pace: Option<String>,
    pub note: Option<String>,
    /// Epoch milliseconds: begin of a job that runs from now on, end of any other.
    pub at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemChange {
    pub number: i64,
    pub state: ItemState,
    pub command_id: Option<Uuid>,
    pub outcome: Option<String>,
    /// Epoch milliseconds.
    pub at: i64,
}

/// Which jobs are asked for: those that match everything that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    pub id: Option<Uuid>,
    pub state: Option<JobState>,
}

impl JobState {
    const ALL: [Self; 5] = [Self::Planned, Self::Running, Self::Done, Self::Stopped, Self::Cancelled];

    /// As it is stored.
    pub(super) const fn code(self) -> i16 {
        match self {
            Self::Planned => 0,
            Self::Running => 1,
            Self::Done => 2,
            Self::Stopped => 3,
            Self::Cancelled => 4,
        }
    }

    pub(super) fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl ItemState {
    const ALL: [Self; 5] = [Self::Pending, Self::Requested, Self::Succeeded, Self::Failed, Self::Refused];

    /// As it is stored.
    pub(super) const fn code(self) -> i16 {
        match self {
            Self::Pending => 0,
            Self::Requested => 1,
            Self::Succeeded => 2,
            Self::Failed => 3,
            Self::Refused => 4,
        }
    }

    pub(super) fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Requested => "requested",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl ItemCounts {
    /// Items whose outcome is known.
    pub const fn settled(&self) -> u64 {
        self.succeeded + self.failed + self.refused
    }

    pub const fn all(&self) -> u64 {
        self.pending + self.requested + self.settled()
    }

    pub(super) const fn add(&mut self, state: ItemState, items: u64) {
        match state {
            ItemState::Pending => self.pending += items,
            ItemState::Requested => self.requested += items,
            ItemState::Succeeded => self.succeeded += items,
            ItemState::Failed => self.failed += items,
            ItemState::Refused => self.refused += items,
        }
    }
}
