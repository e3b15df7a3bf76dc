//! The whole sequencer: joins, runs its lanes side by side, hands them over, stops.

use std::sync::Arc;

use super::gateway::Gateway;
use super::*;
use crate::clock::SystemClock;
use crate::sequence::{Deps, LaneStatus, PUBLISHED, Pace, Sequencer};

const ORDERS: usize = 40;

fn deps(gateway: &Gateway) -> Deps {
    Deps { clock: Arc::new(SystemClock), pace: Pace::default(), ..gateway.deps() }
}

async fn append(gateway: &Gateway, orders: std::ops::Range<usize>) {
    gateway.append(orders.map(|n| order_named(&format!("N{n}"), Intent::Created, 100, "a"))).await;
}

/// Waits until `records` are published to the first topic, over all its partitions.
async fn await_received(gateway: &Gateway, records: usize) {
    loop {
        let mut ends = Vec::new();
        for partition in 0..3 {
            let bounds = gateway.log.bounds(PUBLISHED[0], partition).await.expect("the topic is there");
            ends.push((PUBLISHED[0].to_owned(), partition, bounds.end));
        }
        if ends.iter().map(|(.., end)| *end).sum::<i64>() >= records as i64 {
            return;
        }
        gateway.log.wait(ends, std::time::Duration::from_secs(10)).await.expect("the log is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_run_side_by_side_and_are_handed_over() {
    let gateway = Gateway::without_topics();
    gateway.create_topics(3).await;
    let first = Sequencer::start(deps(&gateway)).await.expect("the group can be joined");
    append(&gateway, 0..ORDERS).await;
    await_received(&gateway, ORDERS).await;
    assert_eq!(first.problems(), Vec::<String>::new());
    assert_eq!(first.lanes().into_values().collect::<Vec<_>>(), vec![LaneStatus::Running; 3]);

    let second = Sequencer::start(deps(&gateway)).await.expect("the group can be joined");
    append(&gateway, ORDERS..2 * ORDERS).await;
    await_received(&gateway, 2 * ORDERS).await;
    first.stop().await;
    second.stop().await;

    let mut published = 0;
    for partition in 0..3 {
        published += gateway.log.bounds(PUBLISHED[0], partition).await.expect("the topic is there").end;
    }
    assert_eq!(published, 2 * ORDERS as i64, "each order once");
    let accepted = gateway.metrics.outcomes.with_label_values(&["pyxis-north", "accepted"]).get();
    assert_eq!(accepted, 2 * ORDERS as u64);
    let records = |state| gateway.metrics.lane_records.with_label_values(&["crossdock.intake", state]).get();
    assert_eq!((records("taken"), records("applied"), records("parked")), (0, 0, 0), "no lane is owned any more");
}

#[tokio::test]
async fn a_stop_leaves_nothing_half_done() {
    let gateway = Gateway::open().await;
    append(&gateway, 0..ORDERS).await;
    let sequencer = Sequencer::start(deps(&gateway)).await.expect("the group can be joined");
    await_one(&gateway).await;

    sequencer.stop().await;

    gateway.run().await.expect("the next owner runs");
    assert_eq!(gateway.records(PUBLISHED[0]).await.len(), ORDERS, "each order once");
}

async fn await_one(gateway: &Gateway) {
    let first = vec![(PUBLISHED[0].to_owned(), 0, 0)];
    while gateway.records(PUBLISHED[0]).await.is_empty() {
        gateway.log.wait(first.clone(), std::time::Duration::from_secs(10)).await.expect("the log is there");
    }
}
