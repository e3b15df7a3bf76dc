//! The open routes: is the process alive, can it work.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::door::rfc3339;
use crate::ops::App;
use crate::ops::auth::Right;
use crate::ops::traffic::Condition;

#[derive(Serialize)]
pub struct Status {
    status: &'static str,
    /// By part: `ok`, or why it is not ready.
    #[serde(skip_serializing_if = "Map::is_empty")]
    parts: Map<String, Value>,
    /// By part: what does not stop it, and yet needs someone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    remarks: BTreeMap<String, Vec<String>>,
}

#[derive(Serialize)]
pub struct Checks {
    /// `healthy`, `degraded` (an adapter refuses much) or `unhealthy`.
    status: &'static str,
    /// By part: `up` or `down`.
    checks: Map<String, Value>,
    /// For operators alone: it names partners.
    #[serde(skip_serializing_if = "Option::is_none")]
    adapters: Option<Vec<Adapter>>,
}

/// One binding's adapter, as this gateway saw it since it started.
#[derive(Serialize)]
struct Adapter {
    binding: String,
    adapter: String,
    /// `ok`, `idle`, or `degraded`: see `traffic`.
    status: &'static str,
    /// Null: none since this gateway started.
    last_message_at: Option<String>,
    /// In the last five minutes.
    accepted: u64,
    rejected: u64,
}

/// The process runs and answers: 200. Restarting it would not help whatever else is wrong.
pub async fn alive() -> Json<Status> {
    Json(Status { status: "ok", parts: Map::new(), remarks: BTreeMap::new() })
}

/// 200 if every part is ready, else 503 with the reasons.
pub async fn ready(State(app): State<App>) -> (StatusCode, Json<Status>) {
    let parts = app.0.readiness.parts().into_iter();
    let parts = parts.map(|(part, reason)| (part, reason.unwrap_or_else(|| "ok".to_owned()).into())).collect();
    let remarks = app.0.readiness.remarks();
    match app.0.readiness.is_ready() {
        true => (StatusCode::OK, Json(Status { status: "ready", parts, remarks })),
        false => (StatusCode::SERVICE_UNAVAILABLE, Json(Status { status: "not ready", parts, remarks })),
    }
}

/// The same, in the form of the owner's documents: `healthy` or `unhealthy`, without reasons. An operator is told of
/// the adapters, too.
pub async fn checks(State(app): State<App>, headers: HeaderMap) -> (StatusCode, Json<Checks>) {
    let parts = app.0.readiness.parts().into_iter();
    let checks = parts.map(|(part, reason)| (part, if reason.is_none() { "up" } else { "down" }.into())).collect();
    let caller = app.0.operators.caller(&headers).filter(|caller| caller.may(Right::Read).is_ok());
    let mut is_degraded = false;
    let mut adapters = Vec::new();
    for binding in app.0.replays.bindings() {
        let recent = app.0.traffic.recent(&binding.name);
        is_degraded |= recent.condition() == Condition::Degraded;
        if caller.as_ref().is_some_and(|caller| caller.sees(&binding.tenant_id)) {
            adapters.push(Adapter {
                binding: binding.name.clone(),
                adapter: binding.adapter.clone(),
                status: recent.condition().as_str(),
                last_message_at: recent.last_message_ms.map(rfc3339),
                accepted: recent.accepted,
                rejected: recent.rejected,
            });
        }
    }
    let adapters = caller.map(|_| adapters);
    match (app.0.readiness.is_ready(), is_degraded) {
        (true, false) => (StatusCode::OK, Json(Checks { status: "healthy", checks, adapters })),
        // It works, so nothing is won by taking it out of service.
        (true, true) => (StatusCode::OK, Json(Checks { status: "degraded", checks, adapters })),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, Json(Checks { status: "unhealthy", checks, adapters })),
    }
}
