//! `kill -9` between the steps of the index and of a replay: nothing is lost, nothing is repeated.

use reqwest::StatusCode;
use serde_json::json;

use super::{RECEIVED, bad_order, failure, failure_of, post, reject, run, settle, wished};
use crate::support::client::answer;
use crate::support::{Gateway, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_of_a_replay_loses_nothing_and_repeats_nothing() {
    for (point, is_in_audit) in [("recovery.replay.requested", true), ("recovery.replay.appended", true)] {
        let gateway = Gateway::start();
        let sent = reject(&gateway.client(), "PYX-1").await;
        let id = failure_of(&gateway.client(), "PYX-1").await;
        let crash = [("CROSSDOCK_CRASH", format!("{point}:1"))];
        let mut gateway = Gateway::spawn(gateway.kill(), &crash).unwrap_or_else(|(_, said)| panic!("{said:?}"));
        let wish = json!({"reason": "typo", "payload": sent.replace("PAINTING", "INSTALL_KITCHEN")});

        let died = answer(wished(&gateway.client(), &id, "replay", &wish)).await;
        assert!(died.is_err() && ended(&mut gateway), "{point} was not reached");
        let gateway = Gateway::spawn(gateway.kill(), &[]).unwrap_or_else(|(_, said)| panic!("{said:?}"));
        let client = gateway.client();
        let begun = run(&gateway, &["audit", "list", "--action", "failure.replay"]);
        let begun: Vec<_> =
            begun["rows"].as_array().expect("rows").iter().map(|row| row["detail"]["phase"].clone()).collect();
        assert_eq!(begun.contains(&json!("requested")), is_in_audit, "{point}: nothing is appended unseen");
        assert!(!begun.contains(&json!("done")), "{point}");
        assert_eq!(failure(&client, &id).await["failure"]["state"], "open", "{point}");

        let replayed = post(&client, &id, "replay", wish).await;

        assert_eq!((replayed.status, &replayed.body["outcome"]), (StatusCode::ACCEPTED, &json!("accepted")), "{point}");
        assert_eq!(failure(&client, &id).await["failure"]["state"], "replayed", "{point}");
        settle(&client).await;
        let order = client.order("PYX-1").await;
        let journey = order["journey"].as_array().expect("a journey");
        let accepted = journey.iter().filter(|step| step["outcome"] == "accepted").count();
        assert_eq!(accepted, 1, "{point}: {journey:?}");
        let received = client.events(RECEIVED).await;
        let of_order = received.iter().filter(|event| event["value"]["sales_order_id"] == "PYX-1").count();
        assert_eq!(of_order, 1, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_behind_the_index_finds_every_failure_once() {
    let directory = Gateway::start().kill();
    let crash = [("CROSSDOCK_CRASH", "recovery.indexed:1".to_owned())];
    let mut gateway = Gateway::spawn(directory, &crash).unwrap_or_else(|(_, said)| panic!("{said:?}"));
    let bad = bad_order("PYX-0");
    let _ = gateway.client().try_deliver(crate::support::client::ORDERS, bad.clone().into_bytes()).await;
    assert!(ended(&mut gateway), "the index was not reached");

    let gateway = Gateway::spawn(gateway.kill(), &[]).unwrap_or_else(|(_, said)| panic!("{said:?}"));
    let client = gateway.client();
    reject(&client, "PYX-1").await;
    failure_of(&client, "PYX-1").await;

    failure_of(&client, "PYX-0").await;
    let all = run(&gateway, &["failures", "list"]);
    assert_eq!(all["failures"].as_array().map(Vec::len), Some(2), "{all}");
}

/// Whether the process ended by itself, in time.
fn ended(gateway: &mut Gateway) -> bool {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !gateway.has_ended() {
        if std::time::Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
