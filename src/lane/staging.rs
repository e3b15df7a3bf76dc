//! Puts a batch together, and takes note that it is committed.
//!
//! What an attempt or a command decided takes effect here, and only here: marks and balance when the batch is put
//! together, as the commit is to say them; the record's place when the batch is committed. So a key is freed by a
//! commit and never by an intention: a successor that ran on an intention would be followed by its predecessor after
//! a crash.

use std::collections::BTreeSet;

use crate::lane::batch::{Batch, Claim, Decision, Executed, Guard, Ruling, Target};
use crate::lane::checkpoint::{Balance, Checkpoint};
use crate::lane::index::Phase;
use crate::lane::machine::Lane;
use crate::lane::place::{Key, Place, Seq, Topic};

impl Lane {
    /// What is to be made durable next; `None` if there is nothing, or the last batch is not committed yet.
    pub fn batch(&mut self) -> Option<Batch> {
        self.batch_within(|_| true)
    }

    /// As [`Lane::batch`], with decisions only as long as `fits` says so, which is asked about each in turn and must
    /// let the first one in: what does not fit is for the next batch.
    pub fn batch_within(&mut self, mut fits: impl FnMut(&Decision) -> bool) -> Option<Batch> {
        if self.batch.is_some() {
            return None;
        }
        let mut decisions = Vec::new();
        let is_full = self.take_decisions(&mut decisions, &mut fits);
        let claims = self.take_claims();
        // What stands in the way of the claims has been moved meanwhile.
        if !is_full {
            self.take_decisions(&mut decisions, &mut fits);
        }
        let commands = self.take_executed();
        let tombstones = self.take_tombstones(self.policy.batch);
        let is_due = self.finish_stale() | std::mem::take(&mut self.is_unsaid);
        if decisions.is_empty() && claims.is_empty() && commands.is_empty() && tombstones.is_empty() && !is_due {
            return None;
        }
        self.number = self.number.saturating_add(1);
        let finished = self.marks.iter().map(|(topic, marks)| (*topic, marks.finished())).collect();
        let checkpoint = Checkpoint { number: self.number, finished, balance: self.balance };
        let batch = Batch { decisions, tombstones, claims, commands, checkpoint, confirmed: self.confirmed.clone() };
        self.batch = Some(batch.clone());
        Some(batch)
    }

    /// The batch is in the log.
    pub fn committed(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        self.confirmed = batch.checkpoint;
        for decision in batch.decisions {
            match decision.ruling {
                Ruling::Moved(moved) => {
                    let Some(entry) = self.index.get_mut(decision.seq) else { continue };
                    entry.arrive();
                    entry.hop = decision.hop.saturating_add(1);
                    (entry.attempts, entry.round, entry.is_passing) = (moved.attempts, moved.round, moved.is_passing);
                    entry.is_commanded = false;
                    entry.phase = Phase::Waiting;
                    let id = entry.key;
                    self.edits.remove(&decision.seq);
                    self.gather(id);
                    self.reconsider(id);
                }
                _ => self.release(decision.seq),
            }
        }
        self.evaluate_commands();
    }

    /// `records` parked ones have been released, or have run out: their effects go with the next batch, which is due
    /// even if it says nothing else. They count as applied.
    pub fn released(&mut self, records: u64) {
        self.is_unsaid |= records > 0;
        // After an offset was reset, one may have been counted in no state yet.
        let counted = records.min(self.balance.parked);
        self.balance.parked -= counted;
        self.balance.taken = self.balance.taken.saturating_add(records - counted);
        self.balance.applied = self.balance.applied.saturating_add(records);
    }

    /// The record is not outstanding any more.
    pub(super) fn release(&mut self, seq: Seq) {
        self.edits.remove(&seq);
        if let Some(entry) = self.index.remove(seq) {
            self.gather(entry.key);
            self.reconsider(entry.key);
        }
    }

    /// Whether nothing more goes into the batch.
    fn take_decisions(&mut self, taken: &mut Vec<Decision>, fits: &mut impl FnMut(&Decision) -> bool) -> bool {
        let mut unfit = Vec::new();
        let mut is_full = taken.len() >= self.policy.batch;
        while !is_full && let Some(mut decision) = self.staged.pop_front() {
            if !self.fits(decision.origin) {
                unfit.push(decision);
                continue;
            }
            if !fits(&decision) {
                self.staged.push_front(decision);
                is_full = true;
                continue;
            }
            if let Some(marks) = self.marks_of(decision.origin.topic) {
                marks.finish(decision.origin.offset);
            }
            if !decision.is_known {
                decision.batch = self.number.saturating_add(1);
            }
            self.count(&decision);
            self.finish_commands_of(decision.seq);
            taken.push(decision);
            is_full = taken.len() >= self.policy.batch;
        }
        for decision in unfit.into_iter().rev() {
            self.make_room(decision.origin.topic);
            self.staged.push_front(decision);
        }
        is_full
    }

    fn take_tombstones(&mut self, most: usize) -> Vec<(Seq, Key)> {
        let rest = self.tombstones.keys().nth(most).copied().map(|seq| self.tombstones.split_off(&seq));
        let taken = std::mem::replace(&mut self.tombstones, rest.unwrap_or_default());
        taken.into_iter().collect()
    }

    fn take_claims(&mut self) -> Vec<Claim> {
        let most = match self.target {
            Target::Available => self.policy.concurrency,
            Target::Probing => 1,
            Target::Paused => 0,
        };
        let mut claims = Vec::new();
        // No attempt follows: neither the target nor the number of attempts matters.
        for seq in std::mem::take(&mut self.doomed) {
            if self.is_runnable(seq) {
                claims.extend(self.claim(seq));
            } else if self.index.get(seq).is_some_and(|entry| entry.is_doomed) {
                self.doomed.insert(seq);
            }
        }
        let mut early = BTreeSet::new();
        while self.running < most
            && let Some(seq) = self.ready.pop_first()
        {
            if self.is_early_replay(seq) {
                early.insert(seq);
            } else if self.is_runnable(seq) {
                claims.extend(self.claim(seq));
            }
        }
        self.ready.append(&mut early);
        let topics: Vec<_> = self.timed.keys().copied().collect();
        for topic in topics {
            let now = self.time_of(topic);
            let mut kept = Vec::new();
            while self.running < most
                && let Some((due, seq)) = self.timed.get(&topic).and_then(|heads| heads.first().copied())
                && due <= now
            {
                if let Some(heads) = self.timed.get_mut(&topic) {
                    heads.remove(&(due, seq));
                }
                let is_round = topic == Topic::Held;
                if !self.is_runnable(seq)
                    || self.index.get(seq).is_none_or(|entry| (entry.topic, entry.due) != (topic, due))
                {
                    continue;
                }
                let Some(place) = self.index.get(seq).and_then(|entry| entry.place()) else { continue };
                if !self.fits(place) {
                    self.make_room(topic);
                    kept.push((due, seq));
                } else if is_round && self.rounds_running >= self.policy.second_round_concurrency {
                    kept.push((due, seq));
                    break;
                } else {
                    if is_round {
                        self.rounds_running += 1;
                    }
                    claims.extend(self.claim(seq));
                    if let Some(entry) = self.index.get_mut(seq) {
                        entry.in_round = is_round;
                    }
                }
            }
            if let Some(heads) = self.timed.get_mut(&topic) {
                heads.extend(kept);
            }
        }
        claims
    }

    /// A replay runs only when the lane has read its own topic beyond it: after a restart, earlier records of the key
    /// that were never finished are not outstanding before they are read again.
    fn is_early_replay(&self, seq: Seq) -> bool {
        let is_replay = self.index.get(seq).is_some_and(|entry| entry.topic == Topic::Control);
        is_replay && self.marks.get(&Topic::Source).is_some_and(|marks| marks.next() <= seq)
    }

    fn is_runnable(&self, seq: Seq) -> bool {
        self.index.get(seq).is_some_and(|entry| entry.is_waiting()) && self.is_head(seq)
    }

    fn claim(&mut self, seq: Seq) -> Option<Claim> {
        let entry = self.index.get_mut(seq)?;
        entry.phase = Phase::Claimed;
        let (id, attempt) = (entry.key, entry.attempts.saturating_add(1));
        let guard = Guard { hop: entry.hop, is_forced: entry.is_commanded };
        let guard = (entry.topic == Topic::Control).then_some(guard);
        self.running += 1;
        let key = self.index.key_mut(id)?;
        key.running = Some(seq);
        Some(Claim { seq, key: key.name.clone(), attempt, guard })
    }

    fn take_executed(&mut self) -> Vec<Executed> {
        let mut taken = Vec::new();
        let mut unfit = Vec::new();
        while let Some(executed) = self.executed.pop_front() {
            if self.fits(Place::new(Topic::Control, executed.offset)) {
                if let Some(marks) = self.marks_of(Topic::Control) {
                    marks.finish(executed.offset);
                }
                taken.push(executed);
            } else {
                unfit.push(executed);
            }
        }
        self.executed.extend(unfit);
        taken
    }

    fn finish_stale(&mut self) -> bool {
        let before = self.stale.len();
        for place in std::mem::take(&mut self.stale) {
            if !self.fits(place) {
                self.stale.insert(place);
            } else if let Some(marks) = self.marks_of(place.topic) {
                marks.finish(place.offset);
            }
        }
        self.stale.len() < before
    }

    pub(super) fn fits(&self, place: Place) -> bool {
        self.marks.get(&place.topic).is_none_or(|marks| marks.fits(place.offset))
    }

    /// Something above the span of a tier is to be finished: appends again, at the tier's end, what holds the low
    /// watermark back only because it waits behind its head. A head stays: its delay is its right, and it ends.
    fn make_room(&mut self, topic: Topic) {
        let (Topic::Tier(tier), Some(marks)) = (topic, self.marks.get(&topic)) else { return };
        let is_retired = self.policy.tiers.get(usize::from(tier)).is_none_or(|tier| tier.retired);
        let Some(to) = (if is_retired { self.policy.first_tier() } else { Some(tier) }) else { return };
        let below = marks.low().saturating_add(self.policy.span / 4).saturating_add(1);
        let lowest: Vec<_> = marks.open_below(below).collect();
        for (offset, seq) in lowest {
            let Some(entry) = self.index.get(seq) else { continue };
            let is_here = entry.place() == Some(Place::new(topic, offset));
            if is_here && entry.is_waiting() && self.index.first(entry.key) != Some(seq) {
                self.move_follower(seq, Topic::Tier(to));
            }
        }
    }

    /// Counts a decision in the balance the commit says.
    pub(super) fn count(&mut self, decision: &Decision) {
        let Balance { taken, dead, held, in_flight, .. } = &mut self.balance;
        let before = match decision.origin.topic {
            Topic::Source => None,
            Topic::Tier(_) => Some(in_flight),
            Topic::Held => Some(held),
            // A replay: the record was dead until now.
            Topic::Control => Some(dead),
        };
        // After an offset was reset, a record may have been counted in no state yet.
        match before.filter(|state| **state > 0) {
            Some(state) => *state -= 1,
            None => *taken = taken.saturating_add(1),
        }
        let Balance { applied, superseded, skipped, dead, held, parked, in_flight, .. } = &mut self.balance;
        let state = match decision.ruling {
            Ruling::Applied => applied,
            Ruling::Parked => parked,
            Ruling::Superseded => superseded,
            Ruling::Skipped => skipped,
            Ruling::Dead(_) => dead,
            Ruling::Moved(moved) if moved.to == Topic::Held => held,
            Ruling::Moved(_) => in_flight,
        };
        *state = state.saturating_add(1);
    }
}
