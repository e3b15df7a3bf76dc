//! A lane on real engines: exactly once through crashes, faults and disagreement of log and store.

use super::faults::Fault;
use super::gateway::Gateway;
use super::*;
use crate::canonical::draft::INTAKE;
use crate::canonical::headers;
use crate::log::{self, Header, Record};
use crate::ownership::End;
use crate::ownership::LaneStatus;
use crate::sequence::dead_letters;
use crate::sequence::lane::KnownOrigins;
use crate::sequence::ledger::What;
use crate::store::{self, Balance, Outcome, Phase};

/// Messages that meet every kind of decision: fifteen records of five orders.
pub(super) async fn append_a_bit_of_everything(gateway: &Gateway) {
    use Intent::{Created, Updated, Upsert};
    gateway
        .append([
            order_named("A", Created, 100, "a"),
            order_named("B", Updated, 200, "early"),
            order_named("C", Updated, 200, "early"),
            order_named("A", Updated, 200, "b"),
            order_named("A", Updated, 200, "b"),
            order_named("A", Updated, 200, "c"),
            cancelled(400),
            order_named("B", Updated, 300, "earlier"),
            order_named("B", Created, 100, "a"),
            rejected(Some("A"), Code::UnknownCode),
            created(100, "suppressed"),
            order_named("D", Upsert, 100, "a"),
        ])
        .await;
    gateway.append_records(vec![unreadable_record()]).await;
    gateway.append([order_named("A", Updated, 500, "d"), order_named("D", Updated, 150, "a")]).await;
}

fn unreadable_record() -> Record {
    Record {
        key: Some("anything".into()),
        value: Some("{\"not\": \"a draft\"}".into()),
        headers: vec![Header::text("theirs", "1"), Header { name: "bytes".into(), value: vec![0xff, 0].into() }],
    }
}

fn fenced() -> log::Error {
    log::Error::Fenced { topic: INTAKE.into(), partition: 0 }
}

fn store_fenced() -> store::Error {
    store::Error::Fenced { topic: INTAKE.into(), partition: 0, own: 1, current: 2 }
}

#[tokio::test]
async fn an_accepted_order_is_published_as_the_contract_prints_it() {
    let gateway = Gateway::open().await;
    gateway.clock.advance(210);
    gateway.append([created(1_772_612_130_000, "a")]).await;

    gateway.run().await.expect("the lane runs");

    let published = gateway.published().await;
    let [(received, first), (normalized, second)] = published.as_slice() else { panic!("two events: {published:?}") };
    assert_eq!((received.as_str(), first.key.as_deref()), (event_topic(0), Some(&b"FR_PYX-FR-20260304-7731"[..])));
    assert_eq!(
        (normalized.as_str(), second.key.as_deref()),
        (event_topic(1), Some(&b"PYXIS_PYX-FR-20260304-7731"[..]))
    );
    assert_eq!(
        gateway.value(first),
        serde_json::json!({"event_id": "9478506a-9d09-57c5-a89e-1f1c103e2680", "event_timestamp": 1_772_612_131_210_i64,
            "sales_order_id": "PYX-FR-20260304-7731", "customer_id": "C-558120", "country_code": "FR",
            "services": [{"service_type": "installation", "requires_confirmation_tv": true}]})
    );
    let correlation = "correlation PYX-FR-20260304-7731 Created 1772612130000 a";
    let trace = format!("trace of {correlation}");
    for (name, value) in [
        (headers::CORRELATION_ID, correlation),
        (headers::TENANT_ID, "north"),
        (headers::SOURCE_SYSTEM, "PYXIS"),
        (headers::EVENT_TYPE, "SalesOrderNormalized"),
        (headers::IDEMPOTENCY_KEY, "bbd48371-33e6-5a6b-956c-a94669e9595b"),
        (headers::TRACEPARENT, trace.as_str()),
    ] {
        assert_eq!(second.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn every_kind_of_message_ends_in_the_state_and_the_ledger() {
    let gateway = Gateway::open().await;
    append_a_bit_of_everything(&gateway).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");

    gateway.finish(&mut lane).await.expect("the lane runs");

    assert_eq!(lane.balance, Balance { taken: 15, applied: 14, parked: 1 });
    let order = |name| order_named(name, Intent::Created, 0, "");
    let state = gateway.order(&order("B")).await.expect("B was created");
    assert!(matches!(&state.phase, Phase::Received(accepted) if accepted.revision == 300), "{state:?}");
    let state = gateway.order(&created(0, "")).await.expect("it was cancelled");
    assert!(matches!(&state.phase, Phase::Cancelled(accepted) if accepted.revision == 400), "{state:?}");
    let state = gateway.order(&order("C")).await.expect("C waits");
    assert_eq!((&state.phase, state.parked.len()), (&Phase::Unknown, 1));

    use Outcome::{Accepted, Duplicate, Parked, Rejected};
    let journey = gateway.journey(state_id("A")).await;
    let outcomes: Vec<_> = journey.iter().map(|detail| detail.outcome.expect("an outcome")).collect();
    assert_eq!(outcomes, [Accepted, Accepted, Duplicate, Rejected, Rejected, Accepted]);
    assert_eq!(journey[3].error_code, Some(Code::BusinessRule));
    assert_eq!((journey[4].what, journey[4].error_code), (What::Rejection, Some(Code::UnknownCode)));
    assert_eq!(journey[0].events.len(), 2);
    let journey = gateway.journey(state_id("B")).await;
    let outcomes: Vec<_> = journey.iter().map(|detail| (detail.outcome, detail.released_by)).collect();
    let released = (Some(Accepted), Some(8));
    assert_eq!(outcomes, [(Some(Parked), None), (Some(Parked), None), (Some(Accepted), None), released, released]);

    let raw = order_named("A", Intent::Created, 100, "a");
    let payload = gateway.store.payload(raw.head.raw_sha256).await.expect("the store is there");
    assert_eq!(payload, Some(raw.raw));
}

#[tokio::test]
async fn a_record_that_is_no_message_becomes_a_dead_letter_as_it_is() {
    let gateway = Gateway::open().await;
    let mut from_a_hop = unreadable_record();
    from_a_hop.headers.push(Header::text(headers::SOURCE, "sales.pyxis.order.created/3/17"));
    let tombstone = Record { key: None, value: None, headers: vec![] };
    gateway.append_records(vec![unreadable_record(), from_a_hop, tombstone]).await;
    let mut under_another_key = created(100, "a");
    gateway.append([under_another_key.clone()]).await;
    let stored = gateway.records(INTAKE).await.remove(3).record;
    gateway.append_records(vec![Record { key: Some("another".into()), ..stored }]).await;
    under_another_key.head.correlation_id = "later".into();

    gateway.run().await.expect("the lane goes on");

    let dead = gateway.records(&dead_letters()).await;
    assert_eq!(dead.len(), 4);
    for (dead, offset) in dead.iter().zip([0, 1, 2, 4]) {
        let original = gateway.records(INTAKE).await.remove(offset).record;
        assert_eq!((&dead.record.key, &dead.record.value), (&original.key, &original.value), "offset {offset}");
        let mut headers = original.headers.clone();
        headers.retain(|header| header.name != headers::SOURCE);
        headers.push(Header::text(headers::SOURCE, format!("{INTAKE}/0/{offset}")));
        assert_eq!(dead.record.headers, headers, "offset {offset}");
    }
    assert_eq!(gateway.event_ids().await.len(), 2, "the order among them is published");
    let journey = gateway.journey(uuid::Uuid::nil()).await;
    assert_eq!((journey.len(), journey[0].outcome), (4, Some(Outcome::Rejected)));
}

/// What is published if the process dies between the two commits of its second batch, an hour before it starts again.
async fn published_after_a_crash_between_the_commits(known: KnownOrigins) -> Vec<(String, Record)> {
    let mut gateway = Gateway::open().await;
    gateway.known = known;
    gateway.append([order_named("first", Intent::Created, 100, "a")]).await;
    gateway.run().await.expect("the lane runs");
    let before = gateway.published().await;
    append_a_bit_of_everything(&gateway).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");
    gateway.commits.after(0, [Fault::Before(fenced())]);
    assert_eq!(gateway.finish(&mut lane).await, Err(End::Fenced));
    assert_eq!(gateway.published().await, before, "the log has nothing of the batch");
    gateway.clock.advance(3_600_000);

    gateway.run().await.expect("the next owner runs");

    gateway.published().await
}

#[tokio::test]
async fn a_known_origin_publishes_its_recorded_effects_byte_for_byte() {
    let undisturbed = Gateway::open().await;
    undisturbed.append([order_named("first", Intent::Created, 100, "a")]).await;
    undisturbed.run().await.expect("the lane runs");
    append_a_bit_of_everything(&undisturbed).await;
    undisturbed.run().await.expect("the lane runs");
    let expected = undisturbed.published().await;
    assert_eq!(expected.len(), 19);

    for (known, holds) in
        [(KnownOrigins::PublishAgain, true), (KnownOrigins::Skip, false), (KnownOrigins::DecideAgain, false)]
    {
        let published = published_after_a_crash_between_the_commits(known).await;

        assert_eq!(published == expected, holds, "{known:?} published {} of {}", published.len(), expected.len());
    }
}

#[tokio::test]
async fn a_crash_at_any_commit_loses_and_repeats_nothing() {
    let expected = {
        let gateway = Gateway::open().await;
        append_a_bit_of_everything(&gateway).await;
        gateway.run().await.expect("the lane runs");
        gateway.event_ids().await
    };
    for (name, fault) in [("before", Fault::Before(fenced())), ("after", Fault::After(fenced()))] {
        for calls in 0.. {
            let mut gateway = Gateway::open().await;
            gateway.batch_records = 4;
            append_a_bit_of_everything(&gateway).await;
            gateway.commits.after(calls, [fault.clone()]);

            gateway.run().await.expect("the last owner runs");

            assert_eq!(gateway.event_ids().await, expected, "crash {name} commit {calls}");
            if !gateway.commits.is_over() {
                assert!(calls > 4, "one commit for proof, four for batches");
                break;
            }
        }
    }
    for calls in 0..4 {
        let mut gateway = Gateway::open().await;
        gateway.batch_records = 4;
        append_a_bit_of_everything(&gateway).await;
        gateway.writes.after(calls, [Fault::Before(store_fenced())]);

        assert_eq!(gateway.run().await, Ok(2), "crash before write {calls}");

        assert_eq!(gateway.event_ids().await, expected, "crash before write {calls}");
    }
}

#[tokio::test]
async fn an_outage_stops_the_lane_and_loses_and_repeats_nothing() {
    let expected = {
        let gateway = Gateway::open().await;
        append_a_bit_of_everything(&gateway).await;
        gateway.run().await.expect("the lane runs");
        gateway.event_ids().await
    };
    let log_down = || Fault::Before(log::Error::Unavailable { reason: "disk full".into() });
    let store_down = || store::Error::Unavailable { reason: "disk full".into() };
    let gateway = Gateway::open().await;
    append_a_bit_of_everything(&gateway).await;
    gateway.commits.after(1, [log_down(), log_down(), log_down()]);
    gateway.writes.after(0, [Fault::Before(store_down()), Fault::After(store_down()), Fault::Before(store_down())]);

    assert_eq!(gateway.run().await, Ok(1), "one owner goes through it");

    assert!(gateway.commits.is_over() && gateway.writes.is_over());
    assert_eq!(gateway.event_ids().await, expected);
    let errors = |operation| gateway.metrics.engine_errors.with_label_values(&[operation]).get();
    assert_eq!((errors("log.commit"), errors("store.write")), (3, 3));
    assert_eq!(gateway.journey(state_id("A")).await.len(), 6, "the answer that was lost wrote no second row");
}

#[tokio::test]
async fn a_topic_that_is_missing_stops_the_lane_until_it_is_there() {
    let gateway = Gateway::without_topics();
    for name in [INTAKE, "integration.sales.order_received"] {
        let name = name.to_owned();
        let spec = log::TopicSpec { name, partitions: 1, max_record_bytes: 1 << 20, retention: None };
        gateway.log.create_topic(&spec).await.expect("a new topic");
    }
    gateway.append([created(100, "a")]).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");

    let mend = async {
        while !matches!(gateway.board.lanes().values().next(), Some(LaneStatus::Waiting { reason }) if reason.contains("normalized"))
        {
            tokio::task::yield_now().await;
        }
        gateway.create_topics(1).await;
    };
    let (ran, ()) = tokio::join!(gateway.finish(&mut lane), mend);

    ran.expect("the lane goes on");
    assert_eq!(gateway.event_ids().await.len(), 2);
    assert_eq!(gateway.board.lanes().values().next(), Some(&LaneStatus::Running));
}

#[tokio::test]
async fn a_stop_during_an_outage_ends_the_lane_and_the_next_owner_publishes() {
    let gateway = Gateway::open().await;
    gateway.append([created(100, "a")]).await;
    let mut lane = gateway.take_over().await.expect("the lane is free");
    let down = log::Error::Unavailable { reason: "disk full".into() };
    gateway.commits.after(0, std::iter::repeat_n(Fault::Before(down), 10_000));
    let stop = async {
        while !matches!(gateway.board.lanes().values().next(), Some(LaneStatus::Waiting { .. })) {
            tokio::task::yield_now().await;
        }
        gateway.stop();
    };

    let (ran, ()) = tokio::join!(gateway.finish(&mut lane), stop);

    assert_eq!(ran, Err(End::Stopped));
    gateway.commits.after(0, []);
    gateway.run().await.expect("the next owner runs");
    assert_eq!(gateway.event_ids().await.len(), 2);
}

#[tokio::test]
async fn a_fenced_owner_publishes_nothing() {
    let gateway = Gateway::open().await;
    let mut former = gateway.take_over().await.expect("the lane is free");
    let mut current = gateway.take_over().await.expect("the newest member owns it");
    gateway.append([created(100, "a")]).await;

    let ended = gateway.finish(&mut former).await;
    gateway.finish(&mut current).await.expect("the owner runs");

    assert_eq!(ended, Err(End::Fenced));
    assert_eq!(gateway.event_ids().await.len(), 2);
}

#[tokio::test]
async fn an_owner_the_log_refuses_does_not_touch_the_store() {
    let gateway = Gateway::open().await;
    let mut owner = gateway.take_over().await.expect("the lane is free");
    gateway.append([created(100, "a")]).await;
    let epoch_before = owner.epoch;
    gateway.commits.after(0, [Fault::Before(fenced())]);

    let refused = gateway.take_over().await.err();

    assert_eq!(refused, Some(End::Fenced));
    assert_eq!(gateway.finish(&mut owner).await, Err(End::Fenced), "the newest member was assigned its lanes");
    let next = gateway.take_over().await.expect("the newest member owns it");
    assert_eq!(next.epoch, epoch_before + 1, "the refused owner took no epoch");
}

fn event_topic(place: usize) -> &'static str {
    crate::sequence::PUBLISHED[place]
}

fn state_id(name: &str) -> uuid::Uuid {
    order_named(name, Intent::Created, 0, "").head.service_order_id().expect("the order has an id")
}
