use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;
use crate::log::sqlite::{Options, SqliteLog};
use crate::log::{EventLog, TopicSpec};
use crate::schema::tests::catalogue;
use crate::telemetry::metrics::Metrics;

struct Fixture {
    deps: hop::Deps,
    catalogue: Arc<Catalogue>,
    _folder: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let options = Options { group_commit_delay: Duration::ZERO, clock: Arc::new(ManualClock::at(1)) };
        let log = SqliteLog::open(&folder.path().join("log.db"), options).unwrap();
        for name in topics().chain([PLATFORM]) {
            let spec = TopicSpec { name: name.into(), partitions: 2, max_record_bytes: 1 << 20, retention: None };
            log.create_topic(&spec).await.unwrap();
        }
        let deps = hop::Deps { log, metrics: Arc::new(Metrics::new().unwrap()), readiness: Arc::default() };
        Self { deps, catalogue: Arc::new(catalogue()), _folder: folder }
    }

    fn relay(&self, topic: &str) -> Runner<Relay> {
        let group = GROUPS.iter().find(|group| group.topics.contains(&topic)).unwrap();
        Runner::new(Relay::new(group, &self.deps, &self.catalogue), self.deps.clone())
    }

    async fn append(&self, topic: &str, record: Record) {
        let append = Append { topic: topic.into(), partition: Some(1), record };
        self.deps.log.append(vec![append]).await.unwrap();
    }

    async fn relayed(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for partition in 0..2 {
            let read = self.deps.log.read(PLATFORM, partition, 0, BATCH).await.unwrap();
            records.extend(read.into_iter().map(|stored| stored.record));
        }
        records
    }
}

fn record(key: Option<&str>, value: impl Into<Bytes>) -> Record {
    Record {
        key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
        value: Some(value.into()),
        headers: Vec::new(),
    }
}

async fn round(relay: &mut Runner<Relay>) {
    let (_going, mut stop) = watch::channel(false);
    relay.round(&mut stop).await.unwrap();
}

#[tokio::test]
async fn each_event_is_keyed_by_its_order() {
    let visit = |linked: &str| {
        format!(
            r#"{{"event_id": "e", "event_timestamp": 1, "tv_service_order_id": "V-1",
                "linked_installation_order_id": {linked}, "outcome": "YES", "modifications": null, "recorded_by": "r"}}"#
        )
    };
    let cancelled = |id: &str| {
        format!("\u{feff}{{\"event_id\": \"e\", \"event_timestamp\": 1, \"service_order_id\": {id}, \"reason\": null}}")
    };
    let fsm = "fsm.tv.outcome_recorded";
    let cancellation = "projects.service_order.cancelled";
    for (topic, own, value, expected) in [
        ("fsm.order.scheduled", Some("PYXIS_1"), "{}".to_owned(), "PYXIS_1"),
        (fsm, None, "{}".to_owned(), "fsm.tv.outcome_recorded/1/0"),
        ("projects.tv_outcome.recorded", Some("FR_V-1"), visit("\"I-1\""), "I-1"),
        ("projects.tv_outcome.recorded", Some("FR_V-1"), visit("null"), "V-1"),
        (cancellation, Some("FR_S-1"), cancelled("\"S-1\""), "S-1"),
        (cancellation, Some("FR_S-1"), "not JSON".to_owned(), "FR_S-1"),
        (cancellation, Some(""), cancelled("7"), "projects.service_order.cancelled/1/0"),
    ] {
        let fixture = Fixture::new().await;
        fixture.append(topic, record(own, value.clone())).await;

        round(&mut fixture.relay(topic)).await;

        let relayed = fixture.relayed().await;
        let keys: Vec<_> = relayed.iter().map(|record| record.key.as_deref().unwrap_or_default()).collect();
        assert_eq!(keys, [expected.as_bytes()], "{topic} {value}");
        assert_eq!(relayed[0].value.as_deref(), Some(value.as_bytes()), "{topic} {value}");
    }
}

#[tokio::test]
async fn a_framed_event_is_read_for_its_order() {
    let fixture = Fixture::new().await;
    let event = serde_json::json!({"event_id": "e", "event_timestamp": 1, "service_order_id": "S-9", "reason": null});
    let value = fixture.catalogue.encode_json("ServiceOrderCancelled", &event).unwrap();
    fixture.append("projects.service_order.cancelled", record(Some("FR_S-9"), value.clone())).await;

    round(&mut fixture.relay("projects.service_order.cancelled")).await;

    let relayed = fixture.relayed().await;
    assert_eq!((relayed[0].key.as_deref(), relayed[0].value.as_ref()), (Some(b"S-9".as_slice()), Some(&value)));
}

#[tokio::test]
async fn foreign_headers_go_on_and_the_place_is_named_once() {
    let fixture = Fixture::new().await;
    let mut event = record(Some("PYXIS_1"), "{}");
    event.headers = vec![
        Header::text("tenant-id", "north"),
        Header::text("cd-src", "crossdock.platform/0/9"),
        Header::text("cd-hop", "3"),
    ];
    fixture.append("fsm.order.assigned", event).await;

    round(&mut fixture.relay("fsm.order.assigned")).await;

    let headers = [Header::text("tenant-id", "north"), Header::text("cd-src", "fsm.order.assigned/1/0")];
    assert_eq!(fixture.relayed().await[0].headers, headers);
}

#[tokio::test]
async fn what_was_relayed_is_not_relayed_again_unless_its_offset_was_lost() {
    let fixture = Fixture::new().await;
    let topic = "fsm.order.completed";
    fixture.append(topic, record(Some("a"), "{}")).await;
    let mut relay = fixture.relay(topic);
    round(&mut relay).await;
    drop(relay);

    fixture.append(topic, record(Some("b"), "{}")).await;
    round(&mut fixture.relay(topic)).await;

    let mut keys: Vec<_> = fixture.relayed().await.into_iter().filter_map(|record| record.key).collect();
    keys.sort();
    assert_eq!(keys, ["a", "b"]);
}

#[test]
fn groups_and_topics_are_those_of_the_contracts() {
    for group in &GROUPS {
        for topic in group.topics {
            assert!(crate::topics::foreign::READ.contains(&(*topic, group.name)), "{topic}");
        }
    }
    assert_eq!(topics().count(), 9);
}
