//! One lane as it runs: what wakes it, and what it does then.
//!
//! Everything about the lane is decided in one task. Round by round it takes the answers of attempts, what the log has
//! and what is to be released, and makes one batch durable; when a round had nothing to do it waits for any of these.
//! Attempts run in tasks of their own, and write their answers to the store before this one sees them.
//!
//! Tiers and the held topic are written by this lane alone, so they are read when a commit has put something there and
//! at no other time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::driver::attempts::{Done, Flown};
use crate::driver::payloads::{Kept, Source};
use crate::driver::reading::PAGE_BYTES;
use crate::driver::releases::Releasing;
use crate::driver::{Deps, Stage};
use crate::lane::Lane;
use crate::lane::batch::{Answer, Role, Target};
use crate::lane::place::{Seq, Topic};
use crate::log::ReadLimit;
use crate::ownership::{Calls, End, LaneStatus};
use crate::store::LedgerEntry;

/// Batches made of what is left when the lane stops: each takes what the one before let in.
const LAST_BATCHES: usize = 16;

/// What is told of a lane, in the order of its figures.
const FIGURES: [&str; 3] = ["outstanding", "held_keys", "running"];

/// A lane that is owned, with everything it works with.
pub(super) struct Owner {
    pub deps: Arc<Deps>,
    pub stage: Arc<Stage>,
    /// Calls, and reads at places of this lane.
    pub source: Source,
    pub lane: Lane,
    /// To be carried by every write.
    pub epoch: u64,
    /// The store knows decisions about records of the lane's own topic below it.
    pub decided: i64,
    pub kept: Kept,
    /// Size of every outstanding record, as it was read last.
    pub sizes: BTreeMap<Seq, usize>,
    /// What comes of attempts whose decision is not in a batch yet.
    pub outcomes: BTreeMap<Seq, Done>,
    /// Copies that were committed and have not been read back, by topic.
    pub awaited: BTreeMap<Topic, u64>,
    pub flights: JoinSet<Result<Flown, End>>,
    /// `None`: nobody is left to say anything else.
    pub target: Option<watch::Receiver<Target>>,
    pub releasing: Releasing,
    /// Rows for the ledger that go with the next batch.
    pub ledger: Vec<LedgerEntry>,
    /// Whether the lane's own topic, and the control topic, had nothing more when they were read last.
    pub is_source_dry: bool,
    pub is_control_dry: bool,
    /// When it was last looked what only time brings, by the lane's clock.
    pub checked_at: Option<i64>,
}

impl Owner {
    /// Runs until the lane ends; then none of its attempts is under way.
    pub async fn run(mut self) -> End {
        self.source.calls.board.set(&self.source.calls.id, LaneStatus::Running);
        let end = loop {
            if self.source.calls.stopped() {
                break End::Stopped;
            }
            match self.round().await {
                Ok(true) => {}
                Ok(false) => {
                    if let Err(end) = self.wait().await {
                        break end;
                    }
                }
                Err(end) => break end,
            }
        };
        let end = match end {
            End::Stopped => self.finish().await,
            // Their answers are written down all the same.
            End::Refused { .. } => {
                let _ = tokio::time::timeout(self.deps.drain, self.drain()).await;
                end
            }
            End::Fenced => end,
        };
        self.flights.shutdown().await;
        self.forget_figures();
        end
    }

    /// Does what there is to do now; `false`: nothing was.
    pub async fn round(&mut self) -> Result<bool, End> {
        let now = self.deps.clock.passed_ms();
        self.lane.clock(now);
        let mut is_busy = self.check(now).await?;
        self.heed_target();
        while let Some(flown) = self.flights.try_join_next() {
            self.land(flown)?;
            is_busy = true;
        }
        is_busy |= self.read_copies().await?;
        is_busy |= self.read_commands().await?;
        is_busy |= self.read_source().await?;
        Ok(self.make_durable().await? || is_busy)
    }

    /// Waits for something to do.
    async fn wait(&mut self) -> Result<(), End> {
        let timeout = self.until_due();
        let Source { calls, topics } = &self.source;
        let own = self.lane.position(Topic::Source);
        let limit = ReadLimit { records: self.lane.wanted(), bytes: PAGE_BYTES };
        let control = (topics.control.to_string(), calls.id.partition, self.lane.position(Topic::Control));
        let takes_commands = self.lane.wanted_commands() > 0;
        // Longer than the others wait, so that it tells of a record and not of the time.
        let longer = timeout.saturating_mul(2);
        let mut taken = Vec::new();
        let mut landed = None;
        tokio::select! {
            biased;
            () = calls.stopping() => {}
            Some(flown) = self.flights.join_next(), if !self.flights.is_empty() => landed = Some(flown),
            () = changed(&mut self.target) => {}
            () = self.releasing.learned() => {}
            records = calls.membership.poll(&calls.lane, own, limit, timeout), if limit.records > 0 => {
                match records {
                    Ok(records) => taken = records,
                    // Asked again where a failure is waited out.
                    Err(_) => self.is_source_dry = false,
                }
            }
            _ = calls.log.wait(vec![control], longer), if takes_commands => self.is_control_dry = false,
            () = tokio::time::sleep(timeout) => {}
        }
        if let Some(flown) = landed {
            self.land(flown)?;
        }
        if !taken.is_empty() {
            self.lane.clock(self.deps.clock.passed_ms());
            self.take(taken).await?;
        }
        Ok(())
    }

    /// Lets attempts come to an end and makes durable what they decided; begins nothing.
    async fn finish(&mut self) -> End {
        self.lane.target(Target::Paused);
        self.target = None;
        // What is not over in time is claimed still, and nobody attempts it before the claim has expired.
        if let Ok(Err(end)) = tokio::time::timeout(self.deps.drain, self.drain()).await {
            return end;
        }
        self.lane.target(Target::Paused);
        for _ in 0..LAST_BATCHES {
            match self.make_durable().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(end) => return end,
            }
        }
        End::Stopped
    }

    /// Lets the attempts under way come to their ends.
    async fn drain(&mut self) -> Result<(), End> {
        while let Some(flown) = self.flights.join_next().await {
            self.land(flown)?;
        }
        Ok(())
    }

    /// What only time brings: releases, a target to be told of again, figures.
    async fn check(&mut self, now: i64) -> Result<bool, End> {
        let every = i64::try_from(self.source.calls.pace.check_every.as_millis()).unwrap_or(i64::MAX);
        let is_due = self.checked_at.is_none_or(|checked_at| now.saturating_sub(checked_at) >= every);
        if !is_due {
            return self.release(false).await;
        }
        self.checked_at = Some(now);
        if let Some(target) = &mut self.target {
            // Also if it says what it said before: an attempt may have paused the lane since.
            target.mark_changed();
        }
        self.export().await?;
        self.release(true).await
    }

    fn heed_target(&mut self) {
        let Some(target) = &mut self.target else { return };
        match target.has_changed() {
            Ok(false) => {}
            Ok(true) => {
                let said = *target.borrow_and_update();
                self.lane.target(said);
            }
            // Nobody is left to say anything: what was said last holds, and is not said again.
            Err(_) => {
                let said = *target.borrow();
                self.lane.target(said);
                self.target = None;
            }
        }
    }

    /// An attempt is over; its answer is in the store.
    pub fn land(&mut self, flown: Result<Result<Flown, End>, tokio::task::JoinError>) -> Result<(), End> {
        let Flown { seq, attempt, done } = match flown {
            Ok(flown) => flown?,
            Err(error) if error.is_cancelled() => return Ok(()),
            Err(_) => return Err(End::Refused { reason: "an attempt panicked".to_owned() }),
        };
        let answer = done.answer.clone();
        if matches!(answer, Answer::Applied | Answer::Parked) {
            self.outcomes.insert(seq, done);
        }
        self.lane.clock(self.deps.clock.passed_ms());
        self.lane.answer(seq, attempt, answer);
        Ok(())
    }

    /// Until the next moment that only time brings.
    fn until_due(&self) -> Duration {
        let now = self.deps.clock.passed_ms();
        let pace = &self.source.calls.pace;
        let due = self.lane.wakes_at().map(|at| at.saturating_sub(now).max(0).unsigned_abs());
        let due = due.map_or(pace.poll, Duration::from_millis);
        due.min(pace.poll).min(pace.check_every)
    }

    /// Figures of the lane that no commit changes.
    async fn export(&mut self) -> Result<(), End> {
        let calls = &self.source.calls;
        let bounds = calls.bounds(LaneStatus::Running).await?;
        let lag = bounds.end.saturating_sub(self.lane.position(Topic::Source)).max(0);
        let partition = calls.id.partition.to_string();
        calls.metrics.lag.with_label_values(&[super::GROUP, &*calls.id.topic, &partition]).set(lag);
        let outstanding = self.lane.outstanding();
        let is_held = |record: &&crate::lane::Outstanding| (record.topic, record.role) == (Topic::Held, Role::Head);
        let held = outstanding.iter().filter(is_held).count();
        let numbers = [outstanding.len(), held, self.flights.len()];
        for (figure, number) in FIGURES.into_iter().zip(numbers) {
            let gauge = calls.metrics.lane_figures.with_label_values(&[&*calls.id.topic, &partition, figure]);
            gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        }
        // After an offset was reset, records are met that are not outstanding.
        if self.sizes.len() > outstanding.len() {
            let seqs: BTreeSet<_> = outstanding.iter().map(|record| record.seq).collect();
            self.sizes.retain(|seq, _| seqs.contains(seq));
            self.outcomes.retain(|seq, _| seqs.contains(seq));
        }
        Ok(())
    }

    /// They are its next owner's to tell.
    fn forget_figures(&self) {
        let Calls { metrics, id, .. } = &self.source.calls;
        let partition = id.partition.to_string();
        // What was never told cannot be forgotten.
        let _ = metrics.lag.remove_label_values(&[super::GROUP, &*id.topic, &partition]);
        for figure in FIGURES {
            let _ = metrics.lane_figures.remove_label_values(&[&*id.topic, &partition, figure]);
        }
    }
}

/// Resolves when the target says something new; never if nobody is left to say it.
async fn changed(target: &mut Option<watch::Receiver<Target>>) {
    let Some(receiver) = target else { return std::future::pending().await };
    if receiver.changed().await.is_ok() {
        return receiver.mark_changed();
    }
    *target = None;
    std::future::pending().await
}
