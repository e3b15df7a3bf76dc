//! Leaves a registry alone that does not answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::backoff::{Delays, Policy};
use crate::clock::Clock;

/// Gateways that lost the registry together do not come back to it together.
const JITTER: f64 = 0.2;

/// The time after a failure in which nothing is asked.
pub(super) struct Pause {
    clock: Arc<dyn Clock>,
    most_ms: i64,
    state: Mutex<State>,
}

struct State {
    delays: Delays,
    /// Epoch milliseconds; 0 if the last question was answered.
    until_ms: i64,
    /// What the last question failed for.
    cause: String,
}

impl Pause {
    pub fn new(first: Duration, most: Duration, clock: Arc<dyn Clock>) -> Self {
        let delays = Delays::new(Policy { first, most, jitter: JITTER });
        let state = Mutex::new(State { delays, until_ms: 0, cause: String::new() });
        Self { clock, most_ms: milliseconds(most), state }
    }

    /// # Errors
    /// What the last question failed for, if its pause is not over.
    pub fn check(&self) -> Result<(), String> {
        let state = self.lock();
        if self.left_ms(&state) > 0 { Err(state.cause.clone()) } else { Ok(()) }
    }

    pub fn left(&self) -> Duration {
        let left_ms = self.left_ms(&self.lock());
        Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
    }

    /// A question failed. Those that fail in a pause were asked before it and change nothing.
    pub fn begin(&self, cause: &str) {
        let mut state = self.lock();
        if self.left_ms(&state) == 0 {
            // A pause shorter than the clock's unit would be none.
            let delay_ms = milliseconds(state.delays.next_delay()).max(1);
            state.until_ms = self.clock.now_ms().saturating_add(delay_ms);
            cause.clone_into(&mut state.cause);
        }
    }

    /// A question was answered, whatever the answer.
    pub fn end(&self) {
        let mut state = self.lock();
        state.until_ms = 0;
        state.delays.reset();
    }

    fn left_ms(&self, state: &State) -> i64 {
        let left_ms = state.until_ms.saturating_sub(self.clock.now_ms());
        // A clock that was set back makes no pause longer than the longest.
        if left_ms > self.most_ms { 0 } else { left_ms.max(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
