//! The real driver on real engines, held against what the model's checker knows to be true of every run.
//!
//! The checker sees requests as the target gets them, what the store accepted, and which batches the log has: a batch
//! is in the log if the next one says so.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::script::{failed, rejected};
use super::world::{Engines, World, policy};
use crate::driver::Reach;
use crate::driver::owner::Owner;
use crate::lane::batch::{Answer, Batch, ClaimAnswer};
use crate::lane::checkpoint::Balance;
use crate::lane::command::Verb;
use crate::lane::model::random::Random;
use crate::lane::model::truth::{Request, Truth};
use crate::lane::place::{Key, Seq, Topic};
use crate::log::{self, Record};
use crate::ownership::End;
use crate::ownership::faults::Fault;
use crate::store::lanes::*;
use crate::store::{self, LaneId, LaneStore};

const STEPS: usize = 150;
const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// What was seen of a run so far.
#[derive(Default)]
struct Witness {
    truth: Truth,
    /// By the store.
    ended: BTreeMap<Seq, u32>,
    /// The last batch the store accepted.
    last: Option<Batch>,
    violation: Option<String>,
}

impl Witness {
    fn sent(&mut self, seq: Seq, key: &Key, is_applied: bool) {
        let request = Request { id: seq, key, value: 0, is_applied };
        let seen = self.truth.sent(request, &self.ended, |id| id);
        self.note(seen);
    }

    /// The log has the batch numbered `number`.
    fn committed(&mut self, number: u64) {
        let Some(batch) = self.last.take_if(|batch| batch.checkpoint.number == number) else { return };
        self.truth.committed(&batch, |_| 0);
        let source = batch.checkpoint.of(Topic::Source);
        let seen = self.truth.check_commit(batch.checkpoint.balance, &source, false);
        self.note(seen);
    }

    fn note(&mut self, seen: Result<(), String>) {
        self.violation = self.violation.take().or(seen.err());
    }
}

/// A store that is watched.
struct Watched {
    inner: Arc<dyn LaneStore>,
    witness: Arc<Mutex<Witness>>,
}

type Told<'a, T> = BoxFuture<'a, Result<T, store::Error>>;

impl LaneStore for Watched {
    fn write_batch(&self, write: BatchWrite) -> Told<'_, Vec<ClaimAnswer>> {
        Box::pin(async move {
            let batch = write.batch.clone();
            let answers = self.inner.write_batch(write).await?;
            let mut witness = self.witness.lock().unwrap();
            witness.committed(batch.confirmed.number);
            let ends = batch.decisions.iter().filter(|decision| !decision.is_known && decision.ruling.is_end());
            witness.ended.extend(ends.map(|decision| (decision.seq, decision.hop)));
            witness.last = Some(batch);
            Ok(answers)
        })
    }

    fn settle(&self, settle: Settle) -> Told<'_, ()> {
        Box::pin(async move {
            let applied = (settle.answer == Answer::Applied).then_some(settle.seq);
            self.inner.settle(settle).await?;
            self.witness.lock().unwrap().truth.known_success.extend(applied);
            Ok(())
        })
    }

    fn take_over(&self, lane: &LaneId) -> Told<'_, Taken> {
        self.inner.take_over(lane)
    }

    fn decided_in(&self, lane: &LaneId, topic: Topic, from: i64, to: i64) -> Told<'_, Vec<Decided>> {
        self.inner.decided_in(lane, topic, from, to)
    }

    fn released_after(&self, lane: &LaneId, after: u64) -> Told<'_, Vec<Released>> {
        self.inner.released_after(lane, after)
    }

    fn ended(&self, lane: &LaneId, seqs: Vec<Seq>) -> Told<'_, BTreeMap<Seq, u32>> {
        self.inner.ended(lane, seqs)
    }

    fn executed(&self, lane: &LaneId, ids: Vec<String>) -> Told<'_, HashSet<String>> {
        self.inner.executed(lane, ids)
    }

    fn releasable(&self, lane: &LaneId, now_ms: i64, limit: usize) -> Told<'_, Vec<Parked>> {
        self.inner.releasable(lane, now_ms, limit)
    }

    fn links(&self, ids: Vec<String>) -> Told<'_, Vec<Option<Link>>> {
        self.inner.links(ids)
    }

    fn orders_called(&self, source_key: &str, external_order_id: &str, limit: usize) -> Told<'_, Vec<Link>> {
        self.inner.orders_called(source_key, external_order_id, limit)
    }

    fn delivered(&self, of: Vec<DeliveredOf>) -> Told<'_, Vec<Option<String>>> {
        self.inner.delivered(of)
    }

    fn keys(&self, filter: KeyFilter, after: Option<KeyCursor>, limit: usize) -> Told<'_, Vec<KeyRow>> {
        self.inner.keys(filter, after, limit)
    }

    fn key_records(&self, lane: &LaneId, key: Bytes, from: Seq, limit: usize) -> Told<'_, Vec<OutstandingRow>> {
        self.inner.key_records(lane, key, from, limit)
    }

    fn command_outcomes(&self, ids: Vec<String>) -> Told<'_, Vec<Option<CommandOutcomeRow>>> {
        self.inner.command_outcomes(ids)
    }
}

/// A run: the world, who owns the lane, and what is drawn.
struct Run {
    world: World,
    witness: Arc<Mutex<Witness>>,
    owner: Option<Owner>,
    random: Random,
    commands: usize,
}

impl Run {
    async fn step(&mut self) {
        match self.random.below(20) {
            0..5 => self.append().await,
            5..7 => self.world.pass(self.random.between(1, 200_000)),
            7 => self.command().await,
            8 => self.lose_owner().await,
            9 => {
                let topic = self.world.topic.to_string();
                let fenced = || log::Error::Fenced { topic: topic.clone(), partition: 0 };
                let away = || log::Error::Unavailable { reason: "no answer".into() };
                let all =
                    [Fault::Before(fenced()), Fault::After(fenced()), Fault::Before(away()), Fault::After(away())];
                let fault = all[self.random.below(all.len())].clone();
                self.world.commits.after(self.random.below(3), [fault]);
            }
            _ => self.round().await,
        }
    }

    async fn append(&mut self) {
        let key = self.random.of(&KEYS).unwrap();
        self.witness.lock().unwrap().truth.keys.push(Key::new(key.as_bytes()).unwrap());
        self.world.append(&[(key, key)]).await;
    }

    async fn command(&mut self) {
        self.commands += 1;
        let (id, key) = (format!("c{}", self.commands), self.random.of(&KEYS).unwrap());
        self.world.command(&id, key, Verb::Retry, Record::default()).await;
    }

    /// The owner dies where it stands. Its attempts end with it.
    async fn lose_owner(&mut self) {
        if let Some(mut owner) = self.owner.take() {
            owner.flights.shutdown().await;
        }
    }

    async fn round(&mut self) {
        let mut owner = match self.owner.take() {
            Some(owner) => owner,
            None => match self.world.owner().await {
                Ok(owner) => owner,
                Err(End::Fenced) => return,
                Err(end) => panic!("the lane cannot be taken over: {end:?}"),
            },
        };
        (owner.is_source_dry, owner.is_control_dry) = (false, false);
        let went_on = owner.round().await;
        self.owner = Some(owner);
        match went_on {
            Ok(_) => {}
            Err(End::Fenced) => self.lose_owner().await,
            Err(end) => panic!("the lane ended: {end:?}"),
        }
    }

    fn check(&self, what: &str) {
        let violation = &self.witness.lock().unwrap().violation;
        assert_eq!(*violation, None, "{what}");
    }

    /// Faults are over: everything must come to an end.
    async fn heal(&mut self) -> Balance {
        self.world.commits.after(0, []);
        loop {
            for key in KEYS {
                self.commands += 1;
                self.world.command(&format!("c{}", self.commands), key, Verb::Retry, Record::default()).await;
            }
            self.world.pass(600_000);
            if self.owner.is_none() {
                self.owner = Some(self.world.owner().await.unwrap());
            }
            let owner = self.owner.as_mut().unwrap();
            self.world.settle(owner).await.unwrap();
            if owner.lane.outstanding().is_empty() {
                let balance = owner.lane.balance();
                let mut witness = self.witness.lock().unwrap();
                let last = witness.last.as_ref().map_or(0, |batch| batch.checkpoint.number);
                witness.committed(last);
                return balance;
            }
        }
    }
}

pub async fn every_invariant_holds_whatever_happens(mut engines: Engines) {
    let seed = std::env::var("CROSSDOCK_DRIVER_SEED").map_or(1, |text| text.parse().expect("a number"));
    let witness = Arc::<Mutex<Witness>>::default();
    engines.store = Arc::new(Watched { inner: engines.store, witness: witness.clone() });
    let reach = Reach::Outside { timeout: Duration::from_millis(10) };
    let world = World::new(engines, reach, policy()).await;
    let (judge, drawn) = (witness.clone(), Mutex::new(Random::new(seed ^ 1)));
    let answer = move |job: &crate::driver::Job| {
        let is_healed = job.attempt > 6;
        let answer = match drawn.lock().unwrap().below(100) {
            _ if is_healed => Answer::Applied,
            0..25 => failed(),
            25..32 => rejected(),
            32..36 => return Answer::TargetFailed,
            _ => Answer::Applied,
        };
        judge.lock().unwrap().sent(job.seq, &job.key, answer == Answer::Applied);
        answer
    };
    assert!(world.script.judge.set(Box::new(answer)).is_ok());
    let mut run = Run { world, witness, owner: None, random: Random::new(seed), commands: 0 };

    for step in 0..STEPS {
        run.step().await;
        run.check(&format!("seed {seed}, step {step}"));
    }
    // Claims of the dead expire by the clock of the store, where it has one.
    let balance = tokio::time::timeout(Duration::from_secs(120), run.heal()).await.expect("the backlog ends");

    run.check(&format!("seed {seed}, healed"));
    let witness = run.witness.lock().unwrap();
    assert_eq!(witness.truth.check_end(balance, false), Ok(()), "seed {seed}");
    let seen = |event| witness.truth.seen.get(event).copied().unwrap_or_default();
    for event in ["applied", "head to tier", "follower to tier", "head to held"] {
        assert!(seen(event) > 0, "seed {seed} never saw {event}: {:?}", witness.truth.seen);
    }
}
