//! The event log on Apache Kafka, for any number of processes.
//!
//! Two ways to write, as two kinds of writer: `appender` is an idempotent producer, `committer` the one
//! transactional producer of the process, on a thread of its own. Two ways to consume, apart from each other:
//! `member` joins groups and owns lanes but reads nothing, `reader` reads partitions by offset and owns nothing.
//! `subscriber` does both, for hops: where it reads on is the group's business, and what it owns is nobody's.
//! `probe` asks the cluster what it has. Calls of librdkafka that block run on threads of theirs, never on a task.
//!
//! What the embedded engine does not need:
//! - Offsets have gaps: the end of each transaction takes one in every partition it wrote to.
//! - Offsets of a lane's other topics are kept in the group `<group>.lanes`, which has no members, for a member's own
//!   offsets are fenced and theirs are not to be.
//! - The cluster can go away between the question for a commit and the answer. What became of it is then read from
//!   the offsets of its lanes; only if those say nothing either does [`Error::Unavailable`] leave it open.

pub mod admin;
mod appender;
mod catalog;
mod client;
mod committer;
mod context;
mod cursor;
mod delivery;
mod member;
mod native;
mod options;
mod probe;
mod reader;
mod roster;
mod subscriber;
mod topics;

#[cfg(all(test, feature = "test-kafka"))]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, select_all};
use rdkafka::admin::{AdminClient, ResourceSpecifier};

use self::appender::Appender;
use self::catalog::Catalog;
use self::committer::Committer;
use self::context::Context;
use self::delivery::Row;
use self::member::Member;
pub use self::options::{GroupProtocol, Identity, Mechanism, Options, Security, Tls};
use self::probe::Probe;
use self::reader::Reader;
use self::subscriber::Subscriber;
use self::topics::Topics;
use super::{
    Append, Bounds, Committed, Error, EventLog, Membership, Position, ReadLimit, Stored, Subscription, TopicSpec,
};

type Admin = Arc<Elsewhere<AdminClient<Context>>>;

/// An event log in a Kafka cluster. Clients that are not needed are not made: a process that only appends has no
/// transactional producer and fences nobody.
pub struct KafkaLog {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    probe: Arc<Probe>,
    catalog: Arc<Catalog>,
    topics: Topics,
    appender: Appender,
    /// Of the lanes' own topics; what an operator reads does not move it.
    lanes: Lazy<Reader>,
    /// Of everything else.
    reads: Lazy<Reader>,
    /// Only tells that records are there: what waits at an end is not to move what reads elsewhere.
    waits: Lazy<Reader>,
    committer: Lazy<Committer>,
}

impl KafkaLog {
    /// Reaches the cluster and finds out what it needs to know of it.
    ///
    /// # Errors
    /// [`Error::Unusable`] if the options contradict this build, librdkafka or the cluster's settings;
    /// [`Error::Unavailable`] if no broker answers within `request_timeout`.
    pub async fn open(options: Options) -> Result<Arc<Self>, Error> {
        options.check()?;
        let probe = Arc::new(Probe::new(&options)?);
        let admin: AdminClient<Context> =
            options.admin().create_with_context(Context::default()).map_err(|error| options.refused(&error))?;
        let admin = Arc::new(Elsewhere::new(admin));
        let catalog = Arc::new(Catalog::new(&options, probe.clone(), admin.clone()));
        let topics = Topics {
            admin,
            catalog: catalog.clone(),
            probe: probe.clone(),
            replication: options.replication,
            timeout: options.request_timeout,
        };
        let appender = Appender::new(options.clone());
        let (lanes, reads, waits, committer) = (Lazy::default(), Lazy::default(), Lazy::default(), Lazy::default());
        let inner = Inner { options, probe, catalog, topics, appender, lanes, reads, waits, committer };
        inner.check_broker().await?;
        Ok(Arc::new(Self { inner: Arc::new(inner) }))
    }
}

impl Inner {
    /// Without this a record of an aborted transaction that arrives late opens a new one that nobody ever ends.
    async fn check_broker(&self) -> Result<(), Error> {
        const VERIFICATION: &str = "transaction.partition.verification.enable";
        let Some(broker) = self.probe.broker().await? else { return Ok(()) };
        let asked = [&ResourceSpecifier::Broker(broker)];
        let described =
            self.topics.admin.describe_configs(asked, &self.catalog.options()).await.map_err(unavailable)?;
        // A user who may not see the broker's settings is not kept out.
        let broker = described.into_iter().find_map(Result::ok);
        let setting = broker.as_ref().and_then(|broker| broker.get(VERIFICATION)?.value.as_deref());
        match setting {
            Some("false") => Err(self.options.unusable(format!("the brokers need `{VERIFICATION}=true`"))),
            _ => Ok(()),
        }
    }

    /// Finds what can never be appended before anything is produced.
    async fn row(&self, append: Append) -> Result<Row, Error> {
        let Append { topic, partition, record } = append;
        let topic = self.catalog.topic(&topic).await?;
        let (bytes, max) = (record.size(), topic.max_record_bytes);
        if bytes > max {
            return Err(Error::TooLarge { topic: topic.name.to_string(), bytes, max });
        }
        let partition = topic.place(partition, record.key.as_deref())?;
        Ok(Row { topic, partition, record })
    }

    fn lanes(&self) -> Result<Arc<Reader>, Error> {
        self.lanes.get(|| Reader::new(&self.options, self.probe.clone()))
    }

    fn reads(&self) -> Result<Arc<Reader>, Error> {
        self.reads.get(|| Reader::new(&self.options, self.probe.clone()))
    }

    fn waits(&self) -> Result<Arc<Reader>, Error> {
        self.waits.get(|| Reader::new(&self.options, self.probe.clone()))
    }

    fn committer(&self) -> Result<Arc<Committer>, Error> {
        self.committer.get(|| Committer::start(&self.options, self.probe.clone()))
    }
}

impl EventLog for KafkaLog {
    fn create_topic(&self, topic: &TopicSpec) -> BoxFuture<'_, Result<(), Error>> {
        let spec = topic.clone();
        Box::pin(async move { self.inner.topics.create(&spec).await })
    }

    fn topics(&self) -> BoxFuture<'_, Result<BTreeMap<String, u32>, Error>> {
        Box::pin(self.inner.probe.topics())
    }

    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Vec<Position>, Error>> {
        Box::pin(async move {
            let mut rows = Vec::with_capacity(appends.len());
            for append in appends {
                rows.push(self.inner.row(append).await?);
            }
            self.inner.appender.append(&rows).await
        })
    }

    fn read(
        &self,
        topic: &str,
        partition: u32,
        from: i64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<Vec<Stored>, Error>> {
        let topic = topic.to_owned();
        Box::pin(async move {
            let topic = self.inner.catalog.partition(&topic, partition).await?;
            self.inner.reads()?.read(&topic, partition, from, limit).await
        })
    }

    fn bounds(&self, topic: &str, partition: u32) -> BoxFuture<'_, Result<Bounds, Error>> {
        let topic = topic.to_owned();
        Box::pin(async move {
            let topic = self.inner.catalog.partition(&topic, partition).await?;
            self.inner.probe.bounds(&topic.name, partition).await
        })
    }

    fn offset_at(&self, topic: &str, partition: u32, time_ms: i64) -> BoxFuture<'_, Result<i64, Error>> {
        let topic = topic.to_owned();
        Box::pin(async move {
            let topic = self.inner.catalog.partition(&topic, partition).await?;
            // First, so that a record appended meanwhile is not skipped.
            let end = self.inner.probe.bounds(&topic.name, partition).await?.end;
            let found = self.inner.probe.offset_at(&topic.name, partition, time_ms).await?;
            Ok(found.unwrap_or(end))
        })
    }

    fn wait(&self, positions: Vec<(String, u32, i64)>, timeout: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let reader = self.inner.waits()?;
            let mut waits = Vec::with_capacity(positions.len());
            for (topic, partition, offset) in positions {
                let topic = self.inner.catalog.partition(&topic, partition).await?;
                let reader = reader.clone();
                waits.push(Box::pin(async move { reader.wait(&topic, partition, offset).await }));
            }
            // Without a position there is only the time to wait for.
            let first =
                async move { if waits.is_empty() { std::future::pending().await } else { select_all(waits).await.0 } };
            tokio::time::timeout(timeout, first).await.unwrap_or(Ok(()))
        })
    }

    fn committed(&self, group: &str, topic: &str) -> BoxFuture<'_, Result<BTreeMap<u32, Committed>, Error>> {
        let (group, topic) = (group.to_owned(), topic.to_owned());
        Box::pin(async move {
            let topic = self.inner.catalog.topic(&topic).await?;
            let places = || (0..topic.partitions).map(|partition| (topic.name.clone(), partition)).collect();
            // A topic is a lane's own for a group, or another; only a reconfigured group has offsets in both.
            let others = self.inner.probe.committed(&roster::companion(&group), places()).await?;
            let own = self.inner.probe.committed(&group, places()).await?;
            let committed = others.into_iter().chain(own);
            Ok(committed.filter_map(|of| Some((u32::try_from(of.partition).ok()?, of.committed))).collect())
        })
    }

    fn trim(&self, topic: &str, partition: u32, before: i64) -> BoxFuture<'_, Result<i64, Error>> {
        let topic = topic.to_owned();
        Box::pin(async move {
            let topic = self.inner.catalog.partition(&topic, partition).await?;
            self.inner.topics.trim(&topic, partition, before).await
        })
    }

    fn join(&self, group: &str, topics: &[&str]) -> BoxFuture<'_, Result<Box<dyn Membership>, Error>> {
        let group = group.to_owned();
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Box::pin(async move {
            let mut names = Vec::with_capacity(topics.len());
            for topic in topics {
                names.push(self.inner.catalog.topic(&topic).await?.name.clone());
            }
            let inner = self.inner.clone();
            // A producer needs a moment to become the only one of its id; the first commit need not wait for it.
            self.inner.committer()?;
            let member = blocking(move || Member::join(inner, &group, &names)).await??;
            Ok(Box::new(member) as Box<dyn Membership>)
        })
    }

    fn subscribe(&self, group: &str, topics: &[&str]) -> BoxFuture<'_, Result<Box<dyn Subscription>, Error>> {
        let group = group.to_owned();
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Box::pin(async move {
            let (options, probe) = (self.inner.options.clone(), self.inner.probe.clone());
            let subscriber = blocking(move || Subscriber::join(&options, probe, &group, &topics)).await??;
            Ok(Box::new(subscriber) as Box<dyn Subscription>)
        })
    }
}

/// Made when first needed; a failure is forgotten.
struct Lazy<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Lazy<T> {
    fn get(&self, make: impl FnOnce() -> Result<T, Error>) -> Result<Arc<T>, Error> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made {
            return Ok(made.clone());
        }
        Ok(made.insert(Arc::new(make()?)).clone())
    }
}

/// Runs what blocks where that is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| unavailable("the work was aborted"))
}

/// What blocks when it is dropped, and is dropped on a thread of its own.
struct Elsewhere<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Elsewhere<T> {
    fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T: Send + 'static> Deref for Elsewhere<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // Taken only when dropped.
        self.0.as_ref().unwrap_or_else(|| unreachable!("a value lives as long as its owner"))
    }
}

impl<T: Send + 'static> Drop for Elsewhere<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        // Without a thread it is dropped here, late rather than never.
        let _ = std::thread::Builder::new().name("kafka-closing".to_owned()).spawn(move || drop(value));
    }
}

fn unavailable(reason: impl fmt::Display) -> Error {
    Error::Unavailable { reason: reason.to_string() }
}
