//! What one call of a lane of the engine changes.
//!
//! A batch is one transaction in three trips to the server: the first locks the lane, inserts the
//! decisions and reads what is known of the claims; the second writes everything that goes with new decisions; the
//! third writes the claims that are granted, and commits.

use std::collections::HashSet;

use tokio::try_join;
use tokio_postgres::Row;

use crate::lane::batch::{Answer, ClaimAnswer};
use crate::lane::checkpoint::Checkpoint;
use crate::lane::place::Place;
use crate::store::LaneId;
use crate::store::lanes::{BatchWrite, Delivered, DeliveredOf, Settle, Taken, encoding};
use crate::store::postgres::claims::{self, Asked, Granted};
use crate::store::postgres::columns::Events;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::lane_columns::{
    Commands, Decisions, Links, ParkedRecords, Places, ReleasedRecords, either, of_lane,
};
use crate::store::postgres::pool::{Connection, Pool};
use crate::store::postgres::rows;
use crate::store::postgres::write::{execute_if, fenced, ledger, roll_back, rows_if};

/// Bumps the epoch; makes the lane at first use. Waits for a write or an answer under way.
pub(super) async fn take_over(pool: &Pool, lane: &LaneId) -> Result<Taken, Failure> {
    let (topic, partition) = of_lane(lane);
    let connection = pool.get().await?;
    let statement = connection.prepare_cached(include_str!("sql/take_over.sql")).await?;
    let row = connection.query_one(&statement, &[&topic, &partition]).await?;
    connection.release();
    let confirmed = match rows::get::<Option<&str>>(&row, 3)? {
        None => Checkpoint::default(),
        Some(text) => rows::sound(Checkpoint::parse(text))?,
    };
    Ok(Taken {
        epoch: rows::unsigned(&row, 0)?,
        decided: rows::get(&row, 1)?,
        number: rows::unsigned(&row, 2)?,
        confirmed,
    })
}

/// Checks the epoch, writes everything, and answers the claims.
pub(super) async fn write_batch(pool: &Pool, write: &BatchWrite) -> Result<Vec<ClaimAnswer>, Failure> {
    let number = rows::signed(write.batch.checkpoint.number)?;
    let decisions = Decisions::of(write)?;
    let asked = Asked::of(&write.batch.claims);
    let connection = pool.get().await?;

    let begun = begin(&connection, write, number, &decisions, &asked).await?;
    let (lane, stored) = match begun.lane {
        Some((lane, current, stored)) if current == write.epoch => (lane, stored),
        found => {
            roll_back(connection).await?;
            return Err(fenced(&write.lane, write.epoch, found.map(|(_, current, _)| current)));
        }
    };
    let is_repeat = number <= stored;
    let places = Places::of(write, &begun.new);
    let ended = if is_repeat { &Default::default() } else { &places.ended };
    let (answers, granted) = claims::answer(write, &asked, &begun.claims, ended, is_repeat)?;
    fail::fail_point!("store.write.before_commit", |_| Err(crate::store::postgres::write::injected()));
    if !is_repeat {
        fill(&connection, write, lane, number, &places).await?;
    }
    grant(&connection, write, lane, &granted).await?;
    fail::fail_point!("store.write.after_commit");
    connection.release();
    Ok(answers)
}

/// What the first trip found.
struct Begun {
    /// Number and epoch of the lane, and the number of its last batch, if it was ever taken.
    lane: Option<(i32, u64, i64)>,
    /// Origins that had no decision.
    new: HashSet<Place>,
    /// One row a claim.
    claims: Vec<Row>,
}

async fn begin(
    connection: &Connection,
    write: &BatchWrite,
    number: i64,
    decisions: &Decisions,
    asked: &Asked,
) -> Result<Begun, Failure> {
    let [lock_lane, insert_decisions, claim_states] = connection
        .prepare([
            include_str!("sql/lock_engine_lane.sql"),
            include_str!("sql/insert_lane_decisions.sql"),
            include_str!("sql/claim_states.sql"),
        ])
        .await?;
    let (topic, partition) = of_lane(&write.lane);
    let epoch = rows::signed(write.epoch)?;
    let Asked { seqs, attempts, key_ids } = asked;
    let ((), lane, inserted, claims) = try_join!(
        biased; // sent in this order
        connection.batch_execute("BEGIN"),
        rows_if(true, connection, &lock_lane, [&topic, &partition]),
        rows_if(
            !decisions.topics.is_empty(),
            connection,
            &insert_decisions,
            decisions.params(&topic, &partition, &epoch, &number),
        ),
        rows_if(!seqs.is_empty(), connection, &claim_states, [&topic, &partition, seqs, attempts, key_ids]),
    )?;
    let lane = match lane.first() {
        Some(row) => Some((rows::get(row, 0)?, rows::unsigned(row, 1)?, rows::get(row, 2)?)),
        None => None,
    };
    let mut new = HashSet::with_capacity(inserted.len());
    for row in &inserted {
        let topic = encoding::topic_of(rows::narrow::<i16, u8>(row, 0)?);
        new.insert(Place::new(topic, rows::get(row, 1)?));
    }
    Ok(Begun { lane, new, claims })
}

/// Writes what depends on the first trip, all but the claims.
async fn fill(
    connection: &Connection,
    write: &BatchWrite,
    lane: i32,
    number: i64,
    places: &Places<'_>,
) -> Result<(), Failure> {
    let ledger = ledger(connection, &write.lane, lane, write.ledger.iter()).await?;
    let (commands, parked, released) = (Commands::of(write), ParkedRecords::of(write), ReleasedRecords::of(write)?);
    let (links, events) = (Links::of(write), Events::of(&write.events));
    let Places { ended, moved, decided } = places;
    let unparked = either(&parked.seqs, &released.seqs);
    let confirmed_batch = rows::signed(write.batch.confirmed.number)?;
    let confirmed = write.batch.confirmed.to_text();
    let [update_lane, upsert_ends, delete_outstanding, upsert_outstanding, insert_commands, delete_wanted] = connection
        .prepare([
            include_str!("sql/update_engine_lane.sql"),
            include_str!("sql/upsert_ends.sql"),
            include_str!("sql/delete_outstanding.sql"),
            include_str!("sql/upsert_outstanding.sql"),
            include_str!("sql/insert_commands.sql"),
            include_str!("sql/delete_wanted_ids.sql"),
        ])
        .await?;
    let [upsert_parked, insert_wanted, delete_parked, insert_released, upsert_links, insert_events] = connection
        .prepare([
            include_str!("sql/upsert_parked_records.sql"),
            include_str!("sql/insert_wanted_ids.sql"),
            include_str!("sql/delete_parked_records.sql"),
            include_str!("sql/insert_released_records.sql"),
            include_str!("sql/upsert_links.sql"),
            include_str!("sql/insert_published_events.sql"),
        ])
        .await?;
    let [insert_ledger] = connection.prepare([include_str!("sql/insert_ledger.sql")]).await?;
    let ends: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&lane, &number, &ended.seqs, &ended.hops, &ended.died_at];
    try_join!(
        biased; // sent in this order
        execute_if(true, connection, &update_lane, [&lane, &number, decided, &confirmed_batch, &confirmed]),
        execute_if(!ended.seqs.is_empty(), connection, &upsert_ends, ends),
        execute_if(!ended.seqs.is_empty(), connection, &delete_outstanding, [&lane, &ended.seqs]),
        execute_if(!moved.seqs.is_empty(), connection, &upsert_outstanding, moved.params(&lane, &write.now_ms)),
        execute_if(
            !commands.ids.is_empty(),
            connection,
            &insert_commands,
            [&lane, &write.now_ms, &commands.ids, &commands.outcomes],
        ),
        execute_if(!unparked.is_empty(), connection, &delete_wanted, [&lane, &unparked]),
        execute_if(!parked.seqs.is_empty(), connection, &upsert_parked, parked.params(&lane)),
        execute_if(!parked.wanted.seqs.is_empty(), connection, &insert_wanted, parked.wanted.params(&lane)),
        execute_if(!released.seqs.is_empty(), connection, &delete_parked, [&lane, &released.seqs]),
        execute_if(
            !released.seqs.is_empty(),
            connection,
            &insert_released,
            [&lane, &released.batches, &released.seqs, &released.effects],
        ),
        execute_if(!links.ids.is_empty(), connection, &upsert_links, links.params(&write.now_ms)),
        execute_if(!events.ids.is_empty(), connection, &insert_events, [&events.ids, &events.published_at]),
        execute_if(!ledger.orders.is_empty(), connection, &insert_ledger, ledger.params()),
    )?;
    Ok(())
}

/// Writes the claims that were granted, and commits.
async fn grant(connection: &Connection, write: &BatchWrite, lane: i32, granted: &Granted) -> Result<(), Failure> {
    let [upsert_claims, upsert_last] =
        connection.prepare([include_str!("sql/upsert_claims.sql"), include_str!("sql/upsert_last_claims.sql")]).await?;
    let Granted { seqs, attempts, keys, last } = granted;
    let epoch = rows::signed(write.epoch)?;
    try_join!(
        biased; // sent in this order
        execute_if(
            !seqs.is_empty(),
            connection,
            &upsert_claims,
            [&lane, seqs, attempts, &epoch, &write.claim_ms],
        ),
        execute_if(!seqs.is_empty(), connection, &upsert_last, [&lane, keys, last, &write.now_ms]),
        connection.batch_execute("COMMIT"),
    )?;
    Ok(())
}

/// Writes an answer down, once, and what goes with it.
pub(super) async fn settle(pool: &Pool, settle: &Settle) -> Result<(), Failure> {
    let (topic, partition) = of_lane(&settle.lane);
    let (epoch, attempt) = (rows::signed(settle.epoch)?, i32::from(settle.attempt));
    let answer = encoding::answer(&settle.answer);
    let connection = pool.get().await?;
    let [share_lane, answer_claim, delete_claim] = connection
        .prepare([
            include_str!("sql/share_lane.sql"),
            include_str!("sql/answer_claim.sql"),
            include_str!("sql/delete_claim.sql"),
        ])
        .await?;
    let is_answer = settle.answer != Answer::TargetFailed;
    let ((), lane, answered, deleted) = try_join!(
        biased; // sent in this order
        connection.batch_execute("BEGIN"),
        rows_if(true, &connection, &share_lane, [&topic, &partition]),
        execute_if(
            is_answer,
            &connection,
            &answer_claim,
            [&topic, &partition, &epoch, &settle.seq, &attempt, &answer],
        ),
        execute_if(!is_answer, &connection, &delete_claim, [&topic, &partition, &epoch, &settle.seq, &attempt]),
    )?;
    let found = match lane.first() {
        Some(row) => Some((rows::get(row, 0)?, rows::unsigned(row, 1)?)),
        None => None,
    };
    let lane: i32 = match found {
        Some((lane, current)) if current == settle.epoch => lane,
        found => {
            roll_back(connection).await?;
            return Err(fenced(&settle.lane, settle.epoch, found.map(|(_, current)| current)));
        }
    };
    if answered + deleted == 0 {
        return roll_back(connection).await; // no claim waits for it: the same call again
    }
    let ledger = ledger(&connection, &settle.lane, lane, settle.ledger.iter()).await?;
    let [upsert_delivered, insert_ledger] =
        connection.prepare([include_str!("sql/upsert_delivered.sql"), include_str!("sql/insert_ledger.sql")]).await?;
    let value = settle.delivered.as_ref().map(|Delivered { of, value, at }| (value_id(of), value.as_bytes(), *at));
    let (id, bytes, at) = value.unwrap_or_default();
    try_join!(
        biased; // sent in this order
        execute_if(value.is_some(), &connection, &upsert_delivered, [&id, &bytes, &at]),
        execute_if(!ledger.orders.is_empty(), &connection, &insert_ledger, ledger.params()),
        connection.batch_execute("COMMIT"),
    )?;
    connection.release();
    Ok(())
}

/// What stands for a delivered value in its table.
pub(super) fn value_id(of: &DeliveredOf) -> uuid::Uuid {
    let DeliveredOf { tenant_id, target, external_order_id, kind } = of;
    rows::hashed(&[tenant_id.as_bytes(), target.as_bytes(), external_order_id.as_bytes(), kind.as_bytes()])
}
