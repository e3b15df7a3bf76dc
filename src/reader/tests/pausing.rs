//! A record nothing can be made of now holds its partition up, and nothing else.

use std::sync::atomic::Ordering;

use super::bench::{Bench, GROUP, TextTopic};
use crate::canonical::draft::DraftBody;
use crate::canonical::rejection::Code;
use crate::schema::registry::testing::Fake;

const TOPIC: &str = "sales.t";

#[tokio::test]
async fn a_partition_that_cannot_be_mapped_waits_for_a_reload_and_loses_nothing() {
    for (word, cause, told) in [
        ("riddle", "mapping", "mapping `riddle.vrl`: line 1: the answer"),
        ("foreign", "registry", "the schema of the record cannot be learned"),
    ] {
        for batch in [1, 2, 100] {
            let bench = Bench::with_batches_of(batch, &[TOPIC]).await;
            let topic = TextTopic::new(TOPIC, GROUP);
            topic.broken.store(true, Ordering::SeqCst);
            bench.install(&[&topic]);
            let riddle = format!("{word} 2");
            bench.write(TOPIC, 0, &["order 1", &riddle, "order 3", &riddle, "order 4"]).await;
            bench.write(TOPIC, 1, &["order 5", "order 6"]).await;

            bench.remarked(&format!("group {GROUP}: {TOPIC}/0 stands still at 1: ")).await;
            bench.committed(TOPIC, 1, 2).await;

            assert!(bench.reader.remarks()[0].ends_with(told), "{:?}", bench.reader.remarks());
            assert_eq!(bench.reader.problems(), Vec::<String>::new(), "the group reads");
            let paused = bench.metrics.reader_paused.with_label_values(&[GROUP, TOPIC, "0"]);
            assert_eq!(paused.get(), 1);
            assert_eq!(bench.metrics.reader_pauses.with_label_values(&[GROUP, TOPIC, cause]).get(), 1);
            bench.committed(TOPIC, 0, 1).await;

            bench.write(TOPIC, 0, &["order 7"]).await;
            bench.install(&[&topic]); // the new mappings are no better
            bench
                .until(async || bench.metrics.reader_pauses.with_label_values(&[GROUP, TOPIC, cause]).get() == 2)
                .await;

            topic.broken.store(false, Ordering::SeqCst);
            bench.install(&[&topic]);

            bench.committed(TOPIC, 0, 6).await;
            let texts = bench.texts(8).await;
            let of_partition: Vec<_> =
                texts.iter().filter(|text| !["order 5", "order 6"].contains(&text.as_str())).collect();
            assert_eq!(
                of_partition,
                ["order 1", &riddle, "order 3", &riddle, "order 4", "order 7"],
                "batches of {batch}"
            );
            bench.until(async || bench.reader.remarks().is_empty() && paused.get() == 0).await;
            bench.write(TOPIC, 0, &["order 8"]).await;
            assert_eq!(bench.texts(9).await[8], "order 8", "it is read as before");
        }
    }
}

#[tokio::test]
async fn while_the_registry_is_away_a_record_with_a_new_schema_waits_and_is_not_rejected() {
    let registry = Fake::start().await;
    let bench = Bench::with_registry(&registry, &[TOPIC]).await;
    let topic = TextTopic::new(TOPIC, GROUP);
    registry.breaks(503, "{}");
    bench.write(TOPIC, 0, &["\0\0\0\0\u{7}", "order 1"]).await;
    bench.write(TOPIC, 1, &["order 2"]).await;
    bench.install(&[&topic]);
    bench.remarked(&format!("{TOPIC}/0 stands still at 0: ")).await;
    assert_eq!(bench.texts(1).await, ["order 2"]);

    registry.is_well(); // and nobody knows the schema
    bench.clock.advance(60_000);
    bench.install(&[&topic]);

    let drafts = bench.drafts(3).await;
    let DraftBody::Rejection(rejection) = &drafts[1].0.body else { panic!("{:?}", drafts[1]) };
    assert_eq!(rejection.code(), Code::SchemaMismatch);
    assert_eq!(&drafts[2].0.raw[..], b"order 1");
}

#[tokio::test]
async fn a_draft_the_intake_does_not_take_holds_up_only_what_follows_it() {
    let bench = Bench::open(&[TOPIC]).await;
    bench.write(TOPIC, 0, &["order 1", "order 2", "wide 3", "order 4"]).await;
    bench.write(TOPIC, 1, &["order 5"]).await;

    bench.install(&[&TextTopic::new(TOPIC, GROUP)]);

    bench.remarked(&format!("{TOPIC}/0 stands still at 2: record of ")).await;
    bench.committed(TOPIC, 0, 2).await;
    bench.committed(TOPIC, 1, 1).await;
    assert_eq!(bench.texts(3).await.len(), 3);
}

#[tokio::test]
async fn a_partition_that_stands_still_begins_at_that_record_after_a_restart() {
    let mut bench = Bench::open(&[TOPIC]).await;
    let topic = TextTopic::new(TOPIC, GROUP);
    topic.broken.store(true, Ordering::SeqCst);
    bench.write(TOPIC, 0, &["order 1", "riddle 2", "order 3"]).await;
    bench.install(&[&topic]);
    bench.remarked("stands still").await;

    bench.restart().await;
    topic.broken.store(false, Ordering::SeqCst);
    bench.install(&[&topic]);

    assert_eq!(bench.texts(3).await, ["order 1", "riddle 2", "order 3"]);
}
