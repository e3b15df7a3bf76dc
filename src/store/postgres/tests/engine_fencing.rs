//! An owner of a lane of the engine that froze in the middle of a batch, or of an answer.

use std::sync::Arc;

use super::fencing::blocked;
use super::proxy::{Proxy, Rule};
use super::{Schema, is_unavailable, limit, open};
use crate::lane::batch::{Answer, ClaimAnswer, Role};
use crate::lane::place::Topic;
use crate::store::Store;
use crate::store::conformance::batches::{Owner, awkward_effects, claim, engine_lane, moved, put, ruled};
use crate::store::conformance::samples::is_fenced;
use crate::store::lanes::{KeyFilter, LaneStore};
use crate::store::postgres::{Options, PostgresStore};

/// A store of the same schema whose one connection goes through `proxy`. `patience_ms`: how long the server lets its
/// transaction stand open.
async fn behind(schema: &Schema, proxy: &Proxy, patience_ms: u32) -> Arc<PostgresStore> {
    let options = Options { connections: 1, ..proxy.before(&schema.options) };
    let store = PostgresStore::open(options).await.unwrap();
    limit(&store, &format!("idle_in_transaction_session_timeout = {patience_ms}")).await;
    store
}

#[tokio::test]
async fn a_frozen_owner_loses_its_batch_and_is_refused_when_it_wakes() {
    let schema = open().await;
    let proxy = Proxy::start().await;
    let store = behind(&schema, &proxy, 500).await;
    let owner = Owner::take_over(&*store, engine_lane(0)).await;
    let mut batch = owner.next();
    put(&mut batch, ruled(1, "A", moved(Topic::Held, Role::Head)), awkward_effects());
    batch.batch.claims = vec![claim(2, "B", 1)];
    proxy.set(Rule::HoldCommit);
    let writing = tokio::spawn({
        let (store, batch) = (store.clone(), batch.clone());
        async move { store.write_batch(batch).await }
    });
    proxy.struck(1).await;

    let mut new = Owner::take_over(&*schema.store, engine_lane(0)).await;
    proxy.set(Rule::Pass);

    assert_eq!((new.epoch, new.number), (2, 0));
    let woken = writing.await.unwrap();
    assert!(is_unavailable(&woken), "{woken:?}");
    assert!(is_fenced(&store.write_batch(batch).await.map(drop)));
    assert_eq!(new.decided_in(Topic::Source).await, []);
    assert_eq!(schema.store.keys(KeyFilter::default(), None, 9).await.unwrap(), []);
    assert_eq!(new.claim(claim(2, "B", 1)).await, ClaimAnswer::Granted, "nobody has it");
}

#[tokio::test]
async fn a_takeover_waits_for_the_answer_under_way_and_sees_it() {
    let schema = open().await;
    let proxy = Proxy::start().await;
    let store = behind(&schema, &proxy, 60_000).await;
    let mut owner = Owner::take_over(&*store, engine_lane(0)).await;
    owner.write(|write| write.batch.claims = vec![claim(1, "A", 1), claim(2, "B", 1)]).await;
    let settle = owner.settled(1, 1, Answer::Applied);
    proxy.set(Rule::HoldCommit);
    let settling = tokio::spawn({
        let store = store.clone();
        async move { store.settle(settle).await }
    });
    proxy.struck(1).await;

    let new: Arc<dyn Store> = schema.store.clone();
    let taking = tokio::spawn(async move { new.take_over(&engine_lane(0)).await });
    blocked(&schema.admin().await).await;
    proxy.set(Rule::Pass);

    settling.await.unwrap().unwrap();
    assert_eq!(taking.await.unwrap().unwrap().epoch, 2);
    assert!(is_fenced(&store.settle(owner.settled(2, 1, Answer::Applied)).await));
    let mut new = Owner::take_over(&*schema.store, engine_lane(0)).await;
    assert_eq!(new.claim(claim(1, "A", 1)).await, ClaimAnswer::Settled(Answer::Applied));
    assert!(matches!(new.claim(claim(2, "B", 1)).await, ClaimAnswer::Busy { .. }));
}
