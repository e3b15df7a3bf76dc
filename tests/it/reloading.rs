//! Changed mappings are taken over without a restart: all of them or none, and no request is disturbed.

use std::fs;
use std::process::Command;

use reqwest::Method;
use serde_json::json;

use crate::support::client::answer;
use crate::support::{Client, Gateway, Options, pyxis};

const RELOAD: &str = "/api/v1/ops/mappings/reload";

/// A gateway with adapters of its own, to be changed by the test.
fn start() -> (Gateway, tempfile::TempDir) {
    let adapters = tempfile::TempDir::new().expect("a temporary directory");
    for part in ["mappings", "schemas"] {
        crate::support::copy(&crate::support::gateway::root().join(part), &adapters.path().join(part));
    }
    let gateway = Gateway::start_with(&Options { adapters: Some(adapters.path().to_owned()), ..Options::default() });
    (gateway, adapters)
}

fn edit(adapters: &tempfile::TempDir, file: &str, from: &str, to: &str) {
    let path = adapters.path().join(file);
    let text = fs::read_to_string(&path).expect("the file is there");
    assert!(text.contains(from), "{file} has no `{from}`");
    fs::write(path, text.replacen(from, to, 1)).expect("written");
}

/// `transformation_version` of the next new order.
async fn version(client: &Client, count: usize) -> String {
    client.deliver(&pyxis::order(&format!("PYX-V{count}"))).await.assert_accepted();
    let events = client.first_events("integration.sales.order.normalized", count).await;
    let event = events.iter().find(|event| event["value"]["external_order_id"] == format!("PYX-V{count}"));
    event.expect("the order is normalized")["value"]["transformation_version"].as_str().expect("text").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_set_is_in_force_at_once_and_a_broken_one_changes_nothing() {
    let (gateway, adapters) = start();
    let client = gateway.client();
    assert_eq!(version(&client, 1).await, "pyxis/1.0.0");

    edit(&adapters, "mappings/pyxis/adapter.toml", "version = \"1.0.0\"", "version = \"1.1.0\"");
    let reloaded = answer(client.ops(Method::POST, RELOAD)).await.expect("an answer");

    assert_eq!(reloaded.status, 200, "{}", reloaded.body);
    assert!(
        reloaded.body["adapters"].as_array().expect("a list").contains(&json!({"name": "pyxis", "version": "1.1.0"}))
    );
    assert_eq!(version(&client, 2).await, "pyxis/1.1.0");

    edit(&adapters, "mappings/pyxis/order.vrl", ".delivery_date", ".delivery_dat");
    edit(&adapters, "mappings/pyxis/adapter.toml", "version = \"1.1.0\"", "version = \"1.2.0\"");
    let refused = answer(client.ops(Method::POST, RELOAD)).await.expect("an answer");

    assert_eq!(refused.status, 422, "{}", refused.body);
    let detail = refused.body["detail"].as_str().expect("text");
    assert!(detail.contains("order.vrl:") && detail.contains("delivery_dat"), "{detail}");
    assert_eq!(version(&client, 3).await, "pyxis/1.1.0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_refuse_no_order() {
    let (gateway, _adapters) = start();
    let client = gateway.client();
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let client = client.clone();
            tokio::spawn(async move {
                for n in 0..50 {
                    client.deliver(&pyxis::order(&format!("PYX-{sender}-{n}"))).await.assert_accepted();
                }
            })
        })
        .collect();

    for round in 0..6 {
        if round % 2 == 0 {
            let reloaded = answer(client.ops(Method::POST, RELOAD)).await.expect("an answer");
            assert_eq!(reloaded.status, 200, "{}", reloaded.body);
        } else {
            let told = Command::new("kill").args(["-HUP", &gateway.process_id().to_string()]).status();
            assert!(told.is_ok_and(|status| status.success()));
        }
    }

    for sender in senders {
        sender.await.expect("every order is accepted");
    }
    assert_eq!(client.first_events("integration.sales.order.normalized", 400).await.len(), 400);
}
