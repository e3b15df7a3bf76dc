//! What an operator is told of the partners that are called.

use crossdock::cli::partner::receiver::script::{Manner, Reply, Rule};
use reqwest::Method;
use serde_json::{Value, json};

use super::PYXIS;
use crate::outbound::partners::until_told;
use crate::outbound::platform::{Order, say_statuses};
use crate::outbound::{World, balance, in_time};
use crate::support::Client;
use crate::support::client::answer;

const NERVOUS: &str = "courier.sales.breaker_failures = 1\ncourier.sales.breaker_open_for = \"1h\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_down_is_told_with_its_breaker_and_its_lanes() {
    let World { gateway, partners } = World::start_with(NERVOUS).await;
    let client = gateway.client();
    let mut orders = vec![Order::accepted(&client, "PYX-1").await];
    say_statuses(&client, &mut orders, 2).await;
    until_told(&partners.pyxis, &orders).await;
    balance::until(&client, PYXIS, "applied", 2).await;

    let pyxis = target(&client, "pyxis-north").await;

    assert_eq!(
        (&pyxis["adapter"], &pyxis["tenant_id"], &pyxis["topic"]),
        (&json!("pyxis"), &json!("north"), &json!(PYXIS))
    );
    let closed = json!({"state": "closed", "open_until": null, "paused_until": null, "is_probing": false});
    assert_eq!(pyxis["breaker"], closed);
    let lanes = pyxis["lanes"].as_array().expect("lanes");
    assert_eq!(lanes.len(), 6, "{lanes:?}");
    assert!(lanes.iter().all(|lane| lane["status"] == "running" && lane["reason"].is_null()), "{lanes:?}");
    let count = |state: &str| lanes.iter().filter_map(|lane| lane["records"][state].as_u64()).sum::<u64>();
    assert_eq!((count("taken"), count("applied"), count("held")), (2, 2, 0), "{lanes:?}");

    partners.pyxis.follow(vec![Rule::always(Manner::Answer(Reply::status(503)))]);
    say_statuses(&client, &mut orders, 1).await;
    in_time("the breaker opens", async { while target(&client, "pyxis-north").await["breaker"]["state"] != "open" {} })
        .await;
    let pyxis = target(&client, "pyxis-north").await;
    assert!(pyxis["breaker"]["open_until"].is_string(), "{pyxis}");
    assert_eq!(target(&client, "tempo-north").await["breaker"], closed, "nobody else's");
}

async fn target(client: &Client, binding: &str) -> Value {
    let listed = answer(client.ops(Method::GET, "/api/v1/ops/targets")).await.expect("the operations API answers");
    assert_eq!(listed.status, 200, "{}", listed.body);
    let targets = listed.body["targets"].as_array().expect("targets").clone();
    targets.into_iter().find(|target| target["binding"] == binding).unwrap_or_else(|| panic!("{}", listed.body))
}
