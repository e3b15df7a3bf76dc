//! `POST /api/v1/ops/failures/{id}/replay` and `…/dismiss`: what is done about a failure.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::canonical::rejection::Problem as Wrong;
use crate::normalize::preview::preview;
use crate::ops::App;
use crate::ops::auth::{Caller, Right};
use crate::ops::failures::{Which, one};
use crate::ops::keys::{request_id, told};
use crate::ops::problem::Problem;
use crate::recovery::keys;
use crate::recovery::replay::{Outcome, Replayed, Request};
use crate::store::recovery::{FailureRow, FailureState};

/// Longest reason, in characters.
const MAX_REASON: usize = 1_000;

/// A payload travels as a JSON string, whose characters are its bytes in UTF-8, or as base64 if it is not text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Needed unless it is a dry run.
    reason: Option<String>,
    /// The corrected payload; without one, the payload as it came.
    payload: Option<String>,
    payload_base64: Option<String>,
    /// Only tell what would come out.
    #[serde(default)]
    dry_run: bool,
    /// Also if it was replayed with this payload before, or if a later record of its key was attempted since.
    #[serde(default)]
    force: bool,
    /// Of a dead letter: makes two requests one.
    request_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dismissal {
    reason: String,
}

#[derive(Serialize)]
pub struct Answer {
    replay_id: Uuid,
    /// It was replayed with this payload before: this is what came out then, and nothing was done now.
    repeated: bool,
    /// `accepted` into the intake, where the order's state decides, or `rejected` again.
    outcome: &'static str,
    order_id: Option<Uuid>,
    external_order_id: Option<String>,
    retry_count: u32,
    mapped_by: String,
    /// What is wrong with a rejected one.
    errors: Vec<Wrong>,
    /// What a rejected one is published as.
    failure_id: Option<Uuid>,
}

/// Maps the payload again and takes the result in: 202, or 200 if that was done before or is a dry run; 410 if the
/// payload is not kept any more.
pub async fn replay(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<Uuid>, PathRejection>,
    which: Result<Query<Which>, QueryRejection>,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.may(Right::Replay)?;
    let (Path(id), Query(which), Json(wish)) = (path?, which?, wish?);
    let payload = wish.payload()?;
    if payload.is_some() && !wish.dry_run {
        caller.may(Right::EditPayload)?;
    }
    let row = one(&app, &caller, id, which.tenant).await?;
    if row.failure.kind.is_dead_letter() {
        return replay_record(&app, &caller, row, payload, wish).await;
    }
    let replays = &app.0.replays;
    if wish.dry_run {
        let draft = replays.try_out(&row, payload).await?;
        let mut preview = preview(&draft, app.0.audit.clock.now_ms());
        preview["dry_run"] = json!(true);
        return Ok((StatusCode::OK, Json(preview)));
    }
    let reason = reason(wish.reason.as_deref().unwrap_or_default())?;
    let request = Request { operator: caller.name().to_owned(), reason, payload, force: wish.force };
    // Once begun it is ended, whether or not the caller still waits: the audit tells of both ends.
    let replays = replays.clone();
    let ended = tokio::spawn(async move { replays.replay(&row, request).await }).await;
    let replayed = ended.map_err(|_| Problem::internal())??;
    let status = if replayed.is_repeat { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(serde_json::to_value(Answer::of(replayed)).map_err(|_| Problem::internal())?)))
}

/// Has the record of a dead letter attempted again: 200 with the outcome, or 202 if its lane has not come to it yet.
async fn replay_record(
    app: &App,
    caller: &Caller,
    row: FailureRow,
    payload: Option<Bytes>,
    wish: Wish,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if wish.dry_run {
        return Err(Problem::unprocessable("a call cannot be tried out: an attempt reaches the partner"));
    }
    let reason = reason(wish.reason.as_deref().unwrap_or_default())?;
    let request =
        keys::Request { operator: caller.name().to_owned(), reason, request_id: wish.request_id()?, command_id: None };
    let keys = app.0.keys.clone();
    let ended = tokio::spawn(async move { keys.replay(&row, payload, wish.force, request).await }).await;
    Ok(told(ended.map_err(|_| Problem::internal())??))
}

/// Says that nothing is to be done about the failure: 200 with its state, or 409 if it was replayed.
pub async fn dismiss(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<Uuid>, PathRejection>,
    which: Result<Query<Which>, QueryRejection>,
    dismissal: Result<Json<Dismissal>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    caller.may(Right::Replay)?;
    let (Path(id), Query(which), Json(dismissal)) = (path?, which?, dismissal?);
    let reason = reason(&dismissal.reason)?;
    let row = one(&app, &caller, id, which.tenant).await?;
    if matches!(row.state, FailureState::Replayed | FailureState::Resolved) {
        let detail = format!("the failure is {}: there is nothing to dismiss", row.state.as_str());
        return Err(Problem::conflict(detail));
    }
    app.0.replays.dismiss(&row, caller.name(), reason).await?;
    Ok(Json(json!({"failure_id": id, "state": FailureState::Dismissed.as_str()})))
}

impl Wish {
    fn request_id(&self) -> Result<Option<String>, Problem> {
        request_id(self.request_id.as_deref())
    }

    fn payload(&self) -> Result<Option<Bytes>, Problem> {
        match (&self.payload, &self.payload_base64) {
            (None, None) => Ok(None),
            (Some(text), None) => Ok(Some(Bytes::copy_from_slice(text.as_bytes()))),
            (None, Some(base64)) => {
                let bytes = STANDARD.decode(base64);
                let expected = |_| Problem::bad_request("expected `payload_base64` to be base64 with padding");
                Ok(Some(bytes.map_err(expected)?.into()))
            }
            (Some(_), Some(_)) => Err(Problem::bad_request("expected `payload` or `payload_base64`, found both")),
        }
    }
}

impl Answer {
    fn of(replayed: Replayed) -> Self {
        let Replayed { replay_id, is_repeat, outcome } = replayed;
        let Outcome { verdict, order_id, external_order_id, retry_count, mapped_by, problems, failure_id } = outcome;
        Self {
            replay_id,
            repeated: is_repeat,
            outcome: verdict.as_str(),
            order_id,
            external_order_id,
            retry_count,
            mapped_by,
            errors: problems,
            failure_id,
        }
    }
}

/// What the audit is to say, without what no text can hold.
pub(super) fn reason(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    match text.chars().count() {
        1..=MAX_REASON => Ok(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()),
        0 => Err(Problem::unprocessable("`reason` is needed: the audit keeps it")),
        _ => Err(Problem::unprocessable(format!("expected a `reason` of at most {MAX_REASON} characters"))),
    }
}
