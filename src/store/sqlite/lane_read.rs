//! What the lane engine asks of its lanes.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use crate::lane::batch::Answer;
use crate::lane::checkpoint::Checkpoint;
use crate::lane::place::{Place, Seq, Topic};
use crate::log::Append;
use crate::store::lanes::{CommandOutcomeRow, Decided, Parked, Released, encoding};
use crate::store::sqlite::rows;
use crate::store::{LaneId, effects};

pub(super) fn decided_in(
    snapshot: &Transaction<'_>,
    lane: &LaneId,
    topic: Topic,
    from: i64,
    to: i64,
) -> rusqlite::Result<Vec<Decided>> {
    let Some(lane) = rows::lane_number(snapshot, lane)? else { return Ok(Vec::new()) };
    let mut statement = snapshot.prepare_cached(
        "SELECT record_offset, seq, batch, decision, effects FROM lane_decisions
         WHERE lane = ?1 AND topic = ?2 AND record_offset >= ?3 AND record_offset < ?4 ORDER BY record_offset",
    )?;
    rows::all(&mut statement, params![lane, encoding::topic(topic), from, to], |row| {
        let origin = Place { topic, offset: row.get(0)? };
        let decision = encoding::read_decision(rows::unsigned(row, 2)?, origin, row.get(1)?, bytes(row, 3)?);
        Ok(Decided { decision: sound(3, decision)?, effects: effects(row, 4)? })
    })
}

pub(super) fn released_after(snapshot: &Transaction<'_>, lane: &LaneId, after: u64) -> rusqlite::Result<Vec<Released>> {
    let Some(lane) = rows::lane_number(snapshot, lane)? else { return Ok(Vec::new()) };
    // No batch has a number beyond SQLite's largest.
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let mut statement = snapshot.prepare_cached(
        "SELECT batch, seq, effects FROM released_records WHERE lane = ?1 AND batch > ?2 ORDER BY batch, seq",
    )?;
    rows::all(&mut statement, params![lane, after], |row| {
        Ok(Released { batch: rows::unsigned(row, 0)?, seq: row.get(1)?, effects: effects(row, 2)? })
    })
}

pub(super) fn ended(snapshot: &Transaction<'_>, lane: &LaneId, seqs: &[Seq]) -> rusqlite::Result<BTreeMap<Seq, u32>> {
    let Some(lane) = rows::lane_number(snapshot, lane)? else { return Ok(BTreeMap::new()) };
    let mut statement = snapshot.prepare_cached("SELECT hop FROM ends WHERE lane = ?1 AND seq = ?2")?;
    let mut ended = BTreeMap::new();
    for seq in seqs {
        if let Some(hop) = statement.query_row(params![lane, seq], |row| row.get(0)).optional()? {
            ended.insert(*seq, hop);
        }
    }
    Ok(ended)
}

pub(super) fn executed(
    snapshot: &Transaction<'_>,
    lane: &LaneId,
    ids: Vec<String>,
) -> rusqlite::Result<HashSet<String>> {
    let Some(lane) = rows::lane_number(snapshot, lane)? else { return Ok(HashSet::new()) };
    let mut statement = snapshot.prepare_cached("SELECT 1 FROM commands WHERE id = ?1 AND lane = ?2")?;
    let mut executed = HashSet::new();
    for id in ids {
        if statement.exists(params![id, lane])? {
            executed.insert(id);
        }
    }
    Ok(executed)
}

pub(super) fn command_outcomes(
    snapshot: &Transaction<'_>,
    ids: &[String],
) -> rusqlite::Result<Vec<Option<CommandOutcomeRow>>> {
    // One command goes to one lane; were it in several, the last to execute it counts.
    let mut statement =
        snapshot.prepare_cached("SELECT outcome, at FROM commands WHERE id = ?1 ORDER BY at DESC, lane LIMIT 1")?;
    let mut outcome = |id: &String| {
        let found = statement.query_row([id], |row| {
            let code: u8 = row.get(0)?;
            let outcome = encoding::outcome_of(code);
            let outcome = outcome.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, i64::from(code)))?;
            Ok(CommandOutcomeRow { id: id.clone(), outcome, at: row.get(1)? })
        });
        found.optional()
    };
    ids.iter().map(&mut outcome).collect()
}

pub(super) fn releasable(
    snapshot: &Transaction<'_>,
    lane: &LaneId,
    now_ms: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Parked>> {
    let Some(lane) = rows::lane_number(snapshot, lane)? else { return Ok(Vec::new()) };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found = snapshot.prepare_cached(
        "SELECT seq FROM parked_records WHERE lane = ?1 AND expires_at <= ?2
         UNION
         SELECT seq FROM wanted_ids JOIN links USING (platform_id) WHERE wanted_ids.lane = ?1
         UNION
         SELECT seq FROM wanted_ids JOIN orders ON orders.id = order_id
         WHERE wanted_ids.lane = ?1 AND phase IN (2, 3)
         ORDER BY seq LIMIT ?3",
    )?;
    let found: Vec<Seq> = rows::all(&mut found, params![lane, now_ms, limit], |row| row.get(0))?;
    let mut wanted =
        snapshot.prepare_cached("SELECT platform_id FROM wanted_ids WHERE lane = ?1 AND seq = ?2 ORDER BY place")?;
    let mut parked = snapshot
        .prepare_cached("SELECT expires_at, key, headers, value FROM parked_records WHERE lane = ?1 AND seq = ?2")?;
    let mut releasable = Vec::with_capacity(found.len());
    for seq in found {
        let wanted = rows::all(&mut wanted, params![lane, seq], |row| row.get(0))?;
        releasable.push(parked.query_row(params![lane, seq], |row| {
            Ok(Parked {
                seq,
                wanted,
                expires_at: row.get(0)?,
                key: bytes(row, 1)?,
                headers: sound(2, encoding::headers_of(bytes(row, 2)?))?,
                value: row.get::<_, Option<Vec<u8>>>(3)?.map(Bytes::from),
            })
        })?);
    }
    Ok(releasable)
}

/// `NULL`: nothing was ever seen confirmed.
pub(super) fn checkpoint(row: &Row<'_>, column: usize) -> rusqlite::Result<Checkpoint> {
    match row.get::<_, Option<String>>(column)? {
        None => Ok(Checkpoint::default()),
        Some(text) => Checkpoint::parse(&text)
            .map_err(|cause| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(cause))),
    }
}

/// `NULL`: not answered yet.
pub(super) fn optional_answer(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Answer>> {
    let answer: Option<Vec<u8>> = row.get(column)?;
    answer.map(|answer| sound(column, encoding::read_answer(answer.into()))).transpose()
}

/// What was read of a column, or that it is damaged.
pub(super) fn sound<T, E>(column: usize, read: Result<T, E>) -> rusqlite::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    read.map_err(|cause| rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(cause)))
}

pub(super) fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    row.get::<_, Vec<u8>>(column).map(Bytes::from)
}

fn effects(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<Append>> {
    sound(column, effects::decode(bytes(row, column)?))
}
