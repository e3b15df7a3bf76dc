//! A store that fails on demand; everything else goes through to the real engine.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::canonical::ids::Sha256Digest;
use crate::lane::batch::ClaimAnswer;
use crate::lane::place::{Seq, Topic};
pub use crate::ownership::faults::{Fault, FaultyMembership, Script};
use crate::store::jobs::{ItemChange, ItemRow, ItemState, JobChange, JobFilter, JobPlan, JobRow, JobStore};
use crate::store::lanes::*;
use crate::store::recovery::*;
use crate::store::{self, *};

pub struct FaultyStore {
    pub inner: Arc<dyn Store>,
    pub writes: Arc<Script<store::Error>>,
}

type Answer<'a, T> = BoxFuture<'a, Result<T, store::Error>>;

impl RecoveryStore for FaultyStore {
    fn index_failures(&self, failures: Vec<Failure>) -> Answer<'_, u64> {
        self.inner.index_failures(failures)
    }

    fn failures(
        &self,
        filter: FailureFilter,
        after: Option<FailureCursor>,
        limit: usize,
    ) -> Answer<'_, Vec<FailureRow>> {
        self.inner.failures(filter, after, limit)
    }

    fn failure_groups(&self, filter: FailureFilter, limit: usize) -> Answer<'_, Vec<FailureGroup>> {
        self.inner.failure_groups(filter, limit)
    }

    fn close_failures(&self, changes: Vec<FailureChange>) -> Answer<'_, u64> {
        self.inner.close_failures(changes)
    }

    fn open_failures(&self) -> Answer<'_, Vec<OpenFailures>> {
        self.inner.open_failures()
    }

    fn audit(&self, entry: AuditEntry, change: Option<FailureChange>) -> Answer<'_, ()> {
        self.inner.audit(entry, change)
    }

    fn audit_rows(&self, filter: AuditFilter, before: Option<i64>, limit: usize) -> Answer<'_, Vec<AuditRow>> {
        self.inner.audit_rows(filter, before, limit)
    }
}

impl LaneStore for FaultyStore {
    fn take_over(&self, _: &LaneId) -> BoxFuture<'_, Result<Taken, store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn write_batch(&self, _: BatchWrite) -> BoxFuture<'_, Result<Vec<ClaimAnswer>, store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn settle(&self, _: Settle) -> BoxFuture<'_, Result<(), store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn decided_in(&self, _: &LaneId, _: Topic, _: i64, _: i64) -> BoxFuture<'_, Result<Vec<Decided>, store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn released_after(&self, _: &LaneId, _: u64) -> BoxFuture<'_, Result<Vec<Released>, store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn ended(&self, _: &LaneId, _: Vec<Seq>) -> BoxFuture<'_, Result<BTreeMap<Seq, u32>, store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn executed(&self, _: &LaneId, _: Vec<String>) -> BoxFuture<'_, Result<HashSet<String>, store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn releasable(&self, _: &LaneId, _: i64, _: usize) -> BoxFuture<'_, Result<Vec<Parked>, store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn links(&self, _: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Link>>, store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn orders_called(&self, _: &str, _: &str, _: usize) -> BoxFuture<'_, Result<Vec<Link>, store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn delivered(&self, _: Vec<DeliveredOf>) -> BoxFuture<'_, Result<Vec<Option<String>>, store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn keys(&self, _: KeyFilter, _: Option<KeyCursor>, _: usize) -> BoxFuture<'_, Result<Vec<KeyRow>, store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn key_records(
        &self,
        _: &LaneId,
        _: Bytes,
        _: Seq,
        _: usize,
    ) -> BoxFuture<'_, Result<Vec<OutstandingRow>, store::Error>> {
        panic!("the sequencer does not ask for this")
    }

    fn command_outcomes(&self, _: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<CommandOutcomeRow>>, store::Error>> {
        panic!("the sequencer does not ask for this")
    }
}

impl JobStore for FaultyStore {
    fn plan_job(&self, plan: JobPlan) -> Answer<'_, Option<JobRow>> {
        self.inner.plan_job(plan)
    }

    fn jobs(&self, filter: JobFilter, before: Option<i64>, limit: usize) -> Answer<'_, Vec<JobRow>> {
        self.inner.jobs(filter, before, limit)
    }

    fn job_items(&self, job: Uuid, state: Option<ItemState>, after: i64, limit: usize) -> Answer<'_, Vec<ItemRow>> {
        self.inner.job_items(job, state, after, limit)
    }

    fn change_job(&self, change: JobChange) -> Answer<'_, bool> {
        self.inner.change_job(change)
    }

    fn lease_jobs(&self, holder: Uuid, now_ms: i64, until_ms: i64) -> Answer<'_, Option<u64>> {
        self.inner.lease_jobs(holder, now_ms, until_ms)
    }

    fn change_items(&self, lease: u64, job: Uuid, changes: Vec<ItemChange>) -> Answer<'_, bool> {
        self.inner.change_items(lease, job, changes)
    }
}

impl Store for FaultyStore {
    fn take_lane(&self, lane: &LaneId) -> Answer<'_, LaneRow> {
        self.inner.take_lane(lane)
    }

    fn write(&self, write: LaneWrite) -> Answer<'_, ()> {
        Box::pin(self.writes.play(self.inner.write(write)))
    }

    fn orders(&self, ids: Vec<Uuid>) -> Answer<'_, Vec<Option<OrderState>>> {
        self.inner.orders(ids)
    }

    fn decisions(&self, lane: &LaneId, from: i64, to: i64) -> Answer<'_, Vec<Decision>> {
        self.inner.decisions(lane, from, to)
    }

    fn timer_decisions(&self, lane: &LaneId, after: u64) -> Answer<'_, Vec<Decision>> {
        self.inner.timer_decisions(lane, after)
    }

    fn due(&self, lane: &LaneId, now_ms: i64, limit: usize) -> Answer<'_, Vec<Due>> {
        self.inner.due(lane, now_ms, limit)
    }

    fn published_events(&self, ids: Vec<Uuid>) -> Answer<'_, HashSet<Uuid>> {
        self.inner.published_events(ids)
    }

    fn payload(&self, digest: Sha256Digest) -> Answer<'_, Option<Bytes>> {
        self.inner.payload(digest)
    }

    fn ledger(&self, order: Uuid) -> Answer<'_, Vec<LedgerEntry>> {
        self.inner.ledger(order)
    }

    fn prune(&self, keep: Keep) -> Answer<'_, u64> {
        self.inner.prune(keep)
    }

    fn counts(&self) -> Answer<'_, Counts> {
        self.inner.counts()
    }
}
