//! Plain consumers of several processes, and what they must not see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::options::GroupProtocol;
use super::super::subscriber::Subscriber;
use super::super::{KafkaLog, Options};
use super::isolation::Foreign;
use super::{ALL, GUARD, Slot, options, text, to, unique_prefix, within};
use crate::log::{Error, EventLog as _, OffsetCommit, Stored, Subscription};

const PARTITIONS: u32 = 4;

/// Whoever has a partition commits what it was given of it, so what comes twice came before the commit.
async fn two_processes_share_the_partitions_and_one_takes_them_back(first: Slot, other: Arc<KafkaLog>) {
    let topic = first.topic("orders", PARTITIONS).await;
    let older = first.log.subscribe(&first.group(), &[&topic]).await.unwrap();
    append(&first.log, &topic, 0).await;
    let (mut of_older, mut of_newer, mut sent) = (Vec::new(), Vec::new(), 1);
    let alone = async {
        while reached(&of_older) != every(0) {
            of_older.extend(read(older.as_ref()).await);
        }
    };
    within(alone).await;

    let newer = other.subscribe(&first.group(), &[&topic]).await.unwrap();
    let shared = async {
        while of_newer.is_empty() {
            append(&first.log, &topic, sent).await;
            sent += 1;
            of_older.extend(read(older.as_ref()).await);
            of_newer.extend(read(newer.as_ref()).await);
        }
    };
    within(shared).await;
    drop(newer);
    append(&first.log, &topic, sent).await;
    let rest = async {
        while reached(&of_older) != every(sent) {
            of_older.extend(read(older.as_ref()).await);
        }
    };
    within(rest).await;

    for partition in 0..PARTITIONS {
        let records = of_older.iter().chain(&of_newer).filter(|stored| stored.partition == partition);
        let mut values: Vec<u32> = records.map(|stored| text(stored).parse().unwrap()).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values, (0..=sent).collect::<Vec<_>>(), "partition {partition}");
    }
    for records in [of_older, of_newer] {
        for partition in 0..PARTITIONS {
            let offsets: Vec<_> = records.iter().filter(|of| of.partition == partition).map(|of| of.offset).collect();
            assert!(offsets.is_sorted(), "partition {partition}: {offsets:?}");
        }
    }
}

#[tokio::test]
async fn partitions_are_shared_and_taken_back_when_members_assign_them() {
    let first = Slot::open().await;
    let other = first.another().await;
    two_processes_share_the_partitions_and_one_takes_them_back(first, other).await;
}

#[tokio::test]
async fn partitions_are_shared_and_taken_back_when_the_broker_assigns_them() {
    let open = |id: String| {
        let mut options = Options { group_protocol: GroupProtocol::Consumer, ..options(&id) };
        // The broker sets the times of such a group.
        options.settings.clear();
        KafkaLog::open(options)
    };
    let prefix = unique_prefix();
    let (log, other) = (open(prefix.clone()).await.unwrap(), open(unique_prefix()).await.unwrap());
    two_processes_share_the_partitions_and_one_takes_them_back(Slot { prefix, log }, other).await;
}

#[tokio::test]
async fn a_subscription_waits_behind_a_transaction_under_way_and_skips_it_if_it_is_aborted() {
    let slot = Slot::open().await;
    let topic = slot.topic("orders", 2).await;
    let reader = slot.log.subscribe(&slot.group(), &[&topic]).await.unwrap();
    slot.log.append(vec![to(&topic, 0, "before")]).await.unwrap();
    assert_eq!(texts(&within(reader.poll(ALL, GUARD)).await.unwrap()), ["before"]);
    let foreign = Foreign::begin(&topic, "refused").await;

    slot.log.append(vec![to(&topic, 0, "behind it"), to(&topic, 1, "elsewhere")]).await.unwrap();
    assert_eq!(texts(&within(reader.poll(ALL, GUARD)).await.unwrap()), ["elsewhere"]);
    foreign.abort().await;

    assert_eq!(texts(&within(reader.poll(ALL, GUARD)).await.unwrap()), ["behind it"]);
}

#[tokio::test]
async fn a_cluster_that_is_away_is_told_by_the_poll_and_by_the_commit() {
    let slot = Slot::open().await;
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = Options {
        bootstrap: unused.to_string(),
        request_timeout: Duration::from_millis(300),
        ..options(&unique_prefix())
    };
    let probe = Arc::new(super::super::probe::Probe::new(&away).unwrap());
    let reader = Subscriber::join(&away, probe, &slot.group(), &["orders".to_owned()]).unwrap();

    let told = async {
        loop {
            if let Err(error) = reader.poll(ALL, Duration::from_millis(100)).await {
                return error;
            }
        }
    };
    let error = within(told).await;

    assert!(matches!(&error, Error::Unavailable { reason } if reason.contains("Connect")), "{error:?}");
}

async fn append(log: &KafkaLog, topic: &Arc<str>, value: u32) {
    log.append((0..PARTITIONS).map(|partition| to(topic, partition, value.to_string())).collect()).await.unwrap();
}

async fn read(reader: &dyn Subscription) -> Vec<Stored> {
    let records = reader.poll(ALL, Duration::from_millis(50)).await.unwrap();
    let behind = |stored: &Stored| OffsetCommit { offset: stored.offset + 1, metadata: String::new() };
    let offsets = records.iter().map(|stored| (stored.topic.clone(), stored.partition, behind(stored))).collect();
    reader.commit(offsets).await.unwrap();
    records
}

/// The newest value of each partition.
fn reached(records: &[Stored]) -> BTreeMap<u32, u32> {
    let mut reached = BTreeMap::new();
    for stored in records {
        let newest: &mut u32 = reached.entry(stored.partition).or_default();
        *newest = (*newest).max(text(stored).parse().unwrap());
    }
    reached
}

/// The same value in each partition.
fn every(value: u32) -> BTreeMap<u32, u32> {
    (0..PARTITIONS).map(|partition| (partition, value)).collect()
}

fn texts(records: &[Stored]) -> Vec<String> {
    records.iter().map(text).collect()
}
