//! Deadlines of what waits, and the crash-safety of timers.

use super::faults::Fault;
use super::gateway::{DAY, Gateway};
use super::*;
use crate::canonical::draft::INTAKE;
use crate::log;
use crate::ownership::End;
use crate::sequence::GROUP;
use crate::sequence::metadata::Metadata;
use crate::store::{Balance, Outcome, Phase};

#[tokio::test]
async fn an_update_whose_order_never_came_is_published_as_a_failure() {
    let gateway = Gateway::open().await;
    gateway.append([updated(200, "b")]).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");
    gateway.clock.advance(DAY - 1);
    gateway.finish(&mut lane).await.expect("the lane runs");
    assert_eq!((gateway.event_ids().await.len(), lane.balance.parked), (0, 1), "not before its time");

    gateway.clock.advance(1);
    gateway.finish(&mut lane).await.expect("the lane runs");
    gateway.finish(&mut lane).await.expect("the lane runs");

    let published = gateway.published().await;
    let [(topic, record)] = published.as_slice() else { panic!("one event: {published:?}") };
    let value = gateway.value(record);
    assert_eq!(topic, "integration.sales.order.failed");
    assert_eq!((&value["error_code"], &value["retry_count"]), (&"UNKNOWN_REFERENCE".into(), &0.into()));
    assert!(value["error_message"].as_str().is_some_and(|message| message.starts_with("/order_id: ")), "{value}");
    assert_eq!(record.header("traceparent"), Some("trace of correlation PYX-FR-20260304-7731 Updated 200 b"));
    assert_eq!(lane.balance, Balance { taken: 1, applied: 1, parked: 0 });
    let journey = gateway.journey(gateway.order(&created(0, "")).await.expect("a row stays").id()).await;
    assert_eq!(journey.last().and_then(|detail| detail.outcome), Some(Outcome::Rejected));
}

#[tokio::test]
async fn a_tombstone_expires_silently_and_leaves_updates_their_own_time() {
    let gateway = Gateway::open().await;
    gateway.append([cancelled(200)]).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");
    gateway.finish(&mut lane).await.expect("the lane runs");
    gateway.clock.advance(30 * DAY - 1);
    gateway.append([updated(300, "b")]).await;
    gateway.finish(&mut lane).await.expect("the lane runs");

    gateway.clock.advance(1);
    gateway.finish(&mut lane).await.expect("the lane runs");

    let state = gateway.order(&created(0, "")).await.expect("an update waits");
    assert_eq!((&state.phase, state.parked.len()), (&Phase::Unknown, 1));
    assert_eq!(lane.balance, Balance { taken: 2, applied: 1, parked: 1 });
    assert!(gateway.published().await.is_empty());
    let journey = gateway.journey(state.id()).await;
    assert_eq!(journey.last().and_then(|detail| detail.outcome), Some(Outcome::Expired));

    gateway.append([created(100, "a")]).await;
    gateway.finish(&mut lane).await.expect("the lane runs");

    assert_eq!(gateway.event_ids().await.len(), 4, "the order is created and updated as if nothing had been");
}

#[tokio::test]
async fn a_lane_that_is_late_expires_nothing_its_creation_was_in_time_for() {
    let mut gateway = Gateway::open().await;
    gateway.batch_records = 1; // timers run between any two records
    gateway.append([updated(200, "b")]).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");
    gateway.finish(&mut lane).await.expect("the lane runs");
    drop(lane);
    gateway.clock.advance(DAY - 1);
    gateway.append([order_named("another", Intent::Created, 100, "a"), created(100, "a")]).await;
    gateway.clock.advance(DAY);

    gateway.run().await.expect("the next owner runs");

    let state = gateway.order(&created(0, "")).await.expect("it was created");
    assert!(matches!(&state.phase, Phase::Received(accepted) if accepted.revision == 200), "{state:?}");
}

#[tokio::test]
async fn a_crash_around_a_timer_publishes_its_failure_once() {
    let fenced = || log::Error::Fenced { topic: INTAKE.into(), partition: 0 };
    for (name, fault) in [("between store and log", Fault::Before(fenced())), ("after the log", Fault::After(fenced()))]
    {
        let gateway = Gateway::open().await;
        gateway.append((0..3).map(|n| order_named(&format!("N{n}"), Intent::Updated, 200, "b"))).await;
        let mut lane = gateway.take_over().await.expect("the lane is free");
        gateway.finish(&mut lane).await.expect("the lane runs");
        gateway.clock.advance(DAY);
        gateway.commits.after(0, [fault]);
        assert_eq!(gateway.finish(&mut lane).await, Err(End::Fenced), "{name}");

        gateway.run().await.expect("the next owner runs");
        gateway.run().await.expect("the one after it runs");

        let mut ids = gateway.event_ids().await;
        ids.dedup();
        assert_eq!((ids.len(), gateway.event_ids().await.len()), (3, 3), "{name}");
        let committed = gateway.log.committed(GROUP, INTAKE).await.expect("the log is there");
        let metadata = Metadata::parse(&committed[&0].metadata).expect("ours").expect("ours");
        assert_eq!(metadata.timers, 3, "{name}");
    }
}

#[tokio::test]
async fn more_timers_than_one_step_takes_all_run_out_whatever_happens_between_the_steps() {
    let gateway = Gateway::open().await;
    gateway.append((0..150).map(|n| order_named(&format!("N{n}"), Intent::Updated, 200, "b"))).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");
    gateway.finish(&mut lane).await.expect("the lane runs");
    gateway.clock.advance(DAY);
    gateway.finish(&mut lane).await.expect("one step runs");
    assert!(lane.balance.parked > 0, "one deadline for all of them, and one step does not take them all");
    drop(lane);

    let mut lane = gateway.take_over().await.expect("the lane is free");
    while lane.balance.parked > 0 {
        lane.step().await.expect("the lane runs");
    }

    assert_eq!(gateway.event_ids().await.len(), 150);
}

#[tokio::test]
async fn updates_beyond_those_that_may_wait_are_rejected_and_the_others_are_released() {
    let mut gateway = Gateway::open().await;
    gateway.max_parked_per_order = 2;
    gateway.append([300, 200, 400, 250].map(|revision| updated(revision, &revision.to_string()))).await;
    gateway.append([order_named("another", Intent::Updated, 200, "b")]).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");

    gateway.finish(&mut lane).await.expect("the lane runs");

    assert_eq!(lane.balance, Balance { taken: 5, applied: 2, parked: 3 });
    let failed = gateway.published().await;
    let codes: Vec<_> = failed.iter().map(|(_, record)| gateway.value(record)["error_code"].clone()).collect();
    assert_eq!(codes, ["LIMIT_EXCEEDED", "LIMIT_EXCEEDED"]);
    gateway.append([created(100, "a")]).await;
    gateway.finish(&mut lane).await.expect("the lane runs");
    let state = gateway.order(&created(0, "")).await.expect("it was created");
    assert!(matches!(&state.phase, Phase::Received(accepted) if accepted.revision == 300), "{state:?}");
    let updates = gateway.records("integration.sales.order_updated").await;
    assert_eq!(updates.len(), 2, "both that waited");
}
