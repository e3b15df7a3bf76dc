//! Topics and groups come and go while the reader runs.

use super::bench::{Bench, GROUP, TextTopic};

#[tokio::test]
async fn a_topic_that_comes_is_read_and_one_that_goes_is_not() {
    let bench = Bench::open(&["sales.t", "sales.u", "sales.v"]).await;
    let topics = ["sales.t", "sales.u"].map(|name| TextTopic::new(name, GROUP));
    let in_another_group = TextTopic::new("sales.v", "other-v1");
    bench.install(&[&topics[0]]);
    for topic in ["sales.t", "sales.u", "sales.v"] {
        bench.write(topic, 0, &[&format!("order {topic}")]).await;
    }
    assert_eq!(bench.texts(1).await, ["order sales.t"]);

    bench.install(&[&topics[0], &topics[1]]);
    assert_eq!(bench.texts(2).await[1], "order sales.u");

    bench.install(&[&topics[1], &in_another_group]);
    assert_eq!(bench.texts(3).await[2], "order sales.v");

    bench.write("sales.t", 0, &["order unread"]).await;
    bench.write("sales.u", 0, &["order last"]).await;
    assert_eq!(bench.texts(4).await[3], "order last");
    assert_eq!(bench.log_committed("sales.t").await, 1);

    bench.install(&[]);
    bench.install(&[&topics[0]]);
    assert_eq!(bench.texts(5).await[4], "order unread");
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_remarked_and_read_once_it_is() {
    let bench = Bench::open(&["sales.t"]).await;
    bench.install(&[&TextTopic::new("sales.t", GROUP), &TextTopic::new("sales.later", GROUP)]);
    bench.write("sales.t", 0, &["order 1"]).await;
    bench.remarked(&format!("group {GROUP}: there is no topic sales.later")).await;
    assert_eq!(bench.texts(1).await, ["order 1"], "the others are read");
    assert_eq!(bench.reader.problems(), Vec::<String>::new());

    bench.create("sales.later", 1, 1 << 20).await;
    bench.write("sales.later", 0, &["order 2"]).await;

    assert_eq!(bench.texts(2).await[1], "order 2");
    bench.until(async || bench.reader.remarks().is_empty()).await;
}
