//! The suite on the embedded engines.

use std::sync::Arc;
use std::time::Duration;

use super::world::{Engines, START};
use crate::clock::ManualClock;
use crate::log::sqlite::{Options, SqliteLog};
use crate::store;
use crate::store::sqlite::SqliteStore;

async fn open() -> Engines {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START));
    let options = Options { group_commit_delay: Duration::ZERO, clock: clock.clone() };
    let log = SqliteLog::open(&folder.path().join("log.db"), options).unwrap();
    let store = SqliteStore::open(&folder.path().join("store.db"), store::sqlite::Options::default()).unwrap();
    Engines { log, store, prefix: String::new(), clock, guard: Box::new(folder) }
}

super::suite!(open);

// One member of the group owns every lane, whoever else is tested on the same servers: not for shared ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_that_is_faulted_stops_no_other() {
    super::stages::a_stage_that_is_faulted_stops_no_other(open().await).await;
}
