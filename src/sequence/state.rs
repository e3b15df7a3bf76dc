//! What an order's state can do: wait, lapse, be created, move forward, be cancelled.
//!
//! The stored canonical order is always current in `status`, `revision` and `updated_at`. It is parsed only where a
//! change needs it.

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::canonical::ids::{OrderKey, Sha256Digest};
use crate::canonical::order::{CanonicalOrder, Status};
use crate::store::{Accepted, OrderState, ParkedUpdate, Phase, Tombstone};

/// Room for an ordinary canonical order, so that writing one allocates once.
const USUAL_ORDER_BYTES: usize = 2048;

/// A stored order that is not JSON of a canonical order: the store is damaged or was written by another version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stored order `{order}` is not a canonical order (line {line}, column {column})")]
pub struct Damaged {
    pub order: Uuid,
    pub line: usize,
    pub column: usize,
}

/// What waited past its deadline.
#[derive(Debug, Default, PartialEq)]
pub struct Lapsed {
    /// By ascending revision, then by offset.
    pub updates: Vec<ParkedUpdate>,
    pub tombstone: Option<Tombstone>,
}

/// The state of an order nothing is known of.
pub fn unknown(key: OrderKey) -> OrderState {
    OrderState { key, phase: Phase::Unknown, parked: Vec::new(), changed_at: 0 }
}

/// Records of the order that wait: parked updates and the tombstone.
pub fn waiting(state: &OrderState) -> i64 {
    let tombstone = i64::from(matches!(state.phase, Phase::Tombstone(_)));
    i64::try_from(state.parked.len()).unwrap_or(i64::MAX).saturating_add(tombstone)
}

/// Takes out of `state` what is past its deadline at `at` (epoch milliseconds); a deadline of exactly `at` is past.
pub fn lapse(state: &mut OrderState, at: i64) -> Lapsed {
    let mut lapsed = Lapsed::default();
    if state.parked.iter().any(|update| update.expires_at <= at) {
        lapsed.updates = state.parked.extract_if(.., |update| update.expires_at <= at).collect();
    }
    if let Phase::Tombstone(tombstone) = &state.phase
        && tombstone.expires_at <= at
    {
        lapsed.tombstone = Some(tombstone.clone());
        state.phase = Phase::Unknown;
    }
    lapsed
}

/// Adds an update to those that wait, at its place.
pub fn park(state: &mut OrderState, update: ParkedUpdate) {
    let place = |other: &ParkedUpdate| (other.revision, other.offset) <= (update.revision, update.offset);
    let at = state.parked.partition_point(place);
    state.parked.insert(at, update);
}

/// The order as stored when it is created or updated.
pub fn accept(
    order: &CanonicalOrder,
    id: Uuid,
    revision: i64,
    digest: Sha256Digest,
    version: &str,
) -> Result<Accepted, Damaged> {
    let canonical = write(order, id)?;
    Ok(Accepted { revision, digest, canonical, transformation_version: version.to_owned() })
}

/// Moves revision and update time forward, content unchanged: so that an older change arriving later is stale.
/// Does nothing if `revision` is not newer.
pub fn move_forward(
    accepted: &mut Accepted,
    id: Uuid,
    revision: i64,
    updated_at: Option<&str>,
) -> Result<bool, Damaged> {
    if revision <= accepted.revision {
        return Ok(false);
    }
    let mut order = read(accepted, id)?;
    order.revision = revision.to_string();
    if let Some(updated_at) = updated_at {
        order.updated_at = Some(updated_at.to_owned());
    }
    accepted.canonical = write(&order, id)?;
    accepted.revision = revision;
    Ok(true)
}

/// Marks the order cancelled at `cancelled_at` (epoch milliseconds), which becomes its revision.
pub fn cancel(mut order: CanonicalOrder, id: Uuid, cancelled_at: i64) -> Result<Bytes, Damaged> {
    order.status = Status::Cancelled;
    order.revision = cancelled_at.to_string();
    order.updated_at = time_text(cancelled_at).or(order.updated_at);
    write(&order, id)
}

/// The canonical order as stored.
pub fn read(accepted: &Accepted, order: Uuid) -> Result<CanonicalOrder, Damaged> {
    serde_json::from_slice(&accepted.canonical).map_err(|error| damaged(order, &error))
}

fn write(order: &CanonicalOrder, id: Uuid) -> Result<Bytes, Damaged> {
    let mut json = Vec::with_capacity(USUAL_ORDER_BYTES);
    serde_json::to_writer(&mut json, order).map_err(|error| damaged(id, &error))?;
    Ok(Bytes::from(json))
}

// The error's own text may repeat a value of the order.
fn damaged(order: Uuid, error: &serde_json::Error) -> Damaged {
    Damaged { order, line: error.line(), column: error.column() }
}

fn time_text(epoch_ms: i64) -> Option<String> {
    let time = Timestamp::from_millisecond(epoch_ms).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}
