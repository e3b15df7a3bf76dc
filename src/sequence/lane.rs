//! Runs one lane of `crossdock.intake`: decides each record once, publishes what was decided exactly once.
//!
//! A batch goes: read records, load the states of their orders, decide in order, ask the store which of the events
//! that no state guards (rejections) were published before, one write to the store (decisions with their exact
//! effects), one commit to the log (those effects and the offset). The store goes first: after a crash in between, the
//! records come again, their decisions are found, and the same bytes are published. A known origin is never decided
//! again ("duplicate", and its events lost) and never skipped (the same loss).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use crate::lane::checkpoint;
use crate::log::{Append, Bounds, OffsetCommit, ReadLimit, Stored};
use crate::ownership::{Calls, End, LaneStatus, chain};
use crate::sequence::batch::{self, Batch, Decided, Frame};
use crate::sequence::decide::Rules;
use crate::sequence::engine::Engines;
use crate::sequence::ledger::{Detail, Gap};
use crate::sequence::message::{Message, Unreadable};
use crate::sequence::metadata::{Horizon, Metadata};
use crate::sequence::recovery::{self, Unconfirmed};
use crate::sequence::settle;
use crate::sequence::source::Source;
use crate::sequence::{GROUP, dead_letters};
use crate::store::{Balance, Decision, LaneRow, LaneWrite, LedgerEntry, OrderState, Origin};

/// Most timers decided in one step: each may bring a parked payload of some MiB into memory.
pub(super) const TIMERS_PER_STEP: usize = 64;

/// Beside an offset that another tool has set, once nothing decided is unpublished.
const SETTLED: &str = "settled";

/// Records decided between two offers to let other tasks run.
const RECORDS_PER_TURN: usize = 32;

/// One lane, owned and recovered.
pub(super) struct Lane {
    engines: Engines,
    dead_letters: Arc<str>,
    pub(super) epoch: u64,
    /// First offset to read.
    pub(super) next: i64,
    /// First offset without a decision (W).
    decided: i64,
    /// The log's commit was seen up to here (P).
    confirmed: i64,
    /// Origins below it are published already: the store was behind.
    silent_below: i64,
    /// So are timers up to this one.
    silent_until: Option<Horizon>,
    /// Number of the last timer the store has decided.
    timers: u64,
    /// What the next commit says beside its offset.
    metadata: Metadata,
    pub(super) balance: Balance,
    /// The lane's time, epoch milliseconds: see `timer`.
    time: i64,
    /// When timers and lag were last looked at; `None`: now.
    checked_at: Option<i64>,
    pub(super) known: KnownOrigins,
}

/// What becomes of a record whose decision is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownOrigins {
    PublishAgain,
    /// Wrong; planted to prove that the tests notice.
    #[cfg(test)]
    Skip,
    /// Wrong; planted to prove that the tests notice.
    #[cfg(test)]
    DecideAgain,
}

impl Lane {
    /// Proves that the lane is owned, takes it over in the store, and finds where it goes on.
    ///
    /// The offset is committed unchanged before the store is touched: an owner that lost the lane is refused there
    /// and cannot lock out its successor.
    pub async fn start(engines: Engines) -> Result<Self, End> {
        let Engines { deps, calls } = &engines;
        let Calls { membership, lane, id, .. } = calls;
        let usual = || LaneStatus::Recovering;
        let mut committed = engines.patiently("log.committed", usual(), || membership.committed(lane)).await?;
        let committed = committed.remove(&*id.topic);
        let proof = match committed.clone() {
            Some(committed) => committed,
            None => OffsetCommit { offset: engines.bounds(usual()).await?.start, metadata: String::new() },
        };
        engines.commit(proof, Vec::new(), usual()).await?;
        let row = engines.patiently("store.take_lane", usual(), || deps.store.take_lane(id)).await?;
        // Read after the lane was taken: its former owner decides nothing more, so W cannot be beyond this end.
        let bounds = engines.bounds(usual()).await?;
        let plan = recovery::plan(committed.as_ref(), &row, bounds, deps.accept_skip)
            .map_err(|refusal| End::Refused { reason: refusal.to_string() })?;
        let LaneRow { epoch, decided, confirmed, timers, balance } = row;
        tracing::info!(
            topic = %id.topic, partition = id.partition, epoch, decided, confirmed, next = plan.next,
            "lane taken over"
        );
        engines.board.set_balance(id, exported(balance));
        let mut lane = Self {
            dead_letters: Arc::from(dead_letters()),
            epoch,
            next: plan.next,
            decided,
            confirmed,
            silent_below: plan.silent_below,
            silent_until: plan.silent_until,
            timers,
            metadata: plan.metadata,
            balance,
            time: i64::MIN,
            checked_at: None,
            known: KnownOrigins::PublishAgain,
            engines,
        };
        if plan.unconfirmed != Unconfirmed::None || plan.gap.is_some() {
            lane.settle(plan.unconfirmed, plan.gap, bounds).await?;
        }
        Ok(lane)
    }

    /// Runs until the lane ends.
    pub async fn run(mut self) -> End {
        self.engines.board.set(&self.engines.id, LaneStatus::Running);
        loop {
            if self.engines.stopped() {
                return End::Stopped;
            }
            if let Err(end) = self.step().await {
                return end;
            }
        }
    }

    /// One round: what the log has, then the timers that are due.
    pub async fn step(&mut self) -> Result<(), End> {
        let clock = Arc::clone(&self.engines.deps.clock);
        let asked_at = clock.now_ms();
        let mut records = self.poll().await?;
        match records.last() {
            Some(last) => self.time = self.time.max(last.timestamp_ms),
            None => self.time = self.time.max(asked_at),
        }
        let new = records.split_off(records.partition_point(|stored| stored.offset < self.decided));
        if !records.is_empty() {
            self.meet_known(records).await?;
        }
        if !new.is_empty() {
            self.take(new).await?;
        }
        let every = i64::try_from(self.engines.deps.pace.check_every.as_millis()).unwrap_or(i64::MAX);
        let now = clock.now_ms();
        let due = self.checked_at.is_none_or(|checked_at| now.saturating_sub(checked_at) >= every);
        if due && self.next >= self.silent_below {
            self.checked_at = Some(now);
            self.export_lag().await?;
            self.run_timers(now).await?;
        }
        Ok(())
    }

    async fn poll(&self) -> Result<Vec<Stored>, End> {
        let Engines { deps, calls } = &self.engines;
        let Calls { membership, lane, .. } = calls;
        let limit = ReadLimit { records: deps.settings.batch_records.max(1), bytes: deps.settings.batch_bytes };
        let poll = || membership.poll(lane, self.next, limit, deps.pace.poll);
        tokio::select! {
            biased;
            () = self.engines.stopping() => Err(End::Stopped),
            records = self.engines.patiently("log.poll", LaneStatus::Running, poll) => records,
        }
    }

    async fn meet_known(&mut self, records: Vec<Stored>) -> Result<(), End> {
        match self.known {
            KnownOrigins::PublishAgain => self.publish_again(&records).await,
            #[cfg(test)]
            KnownOrigins::Skip => self.commit(records.last().map_or(self.next, |last| last.offset + 1), vec![]).await,
            #[cfg(test)]
            KnownOrigins::DecideAgain => self.take(records).await,
        }
    }

    /// Publishes the recorded effects of `records`, byte for byte, those of the releases they caused included.
    async fn publish_again(&mut self, records: &[Stored]) -> Result<(), End> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let (from, to) = (first.offset, last.offset.saturating_add(1));
        let Engines { deps, calls: Calls { id, .. } } = &self.engines;
        let decisions = || deps.store.decisions(id, from, to);
        let decisions = self.engines.patiently("store.decisions", LaneStatus::Running, decisions).await?;
        let known: HashSet<_> = decisions.iter().map(|decision| decision.origin).collect();
        let lost = records.iter().find(|stored| !known.contains(&Origin::Record { offset: stored.offset }));
        if let Some(stored) = lost {
            let reason = format!("store has lost its decision about offset {}", stored.offset);
            return Err(End::Refused { reason });
        }
        tracing::info!(topic = %id.topic, partition = id.partition, from, to, "publishing recorded effects again");
        self.commit(to, decisions.into_iter().flat_map(|decision| decision.effects).collect()).await
    }

    /// Decides about `records`, none of which is known.
    async fn take(&mut self, records: Vec<Stored>) -> Result<(), End> {
        let Some(last) = records.last() else { return Ok(()) };
        let to = last.offset.saturating_add(1);
        let started = Instant::now();
        let deps = Arc::clone(&self.engines.deps);
        let mut messages = Vec::with_capacity(records.len());
        for turn in records.chunks(RECORDS_PER_TURN) {
            for stored in turn {
                let mut message = Message::of_record(&deps.catalogue, &stored.record);
                if message.as_ref().is_err_and(Unreadable::is_transient) {
                    self.engines.learn(stored.record.value.as_deref().unwrap_or_default()).await?;
                    message = Message::of_record(&deps.catalogue, &stored.record);
                }
                messages.push(message);
            }
            tokio::task::yield_now().await;
        }
        let readable = messages.iter().filter_map(|message| message.as_ref().ok());
        let orders = readable.filter_map(Message::order).map(|subject| subject.id);
        let states = self.states(orders).await?;
        let read_parked = |value: &[u8]| Message::of_value(&deps.catalogue, value);
        let told = records.iter().zip(&messages).filter_map(|(stored, message)| {
            let head = &message.as_ref().ok()?.head;
            Some([Source::of(&stored.record, head).map(|source| source.id), head.delivery_guard()])
        });
        let known = self.engines.published_events(told.flatten().flatten().collect()).await?;
        let mut batch = Batch::new(self.frame(&read_parked), self.balance, states).knowing(known);
        for (place, (stored, message)) in records.iter().zip(messages).enumerate() {
            batch.take(stored, message).map_err(refused)?;
            if place % RECORDS_PER_TURN == RECORDS_PER_TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        let published = self.engines.published_events(batch.guards()).await?;
        let mut decided = batch.finish(&published);
        let tally = std::mem::take(&mut decided.tally);
        fail::fail_point!("sequence.decided");
        let decisions = self.write(to, self.timers, decided).await?;
        fail::fail_point!("sequence.stored");
        let spoken = self.silent_below;
        let loud = decisions.into_iter().filter(|decision| record_of(decision.origin) >= spoken);
        self.commit(to, loud.flat_map(|decision| decision.effects).collect()).await?;
        fail::fail_point!("sequence.committed");
        tally.export(&self.engines.deps.metrics, &self.engines.id.topic, started.elapsed());
        Ok(())
    }

    /// Ends what is due by the lane's time, at most [`TIMERS_PER_STEP`] at once.
    async fn run_timers(&mut self, now: i64) -> Result<(), End> {
        let deps = Arc::clone(&self.engines.deps);
        let due = || deps.store.due(&self.engines.id, self.time, TIMERS_PER_STEP);
        let due = self.engines.patiently("store.due", LaneStatus::Running, due).await?;
        if due.is_empty() {
            return Ok(());
        }
        let states = self.states(due.iter().map(|due| due.order)).await?;
        let read_parked = |value: &[u8]| Message::of_value(&deps.catalogue, value);
        let mut batch = Batch::new(Frame { now, ..self.frame(&read_parked) }, self.balance, states);
        let mut ended = Vec::with_capacity(due.len());
        let mut timers = self.timers;
        for due in &due {
            let place = Some(Horizon { deadline: due.expires_at, offset: due.offset });
            let spoken = place <= self.silent_until;
            // One that speaks gets a number the log has not seen, also where the store was behind.
            let number = if spoken { timers } else { timers.max(self.metadata.timers) }.saturating_add(1);
            if batch.expire(number, due).map_err(refused)? {
                timers = number;
                ended.push((place, spoken));
            }
        }
        let Some(horizon) = ended.last().map(|(place, _)| *place) else {
            return Err(End::Refused { reason: "store names timers of orders that do not wait".to_owned() });
        };
        let started = Instant::now();
        let published = self.engines.published_events(batch.guards()).await?;
        let mut decided = batch.finish(&published);
        let tally = std::mem::take(&mut decided.tally);
        let decisions = self.write(self.decided, timers, decided).await?;
        fail::fail_point!("sequence.stored");
        let loud = decisions.into_iter().zip(ended).filter(|(_, (_, spoken))| !spoken);
        let appends = loud.flat_map(|(decision, _)| decision.effects).collect();
        let Metadata { timers: number, horizon: place } = self.metadata;
        self.metadata = Metadata { timers: number.max(timers), horizon: place.max(horizon) };
        self.commit(self.next, appends).await?;
        tally.export(&self.engines.deps.metrics, &self.engines.id.topic, started.elapsed());
        if due.len() == TIMERS_PER_STEP {
            self.checked_at = None;
        }
        Ok(())
    }

    /// Publishes what of the decided may not be in the log; then goes on, behind the gap if there is one.
    async fn settle(&mut self, unconfirmed: Unconfirmed, gap: Option<Gap>, bounds: Bounds) -> Result<(), End> {
        let effects = settle::unpublished(&self.engines, unconfirmed, self.timers, bounds).await?;
        let Some(gap) = gap else { return self.commit(self.next, effects).await };
        // Not ours until the store has the gap: ours would say that the store is behind and has to catch up.
        let offset = OffsetCommit { offset: gap.to, metadata: SETTLED.to_owned() };
        self.engines.commit(offset, effects, LaneStatus::Recovering).await?;
        self.confirmed = gap.to;
        self.record_gap(gap).await?;
        self.commit(gap.to, Vec::new()).await
    }

    /// Writes down that an operator let the lane skip what was never taken.
    async fn record_gap(&mut self, gap: Gap) -> Result<(), End> {
        let at = self.engines.deps.clock.now_ms();
        let lane = self.engines.id.clone();
        tracing::warn!(topic = %lane.topic, partition = lane.partition, gap.from, gap.to, "lane skips a gap");
        let origin = Origin::Record { offset: gap.from };
        let detail = Detail::of_gap(gap).to_text();
        let ledger = vec![LedgerEntry { order: Uuid::nil(), lane, origin, at, detail }];
        let decided = Decided { ledger, balance: self.balance, ..Decided::default() };
        self.write(gap.to, self.timers, decided).await?;
        Ok(())
    }

    async fn states(&self, orders: impl Iterator<Item = Uuid>) -> Result<Vec<OrderState>, End> {
        let mut seen = HashSet::new();
        let ids: Vec<_> = orders.filter(|id| seen.insert(*id)).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let states = || self.engines.deps.store.orders(ids.clone());
        let states = self.engines.patiently("store.orders", LaneStatus::Running, states).await?;
        Ok(states.into_iter().flatten().collect())
    }

    /// One write of the store; gives back the decisions it wrote.
    async fn write(&mut self, to: i64, timers: u64, decided: Decided) -> Result<Vec<Decision>, End> {
        let Decided { decisions, orders, payloads, events, ledger, balance, .. } = decided;
        let Engines { deps, calls: Calls { id, board, .. } } = &self.engines;
        let write = LaneWrite {
            lane: id.clone(),
            epoch: self.epoch,
            decided: to,
            confirmed: self.confirmed,
            timers,
            balance,
            decisions,
            orders,
            payloads,
            events,
            ledger,
        };
        let call = || deps.store.write(write.clone());
        self.engines.patiently("store.write", LaneStatus::Running, call).await?;
        board.set_balance(id, exported(balance));
        self.decided = to;
        self.timers = timers;
        self.balance = balance;
        Ok(write.decisions)
    }

    /// One commit to the log. An offset that is already committed beyond `next` stays: the store was behind.
    async fn commit(&mut self, next: i64, appends: Vec<Append>) -> Result<(), End> {
        let offset = next.max(self.silent_below);
        let commit = OffsetCommit { offset, metadata: self.metadata.to_text() };
        self.engines.commit(commit, appends, LaneStatus::Running).await?;
        self.next = next;
        self.confirmed = offset.min(self.decided);
        Ok(())
    }

    fn frame<'a>(&'a self, read_parked: &'a (dyn Fn(&[u8]) -> Result<Message, Unreadable> + Sync)) -> Frame<'a> {
        let Engines { deps, calls: Calls { id, .. } } = &self.engines;
        let ms = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let rules = Rules {
            parked_for_ms: ms(deps.settings.parked_for),
            max_parked_per_order: deps.settings.max_parked_per_order,
            tombstone_for_ms: ms(deps.settings.tombstone_for),
            read_parked,
        };
        let now = deps.clock.now_ms();
        Frame { lane: id, catalogue: &deps.catalogue, rules, dead_letters: &self.dead_letters, now }
    }

    async fn export_lag(&self) -> Result<(), End> {
        let Engines { deps, calls: Calls { id, .. } } = &self.engines;
        let bounds = self.engines.bounds(LaneStatus::Running).await?;
        let lag = bounds.end.saturating_sub(self.next).max(0);
        deps.metrics.lag.with_label_values(&[GROUP, &id.topic, &id.partition.to_string()]).set(lag);
        Ok(())
    }
}

/// The record an origin derives from; a timer's is the one it ended.
fn record_of(origin: Origin) -> i64 {
    match origin {
        Origin::Record { offset } | Origin::Release { offset, .. } | Origin::Timer { offset, .. } => offset,
    }
}

/// The sequencer's states are some of those a lane can have.
fn exported(balance: Balance) -> checkpoint::Balance {
    let Balance { taken, applied, parked } = balance;
    checkpoint::Balance { taken, applied, parked, ..checkpoint::Balance::default() }
}

fn refused(error: batch::Error) -> End {
    End::Refused { reason: chain(&error) }
}
