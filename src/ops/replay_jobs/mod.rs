//! `/api/v1/ops/replays`: many failures, replayed as one job.

mod document;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ops::App;
use crate::ops::auth::{Caller, Right};
use crate::ops::failures::{Question, page_size};
use crate::ops::problem::Problem;
use crate::ops::replay_jobs::document::{Document, Item, Items, Page};
use crate::ops::replays::reason;
use crate::recovery::job::{Pace, Plan};
use crate::store::jobs::{ItemState, JobFilter, JobRow, JobState};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    reason: String,
    /// As failures are asked for; of these the open ones.
    #[serde(default)]
    failures: Question,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobQuestion {
    state: Option<String>,
    /// Jobs before this number.
    before: Option<i64>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemQuestion {
    state: Option<String>,
    /// Items behind this number.
    after: Option<i64>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Only tell what would come of the first items.
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    pace: Pace,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    reason: String,
}

/// Freezes a selection: 201 with the job; nothing is replayed yet.
pub async fn plan(
    State(app): State<App>,
    caller: Caller,
    selection: Result<Json<Selection>, JsonRejection>,
) -> Result<(StatusCode, Json<Document>), Problem> {
    caller.may(Right::Replay)?;
    let Json(Selection { reason: why, failures }) = selection?;
    let (filter, question) = failures.selection(&caller)?;
    let plan = Plan { operator: caller.name().to_owned(), reason: reason(&why)?, filter, question };
    let job = app.0.jobs.plan(plan).await?;
    Ok((StatusCode::CREATED, Json(Document::of(&job))))
}

/// A page of jobs, newest first. An operator limited to tenants sees the jobs of theirs alone.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    question: Result<Query<JobQuestion>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    caller.may(Right::Read)?;
    let Query(JobQuestion { state, before, limit }) = question?;
    let limit = page_size(limit)?;
    let expected = || Problem::bad_request("expected `state` to be the state of a job, such as `running`");
    let state = state.map(|name| JobState::named(&name).ok_or_else(expected)).transpose()?;
    let jobs = app.0.jobs.list(JobFilter { id: None, state }, before, limit).await?;
    let next = jobs.last().filter(|_| jobs.len() == limit).map(|job| job.number);
    Ok(Json(Page { jobs: jobs.iter().filter(|job| sees(&caller, job)).map(Document::of).collect(), next }))
}

/// One job and how far it is.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Document>, Problem> {
    caller.may(Right::Read)?;
    Ok(Json(Document::of(&one(&app, &caller, path?.0).await?)))
}

/// A page of the job's items, oldest failure first.
pub async fn items(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<Uuid>, PathRejection>,
    question: Result<Query<ItemQuestion>, QueryRejection>,
) -> Result<Json<Items>, Problem> {
    caller.may(Right::Read)?;
    let (Path(id), Query(ItemQuestion { state, after, limit })) = (path?, question?);
    let limit = page_size(limit)?;
    let expected = || Problem::bad_request("expected `state` to be the state of an item, such as `failed`");
    let state = state.map(|name| ItemState::named(&name).ok_or_else(expected)).transpose()?;
    let job = one(&app, &caller, id).await?;
    let items = app.0.jobs.items(job.id, state, after.unwrap_or_default(), limit).await?;
    let next = items.last().filter(|_| items.len() == limit).map(|item| item.number);
    Ok(Json(Items { items: items.into_iter().map(Item::of).collect(), next }))
}

/// Lets a planned job run: 202 with the job, or 200 with what would come of its first items if it is a dry run.
pub async fn run(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<Uuid>, PathRejection>,
    run: Result<Json<Run>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.may(Right::Replay)?;
    let (Path(id), Json(Run { dry_run, pace })) = (path?, run?);
    let pace = Pace { operator: caller.name().to_owned(), ..pace };
    let pace = pace.check().map_err(|error| Problem::unprocessable(error.to_string()))?;
    let job = one(&app, &caller, id).await?;
    if dry_run {
        let outlook = app.0.jobs.outlook(&job).await?;
        let looked_at: u64 = outlook.values().sum();
        let answer = json!({"dry_run": true, "job": Document::of(&job), "looked_at": looked_at, "outlook": outlook});
        return Ok((StatusCode::OK, Json(answer)));
    }
    let job = app.0.jobs.run(&job, caller.name(), &pace).await?;
    Ok((StatusCode::ACCEPTED, Json(json!(Document::of(&job)))))
}

/// Ends a job: nothing more is begun.
pub async fn cancel(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<Uuid>, PathRejection>,
    cancellation: Result<Json<Cancellation>, JsonRejection>,
) -> Result<Json<Document>, Problem> {
    caller.may(Right::Replay)?;
    let (Path(id), Json(cancellation)) = (path?, cancellation?);
    let reason = reason(&cancellation.reason)?;
    let job = one(&app, &caller, id).await?;
    Ok(Json(Document::of(&app.0.jobs.cancel(&job, caller.name(), &reason).await?)))
}

/// The job, if the caller may see it: others do not exist for them.
async fn one(app: &App, caller: &Caller, id: Uuid) -> Result<JobRow, Problem> {
    let job = app.0.jobs.one(id).await?;
    if sees(caller, &job) { Ok(job) } else { Err(Problem::not_found("no such replay job")) }
}

/// Whoever is limited to tenants sees the jobs that are of these alone.
fn sees(caller: &Caller, job: &JobRow) -> bool {
    match (caller.tenants(), &job.tenants) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(_), Some(tenants)) => tenants.iter().all(|tenant| caller.sees(tenant)),
    }
}
