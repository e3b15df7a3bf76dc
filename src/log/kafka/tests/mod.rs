//! The promises of every engine, and those only Kafka makes, on a real broker.

mod isolation;
mod ownership;
mod subscriptions;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::member::Member;
use super::{KafkaLog, Options};
use crate::log::conformance::{Engine, Harness, conformance_suite};
use crate::log::{
    Append, EventLog, Lane, LaneEffects, Membership, OffsetCommit, Ownership, ReadLimit, Record, Stored, TopicSpec,
};

/// What is awaited under it has happened, or never will.
const GUARD: Duration = Duration::from_secs(60);
const ALL: ReadLimit = ReadLimit { records: usize::MAX, bytes: usize::MAX };

conformance_suite!(open);

async fn open() -> Harness {
    let prefix = unique_prefix();
    Harness::new(Cluster { prefix: prefix.clone() }, &prefix).await
}

/// Topics, groups and producers of one test; its logs are one process slot after another.
struct Cluster {
    prefix: String,
}

impl Cluster {
    /// The members of a slot have one name in a group, so that the newest takes the place of the one before it.
    fn options(&self, slot: &str) -> Options {
        let mut options = options(&format!("{}{slot}", self.prefix));
        options.settings.insert("group.instance.id".to_owned(), self.prefix.clone());
        options
    }
}

impl KafkaLog {
    /// As `join`, with its insides.
    async fn member(&self, group: &str, topic: &Arc<str>) -> Member {
        let (inner, group, topics) = (self.inner.clone(), group.to_owned(), vec![topic.clone()]);
        tokio::task::spawn_blocking(move || Member::join(inner, &group, &topics)).await.unwrap().unwrap()
    }
}

impl Engine for Cluster {
    fn open(&self) -> BoxFuture<'_, Arc<dyn EventLog>> {
        Box::pin(async { KafkaLog::open(self.options("slot")).await.unwrap() as Arc<dyn EventLog> })
    }

    fn pass_time(&self, by_ms: i64) -> BoxFuture<'_, ()> {
        // The clock of append times is the broker's.
        Box::pin(tokio::time::sleep(Duration::from_millis(by_ms.unsigned_abs())))
    }

    fn usurp<'a>(
        &'a self,
        _log: &'a dyn EventLog,
        group: &'a str,
        topics: &'a [&'a str],
    ) -> BoxFuture<'a, Box<dyn Membership>> {
        Box::pin(async move {
            let other = KafkaLog::open(self.options("usurper")).await.unwrap();
            other.join(group, topics).await.unwrap()
        })
    }
}

/// A log and names that no other test uses, for members that come and go as processes do.
struct Slot {
    prefix: String,
    log: Arc<KafkaLog>,
}

impl Slot {
    async fn open() -> Self {
        let prefix = unique_prefix();
        let log = KafkaLog::open(options(&prefix)).await.unwrap();
        Self { prefix, log }
    }

    /// Another process of the same deployment.
    async fn another(&self) -> Arc<KafkaLog> {
        KafkaLog::open(options(&unique_prefix())).await.unwrap()
    }

    fn spec(&self, name: &str, partitions: u32) -> TopicSpec {
        let name = format!("{}{name}", self.prefix);
        TopicSpec { name, partitions, max_record_bytes: 4 * 1024 * 1024, retention: None }
    }

    async fn topic(&self, name: &str, partitions: u32) -> Arc<str> {
        let spec = self.spec(name, partitions);
        self.log.create_topic(&spec).await.unwrap();
        spec.name.into()
    }

    fn group(&self) -> String {
        format!("{}group", self.prefix)
    }

    async fn join(&self, log: &KafkaLog, topic: &str) -> Box<dyn Membership> {
        log.join(&self.group(), &[topic]).await.unwrap()
    }
}

/// Follows the changes of `member` until it owns as many lanes.
async fn own(member: &dyn Membership, lanes: &mut Vec<Lane>, count: usize) {
    let reached = async {
        while lanes.len() != count {
            match member.next().await.unwrap() {
                Ownership::Assigned(assigned) => lanes.extend(assigned),
                Ownership::Revoked(revoked) => lanes.retain(|lane| !revoked.contains(lane)),
            }
        }
        lanes.sort();
    };
    within(reached).await;
}

fn to(topic: &Arc<str>, partition: u32, value: impl Into<Bytes>) -> Append {
    let record = Record { value: Some(value.into()), ..Record::default() };
    Append { topic: topic.clone(), partition: Some(partition), record }
}

fn commit(lane: &Lane, offset: i64, appends: Vec<Append>) -> Vec<LaneEffects> {
    let offset = OffsetCommit { offset, metadata: "cd1:".to_owned() };
    vec![LaneEffects { lane: lane.clone(), offset, others: Default::default(), appends }]
}

async fn values(log: &KafkaLog, topic: &str, partition: u32) -> Vec<String> {
    let (mut from, mut values) = (0, Vec::new());
    loop {
        let records = within(log.read(topic, partition, from, ALL)).await.unwrap();
        let Some(last) = records.last() else { return values };
        from = last.offset + 1;
        values.extend(records.iter().map(text));
    }
}

fn text(stored: &Stored) -> String {
    String::from_utf8(stored.record.value.as_deref().unwrap_or_default().to_vec()).unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, future).await.expect("it never happened")
}

fn options(transactional_id: &str) -> Options {
    let bootstrap = std::env::var("CROSSDOCK_TEST_KAFKA")
        .expect("CROSSDOCK_TEST_KAFKA: the bootstrap servers of a Kafka cluster to test with");
    let mut options = Options::new(bootstrap, transactional_id);
    options.session_timeout = Duration::from_secs(6);
    options.settings.insert("heartbeat.interval.ms".to_owned(), "200".to_owned());
    options
}

fn unique_prefix() -> String {
    format!("t{}-", uuid::Uuid::new_v4().simple())
}
