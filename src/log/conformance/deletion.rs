//! What trimming promises.

use super::{ALL, Harness, commit, text, to};

pub async fn trim_deletes_below_its_offset(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let positions = log.put(&topic, 0, &["a", "b", "c", "d"]).await;
    log.put(&topic, 1, &["elsewhere"]).await;
    let end = log.bounds(&topic, 0).await.unwrap().end;

    let start = log.trim(&topic, 0, positions[2].offset).await.unwrap();

    assert_eq!(start, positions[2].offset);
    let bounds = log.bounds(&topic, 0).await.unwrap();
    assert_eq!((bounds.start, bounds.end), (start, end));
    assert_eq!(log.trim(&topic, 0, positions[1].offset).await.unwrap(), start);
    let log = log.reopen().await;
    assert_eq!(log.values(&topic, 0).await, ["c", "d"]);
    assert_eq!(log.values(&topic, 1).await, ["elsewhere"]);
    assert_eq!(log.bounds(&topic, 0).await.unwrap(), bounds);
}

pub async fn trim_never_passes_a_cursor(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let positions = log.put(&topic, 0, &["a", "b", "c", "d"]).await;
    let (slow, slow_lanes) = log.member("slow", &[&topic]).await;
    let (fast, fast_lanes) = log.member("fast", &[&topic]).await;
    slow.commit(vec![commit(&slow_lanes[0], positions[1].offset, vec![])]).await.unwrap();
    fast.commit(vec![commit(&fast_lanes[0], positions[3].offset, vec![])]).await.unwrap();
    // A cursor on another partition holds nothing up here.
    fast.commit(vec![commit(&fast_lanes[1], 0, vec![])]).await.unwrap();

    assert_eq!(log.trim(&topic, 0, i64::MAX).await.unwrap(), positions[1].offset);
    assert_eq!(log.values(&topic, 0).await, ["b", "c", "d"]);

    slow.commit(vec![commit(&slow_lanes[0], positions[3].offset + 1, vec![])]).await.unwrap();

    assert_eq!(log.trim(&topic, 0, i64::MAX).await.unwrap(), positions[3].offset);
    assert_eq!(log.values(&topic, 0).await, ["d"]);
}

pub async fn trim_never_passes_the_end(log: Harness) {
    let topic = log.topic("orders", 2).await;
    log.put(&topic, 0, &["a"]).await;
    let end = log.bounds(&topic, 0).await.unwrap().end;

    assert_eq!(log.trim(&topic, 0, i64::MAX).await.unwrap(), end);
    assert_eq!(log.trim(&topic, 0, i64::MAX).await.unwrap(), end);
    assert_eq!(log.trim(&topic, 0, i64::MIN).await.unwrap(), end);
    let empty = log.bounds(&topic, 1).await.unwrap();
    assert_eq!(log.trim(&topic, 1, i64::MAX).await.unwrap(), empty.end);
}

pub async fn a_long_trim_reaches_its_offset(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let positions = log.append((0..2500).map(|n| to(&topic, 0, &n.to_string())).collect()).await.unwrap();

    let start = log.trim(&topic, 0, positions[2490].offset).await.unwrap();

    assert_eq!(start, positions[2490].offset);
    let expected: Vec<_> = (2490..2500).map(|n| n.to_string()).collect();
    assert_eq!(log.values(&topic, 0).await, expected);
}

pub async fn offsets_are_not_used_again_after_a_full_trim(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let before = log.put(&topic, 0, &["a", "b"]).await;
    let time_ms = log.records(&topic, 0).await[1].timestamp_ms;
    let end = log.bounds(&topic, 0).await.unwrap().end;
    log.trim(&topic, 0, end).await.unwrap();

    let log = log.reopen().await;
    let bounds = log.bounds(&topic, 0).await.unwrap();
    let after = log.put(&topic, 0, &["c"]).await;

    assert_eq!((bounds.start, bounds.end), (end, end));
    assert!(after[0] > before[1], "{after:?} after {before:?}");
    let stored = log.records(&topic, 0).await;
    assert_eq!(stored.iter().map(text).collect::<Vec<_>>(), ["c"]);
    assert!(stored[0].timestamp_ms >= time_ms);
}

pub async fn a_read_below_the_start_reads_from_the_start(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let positions = log.put(&topic, 0, &["a", "b", "c"]).await;
    log.trim(&topic, 0, positions[1].offset).await.unwrap();

    for from in [i64::MIN, 0, positions[0].offset, positions[1].offset] {
        let stored = log.read(&topic, 0, from, ALL).await.unwrap();
        assert_eq!(stored.iter().map(text).collect::<Vec<_>>(), ["b", "c"], "from {from}");
    }
}
