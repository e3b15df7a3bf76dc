//! One batch: written to the store with its exact appends, then committed to the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::driver::attempts::Done;
use crate::driver::owner::Owner;
use crate::driver::payloads::{Payload, Wanted};
use crate::driver::work::{self, Decided, Reach, Said};
use crate::lane::batch::{Batch, ClaimAnswer, CommandOutcome, Decision, Role, Ruling};
use crate::lane::moved::{self, MAX_HEADER_BYTES, Trail};
use crate::lane::place::{Key, Place, Seq, Topic};
use crate::log::{self, Append, LaneEffects, OffsetCommit, Record};
use crate::ownership::{Calls, End, LaneStatus, Trouble};
use crate::store::PublishedEvent;
use crate::store::lanes::{BatchWrite, Parked, Released};

/// Most appends of one commit, and most bytes of them; one larger record goes alone.
const MOST_EFFECTS: usize = 1_000;
const MOST_BYTES: usize = 4 << 20;

/// From the end of the longest attempt to the end of its claim.
const RESERVE: Duration = Duration::from_secs(5);

/// Offsets asked for at once where decisions are repeated.
const REPEATED_AT_ONCE: i64 = 64;

/// What a batch is to write and to append.
struct Work {
    write: BatchWrite,
    /// Those that are no decision's.
    others: Vec<Append>,
}

impl Owner {
    /// Makes the next batch durable; `false`: there is none.
    pub(super) async fn make_durable(&mut self) -> Result<bool, End> {
        let Some(batch) = self.next_batch() else { return Ok(false) };
        let Work { write, mut others } = self.work_of(batch).await?;
        fail::fail_point!("driver.decided");
        let claimed_at = Instant::now();
        let claim = Duration::from_millis(write.claim_ms.max(0).unsigned_abs());
        let call = || self.deps.store.write_batch(write.clone());
        let answers = self.source.calls.patiently("store.write_batch", LaneStatus::Running, call).await?;
        fail::fail_point!("driver.stored");
        let answers = self.by_own_clock(answers, write.now_ms);
        let attempts = self.lane.stored(answers);
        self.begin(attempts, claimed_at + claim);
        if !write.links.is_empty() {
            self.deps.learned.send_modify(|times| *times = times.wrapping_add(1));
        }
        let BatchWrite { batch, effects, .. } = write;
        let mut appends: Vec<_> = effects.into_iter().flatten().collect();
        appends.append(&mut others);
        self.commit(&batch, appends).await?;
        fail::fail_point!("driver.committed");
        self.lane.committed();
        self.is_control_dry = false;
        self.is_source_dry = false;
        self.note(&batch);
        Ok(true)
    }

    /// The next batch, below the bounds of a commit.
    fn next_batch(&mut self) -> Option<Batch> {
        let (sizes, outcomes) = (&self.sizes, &self.outcomes);
        let released = self.releasing.pending.iter().flat_map(|(_, said)| &said.effects);
        let before = released.chain(&self.releasing.again);
        let (mut effects, mut bytes) =
            before.fold((0, 0), |(effects, bytes): (usize, usize), append| (effects + 1, bytes + append.record.size()));
        self.lane.batch_within(|decision| {
            let (more_effects, more_bytes) = weight(decision, sizes, outcomes);
            let is_first = effects == 0;
            effects = effects.saturating_add(more_effects);
            bytes = bytes.saturating_add(more_bytes);
            is_first || effects <= MOST_EFFECTS && bytes <= MOST_BYTES
        })
    }

    /// Makes the appends of a batch, and the write that is to have them.
    async fn work_of(&mut self, batch: Batch) -> Result<Work, End> {
        let now_ms = self.deps.clock.now_ms();
        let recorded = self.recorded(&batch).await?;
        let moved = batch.decisions.iter().filter(|decision| !decision.is_known && !is_done(decision));
        let mut wanted: Vec<_> = moved.map(wanted_of).collect();
        // What waits goes into the store whole.
        wanted.extend(batch.decisions.iter().filter(|decision| is_new_wait(decision)).map(wanted_of));
        let payloads = self.source.payloads(&wanted, &self.kept).await?;
        let claim_ms = match self.stage.work.reach() {
            Reach::Inside => 0,
            Reach::Outside { timeout } => milliseconds(timeout.saturating_add(RESERVE)),
        };
        let mut write = BatchWrite {
            lane: self.source.calls.id.clone(),
            epoch: self.epoch,
            now_ms,
            claim_ms,
            batch,
            effects: Vec::new(),
            parked: Vec::new(),
            released: Vec::new(),
            links: Vec::new(),
            events: Vec::new(),
            ledger: std::mem::take(&mut self.ledger),
        };
        for decision in write.batch.decisions.clone() {
            let effects = if decision.is_known {
                let recorded = recorded.get(&decision.origin);
                recorded.cloned().ok_or_else(|| lost(decision.origin))?
            } else {
                let payload = payloads.get(&wanted_of(&decision));
                self.decide(&decision, payload, &mut write)?
            };
            write.effects.push(effects);
        }
        let mut others = std::mem::take(&mut self.releasing.again);
        for (seq, Said { effects, links, events, ledger }) in std::mem::take(&mut self.releasing.pending) {
            others.extend(effects.iter().cloned());
            write.released.push(Released { seq, batch: write.batch.checkpoint.number, effects });
            write.links.extend(links);
            write.events.extend(events.into_iter().map(|id| PublishedEvent { id, published_at: now_ms }));
            write.ledger.extend(work::rows(ledger, &write.lane, seq, now_ms));
        }
        let tombstones = write.batch.tombstones.iter().map(|(seq, key)| self.tombstone(*seq, key));
        others.extend(tombstones);
        Ok(Work { write, others })
    }

    /// The appends of a decision that is made now; what else comes of it goes into `write`.
    fn decide(
        &mut self,
        decision: &Decision,
        payload: Option<&Payload>,
        write: &mut BatchWrite,
    ) -> Result<Vec<Append>, End> {
        let now_ms = write.now_ms;
        let outcome = self.outcomes.remove(&decision.seq);
        let mut appends = Vec::new();
        let said = match decision.ruling {
            // An answer that was found in the store comes alone.
            Ruling::Applied => {
                outcome.map(|Done { effects, links, events, ledger, .. }| Said { effects, links, events, ledger })
            }
            Ruling::Parked => {
                let (Some(Done { waits: Some(waits), ledger, .. }), Some(payload)) = (outcome, payload) else {
                    return Err(End::Refused { reason: format!("record {} waits for nothing", decision.seq) });
                };
                let Record { value, headers, .. } = payload.restored();
                let key = decision.key.as_bytes().to_vec().into();
                let work::Waits { wanted, expires_at } = waits;
                write.parked.push(Parked { seq: decision.seq, wanted, expires_at, key, value, headers });
                Some(Said { ledger, ..Said::default() })
            }
            _ => {
                let payload = payload.ok_or_else(|| lost(decision.origin))?;
                appends.extend(self.copies(decision, payload, now_ms)?);
                let (record, since) = (&payload.restored(), payload.since());
                let decided = Decided { lane: &write.lane, decision, record, since, now_ms };
                Some(self.stage.work.decided(&decided))
            }
        };
        if decision.releases_held() {
            appends.push(self.tombstone(decision.seq, &decision.key));
        }
        if let Some(Said { effects, links, events, ledger }) = said {
            appends.extend(effects);
            write.links.extend(links);
            write.events.extend(events.into_iter().map(|id| PublishedEvent { id, published_at: now_ms }));
            write.ledger.extend(work::rows(ledger, &write.lane, decision.seq, now_ms));
        }
        Ok(appends)
    }

    /// The record's copy where it goes on, and its dead letter.
    fn copies(&self, decision: &Decision, payload: &Payload, now_ms: i64) -> Result<Vec<Append>, End> {
        let Calls { id, .. } = &self.source.calls;
        let topics = &self.source.topics;
        let trail = Trail {
            topic: &id.topic,
            partition: id.partition,
            seq: decision.seq,
            hop: decision.hop,
            appended_at_ms: payload.appended_at_ms,
            now_ms,
            edit: payload.edited_by.as_deref(),
        };
        let failure = decision.failure.as_ref();
        let mut appends = Vec::new();
        let mut append = |topic: &Arc<str>, record| {
            appends.push(Append { topic: Arc::clone(topic), partition: Some(id.partition), record });
        };
        if let Ruling::Moved(moved) = &decision.ruling {
            let Some(topic) = topics.name(moved.to) else {
                return Err(End::Refused { reason: format!("there is no topic {} to move to", moved.to) });
            };
            append(topic, moved::stamp(&payload.record, &decision.key, moved, failure, &trail));
        }
        if let Some(letter) = decision.dead_letter() {
            append(&topics.dead, moved::dead_letter(&payload.record, &letter, failure, &trail));
        }
        Ok(appends)
    }

    fn tombstone(&self, seq: Seq, key: &Key) -> Append {
        let Calls { id, .. } = &self.source.calls;
        let key = Some(moved::held_key(key, &id.topic, seq));
        let record = Record { key, ..Record::default() };
        Append { topic: Arc::clone(&self.source.topics.held), partition: Some(id.partition), record }
    }

    /// The appends of decisions that the store has already.
    async fn recorded(&self, batch: &Batch) -> Result<BTreeMap<Place, Vec<Append>>, End> {
        let mut wanted: Vec<_> =
            batch.decisions.iter().filter(|decision| decision.is_known).map(|decision| decision.origin).collect();
        wanted.sort_unstable();
        let mut recorded = BTreeMap::new();
        let Calls { id, .. } = &self.source.calls;
        for origin in wanted {
            if recorded.contains_key(&origin) {
                continue;
            }
            let (from, to) = (origin.offset, origin.offset.saturating_add(REPEATED_AT_ONCE));
            let call = || self.deps.store.decided_in(id, origin.topic, from, to);
            let decided = self.source.calls.patiently("store.decided_in", LaneStatus::Running, call).await?;
            recorded.extend(decided.into_iter().map(|decided| (decided.decision.origin, decided.effects)));
        }
        Ok(recorded)
    }

    async fn commit(&self, batch: &Batch, appends: Vec<Append>) -> Result<(), End> {
        let Calls { lane, .. } = &self.source.calls;
        let offset = |topic| {
            let offset = batch.checkpoint.of(topic).low;
            OffsetCommit { offset, metadata: batch.checkpoint.text(topic) }
        };
        let others = self.source.topics.committed().filter(|(topic, _)| *topic != Topic::Source);
        let others = others.map(|(topic, name)| (name.to_string(), offset(topic))).collect();
        let effects = LaneEffects { lane: lane.clone(), offset: offset(Topic::Source), others, appends };
        self.source.calls.commit(&effects, LaneStatus::Running, trouble).await
    }

    /// Takes note of a batch that is durable.
    fn note(&mut self, batch: &Batch) {
        let Calls { metrics, board, id, .. } = &self.source.calls;
        board.set_balance(id, self.lane.balance());
        metrics.lane_batch_decisions.with_label_values(&[&*id.topic]).observe(batch.decisions.len() as f64);
        for decision in &batch.decisions {
            self.kept.forget(decision.origin);
            let mut went_to = |topic| *self.awaited.entry(topic).or_default() += 1;
            match decision.ruling {
                Ruling::Moved(moved) => went_to(moved.to),
                _ => drop(self.sizes.remove(&decision.seq)),
            }
            if decision.releases_held() {
                went_to(Topic::Held);
            }
            metrics.lane_decisions.with_label_values(&[&*id.topic, name(decision.ruling)]).inc();
            if let Some(disposition) = decision.dead_letter().and_then(|letter| letter.disposition) {
                metrics.lane_dead_letters.with_label_values(&[&*id.topic, disposition.name()]).inc();
            }
        }
        if !batch.tombstones.is_empty() {
            *self.awaited.entry(Topic::Held).or_default() += batch.tombstones.len() as u64;
        }
        let refused = batch.commands.iter().filter(|executed| executed.outcome == CommandOutcome::Overtaken);
        for executed in refused {
            tracing::info!(topic = %id.topic, partition = id.partition, command = executed.id, "replay was overtaken");
        }
    }

    /// The store gives the end of another owner's claim by the wall clock it was told.
    fn by_own_clock(&self, answers: Vec<ClaimAnswer>, told_ms: i64) -> Vec<ClaimAnswer> {
        let now = self.deps.clock.passed_ms();
        let convert = |answer| match answer {
            ClaimAnswer::Busy { until_ms } => {
                ClaimAnswer::Busy { until_ms: until_ms.saturating_sub(told_ms).max(0).saturating_add(now) }
            }
            other => other,
        };
        answers.into_iter().map(convert).collect()
    }
}

/// Appends of a decision and their bytes, about: what it says beside its copies is taken to be as large as the record.
fn weight(decision: &Decision, sizes: &BTreeMap<Seq, usize>, outcomes: &BTreeMap<Seq, Done>) -> (usize, usize) {
    let size = sizes.get(&decision.seq).copied().unwrap_or(0).saturating_add(MAX_HEADER_BYTES);
    let letters = usize::from(decision.dead_letter().is_some());
    match decision.ruling {
        Ruling::Applied => {
            let effects = outcomes.get(&decision.seq).map_or(&[][..], |done| &done.effects);
            (effects.len(), effects.iter().map(|append| append.record.size()).sum())
        }
        Ruling::Moved(_) => (2 + 2 * letters, size.saturating_mul(1 + 2 * letters)),
        Ruling::Dead(_) => (3, size.saturating_mul(2)),
        Ruling::Parked => (1, size),
        Ruling::Superseded | Ruling::Skipped => (2, 0),
    }
}

/// Whether what an attempt gave is all there is to append.
fn is_done(decision: &Decision) -> bool {
    matches!(decision.ruling, Ruling::Applied | Ruling::Parked)
}

fn is_new_wait(decision: &Decision) -> bool {
    !decision.is_known && decision.ruling == Ruling::Parked
}

fn wanted_of(decision: &Decision) -> Wanted {
    Wanted { origin: decision.origin, payload: decision.payload }
}

fn lost(origin: Place) -> End {
    End::Refused { reason: format!("store has lost its decision about {origin}") }
}

/// An effect that can never be committed stands in the way of its lane, and of no other.
fn trouble(error: log::Error) -> Trouble {
    match error {
        log::Error::TooLarge { .. }
        | log::Error::UnknownTopic { .. }
        | log::Error::UnknownPartition { .. }
        | log::Error::MetadataTooLarge { .. } => Trouble::Final(error.to_string()),
        error => Trouble::from(error),
    }
}

fn name(ruling: Ruling) -> &'static str {
    match ruling {
        Ruling::Applied => "applied",
        Ruling::Parked => "parked",
        Ruling::Superseded => "superseded",
        Ruling::Skipped => "skipped",
        Ruling::Dead(_) => "dead",
        Ruling::Moved(moved) => match (moved.to, moved.role) {
            (Topic::Held, Role::Head) => "held",
            (_, Role::Head) => "retried",
            (_, Role::Follower) => "followed",
        },
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
