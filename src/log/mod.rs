//! The event log: partitioned topics, keys, headers, consumer groups, and commits that are atomic over lanes.
//!
//! Two kinds of writer, as two kinds of stage: a hop calls [`EventLog::append`], which is durable when it returns
//! and repeats harmlessly; a lane calls [`Membership::commit`], which makes its appends and its offsets visible
//! together or not at all, and is refused once another member owns the lane. A hop that reads topics has a
//! [`Subscription`] to them: it appends what it made of the records first and commits their offsets then.
//!
//! Two engines stand behind the trait: SQLite (embedded) and Kafka. Every promise made here is one function in
//! [`conformance`], run unchanged on each engine. Nothing outside this module knows which engine runs.

pub mod conformance;
pub mod kafka;
pub mod murmur2;
pub mod sqlite;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// An append-only, partitioned log read by consumer groups.
pub trait EventLog: Send + Sync + 'static {
    /// Creates the topic if it is absent; an existing one keeps its partitions (a different count is
    /// [`Error::PartitionCount`], for counts are frozen at creation).
    fn create_topic(&self, topic: &TopicSpec) -> BoxFuture<'_, Result<(), Error>>;

    /// The topics that exist, with their partition counts.
    fn topics(&self) -> BoxFuture<'_, Result<BTreeMap<String, u32>, Error>>;

    /// Appends in order, outside any lane. Durable when it returns: the positions are in the order of `appends`.
    /// All or nothing on the embedded engine; on Kafka an error may leave a prefix, which the caller repeats.
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Vec<Position>, Error>>;

    /// Committed records of one partition from offset `from` on, oldest first; empty at the end. An offset below
    /// the partition's start reads from the start. Never shows a record of an unfinished or refused commit.
    fn read(
        &self,
        topic: &str,
        partition: u32,
        from: i64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<Vec<Stored>, Error>>;

    /// First offset kept and next offset to be written.
    fn bounds(&self, topic: &str, partition: u32) -> BoxFuture<'_, Result<Bounds, Error>>;

    /// The first offset whose append time is at or after `time_ms`; the end if there is none.
    fn offset_at(&self, topic: &str, partition: u32, time_ms: i64) -> BoxFuture<'_, Result<i64, Error>>;

    /// Waits until one of `positions` has a record at its offset, or until `timeout`. May return early.
    fn wait(&self, positions: Vec<(String, u32, i64)>, timeout: Duration) -> BoxFuture<'_, Result<(), Error>>;

    /// Offsets `group` has committed on `topic`, by partition.
    fn committed(&self, group: &str, topic: &str) -> BoxFuture<'_, Result<BTreeMap<u32, Committed>, Error>>;

    /// Deletes records below `before`. Never deletes at or above an offset a group has committed on the partition:
    /// the start it reached is returned.
    fn trim(&self, topic: &str, partition: u32, before: i64) -> BoxFuture<'_, Result<i64, Error>>;

    /// Joins `group` to own lanes of `topics`. The newest member takes every lane over on the embedded engine.
    fn join(&self, group: &str, topics: &[&str]) -> BoxFuture<'_, Result<Box<dyn Membership>, Error>>;

    /// Joins `group` to read `topics` as a plain consumer: partitions are shared among the group's members, nothing is
    /// owned. Starts at each partition's start where the group has no committed offset, or one that is gone.
    ///
    /// A topic that does not exist is read from when it does. Two members that call themselves the same are one that
    /// was started again: the newer takes the partitions over. On the embedded engine that is every member of the
    /// group, on Kafka those of one process slot (`transactional_id`) under the classic group protocol.
    ///
    /// # Errors
    /// [`Error::Unusable`] if the engine's options are wrong. That the cluster is away is told by the polls.
    fn subscribe(&self, group: &str, topics: &[&str]) -> BoxFuture<'_, Result<Box<dyn Subscription>, Error>>;
}

/// A member of a group that reads. Dropping it leaves the group.
pub trait Subscription: Send + Sync {
    /// The next records of the partitions this member has, each partition's in order and no partition waiting for
    /// another; waits up to `timeout` for the first. Never shows a record of an unfinished or refused commit.
    ///
    /// Each record is handed out once while the member has the partition, and again from the group's committed offset
    /// on when the partition has come back, or come to another member. Cancelling a poll loses nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the cluster is away, which passes, or if a newer member of the same name took over,
    /// which does not.
    fn poll(&self, limit: ReadLimit, timeout: Duration) -> BoxFuture<'_, Result<Vec<Stored>, Error>>;

    /// Makes next offsets to read durable, by topic and partition. Those of a partition this member no longer has are
    /// left out, which is no error: whoever has it now reads its records again.
    ///
    /// # Errors
    /// [`Error::MetadataTooLarge`]; [`Error::Unavailable`] leaves open whether the offsets were committed.
    fn commit(&self, offsets: Vec<(Arc<str>, u32, OffsetCommit)>) -> BoxFuture<'_, Result<(), Error>>;
}

/// A member of the group that owns lanes. Dropping it gives the lanes up.
pub trait Membership: Send + Sync {
    /// The next change of ownership; waits for one. A revoked lane must not be committed to afterwards:
    /// the engine would refuse it.
    fn next(&self) -> BoxFuture<'_, Result<Ownership, Error>>;

    /// Makes every append and every offset of `effects` durable and visible together, or none.
    /// May share one transaction of the engine with other calls; their failures stay apart.
    ///
    /// [`Error::Unavailable`] does not tell whether the commit took effect: the answer of a broker may be lost. Before
    /// it is repeated the caller asks [`Self::committed`]: if a lane's offset is the one it committed, metadata
    /// included, the commit took effect, or its appends would be there twice. So a commit with appends must differ
    /// in offset or metadata from the one before it.
    ///
    /// # Errors
    /// [`Error::Fenced`] if a lane is no longer owned by this member; [`Error::TooLarge`] and
    /// [`Error::UnknownTopic`] name the effect that can never succeed, nothing took effect; [`Error::Unavailable`]
    /// leaves that open.
    fn commit(&self, effects: Vec<LaneEffects>) -> BoxFuture<'_, Result<(), Error>>;

    /// Offsets committed by this group for the lane's own topic and every other topic of the same partition number,
    /// metadata as it was given.
    ///
    /// Tells the outcome of every earlier [`Self::commit`] of this member, those without an answer included: while one
    /// of them may still take effect it waits, or is [`Error::Unavailable`].
    fn committed(&self, lane: &Lane) -> BoxFuture<'_, Result<BTreeMap<String, Committed>, Error>>;

    /// Records of the lane's own topic from `from` on; waits up to `timeout` for the first one.
    fn poll(
        &self,
        lane: &Lane,
        from: i64,
        limit: ReadLimit,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Vec<Stored>, Error>>;
}

/// A change of what a member owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    Assigned(Vec<Lane>),
    Revoked(Vec<Lane>),
}

/// One partition of one internal topic, as owned by one member. `generation` tells one ownership from the next.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    pub topic: Arc<str>,
    pub partition: u32,
    pub generation: u64,
}

/// What one lane commits. Every commit carries the lane's own offset, moved or not: without it an engine could
/// not tell a stale owner from the current one.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneEffects {
    pub lane: Lane,
    /// Next offset of the lane's own topic.
    pub offset: OffsetCommit,
    /// Offsets of the lane's other topics (retry, held, control), same partition number.
    pub others: BTreeMap<String, OffsetCommit>,
    pub appends: Vec<Append>,
}

/// A next offset to read and a text kept beside it (at most 4 096 bytes, Kafka's limit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommit {
    pub offset: i64,
    pub metadata: String,
}

/// What was committed last. `metadata` is empty when another tool set the offset.
pub type Committed = OffsetCommit;

/// A record to append.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    pub topic: Arc<str>,
    /// `None`: murmur2 of the key, as every Kafka client of the Java family places it.
    pub partition: Option<u32>,
    pub record: Record,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: Bytes,
}

/// A record as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub topic: Arc<str>,
    pub partition: u32,
    pub offset: i64,
    /// Append time by the log's clock, epoch milliseconds.
    pub timestamp_ms: i64,
    pub record: Record,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub partition: u32,
    pub offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub start: i64,
    pub end: i64,
}

/// How much one read returns at most; at least one record is returned if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    pub records: usize,
    pub bytes: usize,
}

/// A topic as it is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: String,
    pub partitions: u32,
    /// Key, value and headers of one record together.
    pub max_record_bytes: usize,
    /// `None`: kept until trimmed.
    pub retention: Option<Duration>,
}

impl Record {
    /// The first header called `name`, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.name == name)?;
        std::str::from_utf8(&header.value).ok()
    }

    /// Bytes counted against a topic's `max_record_bytes`.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
        headers + self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len)
    }
}

impl Header {
    pub fn text(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: Bytes::from(value.into()) }
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("topic `{topic}` does not exist")]
    UnknownTopic { topic: String },
    #[error("topic `{topic}` has {partitions} partitions, there is no partition {partition}")]
    UnknownPartition { topic: String, partition: u32, partitions: u32 },
    #[error("topic `{topic}` has {found} partitions, expected {expected}: the count is frozen at creation")]
    PartitionCount { topic: String, found: u32, expected: u32 },
    #[error("record of {bytes} bytes for topic `{topic}`, at most {max} are allowed")]
    TooLarge { topic: String, bytes: usize, max: usize },
    #[error("lane `{topic}`/{partition} is owned by another member")]
    Fenced { topic: String, partition: u32 },
    #[error("offset metadata of {bytes} bytes, at most 4096 are allowed")]
    MetadataTooLarge { bytes: usize },
    /// The log cannot be reached or written now; the same call may succeed later.
    #[error("event log is unavailable: {reason}")]
    Unavailable { reason: String },
    /// The log's files are damaged or from another version.
    #[error("event log `{path}` cannot be used: {reason}")]
    Unusable { path: String, reason: String },
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
