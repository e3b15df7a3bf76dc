//! Where each record that is not done lies, by key.

use bytes::Bytes;

use super::Harness;
use super::batches::{NOW, Owner, at, engine_lane, failed, moved, put, ruled};
use crate::lane::batch::{Decision, Disposition, Move, Role, Ruling};
use crate::lane::place::{Key, Seq, Topic};
use crate::store::lanes::{KeyCursor, KeyFilter, KeyRow, OutstandingRow};
use crate::store::{LaneId, Store};

fn bytes(name: &str) -> Bytes {
    Bytes::from(format!("north|{name}"))
}

async fn records(owner: &Owner<'_>, name: &str) -> Vec<OutstandingRow> {
    owner.store.key_records(&owner.lane, bytes(name), 0, 100).await.unwrap()
}

async fn page(store: &dyn Store, filter: KeyFilter, after: Option<&KeyRow>, limit: usize) -> Vec<KeyRow> {
    let cursor = |row: &KeyRow| KeyCursor { since: row.head.since, lane: row.lane.clone(), key: row.head.key.clone() };
    store.keys(filter, after.map(cursor), limit).await.unwrap()
}

fn names(rows: &[KeyRow]) -> Vec<String> {
    rows.iter().map(|row| String::from_utf8_lossy(&row.head.key).into_owned()).collect()
}

fn keyed(seq: Seq, key: &[u8], to: Topic) -> Decision {
    Decision { key: Key::new(key).unwrap(), ..ruled(seq, "", moved(to, Role::Head)) }
}

pub async fn a_moved_record_is_outstanding_where_its_newest_copy_lies(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    let first = Decision { failure: Some(failed("é\0")), ..ruled(5, "A", moved(Topic::Tier(0), Role::Head)) };
    owner.decide([first, ruled(6, "A", moved(Topic::Tier(0), Role::Follower))]).await;
    let row = OutstandingRow {
        seq: 5,
        key: bytes("A"),
        topic: Topic::Tier(0),
        hop: 1,
        attempts: 1,
        round: 0,
        role: Role::Head,
        is_passing: false,
        failure: Some(failed("é\0")),
        since: NOW,
        moved_at: NOW,
    };
    let follower = OutstandingRow { seq: 6, role: Role::Follower, failure: None, ..row.clone() };
    assert_eq!(records(&owner, "A").await, [row.clone(), follower.clone()]);

    owner.now_ms += 7;
    let held = Move {
        to: Topic::Held,
        role: Role::Head,
        attempts: 4,
        round: 2,
        is_passing: true,
        disposition: Some(Disposition::AttemptsExhausted),
    };
    let again = at(ruled(5, "A", Ruling::Moved(held)), Topic::Tier(0), 0, 1);
    owner.decide([again.clone()]).await;
    let again = Decision { is_known: true, ..at(again, Topic::Source, 5, 0) };
    owner.decide([again]).await; // a known decision says nothing new
    let row = OutstandingRow {
        topic: Topic::Held,
        hop: 2,
        attempts: 4,
        round: 2,
        is_passing: true,
        moved_at: NOW + 7,
        ..row // since when it is outstanding stays, and what it failed of
    };
    assert_eq!(records(&owner, "A").await, [row, follower.clone()]);

    owner.decide([at(ruled(5, "A", Ruling::Skipped), Topic::Held, 0, 2)]).await;
    assert_eq!(records(&owner, "A").await, [follower]);
    assert_eq!(owner.store.key_records(&engine_lane(1), bytes("A"), 0, 9).await.unwrap(), []);
}

pub async fn records_of_a_key_come_by_sequence_from_the_one_asked(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    owner.decide([3, 1, 9, 4].map(|seq| ruled(seq, "A", moved(Topic::Held, Role::Head)))).await;
    owner.decide([ruled(2, "B", moved(Topic::Held, Role::Head))]).await;

    for (from, limit, expected) in [(0, 9, vec![1, 3, 4, 9]), (3, 2, vec![3, 4]), (4, 1, vec![4]), (10, 9, vec![])] {
        let found = owner.store.key_records(&owner.lane, bytes("A"), from, limit).await.unwrap();
        assert_eq!(found.iter().map(|row| row.seq).collect::<Vec<_>>(), expected, "{limit} from {from}");
    }
}

pub async fn keys_come_by_how_long_their_head_waits_page_by_page(harness: impl Harness) {
    let store = harness.store();
    for (partition, times) in [(0, [30, 10, 20]), (1, [20, 40, 20])] {
        let mut owner = Owner::take_over(store, engine_lane(partition)).await;
        for (seq, since) in (10..).zip(times) {
            owner.now_ms = since;
            let name = format!("K{seq}");
            let later = ruled(seq + 100, &name, moved(Topic::Tier(0), Role::Follower));
            owner.decide([later, ruled(seq, &name, moved(Topic::Tier(1), Role::Head))]).await;
        }
    }
    let all = page(store, KeyFilter::default(), None, 100).await;
    let found: Vec<_> = all.iter().map(|row| (row.head.since, row.lane.partition, row.head.seq)).collect();
    assert_eq!(found, [(10, 0, 11), (20, 0, 12), (20, 1, 10), (20, 1, 12), (30, 0, 10), (40, 1, 11)]);
    assert!(all.iter().all(|row| (row.records, row.last) == (2, row.head.seq + 100)));
    assert!(all.iter().all(|row| row.head.role == Role::Head && row.head.topic == Topic::Tier(1)));

    let mut read = page(store, KeyFilter::default(), None, 1).await;
    while let [last] = page(store, KeyFilter::default(), read.last(), 1).await.as_slice() {
        read.push(last.clone());
    }
    assert_eq!(read, all, "page by page, none twice and none left out");
    assert_eq!(page(store, KeyFilter::default(), None, 4).await, all[..4]);
}

pub async fn every_filter_of_keys_filters(harness: impl Harness) {
    let store = harness.store();
    let mut owner = Owner::take_over(store, engine_lane(0)).await;
    owner
        .decide([
            keyed(1, b"north|A", Topic::Held),
            keyed(2, b"south|A", Topic::Tier(0)),
            keyed(3, b"north|B|C", Topic::Tier(0)),
            keyed(4, b"northern", Topic::Held), // no tenant's
            keyed(5, b"north|A", Topic::Tier(0)),
            keyed(6, &[b"west|".as_slice(), &[0xff; 5_000]].concat(), Topic::Held),
            keyed(7, b"|nobody", Topic::Held),
        ])
        .await;
    let other = LaneId { topic: "crossdock.platform".into(), partition: 0 };
    let mut other = Owner::take_over(store, other).await;
    other.decide([keyed(1, b"north|A", Topic::Tier(0))]).await;

    let tenants = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let all = KeyFilter::default;
    let topic = Some(other.lane.topic.clone());
    for (filter, expected) in [
        (KeyFilter { tenants: tenants(&["north"]), ..all() }, vec!["north|A", "north|A", "north|B|C"]),
        (KeyFilter { tenants: tenants(&["south", "west"]), is_held: Some(false), ..all() }, vec!["south|A"]),
        (KeyFilter { tenants: tenants(&["northern", "east"]), ..all() }, vec![]),
        (KeyFilter { tenants: tenants(&[]), ..all() }, vec![]),
        (KeyFilter { topic: topic.clone(), ..all() }, vec!["north|A"]),
        (KeyFilter { topic: Some("none".into()), ..all() }, vec![]),
        (KeyFilter { key: Some(Bytes::from_static(b"north|A")), ..all() }, vec!["north|A", "north|A"]),
        (KeyFilter { key: Some(Bytes::from_static(b"north|A")), is_held: Some(true), ..all() }, vec!["north|A"]),
        (
            KeyFilter { tenants: tenants(&["north"]), topic, key: Some(bytes("A")), is_held: Some(false) },
            vec!["north|A"],
        ),
        (KeyFilter { is_held: Some(false), ..all() }, vec!["north|A", "north|B|C", "south|A"]),
    ] {
        assert_eq!(names(&page(store, filter.clone(), None, 100).await), expected, "{filter:?}");
    }
    assert_eq!(page(store, all(), None, 100).await.len(), 7);
    let after = page(store, KeyFilter { is_held: Some(true), ..all() }, None, 1).await;
    let rest = page(store, KeyFilter { is_held: Some(true), ..all() }, after.last(), 100).await;
    assert_eq!((names(&after), rest.len()), (vec!["northern".to_owned()], 3), "a filter and a cursor together");
    let rest = page(store, KeyFilter { tenants: tenants(&["north"]), ..all() }, after.last(), 100).await;
    assert!(rest.iter().all(|row| row.head.key.starts_with(b"north|")));
}

pub async fn a_page_of_keys_is_bounded(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    owner
        .write(|write| {
            for seq in 0..600 {
                put(write, ruled(seq, &format!("K{seq}"), moved(Topic::Held, Role::Head)), Vec::new());
            }
        })
        .await;

    let found = page(owner.store, KeyFilter::default(), None, usize::MAX).await;

    assert_eq!(found.len(), crate::store::recovery::MAX_PAGE);
}
