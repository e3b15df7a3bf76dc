//! How an owner gets to the state of the one before it: from a checkpoint, and from what lies in the topics.
//!
//! [`plan`](crate::lane::plan::plan) decides from which checkpoint; [`Recovery`] rebuilds the lane from the control
//! topic, the held topic and the tiers, and gives it out only when each has been read to its end.
//!
//! Source: `research/stream-engines.md` sections 2.8 and 2.13, rules 3, 10 and 11.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::lane::batch::{Decision, Role, Target};
use crate::lane::command::Command;
use crate::lane::index::Index;
use crate::lane::machine::Lane;
use crate::lane::marks::Marks;
use crate::lane::moved::Moved;
#[cfg(test)]
use crate::lane::mutation::Mutation;
use crate::lane::place::{Place, Seq, Topic};
use crate::lane::plan::Plan;
use crate::lane::policy::Policy;

/// A topic was not read to its end; what lies there would be taken as finished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("recovery reached offset {reached} of topic `{topic}`, which ends at {until}")]
pub struct Unfinished {
    pub topic: Topic,
    pub reached: i64,
    pub until: i64,
}

/// A lane that is being rebuilt. Nothing is attempted before [`Recovery::finish`].
#[derive(Debug)]
pub struct Recovery {
    lane: Lane,
    until: BTreeMap<Topic, i64>,
    /// Decisions the log does not have, by origin.
    known: BTreeMap<Place, Decision>,
    /// Decisions about held copies that the log has and the checkpoint has not.
    released: Vec<Decision>,
    /// Copies another one made void.
    void: Vec<(Place, Moved)>,
    is_last: bool,
}

impl Recovery {
    pub fn new(policy: Policy, plan: &Plan, now_ms: i64) -> Self {
        let tiers = (0..policy.tiers.len()).filter_map(|number| u8::try_from(number).ok()).map(Topic::Tier);
        let topics = tiers.chain([Topic::Control, Topic::Source]);
        let marks = topics.map(|topic| {
            let span = if topic == Topic::Source { policy.source_span } else { policy.span };
            (topic, Marks::new(plan.checkpoint.of(topic), span))
        });
        let lane = Lane {
            marks: marks.collect(),
            policy,
            index: Index::default(),
            held_next: 0,
            ready: BTreeSet::new(),
            doomed: BTreeSet::new(),
            timed: BTreeMap::new(),
            clocks: BTreeMap::new(),
            barred: BTreeSet::new(),
            staged: VecDeque::new(),
            stale: BTreeSet::new(),
            tombstones: BTreeMap::new(),
            commands: BTreeMap::new(),
            edits: BTreeMap::new(),
            executed: VecDeque::new(),
            batch: None,
            running: 0,
            rounds_running: 0,
            target: Target::Available,
            now_ms,
            number: plan.number,
            balance: plan.checkpoint.balance,
            confirmed: plan.checkpoint.clone(),
            is_unsaid: !plan.is_last,
            #[cfg(test)]
            mutation: Mutation::None,
        };
        Self {
            lane,
            until: BTreeMap::new(),
            known: BTreeMap::new(),
            released: Vec::new(),
            void: Vec::new(),
            is_last: plan.is_last,
        }
    }

    /// Says where the control topic, the held topic or a tier ends: its next offset to be written, commits that are
    /// still on their way included. On Kafka the high watermark of a reader of *uncommitted* records, taken after the
    /// committed offsets: a copy below it may not be visible yet, and without it its key looks free.
    pub fn until(&mut self, topic: Topic, end: i64) {
        self.until.insert(topic, end);
    }

    /// The topic to be read now, and from where: the control topic first. `None`: all are read.
    pub fn next(&self) -> Option<(Topic, i64)> {
        let mut left = self.until.iter().filter(|(topic, until)| self.lane.position(**topic) < **until);
        left.next().map(|(topic, _)| (*topic, self.lane.position(*topic)))
    }

    /// Where `topic` was said to end.
    pub fn end_of(&self, topic: Topic) -> i64 {
        self.until.get(&topic).copied().unwrap_or(0)
    }

    /// Nothing more is to be read of `topic` below `position`: at its end are aborted records or marks of commits.
    pub fn reached(&mut self, topic: Topic, position: i64) {
        self.lane.passed(topic, position);
    }

    /// Takes the next command. `is_known`: the store has a command of this id as executed; `decision`: what it has
    /// decided with this record as origin.
    pub fn command(&mut self, offset: i64, command: Command, is_known: bool, decision: Option<Decision>) {
        let is_repeated = decision.is_some();
        if let Some(decision) = decision {
            self.known.insert(Place::new(Topic::Control, offset), decision);
        }
        self.lane.take_command(offset, command, is_known && !is_repeated);
    }

    /// Takes the next copy of a tier or the held topic. `known`: what the store has decided with it as origin.
    pub fn copy(&mut self, place: Place, appended_at_ms: i64, moved: &Moved, known: Option<Decision>) {
        self.lane.see(place.topic, appended_at_ms);
        if !self.lane.read_copy(place, moved.seq) {
            return;
        }
        if let Some(decision) = known {
            self.known.insert(place, decision);
        }
        let found = self.lane.index.get(moved.seq).map(|entry| (entry.hop, entry.place()));
        match found {
            Some((hop, _)) if hop >= moved.hop && self.is_choosy() => {
                return self.void.push((place, moved.clone()));
            }
            Some((_, Some(older))) => self.void.push((older, moved.clone())),
            _ => {}
        }
        let due = self.lane.due(place.topic, appended_at_ms, moved);
        self.lane.index.insert(moved.seq, &moved.key, place, moved.hop);
        if let Some(entry) = self.lane.index.get_mut(moved.seq) {
            (entry.attempts, entry.round, entry.due) = (moved.attempts, moved.round, due);
            (entry.is_head, entry.is_passing) = (moved.role == Role::Head, moved.is_passing);
        }
    }

    /// A copy that nothing could be read from: finished without action.
    pub fn unreadable(&mut self, place: Place) {
        self.lane.unreadable(place);
    }

    /// Takes the next tombstone of the held topic; the record is told by the key
    /// ([`held_seq`](crate::lane::moved::held_seq)).
    pub fn tombstone(&mut self, offset: i64, seq: Seq) {
        self.lane.passed(Topic::Held, offset.saturating_add(1));
        let Some(entry) = self.lane.index.get(seq).filter(|entry| entry.topic == Topic::Held) else { return };
        let decision = entry.place().and_then(|place| self.known.remove(&place));
        self.released.extend(decision.filter(|decision| decision.batch > self.lane.confirmed.number));
        self.lane.index.remove(seq);
    }

    /// Records whose ends the store is to be asked for.
    pub fn outstanding(&self) -> Vec<Seq> {
        self.lane.index.iter().map(|(seq, _)| seq).collect()
    }

    /// The lane, as its last owner left it. `ended`: of each record that has ended by the store, how many moves were
    /// behind the copy it ended with. A copy with no more than that is an echo of a reset.
    ///
    /// # Errors
    /// [`Unfinished`] if a topic was not read to its end.
    pub fn finish(mut self, ended: &BTreeMap<Seq, u32>) -> Result<Lane, Unfinished> {
        for (topic, until) in &self.until {
            let reached = self.lane.position(*topic);
            #[cfg(test)]
            if self.lane.mutation == Mutation::ControlLast && *topic == Topic::Control {
                continue;
            }
            if reached < *until {
                return Err(Unfinished { topic: *topic, reached, until: *until });
            }
        }
        for (place, moved) in std::mem::take(&mut self.void) {
            self.lane.forget(place, &moved);
        }
        for seq in self.outstanding() {
            self.judge(seq, ended);
        }
        if !self.is_last {
            self.recount();
        }
        self.repeat_replays();
        let mut lane = self.lane;
        let keys: Vec<_> = lane.index.keys().map(|(id, _)| id).collect();
        for id in keys {
            lane.gather(id);
            lane.reconsider(id);
        }
        lane.evaluate_commands();
        Ok(lane)
    }

    #[cfg(test)]
    pub(in crate::lane) fn mutate(&mut self, mutation: Mutation) {
        self.lane.mutation = mutation;
    }

    fn judge(&mut self, seq: Seq, ended: &BTreeMap<Seq, u32>) {
        let Some(entry) = self.lane.index.get(seq) else { return };
        let Some(place) = entry.place() else { return };
        let hop = entry.hop;
        let has_ended = ended.get(&seq).is_some_and(|ended| *ended >= hop) && self.is_choosy();
        let has_ended_since = ended.get(&seq).is_some_and(|ended| *ended > hop) && self.is_choosy();
        if let Some(decision) = self.known.remove(&place).filter(|_| !has_ended_since) {
            #[cfg(test)]
            if self.lane.mutation == Mutation::KnownOriginSkipped {
                self.lane.index.remove(seq);
                self.lane.stale.insert(place);
                return;
            }
            self.lane.repeat(decision);
        } else if has_ended {
            let Some(key) = self.lane.index.key_of(seq).map(|key| key.name.clone()) else { return };
            self.lane.index.remove(seq);
            if place.topic == Topic::Held {
                self.lane.tombstones.insert(seq, key);
            } else {
                self.lane.stale.insert(place);
            }
        }
    }

    /// Replays whose decision is in the store and not in the log.
    fn repeat_replays(&mut self) {
        for (place, decision) in std::mem::take(&mut self.known) {
            let Some(pending) = self.lane.commands.get_mut(&place.offset) else { continue };
            if place.topic != Topic::Control || self.lane.index.get(decision.seq).is_some() {
                continue;
            }
            pending.seq = Some(decision.seq);
            let command = pending.command.clone();
            if self.lane.insert_replay(place.offset, &command).is_some() {
                self.lane.repeat(decision);
            }
        }
    }

    /// The checkpoint may be a commit behind: what is outstanding is counted, and taken follows from it.
    fn recount(&mut self) {
        for decision in self.released.iter().filter(|decision| decision.ruling.is_end()) {
            self.lane.count(decision);
        }
        let balance = &mut self.lane.balance;
        (balance.held, balance.in_flight) = (0, 0);
        for (_, entry) in self.lane.index.iter() {
            match entry.topic {
                Topic::Held => balance.held = balance.held.saturating_add(1),
                Topic::Tier(_) => balance.in_flight = balance.in_flight.saturating_add(1),
                Topic::Source | Topic::Control => {}
            }
        }
        balance.even();
    }

    fn is_choosy(&self) -> bool {
        #[cfg(test)]
        if self.lane.mutation == Mutation::StaleCopies {
            return false;
        }
        true
    }
}

impl Lane {
    /// Nothing more is to be read of `topic` below `position`.
    pub fn passed(&mut self, topic: Topic, position: i64) {
        match self.marks_of(topic) {
            Some(marks) => marks.reach(position),
            None => self.held_next = self.held_next.max(position),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::marks::Finished;
    use crate::lane::plan::{Standing, plan};
    use crate::log::Bounds;

    const WHOLE: Bounds = Bounds { start: 0, end: 100 };

    #[test]
    fn a_lane_is_not_given_out_before_every_topic_is_read_control_first() {
        let plan = plan(&Standing::default(), WHOLE, false).unwrap();
        let mut recovery = Recovery::new(Policy::default(), &plan, 0);
        recovery.until(Topic::Tier(0), 2);
        recovery.until(Topic::Control, 1);

        assert_eq!(recovery.next(), Some((Topic::Control, 0)));
        recovery.reached(Topic::Control, 1);
        assert_eq!(recovery.next(), Some((Topic::Tier(0), 0)));
        recovery.reached(Topic::Tier(0), 1);
        let unfinished = Unfinished { topic: Topic::Tier(0), reached: 1, until: 2 };
        assert_eq!(recovery.finish(&BTreeMap::new()).err(), Some(unfinished));
    }

    #[test]
    fn a_lane_without_a_last_commit_of_its_own_commits_before_it_has_anything_to_do() {
        let plan = plan(&Standing::default(), WHOLE, false).unwrap();
        let mut lane = Recovery::new(Policy::default(), &plan, 0).finish(&BTreeMap::new()).unwrap();

        let batch = lane.batch().unwrap();
        lane.stored(Vec::new());
        lane.committed();

        assert_eq!((batch.decisions, batch.checkpoint.number), (Vec::new(), 1));
        assert_eq!(lane.batch(), None);
    }

    #[test]
    fn nothing_read_leaves_a_topic_unreadable_only_once() {
        let plan = plan(&Standing::default(), WHOLE, false).unwrap();
        let mut recovery = Recovery::new(Policy::default(), &plan, 0);
        recovery.unreadable(Place::new(Topic::Tier(0), 0));

        let mut lane = recovery.finish(&BTreeMap::new()).unwrap();

        let batch = lane.batch().unwrap();
        assert_eq!(batch.checkpoint.of(Topic::Tier(0)), Finished::below(1), "it is finished without action");
        assert_eq!(batch.decisions, []);
    }
}
