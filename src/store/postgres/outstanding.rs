//! Records that are not done, by their keys.

use std::sync::Arc;

use tokio_postgres::Row;

use crate::lane::place::{Seq, Topic};
use crate::store::LaneId;
use crate::store::lanes::{KeyCursor, KeyFilter, KeyRow, OutstandingRow, encoding};
use crate::store::postgres::failure::Failure;
use crate::store::postgres::failures::Conditions;
use crate::store::postgres::lane_columns::of_lane;
use crate::store::postgres::pool::Pool;
use crate::store::postgres::rows;

/// Columns of [`outstanding_row`], of the table called `o`.
const COLUMNS: &str = "o.seq, o.key, o.topic, o.hop, o.attempts, o.round, o.role, o.is_passing, o.failure, o.since,
    o.moved_at";

/// The keys are grouped first; only their heads are looked up, each by the index: `OFFSET 0` keeps the planner, which
/// may know nothing of a table that was filled just now, from reading all records twice.
pub(super) async fn keys(
    pool: &Pool,
    filter: &KeyFilter,
    after: Option<KeyCursor>,
    limit: usize,
) -> Result<Vec<KeyRow>, Failure> {
    let KeyFilter { tenants, topic, key, is_held } = filter;
    let bytes = |tenants: &Vec<String>| tenants.iter().map(|tenant| tenant.as_bytes().to_vec()).collect::<Vec<_>>();
    let mut conditions = Conditions::default();
    conditions.add("tenant_id = ANY ({})", tenants.as_ref().map(bytes));
    conditions.add("lane IN (SELECT lane FROM lanes WHERE topic = {})", topic.as_deref().map(str::to_owned));
    conditions.add("key_id = {}", key.as_ref().map(|key| rows::hashed(&[key])));
    let of_records = std::mem::take(&mut conditions.text);

    let held = i16::from(encoding::topic(Topic::Held));
    conditions.add(&format!("(o.topic = {held}) = {{}}"), *is_held);
    if let Some(KeyCursor { since, lane, key }) = after {
        let since = conditions.value(since);
        let (topic, partition) =
            (conditions.value(lane.topic.to_string()), conditions.value(i64::from(lane.partition)));
        let key = conditions.value(key.to_vec());
        conditions.and(&format!(
            "(o.since, l.topic COLLATE \"C\", l.partition, o.key) > ({since}, {topic}, {partition}, {key})"
        ));
    }
    let limit = conditions.value(i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT {COLUMNS}, l.topic, l.partition, k.records, k.last
         FROM (SELECT lane, min(seq) AS first, max(seq) AS last, count(*) AS records
               FROM outstanding{of_records} GROUP BY lane, key_id) AS k
             JOIN LATERAL (SELECT * FROM outstanding WHERE lane = k.lane AND seq = k.first OFFSET 0) AS o ON true
             JOIN lanes AS l ON l.lane = k.lane{}
         ORDER BY o.since, l.topic COLLATE \"C\", l.partition, o.key LIMIT {limit}",
        conditions.text
    );
    let key_row = |row: &Row| {
        Ok(KeyRow {
            lane: LaneId {
                topic: Arc::from(rows::get::<&str>(row, 11)?),
                partition: rows::narrow::<i64, u32>(row, 12)?,
            },
            head: outstanding_row(row)?,
            records: rows::unsigned(row, 13)?,
            last: rows::get(row, 14)?,
        })
    };
    conditions.rows(pool, &sql).await?.iter().map(key_row).collect()
}

pub(super) async fn key_records(
    pool: &Pool,
    lane: &LaneId,
    key: &[u8],
    from: Seq,
    limit: usize,
) -> Result<Vec<OutstandingRow>, Failure> {
    let (topic, partition) = of_lane(lane);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT {COLUMNS} FROM outstanding AS o
         WHERE lane = (SELECT lane FROM lanes WHERE lanes.topic = $1 AND partition = $2) AND key_id = $3 AND seq >= $4
         ORDER BY seq LIMIT $5"
    );
    let connection = pool.get().await?;
    let found = connection.rows(&sql, &[&topic, &partition, &rows::hashed(&[key]), &from, &limit]).await?;
    connection.release();
    found.iter().map(outstanding_row).collect()
}

/// [`COLUMNS`].
fn outstanding_row(row: &Row) -> Result<OutstandingRow, Failure> {
    let role = rows::narrow::<i16, u8>(row, 6)?;
    let unknown = || Failure::Value(format!("an outstanding record has the role {role}, which is unknown"));
    let failure = rows::get::<Option<&[u8]>>(row, 8)?;
    let failure = failure.map(|bytes| encoding::failure_of(bytes.to_vec().into())).transpose();
    Ok(OutstandingRow {
        seq: rows::get(row, 0)?,
        key: rows::bytes(row, 1)?,
        topic: encoding::topic_of(rows::narrow::<i16, u8>(row, 2)?),
        hop: rows::narrow::<i64, u32>(row, 3)?,
        attempts: rows::narrow::<i32, u16>(row, 4)?,
        round: rows::narrow::<i16, u8>(row, 5)?,
        role: encoding::role_of(role).ok_or_else(unknown)?,
        is_passing: rows::get(row, 7)?,
        failure: rows::sound(failure)?,
        since: rows::get(row, 9)?,
        moved_at: rows::get(row, 10)?,
    })
}
