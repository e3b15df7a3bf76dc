//! What cannot be shown by cases: which bytes a message keeps, its delivery id, and that nothing makes it panic.

use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::*;
use crate::canonical::ids::Sha256Digest;
use crate::config::binding::{Binding, Parameter};
use crate::normalize::AdapterSet;
use crate::verify::Context;

/// Loaded once: compiling a mapping takes longer than a thousand runs of it.
pub(crate) fn adapters() -> &'static AdapterSet {
    static ADAPTERS: LazyLock<AdapterSet> = LazyLock::new(|| {
        let folder = Path::new("fixtures/webhook");
        AdapterSet::load(&folder.join("mappings"), &folder.join("schemas")).unwrap_or_else(|report| panic!("{report}"))
    });
    &ADAPTERS
}

fn example(adapter: &str) -> Json {
    let file = format!("fixtures/webhook/mappings/{adapter}/cases/order/input.json");
    serde_json::from_slice(&std::fs::read(file).expect("the case is there")).expect("JSON")
}

fn receive(adapter: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Messages {
    let binding = Binding {
        name: format!("{adapter}-north"),
        adapter: adapter.into(),
        tenant_id: "north".into(),
        countries: vec!["FR".into()],
        source_id: Some(format!("{adapter}-7")),
        parameters: [("bu_codes".to_owned(), Parameter::List(vec!["BU_FR_HOME".into()]))].into(),
        ..Binding::default()
    };
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let context = Context { received_at: 1_772_612_131_210, headers, ..Context::default() };
    let delivery = Verified::by_operator(Arc::new(binding), body.into(), context);
    let webhook = adapters().adapter(adapter).and_then(|adapter| adapter.webhook()).expect("a webhook");
    webhook.normalize(&delivery).expect("no mapping has a defect")
}

fn drafts(messages: Messages) -> Vec<Draft> {
    let messages = match messages {
        Messages::One(message) => vec![message],
        Messages::Many(messages) => messages,
    };
    let draft = |message| match message {
        Message::Draft(draft) => Some(*draft),
        Message::Ignored => None,
    };
    messages.into_iter().filter_map(draft).collect()
}

#[test]
fn an_order_belongs_to_its_source() {
    let [draft] = <[_; 1]>::try_from(drafts(receive("shop", &[], example("shop").to_string()))).expect("one");

    assert_eq!(draft.head.partition_key(), "north|custom.shop-7|S-1001");
    let DraftBody::Order(order) = draft.body else { panic!("an order") };
    assert_eq!((order.order.source_key.as_str(), order.id_field.as_str()), ("custom.shop-7", "/data/number"));
}

#[test]
fn an_item_of_a_batch_keeps_its_own_bytes_place_and_id() {
    let event = example("shop").to_string();
    let body = format!(" [ {{\"type\": \"stock.moved\"}},\n {event} , {event}]");

    let drafts = drafts(receive("shop", &[("webhook-id", "msg_1")], body));

    let found: Vec<_> = drafts.iter().map(|draft| (draft.raw.as_ref(), draft.head.delivery_id.as_deref())).collect();
    assert_eq!(found, [(event.as_bytes(), Some("msg_1#1")), (event.as_bytes(), Some("msg_1#2"))]);
    assert_eq!(drafts[0].head.raw_sha256, Sha256Digest::of(event.as_bytes()));
    let DraftBody::Order(order) = &drafts[1].body else { panic!("an order") };
    assert_eq!((order.id_field.as_str(), order.revision_field.as_str()), ("/2/data/number", "/2/data/placed_at"));
}

#[test]
fn a_delivery_is_named_by_its_header_and_an_event_by_source_and_id() {
    let json = [("content-type", "application/json"), ("webhook-id", "msg_1")];
    let long = "x".repeat(257);
    for (adapter, headers, expected) in [
        ("shop", &json[..], Some("msg_1")),
        ("shop", &json[..1], None),
        ("shop", &[("webhook-id", &*long)], None),
        ("shop", &[("webhook-id", "a"), ("webhook-id", "b")], None), // which of the two is for nobody to guess
        ("plain", &json, Some("msg_1")),
        ("relay", &json, Some("/relay/7 e-1")),
    ] {
        let drafts = drafts(receive(adapter, headers, example(adapter).to_string()));

        assert_eq!(drafts[0].head.delivery_id.as_deref(), expected, "{adapter} {headers:?}");
    }
}

#[test]
fn a_batch_of_a_thousand_is_taken() {
    let body = json!(vec![json!({"type": "stock.moved"}); 1000]).to_string();

    let Messages::Many(messages) = receive("shop", &[], body) else { panic!("a batch") };

    assert_eq!(messages.len(), 1000);
    assert!(messages.iter().all(|message| matches!(message, Message::Ignored)));
}

#[test]
fn no_value_in_any_place_makes_a_mapping_fail() {
    let odd =
        ["null", "true", "-1", "1e400", "\"\"", r#""\u0000""#, "[]", "[null]", "{}", "[[]]", r#"{"$number": "1"}"#];
    for adapter in ["shop", "relay", "plain"] {
        let event = example(adapter);
        let mut places = Vec::new();
        collect("", &event, &mut places);
        for (place, value) in places.iter().flat_map(|place| odd.iter().map(move |value| (place, value))) {
            let mut changed = event.clone();
            *changed.pointer_mut(place).expect("the place is there") = serde_json::from_str(value).expect("JSON");

            receive(adapter, &[], changed.to_string());
        }
    }
}

#[test]
fn no_bytes_make_a_webhook_panic() {
    let modes = ["application/json", "application/cloudevents+json", "application/cloudevents-batch+json", ""];
    for body in
        ["", "[", "]", "[]", "[[", "{", "\u{feff}", "\u{feff}[1", "\"", "[\"\\", "7", "nul", "[,]", "{}{}", "\0"]
    {
        for (adapter, mode) in ["shop", "relay", "plain"].iter().flat_map(|adapter| modes.map(|mode| (adapter, mode))) {
            receive(adapter, &[("content-type", mode), ("ce-type", "%"), ("ce-", "")], body.to_owned());
        }
    }
}

fn collect(path: &str, value: &Json, places: &mut Vec<String>) {
    places.push(path.to_owned());
    for (name, member) in value.as_object().into_iter().flatten() {
        collect(&format!("{path}/{name}"), member, places);
    }
    for (index, element) in value.as_array().into_iter().flatten().enumerate() {
        collect(&format!("{path}/{index}"), element, places);
    }
}
