//! Stand-ins for tests of both listeners: a log in memory that can fail, a store that answers what it is given.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::canonical::ids::Sha256Digest;
use crate::config::binding::Binding;
use crate::config::secret::Secret;
use crate::lane::batch::ClaimAnswer;
use crate::lane::place::{Seq, Topic};
use crate::log::{
    self, Append, Bounds, Committed, EventLog, Membership, Position, ReadLimit, Stored, Subscription, TopicSpec,
};
use crate::schema::Catalogue;
use crate::store::jobs::{ItemChange, ItemRow, ItemState, JobChange, JobFilter, JobPlan, JobRow, JobStore};
use crate::store::lanes::{
    BatchWrite, CommandOutcomeRow, Decided, DeliveredOf, KeyCursor, KeyFilter, KeyRow, LaneStore, Link, OutstandingRow,
    Parked, Released, Settle, Taken,
};
use crate::store::recovery::{
    AuditEntry, AuditFilter, AuditRow, Failure, FailureChange, FailureCursor, FailureFilter, FailureGroup, FailureRow,
    OpenFailures, RecoveryStore,
};
use crate::store::{self, Counts, Decision, Due, Keep, LaneId, LaneRow, LaneWrite, LedgerEntry, OrderState, Store};

/// 2026-03-04T08:15:30Z.
pub const NOW_S: i64 = 1_772_612_130;

pub fn catalogue() -> Arc<Catalogue> {
    Arc::new(Catalogue::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")).expect("the schemas load"))
}

pub fn binding(name: &str, adapter: &str, tenant_id: &str, rate_limit_per_minute: u32) -> Arc<Binding> {
    Arc::new(Binding {
        name: name.into(),
        adapter: adapter.into(),
        tenant_id: tenant_id.into(),
        countries: vec!["FR".into()],
        rate_limit_per_minute,
        bearer_tokens: vec![Secret::new(format!("{name}-token"))],
        signing_secret: vec![Secret::new(format!("{name}-secret"))],
        ..Binding::default()
    })
}

/// What an append does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Works,
    Fails,
    /// Answers when [`MemoryLog::release`] is called.
    Waits,
}

/// Topics of two partitions, kept in memory; only what the listeners use.
pub struct MemoryLog {
    mood: Mutex<Mood>,
    asked: Notify,
    released: Notify,
    topics: Mutex<BTreeMap<String, [Vec<Stored>; 2]>>,
    changed: Notify,
}

impl MemoryLog {
    pub fn with_topics(names: &[&str]) -> Arc<Self> {
        let topics = names.iter().map(|name| ((*name).to_owned(), Default::default())).collect();
        Arc::new(Self {
            mood: Mutex::new(Mood::Works),
            asked: Notify::new(),
            released: Notify::new(),
            topics: Mutex::new(topics),
            changed: Notify::new(),
        })
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Waits until an append is asked for.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Lets one append of [`Mood::Waits`] go on.
    pub fn release(&self) {
        self.released.notify_one();
    }

    /// All records of `topic`, by append time.
    pub fn records(&self, topic: &str) -> Vec<Stored> {
        let topics = self.topics.lock().unwrap();
        let mut records: Vec<_> = topics[topic].iter().flatten().cloned().collect();
        records.sort_by_key(|record| record.timestamp_ms);
        records
    }

    fn write(&self, append: Append) -> Result<Position, log::Error> {
        let mut topics = self.topics.lock().unwrap();
        let written: usize = topics.values().flatten().map(Vec::len).sum();
        let unknown = log::Error::UnknownTopic { topic: append.topic.to_string() };
        let partitions = topics.get_mut(&*append.topic).ok_or(unknown)?;
        let keyed = append.record.key.as_deref().map_or(0, |key| key.len() as u32 % 2);
        let partition = append.partition.unwrap_or(keyed);
        let records = &mut partitions[partition as usize];
        let offset = records.len() as i64;
        let timestamp_ms = NOW_S * 1000 + written as i64;
        records.push(Stored { topic: append.topic, partition, offset, timestamp_ms, record: append.record });
        Ok(Position { partition, offset })
    }
}

impl EventLog for MemoryLog {
    fn create_topic(&self, _: &TopicSpec) -> BoxFuture<'_, Result<(), log::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn topics(&self) -> BoxFuture<'_, Result<BTreeMap<String, u32>, log::Error>> {
        let topics = self.topics.lock().unwrap().keys().map(|name| (name.clone(), 2)).collect();
        Box::pin(async { Ok(topics) })
    }

    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Vec<Position>, log::Error>> {
        Box::pin(async move {
            let mood = *self.mood.lock().unwrap();
            self.asked.notify_one();
            if mood == Mood::Fails {
                return Err(log::Error::Unavailable { reason: "disk full".into() });
            }
            if mood == Mood::Waits {
                self.released.notified().await;
            }
            let positions = appends.into_iter().map(|append| self.write(append)).collect();
            self.changed.notify_waiters();
            positions
        })
    }

    fn read(
        &self,
        topic: &str,
        partition: u32,
        from: i64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<Vec<Stored>, log::Error>> {
        let topics = self.topics.lock().unwrap();
        let records = topics[topic][partition as usize].iter().filter(|record| record.offset >= from);
        let records = records.take(limit.records).cloned().collect();
        Box::pin(async { Ok(records) })
    }

    fn bounds(&self, topic: &str, partition: u32) -> BoxFuture<'_, Result<Bounds, log::Error>> {
        let end = self.topics.lock().unwrap()[topic][partition as usize].len() as i64;
        Box::pin(async move { Ok(Bounds { start: 0, end }) })
    }

    fn offset_at(&self, _: &str, _: u32, _: i64) -> BoxFuture<'_, Result<i64, log::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn wait(&self, positions: Vec<(String, u32, i64)>, _: Duration) -> BoxFuture<'_, Result<(), log::Error>> {
        Box::pin(async move {
            loop {
                let changed = self.changed.notified();
                let there = positions.iter().any(|(topic, partition, offset)| {
                    let topics = self.topics.lock().unwrap();
                    topics[topic][*partition as usize].len() as i64 > *offset
                });
                if there {
                    return Ok(());
                }
                changed.await;
            }
        })
    }

    fn committed(&self, _: &str, _: &str) -> BoxFuture<'_, Result<BTreeMap<u32, Committed>, log::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn trim(&self, _: &str, _: u32, _: i64) -> BoxFuture<'_, Result<i64, log::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn join(&self, _: &str, _: &[&str]) -> BoxFuture<'_, Result<Box<dyn Membership>, log::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn subscribe(&self, _: &str, _: &[&str]) -> BoxFuture<'_, Result<Box<dyn Subscription>, log::Error>> {
        panic!("the listeners do not ask for this")
    }
}

/// Answers what it holds.
#[derive(Default)]
pub struct MemoryStore {
    pub orders: Vec<OrderState>,
    pub ledger: Vec<LedgerEntry>,
    pub payloads: BTreeMap<Sha256Digest, Bytes>,
    pub is_down: bool,
}

impl MemoryStore {
    fn answer<T: Send + 'static>(&self, answer: T) -> BoxFuture<'_, Result<T, store::Error>> {
        let down = store::Error::Unavailable { reason: "disk full".into() };
        let answer = if self.is_down { Err(down) } else { Ok(answer) };
        Box::pin(async { answer })
    }
}

impl RecoveryStore for MemoryStore {
    fn index_failures(&self, _: Vec<Failure>) -> BoxFuture<'_, Result<u64, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn failures(
        &self,
        _: FailureFilter,
        _: Option<FailureCursor>,
        _: usize,
    ) -> BoxFuture<'_, Result<Vec<FailureRow>, store::Error>> {
        self.answer(Vec::new())
    }

    fn failure_groups(&self, _: FailureFilter, _: usize) -> BoxFuture<'_, Result<Vec<FailureGroup>, store::Error>> {
        self.answer(Vec::new())
    }

    fn close_failures(&self, _: Vec<FailureChange>) -> BoxFuture<'_, Result<u64, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn open_failures(&self) -> BoxFuture<'_, Result<Vec<OpenFailures>, store::Error>> {
        self.answer(Vec::new())
    }

    fn audit(&self, _: AuditEntry, _: Option<FailureChange>) -> BoxFuture<'_, Result<(), store::Error>> {
        self.answer(())
    }

    fn audit_rows(
        &self,
        _: AuditFilter,
        _: Option<i64>,
        _: usize,
    ) -> BoxFuture<'_, Result<Vec<AuditRow>, store::Error>> {
        self.answer(Vec::new())
    }
}

impl LaneStore for MemoryStore {
    fn take_over(&self, _: &LaneId) -> BoxFuture<'_, Result<Taken, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn write_batch(&self, _: BatchWrite) -> BoxFuture<'_, Result<Vec<ClaimAnswer>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn settle(&self, _: Settle) -> BoxFuture<'_, Result<(), store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn decided_in(&self, _: &LaneId, _: Topic, _: i64, _: i64) -> BoxFuture<'_, Result<Vec<Decided>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn released_after(&self, _: &LaneId, _: u64) -> BoxFuture<'_, Result<Vec<Released>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn ended(&self, _: &LaneId, _: Vec<Seq>) -> BoxFuture<'_, Result<BTreeMap<Seq, u32>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn executed(&self, _: &LaneId, _: Vec<String>) -> BoxFuture<'_, Result<HashSet<String>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn releasable(&self, _: &LaneId, _: i64, _: usize) -> BoxFuture<'_, Result<Vec<Parked>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn links(&self, _: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Link>>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn orders_called(&self, _: &str, _: &str, _: usize) -> BoxFuture<'_, Result<Vec<Link>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn delivered(&self, _: Vec<DeliveredOf>) -> BoxFuture<'_, Result<Vec<Option<String>>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn keys(&self, _: KeyFilter, _: Option<KeyCursor>, _: usize) -> BoxFuture<'_, Result<Vec<KeyRow>, store::Error>> {
        self.answer(Vec::new())
    }

    fn key_records(
        &self,
        _: &LaneId,
        _: Bytes,
        _: Seq,
        _: usize,
    ) -> BoxFuture<'_, Result<Vec<OutstandingRow>, store::Error>> {
        self.answer(Vec::new())
    }

    fn command_outcomes(&self, _: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<CommandOutcomeRow>>, store::Error>> {
        self.answer(Vec::new())
    }
}

impl JobStore for MemoryStore {
    fn plan_job(&self, _: JobPlan) -> BoxFuture<'_, Result<Option<JobRow>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn jobs(&self, _: JobFilter, _: Option<i64>, _: usize) -> BoxFuture<'_, Result<Vec<JobRow>, store::Error>> {
        self.answer(Vec::new())
    }

    fn job_items(
        &self,
        _: Uuid,
        _: Option<ItemState>,
        _: i64,
        _: usize,
    ) -> BoxFuture<'_, Result<Vec<ItemRow>, store::Error>> {
        self.answer(Vec::new())
    }

    fn change_job(&self, _: JobChange) -> BoxFuture<'_, Result<bool, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn lease_jobs(&self, _: Uuid, _: i64, _: i64) -> BoxFuture<'_, Result<Option<u64>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn change_items(&self, _: u64, _: Uuid, _: Vec<ItemChange>) -> BoxFuture<'_, Result<bool, store::Error>> {
        panic!("the listeners do not ask for this")
    }
}

impl Store for MemoryStore {
    fn take_lane(&self, _: &LaneId) -> BoxFuture<'_, Result<LaneRow, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn write(&self, _: LaneWrite) -> BoxFuture<'_, Result<(), store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn orders(&self, ids: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<Option<OrderState>>, store::Error>> {
        let find = |id: &Uuid| self.orders.iter().find(|state| state.id() == *id).cloned();
        self.answer(ids.iter().map(find).collect())
    }

    fn decisions(&self, _: &LaneId, _: i64, _: i64) -> BoxFuture<'_, Result<Vec<Decision>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn timer_decisions(&self, _: &LaneId, _: u64) -> BoxFuture<'_, Result<Vec<Decision>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn due(&self, _: &LaneId, _: i64, _: usize) -> BoxFuture<'_, Result<Vec<Due>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn published_events(&self, _: Vec<Uuid>) -> BoxFuture<'_, Result<HashSet<Uuid>, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn payload(&self, digest: Sha256Digest) -> BoxFuture<'_, Result<Option<Bytes>, store::Error>> {
        self.answer(self.payloads.get(&digest).cloned())
    }

    fn ledger(&self, order: Uuid) -> BoxFuture<'_, Result<Vec<LedgerEntry>, store::Error>> {
        self.answer(self.ledger.iter().filter(|entry| entry.order == order).cloned().collect())
    }

    fn prune(&self, _: Keep) -> BoxFuture<'_, Result<u64, store::Error>> {
        panic!("the listeners do not ask for this")
    }

    fn counts(&self) -> BoxFuture<'_, Result<Counts, store::Error>> {
        panic!("the listeners do not ask for this")
    }
}
