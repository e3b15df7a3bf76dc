//! The lane's first test: the state machine of the binary in a world that breaks, over many seeds.
//!
//! `log` and `store` behave as Kafka and PostgreSQL do where it hurts; `owner` does what a driver does, one durable
//! step at a time; `world` draws what happens; `truth` sees all of it from outside and says what must never be. Rules
//! that were found by breaking a lane are planted again as [`Fault`]s: a checker that does not find them is of no use.
//!
//! `docs/lane.md` says how to run more seeds and how to read a failure.

mod accidents;
mod fault;
mod log;
mod owner;
pub mod random;
mod setup;
mod store;
mod takeover;
pub mod truth;
mod world;

use std::collections::BTreeMap;

use crate::lane::model::fault::Fault;
use crate::lane::model::truth::EVENTS;
use crate::lane::model::world::World;

/// Steps of a run before its faults are over.
const STEPS: usize = 1_500;

/// A seed that broke something.
#[derive(Debug)]
struct Broken {
    seed: u64,
    step: usize,
    violation: String,
}

fn run(seed: u64, fault: Fault, steps: usize) -> Result<World, Broken> {
    let mut world = World::new(seed, fault, false);
    match world.run(steps) {
        Ok(()) => Ok(world),
        Err((step, violation)) => Err(Broken { seed, step, violation }),
    }
}

/// The same seed with as few steps as still break it, told step by step.
fn explain(broken: &Broken, fault: Fault) -> String {
    let fewest =
        (0..=broken.step + 1).find(|steps| run(broken.seed, fault, *steps).is_err()).unwrap_or(broken.step + 1);
    let mut world = World::new(broken.seed, fault, true);
    let outcome = world.run(fewest);
    let trace = world.trace.unwrap_or_default().join("\n");
    format!("seed {}, {fewest} steps: {outcome:?}\nsettings: {:?}\n{trace}", broken.seed, world.setup)
}

fn number_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn every_invariant_holds_over_every_seed() {
    let first = number_from("CROSSDOCK_LANE_FIRST_SEED", 1);
    let seeds = number_from("CROSSDOCK_LANE_SEEDS", 1_000);
    let steps = usize::try_from(number_from("CROSSDOCK_LANE_STEPS", STEPS as u64)).unwrap();
    let mut seen = BTreeMap::<_, usize>::new();
    for seed in first..first + seeds {
        match run(seed, Fault::None, steps) {
            Ok(world) => world.truth.seen.iter().for_each(|(event, times)| *seen.entry(*event).or_default() += times),
            Err(broken) => panic!("{}", explain(&broken, Fault::None)),
        }
    }
    println!("{seeds} seeds: {seen:?}");
    let missed: Vec<_> = EVENTS.iter().filter(|event| !seen.contains_key(*event)).collect();
    assert!(seeds < 1_000 || missed.is_empty(), "no seed got to {missed:?}");
}

/// The first seed that finds `fault` as one of `invariants` broken.
fn find(fault: Fault, invariants: &[&str], seeds: u64) -> Broken {
    let is_expected = |broken: &Broken| invariants.iter().any(|invariant| broken.violation.starts_with(invariant));
    let found = (1..=seeds).filter_map(|seed| run(seed, fault, STEPS).err()).find(is_expected);
    found.unwrap_or_else(|| panic!("{fault:?} does not break {invariants:?} in {seeds} seeds"))
}

#[test]
fn every_planted_fault_is_found() {
    for (fault, seeds, invariants) in [
        (Fault::CountsPerTier, 300, &["I2", "I3", "I7"][..]),
        (Fault::FreesAtStage, 300, &["I2", "I3", "I7"]),
        (Fault::LastStableOffset, 300, &["I3", "I5", "I7", "I9", "I15"]),
        (Fault::ControlLast, 300, &["commands", "I7"]),
        (Fault::KnownOriginSkipped, 300, &["I5", "I9", "I15"]),
        (Fault::GroupMetadataReread, 300, &["I10"]),
        (Fault::TwoSources, 300, &["I3", "I7", "I15"]),
        (Fault::StaleCopies, 300, &["I2", "I3", "I7"]),
        (Fault::EveryRecordForItself, 300, &["I2", "I3", "I7"]),
    ] {
        let broken = find(fault, invariants, seeds);
        if std::env::var("CROSSDOCK_LANE_EXPLAIN").is_ok_and(|name| name == format!("{fault:?}")) {
            println!("{}", explain(&broken, fault));
        }
        let Broken { seed, step, violation } = broken;
        println!("{fault:?}: seed {seed}, step {step}: {violation}");
    }
}

#[test]
fn retry_topics_without_a_lane_lose_the_order_that_the_lane_keeps() {
    let Broken { seed, violation, .. } = find(Fault::EveryRecordForItself, &["I2", "I3", "I7"], 300);

    let kept = run(seed, Fault::None, STEPS);

    assert!(kept.is_ok(), "{kept:?}; without a lane: {violation}");
}
