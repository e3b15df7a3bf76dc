//! The embedded event log: one SQLite file, one writer thread, readers that mostly read from memory.
//!
//! A write is checked on its caller's task, waits in `queue` and is written by `writer` together with all others
//! that wait; the sync at the end of that transaction is shared. Readers see a record once it is on disk: the newest
//! ones in `recent`, older ones in the files. One process at a time has the files open.

mod catalog;
mod files;
mod headers;
mod limits;
mod member;
mod queue;
mod readers;
mod recent;
mod records;
mod subscriber;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::future::{BoxFuture, select_all};
use tokio::sync::watch;

use self::catalog::{Catalog, Partition, Topic};
use self::files::Files;
use self::limits::Limits;
use self::member::Member;
use self::queue::{Effects, Job, Queue, Row};
use self::readers::Readers;
use self::subscriber::Subscriber;
use self::writer::Writer;
use super::{
    Append, Bounds, Committed, Error, EventLog, Membership, OffsetCommit, Position, ReadLimit, Stored, Subscription,
    TopicSpec, murmur2,
};
use crate::clock::Clock;

/// An event log in one file, for one process.
///
/// Dropping it, and the memberships it gave, waits until what is queued is written, and closes the files.
pub struct SqliteLog {
    inner: Arc<Inner>,
}

/// How a log is opened.
#[derive(Clone)]
pub struct Options {
    /// How long the writer waits for more to write before it starts a transaction; zero takes what is queued.
    pub group_commit_delay: Duration,
    /// Append times and retention.
    pub clock: Arc<dyn Clock>,
}

struct Inner {
    path: PathBuf,
    catalog: Arc<Catalog>,
    /// Before the queue: the last connection to be closed is the writer's, which folds the WAL into the file.
    readers: Arc<Readers>,
    queue: Queue,
}

impl SqliteLog {
    /// Opens the log in the file `path`, or makes one there; its folder must exist. Other files of the log have names
    /// that begin with the same path. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// [`Error::Unusable`] if another process has it open, or if it is damaged, newer than this program or no event
    /// log; [`Error::Unavailable`] if the system refuses to read or write it now.
    pub fn open(path: &Path, options: Options) -> Result<Arc<Self>, Error> {
        Self::open_within(path, options, Limits::default())
    }

    fn open_within(path: &Path, options: Options, limits: Limits) -> Result<Arc<Self>, Error> {
        let path = path.to_owned();
        let files = Files::open(&path)?;
        let loaded = files.load(&path)?;
        let Options { group_commit_delay, clock } = options;
        let writer = Writer::new((path.clone(), files), loaded, clock, group_commit_delay, limits);
        let catalog = writer.catalog();
        let (jobs, queued) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("event-log".to_owned())
            .spawn(move || writer.run(&queued))
            .map_err(|error| Error::Unavailable { reason: format!("no thread for the writer: {error}") })?;
        let queue = Queue::new(&limits, jobs, thread);
        let readers = Arc::new(Readers::new(path.clone(), limits.readers));
        Ok(Arc::new(Self { inner: Arc::new(Inner { path, catalog, queue, readers }) }))
    }
}

impl Inner {
    /// Finds what can never be appended before anything is queued.
    fn row(&self, append: Append) -> Result<Row, Error> {
        let Append { topic, partition, record } = append;
        let topic = self.catalog.topic(&topic)?;
        let (bytes, max) = (record.size(), topic.max_record_bytes);
        if bytes > max {
            return Err(Error::TooLarge { topic: topic.name.to_string(), bytes, max });
        }
        let by_key = || murmur2::partition(record.key.as_deref(), topic.partition_count());
        let partition = topic.partition(partition.unwrap_or_else(by_key))?.clone();
        Ok(Row { partition, record, offset: 0, timestamp_ms: 0 })
    }

    async fn read(&self, partition: &Arc<Partition>, from: i64, limit: ReadLimit) -> Result<Vec<Stored>, Error> {
        loop {
            let Bounds { start, end } = partition.bounds();
            let from = from.max(start);
            if from >= end {
                return Ok(Vec::new());
            }
            if let Some(stored) = recent::read(partition, from, end, limit) {
                return Ok(stored);
            }
            let of = partition.clone();
            let query = move |connection: &_| records::read(connection, &of, from, end, limit);
            let stored = self.readers.query(query).await?.map_err(|reason| files::unusable(&self.path, reason))?;
            if !stored.is_empty() {
                return Ok(stored);
            }
            if partition.start() <= from {
                let reason = format!("record `{}`/{}/{from} is missing", partition.topic, partition.number);
                return Err(files::unusable(&self.path, reason));
            }
            // Trimmed meanwhile: from the new start on.
        }
    }

    /// Offsets `group` has committed, by partition.
    async fn committed(&self, group: String, topic: &Topic) -> Result<BTreeMap<u32, Committed>, Error> {
        let first = topic.partitions.first().map_or(0, |partition| partition.slot);
        let range = (group, first, first + topic.partition_count());
        let sql = "SELECT cursors.slot - ?2, cursors.offset, cursors.metadata FROM cursors
                   JOIN groups ON groups.id = cursors.group_id
                   WHERE groups.name = ?1 AND cursors.slot >= ?2 AND cursors.slot < ?3";
        let query = move |connection: &rusqlite::Connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let row = |row: &rusqlite::Row<'_>| {
                Ok((row.get(0)?, OffsetCommit { offset: row.get(1)?, metadata: row.get(2)? }))
            };
            statement.query_map(range, row)?.collect()
        };
        self.readers.query(query).await
    }
}

impl EventLog for SqliteLog {
    fn create_topic(&self, topic: &TopicSpec) -> BoxFuture<'_, Result<(), Error>> {
        let spec = topic.clone();
        Box::pin(self.inner.queue.ask(|reply| Job::CreateTopic { spec, reply }))
    }

    fn topics(&self) -> BoxFuture<'_, Result<BTreeMap<String, u32>, Error>> {
        Box::pin(async move { Ok(self.inner.catalog.partition_counts()) })
    }

    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Vec<Position>, Error>> {
        Box::pin(async move {
            if appends.is_empty() {
                return Ok(Vec::new());
            }
            let rows = appends.into_iter().map(|append| self.inner.row(append)).collect::<Result<_, _>>()?;
            self.inner.queue.write(Effects { rows, cursors: Vec::new(), claim: None }).await
        })
    }

    fn read(
        &self,
        topic: &str,
        partition: u32,
        from: i64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<Vec<Stored>, Error>> {
        let partition = self.inner.catalog.partition(topic, partition);
        Box::pin(async move { self.inner.read(&partition?, from, limit).await })
    }

    fn bounds(&self, topic: &str, partition: u32) -> BoxFuture<'_, Result<Bounds, Error>> {
        let bounds = self.inner.catalog.partition(topic, partition).map(|partition| partition.bounds());
        Box::pin(std::future::ready(bounds))
    }

    fn offset_at(&self, topic: &str, partition: u32, time_ms: i64) -> BoxFuture<'_, Result<i64, Error>> {
        let partition = self.inner.catalog.partition(topic, partition);
        Box::pin(async move {
            let partition = partition?;
            let Bounds { start, end } = partition.bounds();
            let slot = partition.slot;
            let query = move |connection: &_| records::first_at(connection, slot, (start, end), time_ms);
            self.inner.readers.query(query).await
        })
    }

    fn wait(&self, positions: Vec<(String, u32, i64)>, timeout: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut ends = Vec::with_capacity(positions.len());
            for (topic, partition, offset) in positions {
                let mut end = self.inner.catalog.partition(&topic, partition)?.watch_end();
                ends.push(Box::pin(async move { end.wait_for(|end| *end > offset).await.is_ok() }));
            }
            // Without a position there is only the time to wait for.
            let first =
                async move { if ends.is_empty() { std::future::pending().await } else { select_all(ends).await } };
            let _ = tokio::time::timeout(timeout, first).await;
            Ok(())
        })
    }

    fn committed(&self, group: &str, topic: &str) -> BoxFuture<'_, Result<BTreeMap<u32, Committed>, Error>> {
        let topic = self.inner.catalog.topic(topic);
        let group = group.to_owned();
        Box::pin(async move { self.inner.committed(group, &*topic?).await })
    }

    fn trim(&self, topic: &str, partition: u32, before: i64) -> BoxFuture<'_, Result<i64, Error>> {
        let partition = self.inner.catalog.partition(topic, partition);
        Box::pin(async move {
            let partition = partition?;
            loop {
                let partition = partition.clone();
                let trimmed = self.inner.queue.ask(|reply| Job::Trim { partition, before, reply }).await?;
                if trimmed.done {
                    return Ok(trimmed.start);
                }
            }
        })
    }

    fn join(&self, group: &str, topics: &[&str]) -> BoxFuture<'_, Result<Box<dyn Membership>, Error>> {
        let group = group.to_owned();
        let topics: Result<Vec<_>, _> = topics.iter().map(|topic| self.inner.catalog.topic(topic)).collect();
        Box::pin(async move {
            let topics = topics?;
            let (revoked, watching) = watch::channel(false);
            let seat = self.inner.queue.ask(|reply| Job::Join { group, revoked, reply }).await?;
            let member: Box<dyn Membership> = Box::new(Member::new(self.inner.clone(), seat, topics, watching));
            Ok(member)
        })
    }

    fn subscribe(&self, group: &str, topics: &[&str]) -> BoxFuture<'_, Result<Box<dyn Subscription>, Error>> {
        let group = group.to_owned();
        let topics: Vec<Arc<str>> = topics.iter().map(|topic| Arc::from(*topic)).collect();
        Box::pin(async move {
            let subscriber = Subscriber::join(self.inner.clone(), group, topics).await?;
            Ok(Box::new(subscriber) as Box<dyn Subscription>)
        })
    }
}
