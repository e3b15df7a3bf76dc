//! One record of the lane, checked: the only way for a record to reach the state table.
//!
//! The hops write well-formed drafts; an operator may append anything. So what the table relies on is checked here
//! once: the draft decodes, an order or a cancellation names its order, the canonical order is that order's, its
//! revision is a number, and the record lies under the order's own key (or two lanes would own one order).

use bytes::Bytes;
use uuid::Uuid;

use crate::canonical::draft::{CancellationDraft, Draft, DraftBody, DraftHead, OrderDraft};
use crate::canonical::ids::OrderKey;
use crate::canonical::intake;
use crate::canonical::order::Warning;
use crate::canonical::rejection::{Code, Rejection};
use crate::log::Record;
use crate::schema::Catalogue;

/// A message the state table can decide about.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub head: DraftHead,
    /// The payload as received.
    pub raw: Bytes,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// `revision`: epoch milliseconds.
    Order {
        subject: Subject,
        draft: Box<OrderDraft>,
        revision: i64,
    },
    Cancellation {
        subject: Subject,
        draft: CancellationDraft,
    },
    /// Refused by a hop; it meets no state.
    Rejection {
        subject: Option<Subject>,
        rejection: Rejection,
    },
}

/// The order a message speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub key: OrderKey,
    /// `fsm_service_order_id`, derived once.
    pub id: Uuid,
}

/// Why a record is no message.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("expected a value, found none")]
    NoValue,
    #[error("value is not a draft")]
    Decode(#[source] intake::Error),
    #[error("expected the order's id in the draft, found none")]
    NoOrder,
    #[error("expected the canonical order of the order in the draft's head, found another")]
    OtherOrder,
    #[error("expected epoch milliseconds as `revision`")]
    Revision,
    #[error("expected the draft's partition key as the record's key, found another")]
    OtherKey,
}

impl Unreadable {
    /// Whether it says nothing about the record: it can be read once the schema registry has been asked.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Decode(intake::Error::Schema(cause)) if cause.is_transient())
    }
}

impl Message {
    /// Reads a record of `crossdock.intake`.
    ///
    /// # Errors
    /// [`Unreadable`] for whatever no hop would have written.
    pub fn of_record(catalogue: &Catalogue, record: &Record) -> Result<Self, Unreadable> {
        let value = record.value.as_ref().ok_or(Unreadable::NoValue)?;
        let message = Self::of_value(catalogue, value)?;
        let key = match message.subject() {
            Some(subject) => subject.key.partition_key(),
            None => message.head.partition_key(),
        };
        match record.key.as_deref() {
            Some(found) if found == key.as_bytes() => Ok(message),
            _ => Err(Unreadable::OtherKey),
        }
    }

    /// Reads the value of such a record, for instance of a parked update.
    ///
    /// # Errors
    /// As [`Self::of_record`], without the check of the key.
    pub fn of_value(catalogue: &Catalogue, value: &[u8]) -> Result<Self, Unreadable> {
        Self::of_draft(intake::decode(catalogue, value).map_err(Unreadable::Decode)?)
    }

    /// Checks a draft.
    ///
    /// # Errors
    /// As [`Self::of_value`], decoding apart.
    pub fn of_draft(draft: Draft) -> Result<Self, Unreadable> {
        let Draft { head, body, raw } = draft;
        let subject = head.order_key().map(|key| Subject { id: key.service_order_id(), key });
        let body = match body {
            DraftBody::Order(draft) => {
                let subject = subject.ok_or(Unreadable::NoOrder)?;
                let order = &draft.order;
                let named = order.tenant_id == head.tenant_id
                    && order.source_key == head.source_key
                    && Some(&order.external_order_id) == head.external_order_id.as_ref()
                    && Uuid::parse_str(&order.fsm_service_order_id) == Ok(subject.id);
                if !named {
                    return Err(Unreadable::OtherOrder);
                }
                let revision = order.revision.parse().map_err(|_| Unreadable::Revision)?;
                Body::Order { subject, draft, revision }
            }
            DraftBody::Cancellation(draft) => {
                Body::Cancellation { subject: subject.ok_or(Unreadable::NoOrder)?, draft }
            }
            DraftBody::Rejection(rejection) => Body::Rejection { subject, rejection },
        };
        Ok(Self { head, raw, body })
    }

    pub fn subject(&self) -> Option<&Subject> {
        match &self.body {
            Body::Order { subject, .. } | Body::Cancellation { subject, .. } => Some(subject),
            Body::Rejection { subject, .. } => subject.as_ref(),
        }
    }

    /// The order whose state decides about the message; a rejection meets no state.
    pub fn order(&self) -> Option<&Subject> {
        match &self.body {
            Body::Order { subject, .. } | Body::Cancellation { subject, .. } => Some(subject),
            Body::Rejection { .. } => None,
        }
    }

    /// Whether `raw` is the payload: of one over its limit only the digest is known.
    pub fn carries_payload(&self) -> bool {
        !matches!(&self.body, Body::Rejection { rejection, .. } if rejection.code() == Code::PayloadTooLarge)
    }

    /// Remarks of the mapping on an accepted payload.
    pub fn warnings(&self) -> &[Warning] {
        match &self.body {
            Body::Order { draft, .. } => &draft.order.warnings,
            Body::Cancellation { draft, .. } => &draft.warnings,
            Body::Rejection { .. } => &[],
        }
    }
}
