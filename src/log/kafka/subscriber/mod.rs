//! A member of a group that reads: for hops, which own nothing.
//!
//! A thread of its own serves the member, so that it stays in the group and gives partitions up however long the hop
//! is busy elsewhere. Records wait in a queue for each partition (`shares`), which the polls empty.

mod shares;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::time::Instant;

use self::shares::Shares;
use super::member::{check, places};
use super::options::Options;
use super::probe::{Probe, native};
use super::{blocking, context, unavailable};
use crate::log::{Error, OffsetCommit, ReadLimit, Stored, Subscription};

const SERVE: Duration = Duration::from_millis(50);

type Consumer = BaseConsumer<SubscriberContext>;
type Offset = (Arc<str>, u32, OffsetCommit);
type Offsets = Vec<Offset>;

pub struct Subscriber {
    group: String,
    shares: Arc<Shares>,
    consumer: Option<Arc<Consumer>>,
    closed: Arc<AtomicBool>,
    probe: Arc<Probe>,
    timeout: Duration,
    /// One poll at a time.
    polling: tokio::sync::Mutex<()>,
    /// One commit at a time, also one that nobody waits for any more: a later one must not be overtaken.
    committing: Arc<tokio::sync::Mutex<()>>,
}

impl Subscriber {
    pub fn join(options: &Options, probe: Arc<Probe>, group: &str, topics: &[String]) -> Result<Self, Error> {
        let timeout = options.request_timeout;
        let shares = Arc::new(Shares::new(timeout));
        let context = SubscriberContext { group: group.to_owned(), shares: shares.clone() };
        let consumer: Consumer =
            options.subscriber(group).create_with_context(context).map_err(|error| options.refused(&error))?;
        let consumer = Arc::new(consumer);
        shares.attend(&consumer);
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| options.refused(&error))?;
        let closed = Arc::new(AtomicBool::new(false));
        let (served, of, until) = (consumer.clone(), shares.clone(), closed.clone());
        std::thread::Builder::new()
            .name("kafka-subscriber".to_owned())
            .spawn(move || serve(&served, &of, &until))
            .map_err(|error| unavailable(format!("no thread for a subscription: {error}")))?;
        let (group, consumer) = (group.to_owned(), Some(consumer));
        let (polling, committing) = (tokio::sync::Mutex::default(), Arc::default());
        Ok(Self { group, shares, consumer, closed, probe, timeout, polling, committing })
    }

    /// Nothing came. That is also what a cluster looks like that is away.
    async fn silence(&self) -> Result<Vec<Stored>, Error> {
        if self.shares.is_doubtful() {
            self.probe.broker().await?;
            self.shares.trust();
        }
        Ok(Vec::new())
    }

    async fn commit_held(&self, offsets: Offsets) -> Result<(), Error> {
        let committing = self.committing.clone().lock_owned().await;
        let Some(consumer) = self.consumer.clone() else { return Ok(()) };
        let (shares, given_up) = (self.shares.clone(), std::time::Instant::now() + self.timeout);
        blocking(move || {
            let _committing = committing;
            loop {
                let Some(error) = commit_once(&consumer, &shares, &offsets)? else { return Ok(()) };
                if std::time::Instant::now() >= given_up {
                    return Err(unavailable(format!("offsets were not committed: {error}")));
                }
                // The group is between two generations: what is held afterwards is known when it has agreed.
                shares.await_change(SERVE);
            }
        })
        .await?
    }
}

impl Subscription for Subscriber {
    fn poll(&self, limit: ReadLimit, timeout: Duration) -> BoxFuture<'_, Result<Vec<Stored>, Error>> {
        Box::pin(async move {
            let deadline = Instant::now() + timeout;
            let _polling = self.polling.lock().await;
            loop {
                // Before the look at what is there, so that nothing is missed in between.
                let arrived = self.shares.arrived.notified();
                let records = self.shares.take(limit)?;
                if !records.is_empty() {
                    return Ok(records);
                }
                if tokio::time::timeout_at(deadline, arrived).await.is_err() {
                    return self.silence().await;
                }
            }
        })
    }

    fn commit(&self, offsets: Offsets) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            for (topic, _, offset) in &offsets {
                check(offset, topic)?;
            }
            let late = |_| Err(unavailable(format!("offsets of group `{}` were not committed in time", self.group)));
            tokio::time::timeout(self.timeout, self.commit_held(offsets)).await.unwrap_or_else(late)
        })
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // In this order the thread's share is the last: closing blocks.
        drop(self.consumer.take());
        self.closed.store(true, Ordering::Release);
    }
}

/// Until the subscription is dropped, or its place in the group is taken for good.
fn serve(consumer: &Arc<Consumer>, shares: &Shares, closed: &AtomicBool) {
    while !closed.load(Ordering::Acquire) {
        // Records come through queues of their own.
        if let Some(Err(_)) = consumer.poll(SERVE)
            && let Some((_, reason)) = consumer.client().fatal_error()
        {
            shares.end(reason);
            break;
        }
    }
    shares.give_up_all();
}

/// Commits what the member has of the offsets. The error is one that passes when the group has agreed anew.
fn commit_once(consumer: &Consumer, shares: &Shares, offsets: &Offsets) -> Result<Option<KafkaError>, Error> {
    let held = shares.enter(offsets);
    if held.is_empty() {
        return Ok(None);
    }
    let committed = list(&held).and_then(|list| consumer.commit(&list, CommitMode::Sync));
    shares.leave(&held);
    let Err(error) = committed else { return Ok(None) };
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::RebalanceInProgress
            | RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::StaleMemberEpoch
            | RDKafkaErrorCode::AssignmentLost,
        ) => Ok(Some(error)),
        _ => Err(unavailable(format!("offsets were not committed: {error}"))),
    }
}

fn list(offsets: &[&Offset]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (topic, partition, commit) in offsets {
        let mut element = list.add_partition(topic, native(*partition));
        element.set_offset(rdkafka::Offset::Offset(commit.offset))?;
        element.set_metadata(&commit.metadata);
    }
    Ok(list)
}

/// Takes the rebalances of one subscription, on its thread.
pub struct SubscriberContext {
    group: String,
    shares: Arc<Shares>,
}

impl ClientContext for SubscriberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "OFFSET" {
            // Which topic and partition, from where to where.
            tracing::warn!(group = self.group, kafka.message = message, "an offset is gone, reading goes on elsewhere");
        } else {
            context::log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::report(&error, reason);
        self.shares.report(error.rdkafka_error_code(), reason);
    }
}

impl ConsumerContext for SubscriberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, change: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let places = places(partitions);
        let done = if change == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // Their queues first, or the first records would go elsewhere.
            self.shares.open(places);
            if cooperative { consumer.incremental_assign(partitions) } else { consumer.assign(partitions) }
        } else {
            self.shares.give_up(&places);
            if cooperative { consumer.incremental_unassign(partitions) } else { consumer.unassign() }
        };
        if let Err(error) = done {
            tracing::error!(group = self.group, kafka.error = %error, "an assignment was not taken over");
        }
    }
}
