//! Who may attempt a record. One process alone has the file open: a claim without an answer is either its own or that
//! of a dead owner, so nothing here is ever busy.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::lane::batch::{Claim, ClaimAnswer, Guard};
use crate::store::lanes::BatchWrite;
use crate::store::sqlite::lane_read;

/// Answers the claims of a batch in their order. `is_repeat`: it was written before, and what it was granted then it
/// is granted again, whatever was granted after it.
pub(super) fn answer(
    connection: &Connection,
    lane: i64,
    write: &BatchWrite,
    is_repeat: bool,
) -> rusqlite::Result<Vec<ClaimAnswer>> {
    let claims = Claims { connection, lane, now_ms: write.now_ms };
    write.batch.claims.iter().map(|claim| claims.answer(claim, is_repeat)).collect()
}

struct Claims<'a> {
    connection: &'a Connection,
    lane: i64,
    now_ms: i64,
}

impl Claims<'_> {
    fn answer(&self, claim: &Claim, is_repeat: bool) -> rusqlite::Result<ClaimAnswer> {
        let found = self
            .connection
            .prepare_cached("SELECT answer FROM claims WHERE lane = ?1 AND seq = ?2 AND attempt = ?3")?
            .query_row(params![self.lane, claim.seq, claim.attempt], |row| lane_read::optional_answer(row, 0))
            .optional()?;
        if is_repeat && found == Some(None) {
            return Ok(ClaimAnswer::Granted);
        }
        if let Some(guard) = claim.guard
            && self.is_overtaken(claim, guard)?
        {
            return Ok(ClaimAnswer::Overtaken);
        }
        if let Some(Some(answer)) = found {
            return Ok(ClaimAnswer::Settled(answer));
        }
        self.grant(claim)?;
        Ok(ClaimAnswer::Granted)
    }

    fn is_overtaken(&self, claim: &Claim, guard: Guard) -> rusqlite::Result<bool> {
        let has_come_back = self
            .connection
            .prepare_cached("SELECT 1 FROM ends WHERE lane = ?1 AND seq = ?2 AND hop >= ?3")?
            .exists(params![self.lane, claim.seq, guard.hop])?;
        if has_come_back || guard.is_forced {
            return Ok(has_come_back);
        }
        self.connection
            .prepare_cached("SELECT 1 FROM last_claims WHERE lane = ?1 AND key = ?2 AND seq > ?3")?
            .exists(params![self.lane, claim.key.as_bytes(), claim.seq])
    }

    fn grant(&self, claim: &Claim) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT INTO claims (lane, seq, attempt) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute(params![self.lane, claim.seq, claim.attempt])?;
        self.connection
            .prepare_cached(
                "INSERT INTO last_claims (lane, key, seq, claimed_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET seq = max(seq, ?3), claimed_at = ?4",
            )?
            .execute(params![self.lane, claim.key.as_bytes(), claim.seq, self.now_ms])?;
        Ok(())
    }
}
