//! Whose the files are, and what they hold after a process died.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::*;
use crate::log::sqlite::files::Files;

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_is_gone() {
    let (sqlite, log) = Sqlite::with_orders().await;

    let refused = sqlite.try_log(&sqlite.path()).err();
    drop(log);
    let opened = sqlite.try_log(&sqlite.path());

    let Some(Error::Unusable { reason, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(reason, "another process has it open");
    assert!(opened.is_ok());
}

#[tokio::test]
async fn a_membership_keeps_the_files_open() {
    let (sqlite, log) = Sqlite::with_orders().await;
    let member = log.join("lanes", &["orders"]).await.unwrap();
    drop(log);

    assert!(sqlite.try_log(&sqlite.path()).is_err());
    drop(member);
    assert!(sqlite.try_log(&sqlite.path()).is_ok());
}

#[test]
fn files_of_others_and_of_newer_versions_are_refused() {
    let sqlite = Sqlite::new(Limits::default());
    let newer = |path: &Path| {
        drop(sqlite.try_log(path).unwrap());
        Connection::open(path).unwrap().execute_batch("PRAGMA user_version = 2").unwrap();
    };
    let foreign = |path: &Path| Connection::open(path).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    let stamped = |path: &Path| Connection::open(path).unwrap().execute_batch("PRAGMA application_id = 7").unwrap();
    let text = |path: &Path| fs::write(path, "not a database, but long enough to be read as one".repeat(100)).unwrap();
    let path = |name: &str| sqlite.folder.path().join(name);
    newer(&path("newer.db"));
    foreign(&path("foreign.db"));
    stamped(&path("stamped.db"));
    text(&path("text.db"));

    for (name, expected) in [
        ("newer.db", "its schema has version 2, this program knows version 1"),
        ("foreign.db", "it is not an event log"),
        ("stamped.db", "it is not an event log"),
        ("text.db", "file is not a database"),
    ] {
        let path = path(name);

        let refused = sqlite.try_log(&path).err();

        let Some(Error::Unusable { path: named, reason }) = refused else { panic!("{name}: {refused:?}") };
        assert_eq!((named, reason.as_str()), (path.display().to_string(), expected));
    }
}

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let sqlite = Sqlite::new(Limits::default());

    let refused = sqlite.try_log(&sqlite.folder.path().join("absent/log.db")).err();

    assert!(matches!(&refused, Some(Error::Unusable { path, .. }) if path.ends_with("absent/log.db")), "{refused:?}");
}

#[test]
fn a_commit_is_synced_before_it_returns() {
    let sqlite = Sqlite::new(Limits::default());
    let files = Files::open(&sqlite.path()).unwrap();
    let pragma = |name: &str| -> String {
        let value = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        match files.connection.pragma_query_value(None, name, value).unwrap() {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{other:?}"),
        }
    };

    for (name, expected) in
        [("synchronous", "2"), ("journal_mode", "wal"), ("page_size", "8192"), ("wal_autocheckpoint", "500")]
    {
        assert_eq!(pragma(name), expected, "{name}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let (sqlite, log) = Sqlite::with_orders().await;
    log.append(orders("a")).await.unwrap();

    for file in fs::read_dir(sqlite.folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_acknowledged() {
    let (sqlite, log) = Sqlite::with_orders().await;
    let member = log.join("lanes", &["orders"]).await.unwrap();
    log.append(orders("a")).await.unwrap();
    log.append(orders("b")).await.unwrap();

    let left = snapshot(&sqlite, "killed");
    let recovered = sqlite.try_log(&left).unwrap();

    assert_eq!(values(&recovered).await, ["a", "b"]);
    assert_eq!(recovered.append(orders("c")).await.unwrap()[0].offset, 2);
    let next = recovered.join("lanes", &["orders"]).await.unwrap();
    let generations = [generation(member.as_ref()).await, generation(next.as_ref()).await];
    assert!(generations[1] > generations[0], "{generations:?}");
}

#[tokio::test]
async fn a_torn_write_ahead_log_loses_only_what_was_not_acknowledged() {
    let (sqlite, log) = Sqlite::with_orders().await;
    log.append(orders("a")).await.unwrap();
    let acknowledged = fs::metadata(wal(&sqlite.path())).unwrap().len();
    log.append(orders(&"b".repeat(50_000))).await.unwrap();
    let whole = fs::metadata(wal(&sqlite.path())).unwrap().len();

    for length in [acknowledged, acknowledged + 10, acknowledged + 9_000, whole - 1] {
        let left = snapshot(&sqlite, &format!("torn at {length}"));
        fs::OpenOptions::new().write(true).open(wal(&left)).unwrap().set_len(length).unwrap();

        let recovered = sqlite.try_log(&left).unwrap();

        assert_eq!(values(&recovered).await, ["a"], "cut at {length} of {whole}");
        assert_eq!(recovered.append(orders("c")).await.unwrap()[0].offset, 1);
        assert_eq!(values(&recovered).await, ["a", "c"]);
    }
}

#[tokio::test]
async fn records_missing_from_the_files_are_reported() {
    let (sqlite, log) = Sqlite::with_orders().await;
    for value in ["a", "b", "c"] {
        log.append(orders(value)).await.unwrap();
    }
    drop(log);
    let damage = "DELETE FROM records_0 WHERE offset < 2";
    Connection::open(sqlite.path()).unwrap().execute_batch(damage).unwrap();

    let log = sqlite.log();
    let error = log.read("orders", 0, 0, ALL).await.unwrap_err();

    let Error::Unusable { reason, .. } = error else { panic!("{error:?}") };
    assert_eq!(reason, "record `orders`/0/0 is missing");
}

/// What a process that is killed now leaves behind: nothing is being written, nothing is closed.
fn snapshot(sqlite: &Sqlite, name: &str) -> PathBuf {
    let left = sqlite.folder.path().join(name);
    fs::copy(sqlite.path(), &left).unwrap();
    fs::copy(wal(&sqlite.path()), wal(&left)).unwrap();
    left
}

fn wal(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

async fn generation(member: &dyn Membership) -> u64 {
    match member.next().await.unwrap() {
        Ownership::Assigned(lanes) => lanes[0].generation,
        Ownership::Revoked(lanes) => panic!("{lanes:?}"),
    }
}
