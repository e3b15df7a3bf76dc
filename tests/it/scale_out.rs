//! The straight line on a real Kafka broker and a real PostgreSQL server, chosen by configuration alone.

use crate::kills::{FAIL_POINTS, Lives, lose_nothing_and_repeat_nothing};
use crate::straight_line;
use crate::support::services::Services;
use crate::support::{Gateway, pyxis};

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
async fn twenty_kills_on_kafka_and_postgresql_lose_nothing_and_repeat_nothing() {
    let services = Services::start("kills");

    // Between Kafka's own steps there is nowhere to stop the process; the random kills fall there.
    let points: Vec<&str> = FAIL_POINTS.into_iter().filter(|point| !point.starts_with("log.")).collect();
    lose_nothing_and_repeat_nothing(&services.options(), &points, &Lives { kills: 20, answers: 400, passes: 1 }).await;
}
