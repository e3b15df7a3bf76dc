//! The lane engine's lanes, as calls of the server.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::lane::batch::ClaimAnswer;
use crate::lane::place::{Seq, Topic};
use crate::store::lanes::{
    BatchWrite, CommandOutcomeRow, Decided, DeliveredOf, KeyCursor, KeyFilter, KeyRow, LaneStore, Link, OutstandingRow,
    Parked, Released, Settle, Taken,
};
use crate::store::postgres::{PostgresStore, lane_read, lane_write, links, outstanding};
use crate::store::recovery::MAX_PAGE;
use crate::store::{Error, LaneId};

impl LaneStore for PostgresStore {
    fn take_over(&self, lane: &LaneId) -> BoxFuture<'_, Result<Taken, Error>> {
        let lane = lane.clone();
        Box::pin(self.call(async move { lane_write::take_over(&self.pool, &lane).await }))
    }

    fn write_batch(&self, write: BatchWrite) -> BoxFuture<'_, Result<Vec<ClaimAnswer>, Error>> {
        Box::pin(self.call(async move { lane_write::write_batch(&self.pool, &write).await }))
    }

    fn settle(&self, settle: Settle) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.call(async move { lane_write::settle(&self.pool, &settle).await }))
    }

    fn decided_in(
        &self,
        lane: &LaneId,
        topic: Topic,
        from: i64,
        to: i64,
    ) -> BoxFuture<'_, Result<Vec<Decided>, Error>> {
        let lane = lane.clone();
        Box::pin(self.call(async move { lane_read::decided_in(&self.pool, &lane, topic, from, to).await }))
    }

    fn released_after(&self, lane: &LaneId, after: u64) -> BoxFuture<'_, Result<Vec<Released>, Error>> {
        let lane = lane.clone();
        Box::pin(self.call(async move { lane_read::released_after(&self.pool, &lane, after).await }))
    }

    fn ended(&self, lane: &LaneId, seqs: Vec<Seq>) -> BoxFuture<'_, Result<BTreeMap<Seq, u32>, Error>> {
        let lane = lane.clone();
        Box::pin(self.call(async move { lane_read::ended(&self.pool, &lane, &seqs).await }))
    }

    fn executed(&self, lane: &LaneId, ids: Vec<String>) -> BoxFuture<'_, Result<HashSet<String>, Error>> {
        let lane = lane.clone();
        Box::pin(self.call(async move { lane_read::executed(&self.pool, &lane, &ids).await }))
    }

    fn releasable(&self, lane: &LaneId, now_ms: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Parked>, Error>> {
        let lane = lane.clone();
        Box::pin(self.call(async move { lane_read::releasable(&self.pool, &lane, now_ms, limit).await }))
    }

    fn links(&self, ids: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Link>>, Error>> {
        Box::pin(self.call(async move { links::links(&self.pool, &ids).await }))
    }

    fn orders_called(
        &self,
        source_key: &str,
        external_order_id: &str,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Link>, Error>> {
        let (source, external) = (source_key.to_owned(), external_order_id.to_owned());
        Box::pin(self.call(async move { links::orders_called(&self.pool, &source, &external, limit).await }))
    }

    fn delivered(&self, of: Vec<DeliveredOf>) -> BoxFuture<'_, Result<Vec<Option<String>>, Error>> {
        Box::pin(self.call(async move { links::delivered(&self.pool, &of).await }))
    }

    fn keys(
        &self,
        filter: KeyFilter,
        after: Option<KeyCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<KeyRow>, Error>> {
        let limit = limit.min(MAX_PAGE);
        Box::pin(self.call(async move { outstanding::keys(&self.pool, &filter, after, limit).await }))
    }

    fn key_records(
        &self,
        lane: &LaneId,
        key: Bytes,
        from: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<OutstandingRow>, Error>> {
        let lane = lane.clone();
        Box::pin(self.call(async move { outstanding::key_records(&self.pool, &lane, &key, from, limit).await }))
    }

    fn command_outcomes(&self, ids: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<CommandOutcomeRow>>, Error>> {
        Box::pin(self.call(async move { lane_read::command_outcomes(&self.pool, &ids).await }))
    }
}
