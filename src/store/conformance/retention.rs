//! What is deleted when, and what never is.

use super::Harness;
use super::samples::{
    all_decisions, entry, event, keep, key, lane, order, parked, payload, prune, received, record, release, state,
    stored, timer, tombstone,
};
use crate::store::{Counts, Keep, OrderState, Phase};

pub async fn decisions_are_kept_from_the_border_on(harness: impl Harness) {
    let store = harness.store();
    let written = vec![record(1), record(2), release(2, 0), record(3), release(3, 1), record(4)];
    for partition in [0, 1] {
        stored(store, &lane(partition), |write| write.decisions = written.clone()).await;
    }

    assert_eq!(prune(store, keep()).await, 0, "no border is given");
    let deleted = prune(store, Keep { decisions_from: vec![(lane(0), 3), (lane(5), 9)], ..keep() }).await;

    assert_eq!(deleted, 3);
    assert_eq!(all_decisions(store, &lane(0)).await, written[3..]);
    assert_eq!(all_decisions(store, &lane(1)).await, written);
}

/// The record that set a timer may be far below the border while the timer's effects are not yet on the log.
pub async fn timer_decisions_are_kept_until_their_place_is_below_the_border(harness: impl Harness) {
    let store = harness.store();
    for (decided, number) in [(100, 1), (200, 2), (300, 3)] {
        stored(store, &lane(0), |write| {
            write.decided = decided;
            write.decisions = vec![timer(number, 7)];
        })
        .await;
    }

    for (border, expected) in [
        (100, vec![timer(1, 7), timer(2, 7), timer(3, 7)]),
        (101, vec![timer(2, 7), timer(3, 7)]),
        (300, vec![timer(3, 7)]),
        (301, vec![]),
    ] {
        prune(store, Keep { decisions_from: vec![(lane(0), border)], ..keep() }).await;
        assert_eq!(store.timer_decisions(&lane(0), 0).await.unwrap(), expected, "border {border}");
    }
}

pub async fn payloads_are_kept_until_they_are_older_than_the_limit(harness: impl Harness) {
    let store = harness.store();
    let payloads = vec![payload(b"new", 201), payload(b"old", 199), payload(b"border", 200)];
    stored(store, &lane(0), |write| write.payloads = payloads.clone()).await;

    assert_eq!(prune(store, Keep { payloads_since: 200, ..keep() }).await, 1);

    for payload in payloads {
        let found = store.payload(payload.digest).await.unwrap();
        assert_eq!(found.is_some(), payload.received_at >= 200, "received at {}", payload.received_at);
    }
}

pub async fn published_events_are_kept_until_they_are_older_than_the_limit(harness: impl Harness) {
    let store = harness.store();
    let events = [event(1, 201), event(2, 199), event(3, 200), event(4, 5)];
    stored(store, &lane(0), |write| write.events = events.to_vec()).await;
    stored(store, &lane(1), |write| write.events = vec![event(2, 300)]).await; // the first time counts

    assert_eq!(prune(store, Keep { events_since: 200, ..keep() }).await, 2);

    let found = store.published_events(events.map(|event| event.id).to_vec()).await.unwrap();
    assert_eq!(found, [events[0].id, events[2].id].into());
    stored(store, &lane(0), |write| write.events = vec![event(2, 301)]).await;
    assert_eq!(store.published_events(vec![event(2, 0).id]).await.unwrap(), [event(2, 0).id].into());
}

pub async fn ledger_rows_are_kept_until_they_are_older_than_the_limit(harness: impl Harness) {
    let store = harness.store();
    let (a, b, c) = (key("A"), key("B"), key("C")); // B and C have no state
    stored(store, &lane(0), |write| {
        write.orders = vec![received("A")];
        write.ledger = vec![
            entry(&a, &lane(0), 1, 99),
            entry(&b, &lane(0), 2, 98),
            entry(&c, &lane(0), 2, 98),
            entry(&c, &lane(0), 2, 100),
            entry(&a, &lane(0), 3, 100),
            entry(&a, &lane(0), 4, 97),
        ];
    })
    .await;

    assert_eq!(prune(store, Keep { ledger_since: 100, ..keep() }).await, 4);

    assert_eq!(store.ledger(a.service_order_id()).await.unwrap(), [entry(&a, &lane(0), 3, 100)]);
    assert_eq!(store.ledger(b.service_order_id()).await.unwrap(), []);
    assert_eq!(store.ledger(c.service_order_id()).await.unwrap(), [entry(&c, &lane(0), 2, 100)]);
    assert_eq!(state(store, "A").await, Some(received("A")));
    stored(store, &lane(0), |write| {
        write.ledger = vec![entry(&b, &lane(0), 5, 101), entry(&a, &lane(0), 6, 102)];
    })
    .await;
    assert_eq!(store.ledger(b.service_order_id()).await.unwrap(), [entry(&b, &lane(0), 5, 101)]);
    let expected = [entry(&a, &lane(0), 3, 100), entry(&a, &lane(0), 6, 102)];
    assert_eq!(store.ledger(a.service_order_id()).await.unwrap(), expected);
}

pub async fn orders_are_kept_until_they_are_older_than_the_limit(harness: impl Harness) {
    let store = harness.store();
    let at = |name: &str, changed_at| OrderState { changed_at, ..received(name) };
    stored(store, &lane(0), |write| {
        write.orders = vec![at("old", 99), at("border", 100), at("changed", 50)];
        write.ledger = vec![entry(&key("old"), &lane(0), 1, 1_000)];
    })
    .await;
    stored(store, &lane(1), |write| write.orders = vec![at("changed", 101), at("older", 3)]).await;

    assert_eq!(prune(store, Keep { orders_since: 100, ..keep() }).await, 2);

    for (name, expected) in
        [("old", None), ("older", None), ("border", Some(at("border", 100))), ("changed", Some(at("changed", 101)))]
    {
        assert_eq!(state(store, name).await, expected, "{name}");
    }
    assert_eq!(store.counts().await.unwrap(), Counts { orders: 2, ..Counts::default() });
    let ledger = store.ledger(key("old").service_order_id()).await.unwrap();
    assert_eq!(ledger, [entry(&key("old"), &lane(0), 1, 1_000)], "the ledger has its own limit");
}

pub async fn an_order_with_something_parked_is_never_pruned(harness: impl Harness) {
    let store = harness.store();
    let waiting = OrderState { changed_at: 1, parked: vec![parked(1, 1, 10)], ..order("A", Phase::Unknown) };
    let grave = OrderState { changed_at: 1, ..order("B", Phase::Tombstone(tombstone(2, 20))) };
    let nothing = OrderState { changed_at: 1, ..order("C", Phase::Unknown) };
    stored(store, &lane(0), |write| write.orders = vec![waiting.clone(), grave.clone(), nothing]).await;

    let deleted = prune(store, Keep { orders_since: i64::MAX, ..keep() }).await;

    assert_eq!(deleted, 1);
    assert_eq!(state(store, "A").await, Some(waiting));
    assert_eq!(state(store, "B").await, Some(grave));
    assert_eq!(state(store, "C").await, None);
    assert_eq!(store.due(&lane(0), 20, 9).await.unwrap().len(), 2);
}

pub async fn a_pruned_order_may_come_again(harness: impl Harness) {
    let store = harness.store();
    for with_ledger in [false, true] {
        stored(store, &lane(0), |write| {
            write.orders = vec![received("A")];
            write.ledger = with_ledger.then(|| entry(&key("A"), &lane(0), 1, 5)).into_iter().collect();
        })
        .await;
        assert_eq!(prune(store, Keep { orders_since: i64::MAX, ..keep() }).await, 1);
        assert_eq!(state(store, "A").await, None);

        stored(store, &lane(0), |write| write.orders = vec![received("A")]).await;

        assert_eq!(state(store, "A").await, Some(received("A")));
        assert_eq!(store.counts().await.unwrap(), Counts { orders: 1, ..Counts::default() });
    }
    assert_eq!(store.ledger(key("A").service_order_id()).await.unwrap().len(), 1);
}

pub async fn pruning_is_bounded_and_comes_to_an_end(harness: impl Harness) {
    const MANY: i64 = 3_000;
    let store = harness.store();
    stored(store, &lane(0), |write| {
        write.decisions = (0..MANY).map(record).collect();
        write.payloads = (0..MANY).map(|number| payload(&number.to_be_bytes(), 1)).collect();
        write.events = (0..MANY).map(|number| event(number as u64, 1)).collect();
        write.orders = (0..MANY).map(|number| received(&number.to_string())).collect();
        write.ledger = (0..MANY).map(|number| entry(&key(&number.to_string()), &lane(0), number, 1)).collect();
    })
    .await;
    let limits = Keep {
        failures_since: 0,
        payloads_since: 2,
        events_since: 2,
        ledger_since: 2,
        orders_since: i64::MAX,
        decisions_from: vec![(lane(0), MANY)],
    };

    let first = store.prune(limits.clone()).await.unwrap();

    assert!((1..=MANY as u64).contains(&first), "{first} rows in one call");
    let rest = prune(store, limits).await;
    assert_eq!(first + rest, 5 * MANY as u64);
    assert_eq!(all_decisions(store, &lane(0)).await, []);
    assert_eq!(store.counts().await.unwrap(), Counts::default());
    assert_eq!(store.ledger(key("0").service_order_id()).await.unwrap(), []);
}
