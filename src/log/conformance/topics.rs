//! What topics promise.

use super::{ALL, Harness, commit, to};
use crate::log::{Append, Error, Record};

pub async fn creating_a_topic_again_changes_nothing(log: Harness) {
    let topic = log.topic("orders", 3).await;
    log.put(&topic, 2, &["a"]).await;

    log.create_topic(&log.spec("orders", 3)).await.unwrap();

    assert_eq!(log.topics().await.unwrap().get(&*topic), Some(&3));
    assert_eq!(log.values(&topic, 2).await, ["a"]);
}

pub async fn another_partition_count_is_refused(log: Harness) {
    let topic = log.topic("orders", 3).await;

    for count in [2, 4] {
        let error = log.create_topic(&log.spec("orders", count)).await.unwrap_err();

        let Error::PartitionCount { topic: named, found: 3, expected } = error else { panic!("{error:?}") };
        assert_eq!((&*named, expected), (&*topic, count));
    }
    assert_eq!(log.topics().await.unwrap().get(&*topic), Some(&3));
}

pub async fn topics_survive_a_restart(log: Harness) {
    let first = log.topic("orders", 3).await;
    let second = log.topic("visits", 1).await;
    log.put(&second, 0, &["a"]).await;

    let log = log.reopen().await;
    let third = log.topic("payments", 2).await;
    log.put(&third, 1, &["b"]).await;

    let topics = log.topics().await.unwrap();
    for (topic, partitions) in [(&first, 3), (&second, 1), (&third, 2)] {
        assert_eq!(topics.get(&**topic), Some(&partitions), "{topic}");
    }
    assert_eq!(log.values(&second, 0).await, ["a"]);
    assert_eq!(log.values(&third, 1).await, ["b"]);
}

pub async fn an_unknown_topic_is_named_by_every_call(log: Harness) {
    let absent = log.spec("absent", 1).name;
    let append = Append { topic: absent.as_str().into(), partition: Some(0), record: Record::default() };
    let group = log.group("lanes");

    for (call, error) in [
        ("append", log.append(vec![append]).await.err()),
        ("read", log.read(&absent, 0, 0, ALL).await.err()),
        ("bounds", log.bounds(&absent, 0).await.err()),
        ("offset_at", log.offset_at(&absent, 0, 0).await.err()),
        ("committed", log.committed(&group, &absent).await.err()),
        ("trim", log.trim(&absent, 0, 0).await.err()),
        ("join", log.join(&group, &[&absent]).await.err()),
        ("wait", log.wait(vec![(absent.clone(), 0, 0)], super::GUARD).await.err()),
    ] {
        let Some(Error::UnknownTopic { topic }) = error else { panic!("{call}: {error:?}") };
        assert_eq!(topic, absent, "{call}");
    }
}

pub async fn an_unknown_partition_is_named_by_every_call(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let (member, lanes) = log.member("lanes", &[&topic]).await;
    let mut absent = lanes[0].clone();
    absent.partition = 2;

    for (call, error) in [
        ("append", log.append(vec![to(&topic, 2, "a")]).await.err()),
        ("read", log.read(&topic, 2, 0, ALL).await.err()),
        ("bounds", log.bounds(&topic, 2).await.err()),
        ("offset_at", log.offset_at(&topic, 2, 0).await.err()),
        ("trim", log.trim(&topic, 2, 0).await.err()),
        ("wait", log.wait(vec![(topic.to_string(), 2, 0)], super::GUARD).await.err()),
        ("commit", member.commit(vec![commit(&absent, 0, vec![])]).await.err()),
        ("poll", member.poll(&absent, 0, ALL, super::GUARD).await.err()),
    ] {
        let Some(Error::UnknownPartition { topic: named, partition: 2, partitions: 2 }) = error else {
            panic!("{call}: {error:?}")
        };
        assert_eq!(*named, *topic, "{call}");
    }
}
