//! Three brokers, of which one dies and comes back under load.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::Value;

use crate::kills::{Script, Work, check_events, check_outcomes, deliver_until_the_end, wait_for_every_lane};
use crate::support::services::Services;
use crate::support::{Client, Gateway, Options, PATIENCE, crossdock, is_long};

const NORMALIZED: &str = "integration.sales.order.normalized";
/// Answers between two looks at whether the load is to end.
const ROUND: usize = 50;
/// Events that have to be published between two changes of the cluster.
const PROGRESS: usize = 150;

/// Only in a long run (`deploy/test --long`): three brokers need a machine for themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_killed_under_load_lose_nothing_repeat_nothing_and_keep_the_order() {
    if !is_long() {
        println!("left out: three brokers are started in long runs only (CROSSDOCK_LONG)");
        return;
    }
    let services = Services::start_these("brokers", &["--brokers", "3", "kafka", "postgres"]);
    let Options { mut top, .. } = services.options();
    top.push_str("log.kafka.replication_factor = 3\n");
    let options = Options { top, ..Options::default() };
    let directory = Gateway::prepare(&options);
    assert_eq!(topics(directory.path(), &["apply", "--create-foreign"]).0, Some(0));
    let (code, planned) = topics(directory.path(), &["plan"]);
    assert_eq!(code, Some(0), "{planned}");
    let own: Vec<_> = planned.lines().filter(|line| line.contains(" × 3 ") && !line.contains(" foreign ")).collect();
    assert!(!own.is_empty() && own.iter().all(|line| line.starts_with("same ")), "{planned}");

    let gateway = Gateway::spawn(directory, &[]).unwrap_or_else(|(_, said)| panic!("{}", said.join("\n")));
    let client = gateway.client();
    let work = Arc::new(Mutex::new(Work::default()));
    let enough = AtomicBool::new(false);
    let load = async {
        while !enough.load(Ordering::Acquire) {
            deliver_until_the_end(&gateway, &work, ROUND).await;
        }
    };
    let outages = async {
        let mut published = PROGRESS;
        wait_for_published(&client, published).await;
        // The first to be killed is, as a rule, the active controller.
        for node in [1, 3] {
            services.kill_broker(node);
            for _ in 0..2 {
                published += PROGRESS;
                wait_for_published(&client, published).await;
            }
            tokio::task::block_in_place(|| services.restart_broker(node));
            published += PROGRESS;
            wait_for_published(&client, published).await;
        }
        enough.store(true, Ordering::Release);
    };
    tokio::join!(load, outages);

    while !work.lock().expect("no panic while locked").waiting.is_empty() {
        deliver_until_the_end(&gateway, &work, usize::MAX).await;
    }
    wait_for_every_lane(&client).await;
    let scripts = std::mem::take(&mut work.lock().expect("no panic while locked").finished);
    println!("{} orders were answered 202 through two outages", scripts.len());
    check_events(&client, &scripts).await;
    check_outcomes(&client, &scripts).await;
    check_order(&client, &scripts).await;
}

/// Until so many events have been published. While a partition has no leader the tail is answered 503, or cut off.
async fn wait_for_published(client: &Client, count: usize) {
    let path = format!("/api/v1/ops/events/{NORMALIZED}?from=beginning&follow=true&limit={count}");
    let published = async {
        loop {
            let tail = client.ops(Method::GET, &path).send().await.expect("the operations API answers");
            let is_open = tail.status() == 200;
            assert!(is_open || tail.status() == 503, "{}", tail.status());
            if is_open && tail.text().await.is_ok_and(|lines| lines.lines().count() == count) {
                return;
            }
        }
    };
    tokio::time::timeout(3 * PATIENCE, published).await.unwrap_or_else(|_| panic!("{count} events were not published"));
}

/// The events of an order were published in the order in which its journey says they were decided.
async fn check_order(client: &Client, scripts: &[Script]) {
    let mut published: HashMap<String, Vec<Value>> = HashMap::new();
    for event in client.events(NORMALIZED).await {
        let order_id = event["value"]["external_order_id"].as_str().expect("an id").to_owned();
        published.entry(order_id).or_default().push(event["value"]["event_id"].clone());
    }
    for script in scripts.iter().filter(|script| script.accepted() > 0) {
        let order = client.order(&script.order_id).await;
        let steps = order["journey"].as_array().expect("a journey").iter();
        let events = steps.flat_map(|step| step["events"].as_array().into_iter().flatten());
        let decided: Vec<_> =
            events.filter(|event| event["topic"] == NORMALIZED).map(|event| event["event_id"].clone()).collect();
        assert_eq!(published.get(&script.order_id), Some(&decided), "{script:?}");
    }
}

/// Exit code and output of `crossdock topics`.
fn topics(folder: &std::path::Path, command: &[&str]) -> (Option<i32>, String) {
    let mut run = crossdock();
    for name in ["OPERATOR", "BEARER", "OTHER_BEARER", "SECRET", "OLD_SECRET", "TEMPO_BEARER", "TEMPO_SECRET"] {
        run.env(format!("TEST_{name}"), format!("{name}-0123456789abcdef"));
    }
    let run =
        run.arg("topics").args(command).args(["--config", "crossdock.toml"]).current_dir(folder).output().expect("run");
    (run.status.code(), String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr))
}
