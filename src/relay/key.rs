//! By what the platform's events are ordered: one order's events have one key, whatever topic they come from.
//!
//! Source: DESIGN section 1, "Keys".

use bytes::Bytes;
use serde_json::Value;

use crate::canonical::headers;
use crate::log::Stored;
use crate::schema::{self, Catalogue};

/// What of an event names its order, the first that is there; none for a topic whose records are keyed by it already.
pub(super) type Names = &'static [&'static str];

/// The key of `stored` on the relay's topic: never empty. An event that says no order, or that cannot be read, is ordered
/// by its own key, and without one by nothing: its place is its key.
///
/// # Errors
/// Only what says nothing about the value ([`schema::Error::is_transient`]): its schema is not known yet.
pub(super) fn of(catalogue: &Catalogue, stored: &Stored, names: Names) -> Result<Bytes, schema::Error> {
    if let Some(order) = named(catalogue, stored.record.value.as_deref().unwrap_or_default(), names)? {
        return Ok(Bytes::from(order));
    }
    let own = stored.record.key.clone().filter(|key| !key.is_empty());
    let place = || Bytes::from(headers::source(&stored.topic, stored.partition, stored.offset));
    Ok(own.unwrap_or_else(place))
}

fn named(catalogue: &Catalogue, value: &[u8], names: Names) -> Result<Option<String>, schema::Error> {
    if names.is_empty() {
        return Ok(None);
    }
    let event = match value.first() {
        Some(0) => match catalogue.decode(value) {
            Err(error) if error.is_transient() => return Err(error),
            Err(_) => return Ok(None),
            Ok(decoded) => decoded.value,
        },
        _ => match serde_json::from_slice(value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value)) {
            Err(_) => return Ok(None),
            Ok(event) => event,
        },
    };
    let text = |name: &&str| event.get(*name).and_then(Value::as_str);
    let mut found = names.iter().filter_map(text).filter(|text| !text.trim().is_empty());
    Ok(found.next().map(str::to_owned))
}
