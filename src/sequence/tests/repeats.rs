//! The same payload again: its rejection is published once, whoever decides and whatever fails.

use super::faults::Fault;
use super::gateway::{DAY, Gateway, START};
use super::*;
use crate::canonical::draft::INTAKE;
use crate::log;
use crate::store::conformance::samples::keep;
use crate::store::{Balance, Keep, LaneId, Outcome};

const FAILED: &str = "integration.sales.order.failed";

fn bad() -> Draft {
    rejected(Some("A"), Code::UnknownCode)
}

/// Of each step of the order of [`bad`]: how it ended, and whether its event was published before.
async fn steps(gateway: &Gateway) -> Vec<(Option<Outcome>, bool)> {
    let journey = gateway.journey(bad().head.service_order_id().expect("the order has an id")).await;
    journey.iter().map(|detail| (detail.outcome, detail.events[0].already_published)).collect()
}

#[tokio::test]
async fn a_rejection_that_comes_again_ends_as_before_and_is_published_once() {
    let rejected = Some(Outcome::Rejected);
    for (name, batch_records) in [("in one batch", 100), ("in a batch each", 1)] {
        let mut gateway = Gateway::open().await;
        gateway.batch_records = batch_records;
        gateway.append([bad(), bad()]).await;
        gateway.run().await.expect("the lane runs");
        gateway.append([bad()]).await;

        let mut lane = gateway.take_over().await.expect("the lane is free");
        gateway.finish(&mut lane).await.expect("the next owner runs");

        assert_eq!(gateway.records(FAILED).await.len(), 1, "{name}");
        assert_eq!(steps(&gateway).await, [(rejected, false), (rejected, true), (rejected, true)], "{name}");
        assert_eq!(lane.balance, Balance { taken: 3, applied: 3, parked: 0 }, "{name}");
        let lane = LaneId { topic: INTAKE.into(), partition: 0 };
        let decisions = gateway.store.decisions(&lane, 0, 3).await.expect("the store is there");
        let effects: Vec<_> = decisions.iter().map(|decision| (decision.outcome, decision.effects.len())).collect();
        assert_eq!(effects, [(Outcome::Rejected, 1), (Outcome::Rejected, 0), (Outcome::Rejected, 0)], "{name}");
    }
}

#[tokio::test]
async fn a_replay_and_another_tenant_have_an_event_of_their_own() {
    let gateway = Gateway::open().await;
    let mut replayed = bad();
    replayed.head.retry_count = 1;
    let mut of_another_tenant = bad();
    of_another_tenant.head.tenant_id = "south".into();

    gateway.append([bad(), replayed.clone(), of_another_tenant, bad(), replayed]).await;
    gateway.run().await.expect("the lane runs");

    let published = gateway.records(FAILED).await;
    let of = |record: &log::Record| {
        (record.header("tenant-id").map(str::to_owned), gateway.value(record)["retry_count"].as_i64())
    };
    let published: Vec<_> = published.iter().map(|stored| of(&stored.record)).collect();
    let expected = [("north", 0), ("north", 1), ("south", 0)];
    assert_eq!(published, expected.map(|(tenant, retries)| (Some(tenant.to_owned()), Some(retries))));
}

#[tokio::test]
async fn what_the_table_rejects_again_is_published_once_too() {
    let gateway = Gateway::open().await;
    let contradicting = || order_named("B", Intent::Updated, 200, "x");
    gateway.append([created(100, "a"), created(100, "b"), created(100, "b")]).await;
    gateway.append([contradicting(), contradicting(), order_named("B", Intent::Updated, 200, "w")]).await;
    gateway.append([order_named("B", Intent::Updated, 200, "w"), order_named("B", Intent::Created, 100, "a")]).await;

    gateway.run().await.expect("the lane runs");

    assert_eq!(gateway.records(FAILED).await.len(), 2, "one of a record, one of those released");
    let journey = gateway.journey(contradicting().head.service_order_id().expect("the order has an id")).await;
    let rejected: Vec<_> = journey.iter().filter(|detail| detail.outcome == Some(Outcome::Rejected)).collect();
    assert_eq!(rejected.iter().map(|detail| detail.events[0].already_published).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn an_update_that_waited_twice_runs_out_twice_and_is_published_once() {
    let gateway = Gateway::open().await;
    gateway.append([updated(200, "b")]).await;
    gateway.run().await.expect("the lane runs");
    gateway.clock.advance(1);
    gateway.append([updated(200, "b"), updated(300, "c")]).await;
    gateway.run().await.expect("the lane runs");
    let mut lane = gateway.take_over().await.expect("the lane is free");

    for wait in [DAY - 1, 1] {
        gateway.clock.advance(wait);
        gateway.finish(&mut lane).await.expect("the lane runs");
    }

    assert_eq!(lane.balance, Balance { taken: 3, applied: 3, parked: 0 });
    assert_eq!(gateway.records(FAILED).await.len(), 2, "one of each payload");
}

#[tokio::test]
async fn a_crash_at_any_commit_neither_loses_nor_repeats_the_rejection() {
    let fenced = || log::Error::Fenced { topic: INTAKE.into(), partition: 0 };
    for (name, fault) in [("before", Fault::Before(fenced())), ("after", Fault::After(fenced()))] {
        for calls in 0..4 {
            let mut gateway = Gateway::open().await;
            gateway.batch_records = 1;
            gateway.append([bad(), bad(), bad()]).await;
            gateway.commits.after(calls, [fault.clone()]);

            gateway.run().await.expect("the last owner runs");

            assert_eq!(gateway.records(FAILED).await.len(), 1, "crash {name} commit {calls}");
            assert_eq!(steps(&gateway).await.len(), 3, "crash {name} commit {calls}");
        }
    }
}

#[tokio::test]
async fn a_rejection_is_published_again_once_the_first_is_forgotten() {
    let gateway = Gateway::open().await;
    gateway.append([bad()]).await;
    gateway.run().await.expect("the lane runs");
    gateway.store.prune(Keep { events_since: START + 1, ..keep() }).await.expect("the store is there");
    gateway.append([bad()]).await;

    gateway.run().await.expect("the lane runs");

    assert_eq!(gateway.records(FAILED).await.len(), 2);
}

#[tokio::test]
async fn a_store_that_was_lost_learns_again_what_was_published() {
    let mut gateway = Gateway::open().await;
    gateway.append([bad()]).await;
    gateway.run().await.expect("the lane runs");
    gateway.with_store_file(|path| std::fs::remove_file(path).expect("a file can be deleted"));
    gateway.append([bad()]).await;

    gateway.run().await.expect("the lane catches up");

    assert_eq!(gateway.records(FAILED).await.len(), 1);
    assert_eq!(steps(&gateway).await, [(Some(Outcome::Rejected), false), (Some(Outcome::Rejected), true)]);
}
