//! What hops that read topics have in common: poll, take, commit, and begin anew where that fails.
//!
//! Offsets are committed after what was made of their records is durable. A crash in between reads them again; whoever
//! takes them makes the same of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::backoff::{Delays, Policy};
use crate::log::{self, EventLog, OffsetCommit, ReadLimit, Stored, Subscription};
use crate::ops::Readiness;
use crate::telemetry::metrics::Metrics;

const POLL: Duration = Duration::from_secs(1);
const COUNT_EVERY: Duration = Duration::from_secs(10);
const PAUSES: Policy = Policy { first: Duration::from_millis(100), most: Duration::from_secs(5), jitter: 0.2 };

/// One consumer group, and what becomes of its records.
pub trait Hop: Send {
    fn group(&self) -> &'static str;
    fn topics(&self) -> Vec<&str>;
    /// What one poll hands out at most.
    fn batch(&self) -> ReadLimit;
    /// The label of its metrics, and the part of the readiness it is remarked on as. It never makes a gateway unready.
    fn name(&self) -> &'static str;
    /// Makes of `records` what is to be made, durably.
    ///
    /// # Errors
    /// Only what passes: none of the records is committed, and all of them come again.
    fn take<'a>(&'a mut self, records: &'a [Stored]) -> BoxFuture<'a, Result<(), Error>>;
}

/// What every hop works with.
#[derive(Clone)]
pub struct Deps {
    pub log: Arc<dyn EventLog>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
}

/// Why records cannot be taken now.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A hop that runs.
pub struct Runner<H> {
    pub hop: H,
    deps: Deps,
    subscription: Option<Box<dyn Subscription>>,
    counted_at: Option<Instant>,
}

impl<H: Hop> Runner<H> {
    pub fn new(hop: H, deps: Deps) -> Self {
        Self { hop, deps, subscription: None, counted_at: None }
    }

    /// Runs until `stop` is true. A batch under way is finished: only what waits is given up.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (name, group) = (self.hop.name(), self.hop.group());
        let mut delays = Delays::new(PAUSES);
        let mut has_failed = false;
        loop {
            let done = self.round(&mut stop).await;
            if *stop.borrow() {
                return;
            }
            let Err(error) = done else {
                if std::mem::take(&mut has_failed) {
                    info!(group, "records are taken again");
                    self.deps.readiness.remark(group, Vec::new());
                    delays.reset();
                }
                continue;
            };
            if !has_failed {
                warn!(group, %error, "records cannot be taken now; they stay in their topics until they can");
            }
            has_failed = true;
            // The reason is in the log: it may name what is nobody else's business.
            self.deps
                .readiness
                .remark(group, vec![format!("{name} takes nothing now; its records stay in their topics")]);
            self.deps.metrics.engine_errors.with_label_values(&[name]).inc();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(delays.next_delay()) => {}
            }
        }
    }

    /// One poll, and what becomes of it.
    ///
    /// # Errors
    /// As [`Hop::take`], and what the log says.
    pub async fn round(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), Error> {
        let member = match self.subscription.take() {
            Some(member) => member,
            None => self.deps.log.subscribe(self.hop.group(), &self.hop.topics()).await?,
        };
        // Left there on every way out but a failure: what a poll has handed out is handed out once, and to have it again
        // the group is joined anew.
        let records = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            records = member.poll(self.hop.batch(), POLL) => records?,
        };
        if !records.is_empty() {
            let started = Instant::now();
            self.hop.take(&records).await?;
            member.commit(next_offsets(&records)).await?;
            let seconds = started.elapsed().as_secs_f64();
            self.deps.metrics.engine_seconds.with_label_values(&[self.hop.name()]).observe(seconds);
        }
        self.subscription = Some(member);
        let is_due = self.counted_at.is_none_or(|counted_at| counted_at.elapsed() >= COUNT_EVERY);
        if is_due || !records.is_empty() {
            self.count().await?;
            self.counted_at = Some(Instant::now());
        }
        Ok(())
    }

    async fn count(&self) -> Result<(), Error> {
        let Deps { log, metrics, .. } = &self.deps;
        let there = log.topics().await?;
        // One that is not there yet is read from when it is.
        for (topic, partitions) in self.hop.topics().into_iter().filter_map(|topic| Some((topic, *there.get(topic)?))) {
            let committed = log.committed(self.hop.group(), topic).await?;
            for partition in 0..partitions {
                let bounds = log.bounds(topic, partition).await?;
                let next = committed.get(&partition).map_or(bounds.start, |committed| committed.offset);
                let lag = bounds.end.saturating_sub(next.max(bounds.start)).max(0);
                metrics.lag.with_label_values(&[self.hop.group(), topic, &partition.to_string()]).set(lag);
            }
        }
        Ok(())
    }
}

/// The next offsets behind `records`.
fn next_offsets(records: &[Stored]) -> Vec<(Arc<str>, u32, OffsetCommit)> {
    let mut next: BTreeMap<(&Arc<str>, u32), i64> = BTreeMap::new();
    for Stored { topic, partition, offset, .. } in records {
        let behind = next.entry((topic, *partition)).or_default();
        *behind = (*behind).max(offset.saturating_add(1));
    }
    let commit = |offset| log::OffsetCommit { offset, metadata: String::new() };
    next.into_iter().map(|((topic, partition), offset)| (topic.clone(), partition, commit(offset))).collect()
}
