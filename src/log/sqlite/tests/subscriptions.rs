//! How the embedded engine's subscription moves over its partitions.

use std::sync::Arc;
use std::time::Duration;

use super::{ALL, Sqlite, orders, spec};
use crate::log::sqlite::limits::Limits;
use crate::log::{Append, EventLog as _, ReadLimit, Stored, Subscription, TopicSpec};

/// What is awaited under it has happened, or never will.
const GUARD: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_poll_is_shared_by_the_partitions_that_have_something() {
    let sqlite = Sqlite::new(Limits::default());
    let log = sqlite.log();
    log.create_topic(&TopicSpec { partitions: 3, ..spec("orders") }).await.unwrap();
    let to = |partition, count| {
        let append = orders("a").remove(0);
        (0..count).map(move |_| Append { partition: Some(partition), ..append.clone() }).collect::<Vec<_>>()
    };
    log.append([to(0, 100), to(2, 5)].concat()).await.unwrap();
    let reader = log.subscribe("relay", &["orders"]).await.unwrap();

    let limit = ReadLimit { records: 10, bytes: usize::MAX };
    let records = reader.poll(limit, GUARD).await.unwrap();

    let of = |partition| records.iter().filter(|stored| stored.partition == partition).count();
    assert_eq!((of(0), of(1), of(2)), (5, 0, 5));
}

#[tokio::test]
async fn records_trimmed_before_they_were_read_are_passed_over() {
    let (_sqlite, log) = Sqlite::with_orders().await;
    let reader = log.subscribe("relay", &["orders"]).await.unwrap();
    log.append(orders("first")).await.unwrap();
    assert_eq!(poll(reader.as_ref()).await.len(), 1);
    log.append(orders("trimmed")).await.unwrap();
    log.trim("orders", 0, i64::MAX).await.unwrap();

    assert_eq!(reader.poll(ALL, Duration::ZERO).await.unwrap(), []);
    log.append(orders("kept")).await.unwrap();

    let records = poll(reader.as_ref()).await;
    assert_eq!(records.iter().map(|stored| stored.offset).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_subscription_keeps_the_topics_that_only_it_asked_for() {
    let (_sqlite, log) = Sqlite::with_orders().await;
    log.create_topic(&spec("visits")).await.unwrap();
    let visit = || Append { topic: Arc::from("visits"), ..orders("visit").remove(0) };
    let older = log.subscribe("relay", &["orders", "visits"]).await.unwrap();

    let newer = log.subscribe("relay", &["orders"]).await.unwrap();
    log.append([orders("order"), vec![visit()]].concat()).await.unwrap();

    assert_eq!(topics(&poll(older.as_ref()).await), ["visits"]);
    assert_eq!(topics(&poll(newer.as_ref()).await), ["orders"]);
    assert_eq!(older.poll(ALL, Duration::ZERO).await.unwrap(), []);
}

async fn poll(reader: &dyn Subscription) -> Vec<Stored> {
    tokio::time::timeout(GUARD, reader.poll(ALL, GUARD)).await.expect("it never happened").unwrap()
}

fn topics(records: &[Stored]) -> Vec<&str> {
    records.iter().map(|stored| &*stored.topic).collect()
}
