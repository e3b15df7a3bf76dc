//! The command line against a running gateway, and on its own.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::gateway::{OPERATOR_TOKEN, root};
use crate::support::{Gateway, copy, crossdock, pyxis};

#[test]
fn map_gives_the_printed_canonical_order_and_digest() {
    let folder = TempDir::new().expect("a temporary directory");
    fs::write(folder.path().join("order.json"), pyxis::EXAMPLE).expect("written");

    let run = in_repository(
        crossdock().args(["map", "pyxis", "order-created", "--output", "json"]).arg(folder.path().join("order.json")),
    );

    let mapped: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert!(run.status.success(), "{mapped}");
    assert_eq!(mapped["outcome"], "accepted");
    assert_eq!(mapped["canonical"]["fsm_service_order_id"], "8fc78ce8-6c4a-55d8-aaaa-f149200431d2");
    assert_eq!(mapped["digest"], "abe06f7d585ef87d46c736e04388111f01943047fa37a63adc574b88580dce53");
    assert_eq!(mapped["events"][0]["key"], "FR_PYX-FR-20260304-7731");
    assert_eq!(mapped["events"][1]["value"]["event_id"], "bbd48371-33e6-5a6b-956c-a94669e9595b");
}

#[test]
fn map_says_what_is_wrong_and_exits_65() {
    let folder = TempDir::new().expect("a temporary directory");
    let bad = pyxis::EXAMPLE.replace("INSTALL_KITCHEN", "PAINTING");
    fs::write(folder.path().join("order.json"), bad).expect("written");

    let run = in_repository(
        crossdock().args(["map", "pyxis", "order-created", "--output", "json"]).arg(folder.path().join("order.json")),
    );

    let mapped: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(run.status.code(), Some(65), "{mapped}");
    assert_eq!((&mapped["outcome"], &mapped["error_code"]), (&"rejected".into(), &"UNKNOWN_CODE".into()));
    assert_eq!(mapped["errors"][0]["field"], "/line_items/0/service_code");
}

#[test]
fn map_takes_the_json_of_a_record_that_only_topics_bring() {
    let envelope = "mappings/pyxis/cases/envelope/input.json";

    let run =
        in_repository(crossdock().args(["map", "pyxis", "order-created-envelope", "--output", "json"]).arg(envelope));

    let mapped: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert!(run.status.success(), "{mapped}");
    assert_eq!(mapped["digest"], "abe06f7d585ef87d46c736e04388111f01943047fa37a63adc574b88580dce53");
}

#[test]
fn map_shows_the_request_an_event_causes() {
    let event = "mappings/pyxis/cases/told_scheduled_with_its_date/input.json";

    let told = in_repository(crossdock().args(["map", "pyxis", "status", "--output", "json"]).arg(event));
    let text = in_repository(crossdock().args(["map", "pyxis", "status"]).arg(event));

    let told: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let text = String::from_utf8_lossy(&text.stdout);
    assert_eq!(told["outcome"], "call", "{told}");
    assert_eq!(told["body"]["new_status"], "SCHEDULED");
    assert!(text.starts_with("POST "), "{text}");
    assert!(text.contains("/webhooks/fsm/service-order-status\nContent-Type: application/json\n"), "{text}");
}

#[test]
fn map_says_skipped_where_there_is_nothing_to_tell() {
    let event = "mappings/tempo/cases/told_visit_yes_is_no_news/input.json";

    let told = in_repository(crossdock().args(["map", "tempo", "tv-outcome"]).arg(event));

    assert!(told.status.success());
    assert_eq!(String::from_utf8_lossy(&told.stdout), "skipped\n");
}

#[test]
fn map_of_what_is_no_record_exits_65_and_says_why() {
    let native = "mappings/pyxis/cases/order/input.json";

    let run = in_repository(crossdock().args(["map", "pyxis", "order-created-envelope"]).arg(native));

    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(65), "{said}");
    assert!(said.contains("record `PyxisOrderCreated` cannot be written, at `/event_id`"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn map_and_the_running_gateway_agree() {
    let gateway = Gateway::start();
    let client = gateway.client();
    fs::write(gateway.directory().join("order.json"), pyxis::update("PYX-1", 7).to_string()).expect("written");
    client.deliver(&pyxis::update("PYX-1", 7)).await.assert_accepted();
    client.first_events("integration.sales.order.normalized", 1).await;

    let file = gateway.directory().join("order.json");
    let run = in_repository(crossdock().args(["map", "pyxis", "order-created", "--output", "json"]).arg(file));

    let mapped: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(mapped["canonical"], client.order("PYX-1").await["canonical"]);
}

#[test]
fn check_passes_what_is_shipped() {
    let run = in_repository(crossdock().arg("check"));

    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn check_reports_every_planted_mistake_with_file_and_line() {
    let folder = TempDir::new().expect("a temporary directory");
    for part in ["mappings", "schemas"] {
        copy(&root().join(part), &folder.path().join(part));
    }
    let plant = |file: &str, from: &str, to: &str| {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let line =
            text.lines().position(|line| line.contains(from)).unwrap_or_else(|| panic!("{file} has no `{from}`"));
        fs::write(path, text.replacen(from, to, 1)).expect("written");
        format!("{file}:{}:", line + 1)
    };
    fs::write(folder.path().join("crossdock.toml"), "[door]\nlissten = \"127.0.0.1:0\"\n").expect("written");
    let planted = [
        "crossdock.toml:2:".to_owned(),
        plant("mappings/pyxis/order.vrl", ".store.store_id", ".store.stroe_id"),
        plant("mappings/pyxis/order.vrl", ".delivery_date", ".delivery_dat"),
        plant(
            "schemas/pyxis/order.schema.json",
            "\"channel\": {\"type\": \"string\"}",
            "\"channel\": {\"type\": \"string\", \"pattern\": \"^[A-Z]+$\"}",
        ),
        plant("mappings/pyxis/adapter.toml", "method = \"POST\"", "method = \"POTS\""),
    ];
    // A bare copy compiles: only the source schema tells that it is always null.
    let order = folder.path().join("mappings/pyxis/order.vrl");
    let text = fs::read_to_string(&order).expect("the mapping");
    let bare = text
        .lines()
        .position(|line| line.trim_start().starts_with("\"notes\":") || line.trim_start().starts_with("notes:"));
    let bare = bare.expect("the mapping gives notes");
    let with_bare: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(number, line)| if number == bare { "  \"notes\": .nots,".to_owned() } else { line.to_owned() })
        .collect();
    fs::write(&order, with_bare.join("\n")).expect("written");

    let run =
        crossdock().args(["check", "--config", "crossdock.toml"]).current_dir(folder.path()).output().expect("run");

    let said = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
    println!("{said}");
    assert_eq!(run.status.code(), Some(78));
    for place in planted.iter().chain([&format!("mappings/pyxis/order.vrl:{}:", bare + 1)]) {
        assert!(said.lines().any(|line| line.contains(place.as_str())), "{place} is not reported");
    }
    assert!(said.contains("nots"), "the misspelt field is named");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_appended_and_read_back() {
    let gateway = Gateway::start();
    let value = r#"{"event_id": "e", "event_timestamp": 1772612131210, "sales_order_id": "X", "customer_id": "C", "country_code": "FR", "services": []}"#;
    fs::write(gateway.directory().join("event.json"), value).expect("written");

    let topic = "integration.sales.order_received";
    let appended = run(gateway.command(&[
        "events",
        "append",
        topic,
        "--key",
        "FR_X",
        "--encoding",
        "avro",
        "--schema",
        "SalesOrderReceived",
        "event.json",
    ]));
    let raw = run(gateway.command(&["events", "append", topic, "--key", "FR_X", "--encoding", "raw", "event.json"]));
    let tailed = run(gateway.command(&["events", "tail", topic, "--from", "beginning", "--no-follow"]));

    assert!(appended.status.success() && raw.status.success(), "{appended:?} {raw:?}");
    let events: Vec<Value> =
        String::from_utf8_lossy(&tailed.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events.len(), 2, "{tailed:?}");
    assert_eq!(events[0]["schema"], "SalesOrderReceived");
    assert_eq!(events[0]["value"], serde_json::from_str::<Value>(value).expect("JSON"));
    assert_eq!(events[0]["key"], "FR_X");
    assert_eq!(events[0]["partition"], events[1]["partition"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_record_in_the_intake_becomes_a_dead_letter_and_the_lane_goes_on() {
    let gateway = Gateway::start();
    let client = gateway.client();
    fs::write(gateway.directory().join("junk"), b"\xff\x00 no draft").expect("written");

    let key = "north|pyxis|PYX-1";
    assert!(
        run(gateway.command(&["events", "append", "crossdock.intake", "--key", key, "--encoding", "raw", "junk"]))
            .status
            .success()
    );
    client.deliver(&pyxis::order("PYX-1")).await.assert_accepted();

    client.first_events("integration.sales.order.normalized", 1).await;
    let dead = client.first_events("dlq.crossdock.intake", 1).await.remove(0);
    assert_eq!(dead["key"], key);
    assert!(dead["value"]["base64"].is_string(), "{dead}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_and_a_missing_gateway_are_told_apart() {
    let gateway = Gateway::start();

    let mut wrong = gateway.command(&["orders", "show", "pyxis", "PYX-1"]);
    wrong.env("CROSSDOCK_TOKEN", "wrong");
    let wrong = run(wrong);
    let unknown = run(gateway.command(&["orders", "show", "pyxis", "PYX-1", "--tenant", "north"]));
    let mut gone = crossdock();
    gone.args(["orders", "show", "pyxis", "PYX-1", "--url", "http://127.0.0.1:9", "--token", OPERATOR_TOKEN]);
    let gone = run(gone);

    assert_eq!(wrong.status.code(), Some(78), "{wrong:?}");
    assert_eq!(unknown.status.code(), Some(65), "{unknown:?}");
    assert_eq!(gone.status.code(), Some(69), "{gone:?}");
    for said in [&wrong, &unknown, &gone] {
        assert_eq!(String::from_utf8_lossy(&said.stderr).lines().count(), 1, "one clear line: {said:?}");
    }
}

#[test]
fn new_secrets_and_tokens_differ_each_time() {
    for command in [&["keygen"][..], &["token", "anna", "--role", "viewer"]] {
        let (one, other) = (run_in_repository(command), run_in_repository(command));

        assert!(one.status.success(), "{one:?}");
        assert_ne!(one.stdout, other.stdout, "{command:?}");
    }
}

fn run(mut command: Command) -> Output {
    command.output().expect("the binary can be started")
}

fn run_in_repository(arguments: &[&str]) -> Output {
    in_repository(crossdock().args(arguments))
}

fn in_repository(command: &mut Command) -> Output {
    command.current_dir(root()).output().expect("the binary can be started")
}
