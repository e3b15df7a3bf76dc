//! Replay jobs on a real Kafka broker and a real PostgreSQL server, with more than one gateway.

use serde_json::json;

use super::jobs::replay_an_outage;
use super::{HELD_SOON, Job, Outage, attempts};
use crate::outbound::in_time;
use crate::outbound::partners::{assert_in_order, until_told};
use crate::scale_out::create_topics_of_others;
use crate::support::services::Services;
use crate::support::{Gateway, Options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_tells_every_held_order_in_order_on_kafka_and_postgresql() {
    let services = Services::start("operators-job");
    let options = with_lanes(&services);
    create_topics_of_others(&Gateway::start_with(&options));

    replay_an_outage(&Outage::with(&options, 12, 2).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_gateway_dies_is_ended_by_another() {
    let services = Services::start("operators-two");
    let options = with_lanes(&services);
    create_topics_of_others(&Gateway::start_with(&options));
    let Outage { gateway, partners, orders } = Outage::with(&options, 30, 2).await;
    let pyxis = &partners.pyxis;
    let (job, _) = Job::planned(&gateway);
    pyxis.follow(Vec::new());
    job.run(&gateway, &["--rate", "5", "--canary", "0"]);
    let other = Gateway::start_with(&partners.options(&options));
    in_time("some are told", pyxis.until(|received| received.applied_count() > 1)).await;

    drop(gateway.kill());
    let ended = job.until_ended(&other.client()).await;

    assert_eq!((&ended["state"], Job::counts(&ended)), (&json!("done"), [0, 0, 30, 0, 0]), "{ended}");
    until_told(pyxis, &orders).await;
    assert_in_order(pyxis, &orders);
    let first: Vec<_> = orders.iter().map(|order| order.keys[0].as_str()).collect();
    // What was under way when the gateway died is told again, with the same key.
    assert!(attempts(pyxis, &first).iter().all(|attempts| (2..=3).contains(attempts)), "{:?}", attempts(pyxis, &first));
}

fn with_lanes(services: &Services) -> Options {
    let Options { mut top, .. } = services.options();
    top.push_str(HELD_SOON);
    Options { top, ..Options::default() }
}
