//! A decoded payload as JSON the `jsonschema` crate reads in place.
//!
//! A number of the payload, an object to VRL, shows itself as a number here. Values a decoded payload never holds
//! (timestamps, VRL's own numbers) are no JSON and match no type. What an error holds of the payload is null: no value
//! can get into a message.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node, NodeIdentity, Object};
use vrl::value::{KeyString, ObjectMap, Value};

use crate::normalize::decode::number_literal;
use crate::normalize::value::decimal::Decimal;
use crate::normalize::value::{Number, Numeric};

/// The representation.
#[derive(Debug, Clone, Copy)]
pub struct Payload;

/// The type of a value as a message names it.
pub fn type_name(value: &Value) -> &'static str {
    json_type_name(value.json_type())
}

pub fn json_type_name(json_type: JsonType) -> &'static str {
    match json_type {
        JsonType::Array => "an array",
        JsonType::Boolean => "true or false",
        JsonType::Integer | JsonType::Number => "a number",
        JsonType::Null => "null",
        JsonType::Object => "an object",
        JsonType::String => "text",
    }
}

/// The members of an object of the payload. VRL's own `as_object` also answers for a number.
pub fn members(value: &Value) -> Option<&ObjectMap> {
    Node::as_object(&value)
}

/// The member `name`, if the value is an object that has it.
pub fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    members(value).and_then(|members| members.get(name))
}

/// The element at `index`, if the value is an array that long.
pub fn element(value: &Value, index: usize) -> Option<&Value> {
    match value {
        Value::Array(elements) => elements.get(index),
        _ => None,
    }
}

impl Json for Payload {
    type Node<'a> = &'a Value;
    type PreparedKey = String;
    type StringBuffer = Buffer;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Buffer, string: &str, f: impl FnOnce(&Value) -> T) -> T {
        buffer.0 = Value::from(string);
        f(&buffer.0)
    }
}

/// Holds one text while it is looked at.
#[derive(Debug)]
pub struct Buffer(Value);

impl Default for Buffer {
    fn default() -> Self {
        Self(Value::Null)
    }
}

impl<'a> Node<'a, Payload> for &'a Value {
    type Object = &'a ObjectMap;
    type Array = &'a [Value];
    type Number = Number<'a>;

    fn as_object(&self) -> Option<&'a ObjectMap> {
        match self {
            Value::Object(members) if number_literal(self).is_none() => Some(members),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<&'a [Value]> {
        match self {
            Value::Array(elements) => Some(elements),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Value::String(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<Number<'a>> {
        number_literal(self)
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Value::Boolean(boolean) => Some(*boolean),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        self.json_type() == JsonType::Null
    }

    fn json_type(&self) -> JsonType {
        match self {
            Value::Object(_) if number_literal(self).is_some() => JsonType::Number,
            Value::Object(_) => JsonType::Object,
            Value::Array(_) => JsonType::Array,
            Value::String(_) => JsonType::String,
            Value::Boolean(_) => JsonType::Boolean,
            _ => JsonType::Null,
        }
    }

    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        Cow::Owned(serde_json::Value::Null)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Value>(self).addr()))
    }
}

impl<'a> Object<'a, Payload> for &'a ObjectMap {
    type Node = &'a Value;
    type MemberName = &'a str;
    type MembersIter = std::iter::Map<
        std::collections::btree_map::Iter<'a, KeyString, Value>,
        fn((&'a KeyString, &'a Value)) -> (&'a str, &'a Value),
    >;

    fn len(&self) -> usize {
        ObjectMap::len(self)
    }

    fn get(&self, key: &String) -> Option<&'a Value> {
        ObjectMap::get(self, key.as_str())
    }

    fn members(&self) -> Self::MembersIter {
        self.iter().map(|(name, member)| (name.as_str(), member))
    }
}

impl<'a> Array<'a, Payload> for &'a [Value] {
    type Node = &'a Value;
    type ElementsIter = std::slice::Iter<'a, Value>;

    fn len(&self) -> usize {
        <[Value]>::len(self)
    }

    fn elements(&self) -> std::slice::Iter<'a, Value> {
        self.iter()
    }
}

impl JsonNumber for Number<'_> {
    fn as_u64(&self) -> Option<u64> {
        self.as_i64().and_then(|integer| u64::try_from(integer).ok())
    }

    fn as_i64(&self) -> Option<i64> {
        Decimal::parse(Numeric::Number(*self))?.to_i64()
    }

    fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok()
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        Cow::Owned(serde_json::from_str(self.0).unwrap_or_else(|_| serde_json::Number::from(0)))
    }
}
