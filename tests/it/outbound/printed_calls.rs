//! The calls printed in the contracts of Pyxis and Tempo, as they arrive.

use crossdock::cli::partner::Receiver;
use serde_json::{Value, json};

use super::partners::{assert_in_order, until_told};
use super::platform::Order;
use super::{Event, World};
use crate::support::Client;
use crate::support::client::signature;
use crate::support::gateway::{BEARER_TOKEN, SIGNING_SECRET, TEMPO_BEARER_TOKEN, TEMPO_SIGNING_SECRET};

const EVENT_ID: &str = "0d8f3c1e-5b67-5f0a-9c55-2f4d1b8a7c10";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pyxis_is_called_as_its_contract_prints_it() {
    let world = World::start().await;

    tell_pyxis(&world.gateway.client(), &world.partners.pyxis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tempo_is_called_as_its_contract_prints_it() {
    let World { gateway, partners } = World::start().await;
    let client = gateway.client();
    let mut order = Order::requested(&client, "TEMPO-ES-20260311-0417").await;
    let told =
        Told { client: &client, partner: &partners.tempo, token: TEMPO_BEARER_TOKEN, secret: TEMPO_SIGNING_SECRET };

    let more = json!({"event_timestamp": 1_773_259_200_000_i64, "scheduled_date": "2026-03-12",
        "provider_name": "Fontaneros Norte"});
    let event = order.status("ASSIGNED", &more);
    let printed = r#"{"request_id": "TEMPO-ES-20260311-0417", "service_status": "ASSIGNED_TECHNICIAN", "updated_timestamp": "2026-03-11T20:00:00.000Z", "scheduled_date": "2026-03-12", "provider_name": "Fontaneros Norte"}"#;
    told.by(&order, &event, "/webhooks/fsm/service-status", printed).await;

    let event = order.visit(
        "NO",
        &json!({"event_timestamp": 1_773_306_000_000_i64,
        "cancellation_reason": "TECHNICAL_VISIT_NEGATIVE"}),
    );
    order.expect("cancellation", &event);
    let printed = r#"{"request_id": "TEMPO-ES-20260311-0417", "cancellation_reason": "TECHNICAL_VISIT_NEGATIVE", "cancelled_timestamp": "2026-03-12T09:00:00.000Z"}"#;
    told.by(&order, &event, "/webhooks/fsm/service-cancellation", printed).await;
}

pub async fn tell_pyxis(client: &Client, pyxis: &Receiver) {
    let mut order = Order::accepted(client, "PYX-FR-20260304-7731").await;
    assert_eq!(order.service_order_id, "8fc78ce8-6c4a-55d8-aaaa-f149200431d2");
    let told = Told { client, partner: pyxis, token: BEARER_TOKEN, secret: SIGNING_SECRET };

    let more = json!({"event_id": EVENT_ID, "event_timestamp": 1_772_700_000_000_i64, "scheduled_date": "2026-03-19",
        "provider_name": "Pose & Co"});
    let event = order.status("SCHEDULED", &more);
    let printed = r#"{"event_type": "SERVICE_ORDER_SCHEDULED", "event_id": "0d8f3c1e-5b67-5f0a-9c55-2f4d1b8a7c10", "event_timestamp": 1772700000000, "external_sales_order_id": "PYX-FR-20260304-7731", "fsm_service_order_id": "8fc78ce8-6c4a-55d8-aaaa-f149200431d2", "new_status": "SCHEDULED", "scheduled_date": "2026-03-19", "provider_name": "Pose & Co"}"#;
    told.by(&order, &event, "/webhooks/fsm/service-order-status", printed).await;

    let modifications = json!([{"description": "Move the gas supply", "requires_repricing": true}]);
    let event = order.visit("YES_BUT", &json!({"modifications": modifications}));
    order.expect("tv_outcome", &event);
    let printed = r#"{"external_sales_order_id": "PYX-FR-20260304-7731", "tv_outcome": "YES_BUT", "repricing_required": true, "modifications": [{"description": "Move the gas supply", "requires_repricing": true}]}"#;
    told.by(&order, &event, "/webhooks/fsm/tv-outcome", printed).await;

    let event = order.visit("NO", &json!({"cancellation_reason": "Load-bearing wall"}));
    order.expect("cancellation", &event);
    let printed = r#"{"external_sales_order_id": "PYX-FR-20260304-7731", "reason_code": "TECHNICAL_VISIT_NEGATIVE", "reason": "Load-bearing wall", "refund_requested": true}"#;
    told.by(&order, &event, "/webhooks/fsm/order-cancellation", printed).await;
    assert_in_order(pyxis, &[order]);
}

/// Who is called, and by what it knows the gateway.
struct Told<'a> {
    client: &'a Client,
    partner: &'a Receiver,
    token: &'static str,
    secret: &'static str,
}

impl Told<'_> {
    /// Says `event`, and holds the call it causes against `printed`: the same members with the same values. JSON
    /// gives their order no meaning; a mapping's are sorted.
    async fn by(&self, order: &Order, event: &Event, path: &str, printed: &str) {
        self.client.say(event).await;
        until_told(self.partner, std::slice::from_ref(order)).await;

        let call = self.partner.look(|received| received.applied(&order.id).last().cloned()).expect("a call");
        let printed: Value = serde_json::from_str(printed).expect("the contract prints JSON");
        assert_eq!(serde_json::from_slice::<Value>(&call.body).expect("JSON"), printed);
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", path));
        assert_eq!(call.header("content-type"), Some("application/json"));
        assert_eq!(call.header("authorization"), Some(format!("Bearer {}", self.token).as_str()));
        assert_eq!(call.header("x-idempotency-key"), order.keys.last().map(String::as_str));
        assert!(call.header("x-correlation-id").is_some_and(|id| !id.is_empty()));
        let at = call.header("x-fsm-timestamp").and_then(|at| at.parse().ok()).expect("epoch seconds");
        let signed = signature(self.secret, at, &call.body);
        assert_eq!(call.header("x-fsm-signature"), Some(signed.as_str()));
    }
}
