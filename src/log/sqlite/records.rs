//! The tables of records, one for each slot: how a record is written and how records are found.

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::catalog::{Partition, Slot};
use super::headers;
use super::recent::Page;
use crate::log::{ReadLimit, Record, Stored};

/// A table whose rowid is the offset.
pub fn create_sql(slot: Slot) -> String {
    format!(
        "CREATE TABLE records_{slot} (
            offset INTEGER PRIMARY KEY, timestamp_ms INTEGER NOT NULL, key BLOB, value BLOB, headers BLOB NOT NULL
        ) STRICT"
    )
}

pub fn insert_sql(slot: Slot) -> String {
    format!("INSERT INTO records_{slot} (offset, timestamp_ms, key, value, headers) VALUES (?1, ?2, ?3, ?4, ?5)")
}

/// Offset and append time of the newest record.
pub fn newest(connection: &Connection, slot: Slot) -> rusqlite::Result<Option<(i64, i64)>> {
    let sql = format!("SELECT offset, timestamp_ms FROM records_{slot} ORDER BY offset DESC LIMIT 1");
    connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// The records in `from..end`, as many as the limit allows and up to the first one missing; the inner error says what
/// is damaged.
pub fn read(
    connection: &Connection,
    partition: &Partition,
    from: i64,
    end: i64,
    limit: ReadLimit,
) -> rusqlite::Result<Result<Vec<Stored>, String>> {
    let mut page = Page::new(limit);
    let slot = partition.slot;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT offset, timestamp_ms, key, value, headers FROM records_{slot}
         WHERE offset >= ?1 AND offset < ?2 ORDER BY offset"
    ))?;
    let mut rows = statement.query([from, end])?;
    let mut expected = from..;
    while let Some(row) = rows.next()? {
        let offset = row.get(0)?;
        if expected.next() != Some(offset) {
            break;
        }
        let Some(headers) = headers::decode(row.get_ref(4)?.as_blob()?) else {
            return Ok(Err(format!("record `{}`/{}/{offset} has damaged headers", partition.topic, partition.number)));
        };
        let record = Record { key: bytes(row.get_ref(2)?)?, value: bytes(row.get_ref(3)?)?, headers };
        if !page.fits(record.size()) {
            break;
        }
        let (topic, timestamp_ms) = (partition.topic.clone(), row.get(1)?);
        page.push(Stored { topic, partition: partition.number, offset, timestamp_ms, record });
        if page.is_full() {
            break;
        }
    }
    Ok(Ok(page.records))
}

/// The first offset in `start..end` whose append time is at or after `time_ms`, else `end`. Append times do not go
/// back within a partition, so the records are halved until it is found. A record deleted meanwhile counts as older.
pub fn first_at(connection: &Connection, slot: Slot, (start, end): (i64, i64), time_ms: i64) -> rusqlite::Result<i64> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT timestamp_ms FROM records_{slot} WHERE offset = ?1"))?;
    let (mut low, mut high) = (start, end);
    while low < high {
        let middle = low + (high - low) / 2;
        let timestamp_ms: Option<i64> = statement.query_row([middle], |row| row.get(0)).optional()?;
        if timestamp_ms.is_some_and(|timestamp_ms| timestamp_ms >= time_ms) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

/// The end of a run of records from `start` on that is deleted at once: below `before`, at most `max_records`, and no
/// longer than the first one past `max_bytes`.
pub fn run_end(
    connection: &Connection,
    slot: Slot,
    (start, before): (i64, i64),
    max_records: i64,
    max_bytes: i64,
) -> rusqlite::Result<i64> {
    let sql = format!(
        "SELECT offset, ifnull(length(value), 0) + ifnull(length(key), 0) + length(headers) FROM records_{slot}
         WHERE offset >= ?1 AND offset < ?2 ORDER BY offset LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([start, before, max_records])?;
    let (mut end, mut bytes) = (start, 0_i64);
    while let Some(row) = rows.next()? {
        end = row.get::<_, i64>(0)? + 1;
        bytes = bytes.saturating_add(row.get(1)?);
        if bytes >= max_bytes {
            break;
        }
    }
    Ok(end)
}

/// Deletes a run and remembers where the partition starts from then on. To be called within a transaction.
pub fn delete_run(connection: &Connection, slot: Slot, end: i64) -> rusqlite::Result<()> {
    let newest = format!("SELECT timestamp_ms FROM records_{slot} WHERE offset = ?1");
    let trimmed_ms: i64 = connection.query_row(&newest, [end - 1], |row| row.get(0))?;
    let remember = "UPDATE slots SET start = ?2, trimmed_ms = ?3 WHERE slot = ?1";
    connection.execute(remember, params![slot, end, trimmed_ms])?;
    connection.execute(&format!("DELETE FROM records_{slot} WHERE offset < ?1"), [end])?;
    Ok(())
}

fn bytes(column: ValueRef<'_>) -> rusqlite::Result<Option<Bytes>> {
    Ok(column.as_blob_or_null()?.map(Bytes::copy_from_slice))
}
