//! Targets that fail, and what wakes a lane.

use std::sync::Arc;
use std::time::Duration;

use super::script::{OUTSIDE, failed, rejected};
use super::world::{Engines, World, policy};
use crate::clock::SystemClock;
use crate::driver::Deps;
use crate::driver::owner::Owner;
use crate::lane::batch::{Answer, Target};
use crate::lane::command::Verb;
use crate::lane::{Policy, Tier};
use crate::log::Record;
use crate::ownership::{End, Pace};

pub async fn a_target_that_fails_costs_no_attempt_and_stops_its_lane_until_it_is_back(engines: Engines) {
    let world = World::new(engines, OUTSIDE, policy()).await;
    let mut owner = world.owner().await.unwrap();
    world.append(&[("a", "a1"), ("b", "b1")]).await;
    world.script.answers("a1", [Answer::TargetFailed]);
    world.script.answers("b1", [Answer::TargetFailed]);
    world.script.target.send_replace(Target::Probing);
    // Both are under way when the target is said to be paused.
    world.script.stick("a1");
    world.script.stick("b1");

    world.script.target.send_replace(Target::Available);
    while owner.flights.len() < 2 {
        // A poll does not wait for what Kafka has not handed out yet.
        owner.is_source_dry = false;
        owner.round().await.unwrap();
    }
    world.script.target.send_replace(Target::Paused);
    world.script.let_go();
    world.settle(&mut owner).await.unwrap();
    world.append(&[("c", "c1")]).await;
    world.settle(&mut owner).await.unwrap();
    let mut asked = world.script.asked();
    asked.sort();
    assert_eq!(asked, [("a1".to_owned(), 1, None), ("b1".to_owned(), 1, None)]);
    world.script.target.send_replace(Target::Available);
    world.settle(&mut owner).await.unwrap();

    let mut asked = world.script.asked();
    asked.sort();
    let expected = ["a1", "b1", "c1"].map(|value| (value.to_owned(), 1, None));
    assert_eq!(asked, expected, "the attempts that never were do not count");
    assert_eq!(owner.lane.balance().applied, 3);
}

/// Nothing steps the lane here; every `begun` is something it woke for.
pub async fn a_lane_is_driven_by_its_own_clock_and_wakes_for_everything(engines: Engines) {
    let tier = Tier { delay: Duration::from_millis(20), retired: false };
    let world = World::new(engines, OUTSIDE, Policy { tiers: vec![tier], attempts: 2, ..policy() }).await;
    let deps = Deps { clock: Arc::new(SystemClock), pace: Pace::default(), ..world.deps() };
    let calls = world.calls().await;
    let owner = Owner::take_over(Arc::new(deps), Arc::new(world.stage()), calls).await.unwrap();
    let running = tokio::spawn(owner.run());
    let begun = async || tokio::time::timeout(Duration::from_secs(60), world.script.begun.notified()).await.unwrap();

    world.script.answers("a1", [failed(), rejected()]);
    world.append(&[("a", "a1")]).await;
    begun().await; // by the record
    begun().await; // by time
    world.command("retry", "a", Verb::Retry, Record::default()).await;
    begun().await; // by the command
    world.script.target.send_replace(Target::Paused);
    world.append(&[("b", "b1")]).await;
    world.script.target.send_replace(Target::Available);
    begun().await; // by the target, or before it paused
    world.stop();

    assert_eq!(running.await.unwrap(), End::Stopped);
    assert_eq!(world.script.values(), ["a1", "a1", "a1", "b1"]);
}
