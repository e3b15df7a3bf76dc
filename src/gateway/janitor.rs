//! Keeps what is kept for a time no longer than that.
//!
//! Records of `crossdock.intake` go once they are both committed and older than the replay window; the decisions
//! about them go at the same border, never before: a record that can still be read must find its decision. Payloads,
//! ledger rows, orders, failures and what is known of published events go by age; the audit stays. (The events themselves go by their topic's
//! retention, which is the log's business.)

use std::sync::Arc;
use std::time::Duration;

use crate::canonical::draft::INTAKE;
use crate::clock::Clock;
use crate::config::settings::{LogSettings, StoreSettings};
use crate::log::{self, EventLog};
use crate::sequence;
use crate::store::{self, Keep, LaneId, Store};

/// Time between two rounds.
pub(super) const EVERY: Duration = Duration::from_secs(600);

pub(super) struct Janitor {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
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
            decisions_from: self.trim_intake(now).await?,
        };
        let mut deleted = 0;
        loop {
            match self.store.prune(keep.clone()).await? {
                0 => return Ok(deleted),
                rows => deleted += rows,
            }
        }
    }

    /// Trims the intake and returns where each of its lanes starts now.
    async fn trim_intake(&self, now: i64) -> Result<Vec<(LaneId, i64)>, Error> {
        let committed = self.log.committed(sequence::GROUP, INTAKE).await?;
        let mut starts = Vec::new();
        for partition in 0..self.log_settings.partitions {
            // What nobody has committed yet may not go, however old.
            let Some(offset) = committed.get(&partition).map(|committed| committed.offset) else { continue };
            let border = self.log.offset_at(INTAKE, partition, before(now, self.log_settings.replay_window)).await?;
            let start = self.log.trim(INTAKE, partition, border.min(offset)).await?;
            starts.push((LaneId { topic: INTAKE.into(), partition }, start));
        }
        Ok(starts)
    }
}

fn before(now: i64, age: Duration) -> i64 {
    now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}
