//! The world around a lane: records arrive, time passes, owners work, die and are replaced, operators interfere.
//!
//! One step at a time, drawn from the seed. What must hold at all times is checked where it could break; when every
//! fault is over, what must hold in the end.

use std::collections::{BTreeMap, VecDeque};

use crate::lane::batch::{Answer, Failure, Target};
use crate::lane::command::{Command, Verb};
use crate::lane::model::fault::Fault;
use crate::lane::model::log::{Body, Log, Part};
use crate::lane::model::owner::{End, Owner, Step};
use crate::lane::model::random::Random;
use crate::lane::model::setup::Setup;
use crate::lane::model::store::Store;
use crate::lane::model::truth::Truth;
use crate::lane::place::{Key, Topic};

#[derive(Debug)]
pub struct World {
    pub setup: Setup,
    pub fault: Fault,
    pub random: Random,
    pub log: Log,
    pub store: Store,
    pub truth: Truth,
    pub now_ms: i64,
    /// The newest last.
    pub owners: Vec<Owner>,
    pub current: u64,
    pub owners_begun: u64,
    pub was_reset: bool,
    /// Number of arrival of each record of the lane's topic, and of the second one.
    pub first: Vec<i64>,
    pub second: Vec<(i64, Key)>,
    is_healed: bool,
    pub stores: VecDeque<Store>,
    pub commands: Vec<Command>,
    pub trace: Option<Vec<String>>,
}

/// Tiers there are topics for.
pub const TIERS: u8 = 4;

/// Rounds after which the backlog must be gone.
const PATIENCE: usize = 4_000;

impl World {
    pub fn new(seed: u64, fault: Fault, is_traced: bool) -> Self {
        let mut random = Random::new(seed);
        let mut setup = Setup::draw(&mut random);
        if fault == Fault::TwoSources {
            let Setup { crash, moves, commands, rejects, parks, .. } = &mut setup;
            (*crash, *moves, *commands, *rejects, *parks) = (0, 0, 0, 0, 0);
            setup.two_sources = true;
            setup.policy.on_dead = crate::lane::policy::OnDead::Hold;
            setup.policy.key_cap = 100;
        }
        let topics = (0..TIERS).map(Topic::Tier).chain([Topic::Control, Topic::Held, Topic::Source]);
        let parts = topics.map(|topic| (topic, Part { skew_ms: random.between(-500, 500), ..Part::default() }));
        let log = Log { parts: parts.collect(), is_embedded: setup.is_embedded, ..Log::default() };
        Self {
            setup,
            fault,
            random,
            log,
            store: Store::default(),
            truth: Truth::default(),
            now_ms: 10_000,
            owners: Vec::new(),
            current: 0,
            owners_begun: 0,
            was_reset: false,
            first: Vec::new(),
            second: Vec::new(),
            is_healed: false,
            stores: VecDeque::new(),
            commands: Vec::new(),
            trace: is_traced.then(Vec::new),
        }
    }

    /// Runs `steps` steps, ends every fault, and waits for the backlog.
    pub fn run(&mut self, steps: usize) -> Result<(), (usize, String)> {
        for number in 0..steps {
            self.step().map_err(|violation| (number, violation))?;
        }
        self.heal().map_err(|violation| (steps, violation))
    }

    pub fn note(&mut self, text: impl FnOnce() -> String) {
        let now_ms = self.now_ms;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now_ms} {}", text()));
        }
    }

    pub fn remember_store(&mut self) {
        if self.setup.failovers {
            self.stores.push_back(self.store.clone());
            if self.stores.len() > 8 {
                self.stores.pop_front();
            }
        }
    }

    /// How the target answers, and whether it applies what it is sent.
    pub fn target_answer(&mut self) -> (Answer, bool) {
        let Setup { fails, rejects, target_fails, parks, .. } = self.setup;
        if self.is_healed {
            return (Answer::Applied, true);
        }
        let roll = self.random.below(1_000);
        let failure = Failure::default;
        match roll {
            // Every third of them was applied, and the answer got lost.
            _ if roll < fails => (Answer::Failed(failure()), roll.is_multiple_of(3)),
            _ if roll < fails + rejects => (Answer::Rejected(failure()), false),
            _ if roll < fails + rejects + target_fails => (Answer::TargetFailed, false),
            _ if roll < fails + rejects + target_fails + parks => (Answer::Parked, false),
            _ => (Answer::Applied, true),
        }
    }

    fn step(&mut self) -> Result<(), String> {
        if self.owners.is_empty() {
            self.begin(BTreeMap::new())?;
        }
        let Setup { crash, moves, commands, target_pause, records, .. } = self.setup;
        let now_ms = self.now_ms;
        match self.random.below(1_000) {
            roll if roll < crash => return self.crash(),
            roll if roll < crash + moves => return self.move_on(),
            roll if roll < crash + moves + commands => self.interfere(),
            roll if roll < crash + moves + commands + target_pause => {
                let target = self.random.of(&[Target::Paused, Target::Probing, Target::Available]).unwrap();
                let owner = self.random.below(self.owners.len());
                self.owners[owner].lane.target(target);
            }
            roll if roll < 200 && self.truth.keys.len() < records => self.arrive(),
            roll if roll < 300 => self.now_ms += self.random.between(1, 12),
            roll if roll < 400 => {
                self.log.deliver(|_| true, now_ms);
            }
            _ => {
                let newest = self.owners.len() - 1;
                let owner = if self.random.chance(300) { self.random.below(newest + 1) } else { newest };
                return self.work(owner);
            }
        }
        Ok(())
    }

    /// One step of one owner. A fenced one is gone.
    fn work(&mut self, number: usize) -> Result<(), String> {
        let mut owner = self.owners.remove(number);
        let outcome = self.work_of(&mut owner);
        match outcome {
            Ok(()) => self.owners.insert(number, owner),
            Err(End::Fenced) if owner.id != self.current => {
                self.note(|| format!("owner {} is fenced", owner.id));
                self.abandon(&owner);
            }
            Err(End::Fenced) => return Err(format!("I15: owner {} is fenced, and there is no other", owner.id)),
            Err(End::Violation(violation)) => return Err(violation),
        }
        Ok(())
    }

    fn work_of(&mut self, owner: &mut Owner) -> Result<(), End> {
        owner.lane.clock(self.now_ms);
        match self.random.below(10) {
            0 | 1 => {
                let most = self.random.below(4) + 1;
                if self.setup.two_sources && self.random.chance(500) {
                    self.poll_second(owner);
                } else {
                    self.poll(owner, Topic::Source, most);
                }
            }
            2 | 3 => {
                let topics: Vec<_> = self.log.parts.keys().copied().filter(|topic| *topic != Topic::Source).collect();
                let topic = self.random.of(&topics).unwrap();
                let most = self.random.below(4) + 1;
                self.poll(owner, topic, most);
            }
            4..7 => {
                self.advance(owner)?;
            }
            _ => {
                let flight = self.random.below(owner.flights.len());
                self.fly(owner, flight)?;
            }
        }
        if self.random.chance(30) {
            owner.lane.target(Target::Available);
        }
        self.check_bounds(owner)
    }

    /// I14.
    fn check_bounds(&self, owner: &Owner) -> Result<(), End> {
        let most = self.setup.policy.lane_cap + self.setup.policy.command_cap;
        let outstanding = owner.lane.outstanding().len();
        if outstanding > most && !self.was_reset {
            return Err(End::Violation(format!("I14: {outstanding} records outstanding, at most {most} may be")));
        }
        Ok(())
    }

    fn arrive(&mut self) {
        let key = self.any_key();
        let id = self.truth.keys.len() as i64;
        self.truth.keys.push(key.clone());
        if self.setup.two_sources && self.random.chance(500) {
            self.second.push((id, key));
        } else {
            self.first.push(id);
            self.log.append(Topic::Source, self.now_ms, Body::Source { key }, None);
        }
    }

    pub fn any_key(&mut self) -> Key {
        let name = format!("k{}", self.random.below(self.setup.keys));
        Key::new(name.as_bytes()).unwrap()
    }

    pub fn begin(&mut self, stray: BTreeMap<Topic, i64>) -> Result<(), String> {
        let owner = self.start(self.setup.policy.clone(), stray)?;
        self.owners.push(owner);
        Ok(())
    }

    /// Faults are over: everything must come to an end.
    fn heal(&mut self) -> Result<(), String> {
        self.is_healed = true;
        self.note(|| "every fault is over".to_owned());
        if self.owners.is_empty() {
            self.begin(BTreeMap::new())?;
        }
        while self.owners.len() > 1 {
            let oldest = self.owners.remove(0);
            self.abandon(&oldest);
        }
        for round in 0..PATIENCE {
            if self.is_done() {
                let balance = self.owners[0].lane.balance();
                return if self.setup.two_sources {
                    self.check_two_sources()
                } else {
                    self.truth.check_end(balance, self.was_reset)
                };
            }
            self.now_ms += 5;
            let now_ms = self.now_ms;
            while self.log.deliver(|_| true, now_ms) {}
            if round % 10 == 9 {
                self.retry_held(round);
            }
            let mut owner = self.owners.remove(0);
            let outcome = self.work_off(&mut owner);
            self.owners.push(owner);
            outcome.map_err(|end| match end {
                End::Fenced => "I15: the only owner is fenced".to_owned(),
                End::Violation(violation) => violation,
            })?;
        }
        Err(format!("I15: the backlog does not end: {:?}", self.owners[0].lane.outstanding()))
    }

    fn work_off(&mut self, owner: &mut Owner) -> Result<(), End> {
        owner.lane.clock(self.now_ms);
        owner.lane.target(Target::Available);
        let topics: Vec<_> = self.log.parts.keys().copied().collect();
        for topic in topics {
            while self.poll(owner, topic, 4) {}
        }
        if self.setup.two_sources {
            self.poll_second(owner);
        }
        for _ in 0..4 {
            self.advance(owner)?;
        }
        while self.fly(owner, 0)? {}
        self.check_bounds(owner)
    }

    fn retry_held(&mut self, round: usize) {
        let held: Vec<_> = self.truth.places.iter().filter(|(_, (topic, _))| *topic == Topic::Held).collect();
        let mut keys: Vec<_> = held.into_iter().map(|(seq, _)| self.truth.keys[*seq as usize].clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        for (number, key) in keys.into_iter().enumerate() {
            let command = Command { id: format!("r{round}/{number}"), key, verb: Verb::Retry };
            self.log.append(Topic::Control, self.now_ms, Body::Command { command, value: 0 }, None);
        }
    }

    fn is_done(&self) -> bool {
        let Some(Owner { lane, flights, step, second_next, .. }) = self.owners.first() else { return false };
        let is_read = self.log.parts.keys().all(|topic| self.log.read(*topic, lane.position(*topic), 1).is_empty());
        let is_idle = flights.is_empty() && matches!(step, Step::Idle) && !lane.has_work();
        is_read && is_idle && lane.outstanding().is_empty() && *second_next as usize == self.second.len()
    }

    fn check_two_sources(&self) -> Result<(), String> {
        let lost: Vec<_> = (0..self.truth.keys.len() as i64).filter(|id| !self.truth.applied.contains(id)).collect();
        if lost.is_empty() { Ok(()) } else { Err(format!("I15: {lost:?} were lost")) }
    }
}
