//! What cannot be shown by cases: requests with an address, and what is refused.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::json;

use super::*;
use crate::canonical::notification::{STATUS_UPDATED, TV_OUTCOME_RECORDED};
use crate::canonical::order::SourceSystem;
use crate::normalize::cases;
use crate::normalize::tests::adapters;

/// The fixture of callbacks. Loaded once: compiling takes longer than all tests.
fn callbacks() -> &'static AdapterSet {
    static ADAPTERS: LazyLock<AdapterSet> = LazyLock::new(|| {
        let loaded = AdapterSet::load(Path::new("fixtures/callback/mappings"), Path::new("schemas"));
        loaded.unwrap_or_else(|report| panic!("{report}"))
    });
    &ADAPTERS
}

fn binding(adapter: &str, address: Option<(&str, &str)>) -> Arc<Binding> {
    Arc::new(Binding {
        name: format!("{adapter}-north"),
        adapter: adapter.into(),
        tenant_id: "north".into(),
        parameters: address.map(|(name, url)| (name.to_owned(), Parameter::Text(url.to_owned()))).into_iter().collect(),
        ..Binding::default()
    })
}

fn notification(record: &str, event: Json) -> Notification {
    Notification {
        kind: Kind::of_record(record).expect("a record of ours"),
        topic: "fsm.order.status_updated".into(),
        record: record.into(),
        event_id: "e-1".into(),
        tenant_id: "north".into(),
        source_system: SourceSystem::Pyxis,
        source_key: "pyxis".into(),
        external_order_id: "PYX-1".into(),
        fsm_service_order_id: "f-1".into(),
        country_code: None,
        cancelled_by_source: false,
        event,
    }
}

fn status(status: &str) -> Notification {
    let event = json!({
        "event_id": "e-1", "event_timestamp": 1_772_700_000_000_i64, "source_system": "PYXIS",
        "external_order_id": "PYX-1", "fsm_service_order_id": "f-1", "status": status,
        "scheduled_date": null, "provider_name": null,
    });
    notification(STATUS_UPDATED, event)
}

#[test]
fn every_case_of_a_callback_gives_what_it_expects() {
    for adapter in callbacks().iter() {
        assert!(!cases::names(adapter).is_empty());
        cases::check(adapter).unwrap_or_else(|report| panic!("{report}"));
    }
}

#[test]
fn a_request_is_complete_but_for_secrets_and_time() {
    let binding = binding("pyxis", Some(("base_url", "https://pyxis.example/")));

    let asked = request(adapters(), &binding, &status("COMPLETED")).expect("a request").expect("something to tell");

    assert_eq!(
        (asked.call.as_str(), asked.kind, asked.value.as_str(), asked.method.as_str(), asked.auth),
        ("status", Kind::Status, "COMPLETED", "POST", CallAuth::BearerAndSignature)
    );
    assert_eq!(asked.url, "https://pyxis.example/webhooks/fsm/service-order-status");
    let body: Json = serde_json::from_slice(&asked.body).expect("JSON");
    assert_eq!(body["event_timestamp"], json!(1_772_700_000_000_i64));
    assert_eq!(request(adapters(), &binding, &status("COMPLETED")).expect("a request"), Some(asked));
}

#[test]
fn what_cannot_be_told_says_why() {
    let address = Some(("base_url", "https://pyxis.example"));
    for (binding, notification, expected) in [
        (binding("nobody", None), status("CREATED"), "binding `nobody-north`: no adapter `nobody`"),
        (
            binding("pyxis", None),
            status("CREATED"),
            "binding `pyxis-north`: call `status` needs `base_url`, the address of the partner",
        ),
        (
            binding("pyxis", address),
            status("PAUSED"),
            "call `status`: event `com.ahs.fsm.events.integration.FsmOrderStatusUpdated` cannot be told: UNKNOWN_CODE at \
             /event/status: expected a code of the table `statuses`",
        ),
        (
            binding("tempo", address),
            notification(TV_OUTCOME_RECORDED, json!({ "tv_outcome": "NO", "event_timestamp": -1 })),
            "call `tv-outcome`: event `com.ahs.fsm.events.integration.FsmTvOutcomeRecorded` cannot be told: \
             INVALID_FORMAT at /event/event_timestamp: expected a time",
        ),
    ] {
        let error = request(adapters(), &binding, &notification).expect_err(expected);

        assert!(error.to_string().starts_with(expected), "expected {expected}\nfound {error}");
    }
}

#[test]
fn no_event_makes_a_call_panic() {
    let binding = binding("pyxis", Some(("base_url", "https://pyxis.example")));
    for event in [json!(null), json!({}), json!([]), json!({ "status": 7, "modifications": {}, "tv_outcome": [] })] {
        for record in [STATUS_UPDATED, TV_OUTCOME_RECORDED] {
            let _ = request(adapters(), &binding, &notification(record, event.clone()));
        }
    }
}

#[test]
fn a_visit_moved_and_moved_back_is_told_three_times_and_a_refund_asked_for_once() {
    let binding = binding("pyxis", Some(("base_url", "https://pyxis.example")));
    let value = |date: &str| {
        let mut moved = status("SCHEDULED");
        moved.event["scheduled_date"] = json!(date);
        request(adapters(), &binding, &moved).expect("a request").expect("something to tell").value
    };
    let outcome = notification(TV_OUTCOME_RECORDED, json!({ "tv_outcome": "NO", "event_timestamp": 0 }));
    let told = |notification| request(adapters(), &binding, notification).expect("a request").expect("a call");

    assert_ne!(value("2026-03-16"), value("2026-03-17"));
    assert_eq!(value("2026-03-16"), value("2026-03-16"));
    let mut long = status("ASSIGNED");
    long.event["provider_name"] = json!("x".repeat(10_000));
    assert_eq!(told(&long).value.len(), 64);
    let (visit, cancelled) = (told(&outcome), told(&status("CANCELLED")));
    assert_eq!((visit.kind, &visit.value), (cancelled.kind, &cancelled.value));
}
