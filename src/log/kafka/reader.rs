//! Reads partitions by offset, committed records only.
//!
//! One consumer is given partitions outright and each has a queue of its own, so a reader that is slow on one
//! partition stops the fetching of that one alone. Who owns a lane is decided elsewhere ([`super::member`]): a
//! consumer that both joins a group and reads would have its position moved by every rebalance, and a lane decides
//! itself where it goes on. What a former owner still reads does no harm, for what it commits is refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::{OwnedMutexGuard, watch};

use super::catalog::Topic;
use super::client::Consumer;
use super::context::Context;
use super::cursor::{Cursor, Placed};
use super::options::Options;
use super::probe::{Probe, native, of_leader};
use super::{blocking, unavailable};
use crate::log::{Error, ReadLimit, Stored};

/// A partition that nobody has read for so long is closed when another is opened.
const IDLE: Duration = Duration::from_secs(120);
/// Without a sign of the end for so long, the cluster is asked where the readable records end.
const UNSURE: Duration = Duration::from_millis(500);

pub struct Reader {
    // Before the consumer: their queues must be gone before it is closed.
    streams: Mutex<Streams>,
    consumer: Consumer,
    probe: Arc<Probe>,
    /// How long a read waits for a transaction under way to end.
    patience: Duration,
}

/// By topic and partition.
type Streams = HashMap<Arc<str>, HashMap<u32, Arc<Stream>>>;

/// One partition that is or was read. It stays, so that nobody closes what another has just opened.
struct Stream {
    topic: Arc<str>,
    partition: u32,
    cursor: Arc<tokio::sync::Mutex<Cursor>>,
    /// Changes whenever records arrive.
    arrived: watch::Receiver<u64>,
    /// `None`: closed.
    used: Mutex<Option<Instant>>,
}

impl Reader {
    pub fn new(options: &Options, probe: Arc<Probe>) -> Result<Self, Error> {
        let consumer = Consumer::new(&options.reader()).map_err(|error| options.refused(&error))?;
        // Twice: the transaction's own time, and the broker's to notice.
        let patience = options.transaction_timeout * 2 + options.request_timeout;
        Ok(Self { streams: Mutex::default(), consumer, probe, patience })
    }

    /// Records from `from` on. Empty means that everything committed before the call has been read: a transaction
    /// under way is waited for, since what it holds back may be older than the call.
    pub async fn read(&self, topic: &Topic, partition: u32, from: i64, limit: ReadLimit) -> Result<Vec<Stored>, Error> {
        let stream = self.stream(topic, partition)?;
        let outcome = tokio::time::timeout(self.patience, self.read_to_end(&stream, from, limit)).await;
        outcome.unwrap_or_else(|_| Err(unavailable(format!("`{}`/{partition} cannot be read to its end", topic.name))))
    }

    /// Records from `from` on; waits up to `timeout` for the first one.
    pub async fn poll(
        &self,
        topic: &Topic,
        partition: u32,
        from: i64,
        limit: ReadLimit,
        timeout: Duration,
    ) -> Result<Vec<Stored>, Error> {
        let stream = self.stream(topic, partition)?;
        let first = self.until(&stream, from, |cursor| {
            let records = cursor.take(from, limit)?;
            Ok((!records.is_empty()).then_some(records))
        });
        tokio::time::timeout(timeout, first).await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    /// Waits for a record at or after `from`.
    pub async fn wait(&self, topic: &Topic, partition: u32, from: i64) -> Result<(), Error> {
        let stream = self.stream(topic, partition)?;
        self.until(&stream, from, |cursor| Ok(cursor.has(from)?.then_some(()))).await
    }

    /// Gives up a partition that this process will not read for now.
    pub fn close(&self, topic: &str, partition: u32) {
        let streams = self.streams();
        let stream = streams.get(topic).and_then(|partitions| partitions.get(&partition)).cloned();
        drop(streams);
        if let Some(stream) = stream.filter(|stream| stream.used().take().is_some()) {
            stream.close();
        }
    }

    /// Keeps the cursor until it is done: two reads of one partition at different places would otherwise move it away
    /// from each other for ever.
    async fn read_to_end(&self, stream: &Arc<Stream>, from: i64, limit: ReadLimit) -> Result<Vec<Stored>, Error> {
        let mut end = None;
        // Whether the next end the consumer reports is known to lie behind `end`.
        let mut sure = false;
        let (mut arrived, mut cursor) = stream.enter().await;
        loop {
            arrived.mark_unchanged();
            if !cursor.follows(from) {
                (cursor, _) = self.place(stream, cursor, from).await?;
            }
            let records = cursor.take(from, limit)?;
            if !records.is_empty() {
                return Ok(records);
            }
            let end = match end {
                Some(end) => end,
                None => *end.insert(self.probe.bounds(&stream.topic, stream.partition).await?.end),
            };
            if end <= from || cursor.reached() >= end || (sure && cursor.is_at_end()) {
                // Once more: they may have arrived while the cluster was asked.
                return cursor.take(from, limit);
            }
            if tokio::time::timeout(UNSURE, arrived.changed()).await.is_err() {
                let seen;
                (cursor, seen) = self.look_for_end(stream, cursor, from, end).await?;
                sure |= seen;
            }
        }
    }

    /// Tries at once and whenever records arrive, until there is an answer.
    async fn until<T>(
        &self,
        stream: &Arc<Stream>,
        from: i64,
        mut attempt: impl FnMut(&mut Cursor) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        loop {
            let (mut arrived, mut cursor) = stream.enter().await;
            if !cursor.follows(from) {
                let placed;
                (cursor, placed) = self.place(stream, cursor, from).await?;
                if placed == Placed::Beyond {
                    return std::future::pending().await;
                }
            }
            if let Some(answer) = attempt(&mut cursor)? {
                return Ok(answer);
            }
            // Unless its offset has just been found gone: then it is placed again at once.
            if cursor.follows(from) {
                drop(cursor);
                let _ = arrived.changed().await;
            }
        }
    }

    /// Moves the cursor. Done whole even if the caller stops waiting, so that cursor and consumer never disagree.
    async fn place(&self, stream: &Stream, mut cursor: Entered, from: i64) -> Result<(Entered, Placed), Error> {
        let bounds = self.probe.bounds(&stream.topic, stream.partition).await?;
        blocking(move || {
            let placed = cursor.place(from, bounds)?;
            Ok((cursor, placed))
        })
        .await?
    }

    /// For partitions whose last offsets hold nothing that is delivered, not even a commit marker: compaction leaves
    /// such. If no transaction is open below `end`, the next end the consumer reports lies behind it.
    async fn look_for_end(
        &self,
        stream: &Stream,
        cursor: Entered,
        from: i64,
        end: i64,
    ) -> Result<(Entered, bool), Error> {
        let (consumer, topic, partition) = (self.consumer.share(), stream.topic.clone(), native(stream.partition));
        let timeout = self.patience;
        let ask = move |timeout| consumer.fetch_watermarks(&topic, partition, timeout);
        let readable = blocking(move || of_leader(timeout, ask)).await?;
        let (_, readable_end) = readable.map_err(unavailable)?;
        if readable_end < end {
            return Ok((cursor, false));
        }
        // Only an end reported after it was placed counts.
        let (cursor, _) = self.place(stream, cursor, from).await?;
        Ok((cursor, true))
    }

    fn stream(&self, topic: &Topic, partition: u32) -> Result<Arc<Stream>, Error> {
        let mut streams = self.streams();
        if let Some(stream) = streams.get(&*topic.name).and_then(|partitions| partitions.get(&partition)) {
            *stream.used() = Some(Instant::now());
            return Ok(stream.clone());
        }
        for stream in streams.values().flat_map(HashMap::values).filter(|stream| stream.is_idle()) {
            stream.close();
        }
        let stream = Arc::new(Stream::open(&self.consumer.share(), topic.name.clone(), partition)?);
        streams.entry(topic.name.clone()).or_default().insert(partition, stream.clone());
        Ok(stream)
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Entered = OwnedMutexGuard<Cursor>;

impl Stream {
    fn open(consumer: &Arc<BaseConsumer<Context>>, topic: Arc<str>, partition: u32) -> Result<Self, Error> {
        let (arrivals, arrived) = watch::channel(0);
        let cursor = Cursor::open(consumer, topic.clone(), partition, arrivals)?;
        let (cursor, used) = (Arc::new(tokio::sync::Mutex::new(cursor)), Mutex::new(Some(Instant::now())));
        Ok(Self { topic, partition, cursor, arrived, used })
    }

    /// The cursor, and a sign of everything that arrives from now on.
    async fn enter(&self) -> (watch::Receiver<u64>, Entered) {
        let mut arrived = self.arrived.clone();
        arrived.mark_unchanged();
        (arrived, self.cursor.clone().lock_owned().await)
    }

    /// Nobody waits for it: whoever uses the stream again opens it again.
    fn close(&self) {
        let cursor = self.cursor.clone();
        tokio::task::spawn_blocking(move || cursor.blocking_lock().close());
    }

    /// Whether it is to be closed now; true once.
    fn is_idle(&self) -> bool {
        self.used().take_if(|used| used.elapsed() > IDLE).is_some()
    }

    fn used(&self) -> MutexGuard<'_, Option<Instant>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
