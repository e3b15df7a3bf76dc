//! Orders by topic: the same state, the same events and the same answers of operators as by HTTP.

use std::collections::BTreeMap;
use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::client::{ORDERS, answer};
use crate::support::{Client, Gateway, Options, PATIENCE, pyxis, tempo};

pub const CREATED: &str = "sales.pyxis.order.created";
pub const UPDATED: &str = "sales.pyxis.order.updated";
pub const CANCELLED: &str = "sales.pyxis.order.cancelled";
const RECEIVED_EVENT: &str = "integration.sales.order_received";
const NORMALIZED_EVENT: &str = "integration.sales.order.normalized";
const UPDATED_EVENT: &str = "integration.sales.order_updated";
const CANCELLED_EVENT: &str = "integration.sales.order_cancelled";
const FAILED_EVENT: &str = "integration.sales.order.failed";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_created_updated_and_cancelled_by_topic() {
    let gateway = Gateway::start();
    follow_an_order(&gateway.client()).await;
}

/// The life of one order by its three topics; nothing else may be in them.
pub async fn follow_an_order(client: &Client) {
    let order = client.put(CREATED, "FR_PYX-1", pyxis::order("PYX-1").to_string().as_bytes()).await;
    client.events_of(NORMALIZED_EVENT, "PYX-1", 1).await;
    client.put(UPDATED, "FR_PYX-1", pyxis::update("PYX-1", 5).to_string().as_bytes()).await;
    client.events_of(UPDATED_EVENT, "PYX-1", 1).await;
    client.put(CANCELLED, "FR_PYX-1", pyxis::cancellation("PYX-1").to_string().as_bytes()).await;
    client.events_of(CANCELLED_EVENT, "PYX-1", 1).await;

    let journey = client.order("PYX-1").await;
    assert_eq!(journey["state"], "CANCELLED", "{journey}");
    let steps = journey["journey"].as_array().expect("a journey");
    let told: Vec<_> = steps.iter().map(|step| (&step["what"], &step["outcome"], &step["received_from"])).collect();
    let expected = [("created", CREATED), ("updated", UPDATED), ("cancelled", CANCELLED)];
    let expected = expected.map(|(what, topic)| (json!(what), json!("accepted"), json!(topic)));
    assert_eq!(told, expected.each_ref().map(|(what, outcome, topic)| (what, outcome, topic)), "{journey}");
    assert_eq!(steps[0]["source"], order, "the place the message was read at");
    assert_eq!(steps[0]["binding"], "pyxis-north");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_comes_before_its_order_waits_for_it() {
    let gateway = Gateway::start();
    park_and_release(&gateway.client()).await;
}

pub async fn park_and_release(client: &Client) {
    client.put(UPDATED, "FR_PYX-2", pyxis::update("PYX-2", 5).to_string().as_bytes()).await;
    client.step_of("PYX-2", "parked").await;
    assert_eq!(client.order("PYX-2").await["parked"], 1);

    client.put(CREATED, "FR_PYX-2", pyxis::order("PYX-2").to_string().as_bytes()).await;

    client.events_of(NORMALIZED_EVENT, "PYX-2", 2).await;
    let order = client.order("PYX-2").await;
    assert_eq!(outcomes(&order), ["parked", "accepted", "accepted"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_order_by_topic_and_by_rest_meets_the_same_state() {
    let gateway = Gateway::start();
    meet_the_same_state(&gateway.client()).await;
}

pub async fn meet_the_same_state(client: &Client) {
    client.put(CREATED, "FR_PYX-3", pyxis::order("PYX-3").to_string().as_bytes()).await;
    client.events_of(NORMALIZED_EVENT, "PYX-3", 1).await;

    client.deliver(&pyxis::order("PYX-3")).await.assert_accepted();
    client.deliver(&pyxis::update("PYX-3", 7)).await.assert_accepted();
    client.events_of(UPDATED_EVENT, "PYX-3", 1).await;
    client.put(UPDATED, "FR_PYX-3", pyxis::update("PYX-3", 7).to_string().as_bytes()).await;

    client.steps_of("PYX-3", 4).await;
    let order = client.order("PYX-3").await;
    assert_eq!(outcomes(&order), ["accepted", "duplicate", "accepted", "duplicate"], "{order}");
    let from: Vec<_> = order["journey"].as_array().expect("steps").iter().map(|step| &step["received_from"]).collect();
    assert_eq!(from, [CREATED, "http", "http", UPDATED]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_mapped_is_published_as_failed_and_stops_nothing() {
    let gateway = Gateway::start();
    reject_and_go_on(&gateway.client()).await;
}

pub async fn reject_and_go_on(client: &Client) {
    let mut unknown_channel = pyxis::order("PYX-4");
    unknown_channel["channel"] = json!("FAX");
    let key = "FR_PYX-4"; // one partition for all of them
    client.put(CREATED, key, unknown_channel.to_string().as_bytes()).await;
    client.put(CREATED, key, b"\xff\xfe\x00garbage").await;
    client.put(CREATED, key, b"{\"order_id\": \"PYX-4\"").await;
    client.put_nothing(CREATED, key).await;
    client.put(CREATED, key, pyxis::order("PYX-4").to_string().as_bytes()).await;

    client.events_of(NORMALIZED_EVENT, "PYX-4", 1).await;

    let failed = client.first_events(FAILED_EVENT, 4).await;
    let mut told: Vec<_> = failed.iter().map(|event| &event["value"]).collect();
    told.sort_by_key(|event| event["error_code"].to_string());
    let codes: Vec<_> = told.iter().map(|event| event["error_code"].as_str().expect("a code")).collect();
    assert_eq!(codes, ["MALFORMED_PAYLOAD", "SCHEMA_MISMATCH", "SCHEMA_MISMATCH", "UNKNOWN_CODE"]);
    let unknown_code = told[3];
    assert_eq!(unknown_code["external_order_id"], "PYX-4");
    let message = unknown_code["error_message"].as_str().expect("a message");
    assert!(message.starts_with("/channel: "), "{message}");
    let garbage = told[1..3].iter().any(|event| event["raw_payload"] == "base64://4AZ2FyYmFnZQ==");
    assert!(garbage, "bytes that are no text: {told:?}");
    let metrics = client.metrics().await;
    for expected in [
        format!("crossdock_reader_records_total{{group=\"{GROUP}\",outcome=\"rejected\",topic=\"{CREATED}\"}} 4"),
        format!("kafka_events_processed_total{{status=\"error\",topic=\"{CREATED}\"}} 4"),
    ] {
        assert!(metrics.contains(&expected), "expected {expected} in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_over_the_limit_is_counted_and_neither_kept_nor_published() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let mut order = pyxis::order("PYX-1");
    order["notes"] = json!("x".repeat(2 << 20));
    client.put(CREATED, "k", order.to_string().as_bytes()).await;
    client.put(CREATED, "k", pyxis::order("PYX-2").to_string().as_bytes()).await;

    client.events_of(NORMALIZED_EVENT, "PYX-2", 1).await;

    let metrics = client.metrics().await;
    let counted = "crossdock_rejections_total{binding=\"pyxis-north\",error_code=\"PAYLOAD_TOO_LARGE\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(client.events(FAILED_EVENT).await.is_empty());
    let digest = Sha256::digest(order.to_string());
    let kept = answer(client.ops(Method::GET, &format!("/api/v1/ops/payloads/{}", hex::encode(digest)))).await;
    assert_eq!(kept.expect("an answer").status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_keys_order_is_kept_through_a_stop_and_a_kill() {
    let gateway = Gateway::start();
    keep_the_order(gateway).await;
}

/// 40 messages of each of 50 orders, while the gateway is stopped once and killed once.
pub async fn keep_the_order(gateway: Gateway) -> Gateway {
    const ORDERS: usize = 50;
    let client = gateway.client();
    for n in 0..ORDERS {
        let id = format!("PYX-K{n}");
        client.put(CREATED, &format!("FR_{id}"), pyxis::order(&id).to_string().as_bytes()).await;
    }
    write_updates(&client, ORDERS, 1..=13).await;
    let (directory, status) = gateway.terminate();
    assert!(status.success(), "{status}");
    let gateway = again(directory);
    write_updates(&gateway.client(), ORDERS, 14..=26).await;
    let gateway = again(gateway.kill());
    let client = gateway.client();
    write_updates(&client, ORDERS, 27..=39).await;

    let mut revisions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut left = ORDERS * 39;
    client
        .follow_events(UPDATED_EVENT, |event| {
            let order = event["value"]["sales_order_id"].as_str().expect("an id").to_owned();
            if order.starts_with("PYX-K") {
                let revision = event["value"]["revision"].as_str().and_then(|text| text.parse().ok());
                revisions.entry(order).or_default().push(revision.expect("a revision"));
                left -= 1;
            }
            left > 0
        })
        .await;

    assert_eq!(revisions.len(), ORDERS);
    for (order, revisions) in revisions {
        assert!(revisions.is_sorted_by(|one, next| one < next), "{order}: {revisions:?}");
        assert_eq!(revisions.len(), 39, "{order}");
    }
    gateway
}

/// The updates of those minutes, one order's one after another, different orders' side by side.
async fn write_updates(client: &Client, orders: usize, minutes: std::ops::RangeInclusive<u32>) {
    let writers: Vec<_> = (0..orders)
        .map(|n| {
            let (client, minutes) = (client.clone(), minutes.clone());
            tokio::spawn(async move {
                let id = format!("PYX-K{n}");
                for minute in minutes {
                    let update = pyxis::update(&id, minute).to_string();
                    client.put(UPDATED, &format!("FR_{id}"), update.as_bytes()).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer does not panic");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_request_comes_by_topic_and_the_command_line_appends_it() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let file = gateway.directory().join("request.json");
    fs::write(&file, tempo::request("TEMPO-1").to_string()).expect("written");
    let topic = "sales.tempo.service.requested";
    let path = file.display().to_string();

    let appended =
        gateway.command(&["events", "append", topic, "--key", "ES_TEMPO-1", &path]).output().expect("it runs");

    assert!(appended.status.success(), "{}", String::from_utf8_lossy(&appended.stderr));
    client.events_of(NORMALIZED_EVENT, "TEMPO-1", 1).await;
    let shown = gateway.command(&["orders", "show", "tempo", "TEMPO-1"]).output().expect("it runs");
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains(&format!("received from {topic}\n")), "{text}");
    assert!(text.contains(&format!("read at       {topic}/")), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_a_reload_brings_is_read_and_one_it_takes_away_is_not() {
    let adapters = tempfile::TempDir::new().expect("a temporary directory");
    for part in ["mappings", "schemas"] {
        crate::support::copy(&crate::support::gateway::root().join(part), &adapters.path().join(part));
    }
    let gateway = Gateway::start_with(&Options { adapters: Some(adapters.path().to_owned()), ..Options::default() });
    let client = gateway.client();
    client.put(CREATED, "k", pyxis::order("PYX-1").to_string().as_bytes()).await;
    client.events_of(NORMALIZED_EVENT, "PYX-1", 1).await;
    let manifest = adapters.path().join("mappings/pyxis/adapter.toml");
    let text = fs::read_to_string(&manifest).expect("the manifest is there");

    let renamed = text.replace(&format!("name = \"{CREATED}\""), "name = \"sales.pyxis.order.placed\"");
    assert_ne!(text, renamed);
    fs::write(&manifest, renamed).expect("written");
    let reloaded = answer(client.ops(Method::POST, "/api/v1/ops/mappings/reload")).await.expect("an answer");
    assert_eq!(reloaded.status, 200, "{}", reloaded.body);

    client.put(CREATED, "k", pyxis::order("PYX-2").to_string().as_bytes()).await;
    client.put("sales.pyxis.order.placed", "k", pyxis::order("PYX-3").to_string().as_bytes()).await;
    client.events_of(NORMALIZED_EVENT, "PYX-3", 1).await;
    assert!(client.order("PYX-2").await["journey"].is_null(), "nobody reads its topic");

    fs::write(&manifest, text).expect("written");
    let reloaded = answer(client.ops(Method::POST, "/api/v1/ops/mappings/reload")).await.expect("an answer");
    assert_eq!(reloaded.status, 200, "{}", reloaded.body);
    client.events_of(NORMALIZED_EVENT, "PYX-2", 1).await;
    assert_eq!(client.events(RECEIVED_EVENT).await.len(), 3, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_message_again_and_again_is_published_once() {
    let gateway = Gateway::start();
    let client = gateway.client();
    for _ in 0..5 {
        client.put(CREATED, "k", pyxis::order("PYX-1").to_string().as_bytes()).await;
        client.deliver_bytes(ORDERS, pyxis::order("PYX-1").to_string().into_bytes()).await.assert_accepted();
        client.put(CREATED, "k", b"garbage").await;
    }

    client.steps_of("PYX-1", 10).await;

    assert_eq!(client.events(NORMALIZED_EVENT).await.len(), 1);
    client.put(CREATED, "k", pyxis::order("PYX-LAST").to_string().as_bytes()).await;
    client.events_of(NORMALIZED_EVENT, "PYX-LAST", 1).await;
    assert_eq!(client.first_events(FAILED_EVENT, 1).await.len(), 1);
}

const GROUP: &str = "integration-adapters-sales-pyxis-orders-v1";

pub fn again(directory: tempfile::TempDir) -> Gateway {
    Gateway::spawn(directory, &[]).unwrap_or_else(|(_, said)| panic!("{}", said.join("\n")))
}

fn outcomes(order: &Value) -> Vec<&str> {
    let steps = order["journey"].as_array().unwrap_or_else(|| panic!("{order}"));
    steps.iter().map(|step| step["outcome"].as_str().expect("an outcome")).collect()
}

impl Client {
    /// Appends a record to a topic as its writers do; tells its place, as the ledger does. Waits for the topic.
    pub async fn put(&self, topic: &str, key: &str, value: &[u8]) -> String {
        self.put_record(topic, &json!({"key": key, "value_base64": base64(value)})).await
    }

    /// The same, as framed Avro.
    pub async fn put_avro(&self, topic: &str, key: &str, schema: &str, document: &Value) -> String {
        let value = base64(document.to_string().as_bytes());
        let record = json!({"key": key, "encoding": "avro", "schema": schema, "value_base64": value});
        self.put_record(topic, &record).await
    }

    /// A record without a value.
    pub async fn put_nothing(&self, topic: &str, key: &str) -> String {
        self.put_record(topic, &json!({"key": key})).await
    }

    async fn put_record(&self, topic: &str, record: &Value) -> String {
        let answer = self.try_put(topic, record).await.expect("the operations API answers");
        assert_eq!(answer.status, 201, "{topic}: {}", answer.body);
        format!("{topic}/{}/{}", answer.body["partition"], answer.body["offset"])
    }

    pub async fn try_put(&self, topic: &str, record: &Value) -> Option<crate::support::client::Answer> {
        answer(self.ops(Method::POST, &format!("/api/v1/ops/events/{topic}")).json(record)).await.ok()
    }

    /// The first `count` events on `topic` about a Pyxis or Tempo order; waits for them.
    pub async fn events_of(&self, topic: &str, order: &str, count: usize) -> Vec<Value> {
        let mut found = Vec::new();
        self.follow_events(topic, |event| {
            let value = &event["value"];
            if value["sales_order_id"] == order || value["external_order_id"] == order {
                found.push(event);
            }
            found.len() < count
        })
        .await;
        found
    }

    /// Waits until the order's journey has a step that ended so.
    pub async fn step_of(&self, order: &str, outcome: &str) {
        self.journey_until(order, |steps| steps.iter().any(|step| step["outcome"] == outcome)).await;
    }

    /// Waits until the order's journey has so many steps.
    pub async fn steps_of(&self, order: &str, count: usize) {
        self.journey_until(order, |steps| steps.len() >= count).await;
    }

    pub async fn journey_until(&self, order: &str, is_so: impl Fn(&[Value]) -> bool) {
        let wait = async { while !self.order(order).await["journey"].as_array().is_some_and(|steps| is_so(steps)) {} };
        let in_time = tokio::time::timeout(PATIENCE, wait).await;
        assert!(in_time.is_ok(), "{}", self.order(order).await);
    }
}

pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
