//! Owning lanes: a member of a group, a task for each lane it owns, and the calls a lane makes of log and store.
//!
//! What the sequencer and the driver of the lane engine have in common. What a lane does is theirs: a [`Runner`] is
//! given [`Calls`] for each lane and runs it to its [`End`], which the [`Board`] then tells.

mod board;
mod calls;
#[cfg(test)]
pub mod faults;
mod member;

use std::time::Duration;

use tokio::sync::watch;

pub use board::{Board, LaneStatus};
pub use calls::{Calls, End, Trouble};
pub use member::{Member, Runner};

/// How often lanes look and ask again.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Longest wait for a record.
    pub poll: Duration,
    /// Time between two looks at timers and lag, by the clock.
    pub check_every: Duration,
    /// First wait after a failed call of an engine; it doubles up to `backoff_cap`.
    pub backoff_first: Duration,
    pub backoff_cap: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            check_every: Duration::from_secs(1),
            backoff_first: Duration::from_millis(50),
            backoff_cap: Duration::from_secs(5),
        }
    }
}

/// `None` once `stop` says so, or has lost its sender: the handle of what runs was dropped.
pub async fn unless_stopped<T>(stop: &mut watch::Receiver<bool>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => None,
        value = work => Some(value),
    }
}

/// An error with its causes. None of those met by a lane repeats a value of an order.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
