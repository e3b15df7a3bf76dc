//! Deletes what is past its time, a bounded number of rows a statement, each in a transaction of its own. What a lane
//! writes at that moment is passed over: pruning waits for no lane, and a lane for one statement at most.

use tokio_postgres::types::ToSql;

use crate::store::Keep;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::pool::{Connection, Pool};
use crate::store::postgres::{prune_lanes, rows};

/// Most rows one call deletes of each kind.
const ROWS: i64 = 500;

/// Most bytes of payloads one call deletes, unless a single one is larger.
const PAYLOAD_BYTES: i64 = 16 << 20;

/// Returns the number of rows deleted; 0 if nothing is past its time.
pub(super) async fn prune(pool: &Pool, keep: &Keep) -> Result<u64, Failure> {
    let connection = pool.get().await?;
    let payloads = include_str!("sql/prune_payloads.sql");
    let mut deleted = delete(&connection, payloads, &[&keep.payloads_since, &ROWS, &PAYLOAD_BYTES]).await?;
    let events = include_str!("sql/prune_published_events.sql");
    deleted += delete(&connection, events, &[&keep.events_since, &ROWS]).await?;
    for (lane, border) in &keep.decisions_from {
        let partition = i64::from(lane.partition);
        let params: [&(dyn ToSql + Sync); 4] = [&&*lane.topic, &partition, border, &ROWS];
        deleted += delete(&connection, include_str!("sql/prune_decisions.sql"), &params).await?;
        deleted += delete(&connection, include_str!("sql/prune_timer_decisions.sql"), &params).await?;
    }
    deleted += delete(&connection, include_str!("sql/prune_ledger.sql"), &[&keep.ledger_since, &ROWS]).await?;
    deleted += prune_lanes::prune(&connection, keep, ROWS).await?;
    // Counted where it deletes: the statement's own row is the counter.
    let orders = connection.rows(include_str!("sql/prune_orders.sql"), &[&keep.orders_since, &ROWS]).await?;
    if let Some(row) = orders.first() {
        deleted += rows::unsigned(row, 0)?;
    }
    deleted += delete(&connection, include_str!("sql/prune_failures.sql"), &[&keep.failures_since, &ROWS]).await?;
    let job_items = include_str!("sql/prune_job_items.sql");
    deleted += delete(&connection, job_items, &[&keep.failures_since, &ROWS]).await?;
    deleted += delete(&connection, include_str!("sql/prune_jobs.sql"), &[&keep.failures_since]).await?;
    connection.release();
    Ok(deleted)
}

pub(super) async fn delete(
    connection: &Connection,
    text: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<u64, Failure> {
    let statement = connection.prepare_cached(text).await?;
    Ok(connection.execute(&statement, params).await?)
}
