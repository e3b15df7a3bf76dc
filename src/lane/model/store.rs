//! A store: writes of an older epoch are refused, decisions are kept by origin, attempts are claimed.

use std::collections::{BTreeMap, BTreeSet};

use crate::lane::batch::{Answer, Batch, Claim, ClaimAnswer, CommandOutcome, Decision};
use crate::lane::checkpoint::Checkpoint;
use crate::lane::place::{Key, Place, Seq, Topic};

/// Longest attempt.
pub const TIMEOUT_MS: i64 = 30;
/// From the grant of a claim until its request must be on its way.
pub const GRACE_MS: i64 = 5;

#[derive(Debug, Clone, Default)]
pub struct Store {
    pub epoch: u64,
    /// Owners up to this epoch are known to be dead: their claims lapse.
    pub dead_epoch: u64,
    pub decided: i64,
    pub number: u64,
    pub confirmed: Checkpoint,
    pub decisions: BTreeMap<Place, Decision>,
    /// Of each record that ended, the moves behind the copy it ended with.
    pub ended: BTreeMap<Seq, u32>,
    pub claims: BTreeMap<(Seq, u16), Claimed>,
    pub commands: BTreeSet<String>,
    pub last_claimed: BTreeMap<Key, Seq>,
}

#[derive(Debug, Clone)]
pub struct Claimed {
    pub epoch: u64,
    pub expires_ms: i64,
    pub answer: Option<Answer>,
}

impl Store {
    /// `Err(None)`: of an older epoch. `Err(Some(origin))`: decides again about what was decided.
    pub fn write(&mut self, epoch: u64, batch: &Batch, now_ms: i64) -> Result<Vec<ClaimAnswer>, Option<Place>> {
        if epoch != self.epoch {
            return Err(None);
        }
        for decision in &batch.decisions {
            let Decision { origin, seq, hop, .. } = *decision;
            if !decision.is_known && self.decisions.insert(origin, decision.clone()).is_some() {
                return Err(Some(origin));
            }
            if decision.ruling.is_end() {
                self.ended.insert(seq, hop);
            }
            if origin.topic == Topic::Source {
                self.decided = self.decided.max(origin.offset + 1);
            }
        }
        let executed = batch.commands.iter().filter(|executed| executed.outcome != CommandOutcome::Repeated);
        self.commands.extend(executed.map(|executed| executed.id.clone()));
        self.number = batch.checkpoint.number;
        self.confirmed = batch.confirmed.clone();
        Ok(batch.claims.iter().map(|claim| self.claim(claim, now_ms)).collect())
    }

    fn claim(&mut self, claim: &Claim, now_ms: i64) -> ClaimAnswer {
        if let Some(guard) = claim.guard {
            let is_over = self.ended.get(&claim.seq).is_some_and(|hop| *hop >= guard.hop);
            let is_passed = self.last_claimed.get(&claim.key).is_some_and(|last| *last > claim.seq);
            if is_over || is_passed && !guard.is_forced {
                return ClaimAnswer::Overtaken;
            }
        }
        if let Some(claimed) = self.claims.get(&(claim.seq, claim.attempt)) {
            if let Some(answer) = &claimed.answer {
                return ClaimAnswer::Settled(answer.clone());
            }
            if claimed.epoch > self.dead_epoch && claimed.expires_ms > now_ms {
                return ClaimAnswer::Busy { until_ms: claimed.expires_ms };
            }
        }
        let claimed = Claimed { epoch: self.epoch, expires_ms: now_ms + TIMEOUT_MS + GRACE_MS, answer: None };
        self.claims.insert((claim.seq, claim.attempt), claimed);
        let last = self.last_claimed.entry(claim.key.clone()).or_insert(claim.seq);
        *last = (*last).max(claim.seq);
        ClaimAnswer::Granted
    }

    /// Writes an attempt's answer down. `Err`: another owner has the lane.
    pub fn settle(&mut self, epoch: u64, attempt: (Seq, u16), answer: &Answer) -> Result<(), ()> {
        if epoch != self.epoch {
            return Err(());
        }
        if *answer == Answer::TargetFailed {
            self.claims.remove(&attempt);
        } else if let Some(claimed) = self.claims.get_mut(&attempt) {
            claimed.answer = Some(answer.clone());
        }
        Ok(())
    }
}
