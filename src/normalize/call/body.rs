//! A program's result -> the body of a request.

use serde_json::{Map, Value as Json};
use vrl::value::Value;

use crate::normalize::decode::number_literal;

/// The body; `None` if the program says that there is no call. Members without a value are left out, at any depth;
/// elements are kept, since they have a place.
pub(super) fn body(result: &Value) -> Option<Json> {
    (!result.is_null()).then(|| json(result))
}

fn json(value: &Value) -> Json {
    if let Some(literal) = number_literal(value) {
        // A number of the event, copied: the same digits.
        return serde_json::from_str(literal.0).unwrap_or_else(|_| Json::from(literal.0));
    }
    match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(_, member)| !member.is_null());
            Json::Object(members.map(|(name, member)| (name.to_string(), json(member))).collect::<Map<_, _>>())
        }
        Value::Array(elements) => elements.iter().map(json).collect(),
        Value::String(text) => Json::from(&**text),
        Value::Bytes(text) => Json::from(String::from_utf8_lossy(text)),
        Value::Integer(integer) => Json::from(*integer),
        Value::Boolean(boolean) => Json::Bool(*boolean),
        // The language has no others.
        _ => Json::Null,
    }
}
