//! `GET /api/v1/ops/payloads/{sha256}`: a payload, byte for byte as it was received.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use tracing::info;

use crate::canonical::ids::Sha256Digest;
use crate::ops::App;
use crate::ops::auth::{Caller, Right};
use crate::ops::problem::Problem;
use crate::recovery::audit::{Deed, READ_PAYLOAD};

/// 200 with the bytes, or 404 if the payload is unknown, erased or past its time. Who looked is in the audit:
/// payloads name people.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    caller.may(Right::ReadPayload)?;
    let Path(sha256) = path?;
    // A payload is kept under its digest alone: whose it is cannot be told.
    caller.of_every_tenant()?;
    let unknown = || Problem::not_found("no such payload; it may be past its time");
    let digest = Sha256Digest::from_hex(&sha256).ok_or_else(unknown)?;
    let payload = app.0.store.payload(digest).await?.ok_or_else(unknown)?;
    let deed = Deed { operator: caller.name(), action: READ_PAYLOAD, tenant_id: None, subject: &sha256 };
    app.0.audit.write(deed, &serde_json::json!({}), None).await?;
    info!(operator = caller.name(), payload = %digest, "payload read");
    let headers = [
        // Never to be run or shown by a browser: the bytes are a stranger's.
        (CONTENT_TYPE, "application/octet-stream"),
        (CONTENT_DISPOSITION, "attachment"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, payload).into_response())
}
