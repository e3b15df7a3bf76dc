//! Every question the store answers, but for payloads.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, Transaction, params};
use uuid::Uuid;

use crate::store::sqlite::rows;
use crate::store::{Counts, Decision, Due, DueKind, LaneId, LedgerEntry, OrderState};

pub(super) fn orders(snapshot: &Transaction<'_>, ids: &[Uuid]) -> rusqlite::Result<Vec<Option<OrderState>>> {
    let mut order = snapshot.prepare_cached(
        "SELECT phase, tenant_id, source_key, external_order_id, changed_at, revision, digest,
                transformation_version, canonical, tombstone_offset, cancelled_at, reason_code, reason, expires_at,
                number
         FROM orders WHERE id = ?1 AND phase <> 0",
    )?;
    let mut parked = snapshot.prepare_cached(
        "SELECT record_offset, revision, expires_at, traceparent, value
         FROM parked_updates WHERE order_number = ?1 ORDER BY revision, record_offset",
    )?;
    let mut states = Vec::with_capacity(ids.len());
    for id in ids {
        let found =
            order.query_row([id.as_bytes()], |row| Ok((rows::order_state(row)?, row.get::<_, i64>(14)?))).optional()?;
        states.push(match found {
            None => None,
            Some((mut state, number)) => {
                state.parked = rows::all(&mut parked, [number], rows::parked_update)?;
                Some(state)
            }
        });
    }
    Ok(states)
}

pub(super) fn decisions(
    snapshot: &Transaction<'_>,
    lane: &LaneId,
    from: i64,
    to: i64,
) -> rusqlite::Result<Vec<Decision>> {
    let Some(lane) = rows::lane_number(snapshot, lane)? else { return Ok(Vec::new()) };
    let mut statement = snapshot.prepare_cached(
        "SELECT record_offset, released, NULL, outcome, decided_at, effects FROM decisions
         WHERE lane = ?1 AND record_offset >= ?2 AND record_offset < ?3 ORDER BY record_offset, step",
    )?;
    rows::all(&mut statement, params![lane, from, to], rows::decision)
}

pub(super) fn timer_decisions(
    snapshot: &Transaction<'_>,
    lane: &LaneId,
    after: u64,
) -> rusqlite::Result<Vec<Decision>> {
    let Some(lane) = rows::lane_number(snapshot, lane)? else { return Ok(Vec::new()) };
    // No timer has a number beyond SQLite's largest.
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let mut statement = snapshot.prepare_cached(
        "SELECT record_offset, NULL, number, outcome, decided_at, effects FROM timer_decisions
         WHERE lane = ?1 AND number > ?2 ORDER BY number",
    )?;
    rows::all(&mut statement, params![lane, after], rows::decision)
}

pub(super) fn due(snapshot: &Transaction<'_>, lane: &LaneId, now_ms: i64, limit: usize) -> rusqlite::Result<Vec<Due>> {
    let Some(lane) = rows::lane_number(snapshot, lane)? else { return Ok(Vec::new()) };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut updates = snapshot.prepare_cached(
        "SELECT orders.id, record_offset, parked_updates.expires_at
         FROM parked_updates JOIN orders ON orders.number = order_number
         WHERE parked_updates.lane = ?1 AND parked_updates.expires_at <= ?2
         ORDER BY parked_updates.expires_at, record_offset LIMIT ?3",
    )?;
    let mut tombstones = snapshot.prepare_cached(
        "SELECT id, tombstone_offset, expires_at FROM orders
         WHERE lane = ?1 AND expires_at <= ?2 ORDER BY expires_at, tombstone_offset LIMIT ?3",
    )?;
    let mut due = Vec::new();
    for (kind, statement) in [(DueKind::ParkedUpdate, &mut updates), (DueKind::Tombstone, &mut tombstones)] {
        due.extend(rows::all(statement, params![lane, now_ms, limit], |row| {
            Ok(Due { order: rows::uuid(row, 0)?, kind, offset: row.get(1)?, expires_at: row.get(2)? })
        })?);
    }
    due.sort_by_key(|due| (due.expires_at, due.offset));
    due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(due)
}

pub(super) fn ledger(snapshot: &Transaction<'_>, order: Uuid) -> rusqlite::Result<Vec<LedgerEntry>> {
    let mut statement = snapshot.prepare_cached(
        "SELECT topic, partition, record_offset, released, timer, at, detail
         FROM orders JOIN ledger ON order_number = number JOIN lanes ON lanes.lane = ledger.lane
         WHERE id = ?1 ORDER BY seq",
    )?;
    rows::all(&mut statement, [order.as_bytes()], |row| {
        let lane = LaneId { topic: Arc::from(row.get_ref(0)?.as_str()?), partition: row.get(1)? };
        Ok(LedgerEntry { order, lane, origin: rows::origin(row, 2)?, at: row.get(5)?, detail: row.get(6)? })
    })
}

pub(super) fn counts(snapshot: &Transaction<'_>) -> rusqlite::Result<Counts> {
    snapshot
        .prepare_cached(
            "SELECT coalesce(sum(orders), 0), coalesce(sum(parked_updates), 0), coalesce(sum(tombstones), 0)
             FROM lanes",
        )?
        .query_row([], |row| {
            Ok(Counts {
                orders: rows::unsigned(row, 0)?,
                parked_updates: rows::unsigned(row, 1)?,
                tombstones: rows::unsigned(row, 2)?,
            })
        })
}
