//! Finds out what of the last step is published, where the note beside the committed offset does not tell.
//!
//! The store has the exact records a decision publishes, so the log can be asked for them: those it has are left
//! alone, the others are published now. Every other way repeats events or loses them. It costs a reading of the topics
//! from the time of the decision on, until all are found, after a tool has set the group's offset; never in operation.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::log::{Append, Bounds, ReadLimit, murmur2};
use crate::ownership::{Calls, End, LaneStatus};
use crate::sequence::engine::Engines;
use crate::sequence::lane::TIMERS_PER_STEP;
use crate::sequence::recovery::Unconfirmed;
use crate::store::{Decision, Origin};

/// How far the clock of the process that decided may have been ahead of the log's.
const CLOCKS_APART_MS: i64 = 10 * 60_000;

const PAGE: ReadLimit = ReadLimit { records: 1_000, bytes: 4 << 20 };

/// What is still to be published, in the order of the decisions. `last_timer`: the number of the last one decided.
///
/// # Errors
/// [`End::Refused`] if the log has a record of the last step and the store has no decision about it.
pub async fn unpublished(
    engines: &Engines,
    unconfirmed: Unconfirmed,
    last_timer: u64,
    bounds: Bounds,
) -> Result<Vec<Append>, End> {
    match unconfirmed {
        Unconfirmed::None => Ok(Vec::new()),
        Unconfirmed::TimersAfter(number) => Ok(effects(timers(engines, number).await?)),
        Unconfirmed::LastStep { from, to } if from >= to && last_timer == 0 => Ok(Vec::new()),
        Unconfirmed::LastStep { from, to } => {
            let mut decided = timers(engines, last_timer.saturating_sub(TIMERS_PER_STEP as u64)).await?;
            let last_step = decided.last().map(|decision| decision.decided_at);
            decided.retain(|decision| Some(decision.decided_at) == last_step);
            let decisions = || engines.deps.store.decisions(&engines.id, from, to);
            let about_records = engines.patiently("store.decisions", LaneStatus::Recovering, decisions).await?;
            all_decided(engines, &about_records, from.max(bounds.start), to).await?;
            decided.extend(about_records);
            decided.sort_by_key(|decision| decision.decided_at); // stable: a step's own order stays
            let Some(first) = decided.first() else { return Ok(Vec::new()) };
            let since_ms = first.decided_at.saturating_sub(CLOCKS_APART_MS);
            absent(engines, effects(decided), since_ms).await
        }
    }
}

/// Whether the store has a decision about every record of the log in `from..to`.
async fn all_decided(engines: &Engines, decisions: &[Decision], from: i64, to: i64) -> Result<(), End> {
    let known: HashSet<_> = decisions.iter().map(|decision| decision.origin).collect();
    let Engines { deps, calls: Calls { id, .. } } = engines;
    let mut next = from;
    while next < to {
        let read = || deps.log.read(&id.topic, id.partition, next, PAGE);
        let page = engines.patiently("log.read", LaneStatus::Recovering, read).await?;
        let offsets = page.iter().map(|stored| stored.offset).take_while(|offset| *offset < to);
        if let Some(offset) = offsets.clone().find(|offset| !known.contains(&Origin::Record { offset: *offset })) {
            return Err(End::Refused { reason: format!("store has lost its decision about offset {offset}") });
        }
        let Some(last) = offsets.last() else { return Ok(()) };
        next = last.saturating_add(1);
    }
    Ok(())
}

async fn timers(engines: &Engines, after: u64) -> Result<Vec<Decision>, End> {
    let decisions = || engines.deps.store.timer_decisions(&engines.id, after);
    engines.patiently("store.timer_decisions", LaneStatus::Recovering, decisions).await
}

fn effects(decisions: Vec<Decision>) -> Vec<Append> {
    decisions.into_iter().flat_map(|decision| decision.effects).collect()
}

/// Those of `effects` that the log does not have, appended at `since_ms` or later.
async fn absent(engines: &Engines, effects: Vec<Append>, since_ms: i64) -> Result<Vec<Append>, End> {
    let topics = || engines.deps.log.topics();
    let topics = engines.patiently("log.topics", LaneStatus::Recovering, topics).await?;
    let mut places: BTreeMap<(Arc<str>, u32), Wanted> = BTreeMap::new();
    for (index, effect) in effects.iter().enumerate() {
        let key = effect.record.key.as_deref();
        let partitions = topics.get(&*effect.topic).copied().unwrap_or_default();
        let partition = effect.partition.unwrap_or_else(|| murmur2::partition(key, partitions));
        let wanted = places.entry((Arc::clone(&effect.topic), partition)).or_default();
        wanted.entry(effect.record.value.clone()).or_default().push(index);
    }
    let mut is_there = vec![false; effects.len()];
    for ((topic, partition), wanted) in places {
        for index in find(engines, &effects, (&topic, partition), wanted, since_ms).await? {
            if let Some(found) = is_there.get_mut(index) {
                *found = true;
            }
        }
    }
    let found = is_there.iter().filter(|found| **found).count();
    tracing::info!(
        topic = %engines.id.topic, partition = engines.id.partition, published = found,
        unpublished = effects.len() - found, "looked for the effects of the last step in the log"
    );
    Ok(effects.into_iter().zip(is_there).filter(|(_, found)| !found).map(|(effect, _)| effect).collect())
}

/// Places in the list of effects, by value: event ids make those differ.
type Wanted = HashMap<Option<Bytes>, Vec<usize>>;

/// Which of `wanted` the partition has.
async fn find(
    engines: &Engines,
    effects: &[Append],
    (topic, partition): (&str, u32),
    mut wanted: Wanted,
    since_ms: i64,
) -> Result<Vec<usize>, End> {
    let log = &engines.deps.log;
    let usual = || LaneStatus::Recovering;
    let first = || log.offset_at(topic, partition, since_ms);
    let mut next = engines.patiently("log.offset_at", usual(), first).await?;
    let mut found = Vec::new();
    while !wanted.is_empty() {
        let page = engines.patiently("log.read", usual(), || log.read(topic, partition, next, PAGE)).await?;
        let Some(last) = page.last() else { break };
        next = last.offset.saturating_add(1);
        for stored in &page {
            let value = &stored.record.value;
            let Some(places) = wanted.get_mut(value) else { continue };
            let is_it = |index: &usize| effects.get(*index).is_some_and(|effect| effect.record == stored.record);
            // Each record in the log stands for one effect.
            if let Some(at) = places.iter().position(is_it) {
                found.push(places.swap_remove(at));
            }
            if places.is_empty() {
                wanted.remove(value);
            }
        }
    }
    Ok(found)
}
