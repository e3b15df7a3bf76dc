//! Keeps what is kept for a time no longer than that.
//!
//! Records of `crossdock.intake`, of the lanes' own topics, their tiers and their commands go once they are both
//! committed and older than the replay window; the decisions
//! about them go at the same border, never before: a record that can still be read must find its decision. Payloads,
//! ledger rows, orders, failures and what is known of published events go by age; the audit stays. (The events themselves go by their topic's
//! retention, which is the log's business.)

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::canonical::draft::INTAKE;
use crate::clock::Clock;
use crate::config::settings::{LogSettings, StoreSettings};
use crate::driver;
use crate::log::{self, EventLog};
use crate::sequence;
use crate::store::{self, Keep, LaneId, Store};

/// Time between two rounds.
pub(super) const EVERY: Duration = Duration::from_secs(600);

pub(super) struct Janitor {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    /// The lanes' own topics beside the intake.
    pub lanes: watch::Receiver<Vec<String>>,
    pub log_settings: LogSettings,
    pub store_settings: StoreSettings,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Janitor {
    /// One round. Returns the number of store rows deleted.
    pub async fn tidy(&self) -> Result<u64, Error> {
        let now = self.clock.now_ms();
        let keep = Keep {
            payloads_since: before(now, self.store_settings.payloads_for),
            events_since: before(now, self.store_settings.events_for),
            ledger_since: before(now, self.store_settings.ledger_for),
            orders_since: before(now, self.store_settings.orders_for),
            failures_since: before(now, self.store_settings.failures_for),
            decisions_from: self.trim(now).await?,
        };
        let mut deleted = 0;
        loop {
            match self.store.prune(keep.clone()).await? {
                0 => return Ok(deleted),
                rows => deleted += rows,
            }
        }
    }

    /// Trims what lanes read, and returns where each lane's own topic starts now.
    async fn trim(&self, now: i64) -> Result<Vec<(LaneId, i64)>, Error> {
        let mut starts = self.trim_topic(sequence::GROUP, INTAKE, now).await?;
        let lanes = self.lanes.borrow().clone();
        let topics = self.log.topics().await?;
        for lane in &lanes {
            starts.extend(self.trim_topic(driver::GROUP, lane, now).await?);
            // The held topic is compacted, and dead letters are operators'.
            let tiers = format!("{lane}.retry.");
            let others =
                topics.keys().filter(|topic| topic.starts_with(&tiers) || **topic == format!("{lane}.control"));
            for topic in others {
                self.trim_topic(driver::GROUP, topic, now).await?;
            }
        }
        Ok(starts)
    }

    async fn trim_topic(&self, group: &str, topic: &str, now: i64) -> Result<Vec<(LaneId, i64)>, Error> {
        let committed = self.log.committed(group, topic).await?;
        let mut starts = Vec::new();
        for partition in 0..self.log_settings.partitions {
            // What nobody has committed yet may not go, however old.
            let Some(offset) = committed.get(&partition).map(|committed| committed.offset) else { continue };
            let border = self.log.offset_at(topic, partition, before(now, self.log_settings.replay_window)).await?;
            let start = self.log.trim(topic, partition, border.min(offset)).await?;
            starts.push((LaneId { topic: topic.into(), partition }, start));
        }
        Ok(starts)
    }
}

fn before(now: i64, age: Duration) -> i64 {
    now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}
