//! What a subscription promises.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{ALL, GUARD, Harness, assert_pending, at, commit, text, to, within};
use crate::log::{Error, OffsetCommit, ReadLimit, Stored, Subscription};

pub async fn a_subscription_starts_at_the_start(log: Harness) {
    let topic = log.topic("orders", 3).await;
    for partition in 0..3 {
        log.put(&topic, partition, &["a", "b"]).await;
    }

    let reader = subscribe(&log, "relay", &[&topic]).await;

    assert_eq!(by_place(&next(reader.as_ref(), 6).await), every(&topic, 3, &["a", "b"]));
}

pub async fn a_subscription_goes_on_behind_its_commit(log: Harness) {
    let topic = log.topic("orders", 1).await;
    log.put(&topic, 0, &["a", "b", "c"]).await;
    let reader = subscribe(&log, "relay", &[&topic]).await;
    let records = next(reader.as_ref(), 3).await;
    reader.commit(vec![behind(&records[1])]).await.unwrap();
    drop(reader);

    let reader = subscribe(&log, "relay", &[&topic]).await;
    assert_eq!(texts(&next(reader.as_ref(), 1).await), ["c"]);
    drop(reader);

    let log = log.reopen().await;
    log.put(&topic, 0, &["d"]).await;
    let reader = subscribe(&log, "relay", &[&topic]).await;
    assert_eq!(texts(&next(reader.as_ref(), 2).await), ["c", "d"]);
}

pub async fn a_subscription_reads_all_its_topics(log: Harness) {
    let (orders, visits) = (log.topic("orders", 2).await, log.topic("visits", 1).await);
    let other = log.topic("payments", 1).await;
    let reader = subscribe(&log, "relay", &[&orders, &visits]).await;

    log.put(&orders, 1, &["order"]).await;
    log.put(&other, 0, &["payment"]).await;
    log.put(&visits, 0, &["visit"]).await;

    let mut found = by_place(&next(reader.as_ref(), 2).await);
    assert_eq!(found.remove(&(orders, 1)), Some(vec!["order".to_owned()]));
    assert_eq!(found.remove(&(visits, 0)), Some(vec!["visit".to_owned()]));
    assert!(found.is_empty(), "{found:?}");
}

pub async fn a_subscription_reads_each_partition_in_order(log: Harness) {
    let topic = log.topic("orders", 3).await;
    let reader = subscribe(&log, "relay", &[&topic]).await;
    let values: Vec<_> = (0..40).map(|n| n.to_string()).collect();
    for values in values.chunks(10) {
        let appends = values.iter().flat_map(|value| (0..3).map(|partition| to(&topic, partition, value)));
        log.append(appends.collect()).await.unwrap();
    }

    let mut records = Vec::new();
    while records.len() < 120 {
        let limit = ReadLimit { records: 7, bytes: usize::MAX };
        records.extend(within(reader.poll(limit, GUARD)).await.unwrap());
    }

    let values: Vec<_> = values.iter().map(String::as_str).collect();
    assert_eq!(by_place(&records), every(&topic, 3, &values));
}

pub async fn a_subscription_keeps_to_its_limits(log: Harness) {
    let topic = log.topic("orders", 1).await;
    log.put(&topic, 0, &["aaaa", "bbbb", "cccc", "dddd", "eeeeeeee", "ffff"]).await;
    let reader = subscribe(&log, "relay", &[&topic]).await;

    // The last ones are each handed out alone, for at least one record is.
    let mut values = Vec::new();
    for (records, bytes, most) in
        [(1, usize::MAX, 1), (usize::MAX, 9, 2), (2, usize::MAX, 2), (usize::MAX, 1, 1), (0, 0, 1), (9, 0, 1)]
    {
        if values.len() == 6 {
            break;
        }
        let stored = within(reader.poll(ReadLimit { records, bytes }, GUARD)).await.unwrap();
        assert!((1..=most).contains(&stored.len()), "{} of {records} records, {bytes} bytes", stored.len());
        values.extend(texts(&stored));
    }

    let rest = 6 - values.len();
    values.extend(texts(&next(reader.as_ref(), rest).await));
    assert_eq!(values, ["aaaa", "bbbb", "cccc", "dddd", "eeeeeeee", "ffff"]);
}

pub async fn a_subscription_waits_for_an_append(log: Harness) {
    let topic = log.topic("orders", 2).await;
    log.put(&topic, 0, &["before"]).await;
    let reader = subscribe(&log, "relay", &[&topic]).await;
    next(reader.as_ref(), 1).await;

    let mut polled = reader.poll(ALL, GUARD);
    assert_pending(&mut polled);
    log.put(&topic, 1, &["here"]).await;

    assert_eq!(texts(&within(polled).await.unwrap()), ["here"]);
}

pub async fn a_subscription_ends_its_poll_empty_when_the_time_is_up(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let reader = subscribe(&log, "relay", &[&topic]).await;

    assert_eq!(within(reader.poll(ALL, Duration::ZERO)).await.unwrap(), []);
    log.put(&topic, 0, &["a"]).await;
    assert_eq!(texts(&next(reader.as_ref(), 1).await), ["a"]);
    assert_eq!(within(reader.poll(ALL, Duration::ZERO)).await.unwrap(), []);
}

pub async fn records_that_were_not_committed_come_again(log: Harness) {
    let topic = log.topic("orders", 2).await;
    log.put(&topic, 0, &["a", "b"]).await;
    log.put(&topic, 1, &["a", "b"]).await;
    let reader = subscribe(&log, "relay", &[&topic]).await;
    let records = next(reader.as_ref(), 4).await;
    let first = records.iter().find(|stored| stored.partition == 1).unwrap();
    reader.commit(vec![behind(first)]).await.unwrap();
    drop(reader);

    let reader = subscribe(&log, "relay", &[&topic]).await;

    let mut found = by_place(&next(reader.as_ref(), 3).await);
    assert_eq!(found.remove(&(topic.clone(), 0)), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(found.remove(&(topic, 1)), Some(vec!["b".to_owned()]));
}

pub async fn a_subscription_sees_no_refused_commit(log: Harness) {
    let (source, target) = (log.topic("orders", 1).await, log.topic("events", 1).await);
    let (older, older_lanes) = log.member("lanes", &[&source]).await;
    let (newer, lanes) = log.usurper("lanes", &[&source]).await;
    let reader = subscribe(&log, "relay", &[&target]).await;

    let refused = older.commit(vec![commit(&older_lanes[0], 1, vec![to(&target, 0, "refused")])]).await;
    newer.commit(vec![commit(&lanes[0], 1, vec![to(&target, 0, "committed")])]).await.unwrap();
    log.put(&target, 0, &["appended"]).await;

    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert_eq!(texts(&next(reader.as_ref(), 2).await), ["committed", "appended"]);
}

pub async fn subscriptions_of_several_groups_are_independent(log: Harness) {
    let topic = log.topic("orders", 1).await;
    log.put(&topic, 0, &["a", "b"]).await;
    let first = subscribe(&log, "first", &[&topic]).await;
    let second = subscribe(&log, "second", &[&topic]).await;

    let records = next(first.as_ref(), 2).await;
    first.commit(vec![behind(&records[1])]).await.unwrap();

    assert_eq!(texts(&records), ["a", "b"]);
    assert_eq!(texts(&next(second.as_ref(), 2).await), ["a", "b"]);
    assert_eq!(log.committed(&log.group("second"), &topic).await.unwrap(), [].into());
}

pub async fn a_topic_is_read_once_it_is_there(log: Harness) {
    let topic = log.topic("orders", 1).await;
    log.put(&topic, 0, &["a"]).await;
    let absent = log.spec("visits", 2);
    let reader = subscribe(&log, "relay", &[&absent.name, &topic]).await;
    assert_eq!(texts(&next(reader.as_ref(), 1).await), ["a"]);

    log.create_topic(&absent).await.unwrap();
    let absent: Arc<str> = absent.name.into();
    log.put(&absent, 1, &["b"]).await;

    let records = next(reader.as_ref(), 1).await;
    assert_eq!(texts(&records), ["b"]);
    reader.commit(vec![behind(&records[0])]).await.unwrap();
    assert_eq!(log.committed(&log.group("relay"), &absent).await.unwrap().len(), 1);
}

pub async fn a_newer_subscription_takes_the_partitions_over(log: Harness) {
    let topic = log.topic("orders", 2).await;
    log.put(&topic, 0, &["a", "b"]).await;
    log.put(&topic, 1, &["c"]).await;
    let older = subscribe(&log, "relay", &[&topic]).await;
    let records = next(older.as_ref(), 3).await;
    let of_first: Vec<_> = records.iter().filter(|stored| stored.partition == 0).collect();
    older.commit(vec![behind(of_first[0])]).await.unwrap();

    let newer = subscribe(&log, "relay", &[&topic]).await;
    let mut found = next(newer.as_ref(), 2).await;
    let ended = async {
        loop {
            if let Err(error) = older.poll(ALL, Duration::from_millis(50)).await {
                return error;
            }
        }
    };
    let error = within(ended).await;
    let _ = older.commit(vec![behind(of_first[1])]).await;
    drop(older);
    log.put(&topic, 1, &["d"]).await;
    found.extend(next(newer.as_ref(), 1).await);

    assert!(error.is_transient(), "{error:?}");
    let found = by_place(&found);
    assert_eq!(found[&(topic.clone(), 0)], ["b"]);
    assert_eq!(found[&(topic.clone(), 1)], ["c", "d"]);
    let committed = log.committed(&log.group("relay"), &topic).await.unwrap();
    assert_eq!(committed[&0].offset, of_first[0].offset + 1, "an offset of a member that was replaced");
}

pub async fn committed_tells_what_a_subscription_committed(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let positions = log.put(&topic, 1, &["a", "b"]).await;
    let reader = subscribe(&log, "relay", &[&topic]).await;
    next(reader.as_ref(), 2).await;
    let large = "m".repeat(4097);

    for (offset, metadata) in [(positions[0].offset, ""), (positions[1].offset + 1, "cd1:größe"), (0, "back")] {
        reader.commit(vec![(topic.clone(), 1, at(offset, metadata))]).await.unwrap();
        let committed = log.committed(&log.group("relay"), &topic).await.unwrap();
        assert_eq!(committed, [(1, at(offset, metadata))].into());
    }
    let error = reader.commit(vec![(topic.clone(), 1, at(1, &large))]).await.unwrap_err();
    assert!(matches!(error, Error::MetadataTooLarge { bytes: 4097 }), "{error:?}");
    reader.commit(vec![]).await.unwrap();
}

pub async fn offsets_of_a_partition_it_does_not_have_are_left_out(log: Harness) {
    let (topic, other) = (log.topic("orders", 1).await, log.topic("visits", 1).await);
    let absent = Arc::<str>::from(log.spec("absent", 1).name);
    log.put(&topic, 0, &["a"]).await;
    let reader = subscribe(&log, "relay", &[&topic]).await;
    let records = next(reader.as_ref(), 1).await;

    let foreign = [(other.clone(), 0, at(3, "")), (topic.clone(), 7, at(3, "")), (absent, 0, at(3, ""))];
    reader.commit(foreign.clone().into()).await.unwrap();
    reader.commit([&foreign[..], &[behind(&records[0])]].concat()).await.unwrap();

    let group = log.group("relay");
    assert_eq!(log.committed(&group, &other).await.unwrap(), [].into());
    assert_eq!(log.committed(&group, &topic).await.unwrap(), [(0, at(records[0].offset + 1, ""))].into());
}

pub async fn an_offset_that_is_gone_is_read_from_the_start(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let positions = log.put(&topic, 0, &["a", "b", "c"]).await;
    log.trim(&topic, 0, positions[1].offset).await.unwrap();
    let end = log.bounds(&topic, 0).await.unwrap().end;

    for gone in [0, end + 1000] {
        let reader = subscribe(&log, "relay", &[&topic]).await;
        next(reader.as_ref(), 2).await;
        reader.commit(vec![(topic.clone(), 0, at(gone, ""))]).await.unwrap();
        drop(reader);

        let reader = subscribe(&log, "relay", &[&topic]).await;
        assert_eq!(texts(&next(reader.as_ref(), 2).await), ["b", "c"], "committed {gone}");
    }
}

async fn subscribe(log: &Harness, group: &str, topics: &[&str]) -> Box<dyn Subscription> {
    log.subscribe(&log.group(group), topics).await.unwrap()
}

/// As many records, and no more.
async fn next(reader: &dyn Subscription, count: usize) -> Vec<Stored> {
    let mut records = Vec::new();
    while records.len() < count {
        records.extend(within(reader.poll(ALL, GUARD)).await.unwrap());
    }
    assert_eq!(records.len(), count, "{:?}", texts(&records));
    records
}

fn behind(stored: &Stored) -> (Arc<str>, u32, OffsetCommit) {
    (stored.topic.clone(), stored.partition, at(stored.offset + 1, ""))
}

fn texts(records: &[Stored]) -> Vec<String> {
    records.iter().map(text).collect()
}

fn by_place(records: &[Stored]) -> BTreeMap<(Arc<str>, u32), Vec<String>> {
    let mut places: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for stored in records {
        places.entry((stored.topic.clone(), stored.partition)).or_default().push(text(stored));
    }
    places
}

/// The same values in each partition.
fn every(topic: &Arc<str>, partitions: u32, values: &[&str]) -> BTreeMap<(Arc<str>, u32), Vec<String>> {
    let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
    (0..partitions).map(|partition| ((topic.clone(), partition), values.clone())).collect()
}
