//! What is around the data of an event: read far enough to know its type, and checked.
//!
//! Source: `contracts/webhook.md`, "Envelopes"; CloudEvents 1.0.2.

use bytes::Bytes;
use vrl::value::{KeyString, Value};

use crate::canonical::rejection::{Code, Problem, Rejection};
use crate::normalize::decode::{decode, is_empty, number_literal};
use crate::normalize::functions::as_text;
use crate::normalize::manifest::Pointer;
use crate::normalize::value::time::{self, Timestamp};
use crate::normalize::webhook::place::Place;
use crate::normalize::webhook::{essence, required_text};
use crate::verify::scheme::base64_decode;

/// Longest `source` and `id` of a CloudEvent, in characters.
const MAX_ID_CHARS: usize = 512;
/// Longest `type` of a Standard Webhooks event.
const MAX_TYPE_CHARS: usize = 64;
const JSON: &str = "application/json";

/// An opened envelope.
#[derive(Debug)]
pub(super) struct Event {
    pub event_type: EventType,
    /// What the mapping sees.
    pub payload: Value,
    pub place: Place,
    /// What is wrong with the envelope, at pointers into `payload`.
    pub problems: Vec<Problem>,
    pub delivery_id: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum EventType {
    /// The one type there is.
    Fixed,
    /// `at`: pointer of the name.
    Named { name: String, at: String },
    /// A problem says why.
    Unreadable,
}

/// `{"type", "timestamp", "data"}`.
pub(super) fn standard(document: Value, place: Place) -> Event {
    let mut problems = Vec::new();
    let event_type = match named(&document, "/type", &mut problems) {
        EventType::Named { name, .. } if !is_type(&name) => {
            let message = "expected 1 to 64 of `A-Z a-z 0-9 . _ -`";
            problems.push(Problem::new(Code::InvalidFormat, "/type", message));
            EventType::Unreadable
        }
        read => read,
    };
    if let Some(timestamp) = required_text(member(&document, "timestamp"), "/timestamp", &mut problems) {
        check_time(timestamp, "/timestamp", &mut problems);
    }
    match member(&document, "data").filter(|data| !is_empty(data)) {
        Some(data) if is_object(data) => {}
        Some(_) => problems.push(Problem::new(Code::InvalidType, "/data", "expected an object")),
        None => problems.push(Problem::new(Code::FieldRequired, "/data", "is required")),
    }
    of_object(Event { event_type, payload: document, place, problems, delivery_id: None })
}

/// A CloudEvent in structured mode; one in binary mode is brought into this form. `received_at`: epoch milliseconds,
/// its `time` if it has none.
pub(super) fn cloudevent(mut document: Value, mut place: Place, received_at: i64) -> Event {
    let mut problems = Vec::new();
    if let Some(version) = required_text(member(&document, "specversion"), "/specversion", &mut problems)
        && version != "1.0"
    {
        problems.push(Problem::new(Code::InvalidFormat, "/specversion", "expected `1.0`"));
    }
    let source = identifier(&document, "source", &mut problems);
    let id = identifier(&document, "id", &mut problems);
    let delivery_id = source.zip(id).map(|(source, id)| format!("{source} {id}"));
    let event_type = named(&document, "/type", &mut problems);
    match member(&document, "time").filter(|time| !is_empty(time)) {
        Some(time) => match as_text(time) {
            Some(time) => check_time(time, "/time", &mut problems),
            None => problems.push(Problem::new(Code::InvalidType, "/time", "expected text")),
        },
        None => {
            if let Value::Object(members) = &mut document
                && let Ok(received_at) = Timestamp::from_epoch_ms(received_at)
            {
                members.insert(KeyString::from("time"), Value::from(received_at.to_text()));
            }
        }
    }
    if member(&document, "data_base64").is_some_and(|data| !is_empty(data)) {
        match (base64_data(&document), &mut document) {
            (Ok(data), Value::Object(members)) => {
                members.insert(KeyString::from("data"), data);
                place = place.base64();
            }
            (Err(problem), _) => problems.push(problem),
            (Ok(_), _) => {}
        }
    }
    of_object(Event { event_type, payload: document, place, problems, delivery_id })
}

/// No envelope: the document is the data.
pub(super) fn none(document: Value, place: Place, type_at: Option<&Pointer>) -> Event {
    let mut problems = Vec::new();
    let event_type = match type_at {
        Some(Pointer { text, path }) => match required_text(document.get(path), text, &mut problems) {
            Some(name) => EventType::Named { name: name.to_owned(), at: text.clone() },
            None => EventType::Unreadable,
        },
        None => EventType::Fixed,
    };
    of_object(Event { event_type, payload: document, place, problems, delivery_id: None })
}

/// What is no object has no members to miss.
fn of_object(event: Event) -> Event {
    if is_object(&event.payload) {
        return event;
    }
    let problems = vec![Problem::new(Code::InvalidType, "", "expected an object")];
    Event { event_type: EventType::Unreadable, problems, ..event }
}

/// A number is kept as an object of its own, which is none of the sender's.
fn is_object(value: &Value) -> bool {
    matches!(value, Value::Object(_)) && number_literal(value).is_none()
}

fn member<'v>(document: &'v Value, name: &str) -> Option<&'v Value> {
    document.as_object()?.get(name)
}

fn named(document: &Value, at: &str, problems: &mut Vec<Problem>) -> EventType {
    match required_text(member(document, "type"), at, problems) {
        Some(name) => EventType::Named { name: name.to_owned(), at: at.to_owned() },
        None => EventType::Unreadable,
    }
}

fn is_type(name: &str) -> bool {
    (1..=MAX_TYPE_CHARS).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn identifier(document: &Value, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let at = format!("/{name}");
    let text = required_text(member(document, name), &at, problems)?;
    if text.chars().count() > MAX_ID_CHARS {
        problems.push(Problem::new(Code::InvalidFormat, at, format!("expected at most {MAX_ID_CHARS} characters")));
        return None;
    }
    Some(text.to_owned())
}

fn check_time(raw: &str, at: &str, problems: &mut Vec<Problem>) {
    if let Err(invalid) = time::timestamp(raw, None) {
        problems.push(Problem::new(invalid.code, at, invalid.message));
    }
}

/// The document in `data_base64`.
fn base64_data(document: &Value) -> Result<Value, Problem> {
    let problem = |code, at: &str, message: &str| Err(Problem::new(code, at, message));
    if member(document, "data").is_some_and(|data| !is_empty(data)) {
        return problem(Code::BusinessRule, "/data_base64", "expected `data` or `data_base64`, found both");
    }
    let media_type = member(document, "datacontenttype").filter(|media_type| !is_empty(media_type));
    if !media_type.is_none_or(|media_type| as_text(media_type).is_some_and(is_json)) {
        return problem(Code::UnsupportedMediaType, "/datacontenttype", "expected JSON");
    }
    let Some(text) = member(document, "data_base64").and_then(as_text) else {
        return problem(Code::InvalidType, "/data_base64", "expected text");
    };
    let Some(bytes) = base64_decode(text) else {
        return problem(Code::MalformedPayload, "/data_base64", "expected Base64");
    };
    decode(&Bytes::from(bytes)).map_err(|rejection| first_problem(&rejection))
}

/// A document that does not decode has one problem.
fn first_problem(rejection: &Rejection) -> Problem {
    let problem = rejection.problems().first();
    let (field, message) = problem.map_or(("", "is not JSON"), |problem| (&problem.field, &problem.message));
    Problem::new(rejection.code(), format!("/data_base64{field}"), message)
}

/// Source: RFC 6839 section 3.1, the suffix `+json`.
fn is_json(media_type: &str) -> bool {
    let media_type = essence(media_type).to_ascii_lowercase();
    media_type == JSON || media_type.ends_with("+json")
}
