//! Against a real registry, at the address in `CROSSDOCK_TEST_REGISTRY`.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use crate::clock::SystemClock;
use crate::schema::registry::comparison::{self, State};
use crate::schema::registry::testing::settings;
use crate::schema::registry::{Error, Registry};
use crate::schema::tests::catalogue;
use crate::schema::{self, topics};

fn registry() -> Registry {
    let Ok(url) = std::env::var("CROSSDOCK_TEST_REGISTRY") else {
        panic!("`CROSSDOCK_TEST_REGISTRY` is not set: expected the address of a schema registry")
    };
    Registry::new(&settings(&url), Arc::new(SystemClock)).expect("set up")
}

/// Nobody else's.
fn subject() -> String {
    format!("test-{}-value", Uuid::new_v4())
}

fn record(fields: &str) -> String {
    format!(r#"{{"type": "record", "name": "ServiceOrderCancelled", "namespace": "test", "fields": [{fields}]}}"#)
}

#[tokio::test]
async fn a_schema_is_registered_found_and_guarded() {
    let (registry, subject) = (registry(), subject());
    let first = record(r#"{"name": "a", "type": "string"}"#);
    let more = record(r#"{"name": "a", "type": "string"}, {"name": "b", "type": "int", "default": 0}"#);
    let broken = record(r#"{"name": "a", "type": "string"}, {"name": "c", "type": "int"}"#);
    let unknown = |error: &Error| matches!(error, Error::Unknown { .. });

    assert!(unknown(&registry.look_up(&subject, &first).await.expect_err("nothing there")));
    let id = registry.register(&subject, &first).await.expect("registered");
    assert_eq!(registry.register(&subject, &first).await, Ok(id));
    assert_eq!(registry.look_up(&subject, &first).await, Ok(id));
    assert!(registry.subjects().await.expect("listed").contains(&subject));

    assert!(unknown(&registry.look_up(&subject, &more).await.expect_err("not this one")));
    assert_eq!(registry.incompatibilities(&subject, &more).await, Ok(Vec::new()));
    let reasons = registry.incompatibilities(&subject, &broken).await.expect("compared");
    assert!(reasons.iter().any(|reason| reason.contains('c')), "{reasons:?}");
    let refused = registry.register(&subject, &broken).await.expect_err("incompatible");
    assert!(matches!(&refused, Error::Refused { reasons, .. } if !reasons.is_empty()), "{refused}");
    let no_schema = registry.register(&subject, "\"strnig\"").await.expect_err("no schema");
    assert!(matches!(no_schema, Error::Refused { .. }), "{no_schema}");
    assert_ne!(registry.register(&subject, &more).await.expect("compatible"), id);
}

#[tokio::test]
async fn every_schema_of_ours_can_be_registered_and_values_go_from_one_process_to_another() {
    let registry = registry();
    let ours = catalogue();
    let mut compared = comparison::compare(&registry, &ours, |_| true).await.expect("compared");
    // A second run finds what the first has left.
    let is_new = |state: &State| matches!(state, State::Missing | State::Same { .. });
    assert!(compared.iter().all(|comparison| is_new(&comparison.state)), "{compared:#?}");

    comparison::register(&registry, &ours, &mut compared).await.expect("registered");
    let again = comparison::compare(&registry, &ours, |_| true).await.expect("compared");

    assert_eq!((again.len(), &again), (topics::RECORDS.len(), &compared));
    assert!(again.iter().all(|comparison| matches!(comparison.state, State::Same { .. })));

    let required: Vec<_> = topics::RECORDS.iter().map(|(topic, _)| *topic).collect();
    let writer = ours.with_registry(registry, Arc::new(SystemClock));
    writer.resolve(&required).await.expect("all are there");
    let document = json!({"event_id": "e", "event_timestamp": 1, "service_order_id": "s", "reason": null});
    let value = writer.encode_json("ServiceOrderCancelled", &document).expect("written");
    let reader = catalogue().with_registry(self::registry(), Arc::new(SystemClock));
    reader.learn_from(&value).await.expect("learned");
    assert_eq!(reader.decode(&value).expect("read").value, document);
}

#[tokio::test]
async fn a_value_of_an_older_version_is_read_as_ours() {
    let older = record(
        r#"{"name": "event_id", "type": "string"}, {"name": "event_timestamp", "type": "long"},
           {"name": "service_order_id", "type": "string"}"#,
    );
    let registry = registry();
    let id = registry.register(&subject(), &older).await.expect("registered");
    let catalogue = catalogue().with_registry(registry, Arc::new(SystemClock));
    let value = [&[0], id.to_be_bytes().as_slice(), b"\x02e\x02\x02s"].concat();

    catalogue.learn_from(&value).await.expect("learned");

    let expected = json!({"event_id": "e", "event_timestamp": 1, "service_order_id": "s", "reason": null});
    assert_eq!(catalogue.decode(&value).expect("read").value, expected);
    let unknown = catalogue.learn(u32::MAX >> 1).await.expect_err("nobody's");
    assert_eq!(unknown, schema::Error::UnknownId { id: u32::MAX >> 1 });
}
