//! Order of each key, retries, dead letters, held keys.

use std::time::Duration;

use super::script::{OUTSIDE, failed, rejected};
use super::world::{Engines, World, policy};
use crate::driver::Reach;
use crate::lane::{Policy, Tier, header, moved};
use crate::log::{Header, Record};

pub async fn records_of_one_key_stay_in_order_through_failures_and_others_go_on(engines: Engines) {
    let world = World::new(engines, OUTSIDE, policy()).await;
    let mut owner = world.owner().await.unwrap();
    world.append(&[("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")]).await;
    world.script.answers("a1", [failed(), failed()]);
    world.script.answers("a2", [failed()]);

    world.settle(&mut owner).await.unwrap();
    let mut first = world.script.values();
    first.sort();
    assert_eq!(first, ["a1", "b1"]);
    world.append(&[("a", "a4"), ("b", "b2")]).await;
    world.settle(&mut owner).await.unwrap();
    assert_eq!(world.script.values(), ["b2"], "the other key goes on");
    for _ in 0..8 {
        world.pass(600_000);
        world.settle(&mut owner).await.unwrap();
    }

    let asked: Vec<_> = world.script.asked().into_iter().map(|(value, attempt, _)| (value, attempt)).collect();
    let expected = [("a1", 2), ("a1", 3), ("a2", 1), ("a2", 2), ("a3", 1), ("a4", 1)];
    assert_eq!(asked, expected.map(|(value, attempt)| (value.to_owned(), attempt)));
    let balance = owner.lane.balance();
    assert_eq!((balance.taken, balance.applied), (6, 6));
    assert_eq!(world.values(&world.topics().await.dead).await, Vec::<String>::new());
}

pub async fn a_retry_is_not_made_before_its_delay_is_over(engines: Engines) {
    let world = World::new(engines, OUTSIDE, policy()).await;
    let mut owner = world.owner().await.unwrap();
    world.append(&[("a", "a1")]).await;
    world.script.answers("a1", [failed()]);
    world.settle(&mut owner).await.unwrap();
    assert_eq!(world.script.values(), ["a1"]);

    world.pass(59_999);
    world.settle(&mut owner).await.unwrap();
    assert_eq!(world.script.values(), Vec::<String>::new());
    world.pass(1);
    world.settle(&mut owner).await.unwrap();
    assert_eq!(world.script.values(), ["a1"]);
}

pub async fn a_record_that_is_dead_holds_its_key_and_its_letter_is_the_record(engines: Engines) {
    let world = World::new(engines, OUTSIDE, policy()).await;
    let mut owner = world.owner().await.unwrap();
    world.append(&[("a", "a1"), ("a", "a2"), ("b", "b1")]).await;
    world.script.answers("a1", [rejected()]);

    world.settle(&mut owner).await.unwrap();

    let topics = world.topics().await;
    let letters = world.records(&topics.dead).await;
    let original = world.records(&topics.source).await.swap_remove(0).record;
    assert_eq!(letters.len(), 1);
    let letter = &letters[0].record;
    assert_eq!((&letter.key, &letter.value), (&original.key, &original.value));
    assert_eq!(moved::restore(letter), original, "with all its headers");
    assert_eq!(letter.header(header::DISPOSITION), Some("rejected"));
    assert_eq!(letter.header(header::HTTP_STATUS), Some("422"));
    assert_eq!(letter.header(header::ORIGIN), Some(&*format!("{}/0/0", world.topic)));
    assert_eq!(world.published().await, ["dead a1"], "and in the stage's own format");
    world.append(&[("a", "a3")]).await;
    world.pass(3_600_000);
    world.settle(&mut owner).await.unwrap();
    let mut asked = world.script.values();
    asked.sort();
    assert_eq!(asked, ["a1", "b1"], "what follows waits");
    let balance = owner.lane.balance();
    assert_eq!((balance.taken, balance.applied, balance.held), (4, 1, 3));
}

pub async fn a_held_head_gets_its_second_round_and_its_followers_go_on(engines: Engines) {
    let policy = Policy { tiers: Vec::new(), attempts: 1, ..policy() };
    let world = World::new(engines, OUTSIDE, policy).await;
    let mut owner = world.owner().await.unwrap();
    world.append(&[("a", "a1"), ("a", "a2")]).await;
    world.script.answers("a1", [failed()]);
    world.settle(&mut owner).await.unwrap();

    world.pass(14 * 60_000);
    world.settle(&mut owner).await.unwrap();
    assert_eq!(world.script.values(), ["a1"], "the round is after a quarter of an hour");
    world.pass(60_000);
    world.settle(&mut owner).await.unwrap();

    assert_eq!(world.script.values(), ["a1", "a2"]);
    let balance = owner.lane.balance();
    assert_eq!((balance.taken, balance.applied, balance.held), (2, 2, 0));
    assert_eq!(owner.lane.outstanding(), []);
}

pub async fn a_retry_topic_out_of_use_is_emptied(engines: Engines) {
    let mut world = World::new(engines, OUTSIDE, policy()).await;
    let mut owner = world.owner().await.unwrap();
    world.append(&[("a", "a1"), ("a", "a2")]).await;
    world.script.answers("a1", [failed(), failed()]);
    world.settle(&mut owner).await.unwrap();
    let old = world.topics().await;

    world.policy.tiers = vec![Tier { delay: Duration::from_secs(300), retired: false }];
    let new = world.topics().await;
    let added = new.all().into_iter().find(|(name, _)| !old.all().iter().any(|(known, _)| known == name)).unwrap();
    let spec = |name| crate::log::TopicSpec { name, partitions: 1, max_record_bytes: 1 << 20, retention: None };
    world.log.create_topic(&spec(added.0.to_string())).await.unwrap();
    let before = world.records(&old.tiers[&1].name).await.len();
    let mut owner = world.owner().await.unwrap();
    for _ in 0..4 {
        world.pass(300_000);
        world.settle(&mut owner).await.unwrap();
    }

    assert!(added.0.ends_with(".retry.3.5m"), "{}", added.0);
    assert_eq!(world.script.values(), ["a1", "a1", "a1", "a2"]);
    assert_eq!(world.records(&old.tiers[&1].name).await.len(), before, "it is not written");
    assert_eq!(owner.lane.outstanding(), []);
}

pub async fn a_record_without_key_or_value_is_dead_and_alone(engines: Engines) {
    let world = World::new(engines, OUTSIDE, policy()).await;
    let mut owner = world.owner().await.unwrap();
    let headers = vec![Header::text("theirs", "1")];
    let keyless = Record { key: None, value: Some("v".into()), headers };
    let empty = Record { key: Some("a".into()), ..Record::default() };
    world.append_to(&world.topic, vec![keyless.clone(), empty.clone()]).await;
    world.append(&[("a", "a1")]).await;

    world.settle(&mut owner).await.unwrap();

    assert_eq!(world.script.values(), ["a1"]);
    let mut letters = world.records(&world.topics().await.dead).await;
    letters.sort_by_key(|letter| letter.record.header(header::ORIGIN).map(str::to_owned));
    let letters: Vec<_> = letters.iter().map(|letter| moved::restore(&letter.record)).collect();
    assert_eq!(letters, [keyless, empty]);
    assert_eq!((owner.lane.balance().dead, owner.lane.balance().applied), (2, 1));
}

pub async fn more_than_one_commit_takes_goes_in_several(engines: Engines) {
    let world = World::new(engines, Reach::Inside, Policy { concurrency: 64, ..policy() }).await;
    let mut owner = world.owner().await.unwrap();
    let large = "x".repeat(700_000);
    let records: Vec<_> = (0..20).map(|number| (number.to_string(), format!("{number} {large}"))).collect();
    let records: Vec<_> = records.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    for some in records.chunks(4) {
        world.append(some).await;
    }

    world.settle(&mut owner).await.unwrap();

    assert_eq!(owner.lane.balance().applied, 20);
    assert_eq!(world.published().await.len(), 20);
    let commits = world.metrics.lane_batch_decisions.with_label_values(&[&*world.topic]);
    assert!(commits.get_sample_count() >= 4, "14 MB in commits of 4 MiB: {}", commits.get_sample_count());
    let kept: usize = (0..20)
        .filter(|offset| owner.kept.get(crate::lane::Place::new(crate::lane::Topic::Source, *offset)).is_some())
        .count();
    assert_eq!(kept, 0, "nothing is kept of what is finished");
}
