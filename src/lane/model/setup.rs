//! What a seed draws before its run: the lane's settings and the faults that may happen.

use std::time::Duration;

use crate::lane::model::random::Random;
use crate::lane::policy::{OnDead, Policy, Tier};

#[derive(Debug, Clone)]
pub struct Setup {
    pub policy: Policy,
    pub keys: usize,
    pub records: usize,
    pub is_embedded: bool,
    /// In thousandths, each step.
    pub crash: usize,
    pub moves: usize,
    pub commands: usize,
    pub target_pause: usize,
    /// Attempts that fail, in thousandths, and how.
    pub fails: usize,
    pub rejects: usize,
    pub target_fails: usize,
    /// Attempts that end in waiting for something else.
    pub parks: usize,
    /// A crash may come with another tool's offset, with a store that lost its last writes, or with other tiers.
    pub resets: bool,
    pub failovers: bool,
    pub tier_changes: bool,
    /// Records come from two topics: what a lane must not have.
    pub two_sources: bool,
}

impl Setup {
    pub fn draw(random: &mut Random) -> Self {
        let tiers = usize::try_from(random.between(1, 3)).unwrap();
        let mut tier = || Tier { delay: Duration::from_millis(random.next() % 60 + 2), retired: false };
        let tiers: Vec<_> = (0..tiers).map(|_| tier()).collect();
        let attempts = u16::try_from(tiers.len()).unwrap() + u16::try_from(random.between(1, 3)).unwrap();
        let small = random.chance(400);
        let policy = Policy {
            tiers,
            attempts,
            jitter_permille: u16::try_from(random.between(0, 500)).unwrap(),
            on_dead: random
                .of(&[OnDead::Hold, OnDead::Hold, OnDead::Hold, OnDead::Continue, OnDead::Flush, OnDead::Supersede])
                .unwrap(),
            second_rounds: vec![Duration::from_millis(40), Duration::from_millis(120)],
            concurrency: random.below(4) + 1,
            second_round_concurrency: 1,
            window: random.below(8) + 2,
            key_cap: if random.chance(100) { 5 } else { 100 },
            lane_cap: if small { random.below(10) + 12 } else { 200 },
            command_cap: 8,
            batch: random.below(6) + 1,
            span: if small { random.between(4, 12) } else { random.between(16, 64) },
            source_span: random.between(4, 24),
            salt: random.next(),
        };
        let odds = random.below(6);
        Self {
            policy,
            keys: random.below(4) + 2,
            records: random.below(30) + 15,
            is_embedded: random.chance(250),
            crash: random.of(&[0, 2, 4, 8]).unwrap(),
            moves: random.of(&[0, 0, 3, 6]).unwrap(),
            commands: random.of(&[0, 15, 30]).unwrap(),
            target_pause: if random.chance(300) { 10 } else { 0 },
            fails: random.of(&[0, 200, 350, 500]).unwrap(),
            rejects: random.of(&[0, 50, 200]).unwrap(),
            target_fails: random.of(&[0, 0, 40]).unwrap(),
            parks: random.of(&[0, 0, 40]).unwrap(),
            resets: odds == 0,
            failovers: odds == 1,
            tier_changes: odds == 2,
            two_sources: false,
        }
    }
}
