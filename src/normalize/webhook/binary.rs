//! CloudEvents in binary mode: the attributes are headers, the body is the data.
//!
//! Source: CloudEvents HTTP protocol binding 1.0.2, section 3.1.

use std::borrow::Cow;

use vrl::value::{KeyString, ObjectMap, Value};

use crate::canonical::rejection::{Code, Problem};
use crate::normalize::webhook::envelope::{self, Event};
use crate::normalize::webhook::place::Place;
use crate::verify::Context;

/// In front of an attribute's name in a header.
pub(super) const PREFIX: &str = "ce-";

/// Whether the headers are those of an event.
pub(super) fn is_binary(context: &Context) -> bool {
    context.headers.iter().any(|(name, _)| name.starts_with(PREFIX))
}

/// The event of these headers whose data is `data`.
pub(super) fn event(context: &Context, data: Value) -> Event {
    let mut attributes = ObjectMap::new();
    let mut problems = Vec::new();
    for (header, value) in &context.headers {
        let Some(name) = header.strip_prefix(PREFIX) else { continue };
        if attributes.insert(KeyString::from(name), Value::from(percent_decoded(value).as_ref())).is_some() {
            problems.push(Problem::new(Code::InvalidFormat, format!("/{name}"), "expected once"));
        }
    }
    attributes.insert(KeyString::from("data"), data);
    let mut event = envelope::cloudevent(Value::Object(attributes), Place::body(), context.received_at);
    event.problems.extend(problems);
    event
}

/// What is no percent-encoded UTF-8 is taken as it is.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.split_at_checked(2).filter(|_| *first == b'%');
        let decoded = digits.and_then(|(digits, after)| Some((*hex::decode(digits).ok()?.first()?, after)));
        let (byte, after) = decoded.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_percent_decoded() {
        for (text, expected) in [
            ("plain", "plain"),
            ("Euro%20%E2%82%AC", "Euro €"),
            ("100%", "100%"),
            ("%zz%2", "%zz%2"),
            ("%25", "%"),
            ("%ff", "%ff"),
            ("", ""),
        ] {
            assert_eq!(percent_decoded(text), expected, "{text}");
        }
    }
}
