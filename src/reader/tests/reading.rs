//! Records become drafts, in order, with what is known of them.

use bytes::Bytes;

use super::bench::{Bench, GROUP, NOW, TextTopic, inbound};
use crate::canonical::draft::DraftBody;
use crate::canonical::headers;
use crate::canonical::ids::Sha256Digest;
use crate::canonical::rejection::{Code, Rejection};
use crate::log::{Header, Record};
use crate::reader::{Error, Installation};

const TOPIC: &str = "sales.t";

#[tokio::test]
async fn a_record_becomes_a_draft_that_says_where_it_was_read() {
    let bench = Bench::open(&[TOPIC]).await;
    bench.install(&[&TextTopic::new(TOPIC, GROUP)]);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let value = Some(Bytes::from_static(b"order A"));
    let headers = vec![Header::text(headers::CORRELATION_ID, "c 7"), Header::text(headers::TRACEPARENT, trace)];
    bench.write_record(TOPIC, 1, Record { key: None, value, headers }).await;

    let (draft, headers) = bench.drafts(1).await.remove(0);

    let head = &draft.head;
    assert_eq!((head.tenant_id.as_str(), head.binding.as_str()), ("north", "pyxis-north"));
    assert_eq!((head.received_from.as_str(), head.received_at, head.retry_count), (TOPIC, NOW, 0));
    assert_eq!((head.correlation_id.as_str(), head.external_order_id.as_deref()), ("c 7", Some("A")));
    assert_eq!((head.raw_sha256, &draft.raw[..]), (Sha256Digest::of(b"order A"), &b"order A"[..]));
    let expected = [
        (headers::CORRELATION_ID, "c 7"),
        (headers::TENANT_ID, "north"),
        (headers::SOURCE_SYSTEM, "PYXIS"),
        (headers::EVENT_TYPE, "Intake"),
        (headers::TRACEPARENT, trace),
        (headers::SOURCE, "sales.t/1/0"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| Header::text(name, value)));
    bench.committed(TOPIC, 1, 1).await;
}

#[tokio::test]
async fn what_a_sender_says_beside_the_value_is_taken_over_only_if_it_is_well_formed() {
    let bench = Bench::open(&[TOPIC]).await;
    bench.install(&[&TextTopic::new(TOPIC, GROUP)]);
    let made = "00000000-0000-0000-0000-000000000001";
    let long = "x".repeat(129);
    for (count, (id, expected)) in
        [(Some("é"), made), (Some(&*long), made), (Some(""), made), (None, made), (Some("7"), "7")]
            .into_iter()
            .enumerate()
    {
        let mut headers = vec![Header::text(headers::TRACEPARENT, "00-zz")];
        headers.extend(id.map(|id| Header::text(headers::CORRELATION_ID, id)));
        let value = Some(Bytes::from_static(b"order A"));
        bench.write_record(TOPIC, 0, Record { key: None, value, headers }).await;

        let (draft, headers) = bench.drafts(count + 1).await.remove(count);

        assert_eq!(draft.head.correlation_id, expected, "{id:?}");
        assert!(headers.iter().all(|header| header.name != headers::TRACEPARENT), "{id:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_mapped_becomes_a_rejection_and_stops_nothing() {
    let bench = Bench::open(&[TOPIC]).await;
    bench.install(&[&TextTopic::new(TOPIC, GROUP)]);
    let too_large = "order ".repeat(10);
    bench.write(TOPIC, 0, &["bad", &too_large]).await;
    bench.write_record(TOPIC, 0, Record::default()).await;
    bench.write(TOPIC, 0, &["order A"]).await;

    let drafts = bench.drafts(4).await;

    let rejection = |place: usize| match &drafts[place].0.body {
        DraftBody::Rejection(rejection) => rejection.clone(),
        other => panic!("expected a rejection, found {other:?}"),
    };
    assert_eq!(rejection(0).code(), Code::UnknownCode);
    assert_eq!(rejection(1), Rejection::one(Code::PayloadTooLarge, "", "at most 40 bytes are allowed"));
    assert_eq!(drafts[1].0.raw.len(), 0, "a value of any size fits the intake");
    assert_eq!(drafts[1].0.head.raw_sha256, Sha256Digest::of(too_large.as_bytes()));
    assert_eq!(rejection(2), Rejection::one(Code::SchemaMismatch, "", "expected a value, found none"));
    assert!(matches!(drafts[3].0.body, DraftBody::Cancellation(_)));
    bench.committed(TOPIC, 0, 4).await;
    let counted = |outcome| bench.metrics.reader_records.with_label_values(&[GROUP, TOPIC, outcome]).get();
    assert_eq!((counted("appended"), counted("rejected")), (1, 3));
    let processed = |status| bench.metrics.kafka_events_processed.with_label_values(&[TOPIC, status]).get();
    assert_eq!((processed("success"), processed("error")), (1, 3));
    let rejected = |code| bench.metrics.rejections.with_label_values(&["pyxis-north", code]).get();
    assert_eq!((rejected("UNKNOWN_CODE"), rejected("PAYLOAD_TOO_LARGE")), (1, 1));
}

#[tokio::test]
async fn each_partition_keeps_its_order_whatever_the_batches() {
    for batch in [1, 3, 100] {
        let bench = Bench::with_batches_of(batch, &[TOPIC, "sales.u"]).await;
        for n in 0..20 {
            let text = format!("order {n}");
            for (topic, partition) in [(TOPIC, 0), (TOPIC, 1), ("sales.u", 0)] {
                bench.write(topic, partition, &[&text]).await;
            }
        }

        bench.install(&[&TextTopic::new(TOPIC, GROUP), &TextTopic::new("sales.u", "other-v1")]);

        let drafts = bench.drafts(60).await;
        for place in ["sales.t/0/", "sales.t/1/", "sales.u/0/"] {
            let sources = drafts.iter().filter_map(|(_, headers)| {
                let source = &headers.iter().find(|header| header.name == headers::SOURCE)?.value;
                std::str::from_utf8(source).ok()?.strip_prefix(place)?.parse::<i64>().ok()
            });
            assert!(sources.eq(0..20), "{place} in batches of {batch}");
        }
    }
}

#[tokio::test]
async fn after_a_restart_it_goes_on_behind_what_was_committed() {
    let mut bench = Bench::open(&[TOPIC]).await;
    let topic = TextTopic::new(TOPIC, GROUP);
    bench.install(&[&topic]);
    bench.write(TOPIC, 0, &["order A", "order B"]).await;
    bench.committed(TOPIC, 0, 2).await;
    bench.restart().await;
    bench.write(TOPIC, 0, &["order C"]).await;

    bench.install(&[&topic]);

    assert_eq!(bench.texts(3).await, ["order A", "order B", "order C"]);
}

#[tokio::test]
async fn the_lag_and_the_age_of_the_oldest_record_are_told() {
    let bench = Bench::open(&[TOPIC]).await;
    let topic = TextTopic::new(TOPIC, GROUP);
    topic.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    bench.write(TOPIC, 0, &["riddle A", "order B"]).await;
    bench.install(&[&topic]);
    let of = |gauge: &prometheus::IntGaugeVec| gauge.with_label_values(&[GROUP, TOPIC, "0"]).get();
    bench.until(async || of(&bench.metrics.lag) == 2).await;
    assert_eq!(of(&bench.metrics.unread_past_half_retention), 0);

    bench.clock.advance(501_000);

    bench.until(async || of(&bench.metrics.unread_past_half_retention) == 1).await;
    assert_eq!(of(&bench.metrics.oldest_unread_seconds), 501);
    topic.broken.store(false, std::sync::atomic::Ordering::SeqCst);
    bench.install(&[&topic]);
    bench.until(async || of(&bench.metrics.lag) == 0 && of(&bench.metrics.unread_past_half_retention) == 0).await;
}

#[test]
fn a_topic_is_read_for_one_binding() {
    let topic = TextTopic::new(TOPIC, GROUP);

    let refused = Installation::new([inbound(&topic, "north"), inbound(&topic, "south")]).map(|_| ());

    let expected = Error::Taken { topic: TOPIC.into(), binding: "south".into(), other: "north".into() };
    assert_eq!(refused, Err(expected));
}
