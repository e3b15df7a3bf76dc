//! What ownership of lanes promises.

use super::{Harness, assert_pending, commit, to, within};
use crate::log::{Error, Ownership};

pub async fn a_member_owns_every_lane_of_its_topics(log: Harness) {
    let (first, second) = (log.topic("orders", 2).await, log.topic("visits", 3).await);
    log.topic("payments", 1).await;

    let (_member, lanes) = log.member("lanes", &[&first, &second]).await;

    let mut places: Vec<_> = lanes.iter().map(|lane| (lane.topic.clone(), lane.partition)).collect();
    places.sort();
    let expected = [(&first, 0), (&first, 1), (&second, 0), (&second, 1), (&second, 2)];
    assert_eq!(places, expected.map(|(topic, partition)| (topic.clone(), partition)));
    assert!(lanes.iter().all(|lane| lane.generation == lanes[0].generation), "{lanes:?}");
}

pub async fn a_newer_member_takes_every_lane_over(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let (older, older_lanes) = log.member("lanes", &[&topic]).await;
    let mut told = older.next();
    assert_pending(&mut told);

    let (newer, newer_lanes) = log.usurper("lanes", &[&topic]).await;

    let Ownership::Revoked(mut revoked) = within(told).await.unwrap() else { panic!("assigned again") };
    revoked.sort();
    assert_eq!(revoked, older_lanes);
    assert_eq!(newer_lanes.len(), 2);
    assert!(newer_lanes[0].generation > older_lanes[0].generation);
    assert_pending(&mut newer.next());
    newer.commit(vec![commit(&newer_lanes[0], 1, vec![])]).await.unwrap();
}

pub async fn a_fenced_members_effects_never_become_visible(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let (older, older_lanes) = log.member("lanes", &[&topic]).await;
    older.commit(vec![commit(&older_lanes[0], 4, vec![to(&topic, 0, "before")])]).await.unwrap();
    let (newer, newer_lanes) = log.usurper("lanes", &[&topic]).await;

    let error = older.commit(vec![commit(&older_lanes[0], 9, vec![to(&topic, 0, "after")])]).await.unwrap_err();

    let Error::Fenced { topic: named, partition: 0 } = &error else { panic!("{error:?}") };
    assert_eq!(**named, *topic);
    assert_eq!(log.values(&topic, 0).await, ["before"]);
    assert_eq!(newer.committed(&newer_lanes[0]).await.unwrap()[&*topic].offset, 4);
    drop((older, newer));
    let log = log.reopen().await;
    assert_eq!(log.values(&topic, 0).await, ["before"]);
}

pub async fn one_fenced_lane_refuses_the_whole_commit(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let (older, older_lanes) = log.member("lanes", &[&topic]).await;
    let (newer, newer_lanes) = log.usurper("lanes", &[&topic]).await;
    let mixed = vec![
        commit(&newer_lanes[0], 1, vec![to(&topic, 0, "own")]),
        commit(&older_lanes[1], 1, vec![to(&topic, 1, "lost")]),
    ];

    let of_newer = newer.commit(mixed.clone()).await.unwrap_err();
    let of_older = older.commit(mixed).await.unwrap_err();

    assert!(matches!(of_newer, Error::Fenced { partition: 1, .. }), "{of_newer:?}");
    assert!(matches!(of_older, Error::Fenced { .. }), "{of_older:?}");
    for partition in 0..2 {
        assert_eq!(log.values(&topic, partition).await, [""; 0], "partition {partition}");
    }
    assert_eq!(log.committed(&log.group("lanes"), &topic).await.unwrap(), [].into());
}

pub async fn a_lane_that_was_not_joined_is_refused(log: Harness) {
    let (joined, other) = (log.topic("orders", 1).await, log.topic("visits", 1).await);
    let (member, mut lanes) = log.member("lanes", &[&joined]).await;
    lanes[0].topic = other.clone();

    let error = member.commit(vec![commit(&lanes[0], 1, vec![])]).await.unwrap_err();

    assert!(matches!(&error, Error::Fenced { topic, .. } if **topic == *other), "{error:?}");
}

pub async fn members_of_other_groups_are_not_fenced(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let (first, lanes) = log.member("lanes", &[&topic]).await;
    let mut told = first.next();

    let (_second, _) = log.member("relay", &[&topic]).await;

    assert_pending(&mut told);
    first.commit(vec![commit(&lanes[0], 1, vec![])]).await.unwrap();
}

pub async fn generations_grow_over_a_restart(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let (first, before) = log.member("lanes", &[&topic]).await;
    drop(first);

    let log = log.reopen().await;
    let (second, after) = log.member("lanes", &[&topic]).await;

    assert!(after[0].generation > before[0].generation, "{after:?} after {before:?}");
    let error = second.commit(vec![commit(&before[0], 1, vec![])]).await.unwrap_err();
    assert!(matches!(error, Error::Fenced { .. }), "{error:?}");
}
