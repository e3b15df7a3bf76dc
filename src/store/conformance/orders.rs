//! States of orders and the updates parked with them.

use bytes::Bytes;

use super::Harness;
use super::samples::{accepted, key, lane, order, parked, received, state, stored, tombstone};
use crate::canonical::ids::OrderKey;
use crate::store::{Accepted, Counts, OrderState, ParkedUpdate, Phase, Tombstone};

pub async fn an_unknown_order_is_none(harness: impl Harness) {
    stored(harness.store(), &lane(0), |write| write.orders = vec![received("A")]).await;

    assert_eq!(state(harness.store(), "B").await, None);
    assert_eq!(harness.store().orders(Vec::new()).await.unwrap(), []);
}

pub async fn a_written_state_comes_back_equal(harness: impl Harness) {
    let with_reason = Tombstone { reason: Some("changed her mind".to_owned()), ..tombstone(7, 90) };
    let update = ParkedUpdate {
        traceparent: Some("00-4bf9-00f0-01".to_owned()),
        value: Bytes::new(),
        ..parked(3, -1, i64::MAX)
    };
    let unicode = OrderKey {
        tenant_id: "nørd".to_owned(),
        source_key: "custom.maß".to_owned(),
        external_order_id: "注文|:🦀\u{0}'\"".to_owned(),
    };
    let states = vec![
        order("unknown", Phase::Unknown),
        OrderState { parked: vec![update.clone(), parked(1, 5, 6)], ..order("waiting", Phase::Unknown) },
        received("received"),
        order("cancelled", Phase::Cancelled(Accepted { revision: i64::MIN, ..accepted("{}") })),
        order("empty", Phase::Received(Accepted { transformation_version: String::new(), ..accepted("") })),
        order("tombstone", Phase::Tombstone(tombstone(7, 90))),
        OrderState { parked: vec![update], ..order("tombstone with reason", Phase::Tombstone(with_reason)) },
        OrderState { key: unicode, changed_at: i64::MIN, ..received("") },
        OrderState { changed_at: i64::MAX, ..order("notes", Phase::Received(accepted(r#"{"notes":"Maëlle 🏠"}"#))) },
    ];

    stored(harness.store(), &lane(0), |write| write.orders = states.clone()).await;

    let ids = states.iter().map(OrderState::id).collect();
    let found = harness.store().orders(ids).await.unwrap();
    assert_eq!(found, states.into_iter().map(Some).collect::<Vec<_>>());
}

pub async fn a_state_of_two_mebibytes_comes_back_equal(harness: impl Harness) {
    let canonical: Bytes = (0..2_usize << 20).map(|at| (at % 251) as u8).collect();
    let large = order("large", Phase::Received(Accepted { canonical, ..accepted("") }));

    stored(harness.store(), &lane(0), |write| write.orders = vec![large.clone()]).await;

    assert_eq!(state(harness.store(), "large").await, Some(large));
}

pub async fn answers_follow_the_ids_asked_repeats_included(harness: impl Harness) {
    stored(harness.store(), &lane(0), |write| write.orders = vec![received("A"), received("B")]).await;

    let asked = ["B", "nobody", "A", "B", "nobody"];
    let found = harness.store().orders(asked.map(|name| key(name).service_order_id()).to_vec()).await.unwrap();

    assert_eq!(found, [Some(received("B")), None, Some(received("A")), Some(received("B")), None]);
}

pub async fn the_last_state_of_an_order_named_twice_wins(harness: impl Harness) {
    let first = OrderState { parked: vec![parked(1, 1, 1)], ..order("A", Phase::Unknown) };

    stored(harness.store(), &lane(0), |write| write.orders = vec![first, received("B"), received("A")]).await;

    assert_eq!(state(harness.store(), "A").await, Some(received("A")));
    let counts = harness.store().counts().await.unwrap();
    assert_eq!(counts, Counts { orders: 2, parked_updates: 0, tombstones: 0 });
}

pub async fn a_later_state_replaces_the_earlier_one_whole(harness: impl Harness) {
    for phase in [
        Phase::Tombstone(Tombstone { reason: Some("why".to_owned()), ..tombstone(1, 2) }),
        Phase::Received(accepted("{}")),
        Phase::Unknown,
        Phase::Cancelled(accepted("[]")),
        Phase::Tombstone(tombstone(3, 4)),
    ] {
        let state_now = order("A", phase);

        stored(harness.store(), &lane(0), |write| write.orders = vec![state_now.clone()]).await;

        assert_eq!(state(harness.store(), "A").await, Some(state_now));
    }
}

pub async fn parked_updates_come_by_revision_then_offset(harness: impl Harness) {
    let given = vec![parked(9, 20, 1), parked(4, 30, 2), parked(8, 10, 3), parked(2, 20, 4)];

    stored(harness.store(), &lane(0), |write| {
        write.orders = vec![OrderState { parked: given, ..order("A", Phase::Unknown) }];
    })
    .await;

    let expected = vec![parked(8, 10, 3), parked(2, 20, 4), parked(9, 20, 1), parked(4, 30, 2)];
    assert_eq!(state(harness.store(), "A").await.unwrap().parked, expected);
}

pub async fn parked_updates_are_replaced_as_a_set(harness: impl Harness) {
    let moved = ParkedUpdate { traceparent: Some("00-1".to_owned()), ..parked(2, 21, 99) };
    let mut waiting = 0;
    for set in [
        vec![parked(1, 10, 5), parked(2, 20, 6)],
        vec![parked(1, 10, 5), parked(2, 20, 6), parked(3, 30, 7)], // one more
        vec![parked(1, 10, 5), moved.clone(), parked(3, 30, 7)],    // one changed
        vec![moved, parked(3, 30, 7)],                              // one gone
        vec![parked(4, 1, 1)],                                      // all others
        vec![],
    ] {
        let state_now = OrderState { parked: set.clone(), ..order("A", Phase::Unknown) };
        let other = OrderState { parked: vec![parked(1, 1, 1)], ..order("B", Phase::Unknown) };

        stored(harness.store(), &lane(0), |write| write.orders = vec![state_now.clone(), other.clone()]).await;

        assert_eq!(state(harness.store(), "A").await, Some(state_now));
        assert_eq!(state(harness.store(), "B").await, Some(other));
        waiting = set.len() as u64 + 1;
        assert_eq!(harness.store().counts().await.unwrap().parked_updates, waiting);
    }
    assert_eq!(waiting, 1);
}

pub async fn orders_and_what_waits_are_counted(harness: impl Harness) {
    let store = harness.store();
    assert_eq!(store.counts().await.unwrap(), Counts::default());

    let waiting = OrderState { parked: vec![parked(1, 1, 1), parked(2, 2, 2)], ..order("A", Phase::Unknown) };
    let grave = OrderState { parked: vec![parked(3, 1, 1)], ..order("B", Phase::Tombstone(tombstone(1, 2))) };
    stored(store, &lane(0), |write| write.orders = vec![waiting, grave, received("C")]).await;
    stored(store, &lane(1), |write| write.orders = vec![order("D", Phase::Tombstone(tombstone(1, 2)))]).await;
    assert_eq!(store.counts().await.unwrap(), Counts { orders: 4, parked_updates: 3, tombstones: 2 });

    let suppressed = order("B", Phase::Cancelled(accepted("{}")));
    stored(store, &lane(0), |write| write.orders = vec![received("A"), suppressed, received("C")]).await;
    assert_eq!(store.counts().await.unwrap(), Counts { orders: 4, parked_updates: 0, tombstones: 1 });
}
