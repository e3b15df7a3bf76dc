//! Deadlines of what is parked.

use super::Harness;
use super::samples::{accepted, key, lane, order, parked, received, stored, tombstone};
use crate::store::{Due, DueKind, OrderState, Phase};

fn due(external_order_id: &str, kind: DueKind, offset: i64, expires_at: i64) -> Due {
    Due { order: key(external_order_id).service_order_id(), kind, offset, expires_at }
}

pub async fn due_comes_by_deadline_at_most_as_many_as_asked(harness: impl Harness) {
    let store = harness.store();
    let waiting = OrderState { parked: vec![parked(8, 1, 300), parked(9, 2, 100)], ..order("A", Phase::Unknown) };
    let grave = OrderState { parked: vec![parked(7, 1, 400)], ..order("B", Phase::Tombstone(tombstone(5, 200))) };
    stored(store, &lane(0), |write| write.orders = vec![waiting, grave, received("C")]).await;

    let expected = [
        due("A", DueKind::ParkedUpdate, 9, 100),
        due("B", DueKind::Tombstone, 5, 200),
        due("A", DueKind::ParkedUpdate, 8, 300),
        due("B", DueKind::ParkedUpdate, 7, 400),
    ];
    for (now_ms, limit, count) in [
        (99, 9, 0),
        (100, 9, 1), // at the deadline, not after it
        (299, 9, 2),
        (i64::MAX, 9, 4),
        (i64::MAX, 3, 3),
        (i64::MAX, 1, 1), // the next deadline, whenever it is
        (i64::MAX, 0, 0),
        (i64::MAX, usize::MAX, 4),
    ] {
        let found = store.due(&lane(0), now_ms, limit).await.unwrap();
        assert_eq!(found, expected[..count], "at {now_ms}, at most {limit}");
    }
}

/// Kinds and orders mixed, so that neither decides; the limit cuts between records of one deadline.
pub async fn due_of_one_deadline_comes_by_offset(harness: impl Harness) {
    let store = harness.store();
    let waiting = OrderState { parked: vec![parked(9, 1, 100), parked(2, 2, 100)], ..order("A", Phase::Unknown) };
    let grave = OrderState { parked: vec![parked(7, 1, 100)], ..order("B", Phase::Tombstone(tombstone(5, 100))) };
    stored(store, &lane(0), |write| write.orders = vec![waiting, grave]).await;
    let later = OrderState { parked: vec![parked(4, 1, 100), parked(1, 2, 101)], ..order("C", Phase::Unknown) };
    let other = order("D", Phase::Tombstone(tombstone(3, 100)));
    stored(store, &lane(0), |write| write.orders = vec![later, other]).await;

    let expected = [
        due("A", DueKind::ParkedUpdate, 2, 100),
        due("D", DueKind::Tombstone, 3, 100),
        due("C", DueKind::ParkedUpdate, 4, 100),
        due("B", DueKind::Tombstone, 5, 100),
        due("B", DueKind::ParkedUpdate, 7, 100),
        due("A", DueKind::ParkedUpdate, 9, 100),
        due("C", DueKind::ParkedUpdate, 1, 101),
    ];
    for limit in 0..=expected.len() {
        let found = store.due(&lane(0), 101, limit).await.unwrap();
        assert_eq!(found, expected[..limit], "at most {limit}");
    }
}

pub async fn due_is_per_lane(harness: impl Harness) {
    let store = harness.store();
    let waiting = OrderState { parked: vec![parked(1, 1, 10)], ..order("A", Phase::Unknown) };
    stored(store, &lane(0), |write| write.orders = vec![waiting]).await;
    stored(store, &lane(1), |write| write.orders = vec![order("B", Phase::Tombstone(tombstone(1, 10)))]).await;

    for (partition, expected) in
        [(0, vec![due("A", DueKind::ParkedUpdate, 1, 10)]), (1, vec![due("B", DueKind::Tombstone, 1, 10)]), (2, vec![])]
    {
        assert_eq!(store.due(&lane(partition), 10, 9).await.unwrap(), expected, "partition {partition}");
    }
}

pub async fn what_was_released_or_has_expired_is_not_due_again(harness: impl Harness) {
    let store = harness.store();
    let waiting = OrderState { parked: vec![parked(1, 1, 10), parked(2, 2, 20)], ..order("A", Phase::Unknown) };
    let grave = order("B", Phase::Tombstone(tombstone(3, 30)));
    let other = order("C", Phase::Tombstone(tombstone(4, 40)));
    stored(store, &lane(0), |write| write.orders = vec![waiting, grave, other]).await;
    assert_eq!(store.due(&lane(0), 100, 9).await.unwrap().len(), 4);

    let one_expired = OrderState { parked: vec![parked(2, 2, 20)], ..order("A", Phase::Unknown) };
    let suppressed = order("B", Phase::Cancelled(accepted("{}")));
    stored(store, &lane(0), |write| write.orders = vec![one_expired, suppressed]).await;
    let expected = [due("A", DueKind::ParkedUpdate, 2, 20), due("C", DueKind::Tombstone, 4, 40)];
    assert_eq!(store.due(&lane(0), 100, 9).await.unwrap(), expected);

    stored(store, &lane(0), |write| write.orders = vec![received("A"), order("C", Phase::Unknown)]).await;
    assert_eq!(store.due(&lane(0), 100, 9).await.unwrap(), []);
}
