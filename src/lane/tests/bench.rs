//! A lane, and around it a log and a store that do at once what they are told.

use std::collections::{BTreeMap, BTreeSet};

use crate::lane::batch::{Answer, Attempt, Batch, ClaimAnswer, CommandOutcome, Ruling};
use crate::lane::command::{Command, Verb};
use crate::lane::moved::Moved;
use crate::lane::plan::{Standing, plan};
use crate::lane::{Key, Lane, Place, Policy, Recovery, Seq, Topic};
use crate::log::Bounds;

/// A lane whose log and store do at once what they are told.
pub struct Bench {
    pub lane: Lane,
    now_ms: i64,
    ends: BTreeMap<Topic, i64>,
    /// Every decision, in order.
    pub rulings: Vec<(Seq, Ruling)>,
    pub outcomes: Vec<(String, CommandOutcome)>,
    pub running: Vec<Attempt>,
}

pub fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

impl Bench {
    pub fn new(policy: Policy) -> Self {
        let plan = plan(&Standing::default(), Bounds { start: 0, end: 0 }, false).unwrap();
        let lane = Recovery::new(policy, &plan, 0).finish(&BTreeMap::new()).unwrap();
        let (ends, rulings, outcomes, running) = Default::default();
        Self { lane, now_ms: 0, ends, rulings, outcomes, running }
    }

    /// Records of these keys, in order.
    pub fn records(&mut self, keys: &[&str]) {
        for name in keys {
            let offset = self.lane.position(Topic::Source);
            self.lane.record(offset, &key(name), None, None);
        }
        self.settle();
    }

    pub fn command(&mut self, id: &str, name: &str, verb: Verb) {
        let offset = self.lane.position(Topic::Control);
        self.lane.command(offset, Command { id: id.to_owned(), key: key(name), verb }, false);
        self.settle();
    }

    pub fn answer(&mut self, seq: Seq, answer: Answer) {
        let place = self.running.iter().position(|attempt| attempt.seq == seq).expect("the attempt runs");
        let attempt = self.running.swap_remove(place);
        self.lane.answer(seq, attempt.attempt, answer);
        self.settle();
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now_ms += seconds * 1_000;
        self.lane.clock(self.now_ms);
        self.settle();
    }

    /// Makes durable what there is, and reads back what was moved.
    pub fn settle(&mut self) {
        while let Some(batch) = self.lane.batch() {
            let granted = vec![ClaimAnswer::Granted; batch.claims.len()];
            let begun = self.lane.stored(granted);
            self.running.extend(begun);
            self.lane.committed();
            self.read_back(batch);
        }
    }

    fn read_back(&mut self, batch: Batch) {
        assert!(batch.checkpoint.balance.is_even(), "{:?}", batch.checkpoint.balance);
        self.outcomes.extend(batch.commands.into_iter().map(|executed| (executed.id, executed.outcome)));
        for decision in batch.decisions {
            self.rulings.push((decision.seq, decision.ruling));
            let Ruling::Moved(moved) = decision.ruling else { continue };
            let end = self.ends.entry(moved.to).or_default();
            let copy = Moved {
                seq: decision.seq,
                key: decision.key,
                hop: decision.hop + 1,
                attempts: moved.attempts,
                round: moved.round,
                role: moved.role,
                is_passing: moved.is_passing,
            };
            self.lane.copy(Place::new(moved.to, *end), self.now_ms, &copy);
            *end += 1;
        }
    }

    pub fn running(&self) -> BTreeSet<Seq> {
        self.running.iter().map(|attempt| attempt.seq).collect()
    }

    pub fn places(&self) -> Vec<(Seq, Topic)> {
        self.lane.outstanding().into_iter().map(|record| (record.seq, record.topic)).collect()
    }
}
