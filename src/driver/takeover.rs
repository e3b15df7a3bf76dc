//! Taking a lane over: proves that it is owned, takes its epoch, and comes to where its last owner was.
//!
//! The offset is committed unchanged before the store is touched: an owner that lost the lane is refused there and
//! cannot lock out its successor. Where the lane goes on is [`plan`]'s to say; what it holds is read from the topics.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::driver::owner::Owner;
use crate::driver::payloads::{Kept, Source};
use crate::driver::reading::{PAGE_BYTES, PAGE_RECORDS, is_tombstone, released_seq};
use crate::driver::releases::Releasing;
use crate::driver::topics::Topics;
use crate::driver::{Deps, Reach, Stage};
use crate::lane::batch::Decision;
use crate::lane::command::{Command, Verb};
use crate::lane::moved::Moved;
use crate::lane::place::{Place, Seq, Topic};
use crate::lane::plan::{Gap, Plan, Standing, plan};
use crate::lane::{Policy, Recovery};
use crate::log::{LaneEffects, OffsetCommit, ReadLimit, Stored};
use crate::ownership::{Calls, End, LaneStatus, Trouble};
use crate::sequence::ledger::{self, Detail};
use crate::store::lanes::{Decided, Taken};
use crate::store::{LaneStore, LedgerEntry, Origin};

/// Sequences the store is asked about at once.
const ASKED_AT_ONCE: usize = 1_000;

/// The store is behind the log. Records that are finished there may have left links and waiting records in the store
/// which nothing else has.
#[derive(Debug, thiserror::Error)]
#[error(
    "store has lost decisions about offsets {from} to {to}, and with them links and parked records: the lane goes on \
     without these only with `crossdock serve --accept-skip`"
)]
struct Forgotten {
    from: i64,
    to: i64,
}

/// A lane that is being taken over.
struct Takeover {
    deps: Arc<Deps>,
    source: Source,
    recovery: Recovery,
    sizes: BTreeMap<Seq, usize>,
}

impl Owner {
    /// Takes the lane over.
    ///
    /// # Errors
    /// [`End`] if it is another's, or must not run before an operator has decided.
    pub async fn take_over(deps: Arc<Deps>, stage: Arc<Stage>, calls: Calls) -> Result<Self, End> {
        let delays: Vec<_> = stage.policy.tiers.iter().map(|tier| tier.delay).collect();
        let find = || -> BoxFuture<'_, Result<Topics, Trouble>> {
            Box::pin(async {
                let existing = calls.log.topics().await?;
                let names = existing.keys().map(String::as_str);
                let topics = Topics::of(&stage.topic, delays.iter().copied(), names);
                let topics = topics.map_err(|error| Trouble::Final(error.to_string()))?;
                // One that was just made may not be known everywhere.
                match topics.all().into_iter().find(|(name, _)| !existing.contains_key(&**name)) {
                    Some((missing, _)) => Err(Trouble::Passing(format!("topic `{missing}` does not exist"))),
                    None => Ok(topics),
                }
            })
        };
        let topics = Arc::new(calls.patiently("log.topics", LaneStatus::Recovering, find).await?);
        let source = Source { calls, topics };
        let (plan, taken) = source.plan(&deps).await?;
        if let Some(from) = plan.restore_from {
            let lane = &source.calls.id;
            tracing::warn!(topic = %lane.topic, partition = lane.partition, from, "store has lost decisions");
            if stage.work.reach() == Reach::Inside && !deps.accept_skip {
                let to = plan.checkpoint.of(Topic::Source).low;
                return Err(End::Refused { reason: Forgotten { from, to }.to_string() });
            }
        }
        let policy = Policy { salt: salt(&source.calls), ..source.topics.policy(&stage.policy) };
        let recovery = Recovery::new(policy, &plan, deps.clock.passed_ms());
        let takeover = Takeover { deps, source, recovery, sizes: BTreeMap::new() };
        takeover.recover(stage, &plan, taken).await
    }
}

impl Source {
    /// Proves that the lane is owned, takes it over in the store, and finds where it goes on.
    async fn plan(&self, deps: &Deps) -> Result<(Plan, Taken), End> {
        let usual = || LaneStatus::Recovering;
        let Calls { membership, lane, id, .. } = &self.calls;
        let mut committed = self.calls.patiently("log.committed", usual(), || membership.committed(lane)).await?;
        let offset = match committed.get(&*id.topic) {
            Some(committed) => committed.clone(),
            None => OffsetCommit { offset: self.calls.bounds(usual()).await?.start, metadata: String::new() },
        };
        let proof = LaneEffects { lane: lane.clone(), offset, others: BTreeMap::new(), appends: Vec::new() };
        self.calls.commit(&proof, usual(), Trouble::from).await?;
        let mut taken = self.calls.patiently("store.take_over", usual(), || deps.store.take_over(id)).await?;
        // Read after the lane was taken: its former owner decides nothing more, so W cannot be beyond this end.
        let bounds = self.calls.bounds(usual()).await?;
        let names: BTreeMap<_, _> = self.topics.committed().collect();
        let committed = names.iter().filter_map(|(topic, name)| Some((*topic, committed.remove(&***name)?))).collect();
        // A retry topic that was deleted has no offset to be missed.
        taken.confirmed.finished.retain(|topic, _| names.contains_key(topic));
        let Taken { decided, number, ref confirmed, .. } = taken;
        let standing = Standing { committed, decided, number, confirmed: confirmed.clone() };
        let plan = plan(&standing, bounds, deps.accept_skip);
        let plan = plan.map_err(|refusal| End::Refused { reason: refusal.to_string() })?;
        tracing::info!(
            topic = %id.topic, partition = id.partition, epoch = taken.epoch, decided, number = plan.number,
            next = plan.checkpoint.of(Topic::Source).low, is_last = plan.is_last, "lane taken over"
        );
        if let Some(gap) = plan.gap {
            tracing::warn!(topic = %id.topic, partition = id.partition, gap.from, gap.to, "lane skips a gap");
        }
        Ok((plan, taken))
    }

    /// Those of `ids` that are commands which were executed.
    pub(super) async fn executed(
        &self,
        store: &dyn LaneStore,
        ids: Vec<String>,
        usual: LaneStatus,
    ) -> Result<HashSet<String>, End> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let executed = || store.executed(&self.calls.id, ids.clone());
        self.calls.patiently("store.executed", usual, executed).await
    }
}

impl Takeover {
    /// Reads the control topic, the held topic and the tiers to their ends.
    async fn recover(mut self, stage: Arc<Stage>, plan: &Plan, taken: Taken) -> Result<Owner, End> {
        let Calls { log, id, .. } = self.source.calls.clone();
        let names = self.source.topics.committed().filter(|(topic, _)| *topic != Topic::Source);
        let mut names: Vec<_> = names.map(|(topic, name)| (topic, Arc::clone(name))).collect();
        names.push((Topic::Held, Arc::clone(&self.source.topics.held)));
        for (topic, name) in names {
            // Behind every transaction under way, and asked for after the committed offsets.
            let bounds = || log.bounds(&name, id.partition);
            let bounds = self.source.calls.patiently("log.bounds", LaneStatus::Recovering, bounds).await?;
            self.recovery.until(topic, bounds.end);
        }
        while let Some((topic, from)) = self.recovery.next() {
            let limit = ReadLimit { records: PAGE_RECORDS, bytes: PAGE_BYTES };
            let page = self.source.read(Place::new(topic, from), limit).await?;
            if page.is_empty() {
                // Everything committed was read: at the end are aborted records, or marks of commits.
                let end = self.recovery.end_of(topic);
                self.recovery.reached(topic, end);
            }
            self.take(topic, page).await?;
            if self.source.calls.stopped() {
                return Err(End::Stopped);
            }
        }
        let ended = self.ended().await?;
        let again = self.released(plan).await?;
        let ledger = plan.gap.map(|gap| gap_row(&self.source.calls, gap, self.deps.clock.now_ms()));
        let Self { deps, source, recovery, sizes } = self;
        let mut lane = recovery.finish(&ended).map_err(|error| End::Refused { reason: error.to_string() })?;
        lane.released(again.len() as u64);
        source.calls.board.set_balance(&source.calls.id, lane.balance());
        let mut target = stage.work.target();
        target.mark_changed();
        Ok(Owner {
            lane,
            epoch: taken.epoch,
            decided: taken.decided,
            kept: Kept::default(),
            sizes,
            outcomes: BTreeMap::new(),
            awaited: BTreeMap::new(),
            flights: JoinSet::new(),
            target: Some(target),
            releasing: Releasing::new(deps.learned.subscribe(), again.into_iter().flatten().collect()),
            ledger: ledger.into_iter().collect(),
            is_source_dry: false,
            is_control_dry: false,
            checked_at: None,
            deps,
            stage,
            source,
        })
    }

    async fn take(&mut self, topic: Topic, page: Vec<Stored>) -> Result<(), End> {
        let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(()) };
        let (from, to) = (first.offset, last.offset.saturating_add(1));
        let mut known = self.known(topic, from, to).await?;
        if topic != Topic::Control {
            for stored in page {
                let decision = known.remove(&stored.offset);
                self.take_copy(topic, &stored, decision);
            }
            return Ok(());
        }
        let commands: Vec<_> = page.iter().map(|stored| (stored, Command::read(&stored.record))).collect();
        let ids: Vec<_> = commands.iter().filter_map(|(_, command)| Some(command.as_ref().ok()?.id.clone())).collect();
        let executed = self.source.executed(self.deps.store.as_ref(), ids, LaneStatus::Recovering).await?;
        for (stored, command) in commands {
            let Ok(command) = command else {
                self.recovery.unreadable(Place::new(topic, stored.offset));
                continue;
            };
            if let Verb::Replay { seq, .. } = command.verb {
                self.sizes.insert(seq, stored.record.size());
            }
            let is_known = executed.contains(&command.id);
            self.recovery.command(stored.offset, command, is_known, known.remove(&stored.offset));
        }
        Ok(())
    }

    fn take_copy(&mut self, topic: Topic, stored: &Stored, decision: Option<Decision>) {
        let place = Place::new(topic, stored.offset);
        if is_tombstone(topic, &stored.record) {
            match released_seq(&stored.record) {
                Some(seq) => self.recovery.tombstone(stored.offset, seq),
                None => self.recovery.unreadable(place),
            }
            return;
        }
        match Moved::read(&stored.record) {
            Ok(moved) => {
                self.sizes.insert(moved.seq, stored.record.size());
                self.recovery.copy(place, stored.timestamp_ms, &moved, decision);
            }
            Err(error) => {
                tracing::warn!(%place, %error, "copy is none of the lane's, left out");
                self.recovery.unreadable(place);
            }
        }
    }

    async fn known(&self, topic: Topic, from: i64, to: i64) -> Result<BTreeMap<i64, Decision>, End> {
        let call = || self.deps.store.decided_in(&self.source.calls.id, topic, from, to);
        let decided = self.source.calls.patiently("store.decided_in", LaneStatus::Recovering, call).await?;
        Ok(decided.into_iter().map(|Decided { decision, .. }| (decision.origin.offset, decision)).collect())
    }

    /// How the store has what is outstanding as ended.
    async fn ended(&self) -> Result<BTreeMap<Seq, u32>, End> {
        let mut ended = BTreeMap::new();
        for seqs in self.recovery.outstanding().chunks(ASKED_AT_ONCE) {
            let call = || self.deps.store.ended(&self.source.calls.id, seqs.to_vec());
            ended.extend(self.source.calls.patiently("store.ended", LaneStatus::Recovering, call).await?);
        }
        Ok(ended)
    }

    /// The appends of releases that the log may not have.
    async fn released(&self, plan: &Plan) -> Result<Vec<Vec<crate::log::Append>>, End> {
        let call = || self.deps.store.released_after(&self.source.calls.id, plan.checkpoint.number);
        let released = self.source.calls.patiently("store.released_after", LaneStatus::Recovering, call).await?;
        Ok(released.into_iter().map(|released| released.effects).collect())
    }
}

/// Writes down that an operator let the lane skip what was never taken.
fn gap_row(calls: &Calls, gap: Gap, at: i64) -> LedgerEntry {
    let Gap { from, to } = gap;
    let (lane, origin) = (calls.id.clone(), Origin::Record { offset: from });
    LedgerEntry { order: Uuid::nil(), lane, origin, at, detail: Detail::of_gap(ledger::Gap { from, to }).to_text() }
}

/// Gives each lane a jitter of its own, the same at every start: FNV-1a of its name.
fn salt(calls: &Calls) -> u64 {
    let name = format!("{}/{}", calls.id.topic, calls.id.partition);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
