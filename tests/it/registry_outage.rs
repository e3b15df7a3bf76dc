//! A schema registry that does not answer stops lanes, never a record and never the door.

use std::path::Path;

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::client::answer;
use crate::support::gateway::{crossdock, root};
use crate::support::services::Services;
use crate::support::{Client, Gateway, Options, PATIENCE, pyxis};

const INTAKE: &str = "crossdock.intake";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_waits_for_the_registry_and_nothing_becomes_a_dead_letter() {
    let services = Services::start_these("outage", &["registry"]);
    let top = format!(
        "log.partitions = 1\nregistry.request_timeout = \"200ms\"\nregistry.retry_backoff_max = \"200ms\"\n{}",
        services.registry()
    );
    let directory = Gateway::prepare(&Options { top, ..Options::default() });
    let configuration = directory.path().join("crossdock.toml");
    let registered = crossdock().args(["schemas", "register", "--config"]).arg(configuration).status();
    assert!(registered.is_ok_and(|status| status.success()));
    let gateway = Gateway::spawn(directory, &[]).unwrap_or_else(|(_, said)| panic!("{}", said.join("\n")));
    let client = gateway.client();
    client.deliver(&pyxis::order("PYX-1")).await.assert_accepted();
    client.first_events("integration.sales.order.normalized", 1).await;
    let id = register_a_newer_version(services.variable("SCHEMA_REGISTRY_URL")).await;
    let repeat = first_record_by(id, gateway.directory());

    let outage = Outage::begin(&services);
    append(&gateway, &repeat);
    client.deliver(&pyxis::order("PYX-2")).await.assert_accepted(); // behind it, on the only lane
    until_ready_says(&client, 503, "schema registry").await;
    client.deliver(&pyxis::update("PYX-2", 1)).await.assert_accepted();
    assert_eq!(client.events("integration.sales.order.normalized").await.len(), 1, "the lane waits");
    drop(outage);

    let events = client.first_events("integration.sales.order.normalized", 3).await;
    assert_eq!(events[2]["value"]["external_order_id"], "PYX-2");
    until_ready_says(&client, 200, "").await;
    assert_eq!(client.events("dlq.crossdock.intake").await, [] as [Value; 0]);
    let order = client.order("PYX-1").await;
    let outcomes: Vec<_> =
        order["journey"].as_array().expect("a journey").iter().map(|step| &step["outcome"]).collect();
    assert_eq!(outcomes, ["accepted", "duplicate"], "read with the schema that was unknown: {order}");
}

/// A registry whose process stands still. Dropping it lets the process go on.
struct Outage(u32);

impl Outage {
    fn begin(services: &Services) -> Self {
        let outage = Self(services.process_id("registry"));
        outage.signal("-STOP");
        outage
    }

    fn signal(&self, signal: &str) {
        let sent = std::process::Command::new("kill").args([signal, &self.0.to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

async fn until_ready_says(client: &Client, status: u16, reason: &str) {
    let said = async {
        loop {
            let ready = answer(client.ops(Method::GET, "/readyz")).await.expect("an answer");
            if ready.status == status && ready.body.to_string().contains(reason) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("never {status}: {reason}"));
}

/// Registers the schema of the intake with one member more: a newer version of it, of another gateway.
async fn register_a_newer_version(registry: &str) -> u32 {
    let file = root().join("schemas/events/com.ahs.crossdock/Intake.avsc");
    let mut schema: Value = serde_json::from_slice(&std::fs::read(file).expect("a file")).expect("JSON");
    let more = json!({"name": "more", "type": ["null", "string"], "default": null});
    schema["fields"].as_array_mut().expect("fields").push(more);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{registry}/subjects/{INTAKE}-value/versions");
    let answer = answer(http.post(url).json(&json!({"schema": schema.to_string()}))).await.expect("an answer");
    let id = answer.body["id"].as_u64().unwrap_or_else(|| panic!("an id: {answer:?}"));
    u32::try_from(id).expect("an id")
}

/// The first record of the intake as the newer version would have written it.
fn first_record_by(id: u32, directory: &Path) -> Vec<u8> {
    let log = Connection::open(directory.join("data/log.db")).expect("the log is a file");
    let slot = "SELECT first_slot FROM topics WHERE name = ?1";
    let slot: i64 = log.query_row(slot, [INTAKE], |row| row.get(0)).expect("the topic is there");
    let value = format!("SELECT value FROM records_{slot} ORDER BY offset LIMIT 1");
    let mut value: Vec<u8> = log.query_row(&value, [], |row| row.get(0)).expect("the record is there");
    value[1..5].copy_from_slice(&id.to_be_bytes());
    value.push(0); // the member it has more: null
    value
}

fn append(gateway: &Gateway, value: &[u8]) {
    std::fs::write(gateway.directory().join("record"), value).expect("written");
    let words = ["events", "append", INTAKE, "--key", "north|pyxis|PYX-1", "record"];
    let done = gateway.command(&words).output().expect("the binary can be started");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
