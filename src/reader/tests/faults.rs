//! The log fails: nothing is lost, nothing overtakes, and it is told.

use super::bench::{Bench, GROUP, TextTopic, unavailable};
use crate::log;

const TOPIC: &str = "sales.t";

#[tokio::test]
async fn appends_are_repeated_until_the_log_takes_them() {
    let bench = Bench::with_batches_of(2, &[TOPIC]).await;
    bench.log.appends.lock().expect("no panic").extend((0..5).map(|_| unavailable()));
    bench.write(TOPIC, 0, &["order 1", "order 2", "order 3"]).await;

    bench.install(&[&TextTopic::new(TOPIC, GROUP)]);

    bench.committed(TOPIC, 0, 3).await;
    assert_eq!(bench.texts(3).await, ["order 1", "order 2", "order 3"]);
    assert_eq!(bench.metrics.engine_errors.with_label_values(&["reader.append"]).get(), 5);
    bench.until(async || bench.reader.problems().is_empty()).await;
}

#[tokio::test]
async fn while_the_log_is_away_the_group_says_so_and_can_be_stopped() {
    let bench = Bench::open(&[TOPIC]).await;
    bench.log.appends.lock().expect("no panic").extend((0..1_000_000).map(|_| unavailable()));
    bench.write(TOPIC, 0, &["order 1"]).await;

    bench.install(&[&TextTopic::new(TOPIC, GROUP)]);

    let told = [format!("group {GROUP}: event log is unavailable: the disk is full")];
    bench.until(async || bench.reader.problems() == told).await;
    bench.reader.stop().await;
    assert_eq!(bench.log_committed(TOPIC).await, 0, "what is not in the intake is not committed");
}

#[tokio::test]
async fn an_offset_that_cannot_be_committed_is_committed_later() {
    for error in [unavailable(), log::Error::UnknownTopic { topic: TOPIC.to_owned() }] {
        let bench = Bench::open(&[TOPIC]).await;
        bench.log.fail_commits([error.clone()]);
        bench.install(&[&TextTopic::new(TOPIC, GROUP)]);
        bench.write(TOPIC, 0, &["order 1"]).await;
        assert_eq!(bench.texts(1).await, ["order 1"]);
        bench.write(TOPIC, 0, &["order 2"]).await;

        bench.committed(TOPIC, 0, 2).await;

        assert_eq!(bench.texts(2).await, ["order 1", "order 2"], "{error}");
    }
}

#[tokio::test]
async fn what_was_appended_and_not_committed_is_appended_again_under_the_same_place() {
    let mut bench = Bench::open(&[TOPIC]).await;
    let topic = TextTopic::new(TOPIC, GROUP);
    bench.log.fail_commits([log::Error::UnknownTopic { topic: TOPIC.to_owned() }]);
    bench.install(&[&topic]);
    bench.write(TOPIC, 0, &["order 1"]).await;
    bench.drafts(1).await;

    bench.restart().await;
    bench.install(&[&topic]);

    let drafts = bench.drafts(2).await;
    assert_eq!(drafts[0].0, drafts[1].0);
    assert_eq!(drafts[0].1, drafts[1].1, "cd-src tells the sequencer");
}
