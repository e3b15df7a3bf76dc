//! What reads and waits promise.

use std::time::Duration;

use super::{ALL, GUARD, Harness, MIB, assert_pending, commit, record, text, to, within};
use crate::log::{Append, ReadLimit};

pub async fn a_read_at_the_end_is_empty(log: Harness) {
    let topic = log.topic("orders", 1).await;
    assert_eq!(log.read(&topic, 0, 0, ALL).await.unwrap(), []);
    log.put(&topic, 0, &["a"]).await;

    let end = log.bounds(&topic, 0).await.unwrap().end;

    for from in [end, end + 1000, i64::MAX] {
        assert_eq!(log.read(&topic, 0, from, ALL).await.unwrap(), [], "from {from}");
    }
    assert_eq!(log.read(&topic, 0, i64::MIN, ALL).await.unwrap().len(), 1);
}

pub async fn a_read_keeps_to_its_limits(mut log: Harness) {
    let topic = log.topic("orders", 1).await;
    log.put(&topic, 0, &["aaaa", "bbbb", "cccc", "dddd"]).await;

    for restarted in [false, true] {
        for (records, bytes, expected) in [
            (3, usize::MAX, &["aaaa", "bbbb", "cccc"][..]),
            (1, usize::MAX, &["aaaa"]),
            (usize::MAX, 8, &["aaaa", "bbbb"]),
            (usize::MAX, 11, &["aaaa", "bbbb"]),
            (2, 12, &["aaaa", "bbbb"]),
        ] {
            let limit = ReadLimit { records, bytes };
            let stored = log.read(&topic, 0, 0, limit).await.unwrap();
            assert_eq!(stored.iter().map(text).collect::<Vec<_>>(), expected, "{limit:?}, restarted: {restarted}");
        }
        if restarted {
            return;
        }
        log = log.reopen().await;
    }
}

pub async fn a_read_returns_one_record_however_large(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let large = "x".repeat(2 * MIB);
    let positions = log.put(&topic, 0, &["a", &large, "b"]).await;

    for limit in [ReadLimit { records: 10, bytes: 1 }, ReadLimit { records: 0, bytes: 0 }] {
        let stored = log.read(&topic, 0, positions[1].offset, limit).await.unwrap();

        assert_eq!(stored.len(), 1, "{limit:?}");
        assert_eq!(text(&stored[0]).len(), large.len(), "{limit:?}");
    }
}

pub async fn a_read_goes_on_where_the_last_one_ended(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let expected: Vec<_> = (0..25).map(|n| n.to_string()).collect();
    let appends = expected.iter().map(|value| to(&topic, 0, value)).collect();
    log.append(appends).await.unwrap();

    let (mut from, mut values) = (0, Vec::new());
    loop {
        let stored = log.read(&topic, 0, from, ReadLimit { records: 4, bytes: usize::MAX }).await.unwrap();
        let Some(last) = stored.last() else { break };
        from = last.offset + 1;
        values.extend(stored.iter().map(text));
    }

    assert_eq!(values, expected);
}

pub async fn poll_waits_for_an_append(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let (member, lanes) = log.member("lanes", &[&topic]).await;
    let end = log.bounds(&topic, 1).await.unwrap().end;

    let mut polled = member.poll(&lanes[1], end, ALL, GUARD);
    assert_pending(&mut polled);
    log.put(&topic, 0, &["elsewhere"]).await;
    assert_pending(&mut polled);
    log.put(&topic, 1, &["here"]).await;

    let stored = within(polled).await.unwrap();
    assert_eq!(stored.iter().map(text).collect::<Vec<_>>(), ["here"]);
}

pub async fn poll_waits_for_a_commit(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let (member, lanes) = log.member("lanes", &[&topic]).await;
    let end = log.bounds(&topic, 0).await.unwrap().end;

    let mut polled = member.poll(&lanes[0], end, ALL, GUARD);
    assert_pending(&mut polled);
    member.commit(vec![commit(&lanes[0], end, vec![to(&topic, 0, "committed")])]).await.unwrap();

    let stored = within(polled).await.unwrap();
    assert_eq!(stored.iter().map(text).collect::<Vec<_>>(), ["committed"]);
}

pub async fn poll_ends_empty_when_the_time_is_up(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let (member, lanes) = log.member("lanes", &[&topic]).await;
    let end = log.bounds(&topic, 0).await.unwrap().end;

    let stored = within(member.poll(&lanes[0], end, ALL, Duration::ZERO)).await.unwrap();

    assert_eq!(stored, []);
}

pub async fn wait_wakes_on_any_of_its_positions(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let other = log.topic("visits", 1).await;
    let places = [(&topic, 0), (&topic, 1), (&other, 0)];

    for (topic, partition) in places {
        let mut positions = Vec::new();
        for (topic, partition) in places {
            let end = log.bounds(topic, partition).await.unwrap().end;
            positions.push((topic.to_string(), partition, end));
        }
        let mut waited = log.wait(positions, GUARD * 2);
        assert_pending(&mut waited);
        let append = Append { topic: topic.clone(), partition: Some(partition), record: record("a") };
        log.append(vec![append]).await.unwrap();

        within(waited).await.unwrap();
    }
}

pub async fn wait_returns_at_once_if_a_record_is_there(log: Harness) {
    let topic = log.topic("orders", 2).await;
    let positions = log.put(&topic, 0, &["a"]).await;

    within(log.wait(vec![(topic.to_string(), 0, positions[0].offset)], GUARD * 2)).await.unwrap();
    within(log.wait(vec![(topic.to_string(), 1, 0)], Duration::ZERO)).await.unwrap();
    within(log.wait(vec![], Duration::ZERO)).await.unwrap();
}

pub async fn reads_of_a_partition_at_different_places_do_not_hold_each_other_up(log: Harness) {
    let topic = log.topic("orders", 1).await;
    let expected: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    let values: Vec<_> = expected.iter().map(String::as_str).collect();
    let positions = log.put(&topic, 0, &values).await;
    let end = positions[199].offset + 1;
    let limit = ReadLimit { records: 10, bytes: usize::MAX };
    let from_start = async || {
        let (mut next, mut found) = (0, Vec::new());
        while found.len() < expected.len() {
            let page = log.read(&topic, 0, next, limit).await.unwrap();
            next = page.last().expect("there is more").offset + 1;
            found.extend(page.iter().map(text));
        }
        found
    };
    let at_the_end = log.wait(vec![(topic.to_string(), 0, end)], GUARD * 2);

    let found = tokio::select! {
        _ = at_the_end => panic!("nothing came"),
        found = within(async { tokio::join!(from_start(), from_start(), from_start()) }) => found,
    };

    for found in [found.0, found.1, found.2] {
        assert_eq!(found, expected);
    }
}
