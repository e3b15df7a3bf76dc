//! The task that runs jobs: whoever holds the lease looks at them several times a second.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};
use uuid::Uuid;

use crate::backoff::{Delays, Policy};
use crate::recovery::audit;
use crate::recovery::job::course::{Course, MAX_IN_FLIGHT, Step};
use crate::recovery::job::item::Given;
use crate::recovery::job::{Error, Jobs, Pace};
use crate::store::jobs::{ItemChange, ItemState, JobChange, JobFilter, JobRow, JobState};
use crate::store::recovery::MAX_PAGE;

/// Between two looks at a job that runs.
const TICK: Duration = Duration::from_millis(200);
/// Between two looks while none does: another gateway may have begun one.
const IDLE: Duration = Duration::from_secs(2);
/// After this another gateway goes on.
const LEASE_MS: i64 = 15_000;
const PAUSES: Policy = Policy { first: Duration::from_millis(200), most: Duration::from_secs(5), jitter: 0.2 };

/// Runs jobs until `stop` is true. Every gateway does; one at a time gets to work.
pub fn start(jobs: Arc<Jobs>, stop: watch::Receiver<bool>) -> JoinHandle<()> {
    let holder = (jobs.deps.new_id)();
    tokio::spawn(Runner { jobs, holder, lease: None, courses: BTreeMap::new(), given: HashMap::new() }.run(stop))
}

pub(super) struct Runner {
    pub jobs: Arc<Jobs>,
    pub holder: Uuid,
    /// The lease held last.
    pub lease: Option<u64>,
    pub courses: BTreeMap<Uuid, Course>,
    pub given: Given,
}

impl Runner {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut delays = Delays::new(PAUSES);
        let mut failed = false;
        loop {
            let pause = match self.round().await {
                Ok(is_busy) => {
                    if std::mem::take(&mut failed) {
                        info!("replay jobs go on");
                        delays.reset();
                    }
                    if is_busy { TICK } else { IDLE }
                }
                Err(error) => {
                    if !failed {
                        warn!(%error, "replay jobs cannot go on now; they wait");
                    }
                    failed = true;
                    delays.next_delay()
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.jobs.changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks at every job that runs, once; whether there was one.
    pub(super) async fn round(&mut self) -> Result<bool, Error> {
        let store = Arc::clone(&self.jobs.deps.store);
        let filter = JobFilter { state: Some(JobState::Running), ..JobFilter::default() };
        let running = store.jobs(filter, None, MAX_PAGE).await?;
        self.courses.retain(|id, _| running.iter().any(|job| job.id == *id));
        if running.is_empty() {
            self.given.clear();
            return Ok(false);
        }
        let now_ms = self.jobs.deps.clock.now_ms();
        let lease = store.lease_jobs(self.holder, now_ms, now_ms.saturating_add(LEASE_MS)).await?;
        if lease.is_none() || lease != self.lease {
            // Somebody else was at it in between: what is known here may be old.
            self.courses.clear();
            self.given.clear();
        }
        self.lease = lease;
        let Some(lease) = lease else { return Ok(true) };
        // The oldest one first.
        for job in running.into_iter().rev() {
            if !self.step(lease, job).await? {
                self.lease = None;
                break;
            }
        }
        Ok(true)
    }

    /// Takes a job as far as it goes now. `false`: the lease is lost.
    async fn step(&mut self, lease: u64, mut job: JobRow) -> Result<bool, Error> {
        let jobs = Arc::clone(&self.jobs);
        let store = &jobs.deps.store;
        let in_flight = usize::try_from(MAX_IN_FLIGHT).unwrap_or(MAX_PAGE);
        let begun = store.job_items(job.id, Some(ItemState::Requested), 0, in_flight).await?;
        let changes = jobs.collect(&job, begun, &mut self.given).await?;
        if !self.change(lease, &mut job, changes).await? {
            return Ok(false);
        }
        if job.state != JobState::Running {
            return Ok(true);
        }
        let now_ms = jobs.deps.clock.now_ms();
        let course = self
            .courses
            .entry(job.id)
            .or_insert_with(|| Course::new(Pace::of_json(job.pace.as_deref()), &job.counts, now_ms));
        match course.next(&job.counts, now_ms) {
            Step::Wait => Ok(true),
            Step::Stop(note) => self.end(lease, &job, JobState::Stopped, Some(note)).await,
            Step::Finish => self.end(lease, &job, JobState::Done, None).await,
            Step::Begin(items) => {
                let limit = usize::try_from(items).unwrap_or(MAX_PAGE);
                let mut changes = Vec::new();
                for item in store.job_items(job.id, Some(ItemState::Pending), 0, limit).await? {
                    changes.push(jobs.begin(&job, &item).await?);
                }
                if !self.change(lease, &mut job, changes).await? {
                    return Ok(false);
                }
                fail::fail_point!("recovery.job.begun");
                let begun = store.job_items(job.id, Some(ItemState::Requested), 0, in_flight).await?;
                let changes = jobs.collect(&job, begun, &mut self.given).await?;
                self.change(lease, &mut job, changes).await
            }
        }
    }

    /// Writes down what became of items and counts it. `false`: the lease is lost.
    async fn change(&self, lease: u64, job: &mut JobRow, changes: Vec<ItemChange>) -> Result<bool, Error> {
        if changes.is_empty() {
            return Ok(true);
        }
        let is_held = self.jobs.deps.store.change_items(lease, job.id, changes).await?;
        // Cancelled in between, it keeps what came of its items and begins nothing more.
        *job = self.jobs.one(job.id).await?;
        Ok(is_held)
    }

    async fn end(&mut self, lease: u64, job: &JobRow, to: JobState, note: Option<String>) -> Result<bool, Error> {
        let jobs = &self.jobs;
        let change = JobChange {
            id: job.id,
            from: vec![JobState::Running],
            to,
            lease: Some(lease),
            pace: None,
            note: note.clone(),
            at: jobs.deps.clock.now_ms(),
        };
        if jobs.deps.store.change_job(change).await? {
            let counts = &job.counts;
            let detail = serde_json::json!({"state": to.as_str(), "why": note, "succeeded": counts.succeeded,
                "failed": counts.failed, "refused": counts.refused, "pending": counts.pending,
                "requested": counts.requested});
            jobs.note(job, &Pace::of_json(job.pace.as_deref()).operator, audit::END_JOB, detail).await?;
            info!(job = %job.id, state = to.as_str(), succeeded = counts.succeeded, failed = counts.failed,
                refused = counts.refused, "replay job ended");
        }
        Ok(true)
    }
}
