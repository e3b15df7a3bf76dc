//! Replay jobs, their items and the lease.

use futures_util::future::BoxFuture;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::store::Error;
use crate::store::jobs::{
    ItemChange, ItemCounts, ItemRow, ItemState, JobChange, JobFilter, JobPlan, JobRow, JobState, JobStore, MAX_ITEMS,
};
use crate::store::postgres::failure::Failure;
use crate::store::postgres::failures::Conditions;
use crate::store::postgres::pool::{Connection, Pool};
use crate::store::postgres::{PostgresStore, rows};
use crate::store::recovery::{FailureKind, MAX_PAGE};

impl JobStore for PostgresStore {
    fn plan_job(&self, plan: JobPlan) -> BoxFuture<'_, Result<Option<JobRow>, Error>> {
        Box::pin(self.call(async move { self::plan(&self.pool, &plan).await }))
    }

    fn jobs(&self, filter: JobFilter, before: Option<i64>, limit: usize) -> BoxFuture<'_, Result<Vec<JobRow>, Error>> {
        let limit = limit.min(MAX_PAGE);
        Box::pin(self.call(async move { page(&self.pool, &filter, before, limit).await }))
    }

    fn job_items(
        &self,
        job: Uuid,
        state: Option<ItemState>,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ItemRow>, Error>> {
        let limit = limit.min(MAX_PAGE);
        Box::pin(self.call(async move { items(&self.pool, job, state, after, limit).await }))
    }

    fn change_job(&self, change: JobChange) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(self.call(async move { self::change(&self.pool, &change).await }))
    }

    fn lease_jobs(&self, holder: Uuid, now_ms: i64, until_ms: i64) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        Box::pin(self.call(async move { lease(&self.pool, holder, now_ms, until_ms).await }))
    }

    fn change_items(&self, lease: u64, job: Uuid, changes: Vec<ItemChange>) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(self.call(async move { change_items(&self.pool, lease, job, &changes).await }))
    }
}

async fn plan(pool: &Pool, plan: &JobPlan) -> Result<Option<JobRow>, Failure> {
    let JobPlan { id, created_at, operator, reason, filter, question } = plan;
    let most = i64::try_from(MAX_ITEMS).unwrap_or(i64::MAX);
    let mut conditions = Conditions::of(filter);
    let limit = conditions.value(most.saturating_add(1));
    // A count that stops where it is too many.
    let count = format!("SELECT count(*) FROM (SELECT 1 FROM failures{} LIMIT {limit}) AS found", conditions.text);
    let found = conditions.rows(pool, &count).await?;
    let found: i64 = found.first().map_or(Ok(0), |row| rows::get(row, 0))?;
    if found > most {
        return Ok(None);
    }
    let connection = pool.get().await?;
    // What was just written is not in the planner's statistics: it would take ten thousand rows for a few, and go through
    // all of them for each.
    connection.batch_execute("BEGIN; SET LOCAL enable_nestloop = off").await?;
    let inserted = connection
        .rows(
            "INSERT INTO replay_jobs (id, operator, reason, tenants, question, created_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING number",
            &[id, operator, reason, &filter.tenants, question, created_at],
        )
        .await?;
    if let Some(row) = inserted.first() {
        let number: i64 = rows::get(row, 0)?;
        let mut conditions = Conditions::of(filter);
        let limit = conditions.value(most);
        let insert = format!(
            "INSERT INTO replay_items (job, number, event_id, tenant_id, kind)
             SELECT {number}, row_number() OVER (ORDER BY failed_at, number), event_id, tenant_id, kind
             FROM failures{} LIMIT {limit}",
            conditions.text
        );
        conditions.rows_on(&connection, &insert).await?;
        let statement = connection.prepare_cached(include_str!("sql/count_job_keys.sql")).await?;
        connection.execute(&statement, &[&number]).await?;
    }
    connection.batch_execute("COMMIT").await?;
    connection.release();
    Ok(page(pool, &JobFilter { id: Some(*id), ..JobFilter::default() }, None, 1).await?.pop())
}

async fn page(pool: &Pool, filter: &JobFilter, before: Option<i64>, limit: usize) -> Result<Vec<JobRow>, Failure> {
    let mut conditions = Conditions::default();
    conditions.add("id = {}", filter.id);
    conditions.add("state = {}", filter.state.map(JobState::code));
    conditions.add("number < {}", before);
    let limit = conditions.value(i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT number, id, operator, reason, tenants, question, state, pace, created_at, started_at, ended_at, note,
             keys, keys_left_behind
         FROM replay_jobs{} ORDER BY number DESC LIMIT {limit}",
        conditions.text
    );
    let mut jobs: Vec<JobRow> = conditions.rows(pool, &sql).await?.iter().map(job_row).collect::<Result<_, _>>()?;
    let numbers: Vec<_> = jobs.iter().map(|job| job.number).collect();
    let connection = pool.get().await?;
    let counted = connection
        .rows("SELECT job, state, count(*) FROM replay_items WHERE job = ANY ($1) GROUP BY job, state", &[&numbers])
        .await?;
    connection.release();
    for row in &counted {
        let number: i64 = rows::get(row, 0)?;
        if let Some(job) = jobs.iter_mut().find(|job| job.number == number) {
            job.counts.add(item_state(row, 1)?, rows::unsigned(row, 2)?);
        }
    }
    Ok(jobs)
}

async fn items(
    pool: &Pool,
    job: Uuid,
    state: Option<ItemState>,
    after: i64,
    limit: usize,
) -> Result<Vec<ItemRow>, Failure> {
    let mut conditions = Conditions::default();
    conditions.add("job = (SELECT number FROM replay_jobs WHERE id = {})", Some(job));
    conditions.add("state = {}", state.map(ItemState::code));
    conditions.add("number > {}", Some(after));
    let limit = conditions.value(i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT number, tenant_id, event_id, kind, state, command_id, outcome, changed_at
         FROM replay_items{} ORDER BY number LIMIT {limit}",
        conditions.text
    );
    conditions.rows(pool, &sql).await?.iter().map(item_row).collect()
}

async fn change(pool: &Pool, change: &JobChange) -> Result<bool, Failure> {
    let JobChange { id, from, to, lease, pace, note, at } = change;
    let connection = pool.get().await?;
    connection.batch_execute("BEGIN").await?;
    let is_newest = match lease {
        Some(lease) => is_newest(&connection, *lease).await?,
        None => true,
    };
    let mut changed = 0;
    if is_newest {
        let from: Vec<_> = from.iter().map(|state| state.code()).collect();
        let (started_at, ended_at) = if *to == JobState::Running { (Some(*at), None) } else { (None, Some(*at)) };
        let statement = connection.prepare_cached(include_str!("sql/change_job.sql")).await?;
        changed = connection.execute(&statement, &[id, &to.code(), pace, note, &started_at, &ended_at, &from]).await?;
    }
    connection.batch_execute("COMMIT").await?;
    connection.release();
    Ok(changed == 1)
}

async fn lease(pool: &Pool, holder: Uuid, now_ms: i64, until_ms: i64) -> Result<Option<u64>, Failure> {
    let connection = pool.get().await?;
    let leased = connection.rows(include_str!("sql/lease_jobs.sql"), &[&holder, &now_ms, &until_ms]).await?;
    connection.release();
    leased.first().map(|row| rows::unsigned(row, 0)).transpose()
}

async fn change_items(pool: &Pool, lease: u64, job: Uuid, changes: &[ItemChange]) -> Result<bool, Failure> {
    let numbers: Vec<_> = changes.iter().map(|change| change.number).collect();
    let states: Vec<_> = changes.iter().map(|change| change.state.code()).collect();
    let commands: Vec<_> = changes.iter().map(|change| change.command_id).collect();
    let outcomes: Vec<_> = changes.iter().map(|change| change.outcome.as_deref()).collect();
    let times: Vec<_> = changes.iter().map(|change| change.at).collect();
    let connection = pool.get().await?;
    connection.batch_execute("BEGIN").await?;
    let is_newest = is_newest(&connection, lease).await?;
    if is_newest {
        let statement = connection.prepare_cached(include_str!("sql/change_job_items.sql")).await?;
        connection.execute(&statement, &[&job, &numbers, &states, &commands, &outcomes, &times]).await?;
    }
    connection.batch_execute("COMMIT").await?;
    connection.release();
    Ok(is_newest)
}

/// Holds the lease where it is until the transaction ends.
async fn is_newest(connection: &Connection, lease: u64) -> Result<bool, Failure> {
    let found = connection.rows("SELECT number FROM replay_lease FOR SHARE", &[]).await?;
    let newest = found.first().map(|row| rows::unsigned(row, 0)).transpose()?;
    Ok(newest == Some(lease))
}

fn job_row(row: &Row) -> Result<JobRow, Failure> {
    let code: i16 = rows::get(row, 6)?;
    Ok(JobRow {
        number: rows::get(row, 0)?,
        id: rows::get(row, 1)?,
        operator: rows::get(row, 2)?,
        reason: rows::get(row, 3)?,
        tenants: rows::get(row, 4)?,
        question: rows::get(row, 5)?,
        state: JobState::of_code(code).ok_or_else(|| unknown("job", code))?,
        pace: rows::get(row, 7)?,
        created_at: rows::get(row, 8)?,
        started_at: rows::get(row, 9)?,
        ended_at: rows::get(row, 10)?,
        note: rows::get(row, 11)?,
        keys: rows::unsigned(row, 12)?,
        keys_left_behind: rows::unsigned(row, 13)?,
        counts: ItemCounts::default(),
    })
}

fn item_row(row: &Row) -> Result<ItemRow, Failure> {
    let kind: i16 = rows::get(row, 3)?;
    Ok(ItemRow {
        number: rows::get(row, 0)?,
        tenant_id: rows::get(row, 1)?,
        event_id: rows::get(row, 2)?,
        kind: FailureKind::of_code(kind)
            .ok_or_else(|| Failure::Value(format!("a replay item has the kind {kind}, which is unknown")))?,
        state: item_state(row, 4)?,
        command_id: rows::get(row, 5)?,
        outcome: rows::get(row, 6)?,
        changed_at: rows::get(row, 7)?,
    })
}

fn item_state(row: &Row, column: usize) -> Result<ItemState, Failure> {
    let code: i16 = rows::get(row, column)?;
    ItemState::of_code(code).ok_or_else(|| unknown("item", code))
}

fn unknown(what: &str, code: i16) -> Failure {
    Failure::Value(format!("a replay {what} has the state {code}, which is unknown"))
}
