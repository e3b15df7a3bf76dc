//! What the writer does when SQLite refuses, when much is waiting, when the clock goes back and when time passes.

use std::task::{Context, Waker};

use rusqlite::Connection;

use super::*;

/// Makes SQLite refuse a record whose value is `poison`, as it would refuse one on a full disk.
fn poison(sqlite: &Sqlite, refusal: &str) {
    let trigger = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON records_0 WHEN NEW.value = CAST('poison' AS BLOB)
         BEGIN SELECT RAISE({refusal}, 'refused'); END"
    );
    Connection::open(sqlite.path()).unwrap().execute_batch(&trigger).unwrap();
}

/// Keeps the writer from starting a transaction, so that writes pile up behind it.
fn block_writer(sqlite: &Sqlite) -> Connection {
    let blocker = Connection::open(sqlite.path()).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    blocker
}

fn poll_once<T>(future: &mut BoxFuture<'_, T>) {
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test]
async fn the_writer_goes_on_after_a_failed_transaction() {
    for refusal in ["ABORT", "FAIL", "ROLLBACK"] {
        let (sqlite, log) = Sqlite::with_orders().await;
        log.append(orders("a")).await.unwrap();
        poison(&sqlite, refusal);
        let several = ["b", "poison"].into_iter().flat_map(orders).collect();

        let error = log.append(several).await.unwrap_err();

        assert!(matches!(&error, Error::Unavailable { reason } if reason == "refused"), "{refusal}: {error:?}");
        assert!(error.is_transient());
        assert_eq!(values(&log).await, ["a"], "{refusal}");
        assert_eq!(log.append(orders("c")).await.unwrap()[0].offset, 1, "{refusal}");
        assert_eq!(values(&log).await, ["a", "c"], "{refusal}");
        drop(log);
        assert_eq!(values(&sqlite.log()).await, ["a", "c"], "{refusal}");
    }
}

#[tokio::test]
async fn a_write_that_sqlite_refuses_does_not_fail_its_companions() {
    let (sqlite, log) = Sqlite::with_orders().await;
    poison(&sqlite, "ROLLBACK");
    let blocker = block_writer(&sqlite);
    let mut writes: Vec<_> =
        ["a", "b", "poison", "c", "poison", "poison", "d"].map(|value| log.append(orders(value))).into();
    for write in &mut writes {
        poll_once(write);
    }

    drop(blocker);
    let outcomes: Vec<_> = futures_util::future::join_all(writes).await.into_iter().map(|done| done.is_ok()).collect();

    // Two refusals in a row are taken for a failure of the disk: `d` shares it.
    assert_eq!(outcomes, [true, true, false, true, false, false, false]);
    assert_eq!(values(&log).await, ["a", "b", "c"]);
    log.append(orders("d")).await.unwrap();
    assert_eq!(values(&log).await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn writes_wait_for_room_in_the_queue_in_their_order() {
    let sqlite = Sqlite::new(Limits { queue_bytes: 4096, ..Limits::default() });
    let log = sqlite.log();
    log.create_topic(&spec("orders")).await.unwrap();
    let blocker = block_writer(&sqlite);
    let expected: Vec<_> = (0..20).map(|n| format!("{n:0>1000}")).collect();

    let mut writes: Vec<_> = expected.iter().map(|value| log.append(orders(value))).collect();
    for write in &mut writes {
        poll_once(write);
    }
    let queued = log.inner.queue.queued_bytes();
    drop(blocker);
    for outcome in futures_util::future::join_all(writes).await {
        outcome.unwrap();
    }

    assert_eq!(queued, 4096);
    assert_eq!(log.inner.queue.queued_bytes(), 0);
    assert_eq!(values(&log).await, expected);
}

#[tokio::test]
async fn dropping_the_log_finishes_what_is_queued() {
    let (sqlite, log) = Sqlite::with_orders().await;
    let blocker = block_writer(&sqlite);
    for value in ["a", "b"] {
        let mut write = log.append(orders(value));
        poll_once(&mut write);
    }

    drop(blocker);
    drop(log);

    assert_eq!(values(&sqlite.log()).await, ["a", "b"]);
}

#[tokio::test]
async fn a_group_commit_delay_delays_but_loses_nothing() {
    let sqlite = Sqlite::new(Limits::default());
    let options = Options { group_commit_delay: Duration::from_millis(1), clock: sqlite.clock.clone() };
    let log = SqliteLog::open(&sqlite.path(), options).unwrap();
    log.create_topic(&spec("orders")).await.unwrap();
    let expected: Vec<_> = (0..10).map(|n| n.to_string()).collect();

    let writes = expected.iter().map(|value| log.append(orders(value)));
    futures_util::future::join_all(writes).await;

    assert_eq!(values(&log).await, expected);
}

#[tokio::test]
async fn append_times_stand_still_while_the_clock_goes_back() {
    let (sqlite, log) = Sqlite::with_orders().await;
    let now_ms = sqlite.clock.now_ms();
    for step_ms in [-3_600_000, 1, 3_600_000] {
        log.append(orders("a")).await.unwrap();
        sqlite.clock.advance(step_ms);
    }
    drop(log);
    let log = sqlite.log();
    log.append(orders("b")).await.unwrap();

    let times: Vec<_> = records(&log).await.into_iter().map(|stored| stored.timestamp_ms - now_ms).collect();

    assert_eq!(times, [0, 0, 0, 1]);
}

#[tokio::test]
async fn records_past_their_retention_are_deleted_unless_a_cursor_needs_them() {
    const DAY_MS: i64 = 86_400_000;
    let sqlite = Sqlite::new(Limits { trim_records: 2, ..Limits::default() });
    let log = sqlite.log();
    log.create_topic(&TopicSpec { retention: Some(Duration::from_secs(2 * 86_400)), ..spec("orders") }).await.unwrap();
    log.create_topic(&spec("kept")).await.unwrap();
    let kept = Append { topic: "kept".into(), ..orders("kept").remove(0) };
    log.append(vec![kept]).await.unwrap();
    for value in ["a", "b", "c", "d", "e", "f"] {
        log.append(orders(value)).await.unwrap();
    }
    let member = log.join("lanes", &["orders"]).await.unwrap();
    let Ownership::Assigned(lanes) = member.next().await.unwrap() else { panic!("revoked") };
    let commit = |offset| {
        let offset = OffsetCommit { offset, metadata: String::new() };
        let lane = lanes[0].clone();
        member.commit(vec![LaneEffects { lane, offset, others: Default::default(), appends: vec![] }])
    };
    commit(5).await.unwrap();
    sqlite.clock.advance(DAY_MS);
    log.append(orders("g")).await.unwrap();
    settle(&log).await;
    let young = log.bounds("orders", 0).await.unwrap().start;

    sqlite.clock.advance(DAY_MS + 1);
    settle(&log).await;
    let expired = log.bounds("orders", 0).await.unwrap().start;
    commit(7).await.unwrap();
    sqlite.clock.advance(60_000);
    settle(&log).await;

    assert_eq!((young, expired), (0, 5));
    assert_eq!(values(&log).await, ["g"]);
    assert_eq!(log.bounds("kept", 0).await.unwrap().start, 0);
}

/// Lets the writer do what it does after each job, often enough to finish.
async fn settle(log: &SqliteLog) {
    for _ in 0..10 {
        log.trim("orders", 0, 0).await.unwrap();
    }
}

#[tokio::test]
async fn a_topics_limit_is_the_one_it_was_last_created_with() {
    let (sqlite, log) = Sqlite::with_orders().await;

    log.create_topic(&TopicSpec { max_record_bytes: 10, ..spec("orders") }).await.unwrap();
    let before = log.append(orders("eleven byte")).await;
    drop(log);
    let log = sqlite.log();
    let restarted = log.append(orders("eleven byte")).await;
    log.create_topic(&TopicSpec { max_record_bytes: 11, ..spec("orders") }).await.unwrap();
    let after = log.append(orders("eleven byte")).await;

    assert!(matches!(before, Err(Error::TooLarge { bytes: 11, max: 10, .. })), "{before:?}");
    assert!(matches!(restarted, Err(Error::TooLarge { .. })), "{restarted:?}");
    after.unwrap();
}

#[tokio::test]
async fn a_topic_without_partitions_is_refused() {
    let (_sqlite, log) = Sqlite::with_orders().await;

    let error = log.create_topic(&TopicSpec { partitions: 0, ..spec("none") }).await.unwrap_err();

    assert!(matches!(error, Error::UnknownPartition { partitions: 0, .. }), "{error:?}");
}
