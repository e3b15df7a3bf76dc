//! What the lane engine asks of its lanes, each by one statement.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use tokio_postgres::Row;

use crate::lane::place::{Place, Seq, Topic};
use crate::store::LaneId;
use crate::store::lanes::{CommandOutcomeRow, Decided, Parked, Released, encoding};
use crate::store::postgres::failure::Failure;
use crate::store::postgres::lane_columns::of_lane;
use crate::store::postgres::pool::Pool;
use crate::store::postgres::read::rows as query;
use crate::store::postgres::rows;

pub(super) async fn decided_in(
    pool: &Pool,
    lane: &LaneId,
    topic: Topic,
    from: i64,
    to: i64,
) -> Result<Vec<Decided>, Failure> {
    let (name, partition) = of_lane(lane);
    let code = i16::from(encoding::topic(topic));
    let found = query(pool, include_str!("sql/decided_in.sql"), &[&name, &partition, &code, &from, &to]).await?;
    let decided = |row: &Row| {
        let origin = Place { topic, offset: rows::get(row, 0)? };
        let (seq, batch) = (rows::get(row, 1)?, rows::unsigned(row, 2)?);
        let decision = rows::sound(encoding::read_decision(batch, origin, seq, rows::bytes(row, 3)?))?;
        Ok(Decided { decision, effects: rows::effects(row, 4)? })
    };
    found.iter().map(decided).collect()
}

pub(super) async fn released_after(pool: &Pool, lane: &LaneId, after: u64) -> Result<Vec<Released>, Failure> {
    let (topic, partition) = of_lane(lane);
    // No batch has a number beyond PostgreSQL's largest.
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let found = query(pool, include_str!("sql/released_after.sql"), &[&topic, &partition, &after]).await?;
    let released = |row: &Row| {
        Ok(Released { batch: rows::unsigned(row, 0)?, seq: rows::get(row, 1)?, effects: rows::effects(row, 2)? })
    };
    found.iter().map(released).collect()
}

pub(super) async fn ended(pool: &Pool, lane: &LaneId, seqs: &[Seq]) -> Result<BTreeMap<Seq, u32>, Failure> {
    let (topic, partition) = of_lane(lane);
    let found = query(pool, include_str!("sql/ended.sql"), &[&topic, &partition, &seqs]).await?;
    found.iter().map(|row| Ok((rows::get(row, 0)?, rows::narrow::<i64, u32>(row, 1)?))).collect()
}

pub(super) async fn executed(pool: &Pool, lane: &LaneId, ids: &[String]) -> Result<HashSet<String>, Failure> {
    let (topic, partition) = of_lane(lane);
    let ids: Vec<&[u8]> = ids.iter().map(String::as_bytes).collect();
    let found = query(pool, include_str!("sql/executed.sql"), &[&topic, &partition, &ids]).await?;
    found.iter().map(|row| rows::text(row, 0)).collect()
}

pub(super) async fn command_outcomes(pool: &Pool, ids: &[String]) -> Result<Vec<Option<CommandOutcomeRow>>, Failure> {
    let bytes: Vec<&[u8]> = ids.iter().map(String::as_bytes).collect();
    let mut outcomes = HashMap::new();
    for row in &query(pool, include_str!("sql/command_outcomes.sql"), &[&bytes]).await? {
        let code = rows::narrow::<i16, u8>(row, 1)?;
        let outcome = encoding::outcome_of(code)
            .ok_or_else(|| Failure::Value(format!("a command has the outcome {code}, which is unknown")))?;
        let id = rows::text(row, 0)?;
        outcomes.insert(id.clone(), CommandOutcomeRow { id, outcome, at: rows::get(row, 2)? });
    }
    Ok(ids.iter().map(|id| outcomes.get(id).cloned()).collect())
}

pub(super) async fn releasable(pool: &Pool, lane: &LaneId, now_ms: i64, limit: usize) -> Result<Vec<Parked>, Failure> {
    let (topic, partition) = of_lane(lane);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = query(pool, include_str!("sql/releasable.sql"), &[&topic, &partition, &now_ms, &limit]).await?;
    let parked = |row: &Row| {
        let wanted: Vec<&[u8]> = rows::get(row, 5)?;
        Ok(Parked {
            seq: rows::get(row, 0)?,
            wanted: wanted.into_iter().map(rows::decoded).collect::<Result<_, Failure>>()?,
            expires_at: rows::get(row, 1)?,
            key: rows::bytes(row, 2)?,
            headers: rows::sound(encoding::headers_of(rows::bytes(row, 3)?))?,
            value: rows::get::<Option<&[u8]>>(row, 4)?.map(Bytes::copy_from_slice),
        })
    };
    found.iter().map(parked).collect()
}
