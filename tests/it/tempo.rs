//! Service requests of Tempo come in beside the orders of Pyxis.

use serde_json::{Value, json};

use crate::support::tempo::{self, SERVICES};
use crate::support::{Client, Gateway, pyxis};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_request_gives_the_printed_events() {
    let gateway = Gateway::start();
    let client = gateway.client().tempo();

    let accepted = client.deliver_bytes(SERVICES, tempo::EXAMPLE.as_bytes().to_vec()).await;

    assert_eq!(accepted.assert_accepted(), "f047371d-b2e4-551f-8a27-98de3afce03b");
    assert_eq!(accepted.body["externalOrderId"], "TEMPO-ES-20260311-0417");

    let received = first(&client, "integration.sales.order_received").await;
    assert_eq!(received["key"], "ES_TEMPO-ES-20260311-0417");
    assert_eq!(received["value"]["customer_id"], "CLI-90412");
    assert_eq!(received["value"]["services"], json!([{"service_type": "repair", "requires_confirmation_tv": false}]));

    let normalized = first(&client, "integration.sales.order.normalized").await;
    assert_eq!(normalized["key"], "TEMPO_TEMPO-ES-20260311-0417");
    assert_eq!(normalized["value"]["source_system"], "TEMPO");
    assert_eq!(normalized["value"]["sales_channel"], "MOBILE");
    assert_eq!(normalized["value"]["fsm_service_order_id"], "f047371d-b2e4-551f-8a27-98de3afce03b");
    assert_eq!(normalized["value"]["transformation_version"], "tempo/1.0.0");
    assert_eq!(normalized["headers"]["source-system"], "TEMPO");

    let order = client.order_of("tempo", "TEMPO-ES-20260311-0417").await;
    assert_eq!(order["canonical"]["total"], json!({"amount": "119.50", "currency": "EUR"}), "{order}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_repeated_updated_and_cancelled() {
    let gateway = Gateway::start();
    let client = gateway.client().tempo();
    let mut as_number = tempo::request("T-1");
    as_number["estimated_cost"]["amount"] = json!(119.5);

    client.request_service(&tempo::request("T-1")).await.assert_accepted();
    client.request_service(&as_number).await.assert_accepted(); // the same money, written as a number
    client.request_service(&tempo::update("T-1")).await.assert_accepted();
    client.cancel_service("T-1", &tempo::cancellation("T-1")).await.assert_accepted();

    let cancelled = first(&client, "integration.sales.order_cancelled").await;
    assert_eq!(cancelled["key"], "ES_T-1"); // Tempo's cancellation names no country; the request did
    assert_eq!(cancelled["value"]["reason"], "Solved by a neighbour");
    assert_eq!(outcomes(&client, "T-1").await, ["accepted", "duplicate", "accepted", "accepted"]);
    let updated = first(&client, "integration.sales.order_updated").await;
    assert_eq!(updated["value"]["changed_fields"], json!(["lines"])); // it was urgent before
    assert_eq!(updated["value"]["services"][0]["service_type"], "emergency_repair");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_that_comes_first_suppresses_the_request() {
    let gateway = Gateway::start();
    let client = gateway.client().tempo();
    let mut cancellation = tempo::cancellation("T-1");
    cancellation["reason_code"] = Value::Null;

    client.cancel_service("T-1", &cancellation).await.assert_accepted();
    client.request_service(&tempo::request("T-1")).await.assert_accepted();

    let cancelled = first(&client, "integration.sales.order_cancelled").await;
    assert_eq!(cancelled["key"], "ES_T-1");
    assert_eq!(cancelled["value"]["reason_code"], "OTHER");
    assert_eq!(cancelled["value"]["cancelled_at"], 1_773_302_100_000_i64);
    assert_eq!(outcomes(&client, "T-1").await, ["parked", "suppressed"]);
    assert!(client.events("integration.sales.order_received").await.is_empty());
    assert!(client.events("integration.sales.order.normalized").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_id_in_pyxis_and_tempo_is_two_orders() {
    let gateway = Gateway::start();
    let (pyxis, tempo) = (gateway.client(), gateway.client().tempo());

    let order = pyxis.deliver(&pyxis::order("SHARED-1")).await.assert_accepted();
    let request = tempo.request_service(&tempo::request("SHARED-1")).await.assert_accepted();
    tempo.cancel_service("SHARED-1", &tempo::cancellation("SHARED-1")).await.assert_accepted();

    assert_ne!(order, request);
    first(&tempo, "integration.sales.order_cancelled").await;
    let received = pyxis.first_events("integration.sales.order_received", 2).await;
    let mut keys: Vec<_> = received.iter().map(|event| event["key"].as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, [Some("ES_SHARED-1"), Some("FR_SHARED-1")]);
    assert_eq!(tempo.order_of("tempo", "SHARED-1").await["canonical"]["status"], "CANCELLED");
    assert_eq!(pyxis.order_of("pyxis", "SHARED-1").await["canonical"]["status"], "RECEIVED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_request_is_published_as_one_of_tempo() {
    let gateway = Gateway::start();
    let client = gateway.client().tempo();
    let mut request = tempo::request("T-1");
    request["client"] = Value::Null;

    client.request_service(&request).await.assert_rejected(422, "FIELD_REQUIRED", "/client");

    let failed = first(&client, "integration.sales.order.failed").await;
    assert_eq!(failed["key"], "TEMPO_T-1");
    assert_eq!(failed["value"]["source_system"], "TEMPO");
    assert_eq!(failed["value"]["raw_payload"], request.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_one_system_open_no_route_of_the_other() {
    let gateway = Gateway::start();
    let (pyxis, tempo) = (gateway.client(), gateway.client().tempo());

    let as_pyxis = pyxis.request_service(&tempo::request("T-1")).await;
    let as_tempo = tempo.deliver(&pyxis::order("PYX-1")).await;

    as_pyxis.assert_rejected(401, "AUTHENTICATION_FAILED", "");
    as_tempo.assert_rejected(401, "AUTHENTICATION_FAILED", "");
}

async fn first(client: &Client, topic: &str) -> Value {
    client.first_events(topic, 1).await.remove(0)
}

/// The outcomes in the journey of a request whose last event has come out.
async fn outcomes(client: &Client, request_id: &str) -> Vec<String> {
    let journey = client.order_of("tempo", request_id).await;
    let steps = journey["journey"].as_array().expect("a journey");
    steps.iter().map(|step| step["outcome"].as_str().expect("an outcome").to_owned()).collect()
}
