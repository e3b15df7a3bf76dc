//! A rejected payload is found, explained, corrected and replayed; who did it and why is kept.

mod kills;
mod rights;

use std::fs;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::{Answer, answer};
use crate::support::{Client, Gateway, Options, PATIENCE, pyxis};

const FAILED: &str = "integration.sales.order.failed";
const RECEIVED: &str = "integration.sales.order_received";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_payload_is_found_corrected_and_replayed() {
    find_correct_and_replay(&Gateway::start()).await;
}

/// The 3 a.m. page of `docs/operations.md`, command by command.
pub async fn find_correct_and_replay(gateway: &Gateway) {
    let client = gateway.client();
    let sent = reject(&client, "PYX-1").await;

    let listed = run(gateway, &["failures", "list", "--binding", "pyxis-north", "--code", "UNKNOWN_CODE"]);
    let id = listed["failures"][0]["failure_id"].as_str().expect("an id").to_owned();
    assert_eq!(listed["failures"].as_array().map(Vec::len), Some(1), "{listed}");
    let groups = run(gateway, &["failures", "groups", "--since", "1h"]);
    assert_eq!((&groups["groups"][0]["failures"], &groups["groups"][0]["newest_failure_id"]), (&json!(1), &json!(id)));
    let shown = run(gateway, &["failures", "show", &id]);
    assert_eq!(shown["problems"][0]["field"], "/line_items/0/service_code");
    assert_eq!((&shown["route"], &shown["failure"]["state"]), (&json!("pyxis/order"), &json!("open")));
    assert_eq!(shown["payload"]["text"], sent, "byte for byte");

    // Corrected by hand: other white space, so that only the very bytes have the digest.
    let corrected = sent.replace("PAINTING", "INSTALL_KITCHEN").replace(",\"channel\"", ",\n\t\"channel\"");
    fs::write(gateway.directory().join("corrected.json"), &corrected).expect("written");
    let replay = ["failures", "replay", &id, "--payload", "corrected.json", "--reason", "partner's typo, ticket 4711"];
    let replayed = run(gateway, &replay);
    assert_eq!((&replayed["outcome"], &replayed["repeated"]), (&json!("accepted"), &json!(false)), "{replayed}");

    let received = client.first_events(RECEIVED, 1).await;
    assert_eq!(received[0]["value"]["sales_order_id"], "PYX-1");
    let order = run(gateway, &["orders", "show", "pyxis", "PYX-1"]);
    assert_eq!((&order["state"], &order["order_id"]), (&json!("RECEIVED"), &replayed["order_id"]));
    let journey = order["journey"].as_array().expect("a journey");
    assert_eq!(journey.len(), 2, "{journey:?}");
    assert_eq!((&journey[0]["outcome"], &journey[0]["replay_of"]), (&json!("rejected"), &Value::Null));
    assert_eq!((&journey[1]["outcome"], &journey[1]["replay_of"]), (&json!("accepted"), &json!(id)));
    assert_eq!(journey[1]["retry_count"], 1);

    // The original is kept and linked, and the audit has it all.
    let shown = run(gateway, &["failures", "show", &id]);
    assert_eq!((&shown["failure"]["state"], &shown["payload"]["text"]), (&json!("replayed"), &json!(sent)));
    assert_eq!(shown["order"]["state"], "RECEIVED");
    assert_eq!(run(gateway, &["failures", "list"])["failures"], json!([]), "none is open");
    let audit = run(gateway, &["audit", "list", "--action", "failure.replay", "--subject", &id]);
    let rows = audit["rows"].as_array().expect("rows");
    let phases: Vec<_> = rows.iter().map(|row| row["detail"]["phase"].as_str().expect("text")).collect();
    assert_eq!(phases, ["done", "requested"], "{audit}");
    for row in rows {
        assert_eq!((&row["operator"], &row["tenant_id"]), (&json!("tests"), &json!("north")));
        assert_eq!(row["detail"]["reason"], "partner's typo, ticket 4711");
        assert_eq!(row["detail"]["original_sha256"], journey[0]["raw_sha256"]);
        assert_eq!(row["detail"]["edited_sha256"], journey[1]["raw_sha256"]);
    }

    // Again: the same answer, and nothing happens.
    let again = run(gateway, &replay);
    assert_eq!(again["repeated"], true);
    assert_eq!((&again["replay_id"], &again["order_id"]), (&replayed["replay_id"], &replayed["order_id"]));
    let audit = run(gateway, &["audit", "list", "--action", "failure.replay", "--subject", &id]);
    assert_eq!(audit["rows"].as_array().map(Vec::len), Some(2));
    settle(&client).await;
    assert_eq!(client.order("PYX-1").await["journey"].as_array().map(Vec::len), Some(2));
    assert_eq!(client.events(FAILED).await.len(), 1);
    let metrics = client.metrics().await;
    for line in [
        r#"crossdock_open_failures{binding="pyxis-north",error_code="UNKNOWN_CODE"} 1"#,
        r#"crossdock_replays_total{binding="pyxis-north",outcome="accepted"} 1"#,
    ] {
        let name = line.split(' ').next().expect("a name");
        assert!(metrics.contains(name), "{name} is not among\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_is_replayed_as_it_came_once_its_mapping_is_mended() {
    let adapters = TempDir::new().expect("a temporary directory");
    for part in ["mappings", "schemas"] {
        crate::support::copy(&crate::support::gateway::root().join(part), &adapters.path().join(part));
    }
    let gateway = Gateway::start_with(&Options { adapters: Some(adapters.path().to_owned()), ..Options::default() });
    let client = gateway.client();
    reject(&client, "PYX-1").await;
    let id = failure_of(&client, "PYX-1").await;
    let tried = run(&gateway, &["failures", "replay", &id, "--dry-run"]);
    assert_eq!((&tried["outcome"], &tried["error_code"]), (&json!("rejected"), &json!("UNKNOWN_CODE")));

    let table = adapters.path().join("mappings/pyxis/tables/services.toml");
    let text = fs::read_to_string(&table).expect("the table is there");
    let row = "PAINTING = { service_type = \"maintenance\", minutes = 60, visit = false }\n";
    fs::write(&table, format!("{text}{row}")).expect("written");
    let reloaded = answer(client.ops(Method::POST, "/api/v1/ops/mappings/reload")).await.expect("an answer");
    assert_eq!(reloaded.status, 200, "{}", reloaded.body);

    let tried = run(&gateway, &["failures", "replay", &id, "--dry-run"]);
    assert_eq!((&tried["outcome"], &tried["dry_run"]), (&json!("accepted"), &json!(true)));
    assert_eq!(failure(&client, &id).await["failure"]["state"], "open", "a dry run changes nothing");
    assert_eq!(client.order("PYX-1").await["journey"].as_array().map(Vec::len), Some(1));
    let replayed = run(&gateway, &["failures", "replay", &id, "--reason", "the table has the code now"]);
    assert_eq!(replayed["outcome"], "accepted", "{replayed}");

    let received = client.first_events(RECEIVED, 1).await;
    assert_eq!(received[0]["value"]["services"][0]["service_type"], "maintenance");
    let audit = run(&gateway, &["audit", "list", "--action", "failure.replay"]);
    assert_eq!(audit["rows"][0]["detail"]["edited_sha256"], Value::Null, "it is the payload as it came");
    assert_eq!(run(&gateway, &["audit", "list", "--action", "mappings.reload"])["rows"][0]["operator"], "tests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rejected_again_is_a_failure_of_its_own() {
    let gateway = Gateway::start();
    let client = gateway.client();
    reject(&client, "PYX-1").await;
    let first = failure_of(&client, "PYX-1").await;

    let output = gateway
        .command(&["failures", "replay", &first, "--reason", "hope", "--output", "json"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(65));
    let replayed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let second = replayed["failure_id"].as_str().expect("an id").to_owned();

    let events = client.first_events(FAILED, 2).await;
    assert_eq!((&events[1]["value"]["event_id"], &events[1]["value"]["retry_count"]), (&json!(second), &json!(1)));
    assert_eq!(events[1]["headers"]["cd-replay-of"], first);
    let shown = until(&client, &second, |_| true).await;
    assert_eq!((&shown["failure"]["replay_of"], &shown["failure"]["state"]), (&json!(first), &json!("open")));
    let parent = failure(&client, &first).await;
    assert_eq!(parent["failure"]["state"], "replayed");
    assert_eq!(parent["replay_failures"][0]["failure_id"], second);
    assert_eq!(parent["siblings"][0]["failure_id"], second);
    assert_eq!(
        run(&gateway, &["failures", "groups"])["groups"][0]["failures"],
        1,
        "of a chain one failure is open, whatever was tried"
    );

    // Forced, the first one is decided again; its rejection is the event that was published already.
    let forced = post(&client, &first, "replay", json!({"reason": "still hope", "force": true})).await;
    assert_eq!((forced.status, &forced.body["repeated"]), (StatusCode::ACCEPTED, &json!(false)));
    assert_eq!(forced.body["failure_id"], second);
    settle(&client).await;
    assert_eq!(client.order("PYX-1").await["journey"].as_array().map(Vec::len), Some(3));
    assert_eq!(client.events(FAILED).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_is_replayed_against_the_path_it_was_sent_to() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let answer = client.cancel("PYX-2", &pyxis::cancellation("PYX-1")).await;
    answer.assert_rejected(422, "BUSINESS_RULE", "/order_id");
    let id = failure_of(&client, "PYX-1").await;

    let tried = run(&gateway, &["failures", "replay", &id, "--dry-run"]);
    assert_eq!((&tried["outcome"], &tried["error_code"]), (&json!("rejected"), &json!("BUSINESS_RULE")));

    let corrected = pyxis::cancellation("PYX-2").to_string();
    let replayed = post(&client, &id, "replay", json!({"reason": "the id was a typo", "payload": corrected})).await;
    assert_eq!((replayed.status, &replayed.body["outcome"]), (StatusCode::ACCEPTED, &json!("accepted")));
    settle(&client).await;
    assert_eq!(client.order("PYX-2").await["state"], "TOMBSTONE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_dismissed_with_a_reason() {
    let gateway = Gateway::start();
    let client = gateway.client();
    reject(&client, "PYX-1").await;
    let id = failure_of(&client, "PYX-1").await;

    let blank = post(&client, &id, "dismiss", json!({"reason": " "})).await;
    assert_eq!(blank.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", blank.body);
    run(&gateway, &["failures", "dismiss", &id, "--reason", "a test order"]);

    assert_eq!(failure(&client, &id).await["failure"]["state"], "dismissed");
    assert_eq!(run(&gateway, &["failures", "list", "--state", "dismissed"])["failures"][0]["failure_id"], id);
    assert_eq!(run(&gateway, &["failures", "list", "--state", "all"])["failures"].as_array().map(Vec::len), Some(1));
    let audit = run(&gateway, &["audit", "list", "--subject", &id]);
    assert_eq!(audit["rows"][0]["detail"]["reason"], "a test order");

    // A mind may be changed, until it was replayed.
    let replayed = post(&client, &id, "replay", json!({"reason": "it was none"})).await;
    assert_eq!(replayed.body["outcome"], "rejected");
    let late = post(&client, &id, "dismiss", json!({"reason": "or was it"})).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_is_told_of_the_adapters_and_nobody_else() {
    let gateway = Gateway::start();
    let client = gateway.client();
    for number in 0..5 {
        reject(&client, &format!("PYX-{number}")).await;
    }

    let degraded = async {
        loop {
            let told = answer(client.ops(Method::GET, "/health")).await.expect("an answer");
            if told.body["status"] == "degraded" {
                return told;
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, degraded).await.expect("it is told in time");

    assert_eq!(told.status, 200);
    let adapters = told.body["adapters"].as_array().expect("a list");
    let pyxis = adapters.iter().find(|adapter| adapter["binding"] == "pyxis-north").expect("it is there");
    assert_eq!((&pyxis["status"], &pyxis["rejected"], &pyxis["accepted"]), (&json!("degraded"), &json!(5), &json!(0)));
    assert!(pyxis["last_message_at"].is_string());
    let tempo = adapters.iter().find(|adapter| adapter["binding"] == "tempo-north").expect("it is there");
    assert_eq!((&tempo["status"], &tempo["last_message_at"]), (&json!("idle"), &Value::Null));
    let open = reqwest::get(format!("{}/health", gateway.ops)).await.expect("an answer");
    let open: Value = open.json().await.expect("JSON");
    assert_eq!((&open["status"], &open["adapters"]), (&json!("degraded"), &Value::Null));
}

fn bad_order(order_id: &str) -> String {
    pyxis::order(order_id).to_string().replace("INSTALL_KITCHEN", "PAINTING")
}

/// Sends an order whose service nobody knows, and waits until it is in the index; what was sent.
async fn reject(client: &Client, order_id: &str) -> String {
    let bad = bad_order(order_id);
    let answer = client.deliver_bytes(crate::support::client::ORDERS, bad.clone().into_bytes()).await;
    answer.assert_rejected(422, "UNKNOWN_CODE", "/line_items/0/service_code");
    failure_of(client, order_id).await;
    bad
}

/// The id of the newest failure of that Pyxis order; waits for the first one.
async fn failure_of(client: &Client, order_id: &str) -> String {
    let path = format!("/api/v1/ops/failures?source=pyxis&order={order_id}");
    let found = async {
        loop {
            let page = answer(client.ops(Method::GET, &path)).await.expect("an answer");
            if let Some(id) = page.body["failures"][0]["failure_id"].as_str() {
                return id.to_owned();
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("the failure is indexed")
}

async fn failure(client: &Client, id: &str) -> Value {
    answer(client.ops(Method::GET, &format!("/api/v1/ops/failures/{id}"))).await.expect("an answer").body
}

/// The failure, once it is there and `is_so`.
async fn until(client: &Client, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let so = async {
        loop {
            let found = failure(client, id).await;
            if found["failure"].is_object() && is_so(&found) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, so).await.expect("it is so in time")
}

fn wished(client: &Client, id: &str, verb: &str, body: &Value) -> reqwest::RequestBuilder {
    let path = format!("/api/v1/ops/failures/{id}/{verb}");
    client.ops(Method::POST, &path).header("content-type", "application/json").body(body.to_string())
}

async fn post(client: &Client, id: &str, verb: &str, body: Value) -> Answer {
    answer(wished(client, id, verb, &body)).await.expect("an answer")
}

/// Waits until every lane has decided what was appended before: lanes work in order, and these orders go to all of them.
async fn settle(client: &Client) {
    let mut last: Vec<String> = (0..32).map(|number| format!("SETTLED-{number}-{}", uuid())).collect();
    for order_id in &last {
        client.deliver(&pyxis::order(order_id)).await.assert_accepted();
    }
    client
        .follow_events("integration.sales.order.normalized", |event| {
            last.retain(|order_id| event["value"]["external_order_id"] != order_id.as_str());
            !last.is_empty()
        })
        .await;
}

fn uuid() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// A command against the gateway, which must succeed; its JSON.
fn run(gateway: &Gateway, words: &[&str]) -> Value {
    let output = gateway.command(words).args(["--output", "json"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    // A dry run of what would be rejected exits with 65, and says so on standard output all the same.
    assert!(output.status.success() || words.contains(&"--dry-run"), "{words:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{words:?}: {said}"))
}
