//! What may be stored: any text, large values, and the same rows by two lanes at once.

use bytes::Bytes;
use futures_util::future::join;

use super::open;
use crate::canonical::ids::OrderKey;
use crate::store::conformance::samples::{
    accepted, entry, full_write, lane, order, parked, payload, received, stored, tombstone,
};
use crate::store::{Accepted, LedgerEntry, OrderState, ParkedUpdate, Phase, Store, Tombstone};

/// PostgreSQL's own texts cannot hold U+0000. No sender may stop a lane with one.
#[tokio::test]
async fn every_text_may_hold_any_character() {
    let schema = open().await;
    let text = || "a\u{0}\u{feff}é'\"\\漢🦀".to_owned();
    let key = OrderKey { tenant_id: text(), source_key: text(), external_order_id: text() };
    let accepted = Accepted { transformation_version: text(), ..accepted(&text()) };
    let grave = Tombstone { reason_code: text(), reason: Some(text()), ..tombstone(1, 2) };
    let waiting = ParkedUpdate { traceparent: Some(text()), value: text().into(), ..parked(3, 4, 5) };
    let states = vec![
        OrderState { key: key.clone(), ..order("", Phase::Received(accepted)) },
        OrderState { parked: vec![waiting], ..order("grave", Phase::Tombstone(grave)) },
    ];
    let row = LedgerEntry { detail: text(), ..entry(&key, &lane(0), 0, 1) };

    stored(&*schema.store, &lane(0), |write| {
        write.orders = states.clone();
        write.ledger = vec![row.clone()];
    })
    .await;

    let ids = states.iter().map(OrderState::id).collect();
    let found = schema.store.orders(ids).await.unwrap();
    assert_eq!(found, states.into_iter().map(Some).collect::<Vec<_>>());
    assert_eq!(schema.store.ledger(row.order).await.unwrap(), [row]);
}

#[tokio::test]
async fn a_payload_of_sixteen_mebibytes_comes_back_equal() {
    let schema = open().await;
    let large: Bytes = (0_u32..4 << 20).flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect();
    let large = payload(&large, 1);

    stored(&*schema.store, &lane(0), |write| write.payloads = vec![large.clone()]).await;

    assert_eq!(schema.store.payload(large.digest).await.unwrap(), Some(large.bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_lanes_that_write_the_same_rows_wait_for_each_other_in_one_direction_only() {
    let schema = open().await;
    let store = &*schema.store;
    let (zero, one) = (store.take_lane(&lane(0)).await.unwrap(), store.take_lane(&lane(1)).await.unwrap());
    for offset in 0..20 {
        let names: Vec<String> = (0..40).map(|number| format!("{offset}-{number}")).collect();
        let mut forwards = full_write(&lane(0), &zero, offset);
        forwards.orders.extend(names.iter().map(|name| received(name)));
        forwards.payloads.extend(names.iter().map(|name| payload(name.as_bytes(), offset)));
        let mut backwards = full_write(&lane(1), &one, offset);
        backwards.orders.extend(forwards.orders[1..].iter().rev().cloned());
        backwards.payloads.extend(forwards.payloads[1..].iter().rev().cloned());

        let (first, second) = join(store.write(forwards), store.write(backwards)).await;

        first.unwrap();
        second.unwrap();
    }
}
