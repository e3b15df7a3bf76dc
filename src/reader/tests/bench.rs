//! What the tests share: topics that map text, a log that can be made to fail, and the reader between them.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tempfile::TempDir;
use uuid::Uuid;

use crate::backoff::Policy;
use crate::canonical::draft::{CancellationDraft, Draft, DraftBody, DraftHead, INTAKE};
use crate::canonical::intake;
use crate::canonical::order::SourceSystem;
use crate::canonical::rejection::{Code, Rejection};
use crate::clock::ManualClock;
use crate::config::binding::Binding;
use crate::config::settings::ReaderSettings;
use crate::log::sqlite::{Options, SqliteLog};
use crate::log::{
    self, Append, Bounds, Committed, EventLog, Header, Membership, OffsetCommit, Position, ReadLimit, Record, Stored,
    Subscription, TopicSpec,
};
use crate::normalize::tests::binding;
use crate::normalize::{Defect, TopicDefect};
use crate::reader::{Deps, Inbound, InboundTopic, Installation, Pace, Reader};
use crate::schema::Catalogue;
use crate::schema::registry::testing::Fake;
use crate::telemetry::metrics::Metrics;
use crate::verify::Verified;

pub const NOW: i64 = 1_772_612_131_000;
pub const GROUP: &str = "group-v1";
const PATIENCE: Duration = Duration::from_secs(60);

static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
    let schemas = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas");
    Arc::new(Catalogue::load(schemas).expect("the schemas are whole"))
});

/// Maps text: `order …` cancels the order of that name, `bad` is rejected, `riddle` cannot be mapped while `broken`,
/// `foreign` has an unknown schema while `broken`, framed Avro has one nobody ever knows, `wide` becomes a draft no intake takes.
pub struct TextTopic {
    topic: String,
    group: String,
    pub broken: AtomicBool,
}

impl TextTopic {
    pub fn new(topic: &str, group: &str) -> Arc<Self> {
        Arc::new(Self { topic: topic.to_owned(), group: group.to_owned(), broken: AtomicBool::new(false) })
    }

    fn draft(delivery: &Verified, id: Option<&str>, body: DraftBody) -> Draft {
        let (binding, context) = (delivery.binding(), delivery.context());
        let head = DraftHead {
            tenant_id: binding.tenant_id.clone(),
            source_system: SourceSystem::Pyxis,
            source_key: "pyxis".into(),
            external_order_id: id.map(str::to_owned),
            binding: binding.name.clone(),
            received_from: context.received_from.clone(),
            received_at: context.received_at,
            correlation_id: context.correlation_id.clone(),
            raw_sha256: delivery.digest(),
            retry_count: context.retry_count,
            transformation_version: "text/1".into(),
            route: None,
            path: Default::default(),
            replay_of: None,
            delivery_id: None,
        };
        Draft { head, body, raw: delivery.body().clone() }
    }
}

impl InboundTopic for TextTopic {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn group(&self) -> &str {
        &self.group
    }

    fn max_bytes(&self) -> usize {
        40
    }

    fn normalize(&self, delivery: &Verified, catalogue: &Catalogue) -> Result<Draft, TopicDefect> {
        if delivery.body().starts_with(&[0]) {
            return match catalogue.decode(delivery.body()) {
                Err(source) if source.is_transient() => {
                    Err(TopicDefect::Unlearned { topic: self.topic.clone(), source })
                }
                decoded => {
                    let reason = decoded.expect_err("no test knows such a schema").to_string();
                    Ok(self.refuse(delivery, Rejection::one(Code::SchemaMismatch, "", reason)))
                }
            };
        }
        let text = String::from_utf8_lossy(delivery.body()).into_owned();
        let broken = self.broken.load(Ordering::SeqCst);
        let reason = match text.split_once(' ').map_or(text.as_str(), |(word, _)| word) {
            "riddle" if broken => return Err(TopicDefect::Mapping(Defect::new("riddle.vrl", "line 1: the answer"))),
            "foreign" if broken => {
                let source = catalogue.decode(&[0, 0, 0, 0, 0]).expect_err("no schema has this id");
                return Err(TopicDefect::Unlearned { topic: self.topic.clone(), source });
            }
            "bad" => return Ok(self.refuse(delivery, Rejection::one(Code::UnknownCode, "/channel", "not a channel"))),
            "wide" => Some("w".repeat(3 << 10)),
            _ => None,
        };
        let body = CancellationDraft {
            cancelled_at: 1,
            country_code: None,
            reason_code: "OTHER".into(),
            reason,
            warnings: vec![],
            id_field: "/order_id".into(),
        };
        let id: String = text.split(' ').next_back().unwrap_or_default().to_owned();
        Ok(Self::draft(delivery, Some(&id), DraftBody::Cancellation(body)))
    }

    fn refuse(&self, delivery: &Verified, rejection: Rejection) -> Draft {
        Self::draft(delivery, None, DraftBody::Rejection(rejection))
    }
}

/// A log on the embedded engine with errors of its own in between.
pub struct FaultyLog {
    inner: Arc<SqliteLog>,
    /// Of the next calls; an empty place is a call that is let through.
    pub appends: Mutex<VecDeque<log::Error>>,
    commits: Arc<Mutex<VecDeque<log::Error>>>,
}

struct FaultySubscription {
    inner: Box<dyn Subscription>,
    commits: Arc<Mutex<VecDeque<log::Error>>>,
}

impl FaultyLog {
    pub fn fail_commits(&self, errors: impl IntoIterator<Item = log::Error>) {
        self.commits.lock().expect("no test panics here").extend(errors);
    }
}

impl Subscription for FaultySubscription {
    fn poll(&self, limit: ReadLimit, timeout: Duration) -> BoxFuture<'_, Result<Vec<Stored>, log::Error>> {
        self.inner.poll(limit, timeout)
    }

    fn commit(&self, offsets: Vec<(Arc<str>, u32, OffsetCommit)>) -> BoxFuture<'_, Result<(), log::Error>> {
        match self.commits.lock().expect("no test panics here").pop_front() {
            Some(error) => Box::pin(async { Err(error) }),
            None => self.inner.commit(offsets),
        }
    }
}

impl EventLog for FaultyLog {
    fn create_topic(&self, topic: &TopicSpec) -> BoxFuture<'_, Result<(), log::Error>> {
        self.inner.create_topic(topic)
    }

    fn topics(&self) -> BoxFuture<'_, Result<BTreeMap<String, u32>, log::Error>> {
        self.inner.topics()
    }

    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Vec<Position>, log::Error>> {
        match self.appends.lock().expect("no test panics here").pop_front() {
            Some(error) => Box::pin(async { Err(error) }),
            None => self.inner.append(appends),
        }
    }

    fn read(
        &self,
        topic: &str,
        partition: u32,
        from: i64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<Vec<Stored>, log::Error>> {
        self.inner.read(topic, partition, from, limit)
    }

    fn bounds(&self, topic: &str, partition: u32) -> BoxFuture<'_, Result<Bounds, log::Error>> {
        self.inner.bounds(topic, partition)
    }

    fn offset_at(&self, topic: &str, partition: u32, time_ms: i64) -> BoxFuture<'_, Result<i64, log::Error>> {
        self.inner.offset_at(topic, partition, time_ms)
    }

    fn wait(&self, positions: Vec<(String, u32, i64)>, timeout: Duration) -> BoxFuture<'_, Result<(), log::Error>> {
        self.inner.wait(positions, timeout)
    }

    fn committed(&self, group: &str, topic: &str) -> BoxFuture<'_, Result<BTreeMap<u32, Committed>, log::Error>> {
        self.inner.committed(group, topic)
    }

    fn trim(&self, topic: &str, partition: u32, before: i64) -> BoxFuture<'_, Result<i64, log::Error>> {
        self.inner.trim(topic, partition, before)
    }

    fn join(&self, group: &str, topics: &[&str]) -> BoxFuture<'_, Result<Box<dyn Membership>, log::Error>> {
        self.inner.join(group, topics)
    }

    fn subscribe(&self, group: &str, topics: &[&str]) -> BoxFuture<'_, Result<Box<dyn Subscription>, log::Error>> {
        let (subscribe, commits) = (self.inner.subscribe(group, topics), Arc::clone(&self.commits));
        Box::pin(async move {
            let inner = subscribe.await?;
            Ok(Box::new(FaultySubscription { inner, commits }) as Box<dyn Subscription>)
        })
    }
}

/// The reader between topics of two partitions and an intake of one.
pub struct Bench {
    _dir: TempDir,
    pub log: Arc<FaultyLog>,
    catalogue: Arc<Catalogue>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<ManualClock>,
    pub batch_records: usize,
    pub reader: Reader,
}

impl Bench {
    pub async fn open(topics: &[&str]) -> Self {
        Self::with_batches_of(100, topics).await
    }

    pub async fn with_batches_of(batch_records: usize, topics: &[&str]) -> Self {
        Self::with(Arc::clone(&CATALOGUE), Arc::new(ManualClock::at(NOW)), batch_records, topics).await
    }

    /// Schemas have the ids of `registry`, which gives one to the intake's alone.
    pub async fn with_registry(registry: &Fake, topics: &[&str]) -> Self {
        registry.says(&format!("POST /subjects/{INTAKE}-value"), 200, serde_json::json!({ "id": 1 }));
        let clock = Arc::new(ManualClock::at(NOW));
        let schemas = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let catalogue = Catalogue::load(schemas).expect("the schemas are whole");
        let catalogue = catalogue.with_registry(registry.registry(clock.clone()), clock.clone());
        catalogue.resolve(&[INTAKE]).await.expect("the intake has an id");
        Self::with(Arc::new(catalogue), clock, 100, topics).await
    }

    async fn with(catalogue: Arc<Catalogue>, clock: Arc<ManualClock>, batch_records: usize, topics: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let options = Options { group_commit_delay: Duration::ZERO, clock: clock.clone() };
        let inner = SqliteLog::open(&dir.path().join("log.db"), options).expect("a new log");
        let log = Arc::new(FaultyLog { inner, appends: Mutex::default(), commits: Arc::default() });
        let metrics = Arc::new(Metrics::new().expect("the names are valid"));
        let reader = start(&log, &catalogue, &metrics, &clock, batch_records);
        let bench = Self { _dir: dir, log, catalogue, metrics, clock, batch_records, reader };
        bench.create(INTAKE, 1, 2 << 10).await;
        for topic in topics {
            bench.create(topic, 2, 1 << 20).await;
        }
        bench
    }

    pub async fn create(&self, name: &str, partitions: u32, max_record_bytes: usize) {
        let spec = TopicSpec { name: name.to_owned(), partitions, max_record_bytes, retention: None };
        self.log.create_topic(&spec).await.expect("a new topic");
    }

    /// Stops the reader; the next one goes on where it was.
    pub async fn restart(&mut self) {
        self.reader.stop().await;
        self.reader = start(&self.log, &self.catalogue, &self.metrics, &self.clock, self.batch_records);
    }

    pub fn install(&self, topics: &[&Arc<TextTopic>]) {
        let topics = topics.iter().map(|topic| inbound(topic, "pyxis-north"));
        self.reader.install(Installation::new(topics).expect("no topic twice"));
    }

    /// Appends text as the writers of the topic do.
    pub async fn write(&self, topic: &str, partition: u32, texts: &[&str]) {
        for text in texts {
            let value = Some(Bytes::copy_from_slice(text.as_bytes()));
            self.write_record(topic, partition, Record { value, ..Record::default() }).await;
        }
    }

    pub async fn write_record(&self, topic: &str, partition: u32, record: Record) {
        let append = Append { topic: topic.into(), partition: Some(partition), record };
        // Past the faults: those are the reader's.
        self.log.inner.append(vec![append]).await.expect("the topic is there");
    }

    /// The first `count` drafts of the intake; waits for them.
    pub async fn drafts(&self, count: usize) -> Vec<(Draft, Vec<Header>)> {
        let limit = ReadLimit { records: 10_000, bytes: 64 << 20 };
        let read = async {
            loop {
                let records = self.log.read(INTAKE, 0, 0, limit).await.expect("the intake is there");
                if records.len() >= count {
                    return records;
                }
                let next = records.len() as i64;
                self.log.wait(vec![(INTAKE.to_owned(), 0, next)], PATIENCE).await.expect("the intake is there");
            }
        };
        let records = tokio::time::timeout(PATIENCE, read).await.expect("the drafts come in time");
        let draft = |stored: Stored| {
            let value = stored.record.value.as_deref().expect("a value");
            (intake::decode(&self.catalogue, value).expect("a draft"), stored.record.headers)
        };
        records.into_iter().map(draft).collect()
    }

    /// Payloads of the first `count` drafts.
    pub async fn texts(&self, count: usize) -> Vec<String> {
        let drafts = self.drafts(count).await;
        drafts.iter().map(|(draft, _)| String::from_utf8_lossy(&draft.raw).into_owned()).collect()
    }

    /// Waits until the group has committed `offset` for the partition.
    pub async fn committed(&self, topic: &str, partition: u32, offset: i64) {
        self.until(async || {
            let committed = self.log.committed(GROUP, topic).await.expect("the log is there");
            committed.get(&partition).is_some_and(|committed| committed.offset == offset)
        })
        .await;
    }

    /// What the group has committed for the first partition; 0 if nothing.
    pub async fn log_committed(&self, topic: &str) -> i64 {
        let committed = self.log.committed(GROUP, topic).await.expect("the log is there");
        committed.get(&0).map_or(0, |committed| committed.offset)
    }

    pub async fn remarked(&self, part: &str) {
        self.until(async || self.reader.remarks().iter().any(|remark| remark.contains(part))).await;
    }

    /// Waits until it is so.
    pub async fn until(&self, is_so: impl AsyncFn() -> bool) {
        let wait = async {
            while !is_so().await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it comes to be so in time");
    }
}

pub fn inbound(topic: &Arc<TextTopic>, name: &str) -> Inbound {
    Inbound { route: topic.clone(), binding: Arc::new(Binding { name: name.into(), ..binding() }) }
}

pub fn unavailable() -> log::Error {
    log::Error::Unavailable { reason: "the disk is full".to_owned() }
}

fn start(
    log: &Arc<FaultyLog>,
    catalogue: &Arc<Catalogue>,
    metrics: &Arc<Metrics>,
    clock: &Arc<ManualClock>,
    batch_records: usize,
) -> Reader {
    let at_once = Policy { first: Duration::ZERO, most: Duration::ZERO, jitter: 0.0 };
    let never = Policy { first: PATIENCE * 10, most: PATIENCE * 10, jitter: 0.0 };
    Reader::start(Deps {
        log: log.clone(),
        catalogue: Arc::clone(catalogue),
        clock: clock.clone(),
        metrics: Arc::clone(metrics),
        new_id: Arc::new(|| Uuid::from_u128(1)),
        settings: ReaderSettings { batch_records, batch_bytes: 1 << 20 },
        retention: Duration::from_secs(1000),
        pace: Pace { poll: PATIENCE, look_every: Duration::from_millis(1), log: at_once, paused: never },
    })
}
