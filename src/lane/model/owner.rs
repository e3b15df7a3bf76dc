//! One owner of the lane: what the driver around the state machine does, one durable step at a time, so that a crash
//! or another owner can come between any two.

use std::collections::{BTreeMap, BTreeSet};

use crate::lane::batch::{Answer, Batch, ClaimAnswer, CommandOutcome, Decision, Ruling};
use crate::lane::machine::Lane;
use crate::lane::marks::Finished;
use crate::lane::model::fault::Fault;
use crate::lane::model::log::Body;
use crate::lane::model::store::GRACE_MS;
use crate::lane::model::truth::Request;
use crate::lane::model::world::World;
use crate::lane::moved::Moved;
use crate::lane::place::{Key, Place, Seq, Topic};
use crate::log::Committed;

#[derive(Debug)]
pub struct Owner {
    pub id: u64,
    pub lane: Lane,
    pub generation: u64,
    pub epoch: u64,
    pub step: Step,
    pub flights: Vec<Flight>,
    /// Records an unexecuted command was to end when this owner began.
    pub doomed: BTreeSet<Seq>,
    /// Of the second topic, where there is one.
    pub second_next: i64,
    pub ids: BTreeMap<(Seq, Key), i64>,
}

/// How far the batch is.
#[derive(Debug)]
pub enum Step {
    Idle,
    Formed(Batch),
    Stored(Batch),
    /// Appended, offsets sent, not committed.
    Sent(Batch, usize),
}

/// An attempt under way.
#[derive(Debug)]
pub struct Flight {
    seq: Seq,
    key: Key,
    attempt: u16,
    origin: Place,
    payload: Place,
    claimed_ms: i64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Begun,
    Answered(Answer),
    Settled(Answer),
}

/// What a step of an owner came to.
pub type Outcome = Result<(), End>;

/// Why an owner does not go on.
#[derive(Debug)]
pub enum End {
    /// Another owner has the lane.
    Fenced,
    Violation(String),
}

impl From<String> for End {
    fn from(violation: String) -> Self {
        Self::Violation(violation)
    }
}

impl World {
    /// Hands in what the topic has next; `false`: nothing.
    pub fn poll(&mut self, owner: &mut Owner, topic: Topic, most: usize) -> bool {
        let from = owner.lane.position(topic);
        let most = match topic {
            Topic::Source => most.min(owner.lane.wanted()),
            Topic::Control => most.min(owner.lane.wanted_commands()),
            _ => most,
        };
        let read = self.log.read(topic, from, most);
        let any = !read.is_empty();
        for (offset, at_ms, body) in read {
            let place = Place::new(topic, offset);
            match body {
                Body::Source { key } => {
                    let known = self.store.decisions.get(&place).cloned();
                    owner.ids.insert((offset, key.clone()), self.first[usize::try_from(offset).unwrap()]);
                    let ended = self.store.ended.get(&offset).copied().filter(|_| self.fault != Fault::StaleCopies);
                    owner.lane.record(offset, &key, known, ended);
                }
                Body::Copy { moved, .. } => owner.lane.copy(place, at_ms, &moved),
                Body::Tombstone { .. } => owner.lane.passed(topic, offset + 1),
                Body::Command { command, .. } => {
                    let is_known = self.store.commands.contains(&command.id);
                    owner.lane.command(offset, command, is_known);
                }
            }
        }
        any
    }

    /// The second topic of a lane that must not have one.
    pub fn poll_second(&mut self, owner: &mut Owner) {
        let Some((id, key)) = self.second.get(usize::try_from(owner.second_next).unwrap()).cloned() else { return };
        if owner.lane.wanted() > 0 {
            owner.ids.insert((owner.second_next, key.clone()), id);
            owner.lane.record(owner.second_next, &key, None, None);
            owner.second_next += 1;
        }
    }

    /// One durable step of the batch on its way; `false`: there is none.
    pub fn advance(&mut self, owner: &mut Owner) -> Result<bool, End> {
        match std::mem::replace(&mut owner.step, Step::Idle) {
            Step::Idle => {
                let Some(batch) = owner.lane.batch() else { return Ok(false) };
                self.note(|| format!("owner {}: {}", owner.id, brief(&batch)));
                owner.step = Step::Formed(batch);
            }
            Step::Formed(batch) => {
                let answers = self.store.write(owner.epoch, &batch, self.now_ms).map_err(|origin| match origin {
                    None => End::Fenced,
                    Some(origin) => End::Violation(format!("{origin} is decided twice")),
                })?;
                self.remember_store();
                self.note(|| format!("owner {}: stored {} {answers:?}", owner.id, batch.checkpoint.number));
                for answer in &answers {
                    match answer {
                        ClaimAnswer::Granted => {}
                        ClaimAnswer::Settled(_) => self.truth.see("claim settled"),
                        ClaimAnswer::Busy { .. } => self.truth.see("claim busy"),
                        ClaimAnswer::Overtaken => self.truth.see("claim overtaken"),
                    }
                }
                for attempt in owner.lane.stored(answers) {
                    owner.flights.push(Flight {
                        seq: attempt.seq,
                        key: attempt.key,
                        attempt: attempt.attempt,
                        origin: attempt.origin,
                        payload: attempt.payload,
                        claimed_ms: self.now_ms,
                        stage: Stage::Begun,
                    });
                }
                owner.step = Step::Stored(batch);
            }
            Step::Stored(batch) => {
                // Captured when the owner began, or asked for now.
                let is_asked = self.fault == Fault::GroupMetadataReread;
                let generation = if is_asked { self.log.generation } else { owner.generation };
                let appends = self.appends(&batch);
                let sent = self.log.begin(generation, self.now_ms, appends).map_err(|()| End::Fenced)?;
                if owner.id != self.current {
                    return Err(End::Violation(format!("I10: owner {} commits after {}", owner.id, self.current)));
                }
                owner.step = Step::Sent(batch, sent);
            }
            Step::Sent(batch, transaction) => {
                self.commit(owner, &batch, transaction)?;
            }
        }
        Ok(true)
    }

    /// The commit takes effect.
    pub fn commit(&mut self, owner: &mut Owner, batch: &Batch, transaction: usize) -> Outcome {
        let commit = |(topic, finished): (&Topic, &Finished)| {
            let metadata = batch.checkpoint.text(*topic);
            (*topic, Committed { offset: finished.low, metadata })
        };
        let offsets: BTreeMap<_, _> = batch.checkpoint.finished.iter().map(commit).collect();
        if let Some((topic, committed)) = offsets.iter().find(|(_, committed)| committed.metadata.len() >= 2_800) {
            return Err(format!("I14: {} bytes beside the offset of {topic}", committed.metadata.len()).into());
        }
        self.log.commit(transaction, offsets, self.now_ms);
        for executed in &batch.commands {
            match executed.outcome {
                CommandOutcome::Repeated => self.truth.see("command repeated"),
                CommandOutcome::NotHead => self.truth.see("not head"),
                CommandOutcome::Done | CommandOutcome::Nothing | CommandOutcome::Overtaken => {}
            }
        }
        let log = &self.log;
        self.truth.committed(batch, |decision: &Decision| log.value(decision.payload));
        owner.lane.committed();
        owner.step = Step::Idle;
        self.note(|| format!("owner {}: committed {}", owner.id, batch.checkpoint.number));
        if !self.setup.two_sources {
            let source = batch.checkpoint.of(Topic::Source);
            self.truth.check_commit(batch.checkpoint.balance, &source, self.was_reset)?;
        }
        Ok(())
    }

    fn appends(&self, batch: &Batch) -> Vec<(Topic, Body)> {
        let mut appends = Vec::new();
        for decision in &batch.decisions {
            if let Ruling::Moved(moved) = decision.ruling {
                let copy = Moved {
                    seq: decision.seq,
                    key: decision.key.clone(),
                    hop: decision.hop + 1,
                    attempts: moved.attempts,
                    round: moved.round,
                    role: moved.role,
                    is_passing: moved.is_passing,
                };
                appends.push((moved.to, Body::Copy { moved: copy, value: self.log.value(decision.payload) }));
            }
            if decision.releases_held() {
                appends.push((Topic::Held, Body::Tombstone { seq: decision.seq }));
            }
        }
        appends.extend(batch.tombstones.iter().map(|(seq, _)| (Topic::Held, Body::Tombstone { seq: *seq })));
        appends
    }

    /// One step of an attempt; `false`: none is under way.
    pub fn fly(&mut self, owner: &mut Owner, number: usize) -> Result<bool, End> {
        if number >= owner.flights.len() {
            return Ok(false);
        }
        let mut flight = owner.flights.swap_remove(number);
        match flight.stage {
            Stage::Begun => {
                // Too late to be over before the claim is.
                let answer = if self.now_ms > flight.claimed_ms + GRACE_MS {
                    Answer::TargetFailed
                } else {
                    self.send(owner, &flight)?
                };
                flight.stage = Stage::Answered(answer);
                owner.flights.push(flight);
            }
            Stage::Answered(answer) => {
                let settled = self.store.settle(owner.epoch, (flight.seq, flight.attempt), &answer);
                settled.map_err(|()| End::Fenced)?;
                self.remember_store();
                if answer == Answer::Applied {
                    let id = owner.ids.get(&(flight.seq, flight.key.clone())).copied().unwrap_or(flight.seq);
                    self.truth.known_success.insert(id);
                }
                flight.stage = Stage::Settled(answer);
                owner.flights.push(flight);
            }
            Stage::Settled(answer) => {
                self.note(|| format!("owner {}: {} attempt {} is {answer:?}", owner.id, flight.seq, flight.attempt));
                owner.lane.answer(flight.seq, flight.attempt, answer);
            }
        }
        Ok(true)
    }

    fn send(&mut self, owner: &Owner, flight: &Flight) -> Result<Answer, End> {
        let Flight { seq, origin, payload, .. } = *flight;
        let answer = self.target_answer();
        if let Topic::Tier(tier) = origin.topic {
            let due = self.log.item(origin.topic, origin.offset).at_ms + self.setup.policy.delay_ms(tier, seq);
            let now = self.now_ms + self.log.parts[&origin.topic].skew_ms;
            if now < due {
                return Err(format!("I4: {seq} is sent at {now}, due at {due}").into());
            }
        }
        if owner.doomed.contains(&seq) {
            return Err(format!("commands: {seq} is sent, though a command before this owner ended it").into());
        }
        match (origin.topic, payload.topic) {
            (Topic::Held, Topic::Control) => self.truth.see("edited"),
            (Topic::Held, _) => self.truth.see("from held"),
            (Topic::Control, _) => self.truth.see("replayed"),
            _ => {}
        }
        let value = self.log.value(payload);
        let id = owner.ids.get(&(seq, flight.key.clone())).copied().unwrap_or(seq);
        self.note(|| {
            format!("owner {}: sends {id} of {:?} from {origin} value {value}", owner.id, flight.key.as_bytes())
        });
        let is_applied = matches!(answer, (_, true));
        // With two topics a number of arrival is no sequence.
        let seq_of = |id: i64| owner.ids.iter().find(|(_, known)| **known == id).map_or(id, |((seq, _), _)| *seq);
        self.truth.sent(Request { id, key: &flight.key, value, is_applied }, &self.store.ended, seq_of)?;
        Ok(answer.0)
    }
}

fn brief(batch: &Batch) -> String {
    let decisions: Vec<_> = batch
        .decisions
        .iter()
        .map(|decision| {
            let known = if decision.is_known { " known" } else { "" };
            format!("{}#{} {:?}{known}", decision.origin, decision.seq, decision.ruling)
        })
        .collect();
    let claims: Vec<_> = batch.claims.iter().map(|claim| format!("{}/{}", claim.seq, claim.attempt)).collect();
    format!("batch {}: {decisions:?}, claims {claims:?}, commands {:?}", batch.checkpoint.number, batch.commands)
}
