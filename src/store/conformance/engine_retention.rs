//! What of the lane engine is deleted when.

use std::collections::BTreeMap;

use super::Harness;
use super::batches::{
    NOW, Owner, at, claim, command, delivered, delivered_of, engine_lane, guarded, link, moved, put, released, ruled,
    waiting,
};
use super::samples::{keep, prune};
use crate::lane::batch::{Answer, ClaimAnswer, CommandOutcome, Disposition, Role, Ruling};
use crate::lane::place::{Seq, Topic};
use crate::store::Keep;
use crate::store::lanes::Settle;

const DEAD: Ruling = Ruling::Dead(Disposition::Rejected);

fn below(border: i64) -> Keep {
    Keep { decisions_from: vec![(engine_lane(0), border)], ..keep() }
}

async fn ended(owner: &Owner<'_>) -> Vec<Seq> {
    let ended: BTreeMap<Seq, u32> = owner.store.ended(&owner.lane, (0..100).collect()).await.unwrap();
    ended.into_keys().collect()
}

pub async fn what_is_decided_is_kept_from_the_border_on_and_until_it_is_confirmed(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    owner.decide((1..=4).map(|seq| ruled(seq, "A", Ruling::Applied))).await;
    owner.write(|write| write.released = vec![released(1, 2, Vec::new())]).await;
    owner
        .write(|write| {
            put(write, at(ruled(2, "A", Ruling::Applied), Topic::Held, 0, 1), Vec::new());
            write.released = vec![released(9, 3, Vec::new())];
        })
        .await; // it says that batch 2 was confirmed
    assert_eq!(prune(store, below(1)).await, 0);
    assert_eq!(prune(store, Keep { decisions_from: vec![(engine_lane(1), 9)], ..keep() }).await, 0);

    let deleted = prune(store, below(4)).await;

    let source: Vec<_> = owner.decided_in(Topic::Source).await.iter().map(|decided| decided.decision.seq).collect();
    assert_eq!((source, owner.decided_in(Topic::Held).await.len()), (vec![4], 1));
    assert_eq!(ended(&owner).await, [2, 4], "2 ended again, and that is not confirmed");
    assert_eq!(store.released_after(&owner.lane, 0).await.unwrap().len(), 2, "the lane stood at 5 by then");
    assert_eq!(deleted, 3 + 2);
    assert_eq!(prune(store, below(6)).await, 3, "decision and end of 4, and the first release");
    owner.decide([]).await;
    assert_eq!(prune(store, below(6)).await, 3, "what batch 3 did");
}

pub async fn nothing_of_an_outstanding_or_parked_record_is_pruned(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    owner.write(|write| write.batch.claims = (1..=3).map(|seq| claim(seq, &format!("K{seq}"), 1)).collect()).await;
    for (seq, answer) in [(1, Answer::Applied), (2, Answer::Parked), (3, Answer::Applied)] {
        owner.settle(seq, 1, answer).await;
    }
    owner
        .write(|write| {
            put(write, ruled(1, "K1", moved(Topic::Held, Role::Head)), Vec::new());
            put(write, ruled(2, "K2", Ruling::Parked), Vec::new());
            put(write, ruled(3, "K3", Ruling::Applied), Vec::new());
            write.parked = vec![waiting(2, &["p"], i64::MAX)];
        })
        .await;
    owner.decide([]).await;

    prune(store, below(100)).await;

    assert_eq!(ended(&owner).await, [2]);
    assert_eq!(store.key_records(&owner.lane, b"north|K1".as_slice().into(), 0, 9).await.unwrap().len(), 1);
    assert_eq!(store.releasable(&owner.lane, i64::MAX, 9).await.unwrap().len(), 1);
    assert_eq!(owner.claim(claim(1, "K1", 1)).await, ClaimAnswer::Settled(Answer::Applied));
    assert_eq!(owner.claim(claim(2, "K2", 1)).await, ClaimAnswer::Settled(Answer::Parked));
    assert_eq!(owner.claim(claim(3, "K3", 1)).await, ClaimAnswer::Granted, "forgotten");
}

/// Its dead letter may be replayed long after the border has passed it, and once only.
pub async fn that_a_dead_record_came_back_is_kept_as_long_as_orders(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    owner.claim(claim(9, "A", 1)).await;
    owner.decide([ruled(1, "A", DEAD), ruled(2, "B", DEAD)]).await;
    owner.now_ms += 1_000;
    owner.decide([at(ruled(1, "A", Ruling::Applied), Topic::Control, 0, 1), ruled(3, "C", DEAD)]).await;
    owner.decide([]).await;

    prune(store, Keep { orders_since: NOW, ..below(100) }).await;
    assert_eq!(ended(&owner).await, [1, 2, 3]);
    assert_eq!(owner.claim(guarded(1, "A", 2, 1, true)).await, ClaimAnswer::Overtaken);
    assert_eq!(owner.claim(guarded(8, "A", 1, 0, false)).await, ClaimAnswer::Overtaken);

    prune(store, Keep { orders_since: NOW + 1, ..below(100) }).await;
    assert_eq!(ended(&owner).await, [3], "by the time of the death");
    assert_eq!(owner.claim(guarded(8, "A", 1, 0, false)).await, ClaimAnswer::Granted, "the key's claim went as well");
}

pub async fn links_delivered_values_and_commands_go_by_their_age(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    for (attempt, at) in [(1, 100), (2, 200)] {
        owner.now_ms = at;
        owner
            .write(|write| {
                write.links = vec![link(&format!("p-{at}"), "A"), link("renewed", "A")];
                write.batch.commands = vec![command(&format!("c-{at}"), CommandOutcome::Done)];
                write.batch.claims = vec![claim(1, "A", attempt)];
            })
            .await;
        let delivered = Some(delivered("A", &format!("kind-{at}"), "v", at));
        store.settle(Settle { delivered, ..owner.settled(1, attempt, Answer::Applied) }).await.unwrap();
    }

    prune(store, Keep { orders_since: 200, ..keep() }).await;

    let ids = ["p-100", "p-200", "renewed"].map(str::to_owned).to_vec();
    let links = store.links(ids).await.unwrap();
    assert_eq!(links.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true]);
    let of = ["kind-100", "kind-200"].map(|kind| delivered_of("A", kind)).to_vec();
    assert_eq!(store.delivered(of).await.unwrap(), [None, Some("v".to_owned())]);
    let commands = ["c-100", "c-200"].map(str::to_owned).to_vec();
    assert_eq!(store.executed(&owner.lane, commands.clone()).await.unwrap().len(), 2);
    assert_eq!(prune(store, Keep { ledger_since: 200, ..keep() }).await, 1);
    assert_eq!(store.executed(&owner.lane, commands).await.unwrap(), ["c-200".to_owned()].into());
}
