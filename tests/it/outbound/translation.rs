//! What domain services say becomes `fsm.*` events, and those become calls.

use serde_json::{Value, json};
use uuid::Uuid;

use super::partners::until_told;
use super::platform::{Event, Order, event_id};
use super::{World, balance};

const RECORDED: &str = "fsm.tv.outcome_recorded";
const MODIFICATIONS: &str = "fsm.tv.modifications_required";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_visit_is_published_as_the_contract_says_and_told_once() {
    let World { gateway, partners } = World::start().await;
    let client = gateway.client();
    let mut order = Order::accepted(&client, "PYX-1").await;
    let id = event_id("visit");
    let recorded = Event {
        topic: "projects.tv_outcome.recorded",
        key: "FR_visit".to_owned(),
        schema: "TvOutcomeRecorded",
        value: json!({"event_id": id, "event_timestamp": 1_772_700_000_000_i64, "tv_service_order_id": "visit",
            "linked_installation_order_id": order.service_order_id, "outcome": "YES_BUT",
            "modifications": [{"description": "Move the gas supply", "extra_duration_min": 30}], "recorded_by": "r"}),
    };
    client.say(&recorded).await;

    for topic in [RECORDED, MODIFICATIONS] {
        let event = client.events_of(topic, "PYX-1", 1).await.remove(0);
        assert_eq!(event["key"], "PYXIS_PYX-1");
        assert_eq!(event["headers"]["tenant-id"], "north");
        assert_eq!(event["value"]["event_id"], translated(topic, &id));
        assert_eq!(event["value"]["tv_outcome"], "YES_BUT");
        let modifications = json!([{"description": "Move the gas supply", "requires_repricing": true}]);
        assert_eq!(event["value"]["modifications"], modifications);
    }

    // Both events are relayed, and both become a notification; they say the same.
    balance::until(&client, "crossdock.platform", "applied", 3).await;
    balance::until(&client, "crossdock.out.pyxis-north", "applied", 2).await;
    let (call, count) = partners.pyxis.look(|received| (received.calls().next().cloned(), received.count()));
    let call = call.expect("a call");
    assert_eq!(count, 1, "{}", call.told());
    assert_eq!(call.path, "/webhooks/fsm/tv-outcome");
    let keys = [RECORDED, MODIFICATIONS].map(|topic| order.idempotency_key("tv_outcome", &translated(topic, &id)));
    assert!(keys.contains(&call.idempotency_key), "{}", call.told());
    order.keys.push(call.idempotency_key);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assignment_is_told_as_scheduled_and_a_cancellation_of_the_platform_asks_for_the_refund() {
    let World { gateway, partners } = World::start().await;
    let client = gateway.client();
    let mut order = Order::accepted(&client, "PYX-1").await;
    let (assigned, cancelled) = (event_id("assigned"), event_id("cancelled"));
    let event = Event {
        topic: "assignments.assignment.confirmed",
        key: format!("provider_{}", order.service_order_id),
        schema: "AssignmentConfirmed",
        value: json!({"event_id": assigned, "event_timestamp": 1_772_700_000_000_i64,
            "service_order_id": order.service_order_id, "provider_id": "provider", "team_id": "team",
            "confirmed_date": "2026-03-19", "confirmed_time_start": "08:00", "confirmed_time_end": "12:00"}),
    };
    client.say(&event).await;
    order.keys.push(order.idempotency_key("status", &translated("fsm.order.scheduled", &assigned)));
    until_told(&partners.pyxis, &[order.clone()]).await;
    let body = last_body(&partners.pyxis);
    assert_eq!((&body["new_status"], &body["scheduled_date"]), (&json!("SCHEDULED"), &json!("2026-03-19")));
    assert!(body.get("provider_name").is_none(), "{body}");

    let event = Event {
        topic: "projects.service_order.cancelled",
        key: format!("FR_{}", order.service_order_id),
        schema: "ServiceOrderCancelled",
        value: json!({"event_id": cancelled, "event_timestamp": 1_772_700_000_000_i64,
            "service_order_id": order.service_order_id, "reason": "no team"}),
    };
    client.say(&event).await;
    order.keys.push(order.idempotency_key("cancellation", &translated("fsm.order.status_updated", &cancelled)));
    until_told(&partners.pyxis, &[order]).await;
    let body = last_body(&partners.pyxis);
    let expected =
        json!({"external_sales_order_id": "PYX-1", "reason_code": "FSM_CANCELLED", "refund_requested": true});
    assert_eq!(body, expected);
}

fn last_body(partner: &crossdock::cli::partner::Receiver) -> Value {
    let body = partner.look(|received| received.calls().last().map(|call| call.body.clone())).expect("a call");
    serde_json::from_slice(&body).expect("JSON")
}

/// Source: `contracts/canonical-events.md` section 5.
fn translated(topic: &str, event_id: &str) -> String {
    let namespace = Uuid::try_parse("f9d5ecc7-f511-47f3-827a-87555558266a").expect("a UUID");
    Uuid::new_v5(&namespace, format!("{topic}:{event_id}").as_bytes()).to_string()
}
