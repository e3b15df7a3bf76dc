//! `GET /api/v1/ops/orders/{source_key}/{external_id}`: one order's whole journey.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::canonical::ids::OrderKey;
use crate::door::rfc3339;
use crate::ops::App;
use crate::ops::auth::{Caller, Right};
use crate::ops::problem::Problem;
use crate::store::{LedgerEntry, OrderState, Origin, Phase};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    tenant: Option<String>,
}

#[derive(Serialize)]
pub struct Document {
    order_id: Uuid,
    tenant_id: String,
    source_key: String,
    external_order_id: String,
    /// As the state table of the contract names it: `UNKNOWN`, `RECEIVED`, `CANCELLED`, `TOMBSTONE`.
    state: &'static str,
    /// The canonical order; null before the order was created.
    canonical: Option<Box<RawValue>>,
    /// Updates that wait for the creation.
    parked: usize,
    /// Ledger rows, oldest first: each the row's own members, `at` and `origin`.
    journey: Vec<Map<String, Value>>,
}

/// One order and what became of it: 200, 404 if nothing is known of it, 409 if several tenants have it and none is
/// named.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Document>, Problem> {
    caller.may(Right::Read)?;
    let (Path((source_key, external_id)), Query(question)) = (path?, question?);
    let mut found = find(&app, &caller, &source_key, &external_id, question.tenant).await?;
    let unknown = || Problem::not_found(format!("no order `{external_id}` of `{source_key}` is known"));
    let (key, state, ledger) = match found.len() {
        0 | 1 => found.pop().ok_or_else(unknown)?,
        _ => {
            let tenants: Vec<_> = found.iter().map(|(key, ..)| key.tenant_id.as_str()).collect();
            let detail =
                format!("several tenants have this order, name one with `?tenant=`: `{}`", tenants.join("`, `"));
            return Err(Problem::conflict(detail));
        }
    };
    Ok(Json(Document {
        order_id: key.service_order_id(),
        tenant_id: key.tenant_id,
        source_key: key.source_key,
        external_order_id: key.external_order_id,
        state: state.as_ref().map_or("UNKNOWN", |state| state_name(&state.phase)),
        canonical: state.as_ref().and_then(|state| canonical(&state.phase)),
        parked: state.map_or(0, |state| state.parked.len()),
        journey: ledger.iter().map(step).collect(),
    }))
}

type Known = (OrderKey, Option<OrderState>, Vec<LedgerEntry>);

/// The orders with that id the caller may see, at most one a tenant. An order with a journey and no state counts:
/// its payloads were all rejected.
async fn find(
    app: &App,
    caller: &Caller,
    source_key: &str,
    external_id: &str,
    tenant: Option<String>,
) -> Result<Vec<Known>, Problem> {
    let tenants = match (&tenant, caller.tenants()) {
        (Some(tenant), _) => vec![tenant.clone()],
        (None, Some(tenants)) => tenants.to_vec(),
        (None, None) => app.0.tenants.borrow().clone(),
    };
    let key = |tenant: &String| OrderKey {
        tenant_id: tenant.clone(),
        source_key: source_key.to_owned(),
        external_order_id: external_id.to_owned(),
    };
    let keys: Vec<_> = tenants.iter().filter(|tenant| caller.sees(tenant)).map(key).collect();
    let states = app.0.store.orders(keys.iter().map(OrderKey::service_order_id).collect()).await?;
    let mut found = Vec::new();
    for (key, state) in keys.into_iter().zip(states) {
        let ledger = app.0.store.ledger(key.service_order_id()).await?;
        if state.is_some() || !ledger.is_empty() {
            found.push((key, state, ledger));
        }
    }
    Ok(found)
}

pub(super) const fn state_name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Unknown => "UNKNOWN",
        Phase::Received(_) => "RECEIVED",
        Phase::Cancelled(_) => "CANCELLED",
        Phase::Tombstone(_) => "TOMBSTONE",
    }
}

fn canonical(phase: &Phase) -> Option<Box<RawValue>> {
    match phase {
        Phase::Received(accepted) | Phase::Cancelled(accepted) => serde_json::from_slice(&accepted.canonical).ok(),
        Phase::Unknown | Phase::Tombstone(_) => None,
    }
}

fn step(entry: &LedgerEntry) -> Map<String, Value> {
    let mut row = match serde_json::from_str(&entry.detail) {
        Ok(Value::Object(detail)) => detail,
        _ => Map::new(),
    };
    row.insert("at".to_owned(), Value::String(rfc3339(entry.at)));
    let offset = match entry.origin {
        Origin::Record { offset } | Origin::Release { offset, .. } | Origin::Timer { offset, .. } => offset,
    };
    row.insert(
        "origin".to_owned(),
        json!({"topic": &*entry.lane.topic, "partition": entry.lane.partition, "offset": offset}),
    );
    row
}
