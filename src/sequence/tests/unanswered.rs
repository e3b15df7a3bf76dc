//! Commits to the log that took effect and were answered as if they had not: on Kafka an answer can be lost.

use super::faults::Fault;
use super::gateway::{DAY, Gateway};
use super::lanes::append_a_bit_of_everything;
use crate::canonical::draft::INTAKE;
use crate::log::{self, Committed};
use crate::ownership::End;
use crate::sequence::GROUP;

fn unavailable() -> log::Error {
    log::Error::Unavailable { reason: "broken pipe".into() }
}

/// One owner takes a bit of everything in batches of four; then what waited runs out.
async fn live(gateway: &mut Gateway) {
    gateway.batch_records = 4;
    append_a_bit_of_everything(gateway).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");
    gateway.finish(&mut lane).await.expect("the lane runs");
    gateway.clock.advance(DAY);
    gateway.finish(&mut lane).await.expect("the lane runs");
    assert_eq!(lane.balance.parked, 0);
}

/// What a life leaves on the log.
async fn left(gateway: &Gateway) -> (Vec<(String, String)>, Committed) {
    let mut committed = gateway.log.committed(GROUP, INTAKE).await.expect("the log is there");
    (gateway.event_ids().await, committed.remove(&0).expect("the lane has committed"))
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_made_again() {
    let expected = {
        let mut gateway = Gateway::open().await;
        live(&mut gateway).await;
        left(&gateway).await
    };
    for (name, faults) in [
        ("took effect", vec![Fault::After(unavailable())]),
        ("took effect at the second time", vec![Fault::Before(unavailable()), Fault::After(unavailable())]),
    ] {
        for calls in 0.. {
            let mut gateway = Gateway::open().await;
            gateway.commits.after(calls, faults.clone());

            live(&mut gateway).await;

            assert_eq!(left(&gateway).await, expected, "commit {calls} {name}");
            if !gateway.commits.is_over() {
                assert!(calls > 5, "one commit for proof, four for batches, one for timers");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_commit_is_not_made_again_before_the_log_has_told_whether_it_took_effect() {
    let gateway = Gateway::open().await;
    gateway.append([super::created(100, "a")]).await;
    gateway.commits.after(1, [Fault::After(unavailable())]);
    gateway.asks.after(1, [Fault::Before(unavailable()), Fault::After(unavailable())]);

    assert_eq!(gateway.run().await, Ok(1));

    assert!(gateway.commits.is_over() && gateway.asks.is_over());
    assert_eq!(gateway.event_ids().await.len(), 2);
}

#[tokio::test]
async fn recorded_effects_of_timers_are_published_once_though_no_offset_moves() {
    let gateway = Gateway::open().await;
    gateway.append([super::updated(200, "b")]).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");
    gateway.finish(&mut lane).await.expect("the lane runs");
    gateway.clock.advance(DAY);
    gateway.commits.after(0, [Fault::Before(log::Error::Fenced { topic: INTAKE.into(), partition: 0 })]);
    assert_eq!(gateway.finish(&mut lane).await, Err(End::Fenced));
    gateway.commits.after(1, [Fault::After(unavailable())]); // the first one proves the ownership

    assert_eq!(gateway.run().await, Ok(1));

    assert!(gateway.commits.is_over());
    assert_eq!(gateway.event_ids().await.len(), 1);
}
