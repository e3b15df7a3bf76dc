//! Events of other domains -> `fsm.*` events.
//!
//! Source: `contracts/canonical-events.md` sections 2.2 and 5; `contracts/pyxis.md`, "Translation".

use crate::canonical::event::fsm::{
    OrderStatus, SCHEDULED, STATUS_UPDATED, ScopeModification, TV_MODIFICATIONS_REQUIRED, TV_OUTCOME_RECORDED,
    TvOutcome, status_updated, tv_outcome_recorded,
};
use crate::canonical::event::{Event, FailedEvent, Meta};
use crate::canonical::ids::OrderKey;
use crate::canonical::rejection::{Code, Rejection};
use crate::log::{Append, Record};
use crate::schema::Catalogue;
use crate::translate::consumed::Consumed;
use crate::translate::event::{Modification, Platform, PlatformEvent, TvOutcomeRecorded};
use crate::translate::order::{Found, KnownOrder};

/// Why an order that a visit found impossible is cancelled.
const VISIT_NEGATIVE: &str = "TECHNICAL_VISIT_NEGATIVE";

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Translated {
    /// Its order is known. An `fsm.*` event gives no events: it is told ([`notify`](super::notify)), never published
    /// again on its own topic. `learned`: an id of the platform to be kept as a link to the order.
    Known { order: KnownOrder, events: Vec<Event>, learned: Option<String> },
    /// It waits until one of these platform ids is known, at most until `expires_at`, epoch milliseconds; then it is an
    /// [`unknown_reference`].
    Parked { wanted: Vec<String>, expires_at: i64 },
}

/// What the event means, given what was found of its order. `now`: time of publication, epoch milliseconds; `wait_ms`:
/// how long an event waits for its order (24 h by contract).
///
/// Publish each event by [`Event::to_append`] with [`Consumed::meta`], unless the store holds its [`Event::guard`].
pub fn platform(consumed: &Consumed, found: &Found, wait_ms: i64, now: i64) -> Translated {
    let Some(order) = consumed.order(found) else {
        let wanted = consumed.wanted().platform_ids;
        return Translated::Parked { wanted, expires_at: now.saturating_add(wait_ms) };
    };
    let events = match &consumed.event {
        PlatformEvent::StatusUpdated(_) | PlatformEvent::TvOutcomeRecorded(_) => Vec::new(),
        PlatformEvent::Other(event) => translated(event, &order.key, now),
    };
    let learned = consumed.learned(found, &order);
    Translated::Known { order, events, learned }
}

/// The end of a record whose wait ran out, for `dlq.failed_events`. `record`: as it was consumed; `failed_at`: epoch
/// milliseconds.
pub fn unknown_reference(consumed: &Consumed, record: &Record, failed_at: i64, catalogue: &Catalogue) -> Append {
    let message = "no order of this id became known in time";
    let error = FailedEvent::error(Code::UnknownReference, consumed.order_pointer(), message);
    FailedEvent { topic: &consumed.topic, record, error: &error, failed_at }.to_append(catalogue)
}

/// The end of a record that cannot be read, for `dlq.failed_events`. As [`unknown_reference`].
pub fn refused(topic: &str, record: &Record, rejection: &Rejection, failed_at: i64, catalogue: &Catalogue) -> Append {
    let first = rejection.problems().first();
    let (pointer, message) = first.map_or(("", ""), |problem| (problem.field.as_str(), problem.message.as_str()));
    let error = FailedEvent::error(rejection.code(), pointer, message);
    FailedEvent { topic, record, error: &error, failed_at }.to_append(catalogue)
}

impl Consumed {
    /// What travels beside an event made of this one.
    pub fn meta<'a>(&'a self, order: &'a KnownOrder) -> Meta<'a> {
        Meta {
            correlation_id: &self.correlation_id,
            tenant_id: &order.key.tenant_id,
            source_system: order.key.source_system(),
            traceparent: self.traceparent.as_deref(),
        }
    }
}

fn translated(event: &Platform, order: &OrderKey, now: i64) -> Vec<Event> {
    match event {
        Platform::TvOutcomeRecorded(event) => outcome(event, order, now),
        Platform::AssignmentConfirmed(event) => {
            let date = Some(event.confirmed_date.clone());
            vec![status_updated(SCHEDULED, order, OrderStatus::Scheduled, date, &event.event_id, now)]
        }
        Platform::ServiceOrderCancelled(event) => {
            vec![status_updated(STATUS_UPDATED, order, OrderStatus::Cancelled, None, &event.event_id, now)]
        }
    }
}

fn outcome(event: &TvOutcomeRecorded, order: &OrderKey, now: i64) -> Vec<Event> {
    // The source event does not say what a modification costs, so each is to be priced again.
    let repriced = |Modification { description }: &Modification| ScopeModification {
        description: description.clone(),
        requires_repricing: true,
    };
    let (topics, modifications, reason): (&[&'static str], _, _) = match event.outcome {
        TvOutcome::Yes => (&[TV_OUTCOME_RECORDED], None, None),
        TvOutcome::YesBut => {
            let modifications = event.modifications.as_deref().filter(|modifications| !modifications.is_empty());
            let modifications = modifications.map(|modifications| modifications.iter().map(repriced).collect());
            (&[TV_OUTCOME_RECORDED, TV_MODIFICATIONS_REQUIRED], modifications, None)
        }
        TvOutcome::No => (&[TV_OUTCOME_RECORDED], None, Some(VISIT_NEGATIVE.to_owned())),
    };
    let on = |topic: &&'static str| {
        let (modifications, reason): (Option<Vec<ScopeModification>>, _) = (modifications.clone(), reason.clone());
        tv_outcome_recorded(topic, order, event.outcome, modifications, reason, &event.event_id, now)
    };
    topics.iter().map(on).collect()
}
