//! A Pyxis order comes in over HTTP and its canonical events come out.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{ORDERS, answer};
use crate::support::gateway::{BEARER_TOKEN, OTHER_BEARER_TOKEN};
use crate::support::{Client, Gateway, pyxis};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_order_gives_the_printed_events() {
    let gateway = Gateway::start();

    deliver_the_printed_order(&gateway.client()).await;
}

/// Delivers the order of the contract and holds what comes of it against what is printed there.
pub async fn deliver_the_printed_order(client: &Client) {
    let accepted = client.deliver_bytes(ORDERS, pyxis::EXAMPLE.as_bytes().to_vec()).await;

    assert_eq!(accepted.assert_accepted(), "8fc78ce8-6c4a-55d8-aaaa-f149200431d2");
    assert_eq!(accepted.body["externalOrderId"], "PYX-FR-20260304-7731");
    assert_eq!(accepted.body["status"], "RECEIVED");
    assert_eq!(accepted.headers["location"], "/api/v1/orders/8fc78ce8-6c4a-55d8-aaaa-f149200431d2");

    let received = client.first_events("integration.sales.order_received", 1).await.remove(0);
    assert_eq!(received["key"], "FR_PYX-FR-20260304-7731");
    assert_eq!(received["schema"], "SalesOrderReceived");
    assert_eq!(
        without_timestamp(&received["value"]),
        json!({"event_id": "9478506a-9d09-57c5-a89e-1f1c103e2680", "sales_order_id": "PYX-FR-20260304-7731",
            "customer_id": "C-558120", "country_code": "FR",
            "services": [{"service_type": "installation", "requires_confirmation_tv": true}]})
    );

    let normalized = client.first_events("integration.sales.order.normalized", 1).await.remove(0);
    assert_eq!(normalized["key"], "PYXIS_PYX-FR-20260304-7731");
    assert_eq!(
        without_timestamp(&normalized["value"]),
        json!({"event_id": "bbd48371-33e6-5a6b-956c-a94669e9595b", "source_system": "PYXIS",
            "external_order_id": "PYX-FR-20260304-7731",
            "fsm_service_order_id": "8fc78ce8-6c4a-55d8-aaaa-f149200431d2", "sales_channel": "STORE",
            "country_code": "FR", "transformation_version": "pyxis/1.0.0"})
    );
    let headers = &normalized["headers"];
    assert_eq!(headers["tenant-id"], "north");
    assert_eq!(headers["source-system"], "PYXIS");
    assert_eq!(headers["event-type"], "SalesOrderNormalized");
    assert_eq!(headers["idempotency-key"], "bbd48371-33e6-5a6b-956c-a94669e9595b");
    assert_eq!(headers["correlation-id"], accepted.body["correlationId"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sender_reads_its_own_order_and_nobody_elses() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let accepted = client.deliver_bytes(ORDERS, pyxis::EXAMPLE.as_bytes().to_vec()).await;
    let location = accepted.headers["location"].to_str().expect("an ASCII path").to_owned();
    client.first_events("integration.sales.order.normalized", 1).await;

    let own = answer(client.door(Method::GET, &location).bearer_auth(BEARER_TOKEN)).await.expect("an answer");
    let other = answer(client.door(Method::GET, &location).bearer_auth(OTHER_BEARER_TOKEN)).await.expect("an answer");
    let nobody = answer(client.door(Method::GET, &location)).await.expect("an answer");

    assert_eq!(own.status, 200, "{}", own.body);
    let canonical = &own.body["canonical"];
    assert_eq!(canonical["customer"]["phone"], "+33655512340");
    assert_eq!(canonical["total"], json!({"amount": "1490.00", "currency": "EUR"}));
    assert_eq!(other.status, 404);
    assert_eq!(nobody.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_the_whole_journey() {
    let gateway = Gateway::start();
    let client = gateway.client();
    client.deliver(&pyxis::order("PYX-1")).await.assert_accepted();
    client.deliver(&pyxis::update("PYX-1", 1)).await.assert_accepted();
    client.deliver(&pyxis::order("PYX-1")).await.assert_accepted();
    client.cancel("PYX-1", &pyxis::cancellation("PYX-1")).await.assert_accepted();
    client.first_events("integration.sales.order_cancelled", 1).await;

    let order = client.order("PYX-1").await;

    assert_eq!(order["canonical"]["status"], "CANCELLED", "{order}");
    let outcomes: Vec<_> =
        order["journey"].as_array().expect("a journey").iter().map(|step| &step["outcome"]).collect();
    assert_eq!(outcomes, ["accepted", "accepted", "stale", "accepted"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_is_answered_and_published_with_its_payload() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let mut order = pyxis::order("PYX-2");
    order["line_items"][0]["service_code"] = json!("PAINTING");

    let answer = client.deliver(&order).await;

    answer.assert_rejected(422, "UNKNOWN_CODE", "/line_items/0/service_code");
    let failed = client.first_events("integration.sales.order.failed", 1).await.remove(0);
    assert_eq!(failed["key"], "PYXIS_PYX-2");
    assert_eq!(failed["value"]["error_code"], "UNKNOWN_CODE");
    assert_eq!(failed["value"]["external_order_id"], "PYX-2");
    assert_eq!(failed["value"]["raw_payload"], order.to_string());
    let message = failed["value"]["error_message"].as_str().expect("a message");
    assert!(message.starts_with("/line_items/0/service_code"), "{message}");
    assert_eq!(failed["headers"]["correlation-id"], answer.body["correlationId"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_rejected_twice_is_published_once_and_both_are_in_the_journey() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let mut order = pyxis::order("PYX-3");
    order["channel"] = json!("FAX");

    client.deliver(&order).await.assert_rejected(422, "UNKNOWN_CODE", "/channel");
    client.deliver(&order).await.assert_rejected(422, "UNKNOWN_CODE", "/channel");

    client.deliver(&pyxis::order("PYX-3")).await.assert_accepted(); // the lane is past both when this is published
    client.first_events("integration.sales.order.normalized", 1).await;
    let failed = client.events("integration.sales.order.failed").await;
    assert_eq!(failed.len(), 1, "{failed:?}");
    let order = client.order("PYX-3").await;
    let steps: Vec<_> = order["journey"].as_array().expect("a journey").iter().collect();
    let outcomes: Vec<_> = steps.iter().map(|step| &step["outcome"]).collect();
    assert_eq!(outcomes, ["rejected", "rejected", "accepted"], "{order}");
    let (first, second) = (&steps[0]["events"][0], &steps[1]["events"][0]);
    assert_eq!(first["event_id"], failed[0]["value"]["event_id"]);
    assert_eq!((&second["event_id"], &second["already_published"]), (&first["event_id"], &json!(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_balance() {
    let gateway = Gateway::start();
    let client = gateway.client();
    for n in 0..20 {
        client.deliver(&pyxis::order(&format!("PYX-{n}"))).await.assert_accepted();
    }
    client.cancel("PYX-NEVER", &pyxis::cancellation("PYX-NEVER")).await.assert_accepted();
    client.deliver(&pyxis::order("PYX-LAST")).await.assert_accepted();
    client.first_events("integration.sales.order.normalized", 21).await;

    let metrics = client.metrics().await;

    let state = |state: &str| -> i64 {
        let prefix = format!("crossdock_lane_records{{state=\"{state}\",topic=\"crossdock.intake\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("{prefix} is missing in\n{metrics}")).parse().expect("a number")
    };
    assert_eq!(state("taken"), state("applied") + state("parked"), "{metrics}");
    assert!(metrics.contains("kafka_events_processed_total"), "{metrics}");
}

fn without_timestamp(event: &Value) -> Value {
    let mut event = event.clone();
    let timestamp = event.as_object_mut().and_then(|members| members.remove("event_timestamp"));
    assert!(timestamp.is_some_and(|at| at.as_i64().is_some_and(|at| at > 1_700_000_000_000)), "{event}");
    event
}
