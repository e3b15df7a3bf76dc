//! The failure index: rows are added, found, and change their state.

use std::sync::Arc;

use rusqlite::types::{FromSqlError, ToSql, Type};
use rusqlite::{Connection, Row, Transaction, params, params_from_iter};
use uuid::Uuid;

use crate::store::recovery::{
    Failure, FailureChange, FailureCursor, FailureFilter, FailureGroup, FailureKind, FailureRow, FailureState,
    OpenFailures,
};
use crate::store::sqlite::rows;

/// Columns of [`failure_row`], of the table called `f`.
const COLUMNS: &str = "f.number, f.event_id, f.tenant_id, f.kind, f.state, f.failed_at, f.binding, f.error_code,
    f.source_key, f.external_order_id, f.correlation_id, f.pointer, f.group_id, f.replay_of, f.raw_sha256, f.topic,
    f.partition, f.record_offset, f.detail";

pub(super) fn index(transaction: &Transaction<'_>, failures: &[Failure]) -> rusqlite::Result<u64> {
    let mut new = 0;
    for failure in failures {
        if insert(transaction, failure)? {
            new += 1;
            if let Some(origin) = failure.replay_of {
                transaction
                    .prepare_cached(
                        "UPDATE failures SET state = ?3 WHERE event_id = ?1 AND tenant_id = ?2 AND state = ?4",
                    )?
                    .execute(params![
                        origin.as_bytes(),
                        failure.tenant_id,
                        FailureState::Replayed.code(),
                        FailureState::Open.code()
                    ])?;
            }
        }
    }
    Ok(new)
}

fn insert(transaction: &Connection, failure: &Failure) -> rusqlite::Result<bool> {
    let (topic, partition, offset) = &failure.place;
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO failures (event_id, tenant_id, kind, failed_at, binding, error_code, source_key,
                 external_order_id, correlation_id, pointer, group_id, replay_of, raw_sha256, topic, partition,
                 record_offset, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            failure.event_id.as_bytes(),
            failure.tenant_id,
            failure.kind.code(),
            failure.failed_at,
            failure.binding,
            failure.error_code,
            failure.source_key,
            failure.external_order_id,
            failure.correlation_id,
            failure.pointer,
            failure.group.as_bytes(),
            failure.replay_of.as_ref().map(Uuid::as_bytes),
            failure.raw_sha256.map(|digest| digest.0),
            &**topic,
            partition,
            offset,
            failure.detail,
        ])?;
    Ok(inserted == 1)
}

pub(super) fn change(transaction: &Connection, change: &FailureChange) -> rusqlite::Result<()> {
    let FailureChange { tenant_id, event_id, state } = change;
    transaction
        .prepare_cached("UPDATE failures SET state = ?3 WHERE event_id = ?1 AND tenant_id = ?2")?
        .execute(params![event_id.as_bytes(), tenant_id, state.code()])?;
    Ok(())
}

/// Changes only what is open; returns how many were.
pub(super) fn close(transaction: &Connection, changes: &[FailureChange]) -> rusqlite::Result<u64> {
    let mut statement = transaction
        .prepare_cached("UPDATE failures SET state = ?3 WHERE event_id = ?1 AND tenant_id = ?2 AND state = ?4")?;
    let mut closed = 0;
    for FailureChange { tenant_id, event_id, state } in changes {
        closed +=
            statement.execute(params![event_id.as_bytes(), tenant_id, state.code(), FailureState::Open.code()])? as u64;
    }
    Ok(closed)
}

pub(super) fn page(
    snapshot: &Transaction<'_>,
    filter: &FailureFilter,
    after: Option<FailureCursor>,
    limit: usize,
) -> rusqlite::Result<Vec<FailureRow>> {
    let mut conditions = Conditions::of(filter);
    if let Some(FailureCursor { failed_at, number }) = after {
        conditions.all("(failed_at, number) < (?, ?)", [Box::new(failed_at) as Box<dyn ToSql>, Box::new(number)]);
    }
    let Conditions { text, mut values } = conditions;
    values.push(limited(limit));
    let sql = format!("SELECT {COLUMNS} FROM failures AS f{text} ORDER BY failed_at DESC, number DESC LIMIT ?");
    let mut statement = snapshot.prepare(&sql)?;
    statement.query_map(params_from_iter(values), failure_row)?.collect()
}

pub(super) fn groups(
    snapshot: &Transaction<'_>,
    filter: &FailureFilter,
    limit: usize,
) -> rusqlite::Result<Vec<FailureGroup>> {
    let Conditions { text, mut values } = Conditions::of(filter);
    values.push(limited(limit));
    let sql = format!(
        "SELECT {COLUMNS}, g.failures, g.first_at, g.last_at
         FROM (SELECT count(*) AS failures, min(failed_at) AS first_at, max(failed_at) AS last_at,
                   max(number) AS newest
               FROM failures{text} GROUP BY group_id ORDER BY failures DESC, last_at DESC, newest DESC LIMIT ?) AS g
             JOIN failures AS f ON f.number = g.newest
         ORDER BY g.failures DESC, g.last_at DESC, g.newest DESC"
    );
    let mut statement = snapshot.prepare(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| {
        Ok(FailureGroup {
            failures: rows::unsigned(row, 19)?,
            first_at: row.get(20)?,
            last_at: row.get(21)?,
            newest: failure_row(row)?,
        })
    })?;
    rows.collect()
}

pub(super) fn open(snapshot: &Transaction<'_>) -> rusqlite::Result<Vec<OpenFailures>> {
    let mut statement = snapshot.prepare_cached(
        "SELECT binding, error_code, count(*) FROM failures WHERE state = 0 GROUP BY binding, error_code",
    )?;
    rows::all(&mut statement, [], |row| {
        Ok(OpenFailures { binding: row.get(0)?, error_code: row.get(1)?, failures: rows::unsigned(row, 2)? })
    })
}

/// Deletes at most `limit` failures from before `since`; returns how many.
pub(super) fn prune(transaction: &Transaction<'_>, since: i64, limit: i64) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "DELETE FROM failures WHERE number IN (
                 SELECT number FROM failures WHERE failed_at < ?1 ORDER BY failed_at LIMIT ?2)",
        )?
        .execute(params![since, limit])
}

/// A `WHERE` in the making: only what is asked for is in it, so that the planner sees which index serves.
#[derive(Default)]
pub(super) struct Conditions {
    pub text: String,
    pub values: Vec<Box<dyn ToSql>>,
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
        let kinds = kinds.as_ref().map(|kinds| kinds.iter().map(|kind| kind.code()).collect::<Vec<_>>());
        let bytes = |id: &Option<Uuid>| id.map(|id| id.as_bytes().to_vec());
        let mut conditions = Self::default();
        conditions.tenants(tenants.as_deref());
        conditions.add("event_id = ?", bytes(event_id));
        conditions
            .add("kind IN (SELECT value FROM json_each(?))", kinds.map(|kinds| serde_json::json!(kinds).to_string()));
        conditions.add("state = ?", state.map(FailureState::code));
        conditions.add("binding = ?", binding.clone());
        conditions.add("error_code = ?", error_code.clone());
        conditions.add("source_key = ?", source_key.clone());
        conditions.add("external_order_id = ?", external_order_id.clone());
        conditions.add("correlation_id = ?", correlation_id.clone());
        conditions.add("group_id = ?", bytes(group));
        conditions.add("replay_of = ?", bytes(replay_of));
        conditions.add("instr(pointer, ?) > 0", pointer.clone());
        conditions.add("failed_at >= ?", *since);
        conditions.add("failed_at < ?", *until);
        conditions
    }

    pub fn tenants(&mut self, tenants: Option<&[String]>) {
        let list = tenants.map(|tenants| serde_json::json!(tenants).to_string());
        self.add("tenant_id IN (SELECT value FROM json_each(?))", list);
    }

    /// `None`: nothing is asked.
    pub fn add(&mut self, condition: &str, value: Option<impl ToSql + 'static>) {
        if let Some(value) = value {
            self.all(condition, [Box::new(value) as Box<dyn ToSql>]);
        }
    }

    pub fn all(&mut self, condition: &str, values: impl IntoIterator<Item = Box<dyn ToSql>>) {
        self.text.push_str(if self.text.is_empty() { " WHERE " } else { " AND " });
        self.text.push_str(condition);
        self.values.extend(values);
    }
}

pub(super) fn limited(limit: usize) -> Box<dyn ToSql> {
    Box::new(i64::try_from(limit).unwrap_or(i64::MAX))
}

/// [`COLUMNS`].
fn failure_row(row: &Row<'_>) -> rusqlite::Result<FailureRow> {
    let unknown = |column: usize, code: i16| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            Type::Integer,
            Box::new(FromSqlError::OutOfRange(i64::from(code))),
        )
    };
    let (kind, state): (i16, i16) = (row.get(3)?, row.get(4)?);
    let failure = Failure {
        event_id: rows::uuid(row, 1)?,
        tenant_id: row.get(2)?,
        kind: FailureKind::of_code(kind).ok_or_else(|| unknown(3, kind))?,
        failed_at: row.get(5)?,
        binding: row.get(6)?,
        error_code: row.get(7)?,
        source_key: row.get(8)?,
        external_order_id: row.get(9)?,
        correlation_id: row.get(10)?,
        pointer: row.get(11)?,
        group: rows::uuid(row, 12)?,
        replay_of: row.get::<_, Option<[u8; 16]>>(13)?.map(Uuid::from_bytes),
        raw_sha256: row.get(14)?,
        place: (Arc::from(row.get::<_, String>(15)?), row.get(16)?, row.get(17)?),
        detail: row.get(18)?,
    };
    let state = FailureState::of_code(state).ok_or_else(|| unknown(4, state))?;
    Ok(FailureRow { failure, state, number: row.get(0)? })
}
