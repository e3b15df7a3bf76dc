//! What an operator sees of an order's calls.

use crossdock::cli::partner::receiver::script::{Manner, Reply, Rule};
use serde_json::{Value, json};

use super::World;
use super::partners::until_told;
use super::platform::Order;
use crate::support::gateway::{BEARER_TOKEN, SIGNING_SECRET};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journey_tells_every_attempt_and_no_secret_even_if_the_partner_repeats_it() {
    let World { gateway, partners } = World::start().await;
    let client = gateway.client();
    let mut order = Order::accepted(&client, "PYX-1").await;
    let body = json!({"you sent": BEARER_TOKEN, "and": SIGNING_SECRET}).to_string();
    let repeats_secrets = Manner::Answer(Reply { body, ..Reply::status(500) });
    partners.pyxis.follow(vec![Rule::always(repeats_secrets).attempts(0..1)]);

    client.say(&order.scheduled()).await;

    until_told(&partners.pyxis, std::slice::from_ref(&order)).await;
    let is_call = |step: &&Value| step["what"] == "call";
    let is_told = |steps: &[Value]| steps.iter().filter(is_call).any(|step| step["outcome"] == "delivered");
    client.journey_until("PYX-1", is_told).await;
    let journey = client.order("PYX-1").await;
    let calls: Vec<_> = journey["journey"].as_array().expect("steps").iter().filter(is_call).collect();
    let told: Vec<_> =
        calls.iter().map(|call| (call["outcome"].as_str(), call["http_status"].as_u64(), &call["attempt"])).collect();
    let (one, two) = (json!(1), json!(2));
    let expected =
        [(Some("failed"), Some(500), &one), (Some("retry"), Some(500), &one), (Some("delivered"), Some(204), &two)];
    assert_eq!(told, expected, "{journey}");
    assert_eq!(calls[0]["idempotency_key"], order.keys[0]);
    let shown = gateway.command(&["orders", "show", "pyxis", "PYX-1"]).output().expect("it runs");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("call: delivered") && shown.contains(&order.keys[0]), "{shown}");
    for text in [journey.to_string(), shown, client.metrics().await] {
        assert!(!text.contains(BEARER_TOKEN) && !text.contains(SIGNING_SECRET), "{text}");
    }
}
