//! What a source of webhooks sends: an envelope is opened, its type picks the route, the route maps the document.
//!
//! A mapping sees the whole document, envelope included, so that every pointer names a place the sender knows. Three
//! things are not where the mapping sees them: the items of a batch, the data of a CloudEvent in binary mode (the body
//! itself) and that in Base64; a `Place` names them as they were sent.
//!
//! Source: `contracts/webhook.md`.

mod batch;
mod binary;
mod envelope;
mod place;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use vrl::value::Value;

use crate::canonical::draft::{Draft, DraftBody};
use crate::canonical::rejection::{Code, Problem, Rejection};
use crate::config::report::Report;
use crate::normalize::decode::{decode, is_empty};
use crate::normalize::functions::as_text;
use crate::normalize::manifest::webhook::{Condition, Envelope, OnUnmapped, ROUTE, TypeSpec, WebhookSpec};
use crate::normalize::manifest::{Manifest, Pointer};
use crate::normalize::program::Defect;
use crate::normalize::route::{self, Route};
use crate::normalize::webhook::envelope::{Event, EventType};
use crate::normalize::webhook::place::Place;
use crate::verify::{Verified, scheme};

/// Header with the media type of the body.
const CONTENT_TYPE: &str = "content-type";
const CLOUDEVENTS: &str = "application/cloudevents+json";
const CLOUDEVENTS_BATCH: &str = "application/cloudevents-batch+json";

/// What one delivery holds.
#[derive(Debug)]
pub enum Messages {
    One(Message),
    /// A batch, in its order.
    Many(Vec<Message>),
}

/// What became of one message.
#[derive(Debug)]
pub enum Message {
    Draft(Box<Draft>),
    /// There is nothing to do: its type is none of ours.
    Ignored,
}

/// The webhook of an adapter, ready to map.
#[derive(Debug)]
pub struct Webhook {
    adapter: Arc<Manifest>,
    spec: WebhookSpec,
    /// Those its types name.
    routes: BTreeMap<String, Arc<Route>>,
}

impl Webhook {
    pub(super) fn new(adapter: Arc<Manifest>, spec: WebhookSpec, routes: &[Arc<Route>]) -> Self {
        let named = |name: &str| routes.iter().find(|route| route.name() == name).cloned();
        let routes = spec.routes().filter_map(|name| Some((name.to_owned(), named(name)?))).collect();
        Self { adapter, spec, routes }
    }

    pub fn adapter(&self) -> &Manifest {
        &self.adapter
    }

    pub fn spec(&self) -> &WebhookSpec {
        &self.spec
    }

    /// Whether a delivery's `header`, in lower case, says something about it.
    pub fn reads_header(&self, header: &str) -> bool {
        header == CONTENT_TYPE
            || header == self.spec.delivery_id
            || (self.spec.envelope == Envelope::CloudEvents && header.starts_with(binary::PREFIX))
    }

    /// Opens, validates and maps. A message that fails a check becomes a draft with its rejection.
    ///
    /// # Errors
    /// [`Defect`]: a mapping is at fault, not the sender.
    pub fn normalize(&self, delivery: &Verified) -> Result<Messages, Defect> {
        let one = |message| Ok(Messages::One(message));
        let media_type = delivery.context().header(CONTENT_TYPE).map_or("", essence);
        let is_cloudevents = self.spec.envelope == Envelope::CloudEvents;
        let document = match decode(delivery.body()) {
            Ok(document) => document,
            Err(rejection) => return one(self.refused(delivery, rejection)),
        };
        if is_cloudevents && binary::is_binary(delivery.context()) && !media_type.eq_ignore_ascii_case(CLOUDEVENTS) {
            let event = binary::event(delivery.context(), document);
            return self.message(delivery, event).map(Messages::One);
        }
        let is_batch = is_cloudevents && media_type.eq_ignore_ascii_case(CLOUDEVENTS_BATCH);
        match document {
            Value::Array(items) if is_batch || self.spec.batch => self.batch(delivery, items),
            _ if is_batch => {
                let rejection = Rejection::one(Code::InvalidType, "", "expected an array of events");
                one(self.refused(delivery, rejection))
            }
            document => self.message(delivery, self.open(delivery, document, None)).map(Messages::One),
        }
    }

    /// The draft that carries `rejection`, found before the envelope was opened.
    pub fn refuse(&self, delivery: &Verified, rejection: Rejection) -> Draft {
        let mut draft = route::draft(&self.adapter, delivery, None, DraftBody::Rejection(rejection));
        draft.head.route = Some(self.route());
        draft
    }

    /// As a payload that is mapped again names it.
    fn route(&self) -> String {
        format!("{}/{ROUTE}", self.adapter.name)
    }

    fn batch(&self, delivery: &Verified, items: Vec<Value>) -> Result<Messages, Defect> {
        if items.len() > batch::MAX_ITEMS {
            let message = format!("expected at most {} items", batch::MAX_ITEMS);
            return Ok(Messages::One(self.refused(delivery, Rejection::one(Code::LimitExceeded, "", message))));
        }
        let ranges = batch::ranges(delivery.body());
        let messages = items.into_iter().enumerate().map(|(index, item)| {
            // Each item is kept as it was sent; should it not be found, the batch is.
            let part = ranges.get(index).cloned().and_then(|range| delivery.part(range));
            let part = part.as_ref().unwrap_or(delivery);
            self.message(part, self.open(part, item, Some(index)))
        });
        messages.collect::<Result<_, _>>().map(Messages::Many)
    }

    /// `index`: of the item, in a batch.
    fn open(&self, delivery: &Verified, document: Value, index: Option<usize>) -> Event {
        let place = index.map_or_else(Place::default, Place::item);
        let mut event = match &self.spec.envelope {
            Envelope::Standard => envelope::standard(document, place),
            Envelope::CloudEvents => return envelope::cloudevent(document, place, delivery.context().received_at),
            Envelope::None { type_at } => envelope::none(document, place, type_at.as_ref()),
        };
        let id = delivery.context().header(&self.spec.delivery_id);
        let id = id.filter(|id| (1..=scheme::MAX_ID_BYTES).contains(&id.len()));
        event.delivery_id = match index {
            Some(index) => id.map(|id| format!("{id}#{index}")),
            None => id.map(str::to_owned),
        };
        event
    }

    fn message(&self, delivery: &Verified, event: Event) -> Result<Message, Defect> {
        let Event { event_type, payload, place, problems, delivery_id } = event;
        let found = match &event_type {
            EventType::Unreadable => None,
            EventType::Fixed => self.spec.types.first(),
            EventType::Named { name, .. } => self.spec.types.iter().find(|known| known.name == *name),
        };
        let route = found.and_then(|found| chosen(found, &payload)).and_then(|name| self.routes.get(name));
        let mut draft = match (route, event_type) {
            (Some(route), _) => route.map(delivery, payload, problems)?,
            (None, EventType::Unreadable) => match Rejection::of(problems) {
                Some(rejection) => self.refuse(delivery, rejection),
                None => return Ok(Message::Ignored),
            },
            (None, _) if self.spec.on_unmapped == OnUnmapped::Ignore => return Ok(Message::Ignored),
            (None, EventType::Named { at, .. }) => self.refuse(delivery, unsupported(at)),
            (None, EventType::Fixed) => self.refuse(delivery, unsupported(String::new())),
        };
        place.apply(&mut draft);
        draft.head.route = Some(self.route());
        draft.head.delivery_id = delivery_id;
        Ok(Message::Draft(Box::new(draft)))
    }

    fn refused(&self, delivery: &Verified, rejection: Rejection) -> Message {
        Message::Draft(Box::new(self.refuse(delivery, rejection)))
    }
}

/// Reports conditions on fields that no schema of their type's routes has.
pub(super) fn check_conditions(spec: &WebhookSpec, routes: &[Arc<Route>], file: &Path, report: &mut Report) {
    for known in &spec.types {
        let mut schemas = routes.iter().filter(|route| known.routes().any(|name| name == route.name())).peekable();
        // Routes with mistakes of their own have reported them.
        if schemas.peek().is_none() {
            continue;
        }
        let kinds: Vec<_> = schemas.map(|route| route.schema_kind()).collect();
        for Pointer { text, path } in known.choices.iter().map(|choice| &choice.field) {
            if kinds.iter().all(|kind| kind.at_path(path).is_undefined()) {
                let message = format!("type `{}`: no field `{text}` in the schemas of its routes", known.name);
                report.add(file, known.line, 0, message);
            }
        }
    }
}

fn unsupported(at: String) -> Rejection {
    Rejection::one(Code::UnsupportedEvent, at, "expected a type this source is set up for")
}

/// The route of an event of a known type.
fn chosen<'s>(found: &'s TypeSpec, payload: &Value) -> Option<&'s str> {
    let choice = found.choices.iter().find(|choice| holds(&choice.condition, payload.get(&choice.field.path)));
    choice.map(|choice| choice.route.as_str()).or(found.route.as_deref())
}

fn holds(condition: &Condition, value: Option<&Value>) -> bool {
    match condition {
        Condition::In(texts) => value.and_then(as_text).is_some_and(|text| texts.iter().any(|known| known == text)),
        Condition::Is(expected) => value == Some(&Value::Boolean(*expected)),
        Condition::Present(expected) => value.is_some_and(|value| !is_empty(value)) == *expected,
    }
}

/// A media type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// What must be there and be text.
fn required_text<'v>(value: Option<&'v Value>, at: &str, problems: &mut Vec<Problem>) -> Option<&'v str> {
    match value.filter(|value| !is_empty(value)) {
        Some(value) => {
            let text = as_text(value);
            if text.is_none() {
                problems.push(Problem::new(Code::InvalidType, at, "expected text"));
            }
            text
        }
        None => {
            problems.push(Problem::new(Code::FieldRequired, at, "is required"));
            None
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
