//! What operators ask for is what the driver does: dead letters, index, commands and lanes together, on the embedded
//! engines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::door::testing::catalogue;
use crate::driver::Reach;
use crate::driver::tests::script::rejected;
use crate::driver::tests::world::{Engines, START, World, policy};
use crate::lane::batch::CommandOutcome;
use crate::lane::{OnDead, Policy, Topic};
use crate::log::sqlite::{Options, SqliteLog};
use crate::log::{Record, Subscription};
use crate::recovery::failure::Detail;
use crate::recovery::index::{DEAD_LETTERS, Deps, Index};
use crate::recovery::keys::{self, Commanded, Keys, Request, Standing};
use crate::store::lanes::KeyFilter;
use crate::store::recovery::{FailureFilter, FailureRow, FailureState, MAX_PAGE};
use crate::store::sqlite::SqliteStore;
use crate::store::{LaneStore, Store};
use crate::telemetry::metrics::Metrics;

const KEY: &str = "north|pyxis|PYX-1";
const FIRST: &str = r#"{"event_id":"e-1","status":"SCHEDULED"}"#;
const SECOND: &str = r#"{"event_id":"e-2","status":"COMPLETED"}"#;

/// The driver's world, and an operator in it.
struct Operated {
    world: World,
    store: Arc<dyn Store>,
    keys: Keys,
    index: Index,
    subscription: Option<Box<dyn Subscription>>,
}

impl Operated {
    async fn new(on_dead: OnDead) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(crate::clock::ManualClock::at(START));
        let options = Options { group_commit_delay: Duration::ZERO, clock: clock.clone() };
        let log = SqliteLog::open(&folder.path().join("log.db"), options).unwrap();
        let store = SqliteStore::open(&folder.path().join("store.db"), Default::default()).unwrap();
        let engines = Engines {
            log: log.clone(),
            store: store.clone() as Arc<dyn LaneStore>,
            prefix: String::new(),
            clock: clock.clone(),
            guard: Box::new(folder),
        };
        let world = World::new(engines, Reach::Inside, Policy { on_dead, ..policy() }).await;
        // No answer waits: the lane runs when the test says so.
        let keys = Keys::new(keys::Deps {
            log: log.clone(),
            store: store.clone(),
            catalogue: catalogue(),
            clock,
            append_timeout: Duration::from_secs(5),
            outcome_timeout: Duration::ZERO,
        });
        let deps = Deps {
            log,
            store: store.clone(),
            catalogue: catalogue(),
            metrics: Arc::new(Metrics::new().unwrap()),
            readiness: Arc::default(),
        };
        let topics = watch::channel(vec![world.topics().await.dead.to_string()]).1;
        Self { index: Index::new(deps, DEAD_LETTERS, topics), world, store, keys, subscription: None }
    }

    /// Rounds of the index until that many failures are in it, and one more, which sweeps.
    async fn indexed(&mut self, failures: usize) -> Vec<FailureRow> {
        loop {
            self.index.round(&mut self.subscription).await.unwrap();
            let rows = self.store.failures(FailureFilter::default(), None, MAX_PAGE).await.unwrap();
            if rows.len() >= failures {
                self.index.sweep().await.unwrap();
                return self.store.failures(FailureFilter::default(), None, MAX_PAGE).await.unwrap();
            }
        }
    }

    async fn replay(&self, row: &FailureRow, payload: Option<&str>, force: bool) -> Commanded {
        let request = Request { operator: "anna".into(), reason: "r".into(), request_id: None, command_id: None };
        let payload = payload.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        self.keys.replay(row, payload, force, request).await.unwrap()
    }

    async fn runs(&self) {
        self.world.run(0).await.unwrap();
    }

    /// What was published last: the record as it was attempted.
    async fn published_last(&self) -> Record {
        let topic = self.world.script.published.clone();
        self.world.records(&topic).await.pop().unwrap().record
    }

    /// The record of the lane's own topic.
    async fn original(&self, seq: usize) -> Record {
        let topic = self.world.topic.clone();
        self.world.records(&topic).await.swap_remove(seq).record
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_key_is_released_then_edited_and_what_waits_follows() {
    let mut operated = Operated::new(OnDead::Hold).await;
    operated.world.append(&[(KEY, FIRST), (KEY, SECOND)]).await;
    operated.world.script.answers(FIRST, [rejected(), rejected()]);
    operated.runs().await;
    let failure = operated.indexed(1).await.remove(0);
    let record = Detail::of(&failure.failure).record.unwrap();
    assert!(record.is_held, "{record:?}");
    let row = operated.keys.list(KeyFilter::default(), None, 9).await.unwrap().remove(0);
    assert_eq!((row.head.seq, row.head.topic, row.records), (0, Topic::Held, 2));
    assert_eq!(row.head.hop, record.hop, "letter and held copy are one move");
    let request = || Request { operator: "anna".into(), reason: "r".into(), request_id: None, command_id: None };

    let given = operated.keys.release(&row, request()).await.unwrap();
    assert_eq!(given.outcome, None);
    operated.runs().await;
    let released = operated.keys.release(&row, request()).await.unwrap();
    assert_eq!((released.command_id, released.outcome), (given.command_id, Some(CommandOutcome::Done)));
    assert!(matches!(released.standing, Some(Standing::Waits(Topic::Held, Some(_)))), "{released:?}");
    assert_eq!(operated.indexed(1).await[0].state, FailureState::Open, "it failed again");

    operated.world.script.asked();
    let edited = FIRST.replace("SCHEDULED", "ASSIGNED");
    let given = operated.replay(&failure, Some(&edited), false).await;
    operated.runs().await;

    let asked = operated.world.script.asked();
    assert_eq!(asked[0], (edited.clone(), 3, Some(given.command_id.to_string())));
    assert_eq!((asked[1].0.as_str(), asked.len()), (SECOND, 2));
    let rows = operated.indexed(1).await;
    assert_eq!((rows.len(), rows[0].state), (1, FailureState::Resolved));
    assert_eq!(operated.keys.list(KeyFilter::default(), None, 9).await.unwrap(), []);
    let published = operated.world.records(&operated.world.script.published.clone()).await;
    let of_edit =
        published.iter().find(|stored| stored.record.value.as_deref().is_some_and(|v| v.ends_with(edited.as_bytes())));
    let (attempted, original) = (&of_edit.unwrap().record, operated.original(0).await);
    assert_eq!((&attempted.key, &attempted.headers), (&original.key, &original.headers), "all but the value");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_record_comes_back_as_it_was_and_not_twice() {
    let mut operated = Operated::new(OnDead::Continue).await;
    operated.world.append(&[(KEY, FIRST), ("north|pyxis|PYX-2", SECOND)]).await;
    operated.world.script.answers(FIRST, [rejected(), rejected()]);
    operated.runs().await;
    let failure = operated.indexed(1).await.remove(0);
    assert!(!Detail::of(&failure.failure).record.unwrap().is_held);

    let given = operated.replay(&failure, None, false).await;
    operated.runs().await;
    let died_again = operated.replay(&failure, None, false).await;
    assert_eq!((died_again.command_id, died_again.outcome), (given.command_id, Some(CommandOutcome::Done)));
    let rows = operated.indexed(2).await;
    let states: BTreeMap<_, _> = rows.iter().map(|row| (row.failure.event_id, row.state)).collect();
    assert_eq!(states[&failure.failure.event_id], FailureState::Replayed);
    let second = rows.into_iter().find(|row| row.failure.event_id != failure.failure.event_id).unwrap();
    assert_eq!(second.state, FailureState::Open, "a failure of its own");

    operated.replay(&second, None, false).await;
    operated.runs().await;
    let (published, original) = (operated.published_last().await, operated.original(0).await);
    assert_eq!(published.value, Some(Bytes::from(format!("applied {FIRST}"))));
    assert_eq!((published.key, published.headers), (original.key, original.headers));
    let rows = operated.indexed(2).await;
    assert!(rows.iter().all(|row| row.state != FailureState::Open), "{rows:?}");
    operated.world.script.asked();
    operated.replay(&failure, None, true).await;
    operated.runs().await;

    assert_eq!(operated.world.script.asked(), [], "one that has come back does not come again");
}
