//! The straight line on a real Kafka broker and a real PostgreSQL server, chosen by configuration alone.

use reqwest::Method;

use crate::kills::{FAIL_POINTS, Lives, lose_nothing_and_repeat_nothing};
use crate::support::client::answer;
use crate::support::services::Services;
use crate::support::{Gateway, PATIENCE, is_long, pyxis};
use crate::{failures, straight_line, topics_avro, topics_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_line_runs_on_kafka_and_postgresql() {
    let services = Services::start("line");
    let gateway = Gateway::start_with(&services.options());
    let client = gateway.client();

    straight_line::deliver_the_printed_order(&client).await;

    // What the largest payload makes of a record: 2 MiB and 10 000 lines.
    let mut order = pyxis::order("PYX-LONG");
    let line = |number: usize| {
        serde_json::json!({"line_number": number, "product_code": "P".repeat(64), "quantity": 1,
            "service_code": "TV_X", "product_name": "n".repeat(40)})
    };
    order["line_items"] = (1..=10_000).map(line).collect();
    assert!(order.to_string().len() > 1_900_000);
    client.deliver(&order).await.assert_accepted();
    client.first_events("integration.sales.order.normalized", 2).await;
    assert_eq!(client.order("PYX-LONG").await["canonical"]["lines"].as_array().map(Vec::len), Some(10_000));

    let (directory, status) = gateway.terminate();
    assert!(status.success(), "{status}");
    let gateway = Gateway::spawn(directory, &[]).unwrap_or_else(|(_, said)| panic!("{}", said.join("\n")));
    let client = gateway.client();
    client.deliver(&pyxis::order("PYX-AFTER")).await.assert_accepted();
    client.first_events("integration.sales.order.normalized", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_of_others_are_read_on_kafka_as_on_the_built_in_log() {
    let services = Services::start("topics");
    let gateway = Gateway::start_with(&services.options());
    let client = gateway.client();
    let remark = format!("there is no topic {}", topics_in::CREATED);
    // A topic that is not there is told, and no reason not to be ready.
    let told = async {
        loop {
            let readiness = answer(client.ops(Method::GET, "/readyz")).await.expect("an answer").body;
            if readiness["status"] == "ready" && readiness["remarks"].to_string().contains(&remark) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("topics that are missing are told");
    create_topics_of_others(&gateway);

    topics_in::follow_an_order(&client).await;
    topics_in::park_and_release(&client).await;
    topics_in::meet_the_same_state(&client).await;
    topics_in::reject_and_go_on(&client).await;
    topics_avro::meet_the_envelope(&client).await;
    let gateway = topics_in::keep_the_order(gateway).await;

    let (_, status) = gateway.terminate();
    assert!(status.success(), "{status}");
}

/// What the owners of those topics do.
pub fn create_topics_of_others(gateway: &Gateway) {
    let applied = gateway.command(&["topics", "apply", "--create-foreign"]).output().expect("it runs");
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
}

/// 20 times, or 200 in a long run (`deploy/test --long`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_on_kafka_and_postgresql_lose_nothing_and_repeat_nothing() {
    let services = Services::start("kills");
    create_topics_of_others(&Gateway::start_with(&services.options()));
    let kills = if is_long() { 200 } else { 20 };

    // Between Kafka's own steps there is nowhere to stop the process; the random kills fall there.
    let points: Vec<&str> = FAIL_POINTS.into_iter().filter(|point| !point.starts_with("log.")).collect();
    lose_nothing_and_repeat_nothing(&services.options(), &points, &Lives { kills, answers: 400, passes: 1 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_payload_is_found_corrected_and_replayed_on_kafka_and_postgresql() {
    let services = Services::start("failures");

    failures::find_correct_and_replay(&Gateway::start_with(&services.options())).await;
}
