use bytes::Bytes;

use super::*;
use crate::canonical::ids::Sha256Digest;
use crate::normalize::tests::{adapters, binding};
use crate::verify::Context;

const ORDER: &[u8] = include_bytes!("../../../mappings/pyxis/cases/order/input.json");

fn delivery(body: impl Into<Bytes>) -> Verified {
    let context = Context {
        received_from: "http".into(),
        received_at: 1_772_612_131_210,
        correlation_id: "c-1".into(),
        retry_count: 2,
        ..Context::default()
    };
    Verified::by_operator(Arc::new(binding()), body.into(), context)
}

fn normalize(route: &str, body: impl Into<Bytes>) -> Draft {
    let adapters = adapters();
    let route = adapters.adapter("pyxis").and_then(|adapter| adapter.route(route)).expect("the route is there");
    route.normalize(&delivery(body)).expect("the mapping has no defect")
}

#[test]
fn the_example_of_the_contract_has_the_digest_printed_there() {
    let DraftBody::Order(draft) = normalize("order", ORDER).body else { panic!("expected an order") };

    assert_eq!(draft.digest.to_string(), "abe06f7d585ef87d46c736e04388111f01943047fa37a63adc574b88580dce53");
    assert_eq!(
        (draft.intent, draft.id_field.as_str(), draft.revision_field.as_str()),
        (Intent::Upsert, "/order_id", "/created_at")
    );
}

#[test]
fn a_rejected_payload_keeps_its_order_id_and_every_circumstance() {
    let draft = normalize("order", r#"{"order_id": "PYX-1", "created_at": "soon"}"#);

    assert!(matches!(draft.body, DraftBody::Rejection(_)));
    assert_eq!(draft.head.external_order_id.as_deref(), Some("PYX-1"));
    assert_eq!(draft.head.partition_key(), "north|pyxis|PYX-1");
    assert_eq!((draft.head.received_at, draft.head.retry_count), (1_772_612_131_210, 2));
    assert_eq!(draft.head.transformation_version, "pyxis/1.0.0");
    assert_eq!(draft.head.raw_sha256, Sha256Digest::of(&draft.raw));
}

#[test]
fn an_order_id_of_unusable_shape_is_none() {
    for body in [r#"{"order_id": "a b"}"#, r#"{"order_id": 7}"#, "{}", "[]", "{", "7"] {
        assert_eq!(normalize("order", body).head.external_order_id, None, "{body}");
    }
}

#[test]
fn a_refused_delivery_is_read_for_its_order_id() {
    let adapters = adapters();
    let route = adapters.adapter("pyxis").and_then(|adapter| adapter.route("order")).expect("the route is there");
    let rejection = Rejection::one(Code::UnsupportedMediaType, "", "expected application/json");

    let draft = route.refuse(&delivery(ORDER), rejection.clone());

    assert_eq!(draft.head.external_order_id.as_deref(), Some("PYX-FR-20260304-7731"));
    assert_eq!(draft.body, DraftBody::Rejection(rejection));
}

#[test]
fn no_value_in_any_place_makes_the_mapping_fail() {
    let adapters = adapters();
    let route = adapters.adapter("pyxis").and_then(|adapter| adapter.route("order")).expect("the route is there");
    let order: serde_json::Value = serde_json::from_slice(ORDER).expect("the example is JSON");
    let odd = [
        r#"null"#,
        "true",
        "0",
        "-1",
        "1e400",
        "1e-400",
        "\"\"",
        r#""\u0000""#,
        r#""\u0007""#,
        r#""?""#,
        r#""0""#,
        "[]",
        "[null]",
        "{}",
        r#"{"$number": "1"}"#,
        r#""2026-02-30T25:61:61+99:99""#,
        r#""+""#,
        r#""@.""#,
        r#""(0)""#,
    ];
    let mut places = Vec::new();
    collect("", &order, &mut places);

    for (place, value) in places.iter().flat_map(|place| odd.iter().map(move |value| (place, value))) {
        let mut payload = order.clone();
        let spot = payload.pointer_mut(place).expect("the place is there");
        *spot = serde_json::from_str(value).expect("an odd value is JSON");

        let draft = route.normalize(&delivery(payload.to_string()));

        assert!(draft.is_ok(), "{value} at {place}: {draft:?}");
    }
}

fn collect(path: &str, value: &serde_json::Value, places: &mut Vec<String>) {
    places.push(path.to_owned());
    for (name, member) in value.as_object().into_iter().flatten() {
        collect(&format!("{path}/{name}"), member, places);
    }
    for (index, element) in value.as_array().into_iter().flatten().enumerate() {
        collect(&format!("{path}/{index}"), element, places);
    }
}
