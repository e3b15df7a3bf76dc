//! The state table, from outside: what each arrival makes of an order's state.

use serde_json::{Value, json};

use crate::support::{Client, Gateway, pyxis};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redelivery_publishes_nothing() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let mut as_text = pyxis::order("PYX-1");
    as_text["total_amount"]["value"] = json!("1490.00");

    client.deliver(&pyxis::order("PYX-1")).await.assert_accepted();
    client.deliver(&as_text).await.assert_accepted(); // the same money, written as text

    assert_eq!(outcomes(&client, "PYX-1", 2).await, ["accepted", "duplicate"]);
    assert_eq!(client.events("integration.sales.order.normalized").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_is_published_with_what_changed_and_an_older_one_is_stale() {
    let gateway = Gateway::start();
    let client = gateway.client();

    client.deliver(&pyxis::order("PYX-1")).await.assert_accepted();
    client.deliver(&pyxis::update("PYX-1", 20)).await.assert_accepted();
    client.deliver(&pyxis::update("PYX-1", 10)).await.assert_accepted();

    assert_eq!(outcomes(&client, "PYX-1", 3).await, ["accepted", "accepted", "stale"]);
    let updated = client.events("integration.sales.order_updated").await;
    assert_eq!(updated.len(), 1);
    assert_eq!(updated[0]["value"]["changed_fields"], json!(["notes"]));
    assert_eq!(updated[0]["value"]["revision"], "1772616000000"); // 2026-03-04T09:20:00Z
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_revision_with_other_content_is_rejected_afterwards() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let mut other = pyxis::order("PYX-1");
    other["notes"] = json!("another story");

    client.deliver(&pyxis::order("PYX-1")).await.assert_accepted();
    client.deliver(&other).await.assert_accepted(); // the state is asked after the answer

    assert_eq!(outcomes(&client, "PYX-1", 2).await, ["accepted", "rejected"]);
    let failed = client.events("integration.sales.order.failed").await.remove(0);
    assert_eq!(failed["value"]["error_code"], "BUSINESS_RULE");
    let message = failed["value"]["error_message"].as_str().expect("a message");
    assert!(message.starts_with("/created_at: "), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_that_comes_first_suppresses_the_order() {
    let gateway = Gateway::start();
    let client = gateway.client();

    client.cancel("PYX-1", &pyxis::cancellation("PYX-1")).await.assert_accepted();
    client.cancel("PYX-1", &pyxis::cancellation("PYX-1")).await.assert_accepted();
    client.deliver(&pyxis::order("PYX-1")).await.assert_accepted();

    assert_eq!(outcomes(&client, "PYX-1", 3).await, ["parked", "duplicate", "suppressed"]);
    assert!(client.events("integration.sales.order_received").await.is_empty());
    assert!(client.events("integration.sales.order.normalized").await.is_empty());
    let cancelled = client.events("integration.sales.order_cancelled").await;
    assert_eq!(cancelled.len(), 1);
    assert_eq!(cancelled[0]["key"], "FR_PYX-1");
    assert_eq!(cancelled[0]["value"]["cancelled_at"], 1_772_812_920_000_i64);
    assert_eq!(cancelled[0]["value"]["reason_code"], "CUSTOMER_REQUEST");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tenants_with_the_same_order_id_do_not_meet() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let body = pyxis::order("PYX-1").to_string().into_bytes();
    let mut south = client.signed(crate::support::client::ORDERS, body).build().expect("a request");
    let bearer = format!("Bearer {}", crate::support::gateway::OTHER_BEARER_TOKEN).parse().expect("a header");
    south.headers_mut().insert("authorization", bearer);

    client.deliver(&pyxis::order("PYX-1")).await.assert_accepted();
    let south = reqwest::RequestBuilder::from_parts(reqwest::Client::new(), south);
    crate::support::client::answer(south).await.expect("an answer").assert_accepted();

    let received = client.first_events("integration.sales.order_received", 2).await;
    let mut tenants: Vec<_> = received.iter().map(|event| event["headers"]["tenant-id"].as_str()).collect();
    tenants.sort_unstable();
    assert_eq!(tenants, [Some("north"), Some("south")]);
}

/// The outcomes in an order's journey, once there are `count`.
async fn outcomes(client: &Client, order: &str, count: usize) -> Vec<String> {
    // A later order of the same key range does not help: only the journey itself says that all were decided. The
    // records pass one lane in order, so a last one on the same key is awaited through its own published rejection.
    let mut probe = pyxis::order(order);
    probe["channel"] = json!("FAX");
    client.deliver(&probe).await.assert_rejected(422, "UNKNOWN_CODE", "/channel");
    client
        .follow_events("integration.sales.order.failed", |event| event["value"]["error_code"] != "UNKNOWN_CODE")
        .await;
    let journey = client.order(order).await;
    let steps: Vec<&Value> = journey["journey"].as_array().expect("a journey").iter().collect();
    assert_eq!(steps.len(), count + 1, "{journey}");
    steps[..count].iter().map(|step| step["outcome"].as_str().expect("an outcome").to_owned()).collect()
}
