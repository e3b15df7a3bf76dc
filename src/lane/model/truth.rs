//! What is true of a run, seen from outside the lane, and what must never be.
//!
//! Filled by what the log shows, what the store keeps and what reaches the target; the lane's own word counts for
//! nothing here.

use std::collections::{BTreeMap, BTreeSet};

use crate::lane::batch::{Batch, Decision, Disposition, Move, Role, Ruling};
use crate::lane::checkpoint::Balance;
use crate::lane::marks::Finished;
use crate::lane::place::{Key, Seq, Topic};

/// A dead letter as the log has it.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    pub seq: Seq,
    pub key: Key,
    pub hop: u32,
    pub attempts: u16,
    pub value: i64,
}

#[derive(Debug, Default)]
pub struct Truth {
    /// By number of arrival: the keys of the records, in order.
    pub keys: Vec<Key>,
    /// Ended, in the log.
    pub ended: BTreeMap<Seq, Ruling>,
    /// Outstanding, in the log: topic and hop.
    pub places: BTreeMap<Seq, (Topic, u32)>,
    pub dead_letters: Vec<DeadLetter>,
    /// Times the log shows a record's effects.
    outputs: BTreeMap<Seq, usize>,
    /// The last record of each key that reached the target.
    last_sent: BTreeMap<Key, i64>,
    /// The last record of each key that was applied for the first time.
    last_applied: BTreeMap<Key, i64>,
    pub applied: BTreeSet<i64>,
    /// The newest value of each record that reached the target.
    values: BTreeMap<i64, i64>,
    /// Records whose success is in the store.
    pub known_success: BTreeSet<i64>,
    /// An operator let them overtake.
    pub forced: BTreeSet<Seq>,
    /// What happened, and how often: a checker that never got somewhere has proved nothing about it.
    pub seen: BTreeMap<&'static str, usize>,
}

/// What must have happened in enough seeds.
pub const EVENTS: [&str; 26] = [
    "applied",
    "parked",
    "superseded",
    "skipped",
    "dead",
    "attempts exhausted",
    "rejected",
    "key overflow",
    "flushed",
    "head to tier",
    "follower to tier",
    "appended again",
    "head to held",
    "held again",
    "follower to held",
    "known decision",
    "claim settled",
    "claim busy",
    "claim overtaken",
    "from held",
    "edited",
    "replayed",
    "command repeated",
    "not head",
    "store behind",
    "not the last commit",
];

/// One request at the target.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Number of arrival.
    pub id: i64,
    pub key: &'a Key,
    pub value: i64,
    pub is_applied: bool,
}

impl Truth {
    /// A request reaches the target. `ended`: what has ended by the store; `seq_of`: the sequence of a number of
    /// arrival.
    pub fn sent(
        &mut self,
        request: Request<'_>,
        ended: &BTreeMap<Seq, u32>,
        seq_of: impl Fn(i64) -> Seq,
    ) -> Result<(), String> {
        let Request { id, key, value, is_applied } = request;
        self.see("sent");
        if self.known_success.contains(&id) {
            return Err(format!("I7: {id} is sent again, though its success is known"));
        }
        if self.values.get(&id).is_some_and(|newest| value < *newest) {
            return Err(format!("I7: {id} is sent with a value that an operator has replaced"));
        }
        self.values.insert(id, value);
        if !self.forced.contains(&id) {
            if let Some(last) = self.last_sent.get(key).filter(|last| **last > id) {
                return Err(format!("I7: {id} follows its successor {last}"));
            }
            let earlier = self.keys.iter().enumerate().take(usize::try_from(id).unwrap());
            let mut earlier = earlier.filter(|(_, other)| *other == key).map(|(id, _)| id as i64);
            let is_unfinished = |id: &i64| !ended.contains_key(&seq_of(*id)) && !self.ended.contains_key(&seq_of(*id));
            if let Some(unfinished) = earlier.find(is_unfinished) {
                return Err(format!("I3: {id} is sent while {unfinished} is unfinished"));
            }
            if is_applied && self.last_applied.get(key).is_some_and(|last| *last > id) && !self.applied.contains(&id) {
                return Err(format!("I2: {id} is applied first after its successor"));
            }
        }
        let last = self.last_sent.entry(key.clone()).or_insert(id);
        *last = (*last).max(id);
        if is_applied && self.applied.insert(id) {
            let last = self.last_applied.entry(key.clone()).or_insert(id);
            *last = (*last).max(id);
        }
        Ok(())
    }

    /// The log shows a batch. `value` tells which value a decision moved.
    pub fn committed(&mut self, batch: &Batch, value: impl Fn(&Decision) -> i64) {
        for decision in &batch.decisions {
            let Decision { seq, hop, ruling, .. } = decision;
            if let Some(letter) = decision.dead_letter() {
                let (key, attempts, value) = (decision.key.clone(), letter.attempts, value(decision));
                self.dead_letters.push(DeadLetter { seq: *seq, key, hop: hop + 1, attempts, value });
            }
            self.see_decision(decision);
            match ruling {
                Ruling::Moved(moved) => {
                    self.ended.remove(seq);
                    self.places.insert(*seq, (moved.to, hop + 1));
                }
                ruling => {
                    self.places.remove(seq);
                    self.ended.insert(*seq, *ruling);
                }
            }
            if *ruling == Ruling::Applied {
                *self.outputs.entry(*seq).or_default() += 1;
            }
        }
    }

    pub fn see(&mut self, event: &'static str) {
        *self.seen.entry(event).or_default() += 1;
    }

    fn see_decision(&mut self, decision: &Decision) {
        let Decision { origin, ruling, is_known, .. } = decision;
        if *is_known {
            self.see("known decision");
        }
        let disposition = match ruling {
            Ruling::Dead(disposition) => Some(*disposition),
            Ruling::Moved(moved) => moved.disposition,
            _ => None,
        };
        if let Some(disposition) = disposition {
            self.see(match disposition {
                Disposition::AttemptsExhausted => "attempts exhausted",
                Disposition::Rejected => "rejected",
                Disposition::Undecodable => "undecodable",
                Disposition::KeyOverflow => "key overflow",
                Disposition::Flushed => "flushed",
            });
        }
        self.see(match ruling {
            Ruling::Applied => "applied",
            Ruling::Parked => "parked",
            Ruling::Superseded => "superseded",
            Ruling::Skipped => "skipped",
            Ruling::Dead(_) => "dead",
            Ruling::Moved(Move { to, .. }) if *to == origin.topic && *to != Topic::Held => "appended again",
            Ruling::Moved(Move { to: Topic::Held, role: Role::Head, disposition: None, .. }) => "held again",
            Ruling::Moved(Move { to: Topic::Held, role: Role::Head, .. }) => "head to held",
            Ruling::Moved(Move { to: Topic::Held, .. }) => "follower to held",
            Ruling::Moved(Move { role: Role::Head, .. }) => "head to tier",
            Ruling::Moved(_) => "follower to tier",
        });
    }

    /// I1, I5 and I14 of what a commit says.
    pub fn check_commit(&self, balance: Balance, source: &Finished, is_reset: bool) -> Result<(), String> {
        if !balance.is_even() {
            return Err(format!("I1: the balance is not even: {balance:?}"));
        }
        for seq in (0..self.keys.len() as i64).filter(|seq| source.contains(*seq)) {
            if !self.ended.contains_key(&seq) && !self.places.contains_key(&seq) {
                return Err(format!("I5: {seq} is finished in the lane's topic, and nowhere"));
            }
        }
        if let Some((seq, times)) = self.outputs.iter().find(|(_, times)| **times > 1)
            && !is_reset
        {
            return Err(format!("I6: effects of {seq} are in the log {times} times"));
        }
        Ok(())
    }

    /// I15 and I1, when every fault is over: each record has ended, and the balance says how.
    pub fn check_end(&self, balance: Balance, is_reset: bool) -> Result<(), String> {
        let left: Vec<_> = (0..self.keys.len() as i64).filter(|seq| !self.ended.contains_key(seq)).collect();
        if !left.is_empty() {
            return Err(format!("I15: {left:?} never ended"));
        }
        let count = |wanted: fn(&Ruling) -> bool| self.ended.values().filter(|ruling| wanted(ruling)).count() as u64;
        let expected = Balance {
            taken: self.keys.len() as u64,
            applied: count(|ruling| matches!(ruling, Ruling::Applied)),
            superseded: count(|ruling| matches!(ruling, Ruling::Superseded)),
            skipped: count(|ruling| matches!(ruling, Ruling::Skipped)),
            dead: count(|ruling| matches!(ruling, Ruling::Dead(_))),
            parked: count(|ruling| matches!(ruling, Ruling::Parked)),
            ..Balance::default()
        };
        // After a reset, how the records of one commit ended may be counted wrong; never that they have ended.
        let is_off =
            if is_reset { !balance.is_even() || balance.held + balance.in_flight > 0 } else { balance != expected };
        if is_off {
            return Err(format!("I1: the lane says {balance:?}, the log {expected:?}"));
        }
        let lost = self.ended.iter().find(|(seq, ruling)| match ruling {
            Ruling::Applied => !self.applied.contains(seq),
            Ruling::Dead(_) => !self.dead_letters.iter().any(|letter| letter.seq == **seq),
            _ => false,
        });
        lost.map_or(Ok(()), |(seq, ruling)| Err(format!("I11: {seq} ended as {ruling:?} and is not there")))
    }
}
