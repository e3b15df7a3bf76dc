use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;
use crate::log::sqlite::{Options, SqliteLog};
use crate::log::{Append, Header, Record, TopicSpec};
use crate::recovery::dead_letter::tests::{call, letter};
use crate::schema::tests::catalogue;
use crate::store::recovery::FailureFilter;
use crate::store::sqlite::SqliteStore;

struct Fixture {
    log: Arc<SqliteLog>,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    catalogue: Arc<Catalogue>,
    _folder: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let options = Options { group_commit_delay: Duration::ZERO, clock: Arc::new(ManualClock::at(1)) };
        let log = SqliteLog::open(&folder.path().join("log.db"), options).unwrap();
        let topic =
            |name: &str| TopicSpec { name: name.to_owned(), partitions: 2, max_record_bytes: 1 << 20, retention: None };
        log.create_topic(&topic(ORDER_FAILED)).await.unwrap();
        let store = SqliteStore::open(&folder.path().join("store.db"), Default::default()).unwrap();
        let (metrics, catalogue) = (Arc::new(Metrics::new().unwrap()), Arc::new(catalogue()));
        Self { log, store, metrics, catalogue, _folder: folder }
    }

    fn index(&self) -> Index {
        let deps = Deps {
            log: self.log.clone(),
            store: Arc::clone(&self.store),
            catalogue: Arc::clone(&self.catalogue),
            metrics: Arc::clone(&self.metrics),
            readiness: Arc::default(),
        };
        Index::new(deps, GROUP, watch::channel(PUBLISHED.map(str::to_owned).to_vec()).1)
    }

    async fn append(&self, partition: u32, value: Bytes) {
        let record = Record { value: Some(value), ..Record::default() };
        let append = Append { topic: ORDER_FAILED.into(), partition: Some(partition), record };
        self.log.append(vec![append]).await.unwrap();
    }

    fn failed(&self, number: u128) -> Bytes {
        let event = serde_json::json!({"event_id": uuid::Uuid::from_u128(number).to_string(),
            "event_timestamp": number as i64, "source_system": "PYXIS", "external_order_id": format!("PYX-{number}"),
            "error_code": "UNKNOWN_CODE", "error_message": "/a: no", "raw_payload": "{}"});
        self.catalogue.encode_json("SalesOrderFailed", &event).unwrap()
    }

    /// Times of the failures in the index, oldest first.
    async fn indexed(&self) -> Vec<i64> {
        let rows = self.store.failures(FailureFilter::default(), None, 500).await.unwrap();
        rows.iter().rev().map(|row| row.failure.failed_at).collect()
    }

    async fn committed(&self) -> Vec<(u32, i64)> {
        let committed = self.log.committed(GROUP, ORDER_FAILED).await.unwrap();
        committed.into_iter().map(|(partition, committed)| (partition, committed.offset)).collect()
    }
}

/// Rounds until as many failures are in the index.
async fn rounds(index: &mut Index, fixture: &Fixture, failures: usize) {
    let mut subscription = None;
    while fixture.indexed().await.len() < failures {
        index.round(&mut subscription).await.unwrap();
    }
    index.round(&mut subscription).await.unwrap();
}

#[tokio::test]
async fn what_is_no_failure_is_passed_over_and_holds_nothing_up() {
    let fixture = Fixture::new().await;
    fixture.append(0, Bytes::from_static(b"{}")).await;
    fixture.append(0, fixture.failed(1)).await;
    fixture.append(1, fixture.failed(2)).await;
    fixture.append(1, fixture.failed(2)).await;

    rounds(&mut fixture.index(), &fixture, 2).await;

    assert_eq!(fixture.indexed().await, [1, 2]);
    assert_eq!(fixture.committed().await, [(0, 2), (1, 2)]);
    let processed = |status| fixture.metrics.kafka_events_processed.with_label_values(&[ORDER_FAILED, status]).get();
    assert_eq!((processed("success"), processed("error")), (3, 1));
    let open = fixture.metrics.open_failures.with_label_values(&["", "UNKNOWN_CODE"]).get();
    let lag = |partition| fixture.metrics.lag.with_label_values(&[GROUP, ORDER_FAILED, partition]).get();
    assert_eq!((open, lag("0"), lag("1")), (2, 0, 0));
}

#[tokio::test]
async fn what_was_indexed_and_not_committed_is_read_again_and_changes_nothing() {
    let fixture = Fixture::new().await;
    fixture.append(0, fixture.failed(1)).await;
    let subscription = fixture.log.subscribe(GROUP, &PUBLISHED).await.unwrap();
    let records = subscription.poll(BATCH, POLL).await.unwrap();
    fixture.index().index(&records).await.unwrap();
    drop(subscription); // the process died here
    assert_eq!((fixture.indexed().await, fixture.committed().await), (vec![1], vec![]));
    fixture.append(0, fixture.failed(2)).await;

    rounds(&mut fixture.index(), &fixture, 2).await;

    assert_eq!((fixture.indexed().await, fixture.committed().await), (vec![1, 2], vec![(0, 2)]));
}

#[tokio::test]
async fn what_a_lane_of_ours_published_is_indexed_as_its_dead_letter_alone() {
    let fixture = Fixture::new().await;
    let own = Record {
        value: Some(fixture.failed(1)),
        headers: vec![Header::text(header::ORIGIN, "crossdock.out.pyxis-north/1/42")],
        ..Record::default()
    };
    fixture.log.append(vec![Append { topic: ORDER_FAILED.into(), partition: Some(0), record: own }]).await.unwrap();
    fixture.append(0, fixture.failed(2)).await;

    rounds(&mut fixture.index(), &fixture, 1).await;

    assert_eq!(fixture.indexed().await, [2]);
    let processed = |status| fixture.metrics.kafka_events_processed.with_label_values(&[ORDER_FAILED, status]).get();
    assert_eq!((processed("success"), processed("error")), (2, 0));
}

#[tokio::test]
async fn the_dead_letters_of_a_new_lane_are_read_as_soon_as_it_is_named() {
    let fixture = Fixture::new().await;
    let letters = ["pyxis-north", "tempo-north"].map(|binding| format!("dlq.crossdock.out.{binding}"));
    for (seq, name) in letters.iter().enumerate() {
        let topic = TopicSpec { name: name.clone(), partitions: 2, max_record_bytes: 1 << 20, retention: None };
        fixture.log.create_topic(&topic).await.unwrap();
        let topic = name.strip_prefix(dead_letter::PREFIX).unwrap();
        let record = letter(topic, &call(), seq as i64, 1).record;
        fixture.log.append(vec![Append { topic: name.as_str().into(), partition: Some(1), record }]).await.unwrap();
    }
    let (named, topics) = watch::channel(vec![letters[0].clone()]);
    let mut index = Index::new(fixture.index().deps, DEAD_LETTERS, topics);
    let mut subscription = None;
    while fixture.indexed().await.is_empty() {
        index.round(&mut subscription).await.unwrap();
    }

    named.send_replace(letters.to_vec());
    while fixture.indexed().await.len() < 2 {
        index.round(&mut subscription).await.unwrap();
    }

    let rows = fixture.store.failures(FailureFilter::default(), None, 500).await.unwrap();
    let mut bindings: Vec<_> = rows.iter().map(|row| row.failure.binding.as_str()).collect();
    bindings.sort_unstable();
    assert_eq!(bindings, ["pyxis-north", "tempo-north"]);
}

#[test]
fn the_next_offset_is_behind_the_last_record_of_its_partition() {
    let stored = |topic: &str, partition, offset| Stored {
        topic: topic.into(),
        partition,
        offset,
        timestamp_ms: 0,
        record: Record::default(),
    };

    let next = offsets(&[stored("a", 1, 7), stored("b", 1, 3), stored("a", 1, 9), stored("a", 0, 1)]);

    let next: Vec<_> = next.iter().map(|(topic, partition, next)| (&**topic, *partition, next.offset)).collect();
    assert_eq!(next, [("a", 0, 2), ("a", 1, 10), ("b", 1, 4)]);
}
