//! What the commit of a lane promises.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Harness, MAX_RECORD_BYTES, at, commit, to};
use crate::log::{Error, Lane, LaneEffects, Membership};

pub async fn a_commit_shows_its_appends_and_offsets(log: Harness) {
    let (source, target) = (log.topic("orders", 2).await, log.topic("visits", 2).await);
    let (member, lanes) = log.member("lanes", &[&source]).await;
    let appends = vec![to(&target, 1, "a"), to(&source, 0, "b"), to(&target, 1, "c")];

    let effects = LaneEffects { offset: at(7, "cd1:x"), ..commit(&lanes[1], 0, appends) };
    member.commit(vec![effects]).await.unwrap();

    assert_eq!(log.values(&target, 1).await, ["a", "c"]);
    assert_eq!(log.values(&source, 0).await, ["b"]);
    let committed = log.committed(&log.group("lanes"), &source).await.unwrap();
    assert_eq!(committed, [(1, at(7, "cd1:x"))].into());
}

pub async fn a_commit_without_appends_moves_the_offset(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let (member, lanes) = log.member("lanes", &[&topic]).await;

    for offset in [1, 5, 5] {
        member.commit(vec![commit(&lanes[0], offset, vec![])]).await.unwrap();
        assert_eq!(committed(member.as_ref(), &lanes[0], &topic).await, Some(offset));
    }
    member.commit(vec![]).await.unwrap();
    assert_eq!(committed(member.as_ref(), &lanes[0], &topic).await, Some(5));
}

pub async fn an_offset_may_be_committed_backwards(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let (member, lanes) = log.member("lanes", &[&topic]).await;

    member.commit(vec![commit(&lanes[0], 9, vec![])]).await.unwrap();
    member.commit(vec![commit(&lanes[0], 3, vec![])]).await.unwrap();

    assert_eq!(committed(member.as_ref(), &lanes[0], &topic).await, Some(3));
}

pub async fn a_commit_over_several_lanes_is_all_or_nothing(log: Harness) {
    let (source, target) = (log.topic("orders", 3).await, log.topic("visits", 3).await);
    let (member, lanes) = log.member("lanes", &[&source]).await;
    let effects = |last: u32| {
        let append = |lane: &Lane, partition| commit(lane, 5, vec![to(&target, partition, "a")]);
        vec![append(&lanes[0], 0), append(&lanes[1], 1), append(&lanes[2], last)]
    };

    let error = member.commit(effects(3)).await.unwrap_err();

    assert!(matches!(error, Error::UnknownPartition { partition: 3, .. }), "{error:?}");
    for partition in 0..3 {
        assert_eq!(log.values(&target, partition).await, [""; 0], "partition {partition}");
    }
    assert_eq!(log.committed(&log.group("lanes"), &source).await.unwrap(), [].into());

    member.commit(effects(2)).await.unwrap();

    for partition in 0..3 {
        assert_eq!(log.values(&target, partition).await, ["a"], "partition {partition}");
    }
    let committed = log.committed(&log.group("lanes"), &source).await.unwrap();
    assert_eq!(committed, (0..3).map(|partition| (partition, at(5, ""))).collect());
}

pub async fn an_impossible_effect_is_named(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let absent = Arc::<str>::from(log.spec("absent", 1).name);
    let (member, lanes) = log.member("lanes", &[&topic]).await;
    let large = "x".repeat(MAX_RECORD_BYTES + 1);
    let of = |append| vec![commit(&lanes[0], 1, vec![to(&topic, 0, "good")]), commit(&lanes[1], 1, vec![append])];

    let too_large = member.commit(of(to(&topic, 1, &large))).await.unwrap_err();
    let unknown_topic = member.commit(of(to(&absent, 1, "a"))).await.unwrap_err();
    let unknown_partition = member.commit(of(to(&topic, 2, "a"))).await.unwrap_err();
    let others = [(absent.to_string(), at(1, ""))].into();
    let unknown_other = member.commit(vec![LaneEffects { others, ..commit(&lanes[0], 1, vec![]) }]).await.unwrap_err();

    assert!(matches!(&too_large, Error::TooLarge { topic: named, max: MAX_RECORD_BYTES, .. } if **named == *topic));
    assert!(matches!(&unknown_topic, Error::UnknownTopic { topic: named } if **named == *absent));
    assert!(matches!(&unknown_partition, Error::UnknownPartition { topic: named, .. } if **named == *topic));
    assert!(matches!(&unknown_other, Error::UnknownTopic { topic: named } if **named == *absent));
    for error in [too_large, unknown_topic, unknown_partition, unknown_other] {
        assert!(!error.is_transient(), "{error}");
    }
    assert_eq!(log.values(&topic, 0).await, [""; 0]);
}

pub async fn metadata_of_4096_bytes_is_kept_and_more_is_refused(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let (member, lanes) = log.member("lanes", &[&topic]).await;
    let of = |metadata: &str| LaneEffects { offset: at(1, metadata), ..commit(&lanes[0], 0, vec![]) };
    let largest = "m".repeat(4096);

    member.commit(vec![of(&largest)]).await.unwrap();
    let error = member.commit(vec![of(&format!("{largest}m"))]).await.unwrap_err();
    let others = [(topic.to_string(), at(1, &"m".repeat(5000)))].into();
    let other = member.commit(vec![LaneEffects { others, ..of("") }]).await.unwrap_err();

    assert!(matches!(error, Error::MetadataTooLarge { bytes: 4097 }), "{error:?}");
    assert!(matches!(other, Error::MetadataTooLarge { bytes: 5000 }), "{other:?}");
    assert_eq!(member.committed(&lanes[0]).await.unwrap()[&*topic], at(1, &largest));
}

pub async fn an_offset_without_metadata_is_readable(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let (member, lanes) = log.member("lanes", &[&topic]).await;
    member.commit(vec![LaneEffects { offset: at(4, "cd1:"), ..commit(&lanes[0], 0, vec![]) }]).await.unwrap();

    member.commit(vec![commit(&lanes[0], 2, vec![])]).await.unwrap();

    assert_eq!(member.committed(&lanes[0]).await.unwrap()[&*topic], at(2, ""));
    assert_eq!(log.committed(&log.group("lanes"), &topic).await.unwrap()[&0], at(2, ""));
}

pub async fn an_offset_never_committed_is_absent(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let (member, lanes) = log.member("lanes", &[&topic]).await;
    assert_eq!(member.committed(&lanes[0]).await.unwrap(), [].into());

    member.commit(vec![commit(&lanes[1], 3, vec![])]).await.unwrap();

    assert_eq!(member.committed(&lanes[0]).await.unwrap(), [].into());
    assert_eq!(log.committed(&log.group("lanes"), &topic).await.unwrap(), [(1, at(3, ""))].into());
    assert_eq!(log.committed(&log.group("never joined"), &topic).await.unwrap(), [].into());
}

pub async fn offsets_of_other_topics_are_kept_beside_the_lane(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let (retry, held) = (log.topic("orders.retry.1", 2).await, log.topic("orders.held", 2).await);
    let (member, lanes) = log.member("lanes", &[&topic]).await;
    let others = [(retry.to_string(), at(11, "cd1:r")), (held.to_string(), at(12, ""))].into();

    member.commit(vec![LaneEffects { others, ..commit(&lanes[1], 3, vec![]) }]).await.unwrap();

    let expected =
        [(topic.to_string(), at(3, "")), (retry.to_string(), at(11, "cd1:r")), (held.to_string(), at(12, ""))];
    assert_eq!(member.committed(&lanes[1]).await.unwrap(), expected.into());
    assert_eq!(member.committed(&lanes[0]).await.unwrap(), [].into());
}

pub async fn offsets_and_metadata_survive_a_restart(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let (member, lanes) = log.member("lanes", &[&topic]).await;
    let effects = LaneEffects { offset: at(3, "cd1:größe"), ..commit(&lanes[0], 0, vec![to(&topic, 0, "a")]) };
    member.commit(vec![effects]).await.unwrap();
    drop(member);

    let log = log.reopen().await;
    let (member, lanes) = log.member("lanes", &[&topic]).await;

    assert_eq!(member.committed(&lanes[0]).await.unwrap()[&*topic], at(3, "cd1:größe"));
    assert_eq!(log.values(&topic, 0).await, ["a"]);
}

pub async fn two_groups_are_independent(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let (first, first_lanes) = log.member("lanes", &[&topic]).await;
    let (second, second_lanes) = log.member("relay", &[&topic]).await;

    first.commit(vec![commit(&first_lanes[0], 3, vec![])]).await.unwrap();
    second.commit(vec![commit(&second_lanes[0], 8, vec![])]).await.unwrap();

    assert_eq!(committed(first.as_ref(), &first_lanes[0], &topic).await, Some(3));
    assert_eq!(committed(second.as_ref(), &second_lanes[0], &topic).await, Some(8));
}

pub async fn a_refused_commit_does_not_fail_its_companions(log: Harness) {
    let topic = log.topic("orders", 4).await;
    let (older, older_lanes) = log.member("lanes", &[&topic]).await;
    let (member, lanes) = log.usurper("lanes", &[&topic]).await;

    let good = |n: usize| member.commit(vec![commit(&lanes[n], 1, vec![to(&topic, n as u32, "good")])]);
    let fenced = older.commit(vec![commit(&older_lanes[1], 1, vec![to(&topic, 1, "bad")])]);
    let appended = log.append(vec![to(&topic, 3, "appended")]);
    let (commits, fenced, appended) = tokio::join!(join_all([good(0), good(1), good(2)]), fenced, appended);

    assert!(commits.iter().all(Result::is_ok), "{commits:?}");
    assert!(matches!(fenced, Err(Error::Fenced { partition: 1, .. })), "{fenced:?}");
    appended.unwrap();
    for (partition, expected) in [(0, "good"), (1, "good"), (2, "good"), (3, "appended")] {
        assert_eq!(log.values(&topic, partition).await, [expected]);
    }
}

async fn committed(member: &dyn Membership, lane: &Lane, topic: &str) -> Option<i64> {
    member.committed(lane).await.unwrap().get(topic).map(|committed| committed.offset)
}
