//! A record of a topic that its hop appended twice is decided once, whatever its message means.

use super::gateway::{DAY, Gateway};
use super::*;
use crate::canonical::draft::INTAKE;
use crate::canonical::ids;
use crate::store::{Balance, Outcome};

const ORDER: &str = "PYX-FR-20260304-7731";

/// The drafts of a hop that read partition 0 of a topic from its start.
fn read(drafts: &[Draft]) -> Vec<(String, Draft)> {
    drafts.iter().enumerate().map(|(offset, draft)| (format!("sales.t/0/{offset}"), draft.clone())).collect()
}

/// Of each step of the order: how it ended, where it was read, whether it is a repeat.
async fn steps(gateway: &Gateway, external_order_id: &str) -> Vec<(Outcome, Option<String>, bool)> {
    let id = order_named(external_order_id, Intent::Created, 1, "").head.service_order_id().expect("it has an id");
    let journey = gateway.journey(id).await.into_iter();
    journey.map(|detail| (detail.outcome.expect("an outcome"), detail.source, detail.repeat)).collect()
}

#[tokio::test]
async fn a_record_appended_twice_is_decided_once_whatever_it_means() {
    for (name, first, lost, expected) in [
        ("created", vec![], vec![created(100, "a")], Outcome::Accepted),
        ("the same revision with other content", vec![created(100, "a")], vec![created(100, "b")], Outcome::Rejected),
        ("an older update", vec![created(100, "a")], vec![updated(50, "b")], Outcome::Stale),
        ("an update that waits", vec![], vec![updated(200, "b")], Outcome::Parked),
        ("a cancellation that came first", vec![], vec![cancelled(200)], Outcome::Parked),
        ("a rejection", vec![], vec![rejected(Some(ORDER), Code::UnknownCode)], Outcome::Rejected),
        ("an update behind a cancellation", vec![cancelled(200)], vec![updated(200, "b")], Outcome::Parked),
    ] {
        for (way, batch_records) in [("in one batch", 100), ("in a batch each", 1)] {
            let mut gateway = Gateway::open().await;
            gateway.batch_records = batch_records;
            gateway.append(first.clone()).await;
            gateway.append_read(read(&lost)).await;
            gateway.run().await.expect("the lane runs");
            let published = gateway.event_ids().await;
            let waiting = gateway.order(&created(1, "")).await.map_or(0, |state| state.parked.len());

            gateway.append_read(read(&lost)).await;
            let mut lane = gateway.take_over().await.expect("the lane is free");
            gateway.finish(&mut lane).await.expect("the lane runs");

            assert_eq!(gateway.event_ids().await, published, "{name} {way}");
            assert_eq!(
                gateway.order(&created(1, "")).await.map_or(0, |state| state.parked.len()),
                waiting,
                "{name} {way}"
            );
            let steps = steps(&gateway, ORDER).await;
            let source = Some("sales.t/0/0".to_owned());
            let last = [(expected, source.clone(), false), (Outcome::Duplicate, source, true)];
            assert_eq!(steps[steps.len() - 2..], last, "{name} {way}");
        }
    }
}

#[tokio::test]
async fn a_row_of_records_read_again_changes_nothing() {
    let gateway = Gateway::open().await;
    let drafts = [updated(200, "b"), created(100, "a"), updated(300, "c"), updated(300, "d"), cancelled(400)];
    gateway.append_read(read(&drafts)).await;
    gateway.run().await.expect("the lane runs");
    let published = gateway.event_ids().await;
    let state = gateway.order(&created(1, "")).await;

    for begin in 0..drafts.len() {
        gateway.append_read(read(&drafts).into_iter().skip(begin)).await;
    }
    let mut lane = gateway.take_over().await.expect("the lane is free");
    gateway.finish(&mut lane).await.expect("the lane runs");

    assert_eq!(gateway.event_ids().await, published);
    assert_eq!(gateway.order(&created(1, "")).await, state);
    assert_eq!(lane.balance, Balance { taken: 20, applied: 20, parked: 0 });
    let repeats = steps(&gateway, ORDER).await.into_iter().filter(|(.., repeat)| *repeat).count();
    assert_eq!(repeats, 15);
}

#[tokio::test]
async fn repeats_of_a_waiting_update_take_no_place_of_another() {
    let mut gateway = Gateway::open().await;
    gateway.max_parked_per_order = 2;
    let records = read(&[updated(200, "b"), updated(300, "c")]);
    gateway.append_read([&records[..1], &records[..1], &records[..1], &records[..]].concat()).await;

    gateway.run().await.expect("the lane runs");

    assert_eq!(gateway.order(&created(1, "")).await.map(|state| state.parked.len()), Some(2));
    assert_eq!(gateway.event_ids().await, []);
}

#[tokio::test]
async fn a_mapping_that_changed_in_between_does_not_make_the_record_contradict_itself() {
    let gateway = Gateway::open().await;
    gateway.append_read(read(&[created(100, "a")])).await;
    let mut mapped_anew = order(Intent::Created, 100, "mapped otherwise");
    mapped_anew.head.raw_sha256 = created(100, "a").head.raw_sha256;
    gateway.append_read(read(&[mapped_anew])).await;

    gateway.run().await.expect("the lane runs");

    assert_eq!(gateway.event_ids().await.len(), 2, "received and normalized");
    assert_eq!(steps(&gateway, ORDER).await[1].0, Outcome::Duplicate);
}

#[tokio::test]
async fn an_expired_update_that_comes_again_does_not_wait_again() {
    let gateway = Gateway::open().await;
    gateway.append_read(read(&[updated(200, "b")])).await;
    gateway.run().await.expect("the lane runs");
    let mut lane = gateway.take_over().await.expect("the lane is free");
    gateway.clock.advance(DAY);
    gateway.finish(&mut lane).await.expect("the update runs out");

    gateway.append_read(read(&[updated(200, "b")])).await;
    gateway.finish(&mut lane).await.expect("the lane runs");

    assert_eq!(lane.balance, Balance { taken: 2, applied: 2, parked: 0 });
}

#[tokio::test]
async fn another_payload_at_the_same_place_is_another_record() {
    let gateway = Gateway::open().await;
    gateway.append_read(read(&[created(100, "a")])).await;
    gateway.append_read(read(&[updated(200, "b")])).await; // the topic was deleted and made again
    let mut replayed = rejected(Some(ORDER), Code::UnknownCode);
    gateway.append_read(read(&[replayed.clone()])).await;
    replayed.head.retry_count = 1;
    gateway.append_read(read(&[replayed])).await;

    gateway.run().await.expect("the lane runs");

    let outcomes: Vec<_> = steps(&gateway, ORDER).await.into_iter().map(|(outcome, ..)| outcome).collect();
    assert_eq!(outcomes, [Outcome::Accepted, Outcome::Accepted, Outcome::Rejected, Outcome::Rejected]);
}

#[tokio::test]
async fn a_message_by_http_and_the_same_by_topic_are_two_messages() {
    let gateway = Gateway::open().await;
    gateway.append([created(100, "a")]).await;
    gateway.append_read(read(&[created(100, "a")])).await;

    gateway.run().await.expect("the lane runs");

    let source = Some("sales.t/0/0".to_owned());
    assert_eq!(steps(&gateway, ORDER).await, [(Outcome::Accepted, None, false), (Outcome::Duplicate, source, false)]);
}

#[tokio::test]
async fn a_store_that_was_lost_learns_again_what_was_read() {
    let mut gateway = Gateway::open().await;
    gateway.append_read(read(&[updated(200, "b")])).await;
    gateway.run().await.expect("the lane runs");
    gateway.with_store_file(|path| std::fs::remove_file(path).expect("a file can be deleted"));
    gateway.append_read(read(&[updated(200, "b")])).await;

    gateway.run().await.expect("the lane catches up");

    assert_eq!(gateway.order(&created(1, "")).await.map(|state| state.parked.len()), Some(1));
}

#[tokio::test]
async fn of_a_payload_over_its_limit_only_the_digest_is_kept() {
    let gateway = Gateway::open().await;
    let mut draft = rejected(None, Code::PayloadTooLarge);
    draft.raw = Bytes::new();
    let digest = draft.head.raw_sha256;

    gateway.append_read(read(&[draft])).await;
    gateway.run().await.expect("the lane runs");

    assert_eq!(gateway.store.payload(digest).await.expect("the store is there"), None);
    assert_eq!(gateway.event_ids().await, [], "a failure at size publishes nothing");
}

#[test]
fn no_two_records_and_no_event_share_an_id() {
    let raw = Sha256Digest::of(b"a");
    let known = [
        ids::source_id("t/0/1", raw, 0),
        ids::source_id("t/0/2", raw, 0),
        ids::source_id("t/0/1", raw, 1),
        ids::source_id("t/0/1", Sha256Digest::of(b"b"), 0),
        ids::published_event_id("north", INTAKE, ids::rejection_event_id(raw, 0)),
    ];
    let different: std::collections::HashSet<_> = known.into_iter().collect();
    assert_eq!(different.len(), known.len());
}
