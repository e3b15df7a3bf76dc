//! What an append promises.

use std::sync::Arc;

use bytes::Bytes;

use super::{ALL, Harness, MIB, record, text, to};
use crate::log::murmur2;
use crate::log::{Append, Error, Header, Record, TopicSpec};

pub async fn a_key_lands_on_its_murmur2_partition(log: Harness) {
    let topic = log.topic("orders", 6).await;
    let keys = ["north|pyxis|1", "north|pyxis|2", "north|tempo|77", "", "größe", "x", "yy"];

    for key in keys {
        let key = Bytes::from(key);
        let record = Record { key: Some(key.clone()), ..record("value") };
        let positions = log.append(vec![Append { topic: topic.clone(), partition: None, record }]).await.unwrap();

        let expected = murmur2::partition(Some(&key), 6);
        assert_eq!(positions[0].partition, expected, "{key:?}");
        let stored = log.read(&topic, expected, positions[0].offset, ALL).await.unwrap();
        assert_eq!(stored[0].record.key, Some(key));
    }
}

pub async fn a_named_partition_wins_over_the_key(log: Harness) {
    let topic = log.topic("orders", 6).await;
    let key = Bytes::from("21");
    let other = (murmur2::partition(Some(&key), 6) + 1) % 6;
    let record = Record { key: Some(key), ..record("value") };

    let positions = log.append(vec![Append { topic: topic.clone(), partition: Some(other), record }]).await.unwrap();

    assert_eq!(positions[0].partition, other);
    assert_eq!(log.values(&topic, other).await, ["value"]);
}

pub async fn a_record_without_a_key_lands_on_the_first_partition(log: Harness) {
    let topic = log.topic("orders", 6).await;
    let append = || Append { topic: topic.clone(), partition: None, record: record("value") };

    let positions = log.append(vec![append(), append()]).await.unwrap();

    assert!(positions.iter().all(|position| position.partition == 0), "{positions:?}");
}

pub async fn records_of_a_partition_come_back_in_append_order(log: Harness) {
    let topic = log.topic("orders", 2).await;
    for round in 0..10 {
        let both = |n: u32| [to(&topic, 0, &format!("a{round}.{n}")), to(&topic, 1, &format!("b{round}.{n}"))];
        log.append((0..5).flat_map(both).collect()).await.unwrap();
    }

    for (partition, name) in [(0, 'a'), (1, 'b')] {
        let expected: Vec<_> = (0..50).map(|n| format!("{name}{}.{}", n / 5, n % 5)).collect();
        assert_eq!(log.values(&topic, partition).await, expected);
    }
}

pub async fn key_value_and_headers_come_back_exactly(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let header = |name: &str, value: &'static [u8]| Header { name: name.into(), value: Bytes::from_static(value) };
    let records = [
        Record::default(),
        Record { key: Some(Bytes::new()), ..Record::default() },
        Record {
            key: Some(Bytes::from_static(&[0, 0xff, 0x80])),
            value: Some(Bytes::from_static(&[0xc3, 0x28, 0, b'\n'])),
            headers: vec![
                header("trace", b"00-ab"),
                header("trace", b"00-cd"),
                header("binary", &[0xff, 0xfe, 0]),
                header("empty", b""),
                header("größe", "名".as_bytes()),
            ],
        },
    ];
    let appends =
        records.iter().map(|record| Append { topic: topic.clone(), partition: Some(0), record: record.clone() });
    log.append(appends.collect()).await.unwrap();

    let before: Vec<_> = log.records(&topic, 0).await.into_iter().map(|stored| stored.record).collect();
    let log = log.reopen().await;
    let after: Vec<_> = log.records(&topic, 0).await.into_iter().map(|stored| stored.record).collect();

    assert_eq!(before, records);
    assert_eq!(after, records);
}

pub async fn a_tombstone_is_not_an_empty_value(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let with = |value| Append {
        topic: topic.clone(),
        partition: Some(0),
        record: Record { key: Some(Bytes::from("k")), value, headers: Vec::new() },
    };
    log.append(vec![with(None), with(Some(Bytes::new()))]).await.unwrap();

    let log = log.reopen().await;

    let values: Vec<_> = log.records(&topic, 0).await.into_iter().map(|stored| stored.record.value).collect();
    assert_eq!(values, [None, Some(Bytes::new())]);
}

pub async fn returned_positions_are_where_the_records_are(log: Harness) {
    let topic = log.topic("orders", 3).await;
    let other = log.topic("visits", 2).await;
    let places = [(&topic, 2, "a"), (&other, 1, "b"), (&topic, 0, "c"), (&topic, 2, "d"), (&other, 1, "e")];
    log.put(&topic, 2, &["before"]).await;

    let appends = places.iter().map(|(topic, partition, value)| to(topic, *partition, value)).collect();
    let positions = log.append(appends).await.unwrap();

    assert_eq!(positions.len(), places.len());
    for ((topic, partition, value), position) in places.iter().zip(positions) {
        assert_eq!(position.partition, *partition, "{value}");
        let stored = log.read(topic, *partition, position.offset, ALL).await.unwrap();
        assert_eq!((&stored[0].topic, stored[0].partition), (*topic, *partition));
        assert_eq!((stored[0].offset, text(&stored[0]).as_str()), (position.offset, *value));
    }
}

pub async fn an_acknowledged_append_survives_a_restart(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let first = log.put(&topic, 0, &["a", "b"]).await;

    let log = log.reopen().await;
    let second = log.put(&topic, 0, &["c"]).await;
    let log = log.reopen().await;

    assert_eq!(log.values(&topic, 0).await, ["a", "b", "c"]);
    assert!(second[0] > first[1], "{second:?} after {first:?}");
    assert!(log.bounds(&topic, 0).await.unwrap().end > second[0].offset);
}

pub async fn a_record_of_sixteen_mebibytes_comes_back(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let large: Bytes = (0..16 * MIB).map(|n| (n % 251) as u8).collect();
    let record = Record { value: Some(large.clone()), ..Record::default() };
    let append = Append { topic: topic.clone(), partition: Some(0), record };

    log.append(vec![append]).await.unwrap();
    log.put(&topic, 0, &["small"]).await;

    let log = log.reopen().await;
    let records = log.records(&topic, 0).await;
    assert_eq!(records.len(), 2);
    assert!(records[0].record.value.as_ref() == Some(&large), "the bytes differ");
    assert_eq!(text(&records[1]), "small");
}

pub async fn a_record_over_the_limit_is_refused_by_name(log: Harness) {
    let spec = TopicSpec { max_record_bytes: 100, ..log.spec("orders", 1) };
    log.create_topic(&spec).await.unwrap();
    let topic = Arc::<str>::from(spec.name);
    let of = |bytes: usize| {
        let (key, value) = (Some(Bytes::from("12345")), Some(Bytes::from(vec![7; bytes - 15])));
        let record = Record { key, value, headers: vec![Header::text("12345", "12345")] };
        vec![Append { topic: topic.clone(), partition: Some(0), record }]
    };

    log.append(of(100)).await.unwrap();
    let error = log.append(of(101)).await.unwrap_err();

    let Error::TooLarge { topic: named, bytes: 101, max: 100 } = error else { panic!("{error:?}") };
    assert_eq!(*named, *topic);
}

pub async fn nothing_of_a_refused_append_is_visible(log: Harness) {
    let topic = log.topic("orders", 2).await;
    log.put(&topic, 0, &["before"]).await;

    let error = log.append(vec![to(&topic, 0, "good"), to(&topic, 2, "bad")]).await.unwrap_err();

    assert!(matches!(error, Error::UnknownPartition { partition: 2, partitions: 2, .. }), "{error:?}");
    assert_eq!(log.values(&topic, 0).await, ["before"]);
}

pub async fn concurrent_appenders_lose_and_reorder_nothing(log: Harness) {
    const APPENDERS: usize = 16;
    const RECORDS: usize = 200;
    let topic = log.topic("orders", 4).await;

    let mut appenders = tokio::task::JoinSet::new();
    for appender in 0..APPENDERS {
        let (log, topic) = (log.log.clone(), topic.clone());
        appenders.spawn(async move {
            for n in 0..RECORDS {
                let partition = (appender % 4) as u32;
                log.append(vec![to(&topic, partition, &format!("{appender}/{n}"))]).await.unwrap();
            }
        });
    }
    super::within(appenders.join_all()).await;

    let mut next = [0; APPENDERS];
    for partition in 0..4 {
        for value in log.values(&topic, partition).await {
            let (appender, n) = value.split_once('/').unwrap();
            let appender: usize = appender.parse().unwrap();
            assert_eq!(n.parse(), Ok(next[appender]), "appender {appender}");
            next[appender] += 1;
        }
    }
    assert_eq!(next, [RECORDS; APPENDERS]);
}

pub async fn append_times_never_go_back(log: Harness) {
    let topic = log.topic("orders", 1).await;
    log.put(&topic, 0, &["a", "b"]).await;
    log.pass_time(5).await;
    log.put(&topic, 0, &["c"]).await;
    let log = log.reopen().await;
    log.put(&topic, 0, &["d"]).await;

    let times: Vec<_> = log.records(&topic, 0).await.iter().map(|stored| stored.timestamp_ms).collect();

    assert!(times.is_sorted(), "{times:?}");
    assert!(times[2] >= times[1] + 5, "{times:?}");
}

pub async fn offset_at_finds_the_first_record_at_or_after_a_time(log: Harness) {
    let topic = log.topic("orders", 2).await;
    for values in [&["a", "b"][..], &["c"], &["d", "e", "f"]] {
        log.put(&topic, 0, values).await;
        log.pass_time(10).await;
    }
    let records = log.records(&topic, 0).await;
    let end = log.bounds(&topic, 0).await.unwrap().end;
    let last_ms = records[5].timestamp_ms;

    for time_ms in [0, records[0].timestamp_ms, records[2].timestamp_ms - 1, records[2].timestamp_ms, last_ms] {
        let first = records.iter().find(|stored| stored.timestamp_ms >= time_ms).unwrap();
        assert_eq!(log.offset_at(&topic, 0, time_ms).await.unwrap(), first.offset, "{time_ms}");
    }
    assert_eq!(log.offset_at(&topic, 0, last_ms + 1).await.unwrap(), end);
    assert_eq!(log.offset_at(&topic, 1, 0).await.unwrap(), log.bounds(&topic, 1).await.unwrap().end);
}
