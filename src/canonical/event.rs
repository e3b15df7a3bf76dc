//! The events an order publishes: each a projection of the canonical order, or of the rejection of its payload; and
//! those of the platform ([`fsm`]).
//!
//! An [`Event`] knows its topic, key and id; [`Event::to_append`] makes it the record on the log. The structs of
//! [`Body`] have the fields of their Avro schemas, in schema order.
//!
//! Source: `contracts/canonical-events.md` sections 2.2, 3, 4, 5 (`event_id`) and 7 (`raw_payload`).

mod failed;
mod failed_event;
pub mod fsm;
mod status_failed;

pub use failed::{MAX_MESSAGE_BYTES, MAX_RAW_BYTES, SalesOrderFailed, failed, raw_payload};
pub use failed_event::{FAILED_EVENTS, FailedEvent};
pub use status_failed::{SalesStatusFailed, status_failed};

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::canonical::event::fsm::{FsmOrderStatusUpdated, FsmTvOutcomeRecorded};
use crate::canonical::headers;
use crate::canonical::ids;
use crate::canonical::order::{CanonicalOrder, Line, SalesChannel, SourceSystem};
use crate::log::{Append, Header, Record};
use crate::schema::{Catalogue, Error};

pub const ORDER_RECEIVED: &str = "integration.sales.order_received";
pub const ORDER_NORMALIZED: &str = "integration.sales.order.normalized";
pub const ORDER_UPDATED: &str = "integration.sales.order_updated";
pub const ORDER_CANCELLED: &str = "integration.sales.order_cancelled";
pub const ORDER_FAILED: &str = "integration.sales.order.failed";
pub const STATUS_FAILED: &str = "integration.sales.status.failed";

/// One event to publish.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub topic: &'static str,
    /// Partition key.
    pub key: String,
    pub event_id: Uuid,
    pub body: Body,
    /// Beside those every event has.
    pub headers: Vec<Header>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Received(SalesOrderReceived),
    Normalized(SalesOrderNormalized),
    Updated(SalesOrderUpdated),
    Cancelled(SalesOrderCancelled),
    Failed(SalesOrderFailed),
    StatusFailed(SalesStatusFailed),
    StatusUpdated(FsmOrderStatusUpdated),
    TvOutcomeRecorded(FsmTvOutcomeRecorded),
}

/// What travels beside an event, in headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta<'a> {
    pub correlation_id: &'a str,
    pub tenant_id: &'a str,
    pub source_system: SourceSystem,
    pub traceparent: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SalesOrderReceived {
    pub event_id: String,
    /// Epoch milliseconds, as in all events the time of publication.
    pub event_timestamp: i64,
    pub sales_order_id: String,
    pub customer_id: String,
    pub country_code: String,
    pub services: Vec<Service>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SalesOrderNormalized {
    pub event_id: String,
    pub event_timestamp: i64,
    pub source_system: SourceSystem,
    pub external_order_id: String,
    pub fsm_service_order_id: String,
    pub sales_channel: SalesChannel,
    pub country_code: String,
    /// `<adapter>/<version>`.
    pub transformation_version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SalesOrderUpdated {
    pub event_id: String,
    pub event_timestamp: i64,
    pub sales_order_id: String,
    pub fsm_service_order_id: String,
    pub customer_id: String,
    pub country_code: String,
    /// Epoch milliseconds as decimal text.
    pub revision: String,
    /// As [`changed_fields`] gives them.
    pub changed_fields: Vec<String>,
    pub services: Vec<Service>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SalesOrderCancelled {
    pub event_id: String,
    pub event_timestamp: i64,
    pub sales_order_id: String,
    pub fsm_service_order_id: String,
    pub country_code: String,
    pub reason_code: String,
    pub reason: Option<String>,
    /// Epoch milliseconds.
    pub cancelled_at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    pub service_type: String,
    pub requires_confirmation_tv: bool,
}

/// A new order was accepted. `revision` and `published_at`: epoch milliseconds.
pub fn received(order: &CanonicalOrder, revision: i64, published_at: i64) -> Event {
    let event_id = order_event_id(ORDER_RECEIVED, order, revision);
    let body = SalesOrderReceived {
        event_id: event_id.to_string(),
        event_timestamp: published_at,
        sales_order_id: order.external_order_id.clone(),
        customer_id: order.customer.customer_id.clone(),
        country_code: order.country_code.clone(),
        services: services(order),
    };
    Event { topic: ORDER_RECEIVED, key: country_key(order), event_id, body: Body::Received(body), headers: Vec::new() }
}

/// A creation or an update was accepted. `revision` and `published_at`: epoch milliseconds.
pub fn normalized(order: &CanonicalOrder, revision: i64, transformation_version: &str, published_at: i64) -> Event {
    let event_id = order_event_id(ORDER_NORMALIZED, order, revision);
    let body = SalesOrderNormalized {
        event_id: event_id.to_string(),
        event_timestamp: published_at,
        source_system: order.source_system,
        external_order_id: order.external_order_id.clone(),
        fsm_service_order_id: order.fsm_service_order_id.clone(),
        sales_channel: order.sales_channel,
        country_code: order.country_code.clone(),
        transformation_version: transformation_version.to_owned(),
    };
    let key = source_key(order.source_system, &order.external_order_id);
    Event { topic: ORDER_NORMALIZED, key, event_id, body: Body::Normalized(body), headers: Vec::new() }
}

/// An update was accepted. `revision` and `published_at`: epoch milliseconds; `changed_fields` of the function of
/// that name.
pub fn updated(order: &CanonicalOrder, revision: i64, changed_fields: Vec<String>, published_at: i64) -> Event {
    let event_id = order_event_id(ORDER_UPDATED, order, revision);
    let body = SalesOrderUpdated {
        event_id: event_id.to_string(),
        event_timestamp: published_at,
        sales_order_id: order.external_order_id.clone(),
        fsm_service_order_id: order.fsm_service_order_id.clone(),
        customer_id: order.customer.customer_id.clone(),
        country_code: order.country_code.clone(),
        revision: revision.to_string(),
        changed_fields,
        services: services(order),
    };
    Event { topic: ORDER_UPDATED, key: country_key(order), event_id, body: Body::Updated(body), headers: Vec::new() }
}

/// A cancellation was accepted, or a creation met its tombstone. `revision` is that of the cancellation (of the
/// tombstone); all times are epoch milliseconds.
pub fn cancelled(
    order: &CanonicalOrder,
    revision: i64,
    reason_code: &str,
    reason: Option<&str>,
    cancelled_at: i64,
    published_at: i64,
) -> Event {
    let event_id = order_event_id(ORDER_CANCELLED, order, revision);
    let body = SalesOrderCancelled {
        event_id: event_id.to_string(),
        event_timestamp: published_at,
        sales_order_id: order.external_order_id.clone(),
        fsm_service_order_id: order.fsm_service_order_id.clone(),
        country_code: order.country_code.clone(),
        reason_code: reason_code.to_owned(),
        reason: reason.map(str::to_owned),
        cancelled_at,
    };
    Event {
        topic: ORDER_CANCELLED,
        key: country_key(order),
        event_id,
        body: Body::Cancelled(body),
        headers: Vec::new(),
    }
}

/// Top-level members of the canonical order that differ, in document order.
///
/// Members that are not part of the business digest are left out: `revision`, `updated_at`, `created_at`, `status`,
/// `warnings` and `raw_sha256` keep the books of the order, they are not what was ordered. So the list is empty
/// exactly when the digests are equal.
pub fn changed_fields(old: &CanonicalOrder, new: &CanonicalOrder) -> Vec<String> {
    // Taken apart member by member: one added to the order does not compile until it is decided about here.
    let CanonicalOrder {
        schema,
        tenant_id,
        source_system,
        source_key,
        external_order_id,
        fsm_service_order_id,
        revision: _,
        status: _,
        sales_channel,
        country_code,
        bu_code,
        store_id,
        urgency,
        created_at: _,
        updated_at: _,
        requested_date,
        customer,
        address,
        lines,
        total,
        external_refs,
        notes,
        warnings: _,
        raw_sha256: _,
    } = new;
    let changed = [
        ("schema", old.schema != *schema),
        ("tenant_id", old.tenant_id != *tenant_id),
        ("source_system", old.source_system != *source_system),
        ("source_key", old.source_key != *source_key),
        ("external_order_id", old.external_order_id != *external_order_id),
        ("fsm_service_order_id", old.fsm_service_order_id != *fsm_service_order_id),
        ("sales_channel", old.sales_channel != *sales_channel),
        ("country_code", old.country_code != *country_code),
        ("bu_code", old.bu_code != *bu_code),
        ("store_id", old.store_id != *store_id),
        ("urgency", old.urgency != *urgency),
        ("requested_date", old.requested_date != *requested_date),
        ("customer", old.customer != *customer),
        ("address", old.address != *address),
        ("lines", old.lines != *lines),
        ("total", old.total != *total),
        ("external_refs", old.external_refs != *external_refs),
        ("notes", old.notes != *notes),
    ];
    changed.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect()
}

impl Event {
    /// Under which the store is to remember the event, that it is published once; `None` if the order's state sees
    /// to that.
    pub fn guard(&self, tenant_id: &str) -> Option<Uuid> {
        let is_of_state = match self.body {
            Body::Received(_) | Body::Normalized(_) | Body::Updated(_) | Body::Cancelled(_) => true,
            Body::Failed(_) | Body::StatusFailed(_) | Body::StatusUpdated(_) | Body::TvOutcomeRecorded(_) => false,
        };
        (!is_of_state).then(|| ids::published_event_id(tenant_id, self.topic, self.event_id))
    }

    /// The value as JSON, members in schema order.
    pub fn value_json(&self) -> Value {
        let value = match &self.body {
            Body::Received(body) => serde_json::to_value(body),
            Body::Normalized(body) => serde_json::to_value(body),
            Body::Updated(body) => serde_json::to_value(body),
            Body::Cancelled(body) => serde_json::to_value(body),
            Body::Failed(body) => serde_json::to_value(body),
            Body::StatusFailed(body) => serde_json::to_value(body),
            Body::StatusUpdated(body) => serde_json::to_value(body),
            Body::TvOutcomeRecorded(body) => serde_json::to_value(body),
        };
        // Members of text, numbers and lists of them are always JSON.
        value.unwrap_or_default()
    }

    /// The record that publishes the event: framed Avro, placed by its key, with the headers every produced record
    /// has.
    ///
    /// # Errors
    /// [`Error::UnknownRecord`] or [`Error::Write`] if `catalogue` is not of the schemas this was built with.
    pub fn to_append(&self, catalogue: &Catalogue, meta: &Meta<'_>) -> Result<Append, Error> {
        let record = self.body.record();
        let value = match &self.body {
            Body::Received(body) => catalogue.encode(record, body),
            Body::Normalized(body) => catalogue.encode(record, body),
            Body::Updated(body) => catalogue.encode(record, body),
            Body::Cancelled(body) => catalogue.encode(record, body),
            Body::Failed(body) => catalogue.encode(record, body),
            Body::StatusFailed(body) => catalogue.encode(record, body),
            Body::StatusUpdated(body) => catalogue.encode(record, body),
            Body::TvOutcomeRecorded(body) => catalogue.encode(record, body),
        }?;
        let mut headers = Vec::with_capacity(6 + self.headers.len());
        headers.extend([
            Header::text(headers::CORRELATION_ID, meta.correlation_id),
            Header::text(headers::TENANT_ID, meta.tenant_id),
            Header::text(headers::SOURCE_SYSTEM, meta.source_system.as_str()),
            Header::text(headers::EVENT_TYPE, record),
            Header::text(headers::IDEMPOTENCY_KEY, self.event_id.to_string()),
        ]);
        headers.extend(meta.traceparent.map(|parent| Header::text(headers::TRACEPARENT, parent)));
        headers.extend(self.headers.iter().cloned());
        let record = Record { key: Some(Bytes::copy_from_slice(self.key.as_bytes())), value: Some(value), headers };
        Ok(Append { topic: Arc::from(self.topic), partition: None, record })
    }
}

impl Body {
    /// Name of the record in the schema, also the header `event-type`.
    pub const fn record(&self) -> &'static str {
        match self {
            Self::Received(_) => "SalesOrderReceived",
            Self::Normalized(_) => "SalesOrderNormalized",
            Self::Updated(_) => "SalesOrderUpdated",
            Self::Cancelled(_) => "SalesOrderCancelled",
            Self::Failed(_) => "SalesOrderFailed",
            Self::StatusFailed(_) => "SalesStatusFailed",
            Self::StatusUpdated(_) => "FsmOrderStatusUpdated",
            Self::TvOutcomeRecorded(_) => "FsmTvOutcomeRecorded",
        }
    }
}

/// Service lines only, in line order.
fn services(order: &CanonicalOrder) -> Vec<Service> {
    let service = |line: &Line| {
        let service_type = line.service_type?.as_str().to_owned();
        Some(Service { service_type, requires_confirmation_tv: line.requires_confirmation_tv })
    };
    order.lines.iter().filter_map(service).collect()
}

fn order_event_id(topic: &str, order: &CanonicalOrder, revision: i64) -> Uuid {
    // The id's text was made from the key, so either gives the same id; parsing is cheaper than hashing.
    let id = Uuid::parse_str(&order.fsm_service_order_id).unwrap_or_else(|_| order.key().service_order_id());
    ids::order_event_id(topic, id, revision)
}

fn country_key(order: &CanonicalOrder) -> String {
    format!("{}_{}", order.country_code, order.external_order_id)
}

fn source_key(source_system: SourceSystem, external_order_id: &str) -> String {
    format!("{}_{external_order_id}", source_system.as_str())
}

#[cfg(test)]
mod tests;
