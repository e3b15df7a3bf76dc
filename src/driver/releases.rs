//! Parked records: let go when what they wait for is known, or when their time has run out.
//!
//! They are rows of the store and block no key. A release is decided like a record: its exact appends are written with
//! a batch, and if the log does not have that batch after a crash they are appended again.

use tokio::sync::watch;

use crate::driver::owner::Owner;
use crate::driver::work::{Reach, Said};
use crate::lane::place::Seq;
use crate::log::Append;
use crate::ownership::{Calls, End, LaneStatus};

/// Records let go with one batch: each may bring a payload into memory.
const AT_ONCE: usize = 64;

/// What is let go, of one lane.
pub(super) struct Releasing {
    /// Changes when links were written, by whatever lane of this process.
    learned: watch::Receiver<u64>,
    /// To go with the next batch.
    pub pending: Vec<(Seq, Said)>,
    /// Of releases that the store has and the log has not.
    pub again: Vec<Append>,
    /// There may be more than were let go.
    is_more: bool,
}

impl Releasing {
    pub fn new(learned: watch::Receiver<u64>, again: Vec<Append>) -> Self {
        Self { learned, pending: Vec::new(), again, is_more: false }
    }

    /// Resolves when links were written. The sender lives as long as the lanes.
    pub async fn learned(&mut self) {
        if self.learned.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.learned.mark_changed();
    }
}

impl Owner {
    /// Asks for what can be let go, at a check or when links were learned; `true` if there is any.
    pub(super) async fn release(&mut self, is_check: bool) -> Result<bool, End> {
        let Releasing { learned, pending, is_more, .. } = &mut self.releasing;
        let is_asked = is_check || *is_more || learned.has_changed().unwrap_or(false);
        if !is_asked || !pending.is_empty() || self.stage.work.reach() != Reach::Inside {
            return Ok(false);
        }
        learned.mark_unchanged();
        let now_ms = self.deps.clock.now_ms();
        let Calls { id, .. } = &self.source.calls;
        let call = || self.deps.store.releasable(id, now_ms, AT_ONCE);
        let parked = self.source.calls.patiently("store.releasable", LaneStatus::Running, call).await?;
        let is_page_full = parked.len() == AT_ONCE;
        for parked in parked {
            let (seq, is_expired) = (parked.seq, parked.expires_at <= now_ms);
            if let Some(said) = self.stage.work.release(parked, is_expired).await {
                pending.push((seq, said));
            }
        }
        // Those that stay come first again: they wait for the next check.
        *is_more = is_page_full && pending.len() == AT_ONCE;
        let released = pending.len() as u64;
        self.lane.released(released);
        Ok(released > 0)
    }
}
