//! A membership whose calls fail on demand, for the tests of whatever runs lanes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::log::{self, Committed, Lane, LaneEffects, Membership, Ownership, ReadLimit};

/// What becomes of one call.
#[derive(Debug, Clone)]
pub enum Fault<E> {
    None,
    /// The call is not made.
    Before(E),
    /// The call is made, its answer is lost.
    After(E),
}

/// Faults of the next calls, first to last; then none.
#[derive(Debug)]
pub struct Script<E>(Mutex<VecDeque<Fault<E>>>);

impl<E> Default for Script<E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<E: Clone> Script<E> {
    /// Lets `calls` calls pass, then plays `faults`.
    pub fn after(&self, calls: usize, faults: impl IntoIterator<Item = Fault<E>>) {
        let mut script = self.0.lock().expect("no test panics while it scripts");
        script.clear();
        script.extend(std::iter::repeat_n(Fault::None, calls).chain(faults));
    }

    /// Whether every fault was played.
    pub fn is_over(&self) -> bool {
        self.0.lock().expect("no test panics while it scripts").is_empty()
    }

    pub fn next(&self) -> Fault<E> {
        self.0.lock().expect("no test panics while it scripts").pop_front().unwrap_or(Fault::None)
    }

    pub async fn play<T>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        match self.next() {
            Fault::None => call.await,
            Fault::Before(error) => Err(error),
            Fault::After(error) => {
                call.await?;
                Err(error)
            }
        }
    }
}

pub struct FaultyMembership {
    pub inner: Box<dyn Membership>,
    pub commits: Arc<Script<log::Error>>,
    /// Questions for what is committed.
    pub asks: Arc<Script<log::Error>>,
}

impl Membership for FaultyMembership {
    fn next(&self) -> BoxFuture<'_, Result<Ownership, log::Error>> {
        self.inner.next()
    }

    fn commit(&self, effects: Vec<LaneEffects>) -> BoxFuture<'_, Result<(), log::Error>> {
        Box::pin(self.commits.play(self.inner.commit(effects)))
    }

    fn committed(&self, lane: &Lane) -> BoxFuture<'_, Result<BTreeMap<String, Committed>, log::Error>> {
        Box::pin(self.asks.play(self.inner.committed(lane)))
    }

    fn poll(
        &self,
        lane: &Lane,
        from: i64,
        limit: ReadLimit,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Vec<log::Stored>, log::Error>> {
        self.inner.poll(lane, from, limit, timeout)
    }
}
