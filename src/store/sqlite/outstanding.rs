//! Records that are not done, by their keys.

use std::sync::Arc;

use rusqlite::types::ToSql;
use rusqlite::{Row, Transaction, params, params_from_iter};

use crate::lane::place::{Seq, Topic};
use crate::store::LaneId;
use crate::store::lanes::{KeyCursor, KeyFilter, KeyRow, OutstandingRow, encoding};
use crate::store::sqlite::failures::{Conditions, limited};
use crate::store::sqlite::{lane_read, rows};

/// Columns of [`outstanding_row`], of the table called `o`.
const COLUMNS: &str = "o.seq, o.key, o.topic, o.hop, o.attempts, o.round, o.role, o.is_passing, o.failure, o.since,
    o.moved_at";

/// The lanes' keys are grouped by the index alone; only their heads are looked up.
pub(super) fn keys(
    snapshot: &Transaction<'_>,
    filter: &KeyFilter,
    after: Option<KeyCursor>,
    limit: usize,
) -> rusqlite::Result<Vec<KeyRow>> {
    let KeyFilter { tenants, topic, key, is_held } = filter;
    let mut records = Conditions::default();
    let tenants = tenants.as_ref().map(|tenants| serde_json::json!(tenants).to_string());
    records.add("tenant_id IN (SELECT CAST(value AS BLOB) FROM json_each(?))", tenants);
    records.add("lane IN (SELECT lane FROM lanes WHERE topic = ?)", topic.as_deref().map(str::to_owned));
    records.add("key = ?", key.as_ref().map(|key| key.to_vec()));
    let Conditions { text: of_records, mut values } = records;

    let held = encoding::topic(Topic::Held);
    let mut heads = Conditions::default();
    if let Some(is_held) = *is_held {
        heads.all("(o.topic = ?) = ?", [Box::new(held) as Box<dyn ToSql>, Box::new(is_held)]);
    }
    if let Some(KeyCursor { since, lane, key }) = after {
        heads.all(
            "(o.since, l.topic, l.partition, o.key) > (?, ?, ?, ?)",
            [
                Box::new(since) as Box<dyn ToSql>,
                Box::new(lane.topic.to_string()),
                Box::new(lane.partition),
                Box::new(key.to_vec()),
            ],
        );
    }
    let Conditions { text: of_heads, values: head_values } = heads;
    values.extend(head_values);
    values.push(limited(limit));
    let sql = format!(
        "SELECT {COLUMNS}, l.topic, l.partition, k.records, k.last
         FROM (SELECT lane, min(seq) AS first, max(seq) AS last, count(*) AS records
               FROM outstanding{of_records} GROUP BY lane, key) AS k
             JOIN outstanding AS o ON o.lane = k.lane AND o.seq = k.first
             JOIN lanes AS l ON l.lane = k.lane{of_heads}
         ORDER BY o.since, l.topic, l.partition, o.key LIMIT ?"
    );
    let mut statement = snapshot.prepare(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| {
        Ok(KeyRow {
            lane: LaneId { topic: Arc::from(row.get_ref(11)?.as_str()?), partition: row.get(12)? },
            head: outstanding_row(row)?,
            records: rows::unsigned(row, 13)?,
            last: row.get(14)?,
        })
    })?;
    rows.collect()
}

pub(super) fn key_records(
    snapshot: &Transaction<'_>,
    lane: &LaneId,
    key: &[u8],
    from: Seq,
    limit: usize,
) -> rusqlite::Result<Vec<OutstandingRow>> {
    let Some(lane) = rows::lane_number(snapshot, lane)? else { return Ok(Vec::new()) };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT {COLUMNS} FROM outstanding AS o WHERE lane = ?1 AND key = ?2 AND seq >= ?3 ORDER BY seq LIMIT ?4"
    );
    let mut statement = snapshot.prepare_cached(&sql)?;
    rows::all(&mut statement, params![lane, key, from, limit], outstanding_row)
}

/// [`COLUMNS`].
fn outstanding_row(row: &Row<'_>) -> rusqlite::Result<OutstandingRow> {
    let role: u8 = row.get(6)?;
    let failure: Option<Vec<u8>> = row.get(8)?;
    Ok(OutstandingRow {
        seq: row.get(0)?,
        key: lane_read::bytes(row, 1)?,
        topic: encoding::topic_of(row.get(2)?),
        hop: row.get(3)?,
        attempts: row.get(4)?,
        round: row.get(5)?,
        role: encoding::role_of(role).ok_or(rusqlite::Error::IntegralValueOutOfRange(6, i64::from(role)))?,
        is_passing: row.get(7)?,
        failure: failure.map(|bytes| lane_read::sound(8, encoding::failure_of(bytes.into()))).transpose()?,
        since: row.get(9)?,
        moved_at: row.get(10)?,
    })
}
