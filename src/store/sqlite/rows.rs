//! Columns to values and back, wherever more than one statement needs it.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Type, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use crate::canonical::ids::{OrderKey, Sha256Digest};
use crate::store::{Accepted, Decision, LaneId, OrderState, Origin, Outcome, ParkedUpdate, Phase, Tombstone, effects};

/// `orders.phase` of a row that only holds an order's place in the ledger.
pub(super) const LEDGER_ONLY: i64 = 0;
pub(super) const TOMBSTONE: i64 = 4;

/// `orders.phase`.
pub(super) fn phase_code(phase: &Phase) -> i64 {
    match phase {
        Phase::Unknown => 1,
        Phase::Received(_) => 2,
        Phase::Cancelled(_) => 3,
        Phase::Tombstone(_) => TOMBSTONE,
    }
}

/// `outcome` of a decision.
pub(super) fn outcome_code(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Accepted => 1,
        Outcome::Duplicate => 2,
        Outcome::Stale => 3,
        Outcome::Parked => 4,
        Outcome::Suppressed => 5,
        Outcome::Ignored => 6,
        Outcome::Rejected => 7,
        Outcome::Expired => 8,
    }
}

impl FromSql for Outcome {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value.as_i64()? {
            1 => Self::Accepted,
            2 => Self::Duplicate,
            3 => Self::Stale,
            4 => Self::Parked,
            5 => Self::Suppressed,
            6 => Self::Ignored,
            7 => Self::Rejected,
            8 => Self::Expired,
            other => return Err(FromSqlError::OutOfRange(other)),
        })
    }
}

impl FromSql for Sha256Digest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(Self)
    }
}

/// A number of ours as SQLite's signed one. Only a broken caller counts beyond it.
pub(super) fn signed(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|cause| rusqlite::Error::ToSqlConversionFailure(Box::new(cause)))
}

/// A count as it was stored by [`signed`].
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

pub(super) fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

/// The number that stands for the lane, if it was ever taken.
pub(super) fn lane_number(connection: &Connection, lane: &LaneId) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT lane FROM lanes WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![&*lane.topic, lane.partition], |row| row.get(0))
        .optional()
}

/// Columns: phase, tenant_id, source_key, external_order_id, changed_at, revision, digest, transformation_version,
/// canonical, tombstone_offset, cancelled_at, reason_code, reason, expires_at.
pub(super) fn order_state(row: &Row<'_>) -> rusqlite::Result<OrderState> {
    let accepted = || -> rusqlite::Result<Accepted> {
        Ok(Accepted {
            revision: row.get(5)?,
            digest: row.get(6)?,
            transformation_version: row.get(7)?,
            canonical: row.get::<_, Vec<u8>>(8)?.into(),
        })
    };
    let phase = match row.get(0)? {
        1 => Phase::Unknown,
        2 => Phase::Received(accepted()?),
        3 => Phase::Cancelled(accepted()?),
        TOMBSTONE => Phase::Tombstone(Tombstone {
            offset: row.get(9)?,
            cancelled_at: row.get(10)?,
            reason_code: row.get(11)?,
            reason: row.get(12)?,
            expires_at: row.get(13)?,
        }),
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(0, other)),
    };
    let key = OrderKey { tenant_id: row.get(1)?, source_key: row.get(2)?, external_order_id: row.get(3)? };
    Ok(OrderState { key, phase, parked: Vec::new(), changed_at: row.get(4)? })
}

/// Columns: record_offset, revision, expires_at, traceparent, value.
pub(super) fn parked_update(row: &Row<'_>) -> rusqlite::Result<ParkedUpdate> {
    Ok(ParkedUpdate {
        offset: row.get(0)?,
        revision: row.get(1)?,
        expires_at: row.get(2)?,
        traceparent: row.get(3)?,
        value: row.get::<_, Vec<u8>>(4)?.into(),
    })
}

/// Columns: record_offset, released, timer.
pub(super) fn origin(row: &Row<'_>, first: usize) -> rusqlite::Result<Origin> {
    let offset = row.get(first)?;
    if let Some(parked) = row.get(first + 1)? {
        return Ok(Origin::Release { offset, parked });
    }
    match row.get::<_, Option<i64>>(first + 2)? {
        Some(_) => Ok(Origin::Timer { number: unsigned(row, first + 2)?, offset }),
        None => Ok(Origin::Record { offset }),
    }
}

/// Columns: record_offset, released, timer, outcome, decided_at, effects.
pub(super) fn decision(row: &Row<'_>) -> rusqlite::Result<Decision> {
    let encoded: Vec<u8> = row.get(5)?;
    let effects = effects::decode(encoded.into())
        .map_err(|cause| rusqlite::Error::FromSqlConversionFailure(5, Type::Blob, Box::new(cause)))?;
    Ok(Decision { origin: origin(row, 0)?, outcome: row.get(3)?, effects, decided_at: row.get(4)? })
}

/// All rows of a statement.
pub(super) fn all<T>(
    statement: &mut CachedStatement<'_>,
    params: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    statement.query_map(params, read)?.collect()
}
