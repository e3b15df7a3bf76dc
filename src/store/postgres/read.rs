//! Every question the store answers, each by one statement, and so of one state of the store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::canonical::ids::Sha256Digest;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::pool::Pool;
use crate::store::postgres::rows;
use crate::store::{Counts, Decision, Due, DueKind, LaneId, LedgerEntry, OrderState, Origin};

pub(super) async fn orders(pool: &Pool, ids: &[Uuid]) -> Result<Vec<Option<OrderState>>, Failure> {
    let mut found: HashMap<Uuid, OrderState> = HashMap::with_capacity(ids.len());
    for row in &rows(pool, include_str!("sql/orders.sql"), &[&ids]).await? {
        let id = rows::get(row, 0)?;
        let parked = rows::parked_update(row, 15)?;
        let state = match found.remove(&id) {
            Some(state) => state,
            None => rows::order_state(row, 1)?,
        };
        found.entry(id).or_insert(state).parked.extend(parked);
    }
    for state in found.values_mut() {
        state.parked.sort_by_key(|update| (update.revision, update.offset));
    }
    Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
}

pub(super) async fn published_events(pool: &Pool, ids: &[Uuid]) -> Result<HashSet<Uuid>, Failure> {
    let found = rows(pool, include_str!("sql/published_events.sql"), &[&ids]).await?;
    found.iter().map(|row| rows::get(row, 0)).collect()
}

pub(super) async fn decisions(pool: &Pool, lane: &LaneId, from: i64, to: i64) -> Result<Vec<Decision>, Failure> {
    let partition = i64::from(lane.partition);
    let found = rows(pool, include_str!("sql/decisions.sql"), &[&&*lane.topic, &partition, &from, &to]).await?;
    found
        .iter()
        .map(|row| {
            Ok(Decision {
                origin: rows::record_origin(rows::get(row, 0)?, rows::get(row, 1)?),
                outcome: rows::outcome(row, 2)?,
                decided_at: rows::get(row, 3)?,
                effects: rows::effects(row, 4)?,
            })
        })
        .collect()
}

pub(super) async fn timer_decisions(pool: &Pool, lane: &LaneId, after: u64) -> Result<Vec<Decision>, Failure> {
    let partition = i64::from(lane.partition);
    // No timer has a number beyond PostgreSQL's largest.
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let found = rows(pool, include_str!("sql/timer_decisions.sql"), &[&&*lane.topic, &partition, &after]).await?;
    found
        .iter()
        .map(|row| {
            Ok(Decision {
                origin: Origin::Timer { number: rows::unsigned(row, 0)?, offset: rows::get(row, 1)? },
                outcome: rows::outcome(row, 2)?,
                decided_at: rows::get(row, 3)?,
                effects: rows::effects(row, 4)?,
            })
        })
        .collect()
}

pub(super) async fn due(pool: &Pool, lane: &LaneId, now_ms: i64, limit: usize) -> Result<Vec<Due>, Failure> {
    let partition = i64::from(lane.partition);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = rows(pool, include_str!("sql/due.sql"), &[&&*lane.topic, &partition, &now_ms, &limit]).await?;
    found
        .iter()
        .map(|row| {
            let kind = if rows::get(row, 1)? { DueKind::Tombstone } else { DueKind::ParkedUpdate };
            Ok(Due { order: rows::get(row, 0)?, kind, offset: rows::get(row, 2)?, expires_at: rows::get(row, 3)? })
        })
        .collect()
}

pub(super) async fn payload(pool: &Pool, digest: Sha256Digest) -> Result<Option<Bytes>, Failure> {
    let found = rows(pool, include_str!("sql/payload.sql"), &[&digest.0.as_slice()]).await?;
    found.first().map(|row| rows::bytes(row, 0)).transpose()
}

pub(super) async fn ledger(pool: &Pool, order: Uuid) -> Result<Vec<LedgerEntry>, Failure> {
    let found = rows(pool, include_str!("sql/ledger.sql"), &[&order]).await?;
    found
        .iter()
        .map(|row| {
            let lane = LaneId { topic: Arc::from(rows::get::<&str>(row, 0)?), partition: partition(row, 1)? };
            let offset = rows::get(row, 2)?;
            let origin = match (rows::get(row, 3)?, rows::get::<Option<i64>>(row, 4)?) {
                (Some(parked), _) => Origin::Release { offset, parked },
                (None, Some(_)) => Origin::Timer { number: rows::unsigned(row, 4)?, offset },
                (None, None) => Origin::Record { offset },
            };
            Ok(LedgerEntry { order, lane, origin, at: rows::get(row, 5)?, detail: rows::text(row, 6)? })
        })
        .collect()
}

pub(super) async fn counts(pool: &Pool) -> Result<Counts, Failure> {
    let found = rows(pool, include_str!("sql/counts.sql"), &[]).await?;
    let Some(row) = found.first() else { return Ok(Counts::default()) };
    Ok(Counts {
        orders: rows::unsigned(row, 0)?,
        parked_updates: rows::unsigned(row, 1)?,
        tombstones: rows::unsigned(row, 2)?,
    })
}

/// The rows of one statement on a connection of its own.
pub(super) async fn rows(pool: &Pool, statement: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
    let connection = pool.get().await?;
    let found = connection.rows(statement, params).await?;
    connection.release();
    Ok(found)
}

fn partition(row: &Row, column: usize) -> Result<u32, Failure> {
    let number: i64 = rows::get(row, column)?;
    u32::try_from(number).map_err(|_| Failure::Value(format!("a lane has the partition {number}")))
}
