//! `GET /metrics`: for Prometheus.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tracing::error;

use crate::ops::App;
use crate::ops::auth::{Caller, Right};
use crate::ops::problem::Problem;

/// All metrics in Prometheus text format. Labels name bindings of every tenant, never an order.
pub async fn render(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.may(Right::Read)?;
    let text = app.0.metrics.render().map_err(|cause| {
        error!(error = %cause, "metrics cannot be rendered");
        Problem::internal()
    })?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
