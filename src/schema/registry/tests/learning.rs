//! The catalogue with a registry behind it: ids out, ids in, and what happens while it is down.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::clock;
use crate::clock::{ManualClock, SystemClock};
use crate::config::settings::RegistrySettings;
use crate::schema::registry::testing::Fake;
use crate::schema::registry::{self, Registry};
use crate::schema::tests::catalogue;
use crate::schema::{Catalogue, Error, topics};

/// Not an id of `ids.toml`.
const ID: u32 = 70_000;

fn behind(fake: &Fake, clock: &Arc<ManualClock>) -> Catalogue {
    catalogue().with_registry(fake.registry(Arc::<ManualClock>::clone(clock)), Arc::<ManualClock>::clone(clock))
}

fn text_of(record: &str) -> String {
    catalogue().records().find(|entry| entry.record == record).expect("it is there").text.clone()
}

/// Under this id, what the local catalogue writes.
fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], id.to_be_bytes().as_slice(), body].concat()
}

fn cancelled(id: u32) -> Vec<u8> {
    framed(id, b"\x02e\x02\x02s\x00")
}

/// Every topic's record is registered under an id of its own.
fn register_all(fake: &Fake) {
    for (id, (topic, _)) in (ID..).zip(topics::RECORDS) {
        fake.says(&format!("POST /subjects/{topic}-value"), 200, json!({ "id": id }));
    }
}

#[tokio::test]
async fn values_are_written_with_the_registrys_ids() {
    let fake = Fake::start().await;
    register_all(&fake);
    let catalogue = behind(&fake, &clock());
    let document = json!({"event_id": "e", "event_timestamp": 1, "service_order_id": "s"});

    let before = catalogue.encode_json("ServiceOrderCancelled", &document).expect_err("no id yet");
    assert!(before.is_transient(), "{before}");
    catalogue.resolve(&["projects.service_order.cancelled"]).await.expect("resolved");
    let value = catalogue.encode_json("ServiceOrderCancelled", &document).expect("written");

    let place = topics::RECORDS.iter().position(|(_, record)| *record == "ServiceOrderCancelled").expect("there");
    assert_eq!(value, cancelled(ID + u32::try_from(place).expect("small")));
    // What it writes it reads without asking.
    assert_eq!(catalogue.decode(&value).expect("read").record, "ServiceOrderCancelled");
    assert_eq!(fake.asked().len(), topics::RECORDS.len());
}

#[tokio::test]
async fn of_several_subjects_with_one_schema_each_id_is_read_and_one_written() {
    let fake = Fake::start().await;
    register_all(&fake);
    let catalogue = behind(&fake, &clock());
    catalogue.resolve(&[]).await.expect("resolved");

    for (id, (_, record)) in (ID..).zip(topics::RECORDS) {
        let error = catalogue.decode(&framed(id, b"")).expect_err("cut off").to_string();
        assert!(error.starts_with(&format!("record `{record}` cannot be read")), "{error}");
    }
}

#[tokio::test]
async fn a_subject_that_is_needed_and_not_there_is_named_and_others_are_not() {
    let fake = Fake::start().await;
    let needed = ["integration.sales.order_received", "crossdock.intake", "dlq.crossdock.intake"];

    let error = behind(&fake, &clock()).resolve(&needed).await.expect_err("nothing is registered");

    assert!(!error.is_transient());
    assert_eq!(
        error.to_string(),
        "not in the schema registry: `crossdock.intake-value`, `integration.sales.order_received-value`; `crossdock \
         schemas register` registers them"
    );
}

#[tokio::test]
async fn a_start_waits_for_the_registry() {
    let fake = Fake::start().await;
    register_all(&fake);
    fake.breaks(503, "");
    let settings = RegistrySettings { retry_backoff: Duration::from_millis(1), ..fake.settings() };
    let registry = Registry::new(&settings, Arc::new(SystemClock)).expect("set up");
    let catalogue = Arc::new(catalogue().with_registry(registry, Arc::new(SystemClock)));
    let waiting = tokio::spawn({
        let catalogue = Arc::clone(&catalogue);
        async move { catalogue.resolve_when_up(&["crossdock.intake"]).await }
    });
    while fake.asked().len() < 3 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());

    fake.is_well();

    assert_eq!(waiting.await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn a_start_does_not_wait_for_what_only_a_person_can_change() {
    let fake = Fake::start().await;
    let catalogue = behind(&fake, &clock());
    fake.breaks(401, "");
    let forbidden = catalogue.resolve_when_up(&[]).await.expect_err("not let in");
    assert!(matches!(forbidden, Error::Registry(registry::Error::Forbidden { status: 401, .. })), "{forbidden}");

    fake.is_well();
    let missing = catalogue.resolve_when_up(&["crossdock.intake"]).await.expect_err("not registered");
    assert!(matches!(missing, Error::Unregistered { .. }), "{missing}");
}

#[tokio::test]
async fn an_id_is_asked_for_once_however_many_wait_for_it() {
    let fake = Fake::start().await;
    fake.has_schema(ID, &text_of("ServiceOrderCancelled"));
    let catalogue = Arc::new(behind(&fake, &clock()));
    assert_eq!(catalogue.decode(&cancelled(ID)), Err(Error::UnlearnedId { id: ID }));

    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let catalogue = Arc::clone(&catalogue);
            tokio::spawn(async move { catalogue.learn_from(&cancelled(ID)).await })
        })
        .collect();
    for learned in waiting {
        assert_eq!(learned.await.expect("no panic"), Ok(()));
    }

    assert_eq!(catalogue.decode(&cancelled(ID)).expect("read").value["service_order_id"], "s");
    assert_eq!(fake.questions(), [format!("GET /schemas/ids/{ID}")]);
}

#[tokio::test]
async fn while_the_registry_is_down_what_is_known_works_and_the_rest_waits() {
    let fake = Fake::start().await;
    fake.has_schema(ID, &text_of("ServiceOrderCancelled")).has_schema(ID + 1, &text_of("ServiceOrderCancelled"));
    let clock = clock();
    let catalogue = behind(&fake, &clock);
    catalogue.learn(ID).await.expect("learned");

    // 404 too: it is a proxy that says so.
    for (status, body) in [(503, ""), (200, "garbage"), (404, "not found"), (401, ""), (403, "{}")] {
        fake.breaks(status, body);
        clock.advance(10_000);
        let error = catalogue.learn_from(&cancelled(ID + 1)).await.expect_err("down");
        assert!(error.is_transient(), "{error}");
        assert!(catalogue.decode(&cancelled(ID + 1)).expect_err("unknown").is_transient());
        assert_eq!(catalogue.decode(&cancelled(ID)).expect("known").record, "ServiceOrderCancelled");
    }

    fake.is_well();
    clock.advance(10_000);
    catalogue.learn_from(&cancelled(ID + 1)).await.expect("up again");
    assert_eq!(catalogue.decode(&cancelled(ID + 1)).expect("known").record, "ServiceOrderCancelled");
}

#[tokio::test]
async fn an_id_nobody_knows_is_a_fact_for_ten_seconds() {
    let fake = Fake::start().await;
    let clock = clock();
    let catalogue = behind(&fake, &clock);
    let unknown = Error::UnknownId { id: ID };

    assert_eq!(catalogue.learn(ID).await, Err(unknown.clone()));
    assert!(!unknown.is_transient());
    clock.advance(9_999);
    assert_eq!(catalogue.decode(&cancelled(ID)), Err(unknown.clone()));
    assert_eq!(catalogue.learn(ID).await, Err(unknown));
    assert_eq!(fake.asked().len(), 1);

    clock.advance(1);
    fake.has_schema(ID, &text_of("ServiceOrderCancelled"));
    assert_eq!(catalogue.decode(&cancelled(ID)), Err(Error::UnlearnedId { id: ID }));
    catalogue.learn(ID).await.expect("registered since");
    assert!(catalogue.decode(&cancelled(ID)).is_ok());
}

#[tokio::test]
async fn without_a_registry_the_ids_are_those_of_the_folder() {
    let catalogue = catalogue();

    catalogue.resolve(&["crossdock.intake"]).await.expect("nothing to do");

    assert_eq!(catalogue.learn(18).await, Ok(()));
    assert_eq!(catalogue.learn(200).await, Err(Error::UnknownId { id: 200 }));
    assert_eq!(catalogue.learn_from(b"{}").await, Ok(()));
    assert!(catalogue.decode(&cancelled(18)).is_ok());
}
