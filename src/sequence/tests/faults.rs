//! A log and a store that fail on demand; everything else goes through to the real engines.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::canonical::ids::Sha256Digest;
use crate::log::{self, Committed, Lane, LaneEffects, Membership, Ownership, ReadLimit};
use crate::store::recovery::*;
use crate::store::{self, *};

/// What becomes of one call.
#[derive(Debug, Clone)]
pub enum Fault<E> {
    None,
    /// The call is not made.
    Before(E),
    /// The call is made, its answer is lost.
    After(E),
}

/// Faults of the next calls, first to last; then none.
#[derive(Debug)]
pub struct Script<E>(Mutex<VecDeque<Fault<E>>>);

impl<E> Default for Script<E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<E: Clone> Script<E> {
    /// Lets `calls` calls pass, then plays `faults`.
    pub fn after(&self, calls: usize, faults: impl IntoIterator<Item = Fault<E>>) {
        let mut script = self.0.lock().expect("no test panics while it scripts");
        script.clear();
        script.extend(std::iter::repeat_n(Fault::None, calls).chain(faults));
    }

    /// Whether every fault was played.
    pub fn is_over(&self) -> bool {
        self.0.lock().expect("no test panics while it scripts").is_empty()
    }

    fn next(&self) -> Fault<E> {
        self.0.lock().expect("no test panics while it scripts").pop_front().unwrap_or(Fault::None)
    }

    async fn play<T>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        match self.next() {
            Fault::None => call.await,
            Fault::Before(error) => Err(error),
            Fault::After(error) => {
                call.await?;
                Err(error)
            }
        }
    }
}

pub struct FaultyMembership {
    pub inner: Box<dyn Membership>,
    pub commits: Arc<Script<log::Error>>,
    /// Questions for what is committed.
    pub asks: Arc<Script<log::Error>>,
}

impl Membership for FaultyMembership {
    fn next(&self) -> BoxFuture<'_, Result<Ownership, log::Error>> {
        self.inner.next()
    }

    fn commit(&self, effects: Vec<LaneEffects>) -> BoxFuture<'_, Result<(), log::Error>> {
        Box::pin(self.commits.play(self.inner.commit(effects)))
    }

    fn committed(&self, lane: &Lane) -> BoxFuture<'_, Result<BTreeMap<String, Committed>, log::Error>> {
        Box::pin(self.asks.play(self.inner.committed(lane)))
    }

    fn poll(
        &self,
        lane: &Lane,
        from: i64,
        limit: ReadLimit,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Vec<log::Stored>, log::Error>> {
        self.inner.poll(lane, from, limit, timeout)
    }
}

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
