//! What becomes of a record: after an attempt, and when its key's head is dead.

use crate::lane::batch::CommandOutcome;
use crate::lane::batch::{Answer, Attempt, ClaimAnswer, Decision, Disposition, Failure, Move, Role, Ruling, Target};
use crate::lane::index::{Entry, Phase};
use crate::lane::machine::Lane;
#[cfg(test)]
use crate::lane::mutation::Mutation;
use crate::lane::place::{Place, Seq, Topic};
use crate::lane::policy::OnDead;

impl Lane {
    /// The batch is in the store: what the store says to its claims, in their order. Returns the attempts that begin
    /// now.
    pub fn stored(&mut self, answers: Vec<ClaimAnswer>) -> Vec<Attempt> {
        let claims = self.batch.as_ref().map(|batch| batch.claims.clone()).unwrap_or_default();
        let mut attempts = Vec::new();
        for (claim, answer) in claims.into_iter().zip(answers) {
            let Some(entry) = self.index.get_mut(claim.seq).filter(|entry| entry.phase == Phase::Claimed) else {
                continue;
            };
            entry.phase = Phase::Running;
            match answer {
                ClaimAnswer::Settled(answer @ (Answer::Applied | Answer::Parked)) => {
                    self.answer(claim.seq, claim.attempt, answer);
                }
                ClaimAnswer::Granted | ClaimAnswer::Settled(_) if entry.is_doomed => {
                    entry.phase = Phase::Waiting;
                    self.end_attempt(claim.seq);
                    self.stage(claim.seq, Ruling::Skipped, None);
                }
                ClaimAnswer::Granted => {
                    let Some(origin) = entry.place() else { continue };
                    let payload = self.payload(claim.seq, origin);
                    attempts.push(Attempt { seq: claim.seq, key: claim.key, attempt: claim.attempt, payload, origin });
                }
                ClaimAnswer::Settled(answer) => self.answer(claim.seq, claim.attempt, answer),
                ClaimAnswer::Busy { until_ms } => {
                    entry.phase = Phase::Barred;
                    if entry.is_doomed {
                        self.doomed.insert(claim.seq);
                    }
                    self.barred.insert((until_ms, claim.seq));
                    self.end_attempt(claim.seq);
                }
                ClaimAnswer::Overtaken => {
                    self.end_attempt(claim.seq);
                    self.refuse_replay(claim.seq, CommandOutcome::Overtaken);
                }
            }
        }
        attempts
    }

    /// An attempt ended; its answer is in the store. An answer to another attempt than the one running is ignored.
    pub fn answer(&mut self, seq: Seq, attempt: u16, answer: Answer) {
        let Some(entry) = self.index.get_mut(seq) else { return };
        if entry.phase != Phase::Running || entry.attempts.saturating_add(1) != attempt {
            return;
        }
        entry.phase = Phase::Waiting;
        let key = entry.key;
        if !matches!(answer, Answer::TargetFailed | Answer::Undecodable(_)) {
            entry.attempts = attempt;
        }
        self.end_attempt(seq);
        match answer {
            Answer::Applied => self.stage(seq, Ruling::Applied, None),
            Answer::Parked => self.stage(seq, Ruling::Parked, None),
            Answer::Failed(failure) => self.fail(seq, failure, true),
            Answer::Rejected(failure) => self.fail(seq, failure, false),
            Answer::Undecodable(failure) => {
                self.stage(seq, Ruling::Dead(Disposition::Undecodable), Some(failure));
            }
            Answer::TargetFailed => {
                self.target = Target::Paused;
                self.reconsider(key);
                self.evaluate_commands();
            }
        }
    }

    fn end_attempt(&mut self, seq: Seq) {
        self.running = self.running.saturating_sub(1);
        let Some(entry) = self.index.get_mut(seq) else { return };
        if std::mem::take(&mut entry.in_round) {
            self.rounds_running = self.rounds_running.saturating_sub(1);
        }
        let id = entry.key;
        if let Some(key) = self.index.key_mut(id)
            && key.running == Some(seq)
        {
            key.running = None;
        }
    }

    fn fail(&mut self, seq: Seq, failure: Failure, is_passing: bool) {
        let Some(entry) = self.index.get(seq) else { return };
        let attempts = entry.attempts;
        if entry.is_held_head() {
            // It is dead already, and its dead letter written: it goes on being held.
            let round = entry.round.saturating_add(1);
            let moved = Move { to: Topic::Held, role: Role::Head, attempts, round, is_passing, disposition: None };
            return self.stage(seq, Ruling::Moved(moved), Some(failure));
        }
        match self.policy.tier_after(attempts).filter(|_| is_passing) {
            Some(tier) => {
                let (to, role) = (Topic::Tier(tier), Role::Head);
                let moved = Move { to, role, attempts, round: 0, is_passing, disposition: None };
                self.stage(seq, Ruling::Moved(moved), Some(failure));
            }
            None => {
                let disposition = if is_passing { Disposition::AttemptsExhausted } else { Disposition::Rejected };
                self.die(seq, disposition, failure, is_passing);
            }
        }
    }

    fn die(&mut self, seq: Seq, disposition: Disposition, failure: Failure, is_passing: bool) {
        let Some(entry) = self.index.get(seq) else { return };
        let (attempts, id) = (entry.attempts, entry.key);
        let later = self.index.key(id).map(|key| key.seqs.range(seq.saturating_add(1)..).copied().collect::<Vec<_>>());
        let later = later.unwrap_or_default();
        let held =
            Move { to: Topic::Held, role: Role::Head, attempts, round: 0, is_passing, disposition: Some(disposition) };
        match self.policy.on_dead {
            OnDead::Hold => self.stage(seq, Ruling::Moved(held), Some(failure)),
            OnDead::Continue => self.stage(seq, Ruling::Dead(disposition), Some(failure)),
            OnDead::Supersede if later.is_empty() => self.stage(seq, Ruling::Dead(disposition), Some(failure)),
            OnDead::Supersede => self.stage(seq, Ruling::Superseded, Some(failure)),
            OnDead::Flush => {
                // What waits goes first: a follower would otherwise be moved behind the held head. A replay is not
                // among it: it may have come back already, and its command is refused behind a held head.
                let waits = |entry: &Entry| entry.is_waiting() && entry.topic != Topic::Control;
                for seq in later {
                    if self.index.get(seq).is_some_and(waits) {
                        self.push(seq, Ruling::Dead(Disposition::Flushed), None);
                    }
                }
                self.stage(seq, Ruling::Moved(held), Some(failure));
            }
        }
    }

    /// Decides about a record; the decision goes into one of the next batches.
    pub(super) fn stage(&mut self, seq: Seq, ruling: Ruling, failure: Option<Failure>) {
        self.push(seq, ruling, failure);
        if let Some(id) = self.index.get(seq).map(|entry| entry.key) {
            self.gather(id);
        }
    }

    /// As [`Lane::stage`], but what waits behind the record stays where it is.
    pub(super) fn push(&mut self, seq: Seq, ruling: Ruling, failure: Option<Failure>) {
        let Some(entry) = self.index.get_mut(seq) else { return };
        let Some(origin) = entry.place() else { return };
        entry.phase = Phase::Decided;
        let (hop, attempts, id) = (entry.hop, entry.attempts, entry.key);
        if let Ruling::Moved(moved) = ruling {
            (entry.to, entry.is_head) = (moved.to, moved.role == Role::Head);
        }
        let Some(key) = self.index.key(id).map(|key| key.name.clone()) else { return };
        let payload = self.payload(seq, origin);
        let batch = 0; // It gets its number with its batch.
        self.staged.push_back(Decision {
            batch,
            origin,
            seq,
            key,
            hop,
            attempts,
            payload,
            ruling,
            failure,
            is_known: false,
        });
        #[cfg(test)]
        if self.mutation == Mutation::FreesAtStage && ruling.is_end() {
            self.release(seq);
        }
    }

    /// Takes over a decision that the store has and the log has not.
    pub(super) fn repeat(&mut self, decision: Decision) {
        let Some(entry) = self.index.get_mut(decision.seq) else { return };
        entry.phase = Phase::Decided;
        if let Ruling::Moved(moved) = decision.ruling {
            (entry.to, entry.is_head) = (moved.to, moved.role == Role::Head);
        }
        self.staged.push_back(Decision { is_known: true, ..decision });
    }

    /// Where the bytes of a record are.
    fn payload(&self, seq: Seq, origin: Place) -> Place {
        self.edits.get(&seq).map_or(origin, |offset| Place::new(Topic::Control, *offset))
    }

    /// The record stays dead.
    pub(super) fn refuse_replay(&mut self, seq: Seq, outcome: CommandOutcome) {
        let Some(entry) = self.index.remove(seq) else { return };
        if let Some(Place { offset, .. }) = entry.place() {
            self.finish_command(offset, outcome);
        }
        self.reconsider(entry.key);
    }
}
