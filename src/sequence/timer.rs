//! What a timer that ran out does: it ends a parked update, or a tombstone.
//!
//! A timer is an origin of its own, numbered 1, 2, 3 … per lane. The number of the last one whose effects are in the
//! log stands beside the committed offset (`metadata`), in the commit that published them. So after a crash between
//! store and log the decisions above that number are published again, and none below it.
//!
//! Timers run by the lane's time: the append time of the last record taken, or the clock once the lane has nothing
//! left to take. A creation that was appended in time is therefore never overtaken by a timer, however late the lane.

use crate::sequence::decide::{self, Ending, Error, Rules};
use crate::store::{Due, DueKind, OrderState, Phase};

/// Ends what `due` names; `None` if it waits no more. `now` is the `event_timestamp`, epoch milliseconds.
///
/// An update becomes `rejected` with `UNKNOWN_REFERENCE` at its order id and is published as a failure; a tombstone
/// `expired`, which nobody is told.
///
/// # Errors
/// [`Error`] if the parked update cannot be read; `state` must then be thrown away.
pub fn expire(state: &mut OrderState, due: &Due, now: i64, rules: &Rules<'_>) -> Result<Option<Ending>, Error> {
    let ending = match due.kind {
        DueKind::ParkedUpdate => {
            let Some(place) = state.parked.iter().position(|update| update.offset == due.offset) else {
                return Ok(None);
            };
            decide::expire_update(state.parked.remove(place), now, rules)?
        }
        DueKind::Tombstone => match &state.phase {
            Phase::Tombstone(tombstone) if tombstone.offset == due.offset => {
                let ending = decide::expire_tombstone(tombstone);
                state.phase = Phase::Unknown;
                ending
            }
            _ => return Ok(None),
        },
    };
    state.changed_at = due.expires_at;
    Ok(Some(ending))
}
