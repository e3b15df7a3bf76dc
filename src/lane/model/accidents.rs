//! What happens to a lane: crashes, other owners, other tools, stores that lose writes, operators.

use std::collections::BTreeMap;

use crate::lane::batch::Answer;
use crate::lane::command::{Command, Verb};
use crate::lane::model::log::Body;
use crate::lane::model::owner::{Owner, Step};
use crate::lane::model::store::Store;
use crate::lane::model::world::{TIERS, World};
use crate::lane::place::{Seq, Topic};
use crate::lane::policy::Tier;
use crate::log::Committed;

impl World {
    pub fn crash(&mut self) -> Result<(), String> {
        let Some(owner) = self.owners.pop() else { return Ok(()) };
        self.note(|| format!("owner {} crashes, {:?}", owner.id, owner.step));
        let epoch = self.store.epoch;
        self.resolve(owner)?;
        if self.owners.is_empty() {
            self.store.dead_epoch = epoch;
        }
        let mut stray = BTreeMap::new();
        if self.setup.resets && self.random.chance(600) {
            stray = self.reset();
        }
        if self.setup.failovers && self.owners.is_empty() && self.random.chance(700) {
            self.fail_over();
        }
        if self.setup.tier_changes && self.random.chance(700) {
            self.change_tiers();
        }
        self.log.generation += 1;
        self.resolve_others()?;
        self.begin(stray)
    }

    /// Another member gets the lane; the owner before it does not know yet.
    pub fn move_on(&mut self) -> Result<(), String> {
        self.log.generation += 1;
        self.resolve_others()?;
        if self.owners.len() > 2 {
            let oldest = self.owners.remove(0);
            self.abandon(&oldest);
        }
        self.begin(BTreeMap::new())
    }

    /// A new owner asks for offsets, and gets them when no commit is open any more.
    fn resolve_others(&mut self) -> Result<(), String> {
        for owner in std::mem::take(&mut self.owners) {
            if matches!(owner.step, Step::Sent(..)) {
                self.resolve(owner)?;
            } else {
                self.owners.push(owner);
            }
        }
        Ok(())
    }

    /// An owner is gone; the commit it had sent may have taken effect.
    fn resolve(&mut self, mut owner: Owner) -> Result<(), String> {
        if let Step::Sent(batch, transaction) = std::mem::replace(&mut owner.step, Step::Idle) {
            if self.random.chance(500) {
                return self.commit(&mut owner, &batch, transaction).map_err(|end| format!("{end:?}"));
            }
            self.log.abort(transaction, self.now_ms);
        }
        Ok(())
    }

    pub fn abandon(&mut self, owner: &Owner) {
        if let Step::Sent(_, transaction) = owner.step {
            self.log.abort(transaction, self.now_ms);
        }
    }

    /// Another tool sets offsets back, or they expire.
    fn reset(&mut self) -> BTreeMap<Topic, i64> {
        self.was_reset = true;
        let mut stray = BTreeMap::new();
        for (topic, committed) in self.log.committed.clone() {
            if self.random.chance(400) {
                continue;
            }
            let offset = self.random.between(0, committed.offset);
            stray.insert(topic, offset);
            self.log.committed.insert(topic, Committed { offset, metadata: String::new() });
            if self.random.chance(200) {
                self.log.committed.remove(&topic);
            }
        }
        self.note(|| format!("offsets are reset: {stray:?}"));
        stray
    }

    /// The store loses its last writes.
    fn fail_over(&mut self) {
        let place = self.random.below(self.stores.len());
        let Some(older) = self.stores.get(place).cloned() else { return };
        self.stores.truncate(place + 1);
        let Store { epoch, dead_epoch, .. } = self.store;
        self.store = Store { epoch, dead_epoch, ..older };
        let Self { store, truth, .. } = self;
        let is_known = |id: &i64| {
            let settled =
                store.claims.iter().any(|((seq, _), claim)| seq == id && claim.answer == Some(Answer::Applied));
            settled || truth.ended.contains_key(id)
        };
        truth.known_success.retain(is_known);
        let number = self.store.number;
        self.note(|| format!("the store fails over to batch {number}"));
    }

    /// Tiers are taken out of use, put back, or added.
    fn change_tiers(&mut self) {
        let tiers = &mut self.setup.policy.tiers;
        if tiers.len() < usize::from(TIERS) && self.random.chance(300) {
            tiers.push(Tier { delay: std::time::Duration::from_millis(15), retired: false });
        }
        let place = self.random.below(tiers.len());
        tiers[place].retired = !tiers[place].retired;
        if tiers.iter().all(|tier| tier.retired) {
            tiers[place].retired = false;
        }
    }

    /// An operator's command, sometimes one that was given before.
    pub fn interfere(&mut self) {
        let id = format!("c{}", self.commands.len());
        let held = self.truth.places.iter().filter(|(_, (topic, _))| *topic == Topic::Held).map(|(seq, _)| *seq);
        let held = self.random.of(&held.collect::<Vec<_>>()).filter(|_| self.random.chance(700));
        let key = match held {
            Some(seq) => self.truth.keys[usize::try_from(seq).unwrap()].clone(),
            None => self.any_key(),
        };
        let of_key = |seq: &&Seq| self.truth.keys[usize::try_from(**seq).unwrap()] == key;
        let places: Vec<_> = self.truth.places.keys().filter(of_key).copied().collect();
        let any = self.random.of(&places);
        let letters = self.truth.dead_letters.len();
        let mut value = 0;
        let mut command = match self.random.below(10) {
            0..3 => Command { id, key, verb: Verb::Retry },
            3 | 4 => Command { id, key, verb: Verb::Edit { seq: places.first().copied().unwrap_or(0) } },
            5 | 6 => Command { id, key, verb: Verb::Skip { seq: any.unwrap_or(0) } },
            7 => Command { id, key, verb: Verb::Purge { through: any.unwrap_or(0) } },
            _ if letters > 0 && !self.setup.failovers => {
                let letter = self.truth.dead_letters[self.random.below(letters)].clone();
                let is_forced = self.random.chance(300);
                if is_forced {
                    self.truth.forced.insert(letter.seq);
                }
                value = letter.value;
                let verb = Verb::Replay { seq: letter.seq, hop: letter.hop, attempts: letter.attempts, is_forced };
                Command { id, key: letter.key, verb }
            }
            _ => return,
        };
        if let Some(again) =
            self.commands.get(self.random.below(self.commands.len())).filter(|_| self.random.clone().chance(150))
        {
            command = again.clone();
        }
        self.commands.push(command.clone());
        self.note(|| format!("operator: {command:?}"));
        if matches!(command.verb, Verb::Edit { .. }) {
            value = self.log.end_of(Topic::Control) + 1;
        }
        self.log.append(Topic::Control, self.now_ms, Body::Command { command, value }, None);
    }
}
