//! By what the platform's events are ordered: one order's events have one key, whatever topic they come from.
//!
//! Source: DESIGN section 1, "Keys".

use bytes::Bytes;

use crate::canonical::headers;
use crate::log::Stored;
use crate::schema::{self, Catalogue};
use crate::translate::{Consumed, Unread};

/// Their records are keyed by the order already.
const KEYED: &str = "fsm.";

/// The key of `stored` on the relay's topic: never empty. An event that says no order, or that cannot be read, is ordered
/// by its own key, and without one by nothing: its place is its key.
///
/// # Errors
/// Only what says nothing about the value: its schema is not known yet.
pub(super) fn of(catalogue: &Catalogue, stored: &Stored) -> Result<Bytes, schema::Error> {
    let own = stored.record.key.as_ref().filter(|key| !key.is_empty());
    if let Some(own) = own.filter(|_| stored.topic.starts_with(KEYED)) {
        return Ok(own.clone());
    }
    let named = match Consumed::read(&stored.topic, &stored.record, catalogue) {
        Ok(consumed) => Bytes::copy_from_slice(consumed.platform_key(own.map(|key| key.as_ref()))),
        Err(Unread::Unlearned { source, .. }) => return Err(source),
        Err(Unread::Refused { .. } | Unread::Foreign { .. }) => Bytes::new(),
    };
    let place = || Bytes::from(headers::source(&stored.topic, stored.partition, stored.offset));
    Ok(Some(named).filter(|key| !key.is_empty()).or_else(|| own.cloned()).unwrap_or_else(place))
}
