//! Batches of the lane engine: who may write them, and what a new owner finds.

use super::Harness;
use super::batches::{
    NOW, Owner, at, awkward_effects, claim, command, delivered, engine_lane, failed, guarded, known, link, moved, put,
    ruled, waiting,
};
use super::samples::{entry, event, is_fenced, key, lane};
use crate::lane::batch::{Answer, ClaimAnswer, CommandOutcome, Decision, Disposition, Role, Ruling};
use crate::lane::checkpoint::{Balance, Checkpoint};
use crate::lane::marks::Finished;
use crate::lane::place::Topic;
use crate::store::lanes::{KeyFilter, Settle, Taken};
use crate::store::{Error, LaneId, LedgerEntry, Store};

async fn keys(store: &dyn Store) -> usize {
    store.keys(KeyFilter::default(), None, 100).await.unwrap().len()
}

fn step(lane: &LaneId, detail: &str) -> LedgerEntry {
    LedgerEntry { detail: detail.to_owned(), ..entry(&key("A"), lane, 5, 1) }
}

pub async fn a_lane_of_the_engine_begins_with_the_first_epoch_and_nothing_known(harness: impl Harness) {
    let taken = harness.store().take_over(&engine_lane(3)).await.unwrap();

    assert_eq!(taken, Taken { epoch: 1, ..Taken::default() });
}

pub async fn a_new_owner_finds_the_last_batch_and_the_checkpoint_seen_confirmed(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    let finished = [
        (Topic::Control, Finished::below(2)),
        (Topic::Tier(0), Finished { low: 5, bits: vec![0xff, 1] }),
        (Topic::Source, Finished::below(i64::MAX)),
    ];
    let balance = Balance { taken: 3, applied: 2, held: 1, ..Balance::default() };
    let confirmed = Checkpoint { number: 1, finished: finished.into(), balance };
    owner.decide([ruled(7, "A", Ruling::Applied), ruled(6, "B", Ruling::Applied)]).await;
    owner
        .write(|write| {
            put(write, at(ruled(3, "C", Ruling::Applied), Topic::Tier(0), 90, 1), Vec::new()); // not of its own topic
            write.batch.confirmed = confirmed.clone();
        })
        .await;

    let harness = harness.reopen().await;

    let taken = harness.store().take_over(&engine_lane(0)).await.unwrap();
    assert_eq!(taken, Taken { epoch: 2, decided: 8, number: 2, confirmed });
    let other = harness.store().take_over(&engine_lane(1)).await.unwrap();
    assert_eq!(other, Taken { epoch: 1, ..Taken::default() });
}

pub async fn a_decision_of_a_lane_comes_back_byte_for_byte_by_topic_and_offset(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    let failure = Some(failed("é\0"));
    let edited = at(ruled(1, "A", Ruling::Superseded), Topic::Control, 4, 2);
    let decisions = [
        ruled(9, "A", Ruling::Applied),
        Decision { failure, ..ruled(2, "B", moved(Topic::Tier(1), Role::Head)) },
        at(ruled(1, "A", Ruling::Dead(Disposition::Flushed)), Topic::Held, 2, 7),
        Decision { attempts: u16::MAX, hop: u32::MAX, payload: edited.origin, ..edited },
    ];
    owner.write(|write| decisions.iter().for_each(|decision| put(write, decision.clone(), awkward_effects()))).await;
    owner.decide([ruled(10, "C", Ruling::Skipped)]).await;

    let [later, first, held, control] = decisions.map(|decision| known(decision, 1, awkward_effects()));
    let last = known(ruled(10, "C", Ruling::Skipped), 2, Vec::new());
    assert_eq!(owner.decided_in(Topic::Source).await, [first.clone(), later.clone(), last]);
    assert_eq!(owner.decided_in(Topic::Held).await, [held]);
    assert_eq!(owner.decided_in(Topic::Control).await, [control]);
    assert_eq!(owner.decided_in(Topic::Tier(1)).await, []);
    let range = owner.store.decided_in(&engine_lane(0), Topic::Source, 2, 10).await.unwrap();
    assert_eq!(range, [first, later], "the range is half open");
    assert_eq!(owner.store.decided_in(&engine_lane(1), Topic::Source, 0, i64::MAX).await.unwrap(), []);
}

pub async fn a_decided_origin_of_a_lane_keeps_its_first_decision(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    let first = ruled(5, "A", moved(Topic::Held, Role::Head));
    owner.write(|write| put(write, first.clone(), awkward_effects())).await;
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;

    owner
        .write(|write| {
            put(write, Decision { is_known: true, ..first.clone() }, awkward_effects());
            put(write, ruled(5, "A", Ruling::Applied), Vec::new());
        })
        .await;

    assert_eq!(owner.decided_in(Topic::Source).await, [known(first, 1, awkward_effects())]);
    assert_eq!(owner.store.ended(&owner.lane, vec![5]).await.unwrap(), [].into());
    assert_eq!(keys(owner.store).await, 1, "it is outstanding, as it was first decided");
}

pub async fn an_older_epoch_of_the_engine_is_refused_and_nothing_of_its_batch_is_there(harness: impl Harness) {
    let store = harness.store();
    let mut old = Owner::take_over(store, engine_lane(0)).await;
    old.write(|write| write.batch.claims = vec![claim(1, "A", 1), claim(2, "B", 1)]).await;
    let mut late = old.next();
    put(&mut late, ruled(3, "C", moved(Topic::Held, Role::Head)), awkward_effects());
    put(&mut late, ruled(4, "D", Ruling::Applied), Vec::new());
    late.batch.claims = vec![claim(5, "E", 1)];
    late.batch.commands = vec![command("c-1", CommandOutcome::Done)];
    late.parked = vec![waiting(4, &["p-1"], 0)];
    late.links = vec![link("p-1", "A")];
    late.events = vec![event(1, 1)];
    late.ledger = vec![step(&engine_lane(0), "{}")];
    let new = Owner::take_over(store, engine_lane(0)).await;

    let refused = store.write_batch(late).await.map(drop);
    let mut settle = old.settled(1, 1, Answer::Applied);
    settle.delivered = Some(delivered("A", "status", "SCHEDULED", 1));
    settle.ledger = vec![step(&engine_lane(0), "{}")];
    let unsettled = store.settle(settle.clone()).await;

    for refused in [&refused, &unsettled] {
        assert!(matches!(refused, Err(Error::Fenced { own: 1, current: 2, .. })), "{refused:?}");
    }
    let lane = engine_lane(0);
    assert_eq!(new.decided_in(Topic::Source).await, []);
    assert_eq!(store.ended(&lane, vec![4]).await.unwrap(), [].into());
    assert_eq!(keys(store).await, 0);
    assert_eq!(store.command_outcomes(vec!["c-1".to_owned()]).await.unwrap(), [None]);
    assert_eq!(store.releasable(&lane, i64::MAX, 9).await.unwrap(), []);
    assert_eq!(store.links(vec!["p-1".to_owned()]).await.unwrap(), [None]);
    assert_eq!(store.published_events(vec![event(1, 1).id]).await.unwrap(), [].into());
    assert_eq!(store.ledger(key("A").service_order_id()).await.unwrap(), []);
    assert_eq!(store.delivered(vec![settle.delivered.unwrap().of]).await.unwrap(), [None]);
    let taken = store.take_over(&lane).await.unwrap();
    assert_eq!(taken, Taken { epoch: 3, number: 1, ..Taken::default() });
}

pub async fn a_lane_never_taken_over_refuses_batch_and_answer(harness: impl Harness) {
    let store = harness.store();
    let owner = Owner { store, lane: engine_lane(0), epoch: 1, number: 0, now_ms: 1, claim_ms: 1 };

    assert!(is_fenced(&store.write_batch(owner.next()).await.map(drop)));
    assert!(is_fenced(&store.settle(owner.settled(1, 1, Answer::Applied)).await));
}

/// A batch whose answer was lost is written again, and its claims are answered as before.
pub async fn the_same_batch_again_changes_nothing(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    assert_eq!(owner.claim(claim(3, "A", 1)).await, ClaimAnswer::Granted);
    owner.settle(3, 1, Answer::Applied).await;
    let mut write = owner.next();
    put(&mut write, ruled(5, "B", moved(Topic::Tier(0), Role::Head)), awkward_effects());
    put(&mut write, ruled(4, "A", Ruling::Applied), Vec::new());
    // The later claim of the key would overtake the first, were they not granted together.
    write.batch.claims = vec![guarded(7, "C", 1, 0, false), claim(8, "C", 1), claim(3, "A", 1)];
    write.batch.commands = vec![command("c-1", CommandOutcome::Done)];
    write.parked = vec![waiting(9, &["p-1"], 50)];
    write.links = vec![link("p-2", "A")];
    write.events = vec![event(1, 5), event(2, 5), event(1, 9)];
    write.ledger = vec![step(&owner.lane, r#"{"step":1}"#), step(&owner.lane, r#"{"step":2}"#)];

    let first = store.write_batch(write.clone()).await.unwrap();
    let mut late = write.clone();
    late.links.clear();
    late.parked = vec![waiting(10, &[], 0)]; // were it looked at, it would show
    let again = store.write_batch(late).await.unwrap();

    let settled = ClaimAnswer::Settled(Answer::Applied);
    assert_eq!(first, [ClaimAnswer::Granted, ClaimAnswer::Granted, settled]);
    assert_eq!(again, first);
    let steps = store.ledger(key("A").service_order_id()).await.unwrap();
    assert_eq!(steps, write.ledger, "each step once, several of one record");
    let events = [1, 2].map(|number| event(number, 0).id);
    assert_eq!(store.published_events(events.to_vec()).await.unwrap(), events.into());
    assert_eq!(owner.decided_in(Topic::Source).await.len(), 2);
    assert_eq!(store.releasable(&owner.lane, i64::MAX, 9).await.unwrap(), write.parked);
    assert_eq!(keys(store).await, 1);
    assert_eq!(store.take_over(&owner.lane).await.unwrap().number, 2);
}

pub async fn an_answer_and_what_it_delivered_are_written_once(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    owner.claim(claim(5, "A", 1)).await;
    let settle = Settle {
        delivered: Some(delivered("A", "status", "SCHEDULED", 10)),
        ledger: vec![step(&owner.lane, "{}"), step(&lane(0), "{}")], // the order was accepted by another lane
        ..owner.settled(5, 1, Answer::Applied)
    };

    store.settle(settle.clone()).await.unwrap();
    let repeat = Settle { delivered: Some(delivered("A", "status", "ASSIGNED", 11)), ..settle.clone() };
    store.settle(repeat).await.unwrap();

    assert_eq!(store.ledger(key("A").service_order_id()).await.unwrap(), settle.ledger);
    let of = settle.delivered.unwrap().of;
    assert_eq!(store.delivered(vec![of]).await.unwrap(), [Some("SCHEDULED".to_owned())]);
    assert_eq!(owner.claim(claim(5, "A", 1)).await, ClaimAnswer::Settled(Answer::Applied));
}

/// More than an engine takes as parameters of one statement.
pub async fn a_batch_of_a_thousand_decisions_and_claims_is_one_write(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    let name = |seq: i64| format!("K{seq}");

    let answers = owner
        .write(|write| {
            for seq in 0..1_000 {
                put(write, ruled(seq, &name(seq), moved(Topic::Tier(0), Role::Head)), awkward_effects());
            }
            write.batch.claims = (1_000..2_000).map(|seq| claim(seq, &name(seq), 1)).collect();
        })
        .await;

    assert_eq!(answers, vec![ClaimAnswer::Granted; 1_000]);
    let decided = owner.decided_in(Topic::Source).await;
    assert_eq!(decided.len(), 1_000);
    assert!(decided.iter().all(|decided| decided.effects == awkward_effects()));
    owner.decide((0..1_000).map(|seq| at(ruled(seq, &name(seq), Ruling::Applied), Topic::Tier(0), seq, 1))).await;
    let ended = owner.store.ended(&owner.lane, (0..2_000).collect()).await.unwrap();
    assert_eq!(ended, (0..1_000).map(|seq| (seq, 1)).collect());
    assert_eq!(keys(owner.store).await, 0);
}

pub async fn the_moves_a_record_ended_with_are_those_of_its_last_copy(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    owner.decide([ruled(1, "A", Ruling::Dead(Disposition::Rejected)), ruled(2, "B", Ruling::Applied)]).await;
    owner.decide([at(ruled(1, "A", Ruling::Applied), Topic::Control, 0, 3)]).await;
    owner.decide([ruled(3, "C", moved(Topic::Held, Role::Head))]).await;

    let ended = owner.store.ended(&owner.lane, vec![1, 2, 3, 4, 1]).await.unwrap();

    assert_eq!(ended, [(1, 3), (2, 0)].into());
    assert_eq!(owner.store.ended(&engine_lane(1), vec![1]).await.unwrap(), [].into());
}

pub async fn an_executed_command_is_known_by_its_lane_and_its_outcome_to_everybody(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    let commands = [
        ("done", CommandOutcome::Done),
        ("nothing", CommandOutcome::Nothing),
        ("overtaken", CommandOutcome::Overtaken),
        ("not-head", CommandOutcome::NotHead),
        ("repeated", CommandOutcome::Repeated),
        ("odd \0 id", CommandOutcome::Done),
    ];
    owner.write(|write| write.batch.commands = commands.map(|(id, outcome)| command(id, outcome)).to_vec()).await;
    owner.now_ms += 5;
    owner.write(|write| write.batch.commands = vec![command("done", CommandOutcome::Nothing)]).await;

    let ids = commands.map(|(id, _)| id.to_owned()).to_vec();
    let executed = store.executed(&owner.lane, ids.clone()).await.unwrap();
    assert_eq!(executed, ids.iter().filter(|id| *id != "repeated").cloned().collect());
    assert_eq!(store.executed(&engine_lane(1), ids.clone()).await.unwrap(), [].into());
    let outcomes = store.command_outcomes(ids).await.unwrap();
    for ((id, outcome), found) in commands.into_iter().zip(outcomes) {
        let expected = (outcome != CommandOutcome::Repeated).then_some((id, outcome, NOW));
        assert_eq!(found.as_ref().map(|row| (row.id.as_str(), row.outcome, row.at)), expected, "{id}");
    }
}
