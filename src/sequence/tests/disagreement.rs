//! Log and store disagree: a stale copy of the store, an offset set by a tool, a log that lost its end.

use std::path::Path;

use super::faults::Fault;
use super::gateway::{DAY, Gateway};
use super::*;
use crate::canonical::draft::INTAKE;
use crate::log::{self, LaneEffects, OffsetCommit, Ownership};
use crate::ownership::End;
use crate::sequence::GROUP;
use crate::sequence::ledger::{Gap, What};
use crate::store::conformance::samples::keep;
use crate::store::{Keep, LaneId};

fn creations(names: std::ops::Range<usize>) -> impl Iterator<Item = Draft> {
    names.map(|n| order_named(&format!("N{n}"), Intent::Created, 100, "a"))
}

/// Sets the group's offset as a tool would: without our metadata.
async fn reset(gateway: &Gateway, offset: i64) {
    let member = gateway.log.join(GROUP, &[INTAKE]).await.expect("the log is there");
    let Ok(Ownership::Assigned(lanes)) = member.next().await else { panic!("a new member owns lanes") };
    let effects = LaneEffects {
        lane: lanes[0].clone(),
        offset: OffsetCommit { offset, metadata: String::new() },
        others: Default::default(),
        appends: vec![],
    };
    member.commit(vec![effects]).await.expect("the log is there");
}

#[tokio::test]
async fn a_store_that_is_behind_catches_up_and_publishes_nothing_again() {
    let mut gateway = Gateway::open().await;
    gateway.batch_records = 2;
    gateway.append(creations(0..3).chain([order_named("N0", Intent::Updated, 200, "b")])).await;
    gateway.append([order_named("late", Intent::Updated, 200, "b")]).await;
    gateway.run().await.expect("the lane runs");
    let copy = gateway.dir.path().join("copy.db");
    gateway.with_store_file(|path| copy_store(path, &copy));
    gateway.append(creations(3..6).chain([order_named("N3", Intent::Updated, 200, "b")])).await;
    gateway.run().await.expect("the lane runs");
    gateway.clock.advance(DAY);
    gateway.run().await.expect("the update runs out");
    let before = gateway.published().await;
    let state = gateway.order(&order_named("N3", Intent::Created, 0, "")).await;
    assert!(state.is_some());

    gateway.with_store_file(|path| copy_store(&copy, path));
    assert_eq!(gateway.order(&order_named("N3", Intent::Created, 0, "")).await, None, "the store is behind");
    let fenced = log::Error::Fenced { topic: INTAKE.into(), partition: 0 };
    gateway.commits.after(1, [Fault::After(fenced)]);
    assert_eq!(gateway.run().await, Ok(2), "the lane catches up, a crash half way notwithstanding");

    assert_eq!(gateway.published().await, before);
    assert_eq!(gateway.order(&order_named("N3", Intent::Created, 0, "")).await, state);
    gateway.append([order_named("N3", Intent::Updated, 300, "c"), order_named("later", Intent::Updated, 1, "a")]).await;
    gateway.run().await.expect("the lane runs");
    gateway.clock.advance(DAY);
    gateway.run().await.expect("the update runs out");
    assert_eq!(gateway.published().await.len(), before.len() + 3, "what is new is published");
}

#[tokio::test]
async fn a_timer_after_a_loss_of_the_store_is_never_taken_for_one_before_it() {
    let mut gateway = Gateway::open().await;
    gateway.append([updated(200, "b")]).await;
    gateway.run().await.expect("the lane runs");
    let copy = gateway.dir.path().join("copy.db");
    gateway.with_store_file(|path| copy_store(path, &copy));
    gateway.clock.advance(DAY);
    gateway.run().await.expect("the update runs out");
    gateway.append([created(100, "a")]).await;
    gateway.run().await.expect("the lane runs");
    gateway.with_store_file(|path| copy_store(&copy, path));
    // This time the creation ends the update: no timer runs again.
    gateway.append([order_named("N0", Intent::Updated, 200, "b")]).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");
    gateway.finish(&mut lane).await.expect("the lane catches up");
    let before = gateway.event_ids().await;
    assert_eq!(before.len(), 3);
    gateway.clock.advance(DAY);
    gateway.commits.after(0, [Fault::Before(log::Error::Fenced { topic: INTAKE.into(), partition: 0 })]);
    assert_eq!(gateway.finish(&mut lane).await, Err(End::Fenced));

    gateway.run().await.expect("the next owner runs");

    assert_eq!(gateway.event_ids().await.len(), before.len() + 1, "the new timer has spoken");
}

#[tokio::test]
async fn an_offset_that_was_reset_publishes_nothing_twice() {
    for offset in 0..=3 {
        let gateway = Gateway::open().await;
        let mut lane = gateway.take_over().await.expect("the lane is free");
        for n in 0..3 {
            gateway.append(creations(n..n + 1)).await;
            gateway.finish(&mut lane).await.expect("the lane runs");
        }
        gateway.append([order_named("late", Intent::Updated, 200, "b")]).await;
        gateway.clock.advance(DAY);
        gateway.run().await.expect("the update runs out");
        let before = gateway.published().await;
        reset(&gateway, offset).await;

        gateway.run().await.expect("the lane runs");

        assert_eq!(gateway.published().await, before, "reset to {offset}");
        gateway.append(creations(3..4)).await;
        gateway.run().await.expect("the lane runs");
        assert_eq!(gateway.published().await.len(), before.len() + 2, "reset to {offset}: what is new is published");
    }
}

#[tokio::test]
async fn a_reset_after_a_crash_publishes_what_the_crash_held_back() {
    for offset in 0..=5 {
        for is_timer in [false, true] {
            let gateway = Gateway::open().await;
            gateway.append(creations(0..2)).await;
            gateway.append([order_named("late", Intent::Updated, 200, "b")]).await;
            gateway.run().await.expect("the lane runs");
            let before = gateway.published().await.len();
            match is_timer {
                false => gateway.append(creations(2..4)).await,
                true => gateway.clock.advance(DAY),
            }
            let mut lane = gateway.take_over().await.expect("the lane is free");
            gateway.commits.after(0, [Fault::Before(log::Error::Fenced { topic: INTAKE.into(), partition: 0 })]);
            assert_eq!(gateway.finish(&mut lane).await, Err(End::Fenced), "stored and not published");
            assert_eq!(gateway.published().await.len(), before);
            reset(&gateway, if is_timer { offset.min(3) } else { offset }).await;

            gateway.run().await.expect("the lane runs");

            let held_back = if is_timer { 1 } else { 4 };
            assert_eq!(gateway.published().await.len(), before + held_back, "reset to {offset}, timer: {is_timer}");
        }
    }
}

#[tokio::test]
async fn an_accepted_gap_takes_nothing_back_that_was_decided_before_it() {
    // A crash at any commit of the start: of the offset as it is, of what was unpublished, of the lane's own offset.
    for crash_at in 0..4 {
        let mut gateway = Gateway::open().await;
        gateway.append(creations(0..2)).await;
        let mut lane = gateway.take_over().await.expect("the lane is free");
        gateway.commits.after(0, [Fault::Before(log::Error::Fenced { topic: INTAKE.into(), partition: 0 })]);
        assert_eq!(gateway.finish(&mut lane).await, Err(End::Fenced), "stored and not published");
        gateway.append(creations(2..4)).await;
        reset(&gateway, 3).await;
        gateway.accept_skip = true;
        gateway.commits.after(crash_at, [Fault::Before(log::Error::Fenced { topic: INTAKE.into(), partition: 0 })]);

        assert_eq!(gateway.run().await, Ok(2), "crash at commit {crash_at}");

        assert_eq!(gateway.published().await.len(), 6, "all orders but the one in the gap: crash at {crash_at}");
        let journey = gateway.journey(uuid::Uuid::nil()).await;
        assert_eq!(journey.iter().map(|detail| detail.gap).collect::<Vec<_>>(), [Some(Gap { from: 2, to: 3 })]);
    }
}

#[tokio::test]
async fn an_offset_beyond_what_was_decided_is_refused_until_the_gap_is_accepted() {
    let mut gateway = Gateway::open().await;
    gateway.append(creations(0..2)).await;
    gateway.run().await.expect("the lane runs");
    gateway.append(creations(2..6)).await;
    reset(&gateway, 4).await;

    let Err(End::Refused { reason }) = gateway.run().await else { panic!("the lane is refused") };
    assert_eq!(
        reason,
        "offsets 2 to 4 were never decided: the lane goes on at 4 only with `crossdock serve --accept-skip`"
    );
    assert_eq!(gateway.event_ids().await.len(), 4);

    gateway.accept_skip = true;
    gateway.run().await.expect("the gap is accepted");

    assert_eq!(gateway.event_ids().await.len(), 8, "the orders behind the gap are published");
    assert_eq!(gateway.order(&order_named("N2", Intent::Created, 0, "")).await, None);
    let journey = gateway.journey(uuid::Uuid::nil()).await;
    assert_eq!(
        journey.iter().map(|detail| (detail.what, detail.gap)).collect::<Vec<_>>(),
        [(What::Gap, Some(Gap { from: 2, to: 4 }))]
    );
}

#[tokio::test]
async fn a_decision_the_store_has_lost_is_not_made_again() {
    let gateway = Gateway::open().await;
    gateway.append(creations(0..2)).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");
    gateway.commits.after(0, [Fault::Before(log::Error::Fenced { topic: INTAKE.into(), partition: 0 })]);
    assert_eq!(gateway.finish(&mut lane).await, Err(End::Fenced));
    let lane = LaneId { topic: INTAKE.into(), partition: 0 };
    let keep = Keep { decisions_from: vec![(lane, 1)], ..keep() };
    gateway.store.prune(keep).await.expect("the store is there");

    let Err(End::Refused { reason }) = gateway.run().await else { panic!("the lane is refused") };

    assert!(reason.contains("lost its decision about offset 0"), "{reason}");
    assert!(gateway.published().await.is_empty());
}

#[tokio::test]
async fn another_log_is_refused() {
    let mut gateway = Gateway::open().await;
    gateway.append(creations(0..2)).await;
    gateway.run().await.expect("the lane runs");
    let store = std::sync::Arc::clone(&gateway.store);
    let other = Gateway::open().await;
    gateway.log = std::sync::Arc::clone(&other.log);
    gateway.store = store;

    let Err(End::Refused { reason }) = gateway.run().await else { panic!("the lane is refused") };

    assert!(reason.contains("log ends at offset 0, but offset 2 was reached"), "{reason}");
}

fn copy_store(from: &Path, to: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let with = |path: &Path| format!("{}{suffix}", path.display());
        let _ = std::fs::remove_file(with(to));
        if Path::new(&with(from)).exists() {
            std::fs::copy(with(from), with(to)).expect("a file can be copied");
        }
    }
}
