//! Webhooks of a source: one delivery counts once, through a crash, and a batch is kept together.

use std::fs;
use std::process::Command;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::{Answer, answer};
use crate::support::gateway::root;
use crate::support::{Client, Gateway, PATIENCE, copy, crossdock};

const HOOK: &str = "/api/v1/adapters/hooks/shop";
const BINDING: &str = r#"
[[binding]]
name = "shop-north"
adapter = "shop"
tenant_id = "north"
source_id = "shop"
countries = ["FR"]
bu_codes = ["BU_FR_HOME"]
signing_secret = "env:TEST_HOOK_SECRET"
rate_limit_per_minute = 0
"#;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A gateway with the source `shop` of the fixtures.
fn start() -> Gateway {
    let directory = TempDir::new().expect("a temporary directory");
    for part in ["mappings", "schemas"] {
        copy(&root().join(part), &directory.path().join(part));
        copy(&root().join("fixtures/webhook").join(part), &directory.path().join(part));
    }
    let settings = "data_dir = \"data\"\nmappings_dir = \"mappings\"\nschemas_dir = \"schemas\"\n[door]\nlisten = \
        \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n[telemetry]\nlog_format = \"json\"\n[[operator]]\nname = \
        \"tests\"\ntoken = \"env:TEST_OPERATOR\"\nroles = [\"admin\"]\n";
    fs::write(directory.path().join("crossdock.toml"), format!("{settings}{BINDING}")).expect("written");
    spawn(directory)
}

fn spawn(directory: TempDir) -> Gateway {
    let secret = ("TEST_HOOK_SECRET", SECRET.to_owned());
    Gateway::spawn(directory, &[secret]).unwrap_or_else(|(_, said)| panic!("{said:?}"))
}

/// The order of the fixtures under another number.
fn order(number: &str) -> Value {
    let file = root().join("fixtures/webhook/mappings/shop/cases/order/input.json");
    let mut event: Value = serde_json::from_slice(&fs::read(file).expect("the case")).expect("JSON");
    event["data"]["number"] = json!(number);
    event
}

/// Sends `body` as `shop-north`, signed by the command line.
async fn send(gateway: &Gateway, client: &Client, id: &str, body: &Value) -> Answer {
    let file = gateway.directory().join("body.json");
    fs::write(&file, body.to_string()).expect("written");
    let mut sign: Command = crossdock();
    sign.args(["sign", "--binding", "shop-north", "--id", id, "--output", "json"]).arg(&file);
    let signed =
        sign.current_dir(gateway.directory()).env("TEST_HOOK_SECRET", SECRET).output().expect("the binary runs");
    let signed: Value = serde_json::from_slice(&signed.stdout).expect("the headers");
    let mut headers = HeaderMap::new();
    for (name, value) in signed.as_object().expect("headers") {
        let name: HeaderName = name.parse().expect("a name");
        headers.insert(name, value.as_str().expect("text").parse().expect("a value"));
    }
    headers.insert("content-type", "application/json".parse().expect("a value"));
    let request = client.door(Method::POST, HOOK).headers(headers).body(body.to_string());
    answer(request).await.expect("the door answers")
}

/// How each message of the order ended; waits until there are `count`.
async fn outcomes(client: &Client, number: &str, count: usize) -> Vec<String> {
    let journey = async {
        loop {
            let order = client.order_of("custom.shop", number).await;
            let journey = order["journey"].as_array().cloned().unwrap_or_default();
            if journey.len() >= count {
                return journey;
            }
        }
    };
    let journey = tokio::time::timeout(PATIENCE, journey).await.expect("the messages are decided in time");
    journey.iter().map(|step| step["outcome"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_comes_again_is_a_duplicate_with_another_body_and_after_a_crash() {
    let gateway = start();
    let client = gateway.client();
    send(&gateway, &client, "msg_1", &order("S-1")).await.assert_accepted();
    let mut changed = order("S-1");
    changed["data"]["remark"] = json!("ring twice");

    send(&gateway, &client, "msg_1", &changed).await.assert_accepted();

    assert_eq!(outcomes(&client, "S-1", 2).await, ["accepted", "duplicate"]);

    let gateway = spawn(gateway.kill());
    let client = gateway.client();
    send(&gateway, &client, "msg_1", &changed).await.assert_accepted();
    changed["data"]["changed_at"] = json!("2026-03-05T09:15:30+01:00");
    changed["type"] = json!("order.changed");
    send(&gateway, &client, "msg_2", &changed).await.assert_accepted();

    assert_eq!(outcomes(&client, "S-1", 4).await, ["accepted", "duplicate", "duplicate", "accepted"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_item_of_a_batch_is_a_message_of_its_own() {
    let gateway = start();
    let client = gateway.client();
    let mut bad = order("S-3");
    bad["data"]["address"]["zip"] = json!("6900");
    let batch = json!([order("S-1"), {"type": "stock.moved"}, bad, order("S-2")]);

    let answered = send(&gateway, &client, "msg_1", &batch).await;

    assert_eq!(answered.status, 200, "{}", answered.body);
    let statuses: Vec<_> =
        answered.body["items"].as_array().expect("a list").iter().map(|item| &item["status"]).collect();
    assert_eq!(statuses, ["RECEIVED", "IGNORED", "REJECTED", "RECEIVED"]);
    assert_eq!(answered.body["items"][2]["errors"][0]["field"], "/2/data/address/zip");
    for (number, expected) in [("S-1", "accepted"), ("S-2", "accepted"), ("S-3", "rejected")] {
        assert_eq!(outcomes(&client, number, 1).await, [expected], "{number}");
    }
    let failed = client.first_events("integration.sales.order.failed", 1).await;
    let message = failed[0]["value"]["error_message"].as_str().expect("text");
    assert!(message.starts_with("/2/data/address/zip: "), "{message}");
}
