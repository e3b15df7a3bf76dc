//! The lane engine's lanes, as calls of the store's threads.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::lane::batch::ClaimAnswer;
use crate::lane::place::{Seq, Topic};
use crate::store::lanes::{
    BatchWrite, CommandOutcomeRow, Decided, DeliveredOf, KeyCursor, KeyFilter, KeyRow, LaneStore, Link, OutstandingRow,
    Parked, Released, Settle, Taken,
};
use crate::store::recovery::MAX_PAGE;
use crate::store::sqlite::{SqliteStore, lane_read, lane_write, links, outstanding};
use crate::store::{Error, LaneId};

impl LaneStore for SqliteStore {
    fn take_over(&self, lane: &LaneId) -> BoxFuture<'_, Result<Taken, Error>> {
        let lane = lane.clone();
        Box::pin(self.writer.run(move |transaction| lane_write::take_over(transaction, &lane).map(Ok)))
    }

    fn write_batch(&self, write: BatchWrite) -> BoxFuture<'_, Result<Vec<ClaimAnswer>, Error>> {
        Box::pin(self.writer.run(move |transaction| lane_write::write_batch(transaction, &write)))
    }

    fn settle(&self, settle: Settle) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.writer.run(move |transaction| lane_write::settle(transaction, &settle)))
    }

    fn decided_in(
        &self,
        lane: &LaneId,
        topic: Topic,
        from: i64,
        to: i64,
    ) -> BoxFuture<'_, Result<Vec<Decided>, Error>> {
        let lane = lane.clone();
        Box::pin(self.readers.run(move |snapshot| lane_read::decided_in(snapshot, &lane, topic, from, to)))
    }

    fn released_after(&self, lane: &LaneId, after: u64) -> BoxFuture<'_, Result<Vec<Released>, Error>> {
        let lane = lane.clone();
        Box::pin(self.readers.run(move |snapshot| lane_read::released_after(snapshot, &lane, after)))
    }

    fn ended(&self, lane: &LaneId, seqs: Vec<Seq>) -> BoxFuture<'_, Result<BTreeMap<Seq, u32>, Error>> {
        let lane = lane.clone();
        Box::pin(self.readers.run(move |snapshot| lane_read::ended(snapshot, &lane, &seqs)))
    }

    fn executed(&self, lane: &LaneId, ids: Vec<String>) -> BoxFuture<'_, Result<HashSet<String>, Error>> {
        let lane = lane.clone();
        Box::pin(self.readers.run(move |snapshot| lane_read::executed(snapshot, &lane, ids)))
    }

    fn releasable(&self, lane: &LaneId, now_ms: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Parked>, Error>> {
        let lane = lane.clone();
        Box::pin(self.readers.run(move |snapshot| lane_read::releasable(snapshot, &lane, now_ms, limit)))
    }

    fn links(&self, ids: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Link>>, Error>> {
        Box::pin(self.readers.run(move |snapshot| links::links(snapshot, &ids)))
    }

    fn orders_called(
        &self,
        source_key: &str,
        external_order_id: &str,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Link>, Error>> {
        let (source, external) = (source_key.to_owned(), external_order_id.to_owned());
        Box::pin(self.readers.run(move |snapshot| links::orders_called(snapshot, &source, &external, limit)))
    }

    fn delivered(&self, of: Vec<DeliveredOf>) -> BoxFuture<'_, Result<Vec<Option<String>>, Error>> {
        Box::pin(self.readers.run(move |snapshot| links::delivered(snapshot, &of)))
    }

    fn keys(
        &self,
        filter: KeyFilter,
        after: Option<KeyCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<KeyRow>, Error>> {
        let limit = limit.min(MAX_PAGE);
        Box::pin(self.readers.run(move |snapshot| outstanding::keys(snapshot, &filter, after, limit)))
    }

    fn key_records(
        &self,
        lane: &LaneId,
        key: Bytes,
        from: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<OutstandingRow>, Error>> {
        let lane = lane.clone();
        Box::pin(self.readers.run(move |snapshot| outstanding::key_records(snapshot, &lane, &key, from, limit)))
    }

    fn command_outcomes(&self, ids: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<CommandOutcomeRow>>, Error>> {
        Box::pin(self.readers.run(move |snapshot| lane_read::command_outcomes(snapshot, &ids)))
    }
}
