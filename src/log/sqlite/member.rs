//! The embedded engine's membership: the newest member of a group owns every lane of the topics it joined.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::Inner;
use super::catalog::Topic;
use super::queue::{Claim, Cursor, Effects, Seat, stopped};
use crate::log::{Committed, Error, Lane, LaneEffects, Membership, OffsetCommit, Ownership, ReadLimit, Stored};

/// Kafka's limit, `offset.metadata.max.bytes`.
const MAX_METADATA_BYTES: usize = 4096;

/// What [`Membership::next`] has told.
const NOTHING: u8 = 0;
const ASSIGNED: u8 = 1;
const REVOKED: u8 = 2;

pub struct Member {
    pub inner: Arc<Inner>,
    pub seat: Seat,
    pub topics: Vec<Arc<Topic>>,
    /// Becomes true when a newer member joins.
    pub revoked: watch::Receiver<bool>,
    told: AtomicU8,
}

impl Member {
    pub fn new(inner: Arc<Inner>, seat: Seat, topics: Vec<Arc<Topic>>, revoked: watch::Receiver<bool>) -> Self {
        Self { inner, seat, topics, revoked, told: AtomicU8::new(NOTHING) }
    }

    fn lanes(&self) -> Vec<Lane> {
        let generation = self.seat.generation;
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .map(|partition| Lane { topic: partition.topic.clone(), partition: partition.number, generation })
            .collect()
    }

    /// Finds what can never succeed before anything is queued. `None`: there is nothing to commit.
    fn check(&self, lanes: Vec<LaneEffects>) -> Result<Option<Effects>, Error> {
        let mut effects = Effects::default();
        for commit in lanes {
            let lane = commit.lane;
            let own = self.inner.catalog.partition(&lane.topic, lane.partition)?;
            let joined = self.topics.iter().any(|topic| topic.name == lane.topic);
            if !joined || lane.generation != self.seat.generation {
                return Err(Error::Fenced { topic: lane.topic.to_string(), partition: lane.partition });
            }
            effects.cursors.push(cursor(own, commit.offset)?);
            for (topic, offset) in commit.others {
                effects.cursors.push(cursor(self.inner.catalog.partition(&topic, lane.partition)?, offset)?);
            }
            effects.rows.reserve(commit.appends.len());
            for append in commit.appends {
                effects.rows.push(self.inner.row(append)?);
            }
            effects.claim.get_or_insert(Claim::Lane { seat: self.seat, lane });
        }
        Ok(effects.claim.is_some().then_some(effects))
    }
}

impl Membership for Member {
    fn next(&self) -> BoxFuture<'_, Result<Ownership, Error>> {
        Box::pin(async move {
            let told = |from, to| self.told.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok();
            if told(NOTHING, ASSIGNED) {
                return Ok(Ownership::Assigned(self.lanes()));
            }
            self.revoked.clone().wait_for(|revoked| *revoked).await.map(drop).map_err(|_| stopped())?;
            if told(ASSIGNED, REVOKED) {
                return Ok(Ownership::Revoked(self.lanes()));
            }
            // Nothing is ever given back to an older member.
            std::future::pending().await
        })
    }

    fn commit(&self, effects: Vec<LaneEffects>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match self.check(effects)? {
                Some(effects) => self.inner.queue.write(effects).await.map(drop),
                None => Ok(()),
            }
        })
    }

    fn committed(&self, lane: &Lane) -> BoxFuture<'_, Result<BTreeMap<String, Committed>, Error>> {
        let partition = self.inner.catalog.partition(&lane.topic, lane.partition);
        let group_id = self.seat.group_id;
        Box::pin(async move {
            let number = partition?.number;
            let sql = "SELECT topics.name, cursors.offset, cursors.metadata FROM topics
                       JOIN cursors ON cursors.slot = topics.first_slot + ?2
                       WHERE cursors.group_id = ?1 AND ?2 < topics.partitions";
            let query = move |connection: &rusqlite::Connection| {
                let mut statement = connection.prepare_cached(sql)?;
                let row = |row: &rusqlite::Row<'_>| {
                    Ok((row.get(0)?, OffsetCommit { offset: row.get(1)?, metadata: row.get(2)? }))
                };
                statement.query_map((group_id, number), row)?.collect()
            };
            self.inner.readers.query(query).await
        })
    }

    fn poll(
        &self,
        lane: &Lane,
        from: i64,
        limit: ReadLimit,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Vec<Stored>, Error>> {
        let partition = self.inner.catalog.partition(&lane.topic, lane.partition);
        Box::pin(async move {
            let partition = partition?;
            let records = self.inner.read(&partition, from, limit).await?;
            if !records.is_empty() {
                return Ok(records);
            }
            let mut end = partition.watch_end();
            // Both a timeout and a closed log leave nothing to read.
            let _ = tokio::time::timeout(timeout, end.wait_for(|end| *end > from)).await;
            self.inner.read(&partition, from, limit).await
        })
    }
}

pub fn cursor(partition: Arc<super::catalog::Partition>, commit: OffsetCommit) -> Result<Cursor, Error> {
    let OffsetCommit { offset, metadata } = commit;
    if metadata.len() > MAX_METADATA_BYTES {
        return Err(Error::MetadataTooLarge { bytes: metadata.len() });
    }
    Ok(Cursor { partition, offset, metadata })
}
