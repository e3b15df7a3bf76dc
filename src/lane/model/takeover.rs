//! A new owner: takes the lane over and recovers it from log and store.

use std::collections::{BTreeMap, BTreeSet};

use crate::lane::command::Verb;
use crate::lane::machine::Lane;
use crate::lane::marks::Finished;
use crate::lane::model::fault::Fault;
use crate::lane::model::log::Body;
use crate::lane::model::owner::{Owner, Step};
use crate::lane::model::world::World;
use crate::lane::place::{Place, Seq, Topic};
use crate::lane::plan::{self, Standing};
use crate::lane::policy::Policy;
use crate::lane::recovery::Recovery;
use crate::log::Bounds;

impl World {
    /// Takes the lane over: recovers it from log and store.
    pub fn start(&mut self, policy: Policy, stray: BTreeMap<Topic, i64>) -> Result<Owner, String> {
        self.owners_begun += 1;
        let id = self.owners_begun;
        self.current = id;
        self.store.epoch += 1;
        let bounds = Bounds { start: 0, end: self.log.end_of(Topic::Source) };
        let standing = Standing {
            committed: self.log.committed.clone(),
            decided: self.store.decided,
            number: self.store.number,
            confirmed: self.store.confirmed.clone(),
        };
        let mut plan = plan::plan(&standing, bounds, false).map_err(|refusal| refusal.to_string())?;
        if plan.restore_from.is_some() {
            self.truth.see("store behind");
        }
        if !plan.is_last {
            self.truth.see("not the last commit");
        }
        if self.fault == Fault::StaleCopies {
            // What a recovery would do that believes the offset another tool has set.
            plan.checkpoint.finished.extend(stray.iter().map(|(topic, offset)| (*topic, Finished::below(*offset))));
        }
        let mut recovery = Recovery::new(policy, &plan, self.now_ms);
        recovery.mutate(self.fault.mutation());
        let topics: Vec<_> = self.log.parts.keys().copied().filter(|topic| *topic != Topic::Source).collect();
        for topic in topics {
            let is_blind = self.fault == Fault::LastStableOffset;
            let end = if is_blind { self.log.last_stable(topic) } else { self.log.end_of(topic) };
            recovery.until(topic, end);
        }
        while let Some((topic, from)) = recovery.next() {
            if self.fault == Fault::ControlLast && topic == Topic::Control {
                recovery.until(Topic::Control, from);
                continue;
            }
            let read = self.log.read(topic, from, 4);
            if read.is_empty() {
                let now_ms = self.now_ms;
                if !self.log.deliver(|marked| marked == topic, now_ms) {
                    recovery.reached(topic, self.log.last_stable(topic));
                }
            }
            for (offset, at_ms, body) in read {
                self.recover(&mut recovery, Place::new(topic, offset), at_ms, body);
            }
        }
        let ended: BTreeMap<_, _> =
            recovery.outstanding().into_iter().filter_map(|seq| Some((seq, *self.store.ended.get(&seq)?))).collect();
        let ended = if self.fault == Fault::StaleCopies { BTreeMap::new() } else { ended };
        let lane = recovery.finish(&ended).map_err(|unfinished| unfinished.to_string())?;
        if plan.is_last {
            self.check_rebuilt(&lane)?;
        }
        let doomed = self.doomed();
        self.note(|| {
            format!("owner {id} begins: {} outstanding, from {:?}", lane.outstanding().len(), plan.checkpoint)
        });
        Ok(Owner {
            id,
            lane,
            generation: self.log.generation,
            epoch: self.store.epoch,
            step: Step::Idle,
            flights: Vec::new(),
            doomed,
            second_next: 0,
            ids: BTreeMap::new(),
        })
    }

    fn recover(&mut self, recovery: &mut Recovery, place: Place, at_ms: i64, body: Body) {
        let known = self.store.decisions.get(&place).cloned();
        match body {
            Body::Copy { moved, .. } => recovery.copy(place, at_ms, &moved, known),
            Body::Tombstone { seq } => recovery.tombstone(place.offset, seq),
            Body::Command { command, .. } => {
                let is_known = self.store.commands.contains(&command.id);
                recovery.command(place.offset, command, is_known, known);
            }
            Body::Source { .. } => {}
        }
    }

    /// I9: what was rebuilt is what the log shows.
    fn check_rebuilt(&self, lane: &Lane) -> Result<(), String> {
        let all = lane.outstanding();
        let all = all.iter().filter(|record| record.topic != Topic::Control);
        let mut rebuilt: BTreeMap<_, _> = all.map(|record| (record.seq, (record.topic, record.hop))).collect();
        if self.was_reset {
            // What the log shows as ended, and the checkpoint taken for the lost one did not know, is repeated still.
            rebuilt.retain(|seq, _| !self.truth.ended.contains_key(seq));
        }
        if rebuilt != self.truth.places && self.fault == Fault::None {
            return Err(format!("I9: rebuilt {rebuilt:?}, the log has {:?}", self.truth.places));
        }
        let count = |wanted: fn(&Topic) -> bool| rebuilt.values().filter(|(topic, _)| wanted(topic)).count() as u64;
        let (held, tiers) = (count(|topic| *topic == Topic::Held), count(|topic| matches!(topic, Topic::Tier(_))));
        let balance = lane.balance();
        if (balance.held, balance.in_flight) != (held, tiers) && self.fault == Fault::None && !self.was_reset {
            return Err(format!("I9: {held} held and {tiers} in tiers, the balance says {balance:?}"));
        }
        Ok(())
    }

    /// Outstanding records that a command ends which nobody has executed.
    fn doomed(&self) -> BTreeSet<Seq> {
        let mut doomed = BTreeSet::new();
        let committed = self.log.committed.get(&Topic::Control);
        let finished = committed.and_then(|committed| Finished::parse(committed.offset, &committed.metadata).ok()?);
        for (offset, item) in self.log.parts[&Topic::Control].items.iter().enumerate() {
            let Some(Body::Command { command, .. }) = &item.body else { continue };
            let is_finished = finished.as_ref().is_some_and(|(finished, _)| finished.contains(offset as i64));
            if is_finished || self.store.commands.contains(&command.id) {
                continue;
            }
            let is_of_key = |seq: &Seq| self.truth.keys[usize::try_from(*seq).unwrap()] == command.key;
            let is_decided = |seq: &Seq, hop: u32| self.store.ended.get(seq).is_some_and(|ended| *ended >= hop);
            let places = self.truth.places.iter().filter(|(seq, (_, hop))| !is_decided(seq, *hop));
            let places = places.map(|(seq, _)| *seq).filter(is_of_key);
            match command.verb {
                Verb::Skip { seq } => doomed.extend(places.filter(|place| *place == seq)),
                Verb::Purge { through } => doomed.extend(places.filter(|place| *place <= through)),
                _ => {}
            }
        }
        doomed
    }
}
