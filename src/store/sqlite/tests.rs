//! The conformance suite on SQLite, and what only this engine promises.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;

use futures_util::future::join4;
use tempfile::TempDir;

use super::{Options, SqliteStore};
use crate::canonical::ids::Sha256Digest;
use crate::store::conformance::samples::keep;
use crate::store::conformance::{Harness, conformance_suite};
use crate::store::{Error, Keep, LaneId, LaneWrite, Payload, PublishedEvent, Store};

struct Folder {
    // First, so that it is closed before its folder goes.
    store: Arc<SqliteStore>,
    folder: TempDir,
}

impl Folder {
    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }
}

impl Harness for Folder {
    fn store(&self) -> &dyn Store {
        &*self.store
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn reopen(self) -> Self {
        let Self { store, folder } = self;
        drop(store);
        let store = open_at(&folder.path().join("store.db")).unwrap();
        Self { store, folder }
    }
}

async fn open() -> Folder {
    let folder = TempDir::new().unwrap();
    let store = open_at(&folder.path().join("store.db")).unwrap();
    Folder { store, folder }
}

fn open_at(path: &Path) -> Result<Arc<SqliteStore>, Error> {
    SqliteStore::open(path, Options::default())
}

conformance_suite!(open);

fn reason(result: Result<Arc<SqliteStore>, Error>) -> String {
    match result {
        Err(Error::Unusable { reason, .. }) => reason,
        Err(other) => panic!("expected an unusable store, found: {other}"),
        Ok(_) => panic!("expected an unusable store, it was opened"),
    }
}

fn lane() -> LaneId {
    LaneId { topic: "crossdock.intake".into(), partition: 0 }
}

/// A write of nothing but one payload of `len` bytes.
fn payload_of(len: usize, epoch: u64) -> LaneWrite {
    let bytes: bytes::Bytes = vec![0x61; len].into();
    let digest = Sha256Digest::of(&bytes);
    LaneWrite {
        lane: lane(),
        epoch,
        decided: 0,
        confirmed: 0,
        timers: 0,
        balance: Default::default(),
        decisions: Vec::new(),
        orders: Vec::new(),
        payloads: vec![Payload { digest, bytes, received_at: 1 }],
        events: Vec::new(),
        ledger: Vec::new(),
    }
}

/// Lets the file grow by `pages` at most.
async fn limit_growth(store: &SqliteStore, pages: i64) {
    let limit = move |transaction: &rusqlite::Transaction<'_>| {
        let used: i64 = transaction.pragma_query_value(None, "page_count", |row| row.get(0))?;
        transaction.pragma_update_and_check(None, "max_page_count", used + pages, |_| Ok(()))?;
        Ok(Ok(()))
    };
    store.writer.run(limit).await.unwrap();
}

#[tokio::test]
async fn a_second_opening_is_refused_until_the_first_is_dropped() {
    let first = open().await;

    assert_eq!(reason(open_at(&first.path())), "it is already open, by this or another process");

    first.reopen().await;
}

#[tokio::test]
async fn a_newer_version_is_refused() {
    let Folder { store, folder } = open().await;
    let path = folder.path().join("store.db");
    drop(store);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();

    assert_eq!(reason(open_at(&path)), "it has version 99, this build knows up to 5");
}

#[tokio::test]
async fn a_store_of_the_first_version_is_brought_to_this_one() {
    let opened = open().await;
    let row = opened.store.take_lane(&lane()).await.unwrap();
    opened.store.write(payload_of(10, row.epoch)).await.unwrap();
    let Folder { store, folder } = opened;
    let path = folder.path().join("store.db");
    drop(store);
    let before = "DROP TABLE replay_jobs; DROP TABLE replay_items; DROP TABLE replay_lease;
         DROP TABLE published_events; DROP TABLE failures; DROP TABLE audit;
         DROP TABLE lane_decisions; DROP TABLE claims; DROP TABLE ends; DROP TABLE last_claims; DROP TABLE commands;
         DROP TABLE parked_records; DROP TABLE wanted_ids; DROP TABLE released_records; DROP TABLE links;
         DROP TABLE delivered; DROP TABLE outstanding; DROP INDEX orders_by_external_id;
         ALTER TABLE lanes DROP COLUMN batch; ALTER TABLE lanes DROP COLUMN confirmed_batch;
         ALTER TABLE lanes DROP COLUMN checkpoint; PRAGMA user_version = 1";
    rusqlite::Connection::open(&path).unwrap().execute_batch(before).unwrap();

    let store = open_at(&path).unwrap();

    let event = PublishedEvent { id: uuid::Uuid::max(), published_at: 1 };
    store.write(LaneWrite { events: vec![event], ..payload_of(11, row.epoch) }).await.unwrap();
    assert_eq!(store.published_events(vec![event.id]).await.unwrap(), [event.id].into());
    assert!(store.payload(payload_of(10, 0).payloads[0].digest).await.unwrap().is_some(), "what was there is there");
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but longer than the header of one: ".repeat(20)).unwrap();
    let foreign = folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE notes (note TEXT)").unwrap();
    let before = std::fs::read(&foreign).unwrap();

    assert_eq!(reason(open_at(&text)), "file is not a database");
    assert_eq!(reason(open_at(&foreign)), "it is an SQLite file of something else");
    assert_eq!(std::fs::read(&foreign).unwrap(), before);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;

    let opened = open().await;
    opened.store.take_lane(&lane()).await.unwrap();

    for file in std::fs::read_dir(opened.folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn the_file_is_durable_at_each_commit() {
    let opened = open().await;
    let pragmas = |transaction: &rusqlite::Transaction<'_>| {
        let number = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let mode: String = transaction.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        Ok(Ok((mode, number("synchronous")?, number("page_size")?, number("wal_autocheckpoint")?)))
    };

    let found = opened.store.writer.run(pragmas).await.unwrap();

    assert_eq!(found, ("wal".to_owned(), 2, 8192, 500));
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_the_writer_goes_on_after_it() {
    let opened = open().await;
    let row = opened.store.take_lane(&lane()).await.unwrap();
    limit_growth(&opened.store, 2).await;

    let refused = opened.store.write(payload_of(1 << 20, row.epoch)).await;

    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    limit_growth(&opened.store, 1_000).await;
    opened.store.write(payload_of(1 << 20, row.epoch)).await.unwrap();
}

#[tokio::test]
async fn a_write_that_fails_leaves_those_it_shared_a_transaction_with() {
    let opened = open().await;
    let row = opened.store.take_lane(&lane()).await.unwrap();
    limit_growth(&opened.store, 8).await;
    let (open_gate, gate) = channel::<()>();
    let held = opened.store.writer.run(move |_| {
        let _ = gate.recv();
        Ok(Ok(()))
    });
    let large = opened.store.write(payload_of(1 << 20, row.epoch));
    let small = opened.store.write(payload_of(10, row.epoch));

    // Polled in this order: the gate opens once both writes wait behind it.
    let (held, large, small, ()) = join4(held, large, small, async move { drop(open_gate) }).await;

    held.unwrap();
    assert!(matches!(large, Err(Error::Unavailable { .. })), "{large:?}");
    small.unwrap();
    assert!(opened.store.payload(payload_of(10, 0).payloads[0].digest).await.unwrap().is_some());
}

#[tokio::test]
async fn two_payloads_whose_digests_begin_alike_are_two() {
    let opened = open().await;
    let row = opened.store.take_lane(&lane()).await.unwrap();
    let mut write = payload_of(1, row.epoch);
    for last in [1, 2] {
        let mut payload = write.payloads[0].clone();
        payload.digest.0[31] = last;
        payload.bytes = vec![last; 3].into();
        write.payloads.push(payload);
    }
    let payloads = write.payloads.clone();

    opened.store.write(write).await.unwrap();

    for payload in &payloads {
        assert_eq!(opened.store.payload(payload.digest).await.unwrap().as_ref(), Some(&payload.bytes));
    }
    let keep = Keep { payloads_since: 9, ..keep() };
    assert_eq!(opened.store.prune(keep).await.unwrap(), 3);
}

#[tokio::test]
async fn a_payload_is_found_whatever_its_generation() {
    const MANY: u32 = 3 * 4096;
    let opened = open().await;
    let row = opened.store.take_lane(&lane()).await.unwrap();
    let payload = |number: u32, received_at| {
        let bytes = bytes::Bytes::copy_from_slice(&number.to_be_bytes());
        Payload { digest: Sha256Digest::of(&bytes), bytes, received_at }
    };
    let write =
        LaneWrite { payloads: (0..MANY).map(|number| payload(number, 1)).collect(), ..payload_of(1, row.epoch) };
    opened.store.write(write).await.unwrap();
    // Long after the first time, and again at once.
    let write = LaneWrite { payloads: vec![payload(0, 5), payload(0, 6)], ..payload_of(1, row.epoch) };
    opened.store.write(write).await.unwrap();

    for number in [0, 1, 4094, 4095, 4096, 8191, 8192, MANY - 1] {
        let Payload { digest, bytes, .. } = payload(number, 1);
        assert_eq!(opened.store.payload(digest).await.unwrap(), Some(bytes), "{number}");
    }
    let keep = Keep { payloads_since: 6, ..keep() };
    while opened.store.prune(keep.clone()).await.unwrap() > 0 {}
    let Payload { digest, bytes, .. } = payload(0, 1);
    assert_eq!(opened.store.payload(digest).await.unwrap(), Some(bytes), "received last at 6");
    assert_eq!(opened.store.payload(payload(1, 1).digest).await.unwrap(), None);
}
