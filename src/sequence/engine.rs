//! What one lane works with, and the calls that only the sequencer makes.
//!
//! Store first, then the log.

use std::collections::{BTreeMap, HashSet};
use std::ops::Deref;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::log::{Append, LaneEffects, OffsetCommit};
use crate::ownership::{Calls, End, LaneStatus, Trouble};
use crate::schema;
use crate::sequence::Deps;

/// What one lane works with.
pub(super) struct Engines {
    pub deps: Arc<Deps>,
    pub calls: Calls,
}

impl Engines {
    /// Commits `offset` and `appends` together: see [`Calls::commit`].
    pub async fn commit(&self, offset: OffsetCommit, appends: Vec<Append>, usual: LaneStatus) -> Result<(), End> {
        let effects = LaneEffects { lane: self.lane.clone(), offset, others: BTreeMap::new(), appends };
        self.calls.commit(&effects, usual, Trouble::from).await
    }

    /// Those of `ids` under which the store knows a published event.
    pub async fn published_events(&self, ids: Vec<Uuid>) -> Result<HashSet<Uuid>, End> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let published = || self.deps.store.published_events(ids.clone());
        self.patiently("store.published_events", LaneStatus::Running, published).await
    }

    /// Asks the schema registry, until it answers, for the schema `value` was written with. One that nobody knows is no
    /// failure here: the value cannot be read then, and whoever reads it says so.
    pub async fn learn(&self, value: &[u8]) -> Result<(), End> {
        let learn = || -> BoxFuture<'_, Result<(), schema::Error>> {
            Box::pin(async move {
                match self.deps.catalogue.learn_from(value).await {
                    Err(error) if !error.is_transient() => Ok(()),
                    done => done,
                }
            })
        };
        self.patiently("registry.learn", LaneStatus::Running, learn).await
    }
}

impl Deref for Engines {
    type Target = Calls;

    fn deref(&self) -> &Calls {
        &self.calls
    }
}
