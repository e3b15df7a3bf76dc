//! Deletes what is past its time, a bounded number of rows a call, so that no lane waits long behind it.

use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::store::Keep;
use crate::store::sqlite::{events, failures, jobs, payloads, prune_lanes, rows};

/// Most rows one call deletes of each kind.
const ROWS: i64 = 500;

/// Returns the number of rows deleted; 0 if nothing is past its time.
pub(super) fn prune(transaction: &Transaction<'_>, keep: &Keep) -> rusqlite::Result<u64> {
    let mut deleted = payloads::prune(transaction, keep.payloads_since, ROWS)?;
    for (lane, border) in &keep.decisions_from {
        if let Some(lane) = rows::lane_number(transaction, lane)? {
            deleted += decisions(transaction, lane, *border)? + timer_decisions(transaction, lane, *border)?;
            deleted += prune_lanes::below(transaction, lane, *border, ROWS)?;
        }
    }
    deleted += prune_lanes::older(transaction, keep, ROWS)?;
    deleted += events::prune(transaction, keep.events_since, ROWS)?;
    // The ledger before the orders: an order without ledger rows goes whole.
    deleted += ledger(transaction, keep.ledger_since)?;
    deleted += orders(transaction, keep.orders_since)?;
    deleted += failures::prune(transaction, keep.failures_since, ROWS)?;
    deleted += jobs::prune(transaction, keep.failures_since, ROWS)?;
    Ok(deleted as u64)
}

fn decisions(transaction: &Transaction<'_>, lane: i64, border: i64) -> rusqlite::Result<usize> {
    // The offset this call reaches; all steps of an offset go together.
    let reached: Option<i64> = transaction
        .prepare_cached(
            "SELECT record_offset FROM decisions WHERE lane = ?1 AND record_offset < ?2
             ORDER BY record_offset LIMIT 1 OFFSET ?3",
        )?
        .query_row(params![lane, border, ROWS - 1], |row| row.get(0))
        .optional()?;
    let border = reached.map_or(border, |reached| reached + 1);
    transaction
        .prepare_cached("DELETE FROM decisions WHERE lane = ?1 AND record_offset < ?2")?
        .execute(params![lane, border])
}

fn timer_decisions(transaction: &Transaction<'_>, lane: i64, border: i64) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "DELETE FROM timer_decisions WHERE lane = ?1 AND number IN (
                 SELECT number FROM timer_decisions WHERE lane = ?1 AND decided < ?2 ORDER BY number LIMIT ?3)",
        )?
        .execute(params![lane, border, ROWS])
}

fn ledger(transaction: &Transaction<'_>, since: i64) -> rusqlite::Result<usize> {
    let mut statement =
        transaction.prepare_cached("SELECT order_number, seq FROM ledger WHERE at < ?1 ORDER BY at LIMIT ?2")?;
    let old =
        rows::all(&mut statement, params![since, ROWS], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    for (order, seq) in &old {
        transaction
            .prepare_cached("DELETE FROM ledger WHERE order_number = ?1 AND seq = ?2")?
            .execute(params![order, seq])?;
        transaction
            .prepare_cached(
                "DELETE FROM orders WHERE number = ?1 AND phase = 0
                     AND NOT EXISTS (SELECT 1 FROM ledger WHERE order_number = ?1)",
            )?
            .execute([order])?;
    }
    Ok(old.len())
}

fn orders(transaction: &Transaction<'_>, since: i64) -> rusqlite::Result<usize> {
    // A tombstone is a parked record too: its lane ends it at its deadline, never this.
    let mut statement = transaction.prepare_cached(
        "SELECT number, lane, EXISTS (SELECT 1 FROM ledger WHERE order_number = number) FROM orders
         WHERE changed_at < ?1 AND phase <> 4
             AND NOT EXISTS (SELECT 1 FROM parked_updates WHERE order_number = number)
         ORDER BY changed_at LIMIT ?2",
    )?;
    let old = rows::all(&mut statement, params![since, ROWS], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?))
    })?;
    for (number, lane, has_ledger) in &old {
        let sql = if *has_ledger {
            "UPDATE orders SET phase = 0, changed_at = NULL, tenant_id = NULL, source_key = NULL,
                 external_order_id = NULL, revision = NULL, digest = NULL, transformation_version = NULL,
                 canonical = NULL WHERE number = ?1"
        } else {
            "DELETE FROM orders WHERE number = ?1"
        };
        transaction.prepare_cached(sql)?.execute([number])?;
        transaction.prepare_cached("UPDATE lanes SET orders = orders - 1 WHERE lane = ?1")?.execute([lane])?;
    }
    Ok(old.len())
}
