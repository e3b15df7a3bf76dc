//! Links, delivered values, and records that wait for a link.

use super::Harness;
use super::batches::{
    NOW, Owner, awkward_effects, claim, delivered, delivered_of, engine_lane, link, put, released, ruled, waiting,
};
use super::samples::{accepted, key, lane, order, received, stored, tombstone};
use crate::canonical::ids::OrderKey;
use crate::lane::batch::{Answer, Ruling};
use crate::store::lanes::{Link, Parked, Settle};
use crate::store::{LaneId, OrderState, Phase, Store};

const CANONICAL: &str = r#"{"external_order_id":"A","country_code":"ES","amount":1490.00}"#;

fn order_id(external_order_id: &str) -> String {
    key(external_order_id).service_order_id().to_string()
}

fn named(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

async fn releasable(store: &dyn Store, lane: &LaneId, now_ms: i64) -> Vec<i64> {
    store.releasable(lane, now_ms, 100).await.unwrap().iter().map(|parked| parked.seq).collect()
}

pub async fn a_newer_link_takes_the_place_of_the_older(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    let long = "x".repeat(9_000); // longer than a row of an index may be
    let links = [link("p-1", "A"), link("p-2", "A"), link(&long, "B"), link("odd \0 id", "C\0")];
    owner.write(|write| write.links = links.to_vec()).await;
    let mut other = Owner::take_over(store, engine_lane(1)).await;
    let newer = Link { country_code: String::new(), ..link("p-1", "D") };
    other.write(|write| write.links = vec![link("p-1", "E"), newer.clone()]).await;

    let found = store.links(named(&["p-1", &long, "p-9", "p-2", "odd \0 id", "p-1"])).await.unwrap();

    let [_, p2, long, odd] = links.map(Some);
    assert_eq!(found, [Some(newer.clone()), long, None, p2, odd, Some(newer)]);
}

pub async fn an_accepted_order_is_known_by_its_own_id_without_a_link(harness: impl Harness) {
    let store = harness.store();
    stored(store, &lane(0), |write| {
        write.orders = vec![
            order("A", Phase::Received(accepted(CANONICAL))),
            order("B", Phase::Cancelled(accepted("{}"))),
            order("C", Phase::Tombstone(tombstone(1, 2))),
            order("D", Phase::Unknown),
            received("E"),
        ];
        write.ledger = vec![super::samples::entry(&key("F"), &lane(0), 0, 1)]; // only a place in the ledger
    })
    .await;
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    owner.write(|write| write.links = vec![link(&order_id("E"), "other")]).await;

    let ids = ["A", "B", "C", "D", "E", "F"].map(order_id);
    let braced = format!("{{{}}}", ids[0]);
    let asked = [ids.to_vec(), vec![ids[0].to_uppercase(), braced, String::new()]].concat();
    let found = store.links(asked.clone()).await.unwrap();

    let own = |at: usize, name: &str, country: &str| {
        Some(Link { platform_id: asked[at].clone(), order: key(name), country_code: country.to_owned() })
    };
    let linked = Some(link(&ids[4], "other"));
    let expected = [own(0, "A", "ES"), own(1, "B", ""), None, None, linked, None, own(6, "A", "ES"), None, None];
    assert_eq!(found, expected, "a link counts before the order");
}

pub async fn orders_are_found_by_what_their_source_calls_them(harness: impl Harness) {
    let store = harness.store();
    let of = |tenant: &str, source: &str, phase| OrderState {
        key: OrderKey {
            tenant_id: tenant.to_owned(),
            source_key: source.to_owned(),
            external_order_id: "A".to_owned(),
        },
        ..order("A", phase)
    };
    let orders = vec![
        of("south", "pyxis", Phase::Received(accepted(CANONICAL))),
        of("north", "pyxis", Phase::Cancelled(accepted(CANONICAL))),
        of("north", "tempo", Phase::Received(accepted(CANONICAL))),
        of("west", "pyxis", Phase::Unknown),
        received("AB"),
    ];
    stored(store, &lane(0), |write| write.orders = orders.clone()).await;

    let found = store.orders_called("pyxis", "A", 10).await.unwrap();

    let link = |state: &OrderState| Link {
        platform_id: state.id().to_string(),
        order: state.key.clone(),
        country_code: "ES".to_owned(),
    };
    assert_eq!(found, [link(&orders[1]), link(&orders[0])]);
    assert_eq!(store.orders_called("pyxis", "A", 1).await.unwrap().len(), 1);
    assert_eq!(store.orders_called("sap", "A", 10).await.unwrap(), []);
}

pub async fn a_delivered_value_is_replaced_by_the_next_of_its_kind(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    let values = [
        delivered("A", "status", "SCHEDULED", 30),
        delivered("A", "status", "ASSIGNED", 20), // the order of writing counts
        delivered("A", "payment", "", 21),
        delivered("B", "status", "odd \0 value", 22),
    ];
    for (attempt, value) in (1..).zip(&values) {
        owner.write(|write| write.batch.claims = vec![claim(1, "A", attempt)]).await;
        let settle = Settle { delivered: Some(value.clone()), ..owner.settled(1, attempt, Answer::Applied) };
        store.settle(settle).await.unwrap();
    }
    let mut of = values.map(|value| value.of).to_vec();
    of.push(delivered_of("C", "status"));
    of[0].target = "pyxis".to_owned();
    of[2].tenant_id = "south".to_owned();

    let found = store.delivered(of).await.unwrap();

    let text = |value: &str| Some(value.to_owned());
    assert_eq!(found, [None, text("ASSIGNED"), None, text("odd \0 value"), None]);
    let payment = store.delivered(vec![delivered_of("A", "payment")]).await.unwrap();
    assert_eq!(payment, [text("")]);
}

pub async fn a_parked_record_is_releasable_once_its_link_is_known(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    let far = NOW + 86_400_000;
    let records = vec![
        waiting(1, &["p-1", "p-2"], far),
        waiting(2, &[&order_id("A")], far),
        Parked { value: None, headers: Vec::new(), ..waiting(3, &["p-3", "p-3", "odd \0 id"], far) },
        waiting(4, &[], far),
    ];
    owner
        .write(|write| {
            for parked in &records {
                put(write, ruled(parked.seq, "A", Ruling::Parked), Vec::new());
            }
            write.parked = records.clone();
        })
        .await;
    assert_eq!(releasable(store, &owner.lane, NOW).await, [0_i64; 0]);

    let mut other = Owner::take_over(store, engine_lane(1)).await;
    other.write(|write| write.links = vec![link("p-2", "Z")]).await;
    assert_eq!(releasable(store, &owner.lane, NOW).await, [1]);
    stored(store, &lane(0), |write| write.orders = vec![order("A", Phase::Unknown)]).await;
    assert_eq!(releasable(store, &owner.lane, NOW).await, [1], "an order that was not accepted is no link");
    stored(store, &lane(0), |write| write.orders = vec![received("A")]).await;
    assert_eq!(releasable(store, &owner.lane, NOW).await, [1, 2]);
    owner.write(|write| write.links = vec![link("p-3", "Z"), link("odd \0 id", "Z")]).await;

    let harness = harness.reopen().await;
    let found = harness.store().releasable(&engine_lane(0), NOW, 9).await.unwrap();
    assert_eq!(found, records[..3], "each once, as it was parked");
    assert_eq!(harness.store().releasable(&engine_lane(0), NOW, 2).await.unwrap(), records[..2]);
    assert_eq!(releasable(harness.store(), &engine_lane(1), NOW).await, [0_i64; 0], "of another lane");
    assert_eq!(releasable(harness.store(), &engine_lane(7), NOW).await, [0_i64; 0], "of no lane");
}

pub async fn a_parked_record_is_releasable_at_its_deadline(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    owner.write(|write| write.parked = vec![waiting(9, &["p"], 100), waiting(4, &[], 200), waiting(5, &[], 50)]).await;

    for (now_ms, expected) in [(49, vec![]), (50, vec![5]), (100, vec![5, 9]), (200, vec![4, 5, 9])] {
        assert_eq!(releasable(store, &owner.lane, now_ms).await, expected, "at {now_ms}");
    }
}

pub async fn a_released_record_is_parked_no_more_and_its_effects_are_kept(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    owner.write(|write| write.parked = vec![waiting(1, &["p"], 0), waiting(2, &[], 0), waiting(3, &["p"], 0)]).await;
    let first = [released(3, 2, awkward_effects()), released(1, 2, Vec::new())];
    let second = [released(2, 3, awkward_effects())];
    owner.write(|write| write.released = first.to_vec()).await;
    assert_eq!(releasable(store, &owner.lane, i64::MAX).await, [2]);
    owner.write(|write| write.released = second.to_vec()).await;

    assert_eq!(releasable(store, &owner.lane, i64::MAX).await, [0_i64; 0]);
    let [three, one] = first;
    let [two] = second;
    for (after, expected) in [(0, vec![one, three, two.clone()]), (2, vec![two]), (3, vec![]), (u64::MAX, vec![])] {
        assert_eq!(store.released_after(&owner.lane, after).await.unwrap(), expected, "after {after}");
    }
    assert_eq!(store.released_after(&engine_lane(1), 0).await.unwrap(), []);
    owner.write(|write| write.links = vec![link("p", "A")]).await;
    assert_eq!(releasable(store, &owner.lane, 0).await, [0_i64; 0], "what was wanted went with the record");
}
