//! Deletes what the lane engine needs no more. Nothing goes of a record that is outstanding or parked, and no trace of
//! a batch that was not seen confirmed: whoever takes the lane over would repeat it.
//!
//! Rows are found by where they lie. One that is written meanwhile lies elsewhere then, and stays.

use tokio_postgres::types::ToSql;

use crate::store::Keep;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::lane_columns::of_lane;
use crate::store::postgres::pool::Connection;
use crate::store::postgres::prune::delete;

/// Of one lane, `$1` and `$2`, below its border.
const BELOW_BORDER: &[&str] = &[
    "DELETE FROM lane_decisions WHERE ctid = ANY (ARRAY(
         SELECT d.ctid FROM lane_decisions AS d JOIN lanes USING (lane)
         WHERE lanes.topic = $1 AND lanes.partition = $2 AND d.seq < $3 AND d.batch <= lanes.confirmed_batch
         ORDER BY d.seq LIMIT $4 FOR UPDATE OF d SKIP LOCKED))",
    "DELETE FROM claims WHERE ctid = ANY (ARRAY(
         SELECT c.ctid FROM claims AS c JOIN lanes USING (lane)
         WHERE lanes.topic = $1 AND lanes.partition = $2 AND c.seq < $3
             AND NOT EXISTS (SELECT FROM outstanding AS o WHERE o.lane = c.lane AND o.seq = c.seq OFFSET 0)
             AND NOT EXISTS (SELECT FROM parked_records AS p WHERE p.lane = c.lane AND p.seq = c.seq OFFSET 0)
         ORDER BY c.seq LIMIT $4 FOR UPDATE OF c SKIP LOCKED))",
    "DELETE FROM ends WHERE ctid = ANY (ARRAY(
         SELECT e.ctid FROM ends AS e JOIN lanes USING (lane)
         WHERE lanes.topic = $1 AND lanes.partition = $2 AND e.seq < $3 AND e.died_at IS NULL
             AND e.batch <= lanes.confirmed_batch
             AND NOT EXISTS (SELECT FROM outstanding AS o WHERE o.lane = e.lane AND o.seq = e.seq OFFSET 0)
             AND NOT EXISTS (SELECT FROM parked_records AS p WHERE p.lane = e.lane AND p.seq = e.seq OFFSET 0)
         ORDER BY e.seq LIMIT $4 FOR UPDATE OF e SKIP LOCKED))",
    "DELETE FROM released_records WHERE ctid = ANY (ARRAY(
         SELECT r.ctid FROM released_records AS r JOIN lanes USING (lane)
         WHERE lanes.topic = $1 AND lanes.partition = $2 AND r.decided < $3 AND r.batch <= lanes.confirmed_batch
         ORDER BY r.batch LIMIT $4 FOR UPDATE OF r SKIP LOCKED))",
];

/// As old as orders may be: what dead letters may need that come back, and what goes with the orders themselves.
const WITH_ORDERS: &[&str] = &[
    "DELETE FROM ends WHERE ctid = ANY (ARRAY(
         SELECT e.ctid FROM ends AS e JOIN lanes USING (lane)
         WHERE e.died_at < $1 AND e.batch <= lanes.confirmed_batch
             AND NOT EXISTS (SELECT FROM outstanding AS o WHERE o.lane = e.lane AND o.seq = e.seq OFFSET 0)
         ORDER BY e.died_at LIMIT $2 FOR UPDATE OF e SKIP LOCKED))",
    "DELETE FROM last_claims WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM last_claims WHERE claimed_at < $1 ORDER BY claimed_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM links WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM links WHERE changed_at < $1 ORDER BY changed_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM delivered WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM delivered WHERE delivered_at < $1 ORDER BY delivered_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
];

const COMMANDS: &str = "DELETE FROM commands WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM commands WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// Deletes at most `rows` of each kind; returns how many.
pub(super) async fn prune(connection: &Connection, keep: &Keep, rows: i64) -> Result<u64, Failure> {
    let mut deleted = 0;
    for (lane, border) in &keep.decisions_from {
        let (topic, partition) = of_lane(lane);
        let params: [&(dyn ToSql + Sync); 4] = [&topic, &partition, border, &rows];
        for statement in BELOW_BORDER {
            deleted += delete(connection, statement, &params).await?;
        }
    }
    for statement in WITH_ORDERS {
        deleted += delete(connection, statement, &[&keep.orders_since, &rows]).await?;
    }
    Ok(deleted + delete(connection, COMMANDS, &[&keep.ledger_since, &rows]).await?)
}
