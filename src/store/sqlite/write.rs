//! What one call of a lane changes. Each function runs inside a transaction of the writer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use uuid::Uuid;

use crate::store::sqlite::{events, payloads, rows};
use crate::store::{
    Balance, Decision, Error, LaneId, LaneRow, LaneWrite, LedgerEntry, OrderState, Origin, ParkedUpdate, Phase, effects,
};

/// Bumps the epoch; makes the lane at first use.
pub(super) fn take_lane(transaction: &Transaction<'_>, lane: &LaneId) -> rusqlite::Result<LaneRow> {
    let number = lane_number_or_new(transaction, lane)?;
    transaction
        .prepare_cached(
            "UPDATE lanes SET epoch = epoch + 1 WHERE lane = ?1
             RETURNING epoch, decided, confirmed, timers, taken, applied, parked",
        )?
        .query_row([number], |row| {
            Ok(LaneRow {
                epoch: rows::unsigned(row, 0)?,
                decided: row.get(1)?,
                confirmed: row.get(2)?,
                timers: rows::unsigned(row, 3)?,
                balance: Balance {
                    taken: rows::unsigned(row, 4)?,
                    applied: rows::unsigned(row, 5)?,
                    parked: rows::unsigned(row, 6)?,
                },
            })
        })
}

/// Checks the epoch, then writes everything. The inner error comes before the first change.
pub(super) fn write(transaction: &Transaction<'_>, write: &LaneWrite) -> rusqlite::Result<Result<(), Error>> {
    let LaneId { topic, partition } = &write.lane;
    let lane = match epoch(transaction, &write.lane)? {
        Some((lane, current)) if current == write.epoch => lane,
        found => {
            let current = found.map_or(0, |(_, current)| current);
            return Ok(Err(Error::Fenced {
                topic: topic.to_string(),
                partition: *partition,
                own: write.epoch,
                current,
            }));
        }
    };
    let mut batch = Batch { transaction, lane, stored: Stored::default(), orders: HashMap::new() };
    let known = batch.decisions(write)?;
    if !known.is_empty() && known.len() == write.decisions.len() {
        return Ok(Ok(())); // the same write again, after an answer that was lost: all of it is there
    }
    payloads::write(transaction, &write.payloads)?;
    events::write(transaction, &write.events)?;
    for order in &write.orders {
        batch.order(order)?;
    }
    for entry in write.ledger.iter().filter(|entry| !(entry.lane == write.lane && known.contains(&entry.origin))) {
        batch.ledger(entry, &write.lane)?;
    }
    batch.lane(write)?;
    Ok(Ok(()))
}

/// The lane's number and epoch, if it was ever taken.
pub(super) fn epoch(transaction: &Transaction<'_>, lane: &LaneId) -> rusqlite::Result<Option<(i64, u64)>> {
    transaction
        .prepare_cached("SELECT lane, epoch FROM lanes WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![&*lane.topic, lane.partition], |row| Ok((row.get(0)?, rows::unsigned(row, 1)?)))
        .optional()
}

pub(super) fn lane_number_or_new(transaction: &Connection, lane: &LaneId) -> rusqlite::Result<i64> {
    match rows::lane_number(transaction, lane)? {
        Some(number) => Ok(number),
        None => transaction
            .prepare_cached("INSERT INTO lanes (topic, partition) VALUES (?1, ?2)")?
            .insert(params![&*lane.topic, lane.partition]),
    }
}

/// Adds rows to the ledger, in their order. `lane` is the number of `own`.
pub(super) fn ledger(connection: &Connection, lane: i64, own: &LaneId, rows: &[LedgerEntry]) -> rusqlite::Result<()> {
    let mut batch = Batch { transaction: connection, lane, stored: Stored::default(), orders: HashMap::new() };
    rows.iter().try_for_each(|entry| batch.ledger(entry, own))
}

/// One lane's write under way.
struct Batch<'a> {
    transaction: &'a Connection,
    lane: i64,
    stored: Stored,
    /// Orders this write has met.
    orders: HashMap<Uuid, Place>,
}

/// By how much the counters of the lane change.
#[derive(Default)]
struct Stored {
    orders: i64,
    parked_updates: i64,
    tombstones: i64,
}

/// Where an order's rows are.
#[derive(Clone, Copy)]
struct Place {
    number: i64,
    /// Number of the order's last ledger row, once it was looked up.
    ledger: Option<i64>,
}

impl Batch<'_> {
    /// Writes the decisions and returns the origins that had one already: those keep it.
    fn decisions(&self, write: &LaneWrite) -> rusqlite::Result<Vec<Origin>> {
        let mut known = Vec::new();
        let mut last = None; // offset and step of the row written before
        for decision in &write.decisions {
            let written = match decision.origin {
                Origin::Record { offset } => {
                    let written = self.decision(decision, offset, 0, None)?;
                    last = written.then_some((offset, 0));
                    written
                }
                Origin::Release { offset, parked } if self.is_released(offset, parked)? => {
                    last = None;
                    false
                }
                Origin::Release { offset, parked } => {
                    let step = match last {
                        Some((before, step)) if before == offset => step + 1,
                        _ => self.last_step(offset)? + 1,
                    };
                    last = Some((offset, step));
                    self.decision(decision, offset, step, Some(parked))?
                }
                Origin::Timer { number, offset } => self.timer_decision(decision, number, offset, write.decided)?,
            };
            if !written {
                known.push(decision.origin);
            }
        }
        Ok(known)
    }

    fn decision(&self, decision: &Decision, offset: i64, step: i64, released: Option<i64>) -> rusqlite::Result<bool> {
        let outcome = rows::outcome_code(decision.outcome);
        let effects = effects::encode(&decision.effects);
        let rows = self
            .transaction
            .prepare_cached(
                "INSERT INTO decisions (lane, record_offset, step, released, outcome, decided_at, effects)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            )?
            .execute(params![self.lane, offset, step, released, outcome, decision.decided_at, effects])?;
        Ok(rows == 1)
    }

    fn last_step(&self, offset: i64) -> rusqlite::Result<i64> {
        let step = self
            .transaction
            .prepare_cached(
                "SELECT step FROM decisions WHERE lane = ?1 AND record_offset = ?2 ORDER BY step DESC LIMIT 1",
            )?
            .query_row(params![self.lane, offset], |row| row.get(0))
            .optional()?;
        Ok(step.unwrap_or(0))
    }

    fn is_released(&self, offset: i64, parked: i64) -> rusqlite::Result<bool> {
        self.transaction
            .prepare_cached("SELECT 1 FROM decisions WHERE lane = ?1 AND record_offset = ?2 AND released = ?3")?
            .exists(params![self.lane, offset, parked])
    }

    fn timer_decision(&self, decision: &Decision, number: u64, offset: i64, decided: i64) -> rusqlite::Result<bool> {
        let number = rows::signed(number)?;
        let outcome = rows::outcome_code(decision.outcome);
        let effects = effects::encode(&decision.effects);
        let rows = self
            .transaction
            .prepare_cached(
                "INSERT INTO timer_decisions (lane, number, record_offset, decided, outcome, decided_at, effects)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            )?
            .execute(params![self.lane, number, offset, decided, outcome, decision.decided_at, effects])?;
        Ok(rows == 1)
    }

    fn order(&mut self, order: &OrderState) -> rusqlite::Result<()> {
        let id = order.id();
        let found = self.find_order(id)?;
        let before = found.map_or(rows::LEDGER_ONLY, |(_, phase)| phase);
        let after = rows::phase_code(&order.phase);
        self.stored.orders += i64::from(before == rows::LEDGER_ONLY);
        self.stored.tombstones += i64::from(after == rows::TOMBSTONE) - i64::from(before == rows::TOMBSTONE);

        let columns = OrderColumns::of(&order.phase);
        let sql = match found {
            None => INSERT_ORDER,
            Some(_) => UPDATE_ORDER,
        };
        self.transaction.prepare_cached(sql)?.execute(params![
            found.map(|(number, _)| number),
            id.as_bytes(),
            after,
            self.lane,
            order.changed_at,
            order.key.tenant_id,
            order.key.source_key,
            order.key.external_order_id,
            columns.revision,
            columns.digest,
            columns.transformation_version,
            columns.tombstone_offset,
            columns.cancelled_at,
            columns.reason_code,
            columns.reason,
            columns.expires_at,
            columns.canonical,
        ])?;
        let place = match found {
            None => Place { number: self.transaction.last_insert_rowid(), ledger: Some(0) },
            Some((number, _)) => Place { number, ledger: None },
        };
        self.orders.entry(id).or_insert(place);
        if found.is_some() || !order.parked.is_empty() {
            self.parked_updates(place.number, &order.parked)?;
        }
        Ok(())
    }

    /// Number and phase code of an order that has a row.
    fn find_order(&self, id: Uuid) -> rusqlite::Result<Option<(i64, i64)>> {
        self.transaction
            .prepare_cached("SELECT number, phase FROM orders WHERE id = ?1")?
            .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }

    /// Makes `updates` the order's whole set. A row that stays as it is is not written.
    fn parked_updates(&mut self, order: i64, updates: &[ParkedUpdate]) -> rusqlite::Result<()> {
        let before: Vec<i64> = rows::all(
            &mut self.transaction.prepare_cached("SELECT record_offset FROM parked_updates WHERE order_number = ?1")?,
            [order],
            |row| row.get(0),
        )?;
        for gone in before.iter().filter(|offset| updates.iter().all(|update| update.offset != **offset)) {
            self.transaction
                .prepare_cached("DELETE FROM parked_updates WHERE order_number = ?1 AND record_offset = ?2")?
                .execute(params![order, gone])?;
            self.stored.parked_updates -= 1;
        }
        for ParkedUpdate { offset, revision, expires_at, value, traceparent } in updates {
            self.transaction
                .prepare_cached(
                    "INSERT INTO parked_updates
                         (order_number, record_offset, lane, revision, expires_at, traceparent, value)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                     ON CONFLICT DO UPDATE SET revision = ?4, expires_at = ?5, traceparent = ?6, value = ?7
                     WHERE (revision, expires_at, traceparent, value) IS NOT (?4, ?5, ?6, ?7)",
                )?
                .execute(params![order, offset, self.lane, revision, expires_at, traceparent, &**value])?;
            self.stored.parked_updates += i64::from(!before.contains(offset));
        }
        Ok(())
    }

    fn ledger(&mut self, entry: &LedgerEntry, own: &LaneId) -> rusqlite::Result<()> {
        let lane = if entry.lane == *own { self.lane } else { lane_number_or_new(self.transaction, &entry.lane)? };
        let number = self.place(entry.order)?.number;
        let seq = self.next_ledger_row(entry.order, number)?;
        let (offset, released, timer) = match entry.origin {
            Origin::Record { offset } => (offset, None, None),
            Origin::Release { offset, parked } => (offset, Some(parked), None),
            Origin::Timer { number, offset } => (offset, None, Some(rows::signed(number)?)),
        };
        self.transaction
            .prepare_cached(
                "INSERT INTO ledger (order_number, seq, at, lane, record_offset, released, timer, detail)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![number, seq, entry.at, lane, offset, released, timer, entry.detail])?;
        Ok(())
    }

    /// Where the order's rows are; an order without a state gets a row for its place alone.
    fn place(&mut self, id: Uuid) -> rusqlite::Result<Place> {
        if let Some(place) = self.orders.get(&id) {
            return Ok(*place);
        }
        let place = match self.find_order(id)? {
            Some((number, _)) => Place { number, ledger: None },
            None => {
                let number = self
                    .transaction
                    .prepare_cached("INSERT INTO orders (id, phase, lane) VALUES (?1, ?2, ?3)")?
                    .insert(params![id.as_bytes(), rows::LEDGER_ONLY, self.lane])?;
                Place { number, ledger: Some(0) }
            }
        };
        self.orders.insert(id, place);
        Ok(place)
    }

    fn next_ledger_row(&mut self, id: Uuid, order: i64) -> rusqlite::Result<i64> {
        let last = match self.orders.get(&id).and_then(|place| place.ledger) {
            Some(last) => last,
            None => self
                .transaction
                .prepare_cached("SELECT seq FROM ledger WHERE order_number = ?1 ORDER BY seq DESC LIMIT 1")?
                .query_row([order], |row| row.get(0))
                .optional()?
                .unwrap_or(0),
        };
        if let Entry::Occupied(mut place) = self.orders.entry(id) {
            place.get_mut().ledger = Some(last + 1);
        }
        Ok(last + 1)
    }

    fn lane(&self, write: &LaneWrite) -> rusqlite::Result<()> {
        let Balance { taken, applied, parked } = write.balance;
        self.transaction
            .prepare_cached(
                "UPDATE lanes SET decided = ?2, confirmed = ?3, timers = ?4, taken = ?5, applied = ?6, parked = ?7,
                     orders = orders + ?8, parked_updates = parked_updates + ?9, tombstones = tombstones + ?10
                 WHERE lane = ?1",
            )?
            .execute(params![
                self.lane,
                write.decided,
                write.confirmed,
                rows::signed(write.timers)?,
                rows::signed(taken)?,
                rows::signed(applied)?,
                rows::signed(parked)?,
                self.stored.orders,
                self.stored.parked_updates,
                self.stored.tombstones,
            ])?;
        Ok(())
    }
}

const INSERT_ORDER: &str = "INSERT INTO orders
    (number, id, phase, lane, changed_at, tenant_id, source_key, external_order_id, revision, digest,
     transformation_version, tombstone_offset, cancelled_at, reason_code, reason, expires_at, canonical)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

// `?2`, the id, is what the row was found by.
const UPDATE_ORDER: &str = "UPDATE orders SET
    phase = ?3, lane = ?4, changed_at = ?5, tenant_id = ?6, source_key = ?7, external_order_id = ?8, revision = ?9,
    digest = ?10, transformation_version = ?11, tombstone_offset = ?12, cancelled_at = ?13, reason_code = ?14,
    reason = ?15, expires_at = ?16, canonical = ?17
    WHERE number = ?1 AND id = ?2";

/// The columns of `orders` that depend on the phase.
#[derive(Default)]
struct OrderColumns<'a> {
    revision: Option<i64>,
    digest: Option<[u8; 32]>,
    transformation_version: Option<&'a str>,
    canonical: Option<&'a [u8]>,
    tombstone_offset: Option<i64>,
    cancelled_at: Option<i64>,
    reason_code: Option<&'a str>,
    reason: Option<&'a str>,
    expires_at: Option<i64>,
}

impl<'a> OrderColumns<'a> {
    fn of(phase: &'a Phase) -> Self {
        match phase {
            Phase::Unknown => Self::default(),
            Phase::Received(accepted) | Phase::Cancelled(accepted) => Self {
                revision: Some(accepted.revision),
                digest: Some(accepted.digest.0),
                transformation_version: Some(&accepted.transformation_version),
                canonical: Some(&accepted.canonical),
                ..Self::default()
            },
            Phase::Tombstone(tombstone) => Self {
                tombstone_offset: Some(tombstone.offset),
                cancelled_at: Some(tombstone.cancelled_at),
                reason_code: Some(&tombstone.reason_code),
                reason: tombstone.reason.as_deref(),
                expires_at: Some(tombstone.expires_at),
                ..Self::default()
            },
        }
    }
}
