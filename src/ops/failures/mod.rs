//! `/api/v1/ops/failures` and `/api/v1/ops/failure-groups`: what failed, and why.

mod document;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::canonical::ids::{OrderKey, UNKNOWN_ORDER};
use crate::door::rfc3339;
use crate::log;
use crate::ops::App;
use crate::ops::audit::Row;
use crate::ops::auth::{Caller, Right};
use crate::ops::failures::document::{Document, Group, Groups, Order, Page, Payload, Place, Record, Whole};
use crate::ops::orders::state_name;
use crate::ops::problem::Problem;
use crate::recovery::audit::{Deed, READ_PAYLOAD};
use crate::recovery::dead_letter::DeadRecord;
use crate::recovery::failure::Detail;
use crate::recovery::keys;
use crate::store::recovery::{
    AuditFilter, Failure, FailureCursor, FailureFilter, FailureKind, FailureRow, FailureState, MAX_PAGE,
};

/// Rows of a page if none are asked for.
const USUAL_PAGE: usize = 50;
/// Other failures of the same order that are told.
const SIBLINGS: usize = 20;

/// What is asked for; everything that is said has to match.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// `order`, `status`, `call` or `translation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// `open`, `replayed`, `dismissed` or `resolved`.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Uuid>,
    /// Somewhere in the first problem's pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// RFC 3339, inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// RFC 3339, exclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// A page of failures, newest first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    caller.may(Right::Read)?;
    let Query(question) = question?;
    let (limit, after) = (page_size(question.limit)?, question.after.as_deref().map(cursor).transpose()?);
    let rows = app.0.store.failures(question.filter(&caller)?, after, limit).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|row| {
        let FailureCursor { failed_at, number } = row.cursor();
        format!("{failed_at}.{number}")
    });
    Ok(Json(Page { failures: rows.iter().map(Document::listed).collect(), next }))
}

/// Failures by cause, those with most failures first.
pub async fn groups(
    State(app): State<App>,
    caller: Caller,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Groups>, Problem> {
    caller.may(Right::Read)?;
    let Query(question) = question?;
    if question.after.is_some() {
        return Err(Problem::bad_request("`after` is for lists: groups come at once"));
    }
    let groups = app.0.store.failure_groups(question.filter(&caller)?, page_size(question.limit)?).await?;
    Ok(Json(Groups { groups: groups.into_iter().map(Group::of).collect() }))
}

/// One failure and everything known of it, its payload for those who may see payloads.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    path: Result<Path<Uuid>, PathRejection>,
    question: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Whole>, Problem> {
    caller.may(Right::Read)?;
    let (Path(id), Query(which)) = (path?, question?);
    let row = one(&app, &caller, id, which.tenant).await?;
    let store = &app.0.store;
    let Failure { tenant_id, external_order_id, source_key, .. } = &row.failure;
    let tenants = Some(vec![tenant_id.clone()]);
    let of_replays =
        FailureFilter { tenants: tenants.clone(), replay_of: Some(row.failure.event_id), ..FailureFilter::default() };
    let replay_failures = store.failures(of_replays, None, MAX_PAGE).await?;
    let (mut siblings, mut order) = (Vec::new(), None);
    if external_order_id != UNKNOWN_ORDER {
        let of_order = FailureFilter {
            tenants: tenants.clone(),
            source_key: Some(source_key.clone()),
            external_order_id: Some(external_order_id.clone()),
            ..FailureFilter::default()
        };
        siblings = store.failures(of_order, None, SIBLINGS + 1).await?;
        siblings.retain(|sibling| sibling.failure.event_id != row.failure.event_id);
        siblings.truncate(SIBLINGS);
        order = order_of(&app, &row.failure).await?;
    }
    let audit = AuditFilter { tenants, subject: Some(row.failure.event_id.to_string()), ..AuditFilter::default() };
    let audit = store.audit_rows(audit, None, MAX_PAGE).await?;
    let detail = Detail::of(&row.failure);
    let (topic, partition, offset) = &row.failure.place;
    Ok(Json(Whole {
        payload: payload(&app, &caller, &row.failure, detail.record.as_ref()).await?,
        record: detail.record.as_ref().map(Record::of),
        http_status: detail.http_status,
        failure: Document::whole(&row),
        problems: detail.problems,
        omitted_problems: detail.omitted,
        route: detail.route,
        path: detail.path,
        received_from: detail.received_from,
        received_at: detail.received_at.map(rfc3339),
        mapped_by: detail.mapped_by,
        event: Place { topic: topic.to_string(), partition: *partition, offset: *offset },
        order,
        replay_failures: replay_failures.iter().map(Document::listed).collect(),
        siblings: siblings.iter().map(Document::listed).collect(),
        audit: audit.into_iter().map(Row::of).collect(),
    }))
}

/// Which of several tenants' failures with one id.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    pub tenant: Option<String>,
}

/// The failure with that id the caller may see.
///
/// # Errors
/// 404; 409 if several tenants have one and none is named: the same bytes, rejected, have the same id.
pub async fn one(app: &App, caller: &Caller, id: Uuid, tenant: Option<String>) -> Result<FailureRow, Problem> {
    let tenants = visible(caller, tenant);
    let filter = FailureFilter { tenants, event_id: Some(id), ..FailureFilter::default() };
    let mut rows = app.0.store.failures(filter, None, MAX_PAGE).await?;
    if rows.len() > 1 {
        let mut tenants: Vec<_> = rows.iter().map(|row| row.failure.tenant_id.as_str()).collect();
        tenants.sort_unstable();
        let detail = format!("several tenants have this failure, name one with `?tenant=`: `{}`", tenants.join("`, `"));
        return Err(Problem::conflict(detail));
    }
    rows.pop().ok_or_else(|| Problem::not_found("no such failure; the index follows the topic within seconds"))
}

/// # Errors
/// 400 if more rows are asked for than a page has.
pub fn page_size(limit: Option<usize>) -> Result<usize, Problem> {
    match limit.unwrap_or(USUAL_PAGE) {
        limit @ 1..=MAX_PAGE => Ok(limit),
        _ => Err(Problem::bad_request(format!("expected `limit` to be 1 to {MAX_PAGE}"))),
    }
}

impl Question {
    /// The failures a replay job is of, and how they were asked for.
    pub fn selection(&self, caller: &Caller) -> Result<(FailureFilter, String), Problem> {
        if self.limit.is_some() || self.after.is_some() {
            return Err(Problem::bad_request("`limit` and `after` are for lists: a job has all that match"));
        }
        if self.state.as_deref().is_some_and(|state| state != FailureState::Open.as_str()) {
            return Err(Problem::bad_request("a job is of open failures"));
        }
        // Texts are always JSON.
        Ok((self.filter(caller)?, serde_json::to_string(self).unwrap_or_default()))
    }

    fn filter(&self, caller: &Caller) -> Result<FailureFilter, Problem> {
        let state = |name: &String| {
            let expected =
                || Problem::bad_request("expected `state` to be `open`, `replayed`, `dismissed` or `resolved`");
            FailureState::named(name).ok_or_else(expected)
        };
        let kind = |name: &String| {
            let expected = "expected `kind` to be `order`, `status`, `call` or `translation`";
            FailureKind::named(name).map(|kind| vec![kind]).ok_or_else(|| Problem::bad_request(expected))
        };
        let time = |name: &'static str, text: &Option<String>| -> Result<Option<i64>, Problem> {
            let Some(text) = text else { return Ok(None) };
            let expected =
                || Problem::bad_request(format!("expected `{name}` to be a time such as 2026-03-04T08:15:30Z"));
            text.parse::<Timestamp>().map(|time| Some(time.as_millisecond())).map_err(|_| expected())
        };
        Ok(FailureFilter {
            tenants: visible(caller, self.tenant.clone()),
            event_id: None,
            kinds: self.kind.as_ref().map(kind).transpose()?,
            state: self.state.as_ref().map(state).transpose()?,
            binding: self.binding.clone(),
            error_code: self.code.clone(),
            source_key: self.source.clone(),
            external_order_id: self.order.clone(),
            correlation_id: self.correlation.clone(),
            group: self.group,
            replay_of: None,
            pointer: self.pointer.clone(),
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
        })
    }
}

/// The tenants a question is about: those the caller sees, and of these the one that is named.
pub fn visible(caller: &Caller, named: Option<String>) -> Option<Vec<String>> {
    match (named, caller.tenants()) {
        (Some(tenant), _) => Some(Some(tenant).into_iter().filter(|tenant| caller.sees(tenant)).collect()),
        (None, tenants) => tenants.map(<[String]>::to_vec),
    }
}

fn cursor(text: &str) -> Result<FailureCursor, Problem> {
    let parts = text.split_once('.').and_then(|(at, number)| Some((at.parse().ok()?, number.parse().ok()?)));
    let (failed_at, number) = parts.ok_or_else(|| Problem::bad_request("expected `after` to be a page's `next`"))?;
    Ok(FailureCursor { failed_at, number })
}

async fn order_of(app: &App, failure: &Failure) -> Result<Option<Order>, Problem> {
    let key = OrderKey {
        tenant_id: failure.tenant_id.clone(),
        source_key: failure.source_key.clone(),
        external_order_id: failure.external_order_id.clone(),
    };
    let states = app.0.store.orders(vec![key.service_order_id()]).await?;
    let state = states.into_iter().next().flatten();
    Ok(state.map(|state| Order { order_id: state.id(), state: state_name(&state.phase) }))
}

/// The payload as it came, or the value of a dead letter. Who looked is in the audit: payloads name people.
async fn payload(app: &App, caller: &Caller, failure: &Failure, dead: Option<&DeadRecord>) -> Result<Payload, Problem> {
    let without = |state| Payload { state, link: None, text: None, base64: None };
    if failure.raw_sha256.is_none() && dead.is_none() {
        return Ok(without("expired"));
    }
    if caller.may(Right::ReadPayload).is_err() {
        return Ok(without("hidden"));
    }
    let (bytes, subject, link) = match (failure.raw_sha256, dead) {
        (Some(digest), _) => {
            let link = format!("/api/v1/ops/payloads/{digest}");
            (app.0.store.payload(digest).await?, digest.to_string(), Some(link))
        }
        (None, Some(dead)) => {
            let value = match app.0.keys.letter(failure, dead).await {
                Ok(letter) => letter.value,
                Err(keys::Error::LetterGone { .. } | keys::Error::Log(log::Error::UnknownTopic { .. })) => None,
                Err(error) => return Err(error.into()),
            };
            (value, failure.event_id.to_string(), None)
        }
        (None, None) => (None, String::new(), None),
    };
    let Some(bytes) = bytes else { return Ok(without("expired")) };
    let tenant_id = Some(failure.tenant_id.as_str());
    let deed = Deed { operator: caller.name(), action: READ_PAYLOAD, tenant_id, subject: &subject };
    app.0.audit.write(deed, &serde_json::json!({"failure_id": failure.event_id}), None).await?;
    Ok(match std::str::from_utf8(&bytes) {
        Ok(text) => Payload { state: "kept", link, text: Some(text.to_owned()), base64: None },
        Err(_) => Payload { state: "kept", link, text: None, base64: Some(STANDARD.encode(&bytes)) },
    })
}
