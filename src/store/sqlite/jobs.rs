//! Replay jobs, their items and the lease.

use futures_util::future::BoxFuture;
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params, params_from_iter};
use uuid::Uuid;

use crate::store::Error;
use crate::store::jobs::{
    ItemChange, ItemCounts, ItemRow, ItemState, JobChange, JobFilter, JobPlan, JobRow, JobState, JobStore, MAX_ITEMS,
};
use crate::store::recovery::{FailureKind, MAX_PAGE};
use crate::store::sqlite::failures::{Conditions, limited};
use crate::store::sqlite::{SqliteStore, rows};

impl JobStore for SqliteStore {
    fn plan_job(&self, plan: JobPlan) -> BoxFuture<'_, Result<Option<JobRow>, Error>> {
        Box::pin(self.writer.run(move |transaction| self::plan(transaction, &plan).map(Ok)))
    }

    fn jobs(&self, filter: JobFilter, before: Option<i64>, limit: usize) -> BoxFuture<'_, Result<Vec<JobRow>, Error>> {
        let limit = limit.min(MAX_PAGE);
        Box::pin(self.readers.run(move |snapshot| page(snapshot, &filter, before, limit)))
    }

    fn job_items(
        &self,
        job: Uuid,
        state: Option<ItemState>,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ItemRow>, Error>> {
        let limit = limit.min(MAX_PAGE);
        Box::pin(self.readers.run(move |snapshot| items(snapshot, job, state, after, limit)))
    }

    fn change_job(&self, change: JobChange) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(self.writer.run(move |transaction| self::change(transaction, &change).map(Ok)))
    }

    fn lease_jobs(&self, holder: Uuid, now_ms: i64, until_ms: i64) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        Box::pin(self.writer.run(move |transaction| lease(transaction, holder, now_ms, until_ms).map(Ok)))
    }

    fn change_items(&self, lease: u64, job: Uuid, changes: Vec<ItemChange>) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(self.writer.run(move |transaction| change_items(transaction, lease, job, &changes).map(Ok)))
    }
}

fn plan(transaction: &Transaction<'_>, plan: &JobPlan) -> rusqlite::Result<Option<JobRow>> {
    let JobPlan { id, created_at, operator, reason, filter, question } = plan;
    let of_id = JobFilter { id: Some(*id), ..JobFilter::default() };
    if let Some(there) = page(transaction, &of_id, None, 1)?.pop() {
        return Ok(Some(there));
    }
    let most = i64::try_from(MAX_ITEMS).unwrap_or(i64::MAX);
    let Conditions { text, mut values } = Conditions::of(filter);
    values.push(Box::new(most.saturating_add(1)));
    // A count that stops where it is too many.
    let count = format!("SELECT count(*) FROM (SELECT 1 FROM failures{text} LIMIT ?)");
    let found: i64 = transaction.prepare(&count)?.query_row(params_from_iter(values), |row| row.get(0))?;
    if found > most {
        return Ok(None);
    }
    let tenants = filter.tenants.as_ref().map(|tenants| serde_json::json!(tenants).to_string());
    transaction
        .prepare_cached(
            "INSERT INTO replay_jobs (id, operator, reason, tenants, question, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![id.as_bytes(), operator, reason, tenants, question, created_at])?;
    let number = transaction.last_insert_rowid();
    let Conditions { text, values } = Conditions::of(filter);
    let insert = format!(
        "INSERT INTO replay_items (job, number, event_id, tenant_id, kind)
         SELECT {number}, row_number() OVER (ORDER BY failed_at, number), event_id, tenant_id, kind
         FROM failures{text}"
    );
    transaction.prepare(&insert)?.execute(params_from_iter(values))?;
    count_keys(transaction, number)?;
    Ok(page(transaction, &of_id, None, 1)?.pop())
}

fn count_keys(transaction: &Transaction<'_>, number: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "WITH selected AS (
                 SELECT f.tenant_id, f.binding, f.source_key, f.external_order_id, f.failed_at, f.number
                 FROM replay_items AS i JOIN failures AS f ON f.event_id = i.event_id AND f.tenant_id = i.tenant_id
                 WHERE i.job = ?1),
             -- Of each order the failure of the job that is the last: what is before it and not of the job is left behind.
             last AS MATERIALIZED (
                 SELECT * FROM (
                     SELECT *, row_number() OVER (
                         PARTITION BY tenant_id, binding, source_key, external_order_id
                         ORDER BY failed_at DESC, number DESC) AS place
                     FROM selected)
                 WHERE place = 1),
             behind AS (
                 SELECT DISTINCT l.tenant_id, l.binding, l.source_key, l.external_order_id
                 FROM last AS l JOIN failures AS e ON e.external_order_id = l.external_order_id
                     AND e.tenant_id = l.tenant_id AND e.source_key = l.source_key AND e.binding = l.binding
                 WHERE e.state = 0 AND (e.failed_at, e.number) < (l.failed_at, l.number) AND NOT EXISTS (
                     SELECT 1 FROM replay_items AS x
                     WHERE x.job = ?1 AND x.event_id = e.event_id AND x.tenant_id = e.tenant_id))
             UPDATE replay_jobs SET
                 keys = (SELECT count(*) FROM last),
                 keys_left_behind = (SELECT count(*) FROM behind)
             WHERE number = ?1",
        )?
        .execute([number])?;
    Ok(())
}

fn page(
    snapshot: &Transaction<'_>,
    filter: &JobFilter,
    before: Option<i64>,
    limit: usize,
) -> rusqlite::Result<Vec<JobRow>> {
    let mut conditions = Conditions::default();
    conditions.add("id = ?", filter.id.map(|id| id.as_bytes().to_vec()));
    conditions.add("state = ?", filter.state.map(JobState::code));
    conditions.add("number < ?", before);
    let Conditions { text, mut values } = conditions;
    values.push(limited(limit));
    let sql = format!(
        "SELECT number, id, operator, reason, tenants, question, state, pace, created_at, started_at, ended_at, note,
             keys, keys_left_behind
         FROM replay_jobs{text} ORDER BY number DESC LIMIT ?"
    );
    let mut jobs: Vec<JobRow> =
        snapshot.prepare(&sql)?.query_map(params_from_iter(values), job_row)?.collect::<rusqlite::Result<_>>()?;
    let mut counted =
        snapshot.prepare_cached("SELECT state, count(*) FROM replay_items WHERE job = ?1 GROUP BY state")?;
    for job in &mut jobs {
        let mut counts = counted.query([job.number])?;
        while let Some(row) = counts.next()? {
            job.counts.add(item_state(row, 0)?, rows::unsigned(row, 1)?);
        }
    }
    Ok(jobs)
}

fn items(
    snapshot: &Transaction<'_>,
    job: Uuid,
    state: Option<ItemState>,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<ItemRow>> {
    let Some(job) = number_of(snapshot, job)? else { return Ok(Vec::new()) };
    let mut conditions = Conditions::default();
    conditions.add("job = ?", Some(job));
    conditions.add("state = ?", state.map(ItemState::code));
    conditions.add("number > ?", Some(after));
    let Conditions { text, mut values } = conditions;
    values.push(limited(limit));
    let sql = format!(
        "SELECT number, tenant_id, event_id, kind, state, command_id, outcome, changed_at
         FROM replay_items{text} ORDER BY number LIMIT ?"
    );
    snapshot.prepare(&sql)?.query_map(params_from_iter(values), item_row)?.collect()
}

fn change(transaction: &Transaction<'_>, change: &JobChange) -> rusqlite::Result<bool> {
    let JobChange { id, from, to, lease, pace, note, at } = change;
    if let Some(lease) = lease
        && !is_newest(transaction, *lease)?
    {
        return Ok(false);
    }
    let from: Vec<_> = from.iter().map(|state| state.code()).collect();
    let (started_at, ended_at) = if *to == JobState::Running { (Some(at), None) } else { (None, Some(at)) };
    let changed = transaction
        .prepare_cached(
            "UPDATE replay_jobs SET state = ?2, pace = coalesce(?3, pace), note = coalesce(?4, note),
                 started_at = coalesce(?5, started_at), ended_at = coalesce(?6, ended_at)
             WHERE id = ?1 AND state IN (SELECT value FROM json_each(?7))",
        )?
        .execute(params![
            id.as_bytes(),
            to.code(),
            pace,
            note,
            started_at,
            ended_at,
            serde_json::json!(from).to_string()
        ])?;
    Ok(changed == 1)
}

fn lease(transaction: &Transaction<'_>, holder: Uuid, now_ms: i64, until_ms: i64) -> rusqlite::Result<Option<u64>> {
    transaction
        .prepare_cached(
            "INSERT INTO replay_lease (one, number, holder, until) VALUES (1, 1, ?1, ?3)
             ON CONFLICT (one) DO UPDATE SET until = excluded.until, holder = excluded.holder,
                 number = number + (holder <> excluded.holder)
             WHERE holder = excluded.holder OR until <= ?2
             RETURNING number",
        )?
        .query_row(params![holder.as_bytes(), now_ms, until_ms], |row| rows::unsigned(row, 0))
        .optional()
}

fn change_items(
    transaction: &Transaction<'_>,
    lease: u64,
    job: Uuid,
    changes: &[ItemChange],
) -> rusqlite::Result<bool> {
    if !is_newest(transaction, lease)? {
        return Ok(false);
    }
    let Some(job) = number_of(transaction, job)? else { return Ok(false) };
    let mut statement = transaction.prepare_cached(
        "UPDATE replay_items SET state = ?3, command_id = coalesce(?4, command_id), outcome = ?5, changed_at = ?6
         WHERE job = ?1 AND number = ?2",
    )?;
    for ItemChange { number, state, command_id, outcome, at } in changes {
        let command_id = command_id.as_ref().map(Uuid::as_bytes);
        statement.execute(params![job, number, state.code(), command_id, outcome, at])?;
    }
    Ok(true)
}

/// Deletes at most `limit` items of jobs that were planned before `since` and do not run, and those jobs that have none
/// left; returns how many rows.
pub(super) fn prune(transaction: &Transaction<'_>, since: i64, limit: i64) -> rusqlite::Result<usize> {
    let items = transaction
        .prepare_cached(
            "DELETE FROM replay_items WHERE (job, number) IN (
                 SELECT i.job, i.number FROM replay_jobs AS j JOIN replay_items AS i ON i.job = j.number
                 WHERE j.created_at < ?1 AND j.state <> 1 LIMIT ?2)",
        )?
        .execute(params![since, limit])?;
    let jobs = transaction
        .prepare_cached(
            "DELETE FROM replay_jobs WHERE created_at < ?1 AND state <> 1
                 AND NOT EXISTS (SELECT 1 FROM replay_items WHERE job = replay_jobs.number)",
        )?
        .execute([since])?;
    Ok(items + jobs)
}

fn is_newest(transaction: &Connection, lease: u64) -> rusqlite::Result<bool> {
    let newest = transaction
        .prepare_cached("SELECT number FROM replay_lease")?
        .query_row([], |row| rows::unsigned(row, 0))
        .optional()?;
    Ok(newest == Some(lease))
}

fn number_of(snapshot: &Connection, job: Uuid) -> rusqlite::Result<Option<i64>> {
    snapshot
        .prepare_cached("SELECT number FROM replay_jobs WHERE id = ?1")?
        .query_row([job.as_bytes()], |row| row.get(0))
        .optional()
}

fn job_row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    let code: i16 = row.get(6)?;
    let tenants: Option<String> = row.get(4)?;
    let tenants = tenants.map(|tenants| serde_json::from_str(&tenants)).transpose();
    Ok(JobRow {
        number: row.get(0)?,
        id: rows::uuid(row, 1)?,
        operator: row.get(2)?,
        reason: row.get(3)?,
        tenants: tenants.map_err(|cause| rusqlite::Error::FromSqlConversionFailure(4, Type::Text, Box::new(cause)))?,
        question: row.get(5)?,
        state: JobState::of_code(code).ok_or_else(|| unknown(6, code))?,
        pace: row.get(7)?,
        created_at: row.get(8)?,
        started_at: row.get(9)?,
        ended_at: row.get(10)?,
        note: row.get(11)?,
        keys: rows::unsigned(row, 12)?,
        keys_left_behind: rows::unsigned(row, 13)?,
        counts: ItemCounts::default(),
    })
}

fn item_row(row: &Row<'_>) -> rusqlite::Result<ItemRow> {
    let kind: i16 = row.get(3)?;
    Ok(ItemRow {
        number: row.get(0)?,
        tenant_id: row.get(1)?,
        event_id: rows::uuid(row, 2)?,
        kind: FailureKind::of_code(kind).ok_or_else(|| unknown(3, kind))?,
        state: item_state(row, 4)?,
        command_id: row.get::<_, Option<[u8; 16]>>(5)?.map(Uuid::from_bytes),
        outcome: row.get(6)?,
        changed_at: row.get(7)?,
    })
}

fn item_state(row: &Row<'_>, column: usize) -> rusqlite::Result<ItemState> {
    let code: i16 = row.get(column)?;
    ItemState::of_code(code).ok_or_else(|| unknown(column, code))
}

fn unknown(column: usize, code: i16) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        Type::Integer,
        Box::new(FromSqlError::OutOfRange(i64::from(code))),
    )
}
