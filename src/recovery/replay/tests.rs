use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;
use crate::door::testing::{MemoryLog, Mood, NOW_S, catalogue};
use crate::normalize::tests::{adapters, binding};
use crate::store::conformance::samples::{lane, payload, stored};
use crate::store::recovery::FailureFilter;
use crate::store::sqlite::{Options, SqliteStore};

const ORDER: &str = include_str!("../../../mappings/pyxis/cases/order/input.json");

struct Fixture {
    replays: Replays,
    log: Arc<MemoryLog>,
    store: Arc<dyn Store>,
    _folder: TempDir,
}

impl Fixture {
    /// With one failure in the index: an order whose service nobody knows, its payload kept.
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store: Arc<dyn Store> = SqliteStore::open(&folder.path().join("store.db"), Options::default()).unwrap();
        let log = MemoryLog::with_topics(&[INTAKE]);
        let mappings = Arc::new(Mappings::default());
        mappings.install(adapters(), &[Arc::new(binding())]);
        let replays = Replays::new(Deps {
            log: log.clone(),
            store: store.clone(),
            catalogue: catalogue(),
            clock: Arc::new(ManualClock::at(NOW_S * 1000)),
            metrics: Arc::new(Metrics::new().unwrap()),
            mappings,
            append_timeout: Duration::from_millis(100),
        });
        stored(&*store, &lane(0), |write| write.payloads = vec![payload(rejected().as_bytes(), 1)]).await;
        store.index_failures(vec![failure()]).await.unwrap();
        Self { replays, log, store, _folder: folder }
    }

    async fn row(&self) -> FailureRow {
        let filter = FailureFilter { event_id: Some(failure().event_id), ..FailureFilter::default() };
        self.store.failures(filter, None, 1).await.unwrap().remove(0)
    }

    async fn replay(&self, payload: Option<&str>, force: bool) -> Result<Replayed, Error> {
        let payload = payload.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        let request = Request { operator: "anna".into(), reason: "typo".into(), payload, force };
        self.replays.replay(&self.row().await, request).await
    }

    /// Phases of the audit's rows, the first one first.
    async fn phases(&self) -> Vec<Phase> {
        let rows = self.store.audit_rows(AuditFilter::default(), None, MAX_PAGE).await.unwrap();
        let phase = |detail: &str| serde_json::from_str::<audit::Replay>(detail).unwrap().phase;
        rows.iter().rev().map(|row| phase(&row.entry.detail)).collect()
    }

    /// The drafts that were appended, with the place they say they come from.
    fn appended(&self) -> Vec<(Draft, Option<String>)> {
        let read = |stored: log::Stored| {
            let source = stored.record.header(headers::SOURCE).map(str::to_owned);
            (intake::decode(&catalogue(), stored.record.value.as_deref().unwrap()).unwrap(), source)
        };
        self.log.records(INTAKE).into_iter().map(read).collect()
    }
}

fn rejected() -> String {
    ORDER.replace("INSTALL_KITCHEN", "PAINTING")
}

fn failure() -> Failure {
    let detail = Detail {
        retry_count: 2,
        route: Some("pyxis/order".into()),
        received_from: Some("http".into()),
        traceparent: Some("00-a-b-01".into()),
        ..Detail::default()
    };
    let digest = Sha256Digest::of(rejected().as_bytes());
    Failure {
        tenant_id: "north".into(),
        event_id: ids::rejection_event_id(digest, 2),
        kind: FailureKind::Order,
        failed_at: 1,
        binding: "pyxis-north".into(),
        error_code: "UNKNOWN_CODE".into(),
        source_key: "pyxis".into(),
        external_order_id: "PYX-FR-20260304-7731".into(),
        correlation_id: "c-1".into(),
        pointer: "/line_items/0/service_code".into(),
        group: Uuid::nil(),
        replay_of: None,
        raw_sha256: Some(digest),
        place: ("integration.sales.order.failed".into(), 3, 17),
        detail: serde_json::to_string(&detail).unwrap(),
    }
}

#[tokio::test]
async fn a_corrected_payload_enters_the_intake_as_a_message_of_its_own() {
    let fixture = Fixture::new().await;

    let replayed = fixture.replay(Some(ORDER), false).await.unwrap();

    assert_eq!((replayed.is_repeat, replayed.outcome.verdict), (false, Verdict::Accepted));
    let appended = fixture.appended();
    let [(draft, source)] = appended.as_slice() else { panic!("{appended:?}") };
    assert!(matches!(draft.body, DraftBody::Order(_)));
    assert_eq!(draft.raw, ORDER);
    assert_eq!((draft.head.retry_count, draft.head.replay_of), (3, Some(failure().event_id)));
    assert_eq!((draft.head.correlation_id.as_str(), draft.head.binding.as_str()), ("c-1", "pyxis-north"));
    assert_eq!(source.as_deref(), Some("integration.sales.order.failed/3/17"));
    assert_eq!(fixture.phases().await, [Phase::Requested, Phase::Done]);
    assert_eq!(fixture.row().await.state, FailureState::Replayed);
}

#[tokio::test]
async fn a_replay_is_done_once_for_each_payload_unless_forced() {
    let fixture = Fixture::new().await;
    let first = fixture.replay(None, false).await.unwrap();
    assert_eq!(first.outcome.verdict, Verdict::Rejected);
    assert_eq!(
        first.outcome.failure_id,
        Some(ids::rejection_event_id(Sha256Digest::of(rejected().as_bytes()), 3)),
        "what is rejected again is published under an id of its own"
    );

    // The payload handed over is the one that came.
    let again = fixture.replay(Some(&rejected()), false).await.unwrap();
    assert_eq!(again, Replayed { is_repeat: true, ..first.clone() });
    let corrected = fixture.replay(Some(ORDER), false).await.unwrap();
    assert_eq!((corrected.is_repeat, corrected.outcome.verdict), (false, Verdict::Accepted));
    assert_eq!(fixture.appended().len(), 2);

    let forced = fixture.replay(None, true).await.unwrap();
    assert!(!forced.is_repeat && forced.replay_id != first.replay_id);
    let appended = fixture.appended();
    assert_eq!((appended.len(), &appended[2].1), (3, &None), "its lane must not take it for the first one");
}

#[tokio::test]
async fn two_replays_at_once_are_one() {
    let fixture = Fixture::new().await;

    let (one, other) = tokio::join!(fixture.replay(Some(ORDER), false), fixture.replay(Some(ORDER), false));

    let repeats = [one.unwrap().is_repeat, other.unwrap().is_repeat];
    assert!(repeats == [true, false] || repeats == [false, true], "{repeats:?}");
    assert_eq!(fixture.appended().len(), 1);
}

#[tokio::test]
async fn a_log_that_is_down_leaves_the_failure_open_and_a_row_that_says_so() {
    let fixture = Fixture::new().await;
    for (mood, expected) in [
        (Mood::Fails, "event log is unavailable: disk full"),
        (Mood::Waits, "event log does not answer within 100 ms; the replay may have happened, ask again"),
    ] {
        fixture.log.set(mood);

        let error = fixture.replay(Some(ORDER), false).await.unwrap_err();

        assert_eq!(error.to_string(), expected);
        assert_eq!(fixture.row().await.state, FailureState::Open);
    }
    assert_eq!(fixture.phases().await, [Phase::Requested, Phase::Failed, Phase::Requested, Phase::Failed]);

    fixture.log.set(Mood::Works);
    assert!(!fixture.replay(Some(ORDER), false).await.unwrap().is_repeat);
    assert_eq!(
        fixture.appended()[0].1.as_deref(),
        Some("integration.sales.order.failed/3/17"),
        "absorbed if it was there"
    );
}

#[tokio::test]
async fn what_cannot_be_replayed_is_refused_before_anything_is_written() {
    let detail = |change: fn(&mut Detail)| {
        let mut detail = Detail::of(&failure());
        change(&mut detail);
        serde_json::to_string(&detail).unwrap()
    };
    let expired = Failure { raw_sha256: Some(Sha256Digest::of(b"long ago")), ..failure() };
    let none = Failure { raw_sha256: None, ..failure() };
    let call = Failure { kind: FailureKind::Status, ..failure() };
    let foreign = Failure { detail: detail(|detail| detail.route = None), ..failure() };
    let gone = Failure { detail: detail(|detail| detail.route = Some("pyxis/old".into())), ..failure() };
    let topic = Failure { detail: detail(|detail| detail.received_from = Some("sales.old".into())), ..failure() };
    let large = " ".repeat((2 << 20) + 1);
    for (failure, payload, expected) in [
        (expired, None, "the payload is not kept any more; hand it over to replay it"),
        (none, None, "the payload is not kept any more; hand it over to replay it"),
        (call, None, "the failure is of a call, not of a payload: there is nothing to map"),
        (foreign, None, "the failure does not say by which route its payload came"),
        (gone, None, "route `pyxis/old` is not in the mappings any more"),
        (topic, None, "topic `sales.old` is not in the mappings of adapter `pyxis` any more"),
        (failure(), Some(large), "the payload has 2097153 bytes, at most 2097152 are allowed"),
    ] {
        let fixture = Fixture::new().await;
        let row = FailureRow { failure, state: FailureState::Open, number: 1 };
        let payload = payload.map(Bytes::from);
        let request = Request { operator: "anna".into(), reason: "r".into(), payload, force: false };

        let error = fixture.replays.replay(&row, request).await.unwrap_err();

        assert_eq!(error.to_string(), expected);
        assert!(fixture.phases().await.is_empty() && fixture.appended().is_empty(), "{expected}");
    }
}

#[tokio::test]
async fn what_came_by_a_topic_is_mapped_as_its_topic_maps_it() {
    let fixture = Fixture::new().await;
    let detail = Detail { received_from: Some("sales.pyxis.order.created".into()), ..Detail::of(&failure()) };
    let row = FailureRow {
        failure: Failure { detail: serde_json::to_string(&detail).unwrap(), ..failure() },
        state: FailureState::Open,
        number: 1,
    };

    let native = fixture.replays.try_out(&row, Some(Bytes::from_static(ORDER.as_bytes()))).await.unwrap();
    let other = fixture.replays.try_out(&row, Some(Bytes::from_static(b"\0\0\0\0\xff"))).await.unwrap();

    assert!(
        matches!(&native.body, DraftBody::Order(order) if order.intent == crate::canonical::draft::Intent::Created)
    );
    assert!(matches!(&other.body, DraftBody::Rejection(rejection) if rejection.code() == Code::SchemaMismatch));
    assert!(fixture.phases().await.is_empty() && fixture.appended().is_empty(), "nothing is written");
}
