//! Records that wait in the store.

use super::crashes::deaths;
use super::world::{Engines, START, World, policy};
use crate::canonical::ids::OrderKey;
use crate::driver::{Reach, Waits};
use crate::store::lanes::Link;

const HOUR: i64 = 3_600_000;

/// Two records that wait, for a link and for their time, and one that brings the link.
async fn fill(world: &World) {
    for (value, wanted, expires_at) in [("a1", "P-1", START + 24 * HOUR), ("b1", "P-2", START + HOUR)] {
        let waits = Waits { wanted: vec![wanted.to_owned()], expires_at };
        world.script.waits.lock().unwrap().insert(value.to_owned(), waits);
    }
    let order = OrderKey {
        tenant_id: "north".to_owned(),
        source_key: "pyxis".to_owned(),
        external_order_id: "PYX-1".to_owned(),
    };
    let link = Link { platform_id: "P-1".to_owned(), order, country_code: "FR".to_owned() };
    world.script.links.lock().unwrap().insert("c1".to_owned(), link);
    world.append(&[("a", "a1"), ("b", "b1")]).await;
}

pub async fn a_parked_record_is_released_by_its_link_and_another_by_time(engines: Engines) {
    let world = World::new(engines, Reach::Inside, policy()).await;
    let mut owner = world.owner().await.unwrap();
    fill(&world).await;
    world.append(&[("a", "a2")]).await;

    world.settle(&mut owner).await.unwrap();
    assert_eq!(world.published().await, ["applied a2"], "it blocks no key");
    assert_eq!(owner.lane.balance().parked, 2);
    world.append(&[("c", "c1")]).await;
    world.settle(&mut owner).await.unwrap();
    assert_eq!(world.published().await, ["applied a2", "applied c1", "released a1"]);
    world.pass(HOUR - 1);
    world.settle(&mut owner).await.unwrap();
    assert_eq!(owner.lane.balance().parked, 1);
    world.pass(1);
    world.settle(&mut owner).await.unwrap();

    assert_eq!(world.published().await.last().map(String::as_str), Some("expired b1"));
    let balance = owner.lane.balance();
    assert_eq!((balance.taken, balance.applied, balance.parked), (4, 4, 0));
    let released = world.records(&world.script.published).await.swap_remove(2).record;
    let original = world.records(&world.topic).await.swap_remove(0).record;
    assert_eq!((released.key, released.headers), (original.key, original.headers), "as it came");
}

pub async fn released_effects_are_in_the_log_once_wherever_an_owner_dies(engines: Engines) {
    let world = World::new(engines, Reach::Inside, policy()).await;
    fill(&world).await;
    world.commits.after(0, deaths());
    world.run(0).await.unwrap();
    world.append(&[("c", "c1")]).await;
    world.run(0).await.unwrap();
    world.pass(HOUR);
    while !world.commits.is_over() {
        world.run(0).await.unwrap();
    }

    let mut published = world.published().await;
    published.sort();
    assert_eq!(published, ["applied c1", "expired b1", "released a1"]);
    let owner = world.owner().await.unwrap();
    let balance = owner.lane.balance();
    assert_eq!((balance.taken, balance.applied, balance.parked), (3, 3, 0));
}
