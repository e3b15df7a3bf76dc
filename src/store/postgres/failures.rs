//! The failure index: rows are added, found, and change their state.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::canonical::ids::Sha256Digest;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::pool::{Connection, Pool};
use crate::store::postgres::rows;
use crate::store::recovery::{
    self, FailureChange, FailureCursor, FailureFilter, FailureGroup, FailureKind, FailureRow, FailureState,
    OpenFailures,
};

/// Columns of [`failure_row`], of the table called `f`.
const COLUMNS: &str = "f.number, f.event_id, f.tenant_id, f.kind, f.state, f.failed_at, f.binding, f.error_code,
    f.source_key, f.external_order_id, f.correlation_id, f.pointer, f.group_id, f.replay_of, f.raw_sha256, f.topic,
    f.partition, f.record_offset, f.detail";

pub(super) async fn index(pool: &Pool, failures: &[recovery::Failure]) -> Result<u64, Failure> {
    fn column<'a, T>(failures: &'a [recovery::Failure], of: impl Fn(&'a recovery::Failure) -> T) -> Vec<T> {
        failures.iter().map(of).collect()
    }
    let event_ids = column(failures, |failure| failure.event_id);
    let tenants = column(failures, |failure| &failure.tenant_id);
    let kinds = column(failures, |failure| failure.kind.code());
    let times = column(failures, |failure| failure.failed_at);
    let bindings = column(failures, |failure| &failure.binding);
    let codes = column(failures, |failure| &failure.error_code);
    let sources = column(failures, |failure| &failure.source_key);
    let orders = column(failures, |failure| &failure.external_order_id);
    let correlations = column(failures, |failure| &failure.correlation_id);
    let pointers = column(failures, |failure| &failure.pointer);
    let groups = column(failures, |failure| failure.group);
    let origins = column(failures, |failure| failure.replay_of);
    let digests = column(failures, |failure| failure.raw_sha256.as_ref().map(|digest| digest.0.as_slice()));
    let topics = column(failures, |failure| &*failure.place.0);
    let partitions = column(failures, |failure| i64::from(failure.place.1));
    let offsets = column(failures, |failure| failure.place.2);
    let details = column(failures, |failure| &failure.detail);
    let params: [&(dyn ToSql + Sync); 17] = [
        &event_ids,
        &tenants,
        &kinds,
        &times,
        &bindings,
        &codes,
        &sources,
        &orders,
        &correlations,
        &pointers,
        &groups,
        &origins,
        &digests,
        &topics,
        &partitions,
        &offsets,
        &details,
    ];
    let connection = pool.get().await?;
    connection.batch_execute("BEGIN").await?;
    let added = connection.rows(include_str!("sql/insert_failures.sql"), &params).await?;
    let (mut replayed, mut owners) = (Vec::new(), Vec::new());
    for row in &added {
        if let Some(origin) = rows::get::<Option<Uuid>>(row, 1)? {
            replayed.push(origin);
            owners.push(rows::get::<&str>(row, 0)?);
        }
    }
    if !replayed.is_empty() {
        let statement = connection.prepare_cached(include_str!("sql/mark_replayed.sql")).await?;
        let (replayed_code, open_code) = (FailureState::Replayed.code(), FailureState::Open.code());
        connection.execute(&statement, &[&replayed, &owners, &replayed_code, &open_code]).await?;
    }
    connection.batch_execute("COMMIT").await?;
    connection.release();
    Ok(added.len() as u64)
}

/// Changes only what is open; returns how many were.
pub(super) async fn close(pool: &Pool, changes: &[FailureChange]) -> Result<u64, Failure> {
    let event_ids: Vec<_> = changes.iter().map(|change| change.event_id).collect();
    let tenants: Vec<_> = changes.iter().map(|change| &change.tenant_id).collect();
    let states: Vec<_> = changes.iter().map(|change| change.state.code()).collect();
    let connection = pool.get().await?;
    let statement = connection.prepare_cached(include_str!("sql/close_failures.sql")).await?;
    let closed = connection.execute(&statement, &[&event_ids, &tenants, &states, &FailureState::Open.code()]).await?;
    connection.release();
    Ok(closed)
}

pub(super) async fn page(
    pool: &Pool,
    filter: &FailureFilter,
    after: Option<FailureCursor>,
    limit: usize,
) -> Result<Vec<FailureRow>, Failure> {
    let mut conditions = Conditions::of(filter);
    if let Some(FailureCursor { failed_at, number }) = after {
        let (failed_at, number) = (conditions.value(failed_at), conditions.value(number));
        conditions.and(&format!("(failed_at, number) < ({failed_at}, {number})"));
    }
    let limit = conditions.value(i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT {COLUMNS} FROM failures AS f{} ORDER BY failed_at DESC, number DESC LIMIT {limit}",
        conditions.text
    );
    conditions.rows(pool, &sql).await?.iter().map(failure_row).collect()
}

pub(super) async fn groups(pool: &Pool, filter: &FailureFilter, limit: usize) -> Result<Vec<FailureGroup>, Failure> {
    let mut conditions = Conditions::of(filter);
    let limit = conditions.value(i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT {COLUMNS}, g.failures, g.first_at, g.last_at
         FROM (SELECT count(*) AS failures, min(failed_at) AS first_at, max(failed_at) AS last_at,
                   max(number) AS newest
               FROM failures{} GROUP BY group_id ORDER BY failures DESC, last_at DESC, newest DESC LIMIT {limit}) AS g
             JOIN failures AS f ON f.number = g.newest
         ORDER BY g.failures DESC, g.last_at DESC, g.newest DESC",
        conditions.text
    );
    let group = |row: &Row| {
        Ok(FailureGroup {
            failures: rows::unsigned(row, 19)?,
            first_at: rows::get(row, 20)?,
            last_at: rows::get(row, 21)?,
            newest: failure_row(row)?,
        })
    };
    conditions.rows(pool, &sql).await?.iter().map(group).collect()
}

pub(super) async fn open(pool: &Pool) -> Result<Vec<OpenFailures>, Failure> {
    let connection = pool.get().await?;
    let found = connection.rows(include_str!("sql/open_failures.sql"), &[]).await?;
    connection.release();
    let open = |row: &Row| {
        Ok(OpenFailures {
            binding: rows::get(row, 0)?,
            error_code: rows::get(row, 1)?,
            failures: rows::unsigned(row, 2)?,
        })
    };
    found.iter().map(open).collect()
}

/// A `WHERE` in the making: only what is asked for is in it, so that the planner sees which index serves.
#[derive(Default)]
pub(super) struct Conditions {
    pub text: String,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Conditions {
    pub fn of(filter: &FailureFilter) -> Self {
        let FailureFilter {
            tenants,
            event_id,
            kinds,
            state,
            binding,
            error_code,
            source_key,
            external_order_id,
            correlation_id,
            group,
            replay_of,
            pointer,
            since,
            until,
        } = filter;
        let mut conditions = Self::default();
        conditions.add("tenant_id = ANY ({})", tenants.clone());
        conditions.add("event_id = {}", *event_id);
        let kinds = kinds.as_ref().map(|kinds| kinds.iter().map(|kind| kind.code()).collect::<Vec<_>>());
        conditions.add("kind = ANY ({})", kinds);
        conditions.add("state = {}", state.map(FailureState::code));
        conditions.add("binding = {}", binding.clone());
        conditions.add("error_code = {}", error_code.clone());
        conditions.add("source_key = {}", source_key.clone());
        conditions.add("external_order_id = {}", external_order_id.clone());
        conditions.add("correlation_id = {}", correlation_id.clone());
        conditions.add("group_id = {}", *group);
        conditions.add("replay_of = {}", *replay_of);
        conditions.add("strpos(pointer, {}) > 0", pointer.clone());
        conditions.add("failed_at >= {}", *since);
        conditions.add("failed_at < {}", *until);
        conditions
    }

    /// `{}` in `condition` is the value; `None`: nothing is asked.
    pub fn add(&mut self, condition: &str, value: Option<impl ToSql + Sync + Send + 'static>) {
        if let Some(value) = value {
            let name = self.value(value);
            self.and(&condition.replace("{}", &name));
        }
    }

    /// The name of a parameter with this value.
    pub fn value(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }

    pub async fn rows(&self, pool: &Pool, sql: &str) -> Result<Vec<Row>, Failure> {
        let connection = pool.get().await?;
        let found = self.rows_on(&connection, sql).await?;
        connection.release();
        Ok(found)
    }

    /// As [`Self::rows`], within a transaction of `connection`.
    pub async fn rows_on(&self, connection: &Connection, sql: &str) -> Result<Vec<Row>, Failure> {
        let params: Vec<&(dyn ToSql + Sync)> =
            self.values.iter().map(|value| value.as_ref() as &(dyn ToSql + Sync)).collect();
        // Not kept prepared: there are as many statements as ways to ask.
        Ok(connection.query(sql, &params).await?)
    }

    pub fn and(&mut self, condition: &str) {
        self.text.push_str(if self.text.is_empty() { " WHERE " } else { " AND " });
        self.text.push_str(condition);
    }
}

/// [`COLUMNS`].
fn failure_row(row: &Row) -> Result<FailureRow, Failure> {
    let unknown = |what: &str, code: i16| Failure::Value(format!("a failure has the {what} {code}, which is unknown"));
    let (kind, state): (i16, i16) = (rows::get(row, 3)?, rows::get(row, 4)?);
    let digest = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map(Sha256Digest);
    let raw_sha256 = rows::get::<Option<&[u8]>>(row, 14)?.map(digest).transpose();
    let partition: i64 = rows::get(row, 16)?;
    let place = (
        Arc::from(rows::get::<&str>(row, 15)?),
        u32::try_from(partition).map_err(|_| Failure::Value(format!("a failure has the partition {partition}")))?,
        rows::get(row, 17)?,
    );
    let failure = recovery::Failure {
        event_id: rows::get(row, 1)?,
        tenant_id: rows::get(row, 2)?,
        kind: FailureKind::of_code(kind).ok_or_else(|| unknown("kind", kind))?,
        failed_at: rows::get(row, 5)?,
        binding: rows::get(row, 6)?,
        error_code: rows::get(row, 7)?,
        source_key: rows::get(row, 8)?,
        external_order_id: rows::get(row, 9)?,
        correlation_id: rows::get(row, 10)?,
        pointer: rows::get(row, 11)?,
        group: rows::get(row, 12)?,
        replay_of: rows::get(row, 13)?,
        raw_sha256: raw_sha256.map_err(|_| Failure::Value("a failure has a digest of another length".to_owned()))?,
        place,
        detail: rows::get(row, 18)?,
    };
    let state = FailureState::of_code(state).ok_or_else(|| unknown("state", state))?;
    Ok(FailureRow { failure, state, number: rows::get(row, 0)? })
}
