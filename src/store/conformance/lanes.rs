//! Who may write, and what is seen by whom.

use futures_util::future::{join, join_all};

use super::Harness;
use super::samples::{
    accepted, all_decisions, entry, event, full_write, is_fenced, key, lane, order, parked, payload, received, record,
    release, state, timer, tombstone, write,
};
use crate::store::{Balance, LaneId, LaneRow, LaneWrite, OrderState, Phase, Store};

pub async fn a_lane_begins_with_the_first_epoch_and_nothing_decided(harness: impl Harness) {
    let row = harness.store().take_lane(&lane(3)).await.unwrap();

    let expected = LaneRow { epoch: 1, decided: 0, confirmed: 0, timers: 0, balance: Balance::default() };
    assert_eq!(row, expected);
}

pub async fn taking_a_lane_returns_what_its_owner_wrote_last(harness: impl Harness) {
    let store = harness.store();
    let row = store.take_lane(&lane(0)).await.unwrap();
    let balance = Balance { taken: 10, applied: 7, parked: 3 };
    let written = LaneWrite { decided: 12, confirmed: 9, timers: 4, balance, ..write(&lane(0), &row) };
    store.write(LaneWrite { decided: 5, ..written.clone() }).await.unwrap();
    store.write(written).await.unwrap();

    let taken = store.take_lane(&lane(0)).await.unwrap();

    assert_eq!(taken, LaneRow { epoch: 2, decided: 12, confirmed: 9, timers: 4, balance });
}

pub async fn an_older_epoch_is_refused_and_nothing_of_its_write_is_there(harness: impl Harness) {
    let store = harness.store();
    let old = store.take_lane(&lane(0)).await.unwrap();
    store.write(full_write(&lane(0), &old, 0)).await.unwrap();
    let new = store.take_lane(&lane(0)).await.unwrap();

    let mut late = full_write(&lane(0), &old, 1);
    late.decisions.push(timer(1, 0));
    late.orders.push(order("PYX-0-0", Phase::Unknown));
    let refused = store.write(late).await;

    assert!(is_fenced(&refused), "{refused:?}");
    assert_eq!(
        refused.unwrap_err().to_string(),
        "lane `crossdock.intake`/0 has epoch 2, this owner has 1" // an operator reads this
    );
    assert_eq!(all_decisions(store, &lane(0)).await, [record(0)]);
    assert_eq!(store.timer_decisions(&lane(0), 0).await.unwrap(), []);
    assert_eq!(state(store, "PYX-0-0").await, Some(received("PYX-0-0")));
    assert_eq!(state(store, "PYX-0-1").await, None);
    assert_eq!(store.payload(payload(b"PYX-0-1", 0).digest).await.unwrap(), None);
    assert_eq!(store.published_events(vec![event(1, 1).id]).await.unwrap(), [].into());
    assert_eq!(store.ledger(key("PYX-0-1").service_order_id()).await.unwrap(), []);
    assert_eq!(store.counts().await.unwrap().orders, 1);
    let row = store.take_lane(&lane(0)).await.unwrap();
    assert_eq!(row, LaneRow { epoch: new.epoch + 1, ..new });
}

pub async fn a_lane_never_taken_refuses_every_write(harness: impl Harness) {
    let row = LaneRow { epoch: 1, decided: 0, confirmed: 0, timers: 0, balance: Balance::default() };

    let refused = harness.store().write(full_write(&lane(0), &row, 0)).await;

    assert!(is_fenced(&refused), "{refused:?}");
    assert_eq!(state(harness.store(), "PYX-0-0").await, None);
}

pub async fn a_write_racing_a_takeover_is_wholly_before_or_refused(harness: impl Harness) {
    let store = harness.store();
    let mut row = store.take_lane(&lane(0)).await.unwrap();
    for offset in 0..50 {
        let write = store.write(full_write(&lane(0), &row, offset));
        let takeover = store.take_lane(&lane(0));

        let (written, taken) = match offset % 2 {
            0 => join(write, takeover).await,
            _ => {
                let (taken, written) = join(takeover, write).await;
                (written, taken)
            }
        };

        let taken = taken.unwrap();
        let name = format!("PYX-0-{offset}");
        let decided = store.decisions(&lane(0), offset, offset + 1).await.unwrap();
        match written {
            Ok(()) => {
                assert_eq!(taken.decided, offset + 1, "the new owner sees what was written before it");
                assert_eq!(decided, [record(offset)]);
                assert_eq!(state(store, &name).await, Some(received(&name)));
            }
            refused => {
                assert!(is_fenced(&refused), "{refused:?}");
                assert_eq!(taken.decided, row.decided);
                assert_eq!(decided, []);
                assert_eq!(state(store, &name).await, None);
            }
        }
        row = taken;
    }
}

pub async fn two_lanes_are_independent(harness: impl Harness) {
    let store = harness.store();
    let other_topic = LaneId { topic: "crossdock.platform".into(), partition: 0 };
    let lanes = [lane(0), lane(1), other_topic];
    let mut rows = Vec::new();
    for (offset, lane) in (10..).zip(&lanes) {
        let row = store.take_lane(lane).await.unwrap();
        assert_eq!(row.epoch, 1);
        store.write(LaneWrite { decided: offset, decisions: vec![record(offset)], ..write(lane, &row) }).await.unwrap();
        rows.push(row);
    }

    store.take_lane(&lanes[0]).await.unwrap();

    assert!(is_fenced(&store.write(write(&lanes[0], &rows[0])).await));
    for (offset, (lane, row)) in (10..).zip(lanes.iter().zip(&rows)).skip(1) {
        store.write(write(lane, row)).await.unwrap();
        assert_eq!(all_decisions(store, lane).await, [record(offset)]);
    }
}

pub async fn writers_of_six_lanes_at_once_lose_nothing(harness: impl Harness) {
    const WRITES: i64 = 40;
    let store = harness.store();

    join_all((0..6).map(|partition| async move {
        let row = store.take_lane(&lane(partition)).await.unwrap();
        for offset in 0..WRITES {
            store.write(full_write(&lane(partition), &row, offset)).await.unwrap();
        }
    }))
    .await;

    for partition in 0..6 {
        let lane = lane(partition);
        let expected: Vec<_> = (0..WRITES).map(record).collect();
        assert_eq!(all_decisions(store, &lane).await, expected);
        for offset in 0..WRITES {
            let name = format!("PYX-{partition}-{offset}");
            assert_eq!(state(store, &name).await, Some(received(&name)));
            let ledger = store.ledger(key(&name).service_order_id()).await.unwrap();
            assert_eq!(ledger, [entry(&key(&name), &lane, offset, offset)]);
        }
        let row = store.take_lane(&lane).await.unwrap();
        assert_eq!((row.epoch, row.decided, row.balance.taken), (2, WRITES, WRITES as u64));
    }
    assert_eq!(store.counts().await.unwrap().orders, 6 * WRITES as u64);
}

pub async fn everything_survives_a_reopening(harness: impl Harness) {
    let waiting = OrderState { parked: vec![parked(3, 5, 60)], ..order("waiting", Phase::Unknown) };
    let grave = order("grave", Phase::Tombstone(tombstone(4, 70)));
    let gone = order("gone", Phase::Cancelled(accepted("{}")));
    let store = harness.store();
    let row = store.take_lane(&lane(0)).await.unwrap();
    let mut full = full_write(&lane(0), &row, 0);
    full.decisions.extend([release(0, 0), timer(1, 0)]);
    full.orders.extend([waiting, grave, gone]);
    full.timers = 1;
    store.write(full.clone()).await.unwrap();
    let due = store.due(&lane(0), 70, 9).await.unwrap();
    assert_eq!(due.len(), 2);

    let harness = harness.reopen().await;

    let store = harness.store();
    assert_found(store, &full).await;
    assert_eq!(store.due(&lane(0), 70, 9).await.unwrap(), due);
    assert_eq!(store.counts().await.unwrap().orders, 4);
    let taken = store.take_lane(&lane(0)).await.unwrap();
    let LaneWrite { decided, confirmed, timers, balance, .. } = full;
    assert_eq!(taken, LaneRow { epoch: row.epoch + 1, decided, confirmed, timers, balance });
    assert!(is_fenced(&store.write(write(&lane(0), &row)).await), "the epoch outlives the process");
}

async fn assert_found(store: &dyn Store, written: &LaneWrite) {
    let ids = written.orders.iter().map(OrderState::id).collect();
    let states: Vec<_> = written.orders.iter().cloned().map(Some).collect();
    assert_eq!(store.orders(ids).await.unwrap(), states);
    let mut decisions = all_decisions(store, &written.lane).await;
    decisions.extend(store.timer_decisions(&written.lane, 0).await.unwrap());
    assert_eq!(decisions, written.decisions);
    for payload in &written.payloads {
        assert_eq!(store.payload(payload.digest).await.unwrap().as_ref(), Some(&payload.bytes));
    }
    let events = || written.events.iter().map(|event| event.id);
    assert_eq!(store.published_events(events().collect()).await.unwrap(), events().collect());
    for entry in &written.ledger {
        assert_eq!(store.ledger(entry.order).await.unwrap(), std::slice::from_ref(entry));
    }
}
