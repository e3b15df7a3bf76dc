//! The translator's work, with a real store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::canonical::headers;
use crate::clock::ManualClock;
use crate::config::binding::Binding;
use crate::driver::{Done, Job, Work as _};
use crate::lane::batch::Answer;
use crate::lane::place::{Key, Place, Topic};
use crate::normalize::{AdapterSet, cases};
use crate::store::Store;
use crate::store::conformance::batches::{Owner, engine_lane};
use crate::store::lanes::{Link, Parked};
use crate::store::sqlite::SqliteStore;
use crate::translate::lane::{Deps, Translator};

const ASSIGNED: &str = "assignments.assignment.confirmed";

struct Fixture {
    translator: Translator,
    store: Arc<dyn Store>,
    _folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("store.db"), Default::default()).expect("a store");
        let adapters = AdapterSet::load(Path::new("mappings"), Path::new("schemas"));
        let adapters = Arc::new(adapters.unwrap_or_else(|report| panic!("{report}")));
        let adapter = adapters.adapter("pyxis").expect("an adapter");
        let binding = cases::binding(adapter).unwrap_or_else(|report| panic!("{report}"));
        let binding = Binding { tenant_id: "north".to_owned(), name: "pyxis-north".to_owned(), ..binding };
        let store: Arc<dyn Store> = store;
        let deps = Deps {
            store: Arc::clone(&store),
            catalogue: Arc::new(crate::schema::tests::catalogue()),
            clock: Arc::new(ManualClock::at(NOW)),
            parked_for: Duration::from_hours(24),
        };
        Self { translator: Translator::new(deps, &adapters, &[Arc::new(binding)]), store, _folder: folder }
    }

    async fn attempt(&self, record: Record) -> Done {
        let job = Job {
            lane: engine_lane(0),
            seq: 1,
            key: Key::new(b"key").expect("a key"),
            attempt: 1,
            place: Place::new(Topic::Source, 1),
            since: NOW,
            record,
            edit: None,
            deadline: tokio::time::Instant::now(),
        };
        self.translator.attempt(job).await
    }

    /// What a lane writes of what was done.
    async fn write(&self, done: &Done) {
        let mut owner = Owner::take_over(self.store.as_ref(), engine_lane(0)).await;
        let published_at = NOW;
        let events = done.events.iter().map(|id| crate::store::PublishedEvent { id: *id, published_at });
        let (events, links) = (events.collect(), done.links.clone());
        owner.write(|write| (write.events, write.links) = (events, links)).await;
    }

    async fn link(&self, platform_id: &str) {
        let KnownOrder { key, country_code } = pyxis();
        let link =
            Link { platform_id: platform_id.to_owned(), order: key, country_code: country_code.unwrap_or_default() };
        self.write(&Done { links: vec![link], ..Done::of(Answer::Applied) }).await;
    }
}

/// As the relay appends it.
fn relayed(topic: &str, event: &Value) -> Record {
    record(topic, event, &[(headers::SOURCE, &format!("{topic}/3/7"))])
}

fn parked(record: Record) -> Parked {
    let Record { key, value, headers } = record;
    Parked { seq: 1, wanted: Vec::new(), expires_at: NOW, key: key.unwrap_or_default(), value, headers }
}

fn topics(effects: &[crate::log::Append]) -> Vec<&str> {
    effects.iter().map(|append| &*append.topic).collect()
}

#[tokio::test]
async fn an_event_that_was_relayed_twice_is_published_and_told_once() {
    let fixture = Fixture::new();
    fixture.link("order-1").await;
    fixture.link("fsm-1").await;
    for (topic, event, expected) in [
        (ASSIGNED, confirmed(), "fsm.order.scheduled"),
        ("fsm.order.assigned", status("PYXIS", "ASSIGNED"), "crossdock.out.pyxis-north"),
    ] {
        let first = fixture.attempt(relayed(topic, &event)).await;
        assert_eq!((first.answer.clone(), topics(&first.effects)), (Answer::Applied, vec![expected]), "{topic}");
        fixture.write(&first).await;

        let again = fixture.attempt(relayed(topic, &event)).await;

        assert_eq!((again.answer, again.effects, again.events), (Answer::Applied, vec![], vec![]), "{topic}");
        assert!(again.ledger[0].detail.contains(r#""outcome":"duplicate""#), "{}", again.ledger[0].detail);
    }
}

#[tokio::test]
async fn an_event_of_an_unknown_order_waits_for_what_would_make_it_known() {
    let fixture = Fixture::new();
    let id = pyxis().key.service_order_id().to_string();
    for (topic, event, wanted) in [
        (ASSIGNED, confirmed(), vec!["order-1".to_owned()]),
        // It names no id of the platform: an order of that name which is accepted is known by its own.
        ("fsm.tv.outcome_recorded", outcome("PYXIS", "NO"), vec![id.clone()]),
    ] {
        let done = fixture.attempt(relayed(topic, &event)).await;

        let waits = done.waits.expect("it waits");
        assert_eq!((done.answer, waits.wanted, waits.expires_at), (Answer::Parked, wanted, NOW + DAY_MS), "{topic}");
    }
}

#[tokio::test]
async fn what_waited_goes_on_when_its_order_is_known_and_is_given_up_when_its_time_is_over() {
    let fixture = Fixture::new();
    let waiting = || parked(relayed(ASSIGNED, &confirmed()));
    assert_eq!(fixture.translator.release(waiting(), false).await, None, "neither");

    let given_up = fixture.translator.release(waiting(), true).await.expect("its time is over");
    fixture.link("order-1").await;
    let known = fixture.translator.release(waiting(), true).await.expect("known in the last moment");

    assert_eq!(topics(&given_up.effects), ["dlq.failed_events"]);
    let failed: Value =
        serde_json::from_slice(given_up.effects[0].record.value.as_ref().expect("a value")).expect("JSON");
    assert_eq!(
        (&failed["original_topic"], &failed["error"]),
        (&json!(ASSIGNED), &json!("UNKNOWN_REFERENCE /service_order_id: no order of this id became known in time"))
    );
    assert_eq!(topics(&known.effects), ["fsm.order.scheduled"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_no_event_of_anybody() {
    let fixture = Fixture::new();
    let garbage = Record { value: Some(Bytes::from_static(b"no JSON")), ..relayed(ASSIGNED, &confirmed()) };
    for (name, record, class) in [
        ("no source", record(ASSIGNED, &confirmed(), &[]), "SCHEMA_MISMATCH"),
        ("a topic nobody reads", relayed_as("fsm.other", ASSIGNED, &confirmed()), "UNSUPPORTED_EVENT"),
        ("garbage", garbage, "SCHEMA_MISMATCH"),
    ] {
        let done = fixture.attempt(record).await;

        let Answer::Undecodable(failure) = done.answer else { panic!("{name}: {:?}", done.answer) };
        assert_eq!(failure.class, class, "{name}: {}", failure.message);
    }
}

fn relayed_as(topic: &str, of: &str, event: &Value) -> Record {
    record(of, event, &[(headers::SOURCE, &format!("{topic}/3/7"))])
}
