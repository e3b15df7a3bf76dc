//! Decisions by origin, with their exact effects.

use bytes::Bytes;

use super::Harness;
use super::samples::{
    accepted, all_decisions, append, entry, full_write, key, lane, order, record, release, state, stored, timer,
};
use crate::log::{Append, Header, Record};
use crate::store::{Decision, LedgerEntry, Origin, Outcome, Phase};

pub async fn a_decision_comes_back_byte_for_byte(harness: impl Harness) {
    let bytes = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
    let headers = vec![
        Header { name: "blob".to_owned(), value: Bytes::from_static(&[0xff, 0xfe, 0x00]) },
        Header { name: "blob".to_owned(), value: Bytes::new() }, // repeated, empty
        Header::text("", "no name"),
    ];
    let records = [
        Record { key: bytes(b"key"), value: None, headers: Vec::new() }, // a tombstone of the log
        Record { key: None, value: bytes(b""), headers: headers.clone() },
        Record { key: bytes(b""), value: bytes(b"\x00\x00\x00\x00\x07avro\xf0"), headers },
    ];
    let effects: Vec<Append> = records
        .into_iter()
        .zip([None, Some(0), Some(5)])
        .map(|(record, partition)| Append { topic: "integration.sales.order_canonical".into(), partition, record })
        .collect();
    let large = append("dlq.failed_events", &vec![0x5a; 300_000]);
    let outcomes = [
        Outcome::Accepted,
        Outcome::Duplicate,
        Outcome::Stale,
        Outcome::Parked,
        Outcome::Suppressed,
        Outcome::Ignored,
        Outcome::Rejected,
        Outcome::Expired,
    ];
    let decisions: Vec<Decision> = (0..)
        .zip(outcomes)
        .map(|(offset, outcome)| {
            let effects = match offset {
                0 => effects.clone(),
                1 => vec![large.clone(), append("fsm.order.scheduled", b"small")],
                _ => Vec::new(),
            };
            Decision { origin: Origin::Record { offset }, outcome, effects, decided_at: 1_000 - offset }
        })
        .collect();

    stored(harness.store(), &lane(0), |write| write.decisions = decisions.clone()).await;

    assert_eq!(all_decisions(harness.store(), &lane(0)).await, decisions);
}

pub async fn a_record_comes_before_its_releases_in_the_order_they_were_written(harness: impl Harness) {
    let decisions = vec![record(4), record(5), release(5, 3), release(5, 1), release(5, 2), record(6), release(6, 0)];

    stored(harness.store(), &lane(0), |write| write.decisions = decisions.clone()).await;

    assert_eq!(all_decisions(harness.store(), &lane(0)).await, decisions);
}

pub async fn releases_written_later_follow_those_before(harness: impl Harness) {
    for decisions in [vec![record(5), release(5, 3)], vec![release(5, 1)], vec![record(6), release(5, 2)]] {
        stored(harness.store(), &lane(0), |write| write.decisions = decisions).await;
    }

    let expected = [record(5), release(5, 3), release(5, 1), release(5, 2), record(6)];
    assert_eq!(all_decisions(harness.store(), &lane(0)).await, expected);
}

pub async fn the_range_of_decisions_is_half_open(harness: impl Harness) {
    let written = vec![record(3), record(4), release(4, 1), record(7), record(9)];
    stored(harness.store(), &lane(0), |write| {
        write.decisions = written;
        write.decisions.push(timer(1, 4));
    })
    .await;

    for (from, to, expected) in [
        (0, 3, vec![]),
        (3, 4, vec![record(3)]),
        (4, 7, vec![record(4), release(4, 1)]),
        (5, 8, vec![record(7)]),
        (8, 10, vec![record(9)]),
        (10, i64::MAX, vec![]),
        (7, 3, vec![]),
    ] {
        assert_eq!(harness.store().decisions(&lane(0), from, to).await.unwrap(), expected, "{from}..{to}");
    }
    assert_eq!(all_decisions(harness.store(), &lane(1)).await, []);
}

pub async fn timer_decisions_come_by_number_after_the_one_given(harness: impl Harness) {
    let store = harness.store();
    stored(store, &lane(0), |write| write.decisions = vec![timer(1, 40), timer(2, 3), record(50)]).await;
    stored(store, &lane(0), |write| write.decisions = vec![timer(3, 41)]).await;
    stored(store, &lane(1), |write| write.decisions = vec![timer(1, 8)]).await;

    for (after, expected) in
        [(0, vec![timer(1, 40), timer(2, 3), timer(3, 41)]), (2, vec![timer(3, 41)]), (3, vec![]), (u64::MAX, vec![])]
    {
        assert_eq!(store.timer_decisions(&lane(0), after).await.unwrap(), expected, "after {after}");
    }
    assert_eq!(store.timer_decisions(&lane(2), 0).await.unwrap(), []);
}

pub async fn a_known_origin_keeps_its_first_decision(harness: impl Harness) {
    let store = harness.store();
    let first = vec![record(5), release(5, 3), timer(1, 2)];
    let row = |decision: &Decision| LedgerEntry { origin: decision.origin, ..entry(&key("A"), &lane(0), 5, 1) };
    stored(store, &lane(0), |write| {
        write.decisions = first.clone();
        write.ledger = first.iter().map(row).collect();
    })
    .await;

    let again = |decision: &Decision| Decision { outcome: Outcome::Duplicate, effects: Vec::new(), ..decision.clone() };
    let new = [release(5, 4), record(6)];
    stored(store, &lane(0), |write| {
        let [record, release, timer] = [&first[0], &first[1], &first[2]].map(again);
        write.decisions = vec![record, new[0].clone(), release, timer, new[1].clone()];
        write.ledger = write.decisions.iter().map(row).collect();
    })
    .await;

    assert_eq!(all_decisions(store, &lane(0)).await, [record(5), release(5, 3), release(5, 4), record(6)]);
    assert_eq!(store.timer_decisions(&lane(0), 0).await.unwrap(), [timer(1, 2)]);
    let ledger = store.ledger(key("A").service_order_id()).await.unwrap();
    assert_eq!(ledger, first.iter().chain(&new).map(row).collect::<Vec<_>>(), "one row for each origin");
}

/// A lane whose write was answered by a broken connection writes the same again.
pub async fn the_same_write_again_changes_nothing(harness: impl Harness) {
    let store = harness.store();
    let row = store.take_lane(&lane(0)).await.unwrap();
    let mut first = full_write(&lane(0), &row, 0);
    first.decisions.extend([release(0, 0), timer(1, 0)]);
    store.write(first.clone()).await.unwrap();
    store.write(first.clone()).await.unwrap();
    let mut second = full_write(&lane(0), &row, 1);
    second.orders.push(order("PYX-0-0", Phase::Cancelled(accepted("{}"))));
    store.write(second.clone()).await.unwrap();

    store.write(first.clone()).await.unwrap(); // a late one is no step back

    assert_eq!(all_decisions(store, &lane(0)).await, [&first.decisions[..2], &second.decisions].concat());
    assert_eq!(store.timer_decisions(&lane(0), 0).await.unwrap(), first.decisions[2..]);
    assert_eq!(store.ledger(first.ledger[0].order).await.unwrap(), first.ledger);
    assert_eq!(state(store, "PYX-0-0").await.as_ref(), second.orders.last());
    assert_eq!(store.counts().await.unwrap().orders, 2);
    let taken = store.take_lane(&lane(0)).await.unwrap();
    assert_eq!((taken.decided, taken.balance), (second.decided, second.balance));
}
