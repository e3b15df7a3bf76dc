//! Bytes -> payload: strict JSON, numbers kept as they are written.
//!
//! A payload is a [`Value`] of objects, arrays, text ([`Value::String`], sharing the body's memory where it can),
//! booleans and null. A number is the object `{"$number": <literal>}` whose one member is [`Value::Bytes`]; since text
//! is never that variant, an object of the sender that looks like it stays an object. Nothing else occurs.
//!
//! Source: `contracts/canonical-events.md` sections 6, 7 and 10.

mod record;

use std::collections::btree_map::Entry;

use bytes::Bytes;
use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, LinePosition, Peek};
use vrl::value::{KeyString, ObjectMap, Value};

use crate::canonical::rejection::{Code, Rejection};
use crate::normalize::value::{Number, text};

pub use record::from_record;

/// Objects and arrays may be nested this deep.
pub const MAX_DEPTH: usize = 64;

/// Most values of a document, objects, arrays and what is in them. A value takes many times the memory of the two bytes
/// it can be written with; ten thousand order lines of twenty values each still fit.
pub const MAX_VALUES: usize = 200_000;

/// The one member of a number.
pub const NUMBER: &str = "$number";

/// The payload of a JSON body; a leading byte order mark is skipped.
///
/// # Errors
/// `MALFORMED_PAYLOAD` if the body is not UTF-8 or not one JSON document: at the empty pointer, a repeated member at
/// its own. `LIMIT_EXCEEDED` at the empty pointer as soon as nesting exceeds [`MAX_DEPTH`] or there are more than
/// [`MAX_VALUES`]; the rest is not read then.
pub fn decode(body: &Bytes) -> Result<Value, Rejection> {
    let without_mark = body.strip_prefix(b"\xef\xbb\xbf").map_or(0, |_| 3);
    let document = body.slice(without_mark..);
    if let Err(error) = std::str::from_utf8(&document) {
        let at = LinePosition::find(&document, error.valid_up_to());
        return Err(Rejection::one(Code::MalformedPayload, "", format!("expected UTF-8 at {at}")));
    }
    let mut decoder = Decoder { jiter: Jiter::new(&document), offset: 0, document: &document, values: 0 };
    decoder.document().map_err(|failure| failure.into_rejection(&document))
}

/// Takes out the object members that count as absent: null, blank text and `[]`. Inside arrays nothing is taken out,
/// since an element has a place; an object emptied by this stays, so that what it lacks can be named.
pub fn remove_empty(value: &mut Value) {
    match value {
        Value::Object(members) if number(members).is_none() => members.retain(|_, member| {
            remove_empty(member);
            !is_empty(member)
        }),
        Value::Array(elements) => elements.iter_mut().for_each(remove_empty),
        _ => {}
    }
}

/// Whether a value counts as absent: null, text with nothing visible in it, an empty array.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(blank) => text::is_blank(blank),
        Value::Array(elements) => elements.is_empty(),
        _ => false,
    }
}

/// The literal of a payload's number; `None` if the value is something else.
pub fn number_literal(value: &Value) -> Option<Number<'_>> {
    match value {
        Value::Object(members) => number(members),
        _ => None,
    }
}

/// The payload as JSON again, to be shown: numbers digit for digit (an exponent with its sign), members in the order of
/// their names.
pub fn to_json(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Object(members) => match number(members) {
            // Always a number; text is the honest way out if it were not.
            Some(Number(literal)) => serde_json::from_str(literal)
                .map_or_else(|_| Json::from(literal), |number: serde_json::Number| Json::Number(number)),
            None => members.iter().map(|(name, member)| (name.to_string(), to_json(member))).collect(),
        },
        Value::Array(elements) => elements.iter().map(to_json).collect(),
        Value::String(text) => Json::from(&**text),
        Value::Boolean(boolean) => Json::Bool(*boolean),
        _ => Json::Null,
    }
}

/// Appends `segment`, a member's name or an element's index, to an RFC 6901 pointer.
pub fn push_segment(pointer: &mut String, segment: &str) {
    pointer.push('/');
    pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
}

fn number(members: &ObjectMap) -> Option<Number<'_>> {
    match members.first_key_value() {
        Some((name, Value::Bytes(literal))) if members.len() == 1 && name.as_str() == NUMBER => {
            std::str::from_utf8(literal).ok().map(Number)
        }
        _ => None,
    }
}

struct Decoder<'a> {
    /// Reads `document` from `offset` on.
    jiter: Jiter<'a>,
    offset: usize,
    document: &'a Bytes,
    /// Values met so far.
    values: usize,
}

impl Decoder<'_> {
    fn document(&mut self) -> Result<Value, Failure> {
        let first = self.jiter.peek().map_err(|error| self.syntax(error))?;
        let value = self.value(first, 0)?;
        self.jiter.finish().map_err(|error| self.syntax(error))?;
        Ok(value)
    }

    /// `depth`: how many objects and arrays are around the value. Bounds the recursion.
    fn value(&mut self, first: Peek, depth: usize) -> Result<Value, Failure> {
        if depth == MAX_DEPTH && matches!(first, Peek::Object | Peek::Array) {
            return Err(Failure::TooDeep);
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(Failure::TooMany);
        }
        match first {
            Peek::Object => self.object(depth + 1),
            Peek::Array => self.array(depth + 1),
            Peek::String => match self.jiter.known_str() {
                Ok(text) => Ok(shared_text(self.document, text)),
                Err(error) => Err(self.syntax(error)),
            },
            Peek::True | Peek::False => {
                self.jiter.known_bool(first).map(Value::Boolean).map_err(|error| self.syntax(error))
            }
            Peek::Null => self.jiter.known_null().map(|()| Value::Null).map_err(|error| self.syntax(error)),
            _ => self.number(first),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Failure> {
        let mut members = ObjectMap::new();
        let mut name = self.jiter.known_object().map(|name| name.map(KeyString::from));
        while let Some(key) = name.map_err(|error| self.syntax(error))? {
            let first = self.jiter.peek().map_err(|error| self.syntax(error))?;
            let place = match members.entry(key) {
                Entry::Vacant(place) => place,
                Entry::Occupied(earlier) => return Err(Failure::repeated(earlier.key())),
            };
            let member = self.value(first, depth).map_err(|failure| failure.inside(|| place.key().to_string()))?;
            place.insert(member);
            name = self.jiter.next_key().map(|name| name.map(KeyString::from));
        }
        Ok(Value::Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<Value, Failure> {
        let mut elements = Vec::new();
        let mut first = self.jiter.known_array();
        while let Some(peek) = first.map_err(|error| self.syntax(error))? {
            let element = self.value(peek, depth);
            elements.push(element.map_err(|failure| failure.inside(|| elements.len().to_string()))?);
            first = self.jiter.array_step();
        }
        Ok(Value::Array(elements))
    }

    fn number(&mut self, first: Peek) -> Result<Value, Failure> {
        let start = self.offset + self.jiter.current_index();
        match self.jiter.known_number_bytes(first) {
            Ok(literal) => {
                let end = start + literal.len();
                Ok(number_value(self.document.slice(start..end)))
            }
            Err(error) if error.error_type == JiterErrorType::JsonError(JsonErrorType::NumberOutOfRange) => {
                // The parser gives up on integers of thousands of digits. They are JSON all the same; what they mean
                // is for the value rules to say.
                let rest = self.document.get(start..).unwrap_or_default();
                let end = start + long_number_len(rest).ok_or_else(|| self.syntax(error))?;
                (self.jiter, self.offset) = (Jiter::new(self.document.get(end..).unwrap_or_default()), end);
                Ok(number_value(self.document.slice(start..end)))
            }
            Err(error) => Err(self.syntax(error)),
        }
    }

    fn syntax(&self, error: JiterError) -> Failure {
        let cause = match error.error_type {
            JiterErrorType::JsonError(cause) => cause.to_string(),
            JiterErrorType::WrongType { .. } => JsonErrorType::ExpectedSomeValue.to_string(),
        };
        Failure::Syntax { cause, at: self.offset + error.index }
    }
}

enum Failure {
    /// `at`: offset in the document.
    Syntax {
        cause: String,
        at: usize,
    },
    TooDeep,
    TooMany,
    /// Names and indices from the innermost outwards.
    Repeated {
        path: Vec<String>,
    },
}

impl Failure {
    fn repeated(name: &str) -> Self {
        Self::Repeated { path: vec![name.to_owned()] }
    }

    fn inside(mut self, segment: impl FnOnce() -> String) -> Self {
        if let Self::Repeated { path } = &mut self {
            path.push(segment());
        }
        self
    }

    fn into_rejection(self, document: &[u8]) -> Rejection {
        match self {
            Self::Syntax { cause, at } => {
                let message = format!("expected one JSON document: {cause} at {}", LinePosition::find(document, at));
                Rejection::one(Code::MalformedPayload, "", message)
            }
            Self::TooDeep => {
                let message = format!("expected at most {MAX_DEPTH} levels of objects and arrays");
                Rejection::one(Code::LimitExceeded, "", message)
            }
            Self::TooMany => Rejection::one(Code::LimitExceeded, "", format!("expected at most {MAX_VALUES} values")),
            Self::Repeated { path } => {
                let mut pointer = String::new();
                path.iter().rev().for_each(|segment| push_segment(&mut pointer, segment));
                Rejection::one(Code::MalformedPayload, pointer, "expected each member name once")
            }
        }
    }
}

/// The text, as a part of the document if it stands there unescaped.
fn shared_text(document: &Bytes, text: &str) -> Value {
    if text.is_empty() {
        return Value::from_static_str("");
    }
    let (of_document, of_text) = (document.as_ptr_range(), text.as_bytes().as_ptr_range());
    match of_document.start <= of_text.start && of_text.end <= of_document.end {
        true => Value::from_utf8_or_bytes(document.slice_ref(text.as_bytes())),
        false => Value::from(text),
    }
}

fn number_value(literal: Bytes) -> Value {
    Value::Object(ObjectMap::from([(KeyString::from(NUMBER), Value::Bytes(literal))]))
}

/// The length of the JSON number at the start of `bytes`, whose first integer digits are known to be right.
fn long_number_len(bytes: &[u8]) -> Option<usize> {
    let some_digits = |from: usize| {
        let count = bytes.get(from..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(count)
    };
    let mut end = usize::from(bytes.first() == Some(&b'-'));
    end += some_digits(end)?;
    if bytes.get(end) == Some(&b'.') {
        end += 1 + some_digits(end + 1)?;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        end += 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end += some_digits(end)?;
    }
    Some(end)
}

#[cfg(test)]
mod tests;
