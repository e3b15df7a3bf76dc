//! Payloads and the ledger.

use bytes::Bytes;
use uuid::Uuid;

use super::Harness;
use super::samples::{entry, keep, key, lane, payload, prune, received, state, stored};
use crate::canonical::ids::Sha256Digest;
use crate::store::{LedgerEntry, Origin};

pub async fn a_payload_is_found_by_its_digest(harness: impl Harness) {
    let store = harness.store();
    let large: Vec<u8> = (0..1_usize << 20).map(|at| (at % 249) as u8).collect();
    let payloads = vec![payload(b"", 1), payload(b"{\"a\":1}", 2), payload(&[0xff, 0x00, 0xfe], 3), payload(&large, 4)];

    stored(store, &lane(0), |write| write.payloads = payloads.clone()).await;

    for payload in payloads {
        assert_eq!(store.payload(payload.digest).await.unwrap(), Some(payload.bytes));
    }
    assert_eq!(store.payload(Sha256Digest::of(b"never seen")).await.unwrap(), None);
    assert_eq!(store.payload(Sha256Digest([0; 32])).await.unwrap(), None);
}

pub async fn the_same_payload_twice_is_one(harness: impl Harness) {
    let store = harness.store();
    let twice = vec![payload(b"again", 100), payload(b"once", 100), payload(b"again", 150)];
    stored(store, &lane(0), |write| write.payloads = twice).await;
    stored(store, &lane(1), |write| write.payloads = vec![payload(b"again", 300)]).await;
    stored(store, &lane(0), |write| write.payloads = vec![payload(b"again", 200)]).await; // late: not back

    let mut limits = keep();
    limits.payloads_since = 300;
    store.prune(limits.clone()).await.unwrap();
    let kept = store.payload(Sha256Digest::of(b"again")).await.unwrap();
    assert_eq!(kept, Some(Bytes::from_static(b"again")), "received last at 300");
    assert_eq!(store.payload(Sha256Digest::of(b"once")).await.unwrap(), None);

    limits.payloads_since = 301;
    assert_eq!(prune(store, limits).await, 1);
    assert_eq!(store.payload(Sha256Digest::of(b"again")).await.unwrap(), None);
}

pub async fn the_ledger_of_an_order_is_in_the_order_of_writing(harness: impl Harness) {
    let (a, b) = (key("A"), key("B"));
    let (zero, one) = (lane(0), lane(1));
    let store = harness.store();
    // The times run backwards: the order of writing counts.
    let first = vec![entry(&a, &zero, 0, 90), entry(&b, &zero, 1, 89), entry(&a, &zero, 2, 88)];
    stored(store, &zero, |write| write.ledger = first).await;
    stored(store, &one, |write| write.ledger = vec![entry(&a, &one, 0, 87)]).await;

    let harness = harness.reopen().await;

    let store = harness.store();
    stored(store, &zero, |write| {
        write.orders = vec![received("A")];
        write.ledger = vec![entry(&a, &zero, 3, 86), entry(&a, &one, 9, 85)]; // one of another lane
    })
    .await;
    let expected = [
        entry(&a, &zero, 0, 90),
        entry(&a, &zero, 2, 88),
        entry(&a, &one, 0, 87),
        entry(&a, &zero, 3, 86),
        entry(&a, &one, 9, 85),
    ];
    assert_eq!(store.ledger(a.service_order_id()).await.unwrap(), expected);
    assert_eq!(store.ledger(b.service_order_id()).await.unwrap(), [entry(&b, &zero, 1, 89)]);
}

pub async fn the_ledger_keeps_each_origin(harness: impl Harness) {
    let origins = [
        Origin::Record { offset: 5 },
        Origin::Release { offset: 5, parked: 0 },
        Origin::Timer { number: 7, offset: 5 },
    ];
    let entries = origins.map(|origin| LedgerEntry { origin, ..entry(&key("A"), &lane(0), 5, 1) }).to_vec();

    stored(harness.store(), &lane(0), |write| write.ledger = entries.clone()).await;

    assert_eq!(harness.store().ledger(key("A").service_order_id()).await.unwrap(), entries);
}

pub async fn an_order_without_a_state_has_a_ledger(harness: impl Harness) {
    let store = harness.store();
    let unreadable = LedgerEntry { order: Uuid::nil(), ..entry(&key("?"), &lane(0), 1, 2) };
    stored(store, &lane(0), |write| {
        write.ledger = vec![entry(&key("A"), &lane(0), 0, 1), unreadable.clone(), unreadable.clone()];
    })
    .await;

    assert_eq!(store.ledger(Uuid::nil()).await.unwrap(), [unreadable.clone(), unreadable]);
    assert_eq!(store.ledger(Uuid::max()).await.unwrap(), []);
    assert_eq!(state(store, "A").await, None, "a rejection is no state");
    assert_eq!(store.counts().await.unwrap().orders, 0);

    stored(store, &lane(0), |write| write.orders = vec![received("A")]).await;
    assert_eq!(state(store, "A").await, Some(received("A")));
    assert_eq!(store.counts().await.unwrap().orders, 1);
    assert_eq!(store.ledger(key("A").service_order_id()).await.unwrap(), [entry(&key("A"), &lane(0), 0, 1)]);
}
