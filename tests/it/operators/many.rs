//! Thousands of dead letters in one job, through kills and a cancellation: every item ends once.
//!
//! 1 000 of them in the usual run, 10 000 in a long one (`CROSSDOCK_LONG`): a debug build makes them in minutes.

use std::collections::HashMap;
use std::time::Instant;

use crossdock::canonical::notification::{Kind, Notification, STATUS_UPDATED};
use crossdock::canonical::order::SourceSystem;
use crossdock::cli::partner::Receiver;
use futures_util::StreamExt as _;
use serde_json::json;

use super::{HELD_SOON, Job, PYXIS, refuse_all, until_indexed};
use crate::outbound::partners::Partners;
use crate::outbound::platform::event_id;
use crate::outbound::{balance, in_time};
use crate::support::{Client, Gateway, Options};

/// Records appended side by side.
const APPENDED_AT_ONCE: usize = 64;
/// Calls under way at once: `courier.sales.concurrency` of these tests.
const CALLED_AT_ONCE: usize = 64;
/// Calls that are made in reasonable time.
const SOME: usize = 100;
const PACE: [&str; 4] = ["--rate", "1000", "--canary", "10"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_dead_letters_ends_once_through_kills_and_a_cancelled_job() {
    let count = if std::env::var_os("CROSSDOCK_LONG").is_some() { 10_000 } else { 1_000 };
    let partners = Partners::start().await;
    let pyxis = &partners.pyxis;
    let options = partners.options(&Options { top: HELD_SOON.to_owned(), ..Options::default() });
    let gateway = Gateway::start_with(&options);
    refuse_all(pyxis);
    let made = Instant::now();
    let keys = notify(&gateway.client(), count).await;
    until_indexed(&gateway.client(), count).await;
    println!("{count} dead letters in {:?}", made.elapsed());
    let (job, planned) = Job::planned(&gateway);
    assert_eq!((&planned["items"], &planned["keys"]), (&json!(count), &json!(count)), "{planned}");
    pyxis.follow(Vec::new());

    let crash = [("CROSSDOCK_CRASH", "recovery.job.begun:5".to_owned())];
    let mut gateway = Gateway::spawn(gateway.kill(), &crash).unwrap_or_else(|(_, said)| panic!("{said:?}"));
    job.run(&gateway, &PACE);
    in_time("the fail point", async {
        while !gateway.has_ended() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let gateway = crate::topics_in::again(gateway.kill());
    until_applied(pyxis, count / 4).await;
    let gateway = crate::topics_in::again(gateway.kill());
    until_applied(pyxis, count / 2).await;
    let cancelled = job.cancel(&gateway);
    let [pending, requested, succeeded, failed, refused] = Job::counts(&cancelled);
    assert!(pending > 0, "{cancelled}");
    assert_eq!((pending + requested + succeeded, failed, refused), (count as u64, 0, 0), "{cancelled}");
    let (rest, planned) = Job::planned(&gateway);
    let items = planned["items"].as_u64().expect("a number");
    assert!((pending..=pending + requested).contains(&items), "{planned}");
    let resumed = Instant::now();
    rest.run(&gateway, &PACE);
    let client = gateway.client();
    until_applied(pyxis, count).await;
    let ended = rest.until_ended(&client).await;
    println!("{items} of them replayed in {:?}", resumed.elapsed());

    let [pending_then, requested_then, succeeded_then, failed_then, refused_then] = Job::counts(&ended);
    assert_eq!((pending_then, requested_then, failed_then), (0, 0, 0), "{ended}");
    assert_eq!(succeeded_then + refused_then, items, "{ended}");
    // Those of the first job that were with their lanes when the second was planned.
    let told = rest.items(&client).await;
    let mut refusals = told.iter().filter(|item| item["state"] == "refused").map(|item| item["outcome"].as_str());
    let known = ["the failure is resolved already", "the record has ended already", "nothing_to_do"];
    assert!(refusals.all(|why| why.is_some_and(|why| known.contains(&why))), "{told:?}");
    assert!(refused_then <= requested, "{ended}");
    assert_each_is_made_once(pyxis, &keys, 2);
    let applied = i64::try_from(count).expect("few");
    balance::until_all(&client, PYXIS, &[("held", 0), ("dead", 0), ("skipped", 0), ("applied", applied)]).await;
    until_indexed(&client, 0).await;
    let rows = job.items(&client).await;
    let still_pending = rows.iter().filter(|item| item["state"] == "pending").count();
    assert_eq!((rows.len(), still_pending as u64), (count, pending), "what was cancelled stays as it was");
}

/// Each call was refused once and made once; what a kill cut off is repeated with the same key, and nothing else is.
fn assert_each_is_made_once(pyxis: &Receiver, keys: &[String], kills: usize) {
    let (mut attempts, mut applied) = (HashMap::<String, usize>::new(), HashMap::<String, usize>::new());
    pyxis.look(|received| {
        for call in received.calls() {
            *attempts.entry(call.idempotency_key.clone()).or_default() += 1;
            *applied.entry(call.idempotency_key.clone()).or_default() += usize::from(call.applied);
        }
    });
    assert_eq!(attempts.len(), keys.len(), "calls nobody asked for");
    let mut repeated = 0;
    for key in keys {
        assert_eq!(applied.get(key), Some(&1), "{key}");
        repeated += attempts[key] - 2;
    }
    assert!(repeated <= kills * CALLED_AT_ONCE, "{repeated} calls were repeated by {kills} kills");
}

/// Waits as long as there are more from time to time.
async fn until_applied(pyxis: &Receiver, count: usize) {
    let mut applied = 0;
    while applied < count {
        let next = (applied + SOME).min(count);
        in_time("more calls are made", pyxis.until(|received| received.applied_count() >= next)).await;
        applied = pyxis.look(|received| received.applied_count());
    }
}

/// Appends one notification for each of `count` orders where the translator would; gives their idempotency keys.
async fn notify(client: &Client, count: usize) -> Vec<String> {
    let notify = |number: usize| async move {
        let notification = notification(number);
        let key = notification.order().to_string();
        client.put(PYXIS, &key, &notification.to_bytes().expect("JSON")).await;
        notification.idempotency_key("pyxis-north", Kind::Status, None).to_string()
    };
    futures_util::stream::iter(0..count).map(notify).buffer_unordered(APPENDED_AT_ONCE).collect().await
}

fn notification(number: usize) -> Notification {
    let (event_id, external_order_id) = (event_id(&format!("many:{number}")), format!("PYX-M-{number}"));
    let fsm_service_order_id = "8fc78ce8-6c4a-55d8-aaaa-f149200431d2".to_owned();
    let event = json!({
        "event_id": event_id,
        "event_timestamp": 1_772_700_000_000_i64,
        "source_system": "PYXIS",
        "external_order_id": external_order_id,
        "fsm_service_order_id": fsm_service_order_id,
        "status": "SCHEDULED",
        "scheduled_date": "2027-03-04",
        "provider_name": null,
    });
    Notification {
        kind: Kind::Status,
        topic: "fsm.order.status_updated".to_owned(),
        record: STATUS_UPDATED.to_owned(),
        event_id,
        tenant_id: "north".to_owned(),
        source_system: SourceSystem::Pyxis,
        source_key: "pyxis".to_owned(),
        external_order_id,
        fsm_service_order_id,
        country_code: Some("FR".to_owned()),
        cancelled_by_source: false,
        event,
    }
}
