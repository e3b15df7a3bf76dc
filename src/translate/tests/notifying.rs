use std::sync::Arc;

use super::*;
use crate::canonical::notification::{Kind, Notification};
use crate::config::binding::{Binding, Parameter};
use crate::normalize::call;
use crate::normalize::tests::adapters;

fn binding(name: &str, adapter: &str, countries: &[&str], base_url: Option<&str>) -> Arc<Binding> {
    let address = base_url.map(|url| ("base_url".to_owned(), Parameter::Text(url.to_owned())));
    Arc::new(Binding {
        name: name.into(),
        adapter: adapter.into(),
        tenant_id: if name.contains("south") { "south" } else { "north" }.into(),
        countries: countries.iter().map(|country| (*country).to_owned()).collect(),
        parameters: address.into_iter().collect(),
        ..Binding::default()
    })
}

fn told(consumed: &Consumed, order: &KnownOrder, bindings: &[Arc<Binding>]) -> Vec<String> {
    let outgoing = notify(consumed, order, false, adapters(), bindings);
    outgoing.into_iter().map(|outgoing| outgoing.binding).collect()
}

#[test]
fn an_order_is_told_to_the_bindings_of_its_tenant_source_and_country_that_have_an_address() {
    let url = Some("https://partner.example");
    let bindings = [
        binding("pyxis-north", "pyxis", &["FR", "ES"], url),
        binding("pyxis-north-it", "pyxis", &["IT"], url),
        binding("pyxis-north-silent", "pyxis", &["FR"], None),
        binding("pyxis-south", "pyxis", &["FR"], url),
        binding("tempo-north", "tempo", &["FR"], url),
        binding("gone-north", "gone", &["FR"], url),
    ];
    let consumed = consumed("fsm.order.completed", &status("PYXIS", "COMPLETED"), &[]);
    let anywhere = KnownOrder { country_code: None, ..pyxis() };
    for (order, expected) in [
        (pyxis(), vec!["pyxis-north"]),
        (KnownOrder { country_code: Some("IT".into()), ..pyxis() }, vec!["pyxis-north-it"]),
        (KnownOrder { country_code: Some("PL".into()), ..pyxis() }, vec![]),
        (anywhere, vec!["pyxis-north", "pyxis-north-it"]),
        (order("tempo", "T-1"), vec!["tempo-north"]),
        (order("custom.shop", "S-1"), vec![]),
    ] {
        assert_eq!(told(&consumed, &order, &bindings), expected, "{order:?}");
    }
}

#[test]
fn only_platform_events_about_orders_are_told() {
    let bindings = [binding("pyxis-north", "pyxis", &["FR"], Some("https://partner.example"))];
    for (topic, event, expected) in [
        ("fsm.order.scheduled", status("PYXIS", "SCHEDULED"), 1),
        ("fsm.tv.modifications_required", outcome("PYXIS", "YES_BUT"), 1),
        ("projects.tv_outcome.recorded", visit("NO", json!(null)), 0),
        ("assignments.assignment.confirmed", confirmed(), 0),
        ("projects.service_order.cancelled", cancelled(), 0),
    ] {
        assert_eq!(told(&consumed(topic, &event, &[]), &pyxis(), &bindings).len(), expected, "{topic}");
    }
}

#[test]
fn a_notification_says_all_that_a_request_needs() {
    let bindings = [binding("pyxis-north", "pyxis", &["FR"], Some("https://partner.example"))];
    let consumed = consumed("fsm.order.status_updated", &status("PYXIS", "CANCELLED"), &[("correlation-id", "c-7")]);

    let outgoing = notify(&consumed, &pyxis(), true, adapters(), &bindings);
    let append = outgoing[0].to_append();

    assert_eq!(append.topic.as_ref(), "crossdock.out.pyxis-north");
    assert_eq!(append.record.key.as_deref(), Some(&b"north|pyxis|PYX-FR-20260304-7731"[..]));
    let expected = [
        ("correlation-id", "c-7"),
        ("tenant-id", "north"),
        ("source-system", "PYXIS"),
        ("event-type", "FsmOrderStatusUpdated"),
        ("idempotency-key", "e-1"),
    ];
    assert_eq!(append.record.headers, expected.map(|(name, value)| Header::text(name, value)));
    let value: Value = serde_json::from_slice(append.record.value.as_ref().expect("a value")).expect("JSON");
    assert_eq!(
        value,
        json!({
            "kind": "status", "topic": "fsm.order.status_updated",
            "record": "com.ahs.fsm.events.integration.FsmOrderStatusUpdated", "event_id": "e-1", "tenant_id": "north",
            "source_system": "PYXIS", "source_key": "pyxis", "external_order_id": "PYX-FR-20260304-7731",
            "fsm_service_order_id": "fsm-1", "country_code": "FR", "cancelled_by_source": true,
            "event": status("PYXIS", "CANCELLED"),
        })
    );
    let read = Notification::from_bytes(append.record.value.as_ref().expect("a value")).expect("a notification");
    assert_eq!(read, outgoing[0].notification);
    assert_eq!(call::request(adapters(), &bindings[0], &read).expect("nothing wrong"), None);
}

#[test]
fn a_notification_is_guarded_by_binding_topic_and_event() {
    let bindings = ["pyxis-a", "pyxis-b"].map(|name| binding(name, "pyxis", &["FR"], Some("https://partner.example")));
    let guards = |topic: &str| -> Vec<_> {
        let consumed = consumed(topic, &status("PYXIS", "COMPLETED"), &[]);
        notify(&consumed, &pyxis(), false, adapters(), &bindings).iter().map(Outgoing::guard).collect()
    };

    let (updated, completed) = (guards("fsm.order.status_updated"), guards("fsm.order.completed"));

    assert_eq!(updated, guards("fsm.order.status_updated"));
    assert_ne!(updated[0], updated[1]);
    assert!(!completed.iter().any(|guard| updated.contains(guard)));
}

#[test]
fn an_outcome_of_a_visit_comes_to_pyxis_as_its_contract_says() {
    let bindings = [binding("pyxis-north", "pyxis", &["FR"], Some("https://pyxis.example"))];
    let requests = |event: &Value| -> Vec<_> {
        let recorded = consumed("projects.tv_outcome.recorded", event, &[]);
        let Translated::Known { order, events, .. } = platform(&recorded, &linked(pyxis()), DAY_MS, NOW) else {
            panic!("the order is known")
        };
        let published =
            events.iter().map(|event| event.to_append(catalogue(), &recorded.meta(&order)).expect("a record"));
        let read =
            |append: crate::log::Append| Consumed::read(&append.topic, &append.record, catalogue()).expect("ours");
        let again = published.map(read).flat_map(|consumed| {
            let order = consumed.order(&Found::default()).expect("the header names the tenant");
            notify(&consumed, &order, false, adapters(), &bindings)
        });
        again
            .filter_map(|outgoing| call::request(adapters(), &bindings[0], &outgoing.notification).expect("told"))
            .collect()
    };
    let modifications = json!([{ "description": "Move the gas supply", "extra_duration_min": 30 }]);

    let but = requests(&visit("YES_BUT", modifications));
    let no = requests(&visit("NO", json!(null)));

    let body = |request: &call::CallRequest| -> Value { serde_json::from_slice(&request.body).expect("JSON") };
    assert_eq!(but.len(), 2);
    assert_eq!((&but[0].value, but[0].kind), (&but[1].value, but[1].kind)); // so the second is a repeat
    assert_eq!(
        body(&but[0]),
        json!({
            "external_sales_order_id": "PYX-FR-20260304-7731", "tv_outcome": "YES_BUT", "repricing_required": true,
            "modifications": [{ "description": "Move the gas supply", "requires_repricing": true }],
        })
    );
    assert_eq!((no.len(), no[0].kind), (1, Kind::Cancellation));
    assert_eq!(
        body(&no[0]),
        json!({
            "external_sales_order_id": "PYX-FR-20260304-7731", "reason_code": "TECHNICAL_VISIT_NEGATIVE",
            "reason": "TECHNICAL_VISIT_NEGATIVE", "refund_requested": true,
        })
    );
}
