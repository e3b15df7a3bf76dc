//! A record of a topic of the platform -> the event it carries, and what travels beside it.

use serde_json::Value;

use crate::canonical::headers;
use crate::canonical::rejection::{Code, Rejection};
use crate::log::{Header, Record};
use crate::normalize::decode;
use crate::normalize::topic::Form;
use crate::schema::topics::record_of;
use crate::schema::{self, Catalogue};
use crate::translate::event::{Platform, PlatformEvent};

/// A record of the platform, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Consumed {
    /// Where it was consumed.
    pub topic: String,
    pub event: PlatformEvent,
    /// The sender's, or the event's id where there is none.
    pub correlation_id: String,
    /// As the header says.
    pub tenant_id: Option<String>,
    pub traceparent: Option<String>,
}

/// Why a record cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unread {
    /// Says nothing about the record: it is read again when the catalogue has learned the schema.
    #[error("the schema of a record of topic `{topic}` is not known yet")]
    Unlearned { topic: String, source: schema::Error },
    /// The record is at fault: it belongs on `dlq.failed_events`, with [`Rejection::message`] behind its code.
    #[error("record of topic `{topic}` is refused: {rejection}")]
    Refused { topic: String, rejection: Rejection },
    /// No topic whose events are translated or told.
    #[error("topic `{topic}` is not translated")]
    Foreign { topic: String },
}

impl Consumed {
    /// Reads a record of `topic`: framed Avro of the topic's record, or the same as JSON.
    ///
    /// # Errors
    /// [`Unread`]; only [`Unread::Unlearned`] passes with time.
    pub fn read(topic: &str, record: &Record, catalogue: &Catalogue) -> Result<Self, Unread> {
        let expected = record_of(topic).filter(|record| PlatformEvent::is_read(record));
        let expected = expected.ok_or_else(|| Unread::Foreign { topic: topic.to_owned() })?;
        let document = document(topic, expected, record, catalogue)?;
        let Some(event) = PlatformEvent::read(expected, document.clone()) else {
            // The catalogue tells what is wrong, and where, without repeating it.
            let message = match catalogue.encode_json(expected, &document) {
                Err(error) => error.to_string(),
                Ok(_) => format!("expected record `{expected}`"),
            };
            return Err(refused(topic, Rejection::one(Code::SchemaMismatch, "", message)));
        };
        let text = |name: &str| text(&record.headers, name);
        let correlation_id = text(headers::CORRELATION_ID).filter(|id| headers::is_correlation_id(id));
        let traceparent = text(headers::TRACEPARENT).filter(|parent| headers::is_traceparent(parent));
        Ok(Self {
            topic: topic.to_owned(),
            correlation_id: correlation_id.unwrap_or_else(|| event.event_id()).to_owned(),
            tenant_id: text(headers::TENANT_ID).filter(|tenant| !tenant.is_empty()).map(str::to_owned),
            traceparent: traceparent.map(str::to_owned),
            event,
        })
    }

    /// The key on `crossdock.platform` of a record that came with `key`: its own of an `fsm.*` event, so that the order
    /// of the platform holds; else the platform's id of the service order, of a visit that of the order it is for.
    pub fn platform_key<'a>(&'a self, key: Option<&'a [u8]>) -> &'a [u8] {
        let id = match &self.event {
            PlatformEvent::StatusUpdated(event) => return key.unwrap_or(event.external_order_id.as_bytes()),
            PlatformEvent::TvOutcomeRecorded(event) => return key.unwrap_or(event.external_order_id.as_bytes()),
            PlatformEvent::Other(Platform::TvOutcomeRecorded(event)) => {
                event.linked_installation_order_id.as_ref().unwrap_or(&event.tv_service_order_id)
            }
            PlatformEvent::Other(Platform::AssignmentConfirmed(event)) => &event.service_order_id,
            PlatformEvent::Other(Platform::ServiceOrderCancelled(event)) => &event.service_order_id,
        };
        id.as_bytes()
    }
}

fn document(topic: &str, expected: &str, record: &Record, catalogue: &Catalogue) -> Result<Value, Unread> {
    let mismatch = |message: String| refused(topic, Rejection::one(Code::SchemaMismatch, "", message));
    let value = record.value.as_ref().ok_or_else(|| mismatch("expected a value".to_owned()))?;
    if Form::of(value) == Form::Json {
        let payload = decode::decode(value).map_err(|rejection| refused(topic, rejection))?;
        return Ok(decode::to_json(&payload));
    }
    match catalogue.decode(value) {
        Ok(decoded) if decoded.record == expected => Ok(decoded.value),
        Ok(decoded) => Err(mismatch(format!("expected record `{expected}`, found `{}`", decoded.full_name))),
        Err(source) if source.is_transient() => Err(Unread::Unlearned { topic: topic.to_owned(), source }),
        Err(error) => Err(mismatch(error.to_string())),
    }
}

fn refused(topic: &str, rejection: Rejection) -> Unread {
    Unread::Refused { topic: topic.to_owned(), rejection }
}

fn text<'h>(headers: &'h [Header], name: &str) -> Option<&'h str> {
    let header = headers.iter().find(|header| header.name == name)?;
    std::str::from_utf8(&header.value).ok()
}
