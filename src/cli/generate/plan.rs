//! Which messages are sent, in which order, and what each must come to. The same seed gives the same plan.

use std::collections::{HashMap, VecDeque};

use crate::canonical::event::ORDER_FAILED;
use crate::cli::generate::random::Random;
use crate::cli::partner::oracle::{Effect, Order, Way};
use crate::cli::partner::{Expected, Flaw, Kind, Message, Sample};

/// Parts of the messages, each from 0 to 1 and all together at most 1; the rest is an order's ordinary life.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    pub bad: f64,
    pub duplicate: f64,
    pub shuffle: f64,
}

/// One message, and what must come of it if everything planned before it for the same order was sent.
#[derive(Debug)]
pub struct Planned {
    /// The order's number: its messages are sent one after another.
    pub order: u32,
    pub message: Message,
    pub expected: Expected,
    pub effects: Vec<Effect>,
}

/// The messages of one run, made as they are asked for.
#[derive(Debug)]
pub struct Plan {
    seed: u64,
    mix: Mix,
    way: Way,
    flaws: Vec<Flaw>,
    random: Random,
    left: u64,
    /// How many orders there are.
    orders: u32,
    /// Those that are not only bad.
    lives: HashMap<u32, Life>,
    /// Orders that may get another message.
    active: Vec<u32>,
    /// What may be repeated.
    recent: VecDeque<(u32, Kind, Flaw)>,
    /// What comes late: after so many other messages.
    late: VecDeque<(u64, u32, Kind)>,
}

#[derive(Debug, Default)]
struct Life {
    order: Order,
    /// The newest version made so far.
    version: u32,
}

/// Most orders kept going, and most messages a repeat is chosen from.
const WINDOW: usize = 1000;
/// How many messages an overtaken one is late.
const LATE_BY: u64 = 3;
/// One bad message in so many is the large one: it is thousands of times the size of any other.
const LARGE_EVERY: usize = 40;
const REJECTED: &[Effect] = &[Effect { outcome: "rejected", topics: &[ORDER_FAILED] }];
/// A rejection published before is in the order's journey, and not on the topic again.
const REJECTED_AGAIN: &[Effect] = &[Effect { outcome: "rejected", topics: &[] }];

impl Plan {
    /// A plan of `count` messages.
    pub fn new(sample: &Sample, way: Way, mix: Mix, seed: u64, count: u64) -> Self {
        let on_a_topic = |flaw: &Flaw| matches!(flaw, Flaw::CutOff | Flaw::Fault(_));
        let flaws = sample.flaws().into_iter().filter(|flaw| way == Way::Http || on_a_topic(flaw)).collect();
        Self {
            seed,
            mix,
            way,
            flaws,
            random: Random::new(seed),
            left: count,
            orders: 0,
            lives: HashMap::new(),
            active: Vec::new(),
            recent: VecDeque::new(),
            late: VecDeque::new(),
        }
    }

    /// What every order id of the run begins with.
    pub fn mark(seed: u64) -> String {
        format!("GEN-{seed}-")
    }

    /// The next message; `None` once there were as many as asked for.
    pub fn next(&mut self, sample: &Sample) -> Option<Planned> {
        self.left = self.left.checked_sub(1)?;
        let (order, kind, flaw) = self.choose();
        let is_repeat = self.recent.contains(&(order, kind, flaw));
        let message = Message { order_id: format!("{}{order}", Self::mark(self.seed)), created_s: order, kind, flaw };
        let expected = sample.expected(&message);
        let effects = match &expected.problem {
            None => self.lives.entry(order).or_default().order.take(kind, self.way),
            Some((code, _)) if !code.is_published() => Vec::new(),
            Some(_) if is_repeat => REJECTED_AGAIN.to_vec(),
            Some(_) => REJECTED.to_vec(),
        };
        if !is_repeat && expected.problem.as_ref().is_none_or(|(code, _)| code.is_published()) {
            self.recent.push_back((order, kind, flaw));
            if self.recent.len() > WINDOW {
                self.recent.pop_front();
            }
        }
        Some(Planned { order, message, expected, effects })
    }

    fn choose(&mut self) -> (u32, Kind, Flaw) {
        if let Some((_, order, kind)) = self.late.pop_front_if(|(at, ..)| *at >= self.left) {
            return (order, kind, Flaw::None);
        }
        let Mix { bad, duplicate, shuffle } = self.mix;
        let chance = self.random.fraction();
        if chance < bad {
            return self.bad();
        }
        if chance < bad + duplicate && !self.recent.is_empty() {
            let index = self.random.below(self.recent.len());
            if let Some(again) = self.recent.get(index) {
                return *again;
            }
        }
        let (order, kind) = if chance < bad + duplicate + shuffle { self.swapped() } else { self.ordinary() };
        (order, kind, Flaw::None)
    }

    /// A message of an order of its own: what it is refused for must not depend on anything else.
    fn bad(&mut self) -> (u32, Kind, Flaw) {
        let order = self.new_order();
        // The large one is the last, if it is there at all.
        let is_large = self.flaws.last() == Some(&Flaw::TooLarge) && self.random.below(LARGE_EVERY) == 0;
        let small = self.flaws.len() - usize::from(self.flaws.last() == Some(&Flaw::TooLarge));
        let index = if is_large { small } else { self.random.below(small) };
        (order, Kind::Created, self.flaws.get(index).copied().unwrap_or(Flaw::None))
    }

    /// An update that overtakes the message before it: an older update, or the creation itself.
    fn swapped(&mut self) -> (u32, Kind) {
        let (order, overtaken) = match self.some_active() {
            Some(order) if self.random.below(2) == 0 => (order, Kind::Updated(self.next_version(order))),
            _ => {
                let order = self.new_order();
                self.keep_active(order);
                (order, Kind::Created)
            }
        };
        self.late.push_back((self.left.saturating_sub(LATE_BY), order, overtaken));
        (order, Kind::Updated(self.next_version(order)))
    }

    fn ordinary(&mut self) -> (u32, Kind) {
        let chance = self.random.fraction();
        match self.some_active() {
            Some(order) if chance < 0.3 => (order, Kind::Updated(self.next_version(order))),
            Some(order) if chance < 0.4 => {
                let at = self.next_version(order);
                self.active.retain(|active| *active != order);
                (order, Kind::Cancelled(at))
            }
            _ => {
                let order = self.new_order();
                self.keep_active(order);
                (order, Kind::Created)
            }
        }
    }

    fn some_active(&mut self) -> Option<u32> {
        let index = self.random.below(self.active.len());
        self.active.get(index).copied()
    }

    fn new_order(&mut self) -> u32 {
        self.orders += 1;
        self.orders
    }

    fn keep_active(&mut self, order: u32) {
        if self.active.len() == WINDOW {
            let index = self.random.below(WINDOW);
            self.active.swap_remove(index);
        }
        self.active.push(order);
    }

    fn next_version(&mut self, order: u32) -> u32 {
        let life = self.lives.entry(order).or_default();
        life.version += 1;
        life.version
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::normalize::tests::adapters;

    const MIX: Mix = Mix { bad: 0.05, duplicate: 0.1, shuffle: 0.05 };

    fn sample() -> Sample {
        let adapters = adapters();
        Sample::load(adapters.adapter("pyxis").expect("pyxis")).unwrap_or_else(|report| panic!("{report}"))
    }

    fn planned(way: Way, mix: Mix, seed: u64, count: u64) -> Vec<Planned> {
        let sample = sample();
        let mut plan = Plan::new(&sample, way, mix, seed, count);
        std::iter::from_fn(|| plan.next(&sample)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_messages_and_another_one_does_not() {
        let ids = |seed| planned(Way::Http, MIX, seed, 500).into_iter().map(|one| one.message).collect::<Vec<_>>();

        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
    }

    #[test]
    fn the_parts_are_as_asked_and_every_outcome_occurs() {
        for (way, parked) in [(Way::Http, false), (Way::Topic, true)] {
            let all = planned(way, MIX, 1, 20_000);

            assert_eq!(all.len(), 20_000);
            let bad = all.iter().filter(|one| one.expected.problem.is_some()).count();
            assert!((900..=1400).contains(&bad), "{bad} of 20 000 are bad"); // some repeats are of bad ones
            let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
            for effect in all.iter().flat_map(|one| &one.effects) {
                *outcomes.entry(effect.outcome).or_default() += 1;
            }
            for outcome in ["accepted", "duplicate", "stale", "rejected"] {
                assert!(outcomes.get(outcome).is_some_and(|count| *count > 400), "{way:?} {outcomes:?}");
            }
            assert_eq!(outcomes.contains_key("parked"), parked, "{way:?} {outcomes:?}");
        }
    }

    #[test]
    fn a_repeat_is_the_same_message_byte_for_byte() {
        let sample = sample();
        let repeats = Mix { bad: 0.2, duplicate: 0.5, shuffle: 0.0 };
        let all = planned(Way::Http, repeats, 3, 300);

        let bodies: Vec<_> = all.iter().map(|one| sample.delivery(&one.message).body).collect();

        let again = (0..bodies.len()).filter(|index| bodies[..*index].contains(&bodies[*index])).count();
        assert!((90..=200).contains(&again), "{again} of 300 are repeats");
        let rejected = all.iter().filter(|one| one.effects.as_slice() == REJECTED_AGAIN).count();
        assert!(rejected > 0, "bad messages are repeated too");
    }

    #[test]
    fn without_a_mix_there_is_only_ordinary_life() {
        let none = Mix { bad: 0.0, duplicate: 0.0, shuffle: 0.0 };
        let all = planned(Way::Http, none, 5, 2_000);

        assert!(all.iter().flat_map(|one| &one.effects).all(|effect| effect.outcome == "accepted"));
    }
}
