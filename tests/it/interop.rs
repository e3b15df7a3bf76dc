//! Confluent's Python client, kcat and Kafka's own producer read what we write and write what we read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway::root;
use crate::support::services::Services;
use crate::support::{Client, Gateway, crossdock, pyxis};

const TOPICS: [&str; 5] = [
    "integration.sales.order_received",
    "integration.sales.order.normalized",
    "integration.sales.order_updated",
    "integration.sales.order_cancelled",
    "integration.sales.order.failed",
];
const HEADERS: [&str; 5] = ["correlation-id", "event-type", "idempotency-key", "source-system", "tenant-id"];
const ORDERS: usize = 40;
const SENDERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_clients_see_the_same_events_in_the_same_order() {
    let services = Services::start_these("interop", &["kafka", "postgres", "registry"]);
    let directory = Gateway::prepare(&services.options_with_registry());
    let older = register_an_older_schema(&services, &directory);
    in_folder(&directory, &["schemas", "register"]);
    in_folder(&directory, &["topics", "apply", "--create-foreign"]);
    let gateway = Gateway::spawn(directory, &[]).unwrap_or_else(|(_, said)| panic!("{}", said.join("\n")));
    let client = gateway.client();
    let events = deliver_many_orders(&client).await;

    let mut ours = Vec::new();
    for topic in TOPICS {
        ours.extend(client.events(topic).await);
    }
    assert_eq!(ours.len(), events, "all of it has been published");
    compare_with_python(&services, &ours);
    compare_with_kcat(&services, &ours);
    compare_placement_with_java(&services, &ours);
    read_what_python_wrote(&services, &client).await;
    read_what_python_wrote_with_an_older_schema(&services, &client, &older).await;
}

/// Creations, updates, cancellations and rejections of many orders; gives how many events come of them.
async fn deliver_many_orders(client: &Client) -> usize {
    let senders = (0..SENDERS).map(|sender| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut expected = [0; TOPICS.len()];
            for number in (sender..ORDERS).step_by(SENDERS) {
                let of_one = deliver_one_order(&client, number).await;
                expected.iter_mut().zip(of_one).for_each(|(sum, count)| *sum += count);
            }
            expected
        })
    });
    let mut expected = [0; TOPICS.len()];
    for sender in senders.collect::<Vec<_>>() {
        let of_one = sender.await.expect("no sender panics");
        expected.iter_mut().zip(of_one).for_each(|(sum, count)| *sum += count);
    }
    for (topic, count) in TOPICS.into_iter().zip(expected) {
        client.first_events(topic, count).await;
    }
    expected.iter().sum()
}

/// The number of events on each of [`TOPICS`].
async fn deliver_one_order(client: &Client, number: usize) -> [usize; TOPICS.len()] {
    let order_id = format!("PYX-{number:02}");
    let (updates, cancelled, rejected) = (number % 7, number.is_multiple_of(4), number.is_multiple_of(3));
    client.deliver(&pyxis::order(&order_id)).await.assert_accepted();
    for minute in 1..=updates {
        client.deliver(&pyxis::update(&order_id, u32::try_from(minute).expect("few"))).await.assert_accepted();
    }
    if rejected {
        let mut order = pyxis::update(&order_id, 59);
        order["line_items"][0]["service_code"] = json!("PAINTING");
        client.deliver(&order).await.assert_rejected(422, "UNKNOWN_CODE", "/line_items/0/service_code");
    }
    if cancelled {
        client.cancel(&order_id, &pyxis::cancellation(&order_id)).await.assert_accepted();
    }
    [1, 1 + updates, updates, usize::from(cancelled), usize::from(rejected)]
}

fn compare_with_python(services: &Services, ours: &[Value]) {
    let printed = services.python("read_topics.py", &TOPICS, "");
    let theirs: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();

    let event_id = |event: &Value| event["value"]["event_id"].as_str().expect("an id").to_owned();
    assert_eq!(by_key(&theirs, event_id), by_key(ours, event_id));
    let values = |events: &[Value]| -> BTreeSet<String> {
        events.iter().map(|event| json!([event["topic"], event["schema"], event["value"]]).to_string()).collect()
    };
    assert_eq!(values(&theirs), values(ours), "records and their members");
}

fn compare_with_kcat(services: &Services, ours: &[Value]) {
    let mut theirs = Vec::new();
    for topic in TOPICS {
        for seen in services.kcat(topic) {
            assert!(seen.value_bytes > 5, "framed Avro: {seen:?}");
            let missing: Vec<_> = HEADERS.iter().filter(|name| !seen.headers.contains_key(**name)).collect();
            assert!(missing.is_empty(), "{missing:?} of {seen:?}");
            let headers = json!(seen.headers);
            theirs.push(json!({"topic": topic, "partition": seen.partition, "offset": seen.offset, "key": seen.key,
                "headers": headers}));
        }
    }

    let event_id = |event: &Value| event["headers"]["idempotency-key"].as_str().expect("an id").to_owned();
    assert_eq!(by_key(&theirs, event_id), by_key(ours, event_id));
    for event in ours {
        assert_eq!(event["headers"]["idempotency-key"], event["value"]["event_id"]);
        assert_eq!(event["headers"]["event-type"], event["schema"]);
    }
}

/// Kafka's own producer puts each key on the partition where the event with that key is.
fn compare_placement_with_java(services: &Services, ours: &[Value]) {
    const SCRATCH: &str = "interop.placement";
    let key_and_place = |event: &Value| (event["key"].as_str().expect("a key").to_owned(), event["partition"].as_u64());
    let places: BTreeMap<_, _> = ours.iter().map(key_and_place).collect();
    assert!(places.len() >= 2 * ORDERS, "keys of both forms");
    services.kafka_tool("topics", &["--create", "--topic", SCRATCH, "--partitions", "6"], "");
    let records: String = places.keys().map(|key| format!("{key}\tx\n")).collect();

    services.kafka_tool("console-producer", &["--topic", SCRATCH, "--reader-property", "parse.key=true"], &records);

    let theirs = services.kcat(SCRATCH).into_iter().map(|seen| (seen.key, Some(u64::from(seen.partition)))).collect();
    assert_eq!(places, theirs);
}

async fn read_what_python_wrote(services: &Services, client: &Client) {
    const TOPIC: &str = "sales.pyxis.order.created";
    let value = json!({"event_id": "4f3f7d6c-2a4e-4a53-8d3b-f65c8a0de5a7", "event_timestamp": 1_772_612_131_000_i64,
        "pyxis_order_id": "PYX-PY-1", "sales_channel": "STORE", "country_code": "FR", "bu_code": "BU_FR_HOME",
        "store_id": "FR-LYO-04",
        "customer": {"customer_id": "C-1", "name": "Maëlle Tessier", "email": "m@example.org", "phone": "+33655512340"},
        "products": [{"product_id": "KIT-INST-STD", "quantity": 1, "service_type": "INSTALL_KITCHEN"}],
        "address": {"street": "8 quai des Tilleuls", "city": "Lyon", "postal_code": "69007", "country": "FR"},
        "raw_payload": pyxis::order("PYX-PY-1").to_string()});
    let schema = root().join("schemas/events/com.ahs.fsm.events.sales/PyxisOrderCreated.avsc");

    write_with_python(services, TOPIC, &schema, "FR_PYX-PY-1", &value);

    let event = client.first_events(TOPIC, 1).await.remove(0);
    assert_eq!((&event["schema"], &event["key"]), (&json!("PyxisOrderCreated"), &json!("FR_PYX-PY-1")));
    assert_eq!(event["value"], value);
    let mut becomes_an_order = |event: Value| event["value"]["external_order_id"] != "PYX-PY-1";
    client.follow_events("integration.sales.order.normalized", &mut becomes_an_order).await;
}

async fn read_what_python_wrote_with_an_older_schema(services: &Services, client: &Client, older: &Path) {
    let mut value = json!({"event_id": "0a0c3f0e-5a35-4b7e-9c39-8f3e5b9f0c11", "event_timestamp": 1_772_612_131_000_i64,
        "source_system": "PYXIS", "external_order_id": "PYX-1", "fsm_service_order_id": "an id", "status": "ASSIGNED",
        "scheduled_date": "2026-03-19"});

    write_with_python(services, OLDER_TOPIC, older, "PYXIS_PYX-1", &value);

    let event = client.first_events(OLDER_TOPIC, 1).await.remove(0);
    assert_eq!(event["schema"], "FsmOrderStatusUpdated");
    value["provider_name"] = Value::Null; // the default of what the writer did not know
    assert_eq!(event["value"], value);
}

const OLDER_TOPIC: &str = "fsm.order.assigned";

/// The first version of a subject: our schema without its last field. Ours becomes the second.
fn register_an_older_schema(services: &Services, directory: &TempDir) -> std::path::PathBuf {
    let ours = root().join("schemas/events/com.ahs.fsm.events.integration/FsmOrderStatusUpdated.avsc");
    let mut schema: Value = serde_json::from_slice(&std::fs::read(ours).expect("a file")).expect("JSON");
    let last = schema["fields"].as_array_mut().and_then(Vec::pop).expect("a field");
    assert_eq!((&last["name"], &last["default"]), (&json!("provider_name"), &Value::Null));
    let file = directory.path().join("older.avsc");
    std::fs::write(&file, schema.to_string()).expect("written");
    services.python("write_avro.py", &[OLDER_TOPIC, file.to_str().expect("a name")], "");
    file
}

fn write_with_python(services: &Services, topic: &str, schema: &Path, key: &str, value: &Value) {
    let line = json!({"key": key, "value": value}).to_string();
    services.python("write_avro.py", &[topic, schema.to_str().expect("a name")], &line);
}

fn in_folder(directory: &TempDir, words: &[&str]) {
    let mut command: Command = crossdock();
    let done = command.args(words).arg("--config").arg(directory.path().join("crossdock.toml")).output();
    let done = done.expect("the binary can be started");
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Event ids of each key of each topic, in the order of the log.
fn by_key(events: &[Value], event_id: impl Fn(&Value) -> String) -> BTreeMap<(String, String), Vec<String>> {
    let mut placed: Vec<_> = events.iter().collect();
    placed.sort_by_key(|event| (event["partition"].as_u64(), event["offset"].as_i64()));
    let mut ids: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in placed {
        let text = |member: &str| event[member].as_str().expect("text").to_owned();
        ids.entry((text("topic"), text("key"))).or_default().push(event_id(event));
    }
    ids
}
