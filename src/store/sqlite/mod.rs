//! The embedded store: one SQLite file (WAL, `synchronous=FULL`), owned by one process.
//!
//! One thread writes and shares each transaction, and so each sync, among all calls that wait (`writer`). A few
//! threads read, each from its own connection (`readers`). No caller ever blocks on the disk.
//!
//! What an order costs hardly depends on how many are stored: its rows are appended, and of its two random keys only
//! the order's id is spread over a whole index (`payloads` says how the digest is not). `migrations/` says so table by
//! table. A rejection costs one more, that of its event.

mod audit;
mod claims;
mod events;
mod failures;
mod file;
mod jobs;
mod lane_read;
mod lane_write;
mod lanes;
mod links;
mod outstanding;
mod payloads;
mod prune;
mod prune_lanes;
mod read;
mod readers;
mod recovery;
mod rows;
mod write;
mod writer;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::canonical::ids::Sha256Digest;
use crate::store::{Counts, Decision, Due, Error, Keep, LaneId, LaneRow, LaneWrite, LedgerEntry, OrderState, Store};
use readers::Readers;
use writer::Writer;

/// The [`Store`] in one SQLite file. Dropping it ends its threads and frees the file for the next owner.
#[derive(Debug)]
pub struct SqliteStore {
    // Before the lock: fields are dropped in this order, and the threads hold the connections.
    readers: Readers,
    writer: Writer,
    _lock: file::Lock,
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that read, each with its own connection. At least one is started.
    pub readers: usize,
    /// Memory for pages of the writing connection. The index of order ids should fit: about 40 bytes an order.
    pub writer_cache_bytes: u32,
    /// The same for each reading connection.
    pub reader_cache_bytes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 2, writer_cache_bytes: 64 << 20, reader_cache_bytes: 8 << 20 }
    }
}

impl SqliteStore {
    /// Opens the store at `path`, creates it and its folder if absent, and brings it to this build's version.
    /// Blocks for the time of a migration.
    ///
    /// # Errors
    /// [`Error::Unusable`] if another process has it open, or if the file is damaged, foreign or of a newer version;
    /// [`Error::Unavailable`] if the disk refuses.
    pub fn open(path: &Path, options: Options) -> Result<Arc<Self>, Error> {
        let lock = file::Lock::take(path)?;
        let connection = file::open_writer(path, options.writer_cache_bytes)?;
        let shown: Arc<str> = path.display().to_string().into();
        let writer = Writer::start(connection, Arc::clone(&shown))?;
        let connections = (0..options.readers.max(1))
            .map(|_| file::open_reader(path, options.reader_cache_bytes))
            .collect::<Result<_, _>>()?;
        let readers = Readers::start(connections, shown)?;
        Ok(Arc::new(Self { readers, writer, _lock: lock }))
    }
}

impl Store for SqliteStore {
    fn take_lane(&self, lane: &LaneId) -> BoxFuture<'_, Result<LaneRow, Error>> {
        let lane = lane.clone();
        Box::pin(self.writer.run(move |transaction| write::take_lane(transaction, &lane).map(Ok)))
    }

    fn write(&self, write: LaneWrite) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.writer.run(move |transaction| write::write(transaction, &write)))
    }

    fn orders(&self, ids: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<Option<OrderState>>, Error>> {
        Box::pin(self.readers.run(move |snapshot| read::orders(snapshot, &ids)))
    }

    fn decisions(&self, lane: &LaneId, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<Decision>, Error>> {
        let lane = lane.clone();
        Box::pin(self.readers.run(move |snapshot| read::decisions(snapshot, &lane, from, to)))
    }

    fn timer_decisions(&self, lane: &LaneId, after: u64) -> BoxFuture<'_, Result<Vec<Decision>, Error>> {
        let lane = lane.clone();
        Box::pin(self.readers.run(move |snapshot| read::timer_decisions(snapshot, &lane, after)))
    }

    fn due(&self, lane: &LaneId, now_ms: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Due>, Error>> {
        let lane = lane.clone();
        Box::pin(self.readers.run(move |snapshot| read::due(snapshot, &lane, now_ms, limit)))
    }

    fn published_events(&self, ids: Vec<Uuid>) -> BoxFuture<'_, Result<HashSet<Uuid>, Error>> {
        Box::pin(self.readers.run(move |snapshot| events::read(snapshot, &ids)))
    }

    fn payload(&self, digest: Sha256Digest) -> BoxFuture<'_, Result<Option<Bytes>, Error>> {
        Box::pin(self.readers.run(move |snapshot| payloads::read(snapshot, digest)))
    }

    fn ledger(&self, order: Uuid) -> BoxFuture<'_, Result<Vec<LedgerEntry>, Error>> {
        Box::pin(self.readers.run(move |snapshot| read::ledger(snapshot, order)))
    }

    fn prune(&self, keep: Keep) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(self.writer.run(move |transaction| prune::prune(transaction, &keep).map(Ok)))
    }

    fn counts(&self) -> BoxFuture<'_, Result<Counts, Error>> {
        Box::pin(self.readers.run(read::counts))
    }
}

/// What a failure of SQLite means to the caller. `path`: the store's file, for people.
fn failure(path: &str, cause: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};

    let unreadable = matches!(
        cause,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
    );
    match cause.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => Error::Unusable { path: path.to_owned(), reason: cause.to_string() },
        _ if unreadable => Error::Unusable { path: path.to_owned(), reason: cause.to_string() },
        _ => Error::Unavailable { reason: cause.to_string() },
    }
}

#[cfg(test)]
mod tests;
