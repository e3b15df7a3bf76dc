//! A sequencer on real engines in a temporary folder, stepped by hand.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

use super::faults::{FaultyMembership, FaultyStore, Script};
use crate::canonical::draft::{Draft, INTAKE};
use crate::canonical::{headers, intake};
use crate::clock::ManualClock;
use crate::config::settings::SequenceSettings;
use crate::log::sqlite::{Options, SqliteLog};
use crate::log::{self, Append, EventLog, Header, Membership, Ownership, ReadLimit, Record, Stored, TopicSpec};
use crate::ownership::{Board, Calls, End};
use crate::schema::Catalogue;
use crate::sequence::engine::Engines;
use crate::sequence::lane::{KnownOrigins, Lane};
use crate::sequence::ledger::Detail;
use crate::sequence::{Deps, GROUP, PUBLISHED, Pace, dead_letters};
use crate::store::sqlite::SqliteStore;
use crate::store::{self, LaneId, OrderState, Store};
use crate::telemetry::metrics::Metrics;

/// When the tests begin, epoch milliseconds.
pub const START: i64 = 1_772_612_131_000;
pub const DAY: i64 = 24 * 3_600_000;

static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
    let schemas = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas");
    Arc::new(Catalogue::load(schemas).expect("the schemas are whole"))
});

pub struct Gateway {
    pub dir: TempDir,
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    pub metrics: Arc<Metrics>,
    pub board: Arc<Board>,
    pub commits: Arc<Script<log::Error>>,
    pub asks: Arc<Script<log::Error>>,
    pub writes: Arc<Script<store::Error>>,
    pub batch_records: usize,
    pub max_parked_per_order: usize,
    pub accept_skip: bool,
    pub known: KnownOrigins,
    /// One an owner.
    stop: Mutex<Vec<watch::Sender<bool>>>,
}

impl Gateway {
    /// Every topic has one partition.
    pub async fn open() -> Self {
        let gateway = Self::without_topics();
        gateway.create_topics(1).await;
        gateway
    }

    pub fn without_topics() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::at(START));
        let metrics = Arc::new(Metrics::new().expect("the names are valid"));
        let options = Options { group_commit_delay: Duration::ZERO, clock: clock.clone() };
        let writes = Arc::<Script<store::Error>>::default();
        Self {
            log: SqliteLog::open(&dir.path().join("log.db"), options).expect("a new log"),
            store: open_store(&dir.path().join("store.db"), &writes),
            dir,
            clock,
            board: Arc::new(Board::new(metrics.clone(), vec![INTAKE.into()])),
            metrics,
            commits: Arc::default(),
            asks: Arc::default(),
            writes,
            batch_records: 100,
            max_parked_per_order: 100,
            accept_skip: false,
            known: KnownOrigins::PublishAgain,
            stop: Mutex::default(),
        }
    }

    pub async fn create_topics(&self, partitions: u32) {
        for name in PUBLISHED.into_iter().chain([INTAKE, &dead_letters()]) {
            let name = name.to_owned();
            let spec = TopicSpec { name, partitions, max_record_bytes: 17 << 20, retention: None };
            self.log.create_topic(&spec).await.expect("a new topic");
        }
    }

    /// Closes the store, lets `change` work on its file, and opens it again.
    pub fn with_store_file(&mut self, change: impl FnOnce(&std::path::Path)) {
        let path = self.dir.path().join("store.db");
        let elsewhere = self.dir.path().join("meanwhile.db");
        self.store = open_store(&elsewhere, &self.writes);
        change(&path);
        self.store = open_store(&path, &self.writes);
    }

    pub fn deps(&self) -> Deps {
        let pace = Pace {
            poll: Duration::ZERO,
            check_every: Duration::ZERO,
            backoff_first: Duration::ZERO,
            backoff_cap: Duration::ZERO,
        };
        let settings = SequenceSettings {
            parked_for: Duration::from_secs(24 * 3_600),
            tombstone_for: Duration::from_secs(30 * 24 * 3_600),
            max_parked_per_order: self.max_parked_per_order,
            batch_records: self.batch_records,
            batch_bytes: 1 << 20,
        };
        Deps {
            log: Arc::clone(&self.log),
            store: Arc::clone(&self.store),
            catalogue: Arc::clone(&CATALOGUE),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
            settings,
            accept_skip: self.accept_skip,
            pace,
        }
    }

    pub async fn append(&self, drafts: impl IntoIterator<Item = Draft>) {
        let records = drafts.into_iter().map(|draft| Record {
            key: Some(Bytes::from(draft.head.partition_key())),
            value: Some(intake::encode(&CATALOGUE, &draft).expect("a draft can be written")),
            headers: vec![Header::text(headers::TRACEPARENT, format!("trace of {}", draft.head.correlation_id))],
        });
        self.append_records(records.collect()).await;
    }

    /// As a hop appends what it read, each with the place of its record.
    pub async fn append_read(&self, read: impl IntoIterator<Item = (String, Draft)>) {
        let records = read.into_iter().map(|(place, draft)| Record {
            key: Some(Bytes::from(draft.head.partition_key())),
            value: Some(intake::encode(&CATALOGUE, &draft).expect("a draft can be written")),
            headers: vec![Header::text(headers::SOURCE, place)],
        });
        self.append_records(records.collect()).await;
    }

    pub async fn append_records(&self, records: Vec<Record>) {
        let append = |record| Append { topic: INTAKE.into(), partition: None, record };
        self.log.append(records.into_iter().map(append).collect()).await.expect("the log is there");
    }

    /// A new owner of the only lane; the former one is fenced.
    pub async fn take_over(&self) -> Result<Lane, End> {
        let inner = self.log.join(GROUP, &[INTAKE]).await.expect("the log is there");
        let membership = FaultyMembership { inner, commits: Arc::clone(&self.commits), asks: Arc::clone(&self.asks) };
        let Ok(Ownership::Assigned(lanes)) = membership.next().await else { panic!("a new member owns lanes") };
        let lane = lanes.into_iter().next().expect("there is one partition");
        let (stop, stopping) = watch::channel(false);
        self.stop.lock().expect("no test panics here").push(stop);
        let deps = self.deps();
        let calls = Calls {
            log: Arc::clone(&deps.log),
            membership: Arc::new(membership),
            board: Arc::clone(&self.board),
            metrics: Arc::clone(&deps.metrics),
            pace: deps.pace,
            id: LaneId { topic: lane.topic.clone(), partition: lane.partition },
            lane,
            stop: stopping,
        };
        let engines = Engines { deps: Arc::new(deps), calls };
        let mut lane = Lane::start(engines).await?;
        lane.known = self.known;
        Ok(lane)
    }

    /// Runs `lane` until it has taken what the log has, and its timers.
    pub async fn finish(&self, lane: &mut Lane) -> Result<(), End> {
        let end = self.log.bounds(INTAKE, 0).await.expect("the topic is there").end;
        while lane.next < end {
            lane.step().await?;
            let balance = lane.balance;
            assert_eq!(balance.taken, balance.applied + balance.parked, "every record is in exactly one state");
        }
        lane.step().await
    }

    /// Takes the lane over and runs it to the end, again whenever it is fenced; counts the owners.
    pub async fn run(&self) -> Result<usize, End> {
        for owners in 1.. {
            let ran = match self.take_over().await {
                Ok(mut lane) => self.finish(&mut lane).await,
                Err(end) => Err(end),
            };
            match ran {
                Err(End::Fenced) => {}
                ran => return ran.map(|()| owners),
            }
        }
        unreachable!("the range has no end");
    }

    /// Stops every owner there was.
    pub fn stop(&self) {
        for stop in &*self.stop.lock().expect("no test panics here") {
            stop.send_replace(true);
        }
    }

    /// Every record of the topics published to, topic by topic.
    pub async fn published(&self) -> Vec<(String, Record)> {
        let mut published = Vec::new();
        for topic in PUBLISHED {
            published.extend(self.records(topic).await.into_iter().map(|stored| (topic.to_owned(), stored.record)));
        }
        published
    }

    /// Topic and event id of everything published.
    pub async fn event_ids(&self) -> Vec<(String, String)> {
        let id = |record: &Record| record.header(headers::IDEMPOTENCY_KEY).expect("every event has one").to_owned();
        self.published().await.into_iter().map(|(topic, record)| (topic, id(&record))).collect()
    }

    pub async fn records(&self, topic: &str) -> Vec<Stored> {
        let limit = ReadLimit { records: 10_000, bytes: 64 << 20 };
        self.log.read(topic, 0, 0, limit).await.expect("the topic is there")
    }

    pub async fn order(&self, draft: &Draft) -> Option<OrderState> {
        let id = draft.head.service_order_id().expect("the draft names its order");
        self.store.orders(vec![id]).await.expect("the store is there").remove(0)
    }

    pub async fn journey(&self, order: Uuid) -> Vec<Detail> {
        let entries = self.store.ledger(order).await.expect("the store is there");
        entries.iter().map(|entry| Detail::parse(&entry.detail).expect("a detail")).collect()
    }

    /// The value of a published record, decoded.
    pub fn value(&self, record: &Record) -> serde_json::Value {
        CATALOGUE.decode(record.value.as_ref().expect("a value")).expect("framed Avro").value
    }
}

fn open_store(path: &std::path::Path, writes: &Arc<Script<store::Error>>) -> Arc<dyn Store> {
    let inner = SqliteStore::open(path, store::sqlite::Options::default()).expect("a store");
    Arc::new(FaultyStore { inner, writes: Arc::clone(writes) })
}
