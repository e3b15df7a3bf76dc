//! What one call of a lane changes.
//!
//! A write is one transaction in two trips to the server. The first locks the lane and the orders, inserts the
//! decisions and tells which origins had one already; the second writes everything else and commits. The statements
//! of a trip are sent without waiting for each other's answers; one that fails makes the commit behind it a rollback.

use std::collections::{HashMap, HashSet};

use tokio::try_join;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};
use uuid::Uuid;

use crate::store::postgres::columns::{Decisions, Events, Ledger, Orders, ParkedUpdates, Payloads, TimerDecisions};
use crate::store::postgres::failure::Failure;
use crate::store::postgres::pool::{Connection, Pool};
use crate::store::postgres::rows;
use crate::store::{Balance, Error, LaneId, LaneRow, LaneWrite, LedgerEntry, Origin};

/// Bumps the epoch; makes the lane at first use. Waits for a write under way.
pub(super) async fn take_lane(pool: &Pool, lane: &LaneId) -> Result<LaneRow, Failure> {
    let connection = pool.get().await?;
    let statement = connection.prepare_cached(include_str!("sql/take_lane.sql")).await?;
    let row = connection.query_one(&statement, &[&&*lane.topic, &i64::from(lane.partition)]).await?;
    connection.release();
    Ok(LaneRow {
        epoch: rows::unsigned(&row, 0)?,
        decided: rows::get(&row, 1)?,
        confirmed: rows::get(&row, 2)?,
        timers: rows::unsigned(&row, 3)?,
        balance: Balance {
            taken: rows::unsigned(&row, 4)?,
            applied: rows::unsigned(&row, 5)?,
            parked: rows::unsigned(&row, 6)?,
        },
    })
}

/// Checks the epoch, then writes everything.
pub(super) async fn write(pool: &Pool, write: &LaneWrite) -> Result<(), Failure> {
    let decisions = Decisions::of(write);
    let timers = TimerDecisions::of(write)?;
    let orders = Orders::of(write);
    let connection = pool.get().await?;

    let begun = begin(&connection, write, &decisions, &timers, &orders).await?;
    let lane = match begun.lane {
        Some((lane, current)) if current == write.epoch => lane,
        found => {
            roll_back(connection).await?;
            return Err(fenced(&write.lane, write.epoch, found.map(|(_, current)| current)));
        }
    };
    if !write.decisions.is_empty() && begun.known.len() == write.decisions.len() {
        return roll_back(connection).await; // the same write again, after an answer that was lost: all of it is there
    }
    let is_new = |entry: &&LedgerEntry| entry.lane != write.lane || !begun.known.contains(&entry.origin);
    let ledger = ledger(&connection, &write.lane, lane, write.ledger.iter().filter(is_new)).await?;
    fail::fail_point!("store.write.before_commit", |_| Err(injected()));
    finish(&connection, write, lane, &begun, &orders, &ledger).await?;
    fail::fail_point!("store.write.after_commit");
    connection.release();
    Ok(())
}

/// What the first trip found.
struct Begun {
    /// Number and epoch of the lane, if it was ever taken.
    lane: Option<(i32, u64)>,
    /// Origins that had a decision: those keep it.
    known: HashSet<Origin>,
    /// Phase and number of parked updates of the orders that were there.
    before: HashMap<Uuid, (i16, i32)>,
}

async fn begin(
    connection: &Connection,
    write: &LaneWrite,
    decisions: &Decisions,
    timers: &TimerDecisions,
    orders: &Orders<'_>,
) -> Result<Begun, Failure> {
    let [lock_lane, insert_decisions, insert_timer_decisions, lock_orders] = connection
        .prepare([
            include_str!("sql/lock_lane.sql"),
            include_str!("sql/insert_decisions.sql"),
            include_str!("sql/insert_timer_decisions.sql"),
            include_str!("sql/lock_orders.sql"),
        ])
        .await?;
    let (topic, partition) = (&*write.lane.topic, i64::from(write.lane.partition));
    let epoch = rows::signed(write.epoch)?;
    let Decisions { offsets, released, outcomes, decided_at, effects } = decisions;
    let ((), lane, inserted, inserted_timers, before) = try_join!(
        biased; // sent in this order
        connection.batch_execute("BEGIN"),
        rows_if(true, connection, &lock_lane, [&topic, &partition]),
        rows_if(
            !offsets.is_empty(),
            connection,
            &insert_decisions,
            [&topic, &partition, &epoch, offsets, released, outcomes, decided_at, effects],
        ),
        rows_if(
            !timers.numbers.is_empty(),
            connection,
            &insert_timer_decisions,
            [
                &topic,
                &partition,
                &epoch,
                &write.decided,
                &timers.numbers,
                &timers.offsets,
                &timers.outcomes,
                &timers.decided_at,
                &timers.effects,
            ],
        ),
        rows_if(!orders.ids.is_empty(), connection, &lock_orders, [&orders.ids]),
    )?;
    let lane = match lane.first() {
        Some(row) => Some((rows::get(row, 0)?, rows::unsigned(row, 1)?)),
        None => None,
    };
    let known = if inserted.len() + inserted_timers.len() == write.decisions.len() {
        HashSet::new()
    } else {
        known(write, &inserted, &inserted_timers)?
    };
    let before = before
        .iter()
        .map(|row| Ok((rows::get(row, 0)?, (rows::get(row, 1)?, rows::get(row, 2)?))))
        .collect::<Result<_, Failure>>()?;
    Ok(Begun { lane, known, before })
}

/// The origins of `write` that were not inserted.
fn known(write: &LaneWrite, inserted: &[Row], inserted_timers: &[Row]) -> Result<HashSet<Origin>, Failure> {
    let mut new = HashSet::with_capacity(inserted.len());
    for row in inserted {
        new.insert(rows::record_origin(rows::get(row, 0)?, rows::get(row, 1)?));
    }
    let mut new_timers = HashSet::with_capacity(inserted_timers.len());
    for row in inserted_timers {
        new_timers.insert(rows::unsigned(row, 0)?);
    }
    let is_new = |origin: &Origin| match origin {
        Origin::Timer { number, .. } => new_timers.contains(number),
        origin => new.contains(origin),
    };
    Ok(write.decisions.iter().map(|decision| decision.origin).filter(|origin| !is_new(origin)).collect())
}

/// The ledger rows to insert, by the owner of the lane `own` with the number `number`. Rows of other lanes are rare;
/// their numbers cost a trip.
pub(super) async fn ledger<'a>(
    connection: &Connection,
    own: &'a LaneId,
    number: i32,
    entries: impl Iterator<Item = &'a LedgerEntry> + Clone,
) -> Result<Ledger<'a>, Failure> {
    let mut numbers = HashMap::from([(own, number)]);
    let foreign: HashSet<&LaneId> = entries.clone().map(|entry| &entry.lane).filter(|lane| *lane != own).collect();
    if !foreign.is_empty() {
        let topics: Vec<&str> = foreign.iter().map(|lane| &*lane.topic).collect();
        let partitions: Vec<i64> = foreign.iter().map(|lane| i64::from(lane.partition)).collect();
        let [insert, select] =
            connection.prepare([include_str!("sql/insert_lanes.sql"), include_str!("sql/lane_numbers.sql")]).await?;
        let (_, found) = try_join!(
        biased; // sent in this order
            execute_if(true, connection, &insert, [&topics, &partitions]),
            rows_if(true, connection, &select, [&topics, &partitions]),
        )?;
        for row in &found {
            let (topic, partition): (&str, i64) = (rows::get(row, 0)?, rows::get(row, 1)?);
            let same = |lane: &&&LaneId| *lane.topic == *topic && i64::from(lane.partition) == partition;
            if let Some(lane) = foreign.iter().find(same) {
                numbers.insert(lane, rows::get(row, 2)?);
            }
        }
    }
    Ledger::of(entries, &numbers)
}

/// Writes what depends on the first trip, and commits.
async fn finish(
    connection: &Connection,
    write: &LaneWrite,
    lane: i32,
    begun: &Begun,
    orders: &Orders<'_>,
    ledger: &Ledger<'_>,
) -> Result<(), Failure> {
    let [upsert_payloads, insert_events, upsert_orders, delete_parked, upsert_parked, insert_ledger, update_lane] =
        connection
            .prepare([
                include_str!("sql/upsert_payloads.sql"),
                include_str!("sql/insert_published_events.sql"),
                include_str!("sql/upsert_orders.sql"),
                include_str!("sql/delete_parked_updates.sql"),
                include_str!("sql/upsert_parked_updates.sql"),
                include_str!("sql/insert_ledger.sql"),
                include_str!("sql/update_lane.sql"),
            ])
            .await?;
    let (payloads, events) = (Payloads::of(write), Events::of(&write.events));
    let parked = ParkedUpdates::of(orders);
    let had_parked: Vec<Uuid> = begun.before.iter().filter(|(_, (_, parked))| *parked > 0).map(|(id, _)| *id).collect();
    let stored = Stored::of(orders, &begun.before);
    let (timers, Balance { taken, applied, parked: waiting }) = (rows::signed(write.timers)?, write.balance);
    let (taken, applied, waiting) = (rows::signed(taken)?, rows::signed(applied)?, rows::signed(waiting)?);

    try_join!(
        biased; // sent in this order
        execute_if(
            !payloads.digests.is_empty(),
            connection,
            &upsert_payloads,
            [&payloads.digests, &payloads.received_at, &payloads.bytes],
        ),
        execute_if(!events.ids.is_empty(), connection, &insert_events, [&events.ids, &events.published_at]),
        execute_if(!orders.ids.is_empty(), connection, &upsert_orders, orders.params(&lane)),
        execute_if(
            !had_parked.is_empty(),
            connection,
            &delete_parked,
            [&had_parked, &parked.orders, &parked.offsets],
        ),
        execute_if(!parked.orders.is_empty(), connection, &upsert_parked, parked.params(&lane)),
        execute_if(!ledger.orders.is_empty(), connection, &insert_ledger, ledger.params()),
        execute_if(
            true,
            connection,
            &update_lane,
            [
                &lane,
                &write.decided,
                &write.confirmed,
                &timers,
                &taken,
                &applied,
                &waiting,
                &stored.orders,
                &stored.parked_updates,
                &stored.tombstones,
            ],
        ),
        connection.batch_execute("COMMIT"),
    )?;
    Ok(())
}

/// By how much the counters of the lane change.
#[derive(Default)]
struct Stored {
    orders: i64,
    parked_updates: i64,
    tombstones: i64,
}

impl Stored {
    fn of(orders: &Orders<'_>, before: &HashMap<Uuid, (i16, i32)>) -> Self {
        let mut stored = Self::default();
        for ((id, phase), parked) in orders.ids.iter().zip(&orders.phases).zip(&orders.parked) {
            let (phase_before, parked_before) = before.get(id).copied().unwrap_or_default();
            stored.orders += i64::from(!before.contains_key(id));
            stored.parked_updates += i64::from(*parked) - i64::from(parked_before);
            stored.tombstones += i64::from(*phase == rows::TOMBSTONE) - i64::from(phase_before == rows::TOMBSTONE);
        }
        stored
    }
}

/// `current`: the lane's epoch, if it was ever taken.
pub(super) fn fenced(lane: &LaneId, own: u64, current: Option<u64>) -> Failure {
    let LaneId { topic, partition } = lane;
    let current = current.unwrap_or(0);
    Failure::Refused(Error::Fenced { topic: topic.to_string(), partition: *partition, own, current })
}

pub(super) async fn roll_back(connection: Connection) -> Result<(), Failure> {
    connection.batch_execute("ROLLBACK").await?;
    connection.release();
    Ok(())
}

/// The statement's rows; without a trip none, if it has nothing to work on.
pub(super) async fn rows_if<const N: usize>(
    needed: bool,
    connection: &Connection,
    statement: &Statement,
    params: [&(dyn ToSql + Sync); N],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    if needed { connection.query(statement, &params).await } else { Ok(Vec::new()) }
}

pub(super) async fn execute_if<const N: usize>(
    needed: bool,
    connection: &Connection,
    statement: &Statement,
    params: [&(dyn ToSql + Sync); N],
) -> Result<u64, tokio_postgres::Error> {
    if needed { connection.execute(statement, &params).await } else { Ok(0) }
}

#[cfg(feature = "failpoints")]
pub(super) fn injected() -> Failure {
    Failure::Refused(Error::Unavailable { reason: "a fail point".to_owned() })
}
