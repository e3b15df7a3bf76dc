//! Owners that die between two durable steps, go on after they lost the lane, or are stopped.

use std::collections::BTreeMap;

use super::script::{OUTSIDE, failed, rejected};
use super::world::{Engines, World, policy};
use crate::driver::Reach;
use crate::log;
use crate::ownership::End;
use crate::ownership::faults::Fault;

fn fenced() -> log::Error {
    log::Error::Fenced { topic: "crossdock.out.north".into(), partition: 0 }
}

fn unavailable() -> log::Error {
    log::Error::Unavailable { reason: "no answer".into() }
}

/// Deaths before and after commits, at many places, with time between to get on.
pub fn deaths() -> impl Iterator<Item = Fault<log::Error>> {
    let mut drawn = 7u32;
    std::iter::repeat_with(move || {
        drawn = drawn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match drawn >> 24 {
            0..40 => Fault::Before(fenced()),
            40..80 => Fault::After(fenced()),
            _ => Fault::None,
        }
    })
    .take(60)
}

/// Fills the lane with a bit of everything, and lets owners die until all of it is over.
async fn run_through_deaths(world: &World) {
    world.append(&[("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1"), ("a", "a3"), ("b", "b2"), ("d", "d1")]).await;
    world.script.answers("a1", [failed(), failed()]);
    world.script.answers("a2", [failed()]);
    world.script.answers("b1", [rejected()]);
    world.commits.after(0, deaths());
    world.run(0).await.unwrap();
    world.command("skip", "b", crate::lane::command::Verb::Skip { seq: 2 }, log::Record::default()).await;
    world.run(6).await.unwrap();
    while !world.commits.is_over() {
        world.run(0).await.unwrap();
    }
    let owner = world.owner().await.unwrap();
    let balance = owner.lane.balance();
    assert_eq!((balance.taken, balance.applied, balance.skipped), (7, 6, 1));
    assert_eq!(owner.lane.outstanding(), []);
    assert_eq!(world.values(&world.topics().await.dead).await, ["b1"], "one letter");
}

pub async fn effects_are_in_the_log_once_wherever_an_owner_dies(engines: Engines) {
    let world = World::new(engines, Reach::Inside, policy()).await;

    run_through_deaths(&world).await;

    let published = world.published().await;
    let of = |key: &str| -> Vec<_> {
        let is_of = |value: &&String| value.split_once(' ').is_some_and(|(_, name)| name.starts_with(key));
        published.iter().filter(is_of).cloned().collect()
    };
    assert_eq!(of("a"), ["applied a1", "applied a2", "applied a3"]);
    assert_eq!(of("b"), ["dead b1", "applied b2"]);
    assert_eq!((of("c"), of("d")), (vec!["applied c1".to_owned()], vec!["applied d1".to_owned()]));
}

pub async fn a_call_that_was_answered_is_not_made_again_wherever_an_owner_dies(engines: Engines) {
    let world = World::new(engines, OUTSIDE, policy()).await;

    run_through_deaths(&world).await;

    let mut calls: BTreeMap<String, Vec<(String, u16)>> = BTreeMap::new();
    for (value, attempt, _) in world.script.asked() {
        calls.entry(value[..1].to_owned()).or_default().push((value, attempt));
    }
    let expected =
        |calls: &[(&str, u16)]| calls.iter().map(|(value, attempt)| ((*value).to_owned(), *attempt)).collect();
    let expected: [Vec<(String, u16)>; 4] = [
        expected(&[("a1", 1), ("a1", 2), ("a1", 3), ("a2", 1), ("a2", 2), ("a3", 1)]),
        expected(&[("b1", 1), ("b2", 1)]),
        expected(&[("c1", 1)]),
        expected(&[("d1", 1)]),
    ];
    assert_eq!(calls.into_values().collect::<Vec<_>>(), expected);
}

pub async fn a_commit_without_an_answer_is_not_made_twice(engines: Engines) {
    let world = World::new(engines, Reach::Inside, policy()).await;
    let mut owner = world.owner().await.unwrap();
    world.settle(&mut owner).await.unwrap();
    world.append(&[("a", "a1"), ("b", "b1")]).await;
    world.commits.after(0, [Fault::After(unavailable()), Fault::Before(unavailable())]);
    world.asks.after(0, [Fault::Before(unavailable())]);

    world.settle(&mut owner).await.unwrap();

    assert!(world.commits.is_over() && world.asks.is_over());
    let mut published = world.published().await;
    published.sort();
    assert_eq!(published, ["applied a1", "applied b1"]);
}

pub async fn a_frozen_owner_does_nothing_once_another_has_the_lane(engines: Engines) {
    let world = World::new(engines, OUTSIDE, policy()).await;
    let mut frozen = world.owner().await.unwrap();
    world.script.stick("a1");
    world.append(&[("a", "a1"), ("a", "a2")]).await;
    while frozen.flights.is_empty() {
        frozen.round().await.unwrap();
        frozen.is_source_dry = false;
    }
    world.script.begun.notified().await;

    let mut owner = world.owner().await.unwrap();
    world.append(&[("b", "b1")]).await;
    while !world.script.values().contains(&"b1".to_owned()) {
        owner.round().await.unwrap();
        owner.is_source_dry = false;
    }
    world.script.let_go();
    let flown = frozen.flights.join_next().await.unwrap();

    assert_eq!(frozen.land(flown), Err(End::Fenced), "its answer is not written down");
    world.append(&[("c", "c1")]).await;
    let mut ended = Ok(true);
    while ended.is_ok() {
        frozen.is_source_dry = false;
        ended = frozen.round().await;
    }
    assert_eq!(ended, Err(End::Fenced), "nor is anything it decides");
    assert!(!world.script.values().contains(&"c1".to_owned()), "nor does it begin anything");
}

pub async fn a_stop_lets_attempts_end_and_keeps_what_they_decided(engines: Engines) {
    let world = World::new(engines, OUTSIDE, policy()).await;
    let owner = world.owner().await.unwrap();
    world.script.stick("a1");
    world.append(&[("a", "a1"), ("a", "a2")]).await;
    let running = tokio::spawn(owner.run());
    world.script.begun.notified().await;

    world.stop();
    world.script.let_go();

    assert_eq!(running.await.unwrap(), End::Stopped);
    assert_eq!(world.script.values(), ["a1"], "nothing new is begun");
    let mut next = world.owner().await.unwrap();
    assert_eq!(next.lane.balance().applied, 1, "it was committed");
    world.settle(&mut next).await.unwrap();
    assert_eq!(world.script.values(), ["a2"]);
}

pub async fn an_effect_that_can_never_be_appended_faults_the_lane(engines: Engines) {
    let world = World::new(engines, Reach::Inside, policy()).await;
    let mut owner = world.owner().await.unwrap();
    let value = "x".repeat((1 << 20) - 20);
    world.append(&[("a", &value)]).await;

    let ended = world.settle(&mut owner).await;

    let Err(End::Refused { reason }) = ended else { panic!("the lane is faulted: {ended:?}") };
    assert!(reason.contains("at most 1048576 are allowed"), "{reason}");
    assert_eq!(world.published().await, Vec::<String>::new());
}
