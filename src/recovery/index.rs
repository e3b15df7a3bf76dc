//! The hops that keep the failure index: one reads what was published as failed, by the contract's consumer group, the
//! other the dead letters of this gateway's lanes.
//!
//! A call of ours that failed is published and in the dead letters as well. It is indexed as its dead letter, which can
//! be replayed; what the lane published of it is told by the lane's headers and passed over.
//!
//! The offset is committed after the store has the failures. A crash in between reads them again, and a failure that
//! is in the index already stays as it is. A record that is no failure is passed over: it stays in its topic, and is
//! counted and logged.
//!
//! Source: `contracts/canonical-events.md` section 9, last paragraph.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::backoff::{Delays, Policy};
use crate::canonical::event::ORDER_FAILED;
use crate::lane::header;
use crate::log::{self, EventLog, OffsetCommit, ReadLimit, Stored, Subscription};
use crate::ops::Readiness;
use crate::recovery::{dead_letter, failure};
use crate::schema::Catalogue;
use crate::store::recovery::{Failure, FailureCursor, OpenFailures};
use crate::store::{self, Store};
use crate::telemetry::metrics::Metrics;

/// The consumer group of the contract.
pub const GROUP: &str = "integration-adapters-sales-failures-v1";
/// Calls to sales systems that finally failed are published here.
pub const STATUS_FAILED: &str = "integration.sales.status.failed";
const PUBLISHED: [&str; 2] = [ORDER_FAILED, STATUS_FAILED];
/// The consumer group that reads the dead letters of the lanes.
pub const DEAD_LETTERS: &str = "crossdock.dead-letters";

/// Under which the index is remarked on. It never makes a gateway unready: orders come in and are decided without it.
const PART: &str = "failures";

/// A failure carries a payload of 256 KiB at most.
const BATCH: ReadLimit = ReadLimit { records: 200, bytes: 4 << 20 };
const POLL: Duration = Duration::from_secs(1);
/// How often lag and open failures are counted while nothing happens: both may change by another gateway's doing.
const COUNT_EVERY: Duration = Duration::from_secs(10);
const PAUSES: Policy = Policy { first: Duration::from_millis(100), most: Duration::from_secs(5), jitter: 0.2 };

/// What the index works with.
#[derive(Clone)]
pub struct Deps {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
}

/// Indexes what was published as failed, until `stop` is true.
pub fn start(deps: Deps, stop: watch::Receiver<bool>) -> JoinHandle<()> {
    let topics = watch::channel(PUBLISHED.map(str::to_owned).to_vec()).1;
    tokio::spawn(Index::new(deps, GROUP, topics).run(stop))
}

/// Indexes the dead letters of the lanes and closes the failures of records that came to their end, until `stop` is
/// true. `lanes`: the lanes' own topics; a new one is read from as soon as it is named.
pub fn start_dead_letters(
    deps: Deps,
    lanes: watch::Receiver<Vec<String>>,
    stop: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let letters = |lanes: &[String]| lanes.iter().map(|topic| format!("{}{topic}", dead_letter::PREFIX)).collect();
        let (named, topics) = watch::channel(letters(&lanes.borrow()));
        let follow = async {
            let mut lanes = lanes;
            while lanes.changed().await.is_ok() {
                let topics = letters(&lanes.borrow_and_update());
                named.send_replace(topics);
            }
            // Whoever named them is gone; what they named stays.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = Index::new(deps, DEAD_LETTERS, topics).run(stop) => {}
            () = follow => {}
        }
    })
}

pub(super) struct Index {
    deps: Deps,
    group: &'static str,
    topics: watch::Receiver<Vec<String>>,
    /// Where the sweep over open dead letters goes on.
    swept: Option<FailureCursor>,
    counted_at: Option<Instant>,
    /// Labels of the gauge that have a number: one that is not counted any more is 0.
    shown: BTreeSet<(String, String)>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Failure(#[from] failure::Error),
    #[error(transparent)]
    DeadLetter(#[from] dead_letter::Error),
}

impl Error {
    /// Whether the record may be readable later.
    fn is_transient(&self) -> bool {
        match self {
            Self::Log(_) | Self::Store(_) => true,
            Self::Failure(cause) => cause.is_transient(),
            Self::DeadLetter(_) => false,
        }
    }
}

impl Index {
    pub(super) fn new(deps: Deps, group: &'static str, topics: watch::Receiver<Vec<String>>) -> Self {
        Self { deps, group, topics, swept: None, counted_at: None, shown: BTreeSet::new() }
    }

    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut delays = Delays::new(PAUSES);
        let mut subscription = None;
        let group = self.group;
        let mut failed = false;
        loop {
            let done = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                done = self.round(&mut subscription) => done,
            };
            let Err(error) = done else {
                if std::mem::take(&mut failed) {
                    info!(group, "failures are indexed again");
                    self.deps.readiness.remark(PART, Vec::new());
                    delays.reset();
                }
                continue;
            };
            if !failed {
                warn!(group, %error, "failures cannot be indexed now; they stay in their topic until they can");
            }
            failed = true;
            // The reason is in the log: it may name what is nobody else's business.
            self.deps.readiness.remark(PART, vec!["failures are not indexed now; they stay in their topic".to_owned()]);
            self.deps.metrics.engine_errors.with_label_values(&["failures.index"]).inc();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(delays.next_delay()) => {}
            }
        }
    }

    pub(super) async fn round(&mut self, subscription: &mut Option<Box<dyn Subscription>>) -> Result<(), Error> {
        if self.topics.has_changed().unwrap_or_default() {
            *subscription = None;
        }
        let member = match subscription {
            Some(member) => member,
            None => {
                let topics = self.topics.borrow_and_update().clone();
                if topics.is_empty() {
                    // Nothing fails where nothing is called.
                    let _ = tokio::time::timeout(POLL, self.topics.changed()).await;
                    return Ok(());
                }
                let topics: Vec<_> = topics.iter().map(String::as_str).collect();
                subscription.insert(self.deps.log.subscribe(self.group, &topics).await?)
            }
        };
        let records = member.poll(BATCH, POLL).await?;
        if !records.is_empty()
            && let Err(error) = self.take(member.as_ref(), &records).await
        {
            // What a poll has handed out is handed out once: to have it again, the group is joined anew.
            *subscription = None;
            return Err(error);
        }
        let is_due = self.counted_at.is_none_or(|counted_at| counted_at.elapsed() >= COUNT_EVERY);
        if is_due || !records.is_empty() {
            if is_due && self.group == DEAD_LETTERS {
                self.sweep().await?;
            }
            self.count().await?;
            self.counted_at = Some(Instant::now());
        }
        Ok(())
    }

    async fn take(&self, member: &dyn Subscription, records: &[Stored]) -> Result<(), Error> {
        let started = Instant::now();
        self.index(records).await?;
        fail::fail_point!("recovery.indexed");
        member.commit(offsets(records)).await?;
        let seconds = started.elapsed().as_secs_f64();
        self.deps.metrics.engine_seconds.with_label_values(&["failures.index"]).observe(seconds);
        Ok(())
    }

    async fn index(&self, records: &[Stored]) -> Result<(), Error> {
        let mut failures: Vec<Failure> = Vec::with_capacity(records.len());
        for stored in records {
            let status = match self.read(stored).await {
                Ok(Some(failure)) => {
                    failures.push(failure);
                    "success"
                }
                Ok(None) => "success",
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    let Stored { topic, partition, offset, .. } = stored;
                    warn!(%topic, partition, offset, %error, "record is no failure and is not indexed");
                    "error"
                }
            };
            self.deps.metrics.kafka_events_processed.with_label_values(&[&stored.topic, status]).inc();
        }
        self.deps.store.index_failures(failures).await?;
        Ok(())
    }

    /// `None`: a dead letter of ours says the same.
    async fn read(&self, stored: &Stored) -> Result<Option<Failure>, Error> {
        if stored.topic.starts_with(dead_letter::PREFIX) {
            let failure = dead_letter::read(stored)?;
            return Ok(Some(self.look_up(failure).await?));
        }
        if stored.record.header(header::ORIGIN).is_some() {
            return Ok(None);
        }
        let failure = match failure::read(&self.deps.catalogue, stored) {
            Err(error) if error.is_transient() => {
                let value = stored.record.value.as_deref().unwrap_or_default();
                self.deps.catalogue.learn_from(value).await.map_err(failure::Error::from)?;
                failure::read(&self.deps.catalogue, stored)
            }
            read => read,
        };
        Ok(Some(failure?))
    }

    async fn count(&mut self) -> Result<(), Error> {
        let Deps { log, store, metrics, .. } = &self.deps;
        let gauge = |(binding, code): &(String, String)| metrics.open_failures.with_label_values(&[binding, code]);
        let mut shown = BTreeSet::new();
        for OpenFailures { binding, error_code, failures } in store.open_failures().await? {
            let labels = (binding, error_code);
            gauge(&labels).set(i64::try_from(failures).unwrap_or(i64::MAX));
            shown.insert(labels);
        }
        for gone in self.shown.difference(&shown) {
            gauge(gone).set(0);
        }
        self.shown = shown;
        let topics = log.topics().await?;
        // One that is not there yet is read from when it is.
        let read = self.topics.borrow().clone();
        for (topic, partitions) in read.iter().filter_map(|topic| Some((topic.as_str(), *topics.get(topic)?))) {
            let committed = log.committed(self.group, topic).await?;
            for partition in 0..partitions {
                let bounds = log.bounds(topic, partition).await?;
                let next = committed.get(&partition).map_or(bounds.start, |committed| committed.offset);
                let lag = bounds.end.saturating_sub(next.max(bounds.start)).max(0);
                metrics.lag.with_label_values(&[self.group, topic, &partition.to_string()]).set(lag);
            }
        }
        Ok(())
    }
}

/// The next offsets behind `records`.
fn offsets(records: &[Stored]) -> Vec<(Arc<str>, u32, OffsetCommit)> {
    let mut next: BTreeMap<(&Arc<str>, u32), i64> = BTreeMap::new();
    for Stored { topic, partition, offset, .. } in records {
        let behind = next.entry((topic, *partition)).or_default();
        *behind = (*behind).max(offset.saturating_add(1));
    }
    let commit = |offset| OffsetCommit { offset, metadata: String::new() };
    next.into_iter().map(|((topic, partition), offset)| (topic.clone(), partition, commit(offset))).collect()
}

mod sweep;
#[cfg(test)]
mod tests;
