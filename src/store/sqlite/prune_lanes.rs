//! Deletes what the lane engine needs no more. Nothing goes of a record that is outstanding or parked, and no trace of
//! a batch that was not seen confirmed: whoever takes the lane over would repeat it.

use rusqlite::{Transaction, named_params, params};

use crate::store::Keep;

/// Of one lane, below its border.
const BELOW_BORDER: &[&str] = &[
    "DELETE FROM lane_decisions WHERE (lane, topic, record_offset) IN (
         SELECT d.lane, d.topic, d.record_offset FROM lane_decisions AS d JOIN lanes USING (lane)
         WHERE d.lane = :lane AND d.seq < :border AND d.batch <= lanes.confirmed_batch
         ORDER BY d.seq LIMIT :rows)",
    "DELETE FROM claims WHERE (lane, seq, attempt) IN (
         SELECT c.lane, c.seq, c.attempt FROM claims AS c
         WHERE c.lane = :lane AND c.seq < :border
             AND NOT EXISTS (SELECT 1 FROM outstanding AS o WHERE o.lane = c.lane AND o.seq = c.seq)
             AND NOT EXISTS (SELECT 1 FROM parked_records AS p WHERE p.lane = c.lane AND p.seq = c.seq)
         ORDER BY c.seq LIMIT :rows)",
    "DELETE FROM ends WHERE (lane, seq) IN (
         SELECT e.lane, e.seq FROM ends AS e JOIN lanes USING (lane)
         WHERE e.lane = :lane AND e.seq < :border AND e.died_at IS NULL AND e.batch <= lanes.confirmed_batch
             AND NOT EXISTS (SELECT 1 FROM outstanding AS o WHERE o.lane = e.lane AND o.seq = e.seq)
             AND NOT EXISTS (SELECT 1 FROM parked_records AS p WHERE p.lane = e.lane AND p.seq = e.seq)
         ORDER BY e.seq LIMIT :rows)",
    "DELETE FROM released_records WHERE (lane, batch, seq) IN (
         SELECT r.lane, r.batch, r.seq FROM released_records AS r JOIN lanes USING (lane)
         WHERE r.lane = :lane AND r.decided < :border AND r.batch <= lanes.confirmed_batch
         ORDER BY r.batch LIMIT :rows)",
];

/// As old as orders may be: what dead letters may need that come back, and what goes with the orders themselves.
const WITH_ORDERS: &[&str] = &[
    "DELETE FROM ends WHERE (lane, seq) IN (
         SELECT e.lane, e.seq FROM ends AS e JOIN lanes USING (lane)
         WHERE e.died_at < ?1 AND e.batch <= lanes.confirmed_batch
             AND NOT EXISTS (SELECT 1 FROM outstanding AS o WHERE o.lane = e.lane AND o.seq = e.seq)
         ORDER BY e.died_at LIMIT ?2)",
    "DELETE FROM last_claims WHERE (lane, key) IN (
         SELECT lane, key FROM last_claims WHERE claimed_at < ?1 ORDER BY claimed_at LIMIT ?2)",
    "DELETE FROM links WHERE platform_id IN (
         SELECT platform_id FROM links WHERE changed_at < ?1 ORDER BY changed_at LIMIT ?2)",
    "DELETE FROM delivered WHERE (tenant_id, target, external_order_id, kind) IN (
         SELECT tenant_id, target, external_order_id, kind FROM delivered
         WHERE delivered_at < ?1 ORDER BY delivered_at LIMIT ?2)",
];

/// Deletes at most `rows` of each kind of one lane; returns how many.
pub(super) fn below(transaction: &Transaction<'_>, lane: i64, border: i64, rows: i64) -> rusqlite::Result<usize> {
    let mut deleted = 0;
    for sql in BELOW_BORDER {
        let params = named_params! { ":lane": lane, ":border": border, ":rows": rows };
        deleted += transaction.prepare_cached(sql)?.execute(params)?;
    }
    Ok(deleted)
}

/// Deletes at most `rows` of each kind, of any lane, that are older than `keep` says; returns how many.
pub(super) fn older(transaction: &Transaction<'_>, keep: &Keep, rows: i64) -> rusqlite::Result<usize> {
    let mut deleted = 0;
    for sql in WITH_ORDERS {
        deleted += transaction.prepare_cached(sql)?.execute(params![keep.orders_since, rows])?;
    }
    deleted += transaction
        .prepare_cached(
            "DELETE FROM commands WHERE (id, lane) IN (
                 SELECT id, lane FROM commands WHERE at < ?1 ORDER BY at LIMIT ?2)",
        )?
        .execute(params![keep.ledger_since, rows])?;
    Ok(deleted)
}
