//! `fsm.*` events -> notifications for the bindings whose partner may have to be told.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::canonical::headers;
use crate::canonical::ids;
use crate::canonical::notification::{Kind, Notification, STATUS_UPDATED, TV_OUTCOME_RECORDED, out_topic};
use crate::config::binding::Binding;
use crate::log::{Append, Header, Record};
use crate::normalize::AdapterSet;
use crate::translate::consumed::Consumed;
use crate::translate::event::PlatformEvent;
use crate::translate::order::KnownOrder;

/// A notification on its way to a binding's topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The binding's name.
    pub binding: String,
    pub notification: Notification,
    pub correlation_id: String,
    pub traceparent: Option<String>,
}

/// The notifications of an `fsm.*` event about `order`, one for each binding that
///
/// * is of the order's tenant and source, and sells in the order's country, where that is known;
/// * has a call that the event may cause, and the address of that call: a binding without one tells nobody.
///
/// None for other events: they are published as `fsm.*` events first. `cancelled_by_source`: whether the order's state
/// is cancelled because its own source said so. In the order of `bindings`.
pub fn notify(
    consumed: &Consumed,
    order: &KnownOrder,
    cancelled_by_source: bool,
    adapters: &AdapterSet,
    bindings: &[Arc<Binding>],
) -> Vec<Outgoing> {
    let event = match &consumed.event {
        PlatformEvent::StatusUpdated(event) => Fsm::new(STATUS_UPDATED, Kind::Status, event),
        PlatformEvent::TvOutcomeRecorded(event) => Fsm::new(TV_OUTCOME_RECORDED, Kind::TvOutcome, event),
        PlatformEvent::Other(_) => return Vec::new(),
    };
    let told = |binding: &&Arc<Binding>| {
        binding.tenant_id == order.key.tenant_id
            && order.country_code.as_ref().is_none_or(|country| binding.countries.contains(country))
            && adapters.adapter(&binding.adapter).is_some_and(|adapter| {
                let calls = || adapter.calls().iter().filter(|call| call.is_caused_by(event.record, &consumed.topic));
                adapter.manifest().source_key(binding) == order.key.source_key
                    && calls().any(|call| binding.parameters.contains_key(&call.spec().url.parameter))
            })
    };
    let outgoing = |binding: &Arc<Binding>| Outgoing {
        binding: binding.name.clone(),
        notification: event.about(consumed, order, cancelled_by_source),
        correlation_id: consumed.correlation_id.clone(),
        traceparent: consumed.traceparent.clone(),
    };
    bindings.iter().filter(told).map(outgoing).collect()
}

impl Outgoing {
    /// Under which the store is to remember it, that an event relayed twice is told once.
    pub fn guard(&self) -> Uuid {
        let Notification { topic, event_id, tenant_id, .. } = &self.notification;
        ids::published_event_id(tenant_id, &out_topic(&self.binding), ids::translated_event_id(topic, event_id))
    }

    /// The record for the binding's topic: the notification as JSON, under the key of its order, with the headers of a
    /// produced record.
    pub fn to_append(&self) -> Append {
        let notification = &self.notification;
        let record = notification.record.rsplit('.').next().unwrap_or_default();
        let mut headers = vec![
            Header::text(headers::CORRELATION_ID, self.correlation_id.as_str()),
            Header::text(headers::TENANT_ID, notification.tenant_id.as_str()),
            Header::text(headers::SOURCE_SYSTEM, notification.source_system.as_str()),
            Header::text(headers::EVENT_TYPE, record),
            Header::text(headers::IDEMPOTENCY_KEY, notification.event_id.as_str()),
        ];
        headers.extend(self.traceparent.as_deref().map(|parent| Header::text(headers::TRACEPARENT, parent)));
        let record = Record {
            key: Some(Bytes::from(notification.order().partition_key())),
            // Texts and the JSON of an event are always JSON.
            value: Some(notification.to_bytes().unwrap_or_default()),
            headers,
        };
        Append { topic: Arc::from(out_topic(&self.binding)), partition: None, record }
    }
}

/// An event of the platform as a notification carries it.
struct Fsm {
    record: &'static str,
    kind: Kind,
    value: Value,
}

impl Fsm {
    fn new<T: Serialize>(record: &'static str, kind: Kind, event: &T) -> Self {
        // Structs of texts and numbers are always JSON.
        Self { record, kind, value: serde_json::to_value(event).unwrap_or_default() }
    }

    fn about(&self, consumed: &Consumed, order: &KnownOrder, cancelled_by_source: bool) -> Notification {
        let named = match &consumed.event {
            PlatformEvent::StatusUpdated(event) => Some(&event.fsm_service_order_id).filter(|id| !id.is_empty()),
            _ => None,
        };
        Notification {
            kind: self.kind,
            topic: consumed.topic.clone(),
            record: self.record.to_owned(),
            event_id: consumed.event.event_id().to_owned(),
            tenant_id: order.key.tenant_id.clone(),
            source_system: order.key.source_system(),
            source_key: order.key.source_key.clone(),
            external_order_id: order.key.external_order_id.clone(),
            fsm_service_order_id: named.cloned().unwrap_or_else(|| order.key.service_order_id().to_string()),
            country_code: order.country_code.clone(),
            cancelled_by_source,
            event: self.value.clone(),
        }
    }
}
