//! Replay jobs: many failures replayed at a pace, a few first, and no further if those fail.
//!
//! A plan freezes a selection: one item a failure, oldest first. Run, items go from `pending` to `requested` and from
//! there to an outcome, each step in the store before the next one is begun. What an item asks for has an id derived
//! from job and item, so an item that is begun again, after a crash or by another gateway, is the same request.
//!
//! One gateway runs jobs at a time, by a lease; another one takes over when it is not prolonged. Absent on purpose: a
//! job never forces, never edits and never skips. What needs a decision is left to a person, as a refused item.

mod course;
mod item;
mod pace;
mod run;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::Notify;
use tracing::info;
use uuid::Uuid;

pub use crate::recovery::job::pace::Pace;
pub use crate::recovery::job::run::start;

use crate::clock::Clock;
use crate::recovery::audit::{self, Audit, Deed};
use crate::recovery::keys::Keys;
use crate::recovery::replay::Replays;
use crate::store::jobs::{ItemRow, ItemState, JobChange, JobFilter, JobPlan, JobRow, JobState, MAX_ITEMS};
use crate::store::recovery::{FailureFilter, FailureState, MAX_PAGE};
use crate::store::{self, Store};

/// What jobs work with.
pub struct Deps {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub replays: Arc<Replays>,
    pub keys: Arc<Keys>,
    pub new_id: Arc<dyn Fn() -> Uuid + Send + Sync>,
}

/// The replay jobs. One a gateway; [`start`] runs them.
pub struct Jobs {
    deps: Deps,
    audit: Audit,
    /// A job was begun or cancelled here.
    changed: Notify,
}

/// A selection to be frozen.
#[derive(Debug, Clone)]
pub struct Plan {
    pub operator: String,
    pub reason: String,
    /// Which failures; of these the open ones.
    pub filter: FailureFilter,
    /// The filter for people: a JSON object.
    pub question: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("more than {MAX_ITEMS} failures match; narrow the selection")]
    TooMany,
    #[error("no open failure matches")]
    Nothing,
    #[error("no such replay job")]
    Unknown,
    #[error("the job is {}, expected it to be {expected}", found.as_str())]
    State { found: JobState, expected: &'static str },
    #[error("the event log cannot be written now")]
    Unavailable,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Jobs {
    pub fn new(deps: Deps) -> Self {
        let audit = Audit { store: Arc::clone(&deps.store), clock: Arc::clone(&deps.clock) };
        Self { deps, audit, changed: Notify::new() }
    }

    /// Freezes a selection; nothing is replayed yet.
    ///
    /// # Errors
    /// [`Error::Nothing`], [`Error::TooMany`]: there is no job.
    pub async fn plan(&self, plan: Plan) -> Result<JobRow, Error> {
        let Plan { operator, reason, filter, question } = plan;
        let filter = FailureFilter { state: Some(FailureState::Open), ..filter };
        if self.deps.store.failures(filter.clone(), None, 1).await?.is_empty() {
            return Err(Error::Nothing);
        }
        let plan = JobPlan {
            id: (self.deps.new_id)(),
            created_at: self.deps.clock.now_ms(),
            operator: operator.clone(),
            reason: reason.clone(),
            filter,
            question,
        };
        let row = self.deps.store.plan_job(plan).await?.ok_or(Error::TooMany)?;
        let detail = json!({"reason": reason, "items": row.counts.all(), "keys": row.keys});
        self.note(&row, &operator, audit::PLAN_JOB, detail).await?;
        info!(operator, job = %row.id, items = row.counts.all(), "replay job planned");
        Ok(row)
    }

    /// Jobs, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn list(
        &self,
        filter: JobFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<JobRow>, store::Error> {
        self.deps.store.jobs(filter, before, limit).await
    }

    /// # Errors
    /// [`Error::Unknown`].
    pub async fn one(&self, id: Uuid) -> Result<JobRow, Error> {
        let filter = JobFilter { id: Some(id), ..JobFilter::default() };
        self.deps.store.jobs(filter, None, 1).await?.pop().ok_or(Error::Unknown)
    }

    /// Items of a job, the first `limit` behind number `after`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn items(
        &self,
        job: Uuid,
        state: Option<ItemState>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<ItemRow>, store::Error> {
        self.deps.store.job_items(job, state, after, limit).await
    }

    /// Lets a planned job run. One that runs already keeps its pace.
    ///
    /// # Errors
    /// [`Error::State`] if it has ended.
    pub async fn run(&self, job: &JobRow, operator: &str, pace: &Pace) -> Result<JobRow, Error> {
        // Before the job changes: nothing is replayed that the audit does not know of.
        self.note(job, operator, audit::RUN_JOB, json!({"pace": pace})).await?;
        let change = JobChange {
            id: job.id,
            from: vec![JobState::Planned],
            to: JobState::Running,
            lease: None,
            pace: Some(pace.to_json()),
            note: None,
            at: self.deps.clock.now_ms(),
        };
        let changed = self.deps.store.change_job(change).await?;
        let row = self.one(job.id).await?;
        if !changed && row.state != JobState::Running {
            return Err(Error::State { found: row.state, expected: "planned" });
        }
        info!(operator, job = %row.id, "replay job begun");
        self.changed.notify_one();
        Ok(row)
    }

    /// Ends a job: nothing more is begun. What was begun is with its lane, and stays `requested` here.
    ///
    /// # Errors
    /// [`Error::State`] if it has ended otherwise.
    pub async fn cancel(&self, job: &JobRow, operator: &str, reason: &str) -> Result<JobRow, Error> {
        self.note(job, operator, audit::CANCEL_JOB, json!({"reason": reason})).await?;
        let change = JobChange {
            id: job.id,
            from: vec![JobState::Planned, JobState::Running],
            to: JobState::Cancelled,
            lease: None,
            pace: None,
            note: Some(reason.to_owned()),
            at: self.deps.clock.now_ms(),
        };
        let changed = self.deps.store.change_job(change).await?;
        let row = self.one(job.id).await?;
        if !changed && row.state != JobState::Cancelled {
            return Err(Error::State { found: row.state, expected: "planned or running" });
        }
        info!(operator, job = %row.id, "replay job cancelled");
        self.changed.notify_one();
        Ok(row)
    }

    /// What replaying the first items that are pending would come to, in words, and how many of each; at most
    /// [`MAX_PAGE`] items are looked at. Nothing is written.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn outlook(&self, job: &JobRow) -> Result<BTreeMap<String, u64>, store::Error> {
        let items = self.deps.store.job_items(job.id, Some(ItemState::Pending), 0, MAX_PAGE).await?;
        let mut outlook = BTreeMap::new();
        for item in items {
            *outlook.entry(self.outlook_of(job, &item).await?).or_default() += 1;
        }
        Ok(outlook)
    }

    async fn note(
        &self,
        job: &JobRow,
        operator: &str,
        action: &str,
        detail: serde_json::Value,
    ) -> Result<(), store::Error> {
        let subject = job.id.to_string();
        let tenant_id = match job.tenants.as_deref() {
            Some([tenant]) => Some(tenant.as_str()),
            _ => None,
        };
        self.audit.write(Deed { operator, action, tenant_id, subject: &subject }, &detail, None).await
    }
}

#[cfg(test)]
mod tests;
