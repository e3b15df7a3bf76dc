//! The conformance suite on SQLite, and what only this engine promises.

mod files;
mod subscriptions;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tempfile::TempDir;

use super::limits::Limits;
use super::{Options, SqliteLog};
use crate::clock::{Clock as _, ManualClock};
use crate::log::conformance::{Engine, Harness, conformance_suite};
use crate::log::{
    Append, Error, EventLog, LaneEffects, Membership, OffsetCommit, Ownership, ReadLimit, Record, Stored, TopicSpec,
};

/// A log in a folder of its own, on a clock that the test moves.
struct Sqlite {
    folder: TempDir,
    clock: Arc<ManualClock>,
    limits: Limits,
}

impl Sqlite {
    fn new(limits: Limits) -> Self {
        let clock = Arc::new(ManualClock::at(1_760_000_000_000));
        Self { folder: tempfile::tempdir().unwrap(), clock, limits }
    }

    /// A log with the topic `orders`.
    async fn with_orders() -> (Self, Arc<SqliteLog>) {
        let sqlite = Self::new(Limits::default());
        let log = sqlite.log();
        log.create_topic(&spec("orders")).await.unwrap();
        (sqlite, log)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log.db")
    }

    fn log(&self) -> Arc<SqliteLog> {
        self.try_log(&self.path()).unwrap()
    }

    fn try_log(&self, path: &Path) -> Result<Arc<SqliteLog>, Error> {
        let options = Options { group_commit_delay: Duration::ZERO, clock: self.clock.clone() };
        SqliteLog::open_within(path, options, self.limits)
    }
}

const ALL: ReadLimit = ReadLimit { records: usize::MAX, bytes: usize::MAX };

fn spec(name: &str) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions: 1, max_record_bytes: 1024 * 1024, retention: None }
}

fn orders(value: &str) -> Vec<Append> {
    let record = Record { value: Some(Bytes::copy_from_slice(value.as_bytes())), ..Record::default() };
    vec![Append { topic: "orders".into(), partition: Some(0), record }]
}

/// Every record of `orders`.
async fn records(log: &SqliteLog) -> Vec<Stored> {
    log.read("orders", 0, 0, ALL).await.unwrap()
}

async fn values(log: &SqliteLog) -> Vec<String> {
    let text = |stored: Stored| String::from_utf8(stored.record.value.unwrap().to_vec()).unwrap();
    records(log).await.into_iter().map(text).collect()
}

impl Engine for Sqlite {
    fn open(&self) -> BoxFuture<'_, Arc<dyn EventLog>> {
        let log: Arc<dyn EventLog> = self.log();
        Box::pin(std::future::ready(log))
    }

    fn pass_time(&self, by_ms: i64) -> BoxFuture<'_, ()> {
        self.clock.advance(by_ms);
        Box::pin(std::future::ready(()))
    }
}

mod with_defaults {
    use super::*;

    async fn open() -> Harness {
        Harness::new(Sqlite::new(Limits::default()), "").await
    }

    conformance_suite!(open);
}

/// Everything is read from the files, every write waits for room, and trims take many runs.
mod with_tight_limits {
    use super::*;

    async fn open() -> Harness {
        let limits = Limits {
            queue_bytes: 8 * 1024,
            batch_bytes: 8 * 1024,
            recent_bytes: 0,
            readers: 1,
            trim_records: 7,
            trim_bytes: 1024,
        };
        Harness::new(Sqlite::new(limits), "").await
    }

    conformance_suite!(open);
}
