//! Changed mappings are taken over without a restart: all of them or none, and no request is disturbed.

use std::fs;
use std::process::Command;

use reqwest::Method;
use serde_json::json;

use crate::support::client::answer;
use crate::support::gateway::OTHER_BEARER_TOKEN;
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
async fn bindings_come_and_go_and_other_settings_wait_for_a_restart() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let file = gateway.directory().join("crossdock.toml");
    let before = fs::read_to_string(&file).expect("the configuration");
    let reload = || async { answer(client.ops(Method::POST, RELOAD)).await.expect("an answer") };
    let south = || async {
        let signed = client.signed(crate::support::client::ORDERS, pyxis::order("PYX-S").to_string().into_bytes());
        let request = signed.build().expect("a request");
        let mut headers = request.headers().clone();
        headers.insert("authorization", format!("Bearer {OTHER_BEARER_TOKEN}").parse().expect("a header"));
        let again = client.door(Method::POST, crate::support::client::ORDERS).headers(headers);
        let body = request.body().and_then(|body| body.as_bytes()).expect("a body").to_vec();
        answer(again.body(body)).await.expect("an answer").status.as_u16()
    };
    assert_eq!(south().await, 202);

    let start = before.find("[[binding]]\nname = \"pyxis-south\"").expect("it is there");
    let end = before.find("[[binding]]\nname = \"tempo-north\"").expect("it is there");
    let without = format!("{}{}", &before[..start], &before[end..]);
    fs::write(&file, without.replace("[door]\n", "[door]\nread_timeout = \"11s\"\n")).expect("written");
    let reloaded = reload().await;

    assert_eq!(reloaded.status, 200, "{}", reloaded.body);
    assert_eq!(reloaded.body["bindings"], json!(["pyxis-north", "tempo-north"]));
    assert_eq!(reloaded.body["needs_restart"], json!(["door.read_timeout"]));
    assert_eq!(south().await, 401, "its binding is gone");

    fs::write(&file, format!("{before}\n[[binding]]\nname = \"new\"\nadapter = \"nobody\"\ntenant_id = \"north\"\n"))
        .expect("written");
    let refused = reload().await;

    assert_eq!(refused.status, 422, "{}", refused.body);
    let detail = refused.body["detail"].as_str().expect("text");
    assert!(detail.contains("crossdock.toml:") && detail.contains("no adapter `nobody`"), "{detail}");
    assert_eq!(south().await, 401, "all or nothing");

    fs::write(&file, &before).expect("written");
    let reloaded = reload().await;

    assert_eq!((reloaded.status.as_u16(), &reloaded.body["needs_restart"]), (200, &json!([])));
    assert_eq!(south().await, 202);
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
