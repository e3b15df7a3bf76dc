//! Several stages in one driver.

use std::sync::Arc;
use std::time::Duration;

use super::script::{Script, Scripted};
use super::world::{Engines, World, policy};
use crate::clock::SystemClock;
use crate::driver::{Deps, Driver, Reach, Stage, Topics};
use crate::log::{Append, Record, TopicSpec};
use crate::ownership::{LaneStatus, Pace};
use crate::store::LaneId;

const SOUTH: &str = "crossdock.out.south";
const PUBLISHED_SOUTH: &str = "published-south";

pub async fn a_stage_that_is_faulted_stops_no_other(engines: Engines) {
    let world = World::new(engines, Reach::Inside, policy()).await;
    let topics = Topics::of(SOUTH, world.policy.tiers.iter().map(|tier| tier.delay), []).unwrap();
    let names = topics.all().into_iter().map(|(name, _)| name.to_string());
    for name in names.chain([PUBLISHED_SOUTH.to_owned()]) {
        let spec = TopicSpec { name, partitions: 1, max_record_bytes: 1 << 20, retention: None };
        world.log.create_topic(&spec).await.unwrap();
    }
    let work = Arc::new(Scripted(Arc::new(Script::new(Reach::Inside, PUBLISHED_SOUTH))));
    let south = Stage { topic: Arc::from(SOUTH), policy: world.policy.clone(), work };
    let deps = Deps { clock: Arc::new(SystemClock), pace: Pace::default(), ..world.deps() };
    let value = "x".repeat((1 << 20) - 20); // its effect is longer, and cannot be appended
    world.append(&[("a", &value)]).await;

    let driver = Driver::start(deps, vec![world.stage(), south]).await.unwrap();
    let north = world.lane_id();
    while !matches!(driver.lanes().get(&north), Some(LaneStatus::Refused { .. })) {
        tokio::task::yield_now().await;
    }
    let record = Record { key: Some("b".into()), value: Some("b1".into()), headers: Vec::new() };
    world.log.append(vec![Append { topic: Arc::from(SOUTH), partition: Some(0), record }]).await.unwrap();
    while world.values(PUBLISHED_SOUTH).await.is_empty() {
        world.log.wait(vec![(PUBLISHED_SOUTH.to_owned(), 0, 0)], Duration::from_secs(10)).await.unwrap();
    }

    let problems = driver.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("lane crossdock.out.north/0 is refused: record of "), "{problems:?}");
    let south = LaneId { topic: Arc::from(SOUTH), partition: 0 };
    driver.stop().await;
    let scraped = world.metrics.lane_running.with_label_values(&[&*south.topic, "0"]).get();
    assert_eq!((scraped, world.values(PUBLISHED_SOUTH).await), (0, vec!["applied b1".to_owned()]));
}
