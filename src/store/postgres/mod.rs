//! The scaled-out store: tables in one schema of a PostgreSQL server (14 or newer) that several gateways share.
//!
//! Lanes write on connections of their own, at the same time. A lane is fenced by its row: a write holds the row's
//! lock from its first statement to its commit, and whoever takes the lane over waits for that lock. An owner that
//! freezes in between loses its transaction, and with it the lock, after `idle_transaction_timeout`.
//!
//! Nothing is retried here. A lost connection, a restarted server or a time-out is [`Error::Unavailable`], and the
//! same call again is safe: a write whose commit was not answered finds its decisions and changes nothing. Not for a
//! proxy that shares a connection between transactions: statements are prepared, and settings belong to the session.

mod audit;
mod claims;
mod columns;
mod failure;
mod failures;
mod jobs;
mod lane_columns;
mod lane_read;
mod lane_write;
mod lanes;
mod links;
mod migrate;
mod options;
mod outstanding;
mod pool;
mod prune;
mod prune_lanes;
mod read;
mod recovery;
mod rows;
mod tls;
mod write;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::canonical::ids::Sha256Digest;
use crate::store::{Counts, Decision, Due, Error, Keep, LaneId, LaneRow, LaneWrite, LedgerEntry, OrderState, Store};
use failure::Failure;
pub use options::{ClientCertificate, Options, Tls};
use pool::Pool;

/// The [`Store`] on a PostgreSQL server. Dropping it closes its connections.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
    call_timeout: Duration,
    /// Names the store in errors.
    name: String,
}

impl PostgresStore {
    /// Connects, makes the schema if absent and brings its tables to this build's version. Waits while another
    /// gateway does the same.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the server cannot be reached now; [`Error::Unusable`] if it refuses this gateway
    /// (password, certificate, rights), is older than version 14 or does not sync its commits, if the schema is of a
    /// newer version or of something else, and if an option or a file it names is ill-formed.
    pub async fn open(options: Options) -> Result<Arc<Self>, Error> {
        let config = options.connection()?;
        let name = options.name(&config);
        let pool = Pool::new(&options, config, &name)?;
        migrate::migrate(&pool, &options.schema, &name).await.map_err(|failure| failure.into_error(&name))?;
        Ok(Arc::new(Self { pool, call_timeout: options.call_timeout(), name }))
    }

    /// Gives a call up that the server leaves without an answer: its own limits help only while it runs.
    async fn call<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Error> {
        let answer = tokio::time::timeout(self.call_timeout, work).await;
        answer.unwrap_or(Err(Failure::Late(self.call_timeout))).map_err(|failure| failure.into_error(&self.name))
    }
}

impl Store for PostgresStore {
    fn take_lane(&self, lane: &LaneId) -> BoxFuture<'_, Result<LaneRow, Error>> {
        let lane = lane.clone();
        Box::pin(self.call(async move { write::take_lane(&self.pool, &lane).await }))
    }

    fn write(&self, write: LaneWrite) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.call(async move { write::write(&self.pool, &write).await }))
    }

    fn orders(&self, ids: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<Option<OrderState>>, Error>> {
        Box::pin(self.call(async move { read::orders(&self.pool, &ids).await }))
    }

    fn decisions(&self, lane: &LaneId, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<Decision>, Error>> {
        let lane = lane.clone();
        Box::pin(self.call(async move { read::decisions(&self.pool, &lane, from, to).await }))
    }

    fn timer_decisions(&self, lane: &LaneId, after: u64) -> BoxFuture<'_, Result<Vec<Decision>, Error>> {
        let lane = lane.clone();
        Box::pin(self.call(async move { read::timer_decisions(&self.pool, &lane, after).await }))
    }

    fn due(&self, lane: &LaneId, now_ms: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Due>, Error>> {
        let lane = lane.clone();
        Box::pin(self.call(async move { read::due(&self.pool, &lane, now_ms, limit).await }))
    }

    fn published_events(&self, ids: Vec<Uuid>) -> BoxFuture<'_, Result<HashSet<Uuid>, Error>> {
        Box::pin(self.call(async move { read::published_events(&self.pool, &ids).await }))
    }

    fn payload(&self, digest: Sha256Digest) -> BoxFuture<'_, Result<Option<Bytes>, Error>> {
        Box::pin(self.call(read::payload(&self.pool, digest)))
    }

    fn ledger(&self, order: Uuid) -> BoxFuture<'_, Result<Vec<LedgerEntry>, Error>> {
        Box::pin(self.call(read::ledger(&self.pool, order)))
    }

    fn prune(&self, keep: Keep) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(self.call(async move { prune::prune(&self.pool, &keep).await }))
    }

    fn counts(&self) -> BoxFuture<'_, Result<Counts, Error>> {
        Box::pin(self.call(read::counts(&self.pool)))
    }
}

#[cfg(all(test, feature = "test-postgres"))]
mod tests;
