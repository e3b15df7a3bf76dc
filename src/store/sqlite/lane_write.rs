//! What one call of a lane of the engine changes. Each function runs inside a transaction of the writer.

use rusqlite::{Connection, Transaction, params};
use uuid::Uuid;

use crate::lane::batch::{Answer, ClaimAnswer, Decision, Move, Role, Ruling};
use crate::lane::place::{Seq, Topic};
use crate::log::Append;
use crate::store::lanes::{self, BatchWrite, Delivered, Link, Parked, Released, Settle, Taken, encoding};
use crate::store::sqlite::{claims, events, lane_read, rows, write};
use crate::store::{Error, LaneId, effects};

/// Bumps the epoch; makes the lane at first use.
pub(super) fn take_over(transaction: &Transaction<'_>, lane: &LaneId) -> rusqlite::Result<Taken> {
    let number = write::lane_number_or_new(transaction, lane)?;
    transaction
        .prepare_cached(
            "UPDATE lanes SET epoch = epoch + 1 WHERE lane = ?1 RETURNING epoch, decided, batch, checkpoint",
        )?
        .query_row([number], |row| {
            Ok(Taken {
                epoch: rows::unsigned(row, 0)?,
                decided: row.get(1)?,
                number: rows::unsigned(row, 2)?,
                confirmed: lane_read::checkpoint(row, 3)?,
            })
        })
}

/// Checks the epoch, writes everything, and answers the claims. The inner error comes before the first change.
pub(super) fn write_batch(
    transaction: &Transaction<'_>,
    write: &BatchWrite,
) -> rusqlite::Result<Result<Vec<ClaimAnswer>, Error>> {
    let lane = match owned(transaction, &write.lane, write.epoch)? {
        Ok(lane) => lane,
        Err(fenced) => return Ok(Err(fenced)),
    };
    let stored: i64 =
        transaction.prepare_cached("SELECT batch FROM lanes WHERE lane = ?1")?.query_row([lane], |row| row.get(0))?;
    let number = rows::signed(write.batch.checkpoint.number)?;
    let is_repeat = number <= stored;
    if !is_repeat {
        let batch = Batch { transaction, lane, number, now_ms: write.now_ms };
        batch.write(write)?;
        events::write(transaction, &write.events)?;
        write::ledger(transaction, lane, &write.lane, &write.ledger)?;
    }
    claims::answer(transaction, lane, write, is_repeat).map(Ok)
}

/// Writes an answer down, once, and what goes with it. The inner error comes before the first change.
pub(super) fn settle(transaction: &Transaction<'_>, settle: &Settle) -> rusqlite::Result<Result<(), Error>> {
    let lane = match owned(transaction, &settle.lane, settle.epoch)? {
        Ok(lane) => lane,
        Err(fenced) => return Ok(Err(fenced)),
    };
    let attempt = params![lane, settle.seq, settle.attempt];
    let changed = if settle.answer == Answer::TargetFailed {
        transaction
            .prepare_cached("DELETE FROM claims WHERE lane = ?1 AND seq = ?2 AND attempt = ?3 AND answer IS NULL")?
            .execute(attempt)?
    } else {
        transaction
            .prepare_cached(
                "UPDATE claims SET answer = ?4 WHERE lane = ?1 AND seq = ?2 AND attempt = ?3 AND answer IS NULL",
            )?
            .execute(params![lane, settle.seq, settle.attempt, encoding::answer(&settle.answer)])?
    };
    // Without a claim that waits for it, it is the same call again.
    if changed == 1 {
        settle.delivered.iter().try_for_each(|value| delivered(transaction, value))?;
        write::ledger(transaction, lane, &settle.lane, &settle.ledger)?;
    }
    Ok(Ok(()))
}

/// The number of the lane, if it has this epoch.
fn owned(transaction: &Transaction<'_>, lane: &LaneId, own: u64) -> rusqlite::Result<Result<i64, Error>> {
    Ok(match write::epoch(transaction, lane)? {
        Some((number, current)) if current == own => Ok(number),
        found => Err(Error::Fenced {
            topic: lane.topic.to_string(),
            partition: lane.partition,
            own,
            current: found.map_or(0, |(_, current)| current),
        }),
    })
}

fn delivered(transaction: &Connection, delivered: &Delivered) -> rusqlite::Result<()> {
    let Delivered { of, value, at } = delivered;
    transaction
        .prepare_cached(
            "INSERT INTO delivered (tenant_id, target, external_order_id, kind, value, delivered_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET value = ?5, delivered_at = ?6",
        )?
        .execute(params![of.tenant_id, of.target, of.external_order_id, of.kind, value, at])?;
    Ok(())
}

/// One lane's batch under way.
struct Batch<'a> {
    transaction: &'a Connection,
    lane: i64,
    number: i64,
    now_ms: i64,
}

impl Batch<'_> {
    fn write(&self, write: &BatchWrite) -> rusqlite::Result<()> {
        let mut decided: i64 = 0;
        let mut effects = write.effects.iter();
        for decision in &write.batch.decisions {
            let effects = effects.next().map_or(&[][..], Vec::as_slice);
            if decision.origin.topic == Topic::Source {
                decided = decided.max(decision.origin.offset.saturating_add(1));
            }
            if !decision.is_known && self.decision(decision, effects)? {
                self.place(decision)?;
            }
        }
        for executed in &write.batch.commands {
            if let Some(outcome) = encoding::outcome(executed.outcome) {
                self.transaction
                    .prepare_cached(
                        "INSERT INTO commands (id, lane, outcome, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![executed.id, self.lane, outcome, self.now_ms])?;
            }
        }
        write.parked.iter().try_for_each(|parked| self.park(parked))?;
        write.links.iter().try_for_each(|link| self.link(link))?;
        let decided: i64 = self
            .transaction
            .prepare_cached(
                "UPDATE lanes SET batch = ?2, decided = max(decided, ?3), confirmed_batch = ?4, checkpoint = ?5
                 WHERE lane = ?1 RETURNING decided",
            )?
            .query_row(
                params![
                    self.lane,
                    self.number,
                    decided,
                    rows::signed(write.batch.confirmed.number)?,
                    write.batch.confirmed.to_text(),
                ],
                |row| row.get(0),
            )?;
        write.released.iter().try_for_each(|released| self.release(released, decided))
    }

    /// Whether the origin had none.
    fn decision(&self, decision: &Decision, effects: &[Append]) -> rusqlite::Result<bool> {
        let rows = self
            .transaction
            .prepare_cached(
                "INSERT INTO lane_decisions (lane, topic, record_offset, seq, batch, decision, effects)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                self.lane,
                encoding::topic(decision.origin.topic),
                decision.origin.offset,
                decision.seq,
                rows::signed(decision.batch)?,
                encoding::decision(decision),
                effects::encode(effects),
            ])?;
        Ok(rows == 1)
    }

    /// Where the record is from now on.
    fn place(&self, decision: &Decision) -> rusqlite::Result<()> {
        if let Ruling::Moved(moved) = decision.ruling {
            return self.outstanding(decision, moved);
        }
        self.transaction
            .prepare_cached("DELETE FROM outstanding WHERE lane = ?1 AND seq = ?2")?
            .execute(params![self.lane, decision.seq])?;
        let died_at = matches!(decision.ruling, Ruling::Dead(_)).then_some(self.now_ms);
        self.transaction
            .prepare_cached(
                "INSERT INTO ends (lane, seq, hop, batch, died_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET hop = ?3, batch = ?4, died_at = coalesce(?5, died_at)",
            )?
            .execute(params![self.lane, decision.seq, decision.hop, self.number, died_at])?;
        Ok(())
    }

    fn outstanding(&self, decision: &Decision, moved: Move) -> rusqlite::Result<()> {
        let key = decision.key.as_bytes();
        self.transaction
            .prepare_cached(
                "INSERT INTO outstanding (lane, seq, key, tenant_id, topic, hop, attempts, round, role, is_passing,
                     since, moved_at, failure)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12)
                 ON CONFLICT DO UPDATE SET topic = ?5, hop = ?6, attempts = ?7, round = ?8, role = ?9,
                     is_passing = ?10, moved_at = ?11,
                     failure = CASE WHEN ?9 = 0 THEN coalesce(?12, failure) END",
            )?
            .execute(params![
                self.lane,
                decision.seq,
                key,
                lanes::tenant_of(key),
                encoding::topic(moved.to),
                decision.hop.saturating_add(1),
                moved.attempts,
                moved.round,
                encoding::role(moved.role),
                moved.is_passing,
                self.now_ms,
                decision.failure.as_ref().filter(|_| moved.role == Role::Head).map(encoding::failure),
            ])?;
        Ok(())
    }

    fn park(&self, parked: &Parked) -> rusqlite::Result<()> {
        let Parked { seq, wanted, expires_at, key, value, headers } = parked;
        self.transaction
            .prepare_cached(
                "INSERT INTO parked_records (lane, seq, expires_at, key, headers, value)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET expires_at = ?3, key = ?4, headers = ?5, value = ?6",
            )?
            .execute(params![self.lane, seq, expires_at, &**key, encoding::headers(headers), value.as_deref()])?;
        self.forget_wanted(*seq)?;
        for (place, platform_id) in (0_i64..).zip(wanted) {
            let order_id = lanes::order_id_of(platform_id);
            self.transaction
                .prepare_cached(
                    "INSERT INTO wanted_ids (lane, seq, place, platform_id, order_id) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![self.lane, seq, place, platform_id, order_id.map(Uuid::into_bytes)])?;
        }
        Ok(())
    }

    fn release(&self, released: &Released, decided: i64) -> rusqlite::Result<()> {
        let Released { seq, batch, effects } = released;
        self.transaction
            .prepare_cached("DELETE FROM parked_records WHERE lane = ?1 AND seq = ?2")?
            .execute(params![self.lane, seq])?;
        self.forget_wanted(*seq)?;
        self.transaction
            .prepare_cached(
                "INSERT INTO released_records (lane, batch, seq, decided, effects) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![self.lane, rows::signed(*batch)?, seq, decided, effects::encode(effects)])?;
        Ok(())
    }

    fn forget_wanted(&self, seq: Seq) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached("DELETE FROM wanted_ids WHERE lane = ?1 AND seq = ?2")?
            .execute(params![self.lane, seq])?;
        Ok(())
    }

    fn link(&self, link: &Link) -> rusqlite::Result<()> {
        let Link { platform_id, order, country_code } = link;
        self.transaction
            .prepare_cached(
                "INSERT INTO links (platform_id, tenant_id, source_key, external_order_id, country_code, changed_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET tenant_id = ?2, source_key = ?3, external_order_id = ?4,
                     country_code = ?5, changed_at = ?6",
            )?
            .execute(params![
                platform_id,
                order.tenant_id,
                order.source_key,
                order.external_order_id,
                country_code,
                self.now_ms
            ])?;
        Ok(())
    }
}
