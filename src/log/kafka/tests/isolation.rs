//! What is visible when, and whom a failure reaches.

use std::task::{Context, Waker};

use bytes::Bytes;
use futures_util::future::join_all;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::super::KafkaLog;
use super::{ALL, Slot, commit, options, own, text, to, unique_prefix, values, within};
use crate::log::{Error, EventLog as _, ReadLimit, TopicSpec};

#[tokio::test]
async fn a_record_the_broker_finds_too_large_fails_its_own_lane_only() {
    let slot = Slot::open().await;
    let (source, narrow) = (slot.topic("orders", 3).await, slot.topic("narrow", 1).await);
    let (member, mut lanes) = (slot.join(&slot.log, &source).await, Vec::new());
    own(member.as_ref(), &mut lanes, 3).await;
    slot.log.append(vec![to(&narrow, 0, "known")]).await.unwrap();
    // This process still knows the old limit; only the broker knows the new one.
    let lowered = TopicSpec { max_record_bytes: 2000, ..slot.spec("narrow", 1) };
    slot.another().await.create_topic(&lowered).await.unwrap();
    let large = Bytes::from((0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>());

    let effects = |n: usize, append| member.commit(commit(&lanes[n], 5, vec![to(&source, n as u32, "good"), append]));
    let commits = [effects(0, to(&source, 0, "a")), effects(1, to(&narrow, 0, large)), effects(2, to(&source, 2, "c"))];
    let outcomes = within(join_all(commits)).await;

    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    assert!(matches!(&outcomes[1], Err(Error::TooLarge { topic, bytes: 100_000, .. }) if **topic == *narrow));
    assert_eq!(values(&slot.log, &source, 0).await, ["good", "a"]);
    assert_eq!(values(&slot.log, &source, 1).await, [""; 0]);
    assert_eq!(values(&slot.log, &source, 2).await, ["good", "c"]);
    assert_eq!(values(&slot.log, &narrow, 0).await, ["known"]);
    let committed = slot.log.committed(&slot.group(), &source).await.unwrap();
    assert_eq!(committed.into_keys().collect::<Vec<_>>(), [0, 2]);
}

#[tokio::test]
async fn a_read_waits_for_a_transaction_under_way_and_skips_it_if_it_is_aborted() {
    let slot = Slot::open().await;
    let topic = slot.topic("orders", 1).await;
    let foreign = Foreign::begin(&topic, "refused").await;
    slot.log.append(vec![to(&topic, 0, "behind it")]).await.unwrap();
    let end = slot.log.bounds(&topic, 0).await.unwrap().end;
    assert_eq!(end, 2, "the end lies behind a transaction under way");

    let mut read = slot.log.read(&topic, 0, 0, ALL);
    assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    foreign.abort().await;
    let records = within(read).await.unwrap();

    assert_eq!(records.iter().map(text).collect::<Vec<_>>(), ["behind it"]);
    assert_eq!(slot.log.read(&topic, 0, 2, ALL).await.unwrap(), []);
}

#[tokio::test]
async fn every_offset_reads_on_from_where_it_points() {
    let slot = Slot::open().await;
    let (source, topic) = (slot.topic("orders", 1).await, slot.topic("out", 1).await);
    let (member, mut lanes) = (slot.join(&slot.log, &source).await, Vec::new());
    own(member.as_ref(), &mut lanes, 1).await;
    // Records, the ends of transactions, and what was refused, in turn.
    for n in 0..12 {
        member.commit(commit(&lanes[0], n, vec![to(&topic, 0, format!("t{n}"))])).await.unwrap();
        slot.log.append(vec![to(&topic, 0, format!("a{n}")), to(&topic, 0, format!("b{n}"))]).await.unwrap();
        if n % 4 == 0 {
            Foreign::begin(&topic, "refused").await.abort().await;
        }
    }
    let end = slot.log.bounds(&topic, 0).await.unwrap().end;
    let all = slot.log.read(&topic, 0, 0, ALL).await.unwrap();

    // 37 has no divisor in common with the number of offsets, so that every one of them is met, in leaps.
    let limit = ReadLimit { records: 3, bytes: usize::MAX };
    for from in (0..end).map(|step| step * 37 % end) {
        let expected: Vec<_> = all.iter().filter(|stored| stored.offset >= from).take(3).map(text).collect();
        let mut found = Vec::new();
        while found.len() < expected.len() {
            let next = found.last().map_or(from, |(offset, _)| offset + 1);
            let records = within(slot.log.read(&topic, 0, next, limit)).await.unwrap();
            assert!(!records.is_empty(), "from {from}");
            found.extend(records.iter().map(|stored| (stored.offset, text(stored))));
        }
        found.truncate(3);
        assert_eq!(found.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), expected, "from {from}");
    }
    let refused = all.iter().filter(|stored| text(stored) == "refused").count();
    assert_eq!((all.len(), refused), (36, 0));
}

#[tokio::test]
async fn a_producer_that_another_process_replaced_is_made_anew() {
    let slot = Slot::open().await;
    let topic = slot.topic("orders", 1).await;
    let (member, mut lanes) = (slot.join(&slot.log, &topic).await, Vec::new());
    own(member.as_ref(), &mut lanes, 1).await;
    member.commit(commit(&lanes[0], 1, vec![to(&topic, 0, "a")])).await.unwrap();
    // A process that was started with the same transactional id, by mistake.
    let other = KafkaLog::open(options(&slot.prefix)).await.unwrap();
    let foreign_group = format!("{}other", slot.prefix);
    let foreign = other.join(&foreign_group, &[&*topic]).await.unwrap();
    let mut foreign_lanes = Vec::new();
    own(foreign.as_ref(), &mut foreign_lanes, 1).await;
    foreign.commit(commit(&foreign_lanes[0], 1, vec![])).await.unwrap();

    let refused = within(member.commit(commit(&lanes[0], 2, vec![to(&topic, 0, "b")]))).await.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    assert_eq!(member.committed(&lanes[0]).await.unwrap()[&*topic].offset, 1);
    within(member.commit(commit(&lanes[0], 2, vec![to(&topic, 0, "b")]))).await.unwrap();

    assert_eq!(values(&slot.log, &topic, 0).await, ["a", "b"]);
}

#[tokio::test]
async fn a_topic_made_again_takes_the_new_limits_and_keeps_its_other_settings() {
    let slot = Slot::open().await;
    let topic = slot.topic("orders", 1).await;
    let large = || vec![to(&topic, 0, vec![7; 5 * 1024 * 1024])];
    assert!(matches!(slot.log.append(large()).await, Err(Error::TooLarge { .. })));

    let raised = TopicSpec { max_record_bytes: 8 * 1024 * 1024, ..slot.spec("orders", 1) };
    slot.log.create_topic(&raised).await.unwrap();

    slot.log.append(large()).await.unwrap();
    let settings = slot.log.inner.catalog.settings(&topic).await.unwrap().unwrap();
    assert_eq!(settings.get("message.timestamp.type"), Some("LogAppendTime"));
    assert_eq!(settings.get("retention.ms"), Some("-1"));
}

#[tokio::test]
async fn a_name_that_kafka_does_not_allow_is_refused() {
    let slot = Slot::open().await;
    for name in ["", ".", "a b", "größe", "nul\0", &"x".repeat(250)] {
        let spec = TopicSpec { name: name.to_owned(), ..slot.spec("unused", 1) };
        let refused = slot.log.create_topic(&spec).await.unwrap_err();
        assert!(matches!(refused, Error::Unusable { .. }), "{name:?}: {refused:?}");
        let unknown = slot.log.bounds(name, 0).await.unwrap_err();
        assert!(matches!(unknown, Error::UnknownTopic { .. }), "{name:?}: {unknown:?}");
    }
}

/// A transaction of some other program.
pub(super) struct Foreign(BaseProducer);

impl Foreign {
    pub(super) async fn begin(topic: &str, value: &str) -> Self {
        let (topic, value) = (topic.to_owned(), value.to_owned());
        let config = options(&unique_prefix()).committer();
        let begun = tokio::task::spawn_blocking(move || {
            let producer: BaseProducer = config.create().unwrap();
            producer.init_transactions(super::GUARD).unwrap();
            producer.begin_transaction().unwrap();
            producer.send(BaseRecord::<(), str>::to(&topic).partition(0).payload(&value)).unwrap();
            producer.flush(super::GUARD).unwrap();
            Self(producer)
        });
        begun.await.unwrap()
    }

    pub(super) async fn abort(self) {
        let aborted = tokio::task::spawn_blocking(move || self.0.abort_transaction(super::GUARD).unwrap());
        aborted.await.unwrap();
    }
}
