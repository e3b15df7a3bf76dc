//! How far behind each group is, as the log tells it: also for partitions nobody reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use crate::log::{self, ReadLimit};
use crate::reader::board::Board;
use crate::reader::topic::{Groups, Topics};
use crate::reader::{Deps, Pace};

/// Looks at every group now and then.
pub(super) struct Lag {
    pub deps: Arc<Deps>,
    pub board: Arc<Board>,
    pub groups: watch::Receiver<Arc<Groups>>,
    pub stopping: watch::Receiver<bool>,
}

/// Group, topic and partition, as the metrics have them.
type Labels = (Arc<str>, Arc<str>, u32);

impl Lag {
    pub async fn run(mut self) {
        let Pace { look_every, .. } = self.deps.pace;
        let mut shown = BTreeSet::new();
        loop {
            let groups = Arc::clone(&self.groups.borrow_and_update());
            self.forget_all_but(&groups, &mut shown);
            if let Err(error) = self.look(&groups, &mut shown).await {
                self.deps.metrics.engine_errors.with_label_values(&["reader.look"]).inc();
                tracing::debug!(%error, "lag cannot be told now");
            }
            tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stop| *stop) => return,
                changed = self.groups.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(look_every) => {}
            }
        }
    }

    /// Exports what it sees, and adds it to `shown`.
    async fn look(&self, groups: &Groups, shown: &mut BTreeSet<Labels>) -> Result<(), log::Error> {
        if groups.is_empty() {
            return Ok(());
        }
        let existing = self.deps.log.topics().await?;
        for (group, topics) in groups {
            let missing = topics.keys().filter(|topic| !existing.contains_key(&***topic)).cloned().collect();
            self.board.set_missing(group, missing);
            self.look_at(group, topics, &existing, shown).await?;
        }
        Ok(())
    }

    async fn look_at(
        &self,
        group: &Arc<str>,
        topics: &Topics,
        existing: &BTreeMap<String, u32>,
        shown: &mut BTreeSet<Labels>,
    ) -> Result<(), log::Error> {
        let Deps { log, metrics, .. } = &*self.deps;
        for topic in topics.keys() {
            let Some(partitions) = existing.get(&**topic) else { continue };
            let committed = log.committed(group, topic).await?;
            for partition in 0..*partitions {
                let bounds = log.bounds(topic, partition).await?;
                let next = committed.get(&partition).map_or(bounds.start, |committed| committed.offset);
                let next = next.max(bounds.start);
                let lag = bounds.end.saturating_sub(next).max(0);
                let age_ms = if lag > 0 { self.age_ms(topic, partition, next).await? } else { 0 };
                let labels = [group, &**topic, &partition.to_string()];
                metrics.lag.with_label_values(&labels).set(lag);
                metrics.oldest_unread_seconds.with_label_values(&labels).set(age_ms / 1000);
                let is_late = i128::from(age_ms) * 2 > self.deps.retention.as_millis().try_into().unwrap_or(i128::MAX);
                let alarm = metrics.unread_past_half_retention.with_label_values(&labels);
                if is_late && alarm.get() == 0 {
                    tracing::warn!(%group, %topic, partition, age_ms, "unread records will be deleted before long");
                }
                alarm.set(i64::from(is_late));
                shown.insert((Arc::clone(group), Arc::clone(topic), partition));
            }
        }
        Ok(())
    }

    /// Age of the first record from `next` on.
    async fn age_ms(&self, topic: &str, partition: u32, next: i64) -> Result<i64, log::Error> {
        let oldest = self.deps.log.read(topic, partition, next, ReadLimit { records: 1, bytes: 1 }).await?;
        let now = self.deps.clock.now_ms();
        Ok(oldest.first().map_or(0, |stored| now.saturating_sub(stored.timestamp_ms).max(0)))
    }

    /// Takes away what is no longer read: a value that never changes again would look like a group that stands still.
    fn forget_all_but(&self, groups: &Groups, shown: &mut BTreeSet<Labels>) {
        let metrics = &self.deps.metrics;
        shown.retain(|(group, topic, partition)| {
            let is_read = groups.get(group).is_some_and(|topics| topics.contains_key(topic));
            if !is_read {
                let labels = [group, &**topic, &partition.to_string()];
                for gauge in [&metrics.lag, &metrics.oldest_unread_seconds, &metrics.unread_past_half_retention] {
                    // It may be gone already.
                    let _ = gauge.remove_label_values(&labels);
                }
            }
            is_read
        });
    }
}
