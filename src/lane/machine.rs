//! The lane itself: its state, what comes in, and what it says of itself.
//!
//! One rule carries the safety: a record is attempted only if it is the smallest outstanding one of its key, and it is
//! outstanding until its end is committed. Where its copies lie decides only what that costs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::lane::batch::{Batch, Decision, Disposition, Executed, Move, Role, Ruling, Target};
use crate::lane::checkpoint::{Balance, Checkpoint};
use crate::lane::command::Command;
use crate::lane::index::{Entry, Index, KeyId, Phase};
use crate::lane::marks::Marks;
use crate::lane::moved::Moved;
#[cfg(test)]
use crate::lane::mutation::Mutation;
use crate::lane::place::{Key, Place, Seq, Topic};
use crate::lane::policy::Policy;

/// One lane, owned and recovered.
///
/// Whoever drives it: hands in what it reads ([`Lane::record`], [`Lane::copy`], [`Lane::command`]), the time and the
/// target's state; asks for a [`Batch`](Lane::batch), writes it to the store, says so ([`Lane::stored`]) and begins
/// the attempts it gets; commits it to the log, says so ([`Lane::committed`]); and hands in every attempt's answer
/// ([`Lane::answer`]) once that is durable in the store. Copies of a batch are handed in after it was said to be
/// committed. After any other failure than a passing one the lane is dropped, and recovered from log and store.
#[derive(Debug)]
pub struct Lane {
    pub(super) policy: Policy,
    pub(super) index: Index,
    /// Of every topic but the held one.
    pub(super) marks: BTreeMap<Topic, Marks>,
    /// First offset of the held topic not read.
    pub(super) held_next: i64,
    /// Heads that may run now.
    pub(super) ready: BTreeSet<Seq>,
    /// Heads an operator ends, as soon as no earlier owner can be at them.
    pub(super) doomed: BTreeSet<Seq>,
    /// Heads that wait in a tier, and held heads that wait for a second round, by due time.
    pub(super) timed: BTreeMap<Topic, BTreeSet<(i64, Seq)>>,
    /// Newest append time seen in a topic, and when by the lane's clock.
    pub(super) clocks: BTreeMap<Topic, (i64, i64)>,
    /// By the lane's clock.
    pub(super) barred: BTreeSet<(i64, Seq)>,
    /// Decisions not in a batch yet.
    pub(super) staged: VecDeque<Decision>,
    /// Copies that mean nothing any more and are to be finished.
    pub(super) stale: BTreeSet<Place>,
    pub(super) tombstones: BTreeMap<Seq, Key>,
    pub(super) commands: BTreeMap<i64, Pending>,
    /// Where the value of an edited held head is: offset in the control topic.
    pub(super) edits: BTreeMap<Seq, i64>,
    pub(super) executed: VecDeque<Executed>,
    /// The batch that is on its way.
    pub(super) batch: Option<Batch>,
    pub(super) running: usize,
    pub(super) rounds_running: usize,
    pub(super) target: Target,
    pub(super) now_ms: i64,
    pub(super) number: u64,
    pub(super) balance: Balance,
    pub(super) confirmed: Checkpoint,
    /// The log does not say what this lane went on from: the next batch is due even if it says nothing else.
    pub(super) is_unsaid: bool,
    #[cfg(test)]
    pub(super) mutation: Mutation,
}

/// A command that was read and is not done with.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub command: Command,
    /// The record whose decision ends the command; `None`: it could not begin yet.
    pub seq: Option<Seq>,
}

/// An outstanding record, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outstanding {
    pub seq: Seq,
    pub key: Key,
    pub topic: Topic,
    pub hop: u32,
    pub attempts: u16,
    pub round: u8,
    pub role: Role,
}

impl Lane {
    /// Tells the time: milliseconds of a clock that never goes back, from any start.
    pub fn clock(&mut self, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
        while let Some((until, seq)) = self.barred.first().copied()
            && until <= self.now_ms
        {
            self.barred.remove(&(until, seq));
            if let Some(entry) = self.index.get_mut(seq) {
                entry.phase = Phase::Waiting;
                let key = entry.key;
                self.reconsider(key);
                self.evaluate_commands();
            }
        }
    }

    /// Tells whether attempts may begin. A target that is available again gives every key whose head was held for a
    /// passing cause its second round at once.
    pub fn target(&mut self, target: Target) {
        let before = std::mem::replace(&mut self.target, target);
        if target != Target::Available || before == Target::Available {
            return;
        }
        let keys: Vec<_> = self.index.keys().filter_map(|(_, key)| key.seqs.first().copied()).collect();
        for seq in keys {
            let rounds = self.policy.second_rounds.len();
            let Some(entry) = self.index.get_mut(seq) else { continue };
            if entry.is_held_head() && entry.is_passing && usize::from(entry.round) < rounds {
                entry.due = i64::MIN;
                let key = entry.key;
                self.reconsider(key);
            }
        }
    }

    /// Records of the lane's own topic it can take now, from offset [`Lane::position`] on.
    pub fn wanted(&self) -> usize {
        let Some(marks) = self.marks.get(&Topic::Source) else { return 0 };
        let span = self.policy.source_span.saturating_sub(marks.next().saturating_sub(marks.low()));
        let window = match self.target {
            Target::Available => self.policy.window,
            Target::Probing => 1,
            Target::Paused => 0,
        };
        let room = window.saturating_sub(marks.open());
        room.min(self.policy.lane_cap.saturating_sub(self.index.len())).min(usize::try_from(span).unwrap_or(0))
    }

    /// Commands it can take now.
    pub fn wanted_commands(&self) -> usize {
        let Some(marks) = self.marks.get(&Topic::Control) else { return 0 };
        let span = self.policy.span.saturating_sub(marks.next().saturating_sub(marks.low()));
        let room = self.policy.command_cap.saturating_sub(self.commands.len());
        room.min(usize::try_from(span).unwrap_or(0))
    }

    /// First offset of `topic` to be handed in. Tiers and the held topic are read to their end at all times: what
    /// they hold is outstanding, and known already.
    pub fn position(&self, topic: Topic) -> i64 {
        self.marks.get(&topic).map_or(self.held_next, Marks::next)
    }

    /// Takes the next record of the lane's own topic. `known` is what the store has decided with it as origin, `ended`
    /// the moves behind the copy with which the store has it as ended: both to be asked for offsets below
    /// [`Standing::decided`](crate::lane::plan::Standing::decided).
    pub fn record(&mut self, offset: i64, key: &Key, known: Option<Decision>, ended: Option<u32>) {
        if !self.marks_of(Topic::Source).is_some_and(|marks| marks.read(offset, offset)) {
            return;
        }
        let place = Place::new(Topic::Source, offset);
        if self.index.get(offset).is_some() {
            // The offset was reset below what was handed on, and a copy of it is outstanding. If that is a replay, the
            // record had ended before, and was not counted yet.
            if let Some(decision) = known.filter(|decision| decision.ruling.is_end()) {
                self.count(&decision);
            }
            self.stale.insert(place);
            return;
        }
        if ended.is_some_and(|hop| hop > 0) {
            // So was it here, but the copy has ended since.
            self.stale.insert(place);
            return;
        }
        let waiting = self.index.id_of(key).and_then(|id| self.index.key(id)).map_or(0, |key| key.seqs.len());
        let id = self.index.insert(offset, key, place, 0);
        if let Some(decision) = known {
            #[cfg(test)]
            if self.mutation == Mutation::KnownOriginSkipped {
                self.index.remove(offset);
                self.stale.insert(place);
                return;
            }
            self.repeat(decision);
        } else if waiting >= self.policy.key_cap {
            self.stage(offset, Ruling::Dead(Disposition::KeyOverflow), None);
        } else {
            self.move_aside(offset, self.shelter(id));
            self.reconsider(id);
        }
    }

    /// Takes the next copy of a tier or the held topic, appended at `appended_at_ms` by the log's clock.
    pub fn copy(&mut self, place: Place, appended_at_ms: i64, moved: &Moved) {
        self.see(place.topic, appended_at_ms);
        if !self.read_copy(place, moved.seq) {
            return;
        }
        let found = self.index.get(moved.seq).map(|entry| (entry.hop, entry.place(), entry.topic, entry.phase));
        match found {
            Some((hop, None, topic, _)) if self.knows_newest(hop, moved.hop) && topic == place.topic => {
                self.settle_in(place, appended_at_ms, moved);
            }
            // Nobody but this lane can have moved it, and it did not.
            Some((hop, ..)) if moved.hop > hop => {}
            _ => self.forget(place, moved),
        }
    }

    /// A copy that nothing could be read from: finished without action.
    pub fn unreadable(&mut self, place: Place) {
        if self.read_copy(place, Seq::MAX) {
            self.stale.insert(place);
        }
    }

    /// Every outstanding record, by sequence.
    pub fn outstanding(&self) -> Vec<Outstanding> {
        let entries = self.index.iter().filter_map(|(seq, entry)| {
            let Entry { topic, hop, attempts, round, .. } = *entry;
            let key = self.index.key(entry.key)?.name.clone();
            Some(Outstanding { seq, key, topic, hop, attempts, round, role: entry.role() })
        });
        entries.collect()
    }

    /// Where every record is, as of the last commit.
    pub fn balance(&self) -> Balance {
        self.confirmed.balance
    }

    /// Whether anything is decided, claimed or commanded and not committed.
    pub fn has_work(&self) -> bool {
        let is_staged = !self.staged.is_empty() || !self.executed.is_empty() || !self.commands.is_empty();
        is_staged || self.batch.is_some() || self.running > 0 || self.is_unsaid || !self.tombstones.is_empty()
    }

    /// When [`Lane::batch`] may have something that only time brings, by the lane's clock. What is due and was not in
    /// the last batch waits for something else.
    pub fn wakes_at(&self) -> Option<i64> {
        let timed = self.timed.iter().filter_map(|(topic, heads)| {
            let (due, _) = heads.range((self.time_of(*topic).saturating_add(1), Seq::MIN)..).next()?;
            let (newest, seen_at) = self.clocks.get(topic)?;
            Some(due.saturating_sub(*newest).saturating_add(*seen_at))
        });
        timed.chain(self.barred.first().map(|(until, _)| *until)).min()
    }

    /// A copy of the record is where its entry says it is going.
    fn settle_in(&mut self, place: Place, appended_at_ms: i64, moved: &Moved) {
        let due = self.due(place.topic, appended_at_ms, moved);
        let Some(entry) = self.index.get_mut(moved.seq) else { return };
        entry.put(place);
        entry.due = due;
        let key = entry.key;
        self.move_aside(moved.seq, self.shelter(key));
        self.reconsider(key);
        self.evaluate_commands();
    }

    /// A copy of a record that is elsewhere, or has ended.
    pub(super) fn forget(&mut self, place: Place, moved: &Moved) {
        if place.topic != Topic::Held {
            self.stale.insert(place);
        } else if self.index.get(moved.seq).is_none_or(|entry| entry.topic != Topic::Held && entry.to != Topic::Held) {
            self.tombstones.insert(moved.seq, moved.key.clone());
        }
    }

    /// Takes note of a copy; `false` if it was finished before.
    pub(super) fn read_copy(&mut self, place: Place, seq: Seq) -> bool {
        if let Some(marks) = self.marks_of(place.topic) {
            return marks.read(place.offset, seq);
        }
        self.held_next = self.held_next.max(place.offset.saturating_add(1));
        true
    }

    pub(super) fn marks_of(&mut self, topic: Topic) -> Option<&mut Marks> {
        self.marks.get_mut(&topic)
    }

    pub(super) fn see(&mut self, topic: Topic, appended_at_ms: i64) {
        let now_ms = self.now_ms;
        let now_there =
            self.clocks.get(&topic).map(|(newest, seen_at)| newest.saturating_add(now_ms.saturating_sub(*seen_at)));
        if now_there.is_none_or(|now_there| appended_at_ms > now_there) {
            self.clocks.insert(topic, (appended_at_ms, now_ms));
        }
    }

    /// The time of the log `topic` is in: its newest append time seen, and what has passed since. Never ahead of it.
    pub(super) fn time_of(&self, topic: Topic) -> i64 {
        let clock = self.clocks.get(&topic);
        clock.map_or(i64::MIN, |(newest, seen_at)| newest.saturating_add(self.now_ms.saturating_sub(*seen_at)))
    }

    pub(super) fn due(&self, topic: Topic, appended_at_ms: i64, moved: &Moved) -> i64 {
        let delay_ms = match topic {
            Topic::Tier(tier) => Some(self.policy.delay_ms(tier, moved.seq)),
            Topic::Held => self.policy.round_ms(moved.round),
            Topic::Source | Topic::Control => Some(0),
        };
        delay_ms.map_or(i64::MAX, |delay_ms| appended_at_ms.saturating_add(delay_ms))
    }

    /// Where later records of the key have to wait, if not in the lane's own topic.
    pub(super) fn shelter(&self, id: KeyId) -> Option<Topic> {
        #[cfg(test)]
        if self.mutation == Mutation::EveryRecordForItself {
            return None;
        }
        let key = self.index.key(id)?;
        // A replayed record is attempted from where it is; its successors wait for that.
        let mut others = key.seqs.iter().filter_map(|seq| self.index.get(*seq));
        let first = others.find(|entry| entry.to != Topic::Control)?;
        match first.to {
            Topic::Source => None,
            Topic::Held if first.is_head => Some(Topic::Held),
            _ => self.policy.first_tier().map(Topic::Tier),
        }
    }

    /// Moves what waits behind a blocked or held head out of the way, so that other keys' records can be finished.
    pub(super) fn gather(&mut self, id: KeyId) {
        let shelter = self.shelter(id);
        let Some(key) = self.index.key(id).filter(|_| shelter.is_some()) else { return };
        for seq in key.seqs.iter().skip(1).copied().collect::<Vec<_>>() {
            self.move_aside(seq, shelter);
        }
    }

    /// Moves a record to `shelter` if it lies where it is in the way and another of its key is to go first.
    fn move_aside(&mut self, seq: Seq, shelter: Option<Topic>) {
        let (Some(to), Some(entry)) = (shelter, self.index.get(seq)) else { return };
        let is_in_the_way = match entry.topic {
            Topic::Source => true,
            Topic::Tier(_) => to == Topic::Held,
            Topic::Held | Topic::Control => false,
        };
        if is_in_the_way && entry.is_waiting() && self.index.first(entry.key) != Some(seq) {
            self.move_follower(seq, to);
        }
    }

    pub(super) fn move_follower(&mut self, seq: Seq, to: Topic) {
        let Some(entry) = self.index.get(seq) else { return };
        let Entry { attempts, round, is_passing, .. } = *entry;
        let moved = Move { to, role: Role::Follower, attempts, round, is_passing, disposition: None };
        self.push(seq, Ruling::Moved(moved), None);
    }

    /// Finds out what the head of the key waits for.
    pub(super) fn reconsider(&mut self, id: KeyId) {
        self.dismiss_replays(id);
        for seq in self.candidates(id) {
            let Some(entry) = self.index.get(seq) else { continue };
            if !entry.is_waiting() || entry.is_doomed {
                continue;
            }
            let (topic, due) = (entry.topic, entry.due);
            let is_timed = match topic {
                Topic::Tier(_) => true,
                Topic::Held => entry.is_head && !entry.is_commanded,
                Topic::Source | Topic::Control => false,
            };
            if !is_timed {
                self.ready.insert(seq);
            } else if topic != Topic::Held || entry.is_passing && due != i64::MAX {
                self.timed.entry(topic).or_default().insert((due, seq));
            }
        }
    }

    fn candidates(&self, id: KeyId) -> Vec<Seq> {
        #[cfg(test)]
        if matches!(self.mutation, Mutation::CountsPerTier | Mutation::EveryRecordForItself) {
            return self.index.key(id).map(|key| key.seqs.iter().copied().collect()).unwrap_or_default();
        }
        self.index.first(id).into_iter().collect()
    }

    /// The min-seq test, and that nothing of the key is under way.
    pub(super) fn is_head(&self, seq: Seq) -> bool {
        let Some(key) = self.index.key_of(seq) else { return false };
        #[cfg(test)]
        if let Some(verdict) = self.mutation.is_head(&self.index, key, seq) {
            return verdict;
        }
        key.seqs.first() == Some(&seq) && key.running.is_none()
    }

    fn knows_newest(&self, known: u32, found: u32) -> bool {
        #[cfg(test)]
        if self.mutation == Mutation::StaleCopies {
            return true;
        }
        known == found
    }
}
