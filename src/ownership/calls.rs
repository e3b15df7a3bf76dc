//! Calls of the log and the store that a lane makes: measured, and repeated until they succeed.
//!
//! A call that fails for a passing cause is made again with the same bytes: nothing is decided twice, nothing is given
//! up. A commit to the log that was not answered may have taken effect; the log is asked before it is made again, or
//! its appends would be there twice. Only three things end a lane: it was stopped, it is owned by another, or going on
//! would do harm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::log::{self, Bounds, EventLog, Lane, LaneEffects, Membership};
use crate::ownership::{Board, LaneStatus, Pace, chain};
use crate::schema;
use crate::store::{self, LaneId};
use crate::telemetry::metrics::Metrics;

/// Why a lane ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Stopped,
    /// Another member owns it.
    Fenced,
    Refused {
        reason: String,
    },
}

/// What one lane makes its calls with.
#[derive(Clone)]
pub struct Calls {
    pub log: Arc<dyn EventLog>,
    pub membership: Arc<dyn Membership>,
    pub board: Arc<Board>,
    pub metrics: Arc<Metrics>,
    pub pace: Pace,
    pub lane: Lane,
    pub id: LaneId,
    pub stop: watch::Receiver<bool>,
}

/// What the failure of a call means for the lane.
pub enum Trouble {
    Passing(String),
    Fenced,
    /// Repeating does not help.
    Final(String),
}

impl Calls {
    /// Makes the call until it succeeds; the lane is not running meanwhile. `usual` is its status otherwise.
    pub async fn patiently<'a, T, E>(
        &self,
        operation: &'static str,
        usual: LaneStatus,
        mut call: impl FnMut() -> BoxFuture<'a, Result<T, E>> + Send,
    ) -> Result<T, End>
    where
        Trouble: From<E>,
    {
        let mut delay = self.pace.backoff_first;
        let mut waited = false;
        loop {
            match self.measured(operation, call()).await {
                Ok(value) => {
                    if waited {
                        tracing::info!(topic = %self.id.topic, partition = self.id.partition, operation, "call succeeded again");
                        self.board.set(&self.id, usual);
                    }
                    return Ok(value);
                }
                Err(Trouble::Fenced) => return Err(End::Fenced),
                Err(Trouble::Final(reason)) => return Err(End::Refused { reason }),
                Err(Trouble::Passing(reason)) => {
                    tracing::warn!(
                        topic = %self.id.topic, partition = self.id.partition, operation, reason,
                        delay_ms = delay.as_millis() as u64, "call failed, repeating it"
                    );
                    self.board.set(&self.id, LaneStatus::Waiting { reason });
                    waited = true;
                }
            }
            self.pause(delay).await?;
            delay = delay.saturating_mul(2).min(self.pace.backoff_cap);
        }
    }

    /// Commits `effects`, whose lane is this one. With appends, the offset of the lane's own topic or its metadata must
    /// differ from what is committed: only that tells after a failure whether the commit took effect. `trouble` says
    /// what a failure means where that is not the usual.
    pub async fn commit(
        &self,
        effects: &LaneEffects,
        usual: LaneStatus,
        trouble: fn(log::Error) -> Trouble,
    ) -> Result<(), End> {
        let mut is_repeat = false;
        let commit = || -> BoxFuture<'_, Result<(), Trouble>> {
            let may_be_there = std::mem::replace(&mut is_repeat, true);
            Box::pin(async move {
                if may_be_there && self.is_committed(effects).await? {
                    tracing::info!(topic = %self.id.topic, partition = self.id.partition, "commit had taken effect");
                    return Ok(());
                }
                self.membership.commit(vec![effects.clone()]).await.map_err(trouble)
            })
        };
        self.patiently("log.commit", usual, commit).await
    }

    /// First and next offset of the lane's topic.
    pub async fn bounds(&self, usual: LaneStatus) -> Result<Bounds, End> {
        let bounds = || self.log.bounds(&self.id.topic, self.id.partition);
        self.patiently("log.bounds", usual, bounds).await
    }

    pub fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Resolves when the lane is to stop.
    pub async fn stopping(&self) {
        let mut stop = self.stop.clone();
        // The sender goes away only with the member: that is a stop as well.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Whether what the log has for the lane is what `effects` was to commit.
    async fn is_committed(&self, effects: &LaneEffects) -> Result<bool, log::Error> {
        let committed = self.membership.committed(&effects.lane).await?;
        Ok(committed.get(&*effects.lane.topic) == Some(&effects.offset))
    }

    /// Makes a call once, measured.
    async fn measured<T, E>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Trouble>
    where
        Trouble: From<E>,
    {
        let started = Instant::now();
        let result = call.await;
        self.metrics.engine_seconds.with_label_values(&[operation]).observe(started.elapsed().as_secs_f64());
        if result.is_err() {
            self.metrics.engine_errors.with_label_values(&[operation]).inc();
        }
        result.map_err(Trouble::from)
    }

    async fn pause(&self, delay: Duration) -> Result<(), End> {
        tokio::select! {
            biased;
            () = self.stopping() => Err(End::Stopped),
            () = tokio::time::sleep(delay) => Ok(()),
        }
    }
}

impl From<schema::Error> for Trouble {
    fn from(error: schema::Error) -> Self {
        if error.is_transient() { Self::Passing(chain(&error)) } else { Self::Final(chain(&error)) }
    }
}

impl From<log::Error> for Trouble {
    fn from(error: log::Error) -> Self {
        match error {
            log::Error::Fenced { .. } => Self::Fenced,
            log::Error::Unusable { .. } => Self::Final(error.to_string()),
            // A topic that is absent or too small can be mended under the lane; what was decided must be published.
            _ => Self::Passing(error.to_string()),
        }
    }
}

impl From<store::Error> for Trouble {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Fenced { .. } => Self::Fenced,
            store::Error::Unusable { .. } => Self::Final(error.to_string()),
            store::Error::Unavailable { .. } => Self::Passing(error.to_string()),
        }
    }
}
