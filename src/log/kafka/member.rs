//! A member of a group. Its assignment is the ownership of lanes; it fetches nothing.
//!
//! A thread of its own serves the member: rebalances run on it, and giving a lane up waits there until the
//! transaction that carries the lane has ended. Only then does the broker give the lane to another member.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::committer::{Job, Staged};
use super::roster::Roster;
use super::{Inner, context, unavailable};
use crate::log::{Committed, Error, Lane, LaneEffects, Membership, OffsetCommit, Ownership, ReadLimit, Stored};

/// Kafka's limit, `offset.metadata.max.bytes`.
const MAX_METADATA_BYTES: usize = 4096;
const SERVE: Duration = Duration::from_millis(50);

pub struct Member {
    inner: Arc<Inner>,
    pub roster: Arc<Roster>,
    changes: Mutex<mpsc::UnboundedReceiver<Result<Ownership, Error>>>,
    closed: Arc<AtomicBool>,
}

impl Member {
    pub fn join(inner: Arc<Inner>, group: &str, topics: &[Arc<str>]) -> Result<Self, Error> {
        let (told, changes) = mpsc::unbounded_channel();
        let roster = Arc::new(Roster::new(group, told));
        let config = inner.options.member(group);
        let context = GroupContext { roster: roster.clone() };
        let consumer: BaseConsumer<GroupContext> =
            config.create_with_context(context).map_err(|error| inner.options.refused(&error))?;
        let consumer = Arc::new(consumer);
        roster.attend(&consumer);
        let topics: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
        consumer.subscribe(&topics).map_err(unavailable)?;
        let closed = Arc::new(AtomicBool::new(false));
        let (until, of) = (closed.clone(), roster.clone());
        std::thread::Builder::new()
            .name("kafka-member".to_owned())
            .spawn(move || serve(consumer, &of, &until))
            .map_err(|error| unavailable(format!("no thread for a member: {error}")))?;
        Ok(Self { inner, roster, changes: Mutex::new(changes), closed })
    }

    /// Finds what can never succeed before it reaches a transaction that it would fail for all others.
    async fn stage(&self, effects: Vec<LaneEffects>) -> Result<Vec<Staged>, Error> {
        let mut staged = Vec::with_capacity(effects.len());
        for LaneEffects { lane, offset, others, appends } in effects {
            self.inner.catalog.partition(&lane.topic, lane.partition).await?;
            check(&offset, &lane.topic)?;
            for (topic, offset) in &others {
                self.inner.catalog.partition(topic, lane.partition).await?;
                check(offset, topic)?;
            }
            let mut rows = Vec::with_capacity(appends.len());
            for append in appends {
                rows.push(self.inner.row(append).await?);
            }
            staged.push(Staged { lane, offset, others, rows });
        }
        Ok(staged)
    }
}

impl Membership for Member {
    fn next(&self) -> BoxFuture<'_, Result<Ownership, Error>> {
        Box::pin(async move {
            let change = self.changes.lock().await.recv().await;
            let change = change.unwrap_or_else(|| Err(unavailable("the member has left its group")));
            if let Ok(Ownership::Revoked(lanes)) = &change {
                let reader = self.inner.lanes()?;
                lanes.iter().for_each(|lane| reader.close(&lane.topic, lane.partition));
            }
            change
        })
    }

    fn commit(&self, effects: Vec<LaneEffects>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            if effects.is_empty() {
                return Ok(());
            }
            let lanes = self.stage(effects).await?;
            let (reply, answer) = oneshot::channel();
            self.inner.committer()?.submit(Job::new(self.roster.clone(), lanes, reply))?;
            answer.await.unwrap_or_else(|_| Err(unavailable("the thread of transactions has stopped")))
        })
    }

    fn committed(&self, lane: &Lane) -> BoxFuture<'_, Result<BTreeMap<String, Committed>, Error>> {
        let (place, lane) = ((lane.topic.clone(), lane.partition), lane.clone());
        Box::pin(async move {
            self.inner.catalog.partition(&place.0, place.1).await?;
            let others = self.inner.probe.topics().await?.into_iter().filter(|(_, partitions)| place.1 < *partitions);
            let others = others.map(|(topic, _)| (Arc::from(topic), place.1)).collect();
            let others = self.inner.probe.committed(&self.roster.companion, others).await?;
            let own = self.inner.probe.committed(&self.roster.group, vec![place]).await?;
            if let Some(own) = own.first() {
                self.roster.remember(&lane, own.committed.clone());
            }
            Ok(others.into_iter().chain(own).map(|offset| (offset.topic, offset.committed)).collect())
        })
    }

    fn poll(
        &self,
        lane: &Lane,
        from: i64,
        limit: ReadLimit,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Vec<Stored>, Error>> {
        let (topic, partition) = (lane.topic.clone(), lane.partition);
        Box::pin(async move {
            let topic = self.inner.catalog.partition(&topic, partition).await?;
            self.inner.lanes()?.poll(&topic, partition, from, limit, timeout).await
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// Until the member is dropped, or its place in the group is taken for good.
fn serve(consumer: Arc<BaseConsumer<GroupContext>>, roster: &Roster, closed: &AtomicBool) {
    let mut lost = None;
    while !closed.load(Ordering::Acquire) && lost.is_none() {
        // A record that slipped through before its partition was paused is of no use here.
        if let Some(Err(_)) = consumer.poll(SERVE) {
            lost = consumer.client().fatal_error();
        }
    }
    // After this the share dropped here is the last: closing gives the lanes up and leaves the group.
    roster.close();
    drop(consumer);
    roster.revoke_all();
    let reason = lost.map_or_else(|| "the member has left its group".to_owned(), |(_, reason)| reason);
    roster.end(unavailable(reason));
}

/// Takes the rebalances of one member, on its thread.
pub struct GroupContext {
    roster: Arc<Roster>,
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::report(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, change: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let places = places(partitions);
        let done = if change == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let assigned = assign(consumer, partitions, cooperative);
            if assigned.is_ok() {
                self.roster.assign(places);
            }
            assigned
        } else {
            self.roster.revoke(&places);
            if cooperative { consumer.incremental_unassign(partitions) } else { consumer.unassign() }
        };
        if let Err(error) = done {
            tracing::error!(kafka.group = self.roster.group, kafka.error = %error, "an assignment was not taken over");
        }
    }
}

/// Takes partitions without fetching them. With an offset given, the group's own offsets are not asked for.
fn assign(
    consumer: &BaseConsumer<GroupContext>,
    partitions: &TopicPartitionList,
    cooperative: bool,
) -> Result<(), KafkaError> {
    let mut paused = partitions.clone();
    paused.set_all_offsets(Offset::End)?;
    if cooperative {
        consumer.incremental_assign(&paused)?
    } else {
        consumer.assign(&paused)?
    }
    if paused.count() > 0 { consumer.pause(&paused) } else { Ok(()) }
}

pub fn places(partitions: &TopicPartitionList) -> Vec<(Arc<str>, u32)> {
    let place = |topic: &str, partition| Some((Arc::from(topic), u32::try_from(partition).ok()?));
    partitions.elements().iter().filter_map(|element| place(element.topic(), element.partition())).collect()
}

pub fn check(commit: &OffsetCommit, topic: &str) -> Result<(), Error> {
    let bytes = commit.metadata.len();
    if bytes > MAX_METADATA_BYTES {
        return Err(Error::MetadataTooLarge { bytes });
    }
    if commit.offset < 0 {
        let reason = format!("an offset is 0 or more, found {}", commit.offset);
        return Err(Error::Unusable { path: topic.to_owned(), reason });
    }
    Ok(())
}
