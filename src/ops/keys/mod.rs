//! `/api/v1/ops/keys`: the keys that are not free, and what an operator does about them.

mod document;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::canonical::notification::out_topic;
use crate::ops::App;
use crate::ops::auth::{Caller, Right};
use crate::ops::failures::{page_size, visible};
use crate::ops::keys::document::{Answer, Document, Page, Record, Whole};
use crate::ops::problem::Problem;
use crate::ops::replays::reason;
use crate::recovery::keys::{Commanded, Request};
use crate::store::LaneId;
use crate::store::lanes::{KeyCursor, KeyFilter, KeyRow, OutstandingRow};
use crate::store::recovery::MAX_PAGE;

/// Longest id a caller may give a request, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// What is asked for; everything that is said has to match.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    tenant: Option<String>,
    /// The lanes' topic.
    topic: Option<String>,
    /// The binding of a courier's topic.
    binding: Option<String>,
    /// `true`: an operator or a second round is waited for; `false`: a retry.
    held: Option<bool>,
    limit: Option<usize>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Which of several keys of that name, and which of its records.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    tenant: Option<String>,
    topic: Option<String>,
    binding: Option<String>,
    /// Records from this one on.
    from: Option<i64>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    reason: String,
    /// Of a skip: the record.
    seq: Option<i64>,
    /// Of a purge: the last record that was seen.
    through: Option<i64>,
    /// Makes two requests one, whatever happened in between.
    request_id: Option<String>,
}

/// A page of keys, those that wait longest first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    caller.may(Right::Read)?;
    let Query(question) = question?;
    let (limit, after) = (page_size(question.limit)?, question.after.as_deref().map(cursor).transpose()?);
    let filter = KeyFilter {
        tenants: visible(&caller, question.tenant),
        topic: topic(question.topic, question.binding)?,
        key: None,
        is_held: question.held,
    };
    let rows = app.0.keys.list(filter, after, limit).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(document::cursor_of);
    Ok(Json(Page { keys: rows.iter().map(Document::of).collect(), next }))
}

/// One key, the failure that holds it, and a page of its records: 200, or 404 if the key is free.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Whole>, Problem> {
    caller.may(Right::Read)?;
    let (Path(key), Query(which)) = (path?, which?);
    let (from, limit) = (which.from.unwrap_or_default(), page_size(which.limit)?);
    let row = one(&app, &caller, key, which).await?;
    let records = app.0.keys.records(&row, from, limit).await?;
    let failure = app.0.keys.failure_of(&row.lane, &row.head).await?;
    let next = records.last().filter(|_| records.len() == limit).map(|last| last.seq.saturating_add(1));
    Ok(Json(Whole {
        key: Document::of(&row),
        failure_id: failure.map(|row| row.failure.event_id),
        records: records.iter().map(Record::of).collect(),
        next,
    }))
}

/// One attempt at the held head: 200 with the outcome, or 202 if the lane has not come to it yet.
pub async fn release(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    which: Result<Query<Which>, QueryRejection>,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.may(Right::Release)?;
    let (Path(key), Query(which), Json(wish)) = (path?, which?, wish?);
    let request = wish.request(&caller)?;
    let row = one(&app, &caller, key, which).await?;
    let keys = Arc::clone(&app.0.keys);
    // Once begun it is ended, whether or not the caller still waits: the audit tells of both ends.
    let ended = tokio::spawn(async move { keys.release(&row, request).await }).await;
    Ok(told(ended.map_err(|_| Problem::internal())??))
}

/// Ends one record of the key without an attempt: answers as [`release`], 404 if the record is not outstanding.
pub async fn skip(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    which: Result<Query<Which>, QueryRejection>,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.may(Right::Release)?;
    let (Path(key), Query(which), Json(wish)) = (path?, which?, wish?);
    let seq = wish.seq.ok_or_else(|| Problem::unprocessable("`seq` is needed: the record to be skipped"))?;
    let request = wish.request(&caller)?;
    let row = one(&app, &caller, key, which).await?;
    let record = app.0.keys.records(&row, seq, 1).await?.into_iter().find(|record| record.seq == seq);
    let record: OutstandingRow =
        record.ok_or_else(|| Problem::not_found(format!("record {seq} is not one that waits under this key")))?;
    let (keys, lane): (_, LaneId) = (Arc::clone(&app.0.keys), row.lane);
    let ended = tokio::spawn(async move { keys.skip(&lane, &record, request).await }).await;
    Ok(told(ended.map_err(|_| Problem::internal())??))
}

/// Skips every record of the key up to the one named: answers as [`release`].
pub async fn purge(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    which: Result<Query<Which>, QueryRejection>,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.may(Right::Purge)?;
    let (Path(key), Query(which), Json(wish)) = (path?, which?, wish?);
    let expected = "`through` is needed: the last record that is to be skipped";
    let through = wish.through.ok_or_else(|| Problem::unprocessable(expected))?;
    let request = wish.request(&caller)?;
    let row = one(&app, &caller, key, which).await?;
    let keys = Arc::clone(&app.0.keys);
    let ended = tokio::spawn(async move { keys.purge(&row, through, request).await }).await;
    Ok(told(ended.map_err(|_| Problem::internal())??))
}

/// What a command came to, as it is answered.
pub(super) fn told(commanded: Commanded) -> (StatusCode, Json<Value>) {
    let status = if commanded.outcome.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    // Texts and numbers are always JSON.
    (status, Json(serde_json::to_value(Answer::of(commanded)).unwrap_or_default()))
}

/// # Errors
/// 400 if the id is empty, too long or not visible ASCII.
pub(super) fn request_id(id: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(id) = id else { return Ok(None) };
    match id.len() {
        1..=MAX_REQUEST_ID_BYTES if id.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(id.to_owned())),
        _ => Err(Problem::bad_request(format!(
            "expected `request_id` to be 1 to {MAX_REQUEST_ID_BYTES} visible ASCII characters"
        ))),
    }
}

impl Wish {
    fn request(&self, caller: &Caller) -> Result<Request, Problem> {
        Ok(Request {
            operator: caller.name().to_owned(),
            reason: reason(&self.reason)?,
            request_id: request_id(self.request_id.as_deref())?,
            command_id: None,
        })
    }
}

/// The key of that name the caller may see.
async fn one(app: &App, caller: &Caller, key: String, which: Which) -> Result<KeyRow, Problem> {
    let filter = KeyFilter {
        tenants: visible(caller, which.tenant),
        topic: topic(which.topic, which.binding)?,
        key: Some(Bytes::from(key)),
        is_held: None,
    };
    let mut rows = app.0.keys.list(filter, None, MAX_PAGE).await?;
    if rows.len() > 1 {
        let mut topics: Vec<_> = rows.iter().map(|row| &*row.lane.topic).collect();
        topics.sort_unstable();
        let detail = format!("the key waits in several topics, name one with `?topic=`: `{}`", topics.join("`, `"));
        return Err(Problem::conflict(detail));
    }
    rows.pop().ok_or_else(|| Problem::not_found("the key is free: nothing of it waits"))
}

fn topic(topic: Option<String>, binding: Option<String>) -> Result<Option<Arc<str>>, Problem> {
    match (topic, binding) {
        (Some(_), Some(_)) => Err(Problem::bad_request("expected `topic` or `binding`, found both")),
        (Some(topic), None) => Ok(Some(topic.into())),
        (None, Some(binding)) => Ok(Some(out_topic(&binding).into())),
        (None, None) => Ok(None),
    }
}

fn cursor(text: &str) -> Result<KeyCursor, Problem> {
    document::cursor(text).ok_or_else(|| Problem::bad_request("expected `after` to be a page's `next`"))
}
