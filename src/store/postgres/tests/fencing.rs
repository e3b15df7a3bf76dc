//! An owner that froze in the middle of a write.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::proxy::{Proxy, Rule};
use super::{Schema, is_unavailable, limit, open, until};
use crate::store::conformance::samples::{all_decisions, full_write, is_fenced, key, lane, received, record, state};
use crate::store::postgres::{Options, PostgresStore};
use crate::store::{Error, Keep, LaneRow, Store};

/// Waits until a statement on the schema's lanes waits for another transaction.
pub(super) async fn blocked(admin: &Client) {
    let waiting = "SELECT FROM pg_locks
         WHERE relation = 'lanes'::regclass AND granted AND cardinality(pg_blocking_pids(pid)) > 0";
    until("a statement that waits for the lane", async || admin.query(waiting, &[]).await.unwrap().first().map(|_| ()))
        .await;
}

/// An owner of the lane whose process stands still: its transaction about the record 0 is open, its commit not sent.
struct Frozen {
    owner: Arc<PostgresStore>,
    row: LaneRow,
    writing: JoinHandle<Result<(), Error>>,
}

/// `patience_ms`: how long the server lets the transaction stand open.
async fn frozen(schema: &Schema, proxy: &Proxy, patience_ms: u32) -> Frozen {
    let options = Options { connections: 1, ..proxy.before(&schema.options) };
    let owner = PostgresStore::open(options).await.unwrap();
    let row = owner.take_lane(&lane(0)).await.unwrap();
    limit(&owner, &format!("idle_in_transaction_session_timeout = {patience_ms}")).await;
    proxy.set(Rule::HoldCommit);
    let writing = tokio::spawn({
        let (owner, write) = (owner.clone(), full_write(&lane(0), &row, 0));
        async move { owner.write(write).await }
    });
    proxy.struck(1).await;
    Frozen { owner, row, writing }
}

#[tokio::test]
async fn a_takeover_waits_for_the_write_under_way_and_sees_it() {
    let schema = open().await;
    let proxy = Proxy::start().await;
    let Frozen { owner: old, row, writing } = frozen(&schema, &proxy, 60_000).await;

    let new = schema.store.clone();
    let taking = tokio::spawn(async move { new.take_lane(&lane(0)).await });
    blocked(&schema.admin().await).await;
    proxy.set(Rule::Pass);

    writing.await.unwrap().unwrap();
    let taken = taking.await.unwrap().unwrap();
    assert_eq!((taken.epoch, taken.decided), (row.epoch + 1, 1));
    assert_eq!(all_decisions(&*schema.store, &lane(0)).await, [record(0)]);
    let late = old.write(full_write(&lane(0), &row, 1)).await;
    assert!(is_fenced(&late), "{late:?}");
}

#[tokio::test]
async fn a_frozen_owner_loses_its_write_and_is_refused_when_it_wakes() {
    let schema = open().await;
    let proxy = Proxy::start().await;
    let Frozen { owner: old, row, writing } = frozen(&schema, &proxy, 500).await;

    let taken = schema.store.take_lane(&lane(0)).await.unwrap();
    proxy.set(Rule::Pass);

    assert_eq!((taken.epoch, taken.decided), (row.epoch + 1, 0));
    let woken = writing.await.unwrap();
    assert!(is_unavailable(&woken), "{woken:?}");
    let again = old.write(full_write(&lane(0), &row, 0)).await;
    assert!(is_fenced(&again), "{again:?}");
    assert_eq!(all_decisions(&*schema.store, &lane(0)).await, []);
    assert_eq!(state(&*schema.store, "PYX-0-0").await, None);
    schema.store.write(full_write(&lane(0), &taken, 0)).await.unwrap();
    assert_eq!(all_decisions(&*schema.store, &lane(0)).await, [record(0)]);
}

/// A connection may be lost to the owner alone, while the server still works on what came by it.
#[tokio::test]
async fn a_write_repeated_on_a_new_connection_waits_for_what_the_lost_one_still_does() {
    let schema = open().await;
    let proxy = Proxy::start().await;
    let Frozen { row, writing, .. } = frozen(&schema, &proxy, 60_000).await;

    let repeating = tokio::spawn({
        let (store, write) = (schema.store.clone(), full_write(&lane(0), &row, 0));
        async move { store.write(write).await }
    });
    blocked(&schema.admin().await).await;
    proxy.set(Rule::Pass);

    writing.await.unwrap().unwrap();
    repeating.await.unwrap().unwrap();
    assert_eq!(all_decisions(&*schema.store, &lane(0)).await, [record(0)]);
    assert_eq!(schema.store.ledger(key("PYX-0-0").service_order_id()).await.unwrap().len(), 1);
    assert_eq!(schema.store.counts().await.unwrap().orders, 1);
}

/// Pruning passes over what the frozen owner has locked.
#[tokio::test]
async fn a_frozen_lane_holds_up_neither_another_lane_nor_pruning() {
    let schema = open().await;
    let row = schema.store.take_lane(&lane(1)).await.unwrap();
    let mut other = full_write(&lane(1), &row, 0);
    other.orders.push(received("PYX-0-0")); // which the frozen owner writes too
    let proxy = Proxy::start().await;
    schema.store.write(other).await.unwrap();
    let Frozen { writing, .. } = frozen(&schema, &proxy, 60_000).await;

    let next = LaneRow { decided: 1, ..row };
    schema.store.write(full_write(&lane(1), &next, 1)).await.unwrap();
    let everything = Keep {
        failures_since: i64::MAX,
        payloads_since: i64::MAX,
        events_since: i64::MAX,
        ledger_since: i64::MAX,
        orders_since: i64::MAX,
        decisions_from: vec![(lane(0), 9), (lane(1), 9)],
    };
    let deleted = schema.store.prune(everything).await.unwrap();

    assert_eq!(deleted, 10, "payload, event, decision, ledger row and order of the two records of lane 1");
    proxy.set(Rule::Pass);
    writing.await.unwrap().unwrap();
    assert_eq!(state(&*schema.store, "PYX-0-0").await, Some(received("PYX-0-0")));
    assert_eq!(schema.store.counts().await.unwrap().orders, 1);
}

/// Whoever waits for an answer may leave; the server must not keep the lane for them.
#[tokio::test]
async fn a_write_that_is_given_up_is_undone_and_frees_its_lane() {
    let schema = open().await;
    let row = schema.store.take_lane(&lane(0)).await.unwrap();
    schema.store.write(full_write(&lane(0), &row, 0)).await.unwrap();
    let admin = schema.admin().await;
    admin.batch_execute("BEGIN; SELECT FROM orders FOR UPDATE").await.unwrap();
    let mut second = full_write(&lane(0), &row, 1);
    second.orders = vec![received("PYX-0-0")];
    let store = schema.store.clone();
    let writing = tokio::spawn(async move { store.write(second).await });
    blocked(&schema.admin().await).await;

    writing.abort();
    assert!(writing.await.unwrap_err().is_cancelled());
    admin.batch_execute("ROLLBACK").await.unwrap();

    let taken = schema.store.take_lane(&lane(0)).await.unwrap();
    assert_eq!((taken.epoch, taken.decided), (row.epoch + 1, 1));
    assert_eq!(all_decisions(&*schema.store, &lane(0)).await, [record(0)]);
}
