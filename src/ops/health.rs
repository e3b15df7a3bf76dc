//! The open routes: is the process alive, can it work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::ops::App;

#[derive(Serialize)]
pub struct Status {
    status: &'static str,
    /// By part: `ok`, or why it is not ready.
    #[serde(skip_serializing_if = "Map::is_empty")]
    parts: Map<String, Value>,
}

#[derive(Serialize)]
pub struct Checks {
    status: &'static str,
    /// By part: `up` or `down`.
    checks: Map<String, Value>,
}

/// The process runs and answers: 200. Restarting it would not help whatever else is wrong.
pub async fn alive() -> Json<Status> {
    Json(Status { status: "ok", parts: Map::new() })
}

/// 200 if every part is ready, else 503 with the reasons.
pub async fn ready(State(app): State<App>) -> (StatusCode, Json<Status>) {
    let parts = app.0.readiness.parts().into_iter();
    let parts = parts.map(|(part, reason)| (part, reason.unwrap_or_else(|| "ok".to_owned()).into())).collect();
    match app.0.readiness.is_ready() {
        true => (StatusCode::OK, Json(Status { status: "ready", parts })),
        false => (StatusCode::SERVICE_UNAVAILABLE, Json(Status { status: "not ready", parts })),
    }
}

/// The same, in the form of the owner's documents: `healthy` or `unhealthy`, without reasons.
pub async fn checks(State(app): State<App>) -> (StatusCode, Json<Checks>) {
    let parts = app.0.readiness.parts().into_iter();
    let checks = parts.map(|(part, reason)| (part, if reason.is_none() { "up" } else { "down" }.into())).collect();
    match app.0.readiness.is_ready() {
        true => (StatusCode::OK, Json(Checks { status: "healthy", checks })),
        false => (StatusCode::SERVICE_UNAVAILABLE, Json(Checks { status: "unhealthy", checks })),
    }
}
