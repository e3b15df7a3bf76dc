//! `GET /api/v1/orders/{orderId}`: what became of an order, for the system that sold it.
//!
//! A binding's own bearer token reads the orders of its tenant and source; all others are 404, so nobody learns
//! which ids exist. An order is also 404 between its 202 and the moment it is put in order, hence `Retry-After`.

use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tracing::warn;
use uuid::Uuid;

use crate::door::answer::{Answer, rfc3339};
use crate::door::table::Shared;
use crate::store::{self, LedgerEntry, OrderState, Phase};
use crate::verify::{Refusal, Tokens, bearer_token};

/// The path as documented.
pub(super) const PATH: &str = "/api/v1/orders/{orderId}";
/// The path as the router is given it.
pub(super) const MATCHED: &str = "/api/v1/orders/{p0}";

/// What a token may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reader {
    pub tenant_id: String,
    pub source_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    order_id: Uuid,
    external_order_id: &'a str,
    state: &'static str,
    /// Null before the order was created.
    canonical: Option<&'a RawValue>,
    outcomes: Vec<Map<String, Value>>,
}

/// What a sender is shown of a ledger row, and under which name: its own message and how it ended, not how we work.
const SHOWN: [(&str, &str); 6] = [
    ("what", "what"),
    ("outcome", "outcome"),
    ("revision", "revision"),
    ("error_code", "errorCode"),
    ("error_message", "errorMessage"),
    ("warnings", "warnings"),
];

pub(super) async fn show(shared: &Shared, readers: &Tokens<Reader>, id: Option<&str>, headers: &HeaderMap) -> Answer {
    let known = bearer_token(headers).and_then(|token| readers.owner(token).ok_or(Refusal::UnknownToken));
    let reader = match known {
        Ok(reader) => reader,
        Err(refusal) => {
            shared.metrics.authentication_failures.with_label_values(&["orders", refusal.reason()]).inc();
            warn!(reason = refusal.reason(), %refusal, "reader is not authentic");
            return Answer::unauthenticated();
        }
    };
    // Only the form the gateway hands out: one order, one address.
    let parsed = id.and_then(|text| Uuid::try_parse(text).ok().filter(|id| id.hyphenated().to_string() == text));
    let Some(id) = parsed else { return Answer::NotFound { retry_after_s: None } };
    match document(shared, reader, id).await {
        Ok(Some(document)) => Answer::Document(document),
        Ok(None) => Answer::NotFound { retry_after_s: Some(1) },
        Err(cause) => {
            warn!(order.id = %id, error = %cause, "order cannot be read");
            Answer::unavailable()
        }
    }
}

async fn document(shared: &Shared, reader: &Reader, id: Uuid) -> Result<Option<Bytes>, store::Error> {
    let found = shared.store.orders(vec![id]).await?.into_iter().next().flatten();
    let Some(state) = found.filter(|state| is_readable(state, reader)) else { return Ok(None) };
    let ledger = shared.store.ledger(id).await?;
    let accepted = match &state.phase {
        Phase::Received(accepted) | Phase::Cancelled(accepted) => Some(accepted),
        Phase::Unknown | Phase::Tombstone(_) => None,
    };
    let document = Document {
        order_id: id,
        external_order_id: &state.key.external_order_id,
        state: match state.phase {
            Phase::Unknown => "UNKNOWN",
            Phase::Received(_) => "RECEIVED",
            Phase::Cancelled(_) | Phase::Tombstone(_) => "CANCELLED",
        },
        canonical: accepted.and_then(|accepted| serde_json::from_slice(&accepted.canonical).ok()),
        outcomes: ledger.iter().map(outcome).collect(),
    };
    Ok(Some(serde_json::to_vec(&document).unwrap_or_default().into()))
}

fn is_readable(state: &OrderState, reader: &Reader) -> bool {
    state.key.tenant_id == reader.tenant_id && state.key.source_key == reader.source_key
}

fn outcome(entry: &LedgerEntry) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("at".to_owned(), Value::String(rfc3339(entry.at)));
    let Ok(Value::Object(mut detail)) = serde_json::from_str(&entry.detail) else { return row };
    for (name, shown) in SHOWN {
        if let Some(value) = detail.remove(name) {
            row.insert(shown.to_owned(), value);
        }
    }
    if let Some(Value::Object(mut received)) = detail.remove("received") {
        if let Some(at) = received.get("at").and_then(Value::as_i64) {
            row.insert("receivedAt".to_owned(), Value::String(rfc3339(at)));
        }
        if let Some(id) = received.remove("correlation_id") {
            row.insert("correlationId".to_owned(), id);
        }
    }
    row
}
