//! A lane for tests of what operators do: the embedded engines, and an owner whose moves the test makes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::clock::{Clock, ManualClock};
use crate::door::testing::catalogue;
use crate::lane::batch::{CommandOutcome, Decision, Executed, Failure, Move, Role, Ruling};
use crate::lane::command::Command;
use crate::lane::moved::{self, Trail};
use crate::lane::{Key, Place, Seq, Topic};
use crate::log::sqlite::{Options, SqliteLog};
use crate::log::{Append, EventLog, ReadLimit, Record, Stored, TopicSpec};
use crate::recovery::dead_letter;
use crate::recovery::failure::Detail;
use crate::recovery::keys::{self, Keys};
use crate::store::conformance::batches::{NOW, Owner, put};
use crate::store::recovery::{FailureFilter, FailureRow};
use crate::store::sqlite::SqliteStore;
use crate::store::{LaneId, Store};

pub const TOPIC: &str = "crossdock.out.pyxis-north";
const PARTITION: u32 = 1;

/// One lane of the calls of `pyxis-north`.
pub struct TestLane {
    pub log: Arc<SqliteLog>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    pub keys: Arc<Keys>,
    played: Mutex<Played>,
    _folder: TempDir,
}

/// What its owner has done.
struct Played {
    epoch: u64,
    number: u64,
    /// Next offset of the control topic.
    control: i64,
}

impl TestLane {
    pub async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let options = Options { group_commit_delay: Duration::ZERO, clock: clock.clone() };
        let log = SqliteLog::open(&folder.path().join("log.db"), options).unwrap();
        for name in [TOPIC.to_owned(), format!("{TOPIC}.control"), format!("dlq.{TOPIC}")] {
            let topic = TopicSpec { name, partitions: 2, max_record_bytes: 1 << 20, retention: None };
            log.create_topic(&topic).await.unwrap();
        }
        let store: Arc<dyn Store> = SqliteStore::open(&folder.path().join("store.db"), Default::default()).unwrap();
        let epoch = store.take_over(&lane()).await.unwrap().epoch;
        let keys = keys::Deps {
            log: log.clone(),
            store: store.clone(),
            catalogue: catalogue(),
            clock: clock.clone() as Arc<dyn Clock>,
            append_timeout: Duration::from_secs(5),
            outcome_timeout: Duration::from_secs(5),
        };
        let played = Mutex::new(Played { epoch, number: 0, control: 0 });
        Self { log, store, clock, keys: Arc::new(Keys::new(keys)), played, _folder: folder }
    }

    /// The keys with an outcome time-out of zero: no answer waits.
    pub fn hasty(&self) -> Keys {
        Keys::new(keys::Deps {
            log: self.log.clone(),
            store: self.store.clone(),
            catalogue: catalogue(),
            clock: self.clock.clone(),
            append_timeout: Duration::from_secs(5),
            outcome_timeout: Duration::ZERO,
        })
    }

    /// The record `seq` of `key` dies: with its dead letter, which is indexed, and held if `is_held`.
    pub async fn dies(&self, seq: Seq, key: &str, is_held: bool) -> FailureRow {
        let decision = if is_held { held(seq, key, 0) } else { dead(seq, key) };
        self.decide(vec![decision.clone()], None).await;
        self.buries(&decision, key, is_held).await
    }

    /// The dead letter of `decision` is in its topic and in the index.
    pub async fn buries(&self, decision: &Decision, key: &str, is_held: bool) -> FailureRow {
        let (seq, hop) = (decision.seq, decision.hop);
        let trail =
            Trail { topic: TOPIC, partition: PARTITION, seq, hop, appended_at_ms: NOW, now_ms: NOW, edit: None };
        let moved = decision.dead_letter().expect("it is dead");
        let letter = moved::dead_letter(&call(key), &moved, decision.failure.as_ref(), &trail);
        let topic: Arc<str> = format!("dlq.{TOPIC}").into();
        let append = Append { topic: topic.clone(), partition: Some(PARTITION), record: letter.clone() };
        let position = self.log.append(vec![append]).await.unwrap().remove(0);
        let stored = Stored {
            topic,
            partition: PARTITION,
            offset: position.offset,
            timestamp_ms: self.clock.now_ms(),
            record: letter,
        };
        let mut failure = dead_letter::read(&stored).expect("a dead letter");
        let mut detail = Detail::of(&failure);
        // As the index does, which asks the store.
        detail.record.as_mut().expect("a record").is_held = is_held;
        failure.detail = serde_json::to_string(&detail).expect("JSON");
        let event_id = failure.event_id;
        self.store.index_failures(vec![failure]).await.unwrap();
        self.failure(event_id).await
    }

    pub async fn failure(&self, event_id: uuid::Uuid) -> FailureRow {
        let filter = FailureFilter { event_id: Some(event_id), ..FailureFilter::default() };
        self.store.failures(filter, None, 1).await.unwrap().remove(0)
    }

    /// A record that waits behind a held one.
    pub async fn follows(&self, seq: Seq, key: &str) {
        let ruling = Ruling::Moved(Move {
            to: Topic::Held,
            role: Role::Follower,
            attempts: 0,
            round: 0,
            is_passing: false,
            disposition: None,
        });
        self.decide(vec![Decision { ruling, failure: None, ..held(seq, key, 0) }], None).await;
    }

    /// The owner takes the next command, writes `outcome` down and decides `decisions`; the command and its record.
    pub async fn executes(&self, outcome: CommandOutcome, decisions: Vec<Decision>) -> (Command, Record) {
        let topic = format!("{TOPIC}.control");
        let from = self.played.lock().await.control;
        let limit = ReadLimit { records: 1, bytes: 1 << 20 };
        let stored = loop {
            let found = self.log.read(&topic, PARTITION, from, limit).await.unwrap();
            if let Some(stored) = found.into_iter().next() {
                break stored;
            }
            self.log.wait(vec![(topic.clone(), PARTITION, from)], Duration::from_secs(5)).await.unwrap();
        };
        self.played.lock().await.control = stored.offset + 1;
        let command = Command::read(&stored.record).expect("a command");
        let executed = Executed { offset: stored.offset, id: command.id.clone(), outcome };
        self.decide(decisions, Some(executed)).await;
        (command, stored.record)
    }

    /// Commands in the control topic.
    pub async fn commands(&self) -> usize {
        let limit = ReadLimit { records: 100, bytes: 1 << 20 };
        self.log.read(&format!("{TOPIC}.control"), PARTITION, 0, limit).await.unwrap().len()
    }

    pub async fn decide(&self, decisions: Vec<Decision>, executed: Option<Executed>) {
        let mut played = self.played.lock().await;
        let (epoch, number) = (played.epoch, played.number);
        let mut owner =
            Owner { store: &*self.store, lane: lane(), epoch, number, now_ms: self.clock.now_ms(), claim_ms: 1 };
        owner
            .write(|write| {
                write.batch.commands.extend(executed);
                decisions.into_iter().for_each(|decision| put(write, decision, Vec::new()));
            })
            .await;
        played.number = owner.number;
    }
}

pub fn lane() -> LaneId {
    LaneId { topic: TOPIC.into(), partition: PARTITION }
}

/// The record a call is made of.
pub fn call(key: &str) -> Record {
    let value = format!(r#"{{"tenant_id":"north","external_order_id":"{key}","event_id":"e-1","status":"COMPLETED"}}"#);
    let headers = vec![crate::log::Header::text("x-mark", "kept")];
    Record { key: Some(Bytes::from(key.to_owned())), value: Some(Bytes::from(value)), headers }
}

/// The head of a key is held, after `hop` moves.
pub fn held(seq: Seq, key: &str, hop: u32) -> Decision {
    let ruling = Ruling::Moved(Move {
        to: Topic::Held,
        role: Role::Head,
        attempts: 4,
        round: 0,
        is_passing: true,
        disposition: (hop == 0).then_some(crate::lane::batch::Disposition::AttemptsExhausted),
    });
    decided(seq, key, hop, ruling)
}

/// Dead without holding its key.
pub fn dead(seq: Seq, key: &str) -> Decision {
    decided(seq, key, 0, Ruling::Dead(crate::lane::batch::Disposition::Rejected))
}

pub fn ended(seq: Seq, key: &str, hop: u32, ruling: Ruling) -> Decision {
    Decision { failure: None, ..decided(seq, key, hop, ruling) }
}

fn decided(seq: Seq, key: &str, hop: u32, ruling: Ruling) -> Decision {
    let topic = if hop == 0 { Topic::Source } else { Topic::Held };
    let origin = Place::new(topic, seq + i64::from(hop) * 1_000);
    Decision {
        batch: 0,
        origin,
        seq,
        key: Key::new(key.as_bytes()).unwrap(),
        hop,
        attempts: 4,
        payload: origin,
        ruling,
        failure: Some(Failure { class: "timeout".into(), http_status: Some(504), message: "no answer".into() }),
        is_known: false,
    }
}
