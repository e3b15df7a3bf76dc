//! `GET /api/v1/ops/audit`: who did what, when and why.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::door::rfc3339;
use crate::ops::App;
use crate::ops::auth::{Caller, Right};
use crate::ops::failures::page_size;
use crate::ops::problem::Problem;
use crate::store::recovery::{AuditFilter, AuditRow};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    operator: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    /// Rows before this number.
    before: Option<i64>,
    limit: Option<usize>,
}

#[derive(Serialize)]
pub struct Page {
    rows: Vec<Row>,
    /// For `before`; null at the end.
    next: Option<i64>,
}

#[derive(Serialize)]
pub struct Row {
    number: i64,
    at: String,
    operator: String,
    action: String,
    tenant_id: Option<String>,
    subject: String,
    /// As `recovery::audit` writes it.
    detail: Option<Box<RawValue>>,
}

/// A page of the audit, newest first. An operator limited to tenants sees what was done to theirs.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    caller.may(Right::Read)?;
    let Query(Question { operator, action, subject, before, limit }) = question?;
    let limit = page_size(limit)?;
    let tenants = caller.tenants().map(<[String]>::to_vec);
    let filter = AuditFilter { tenants, operator, action, subject };
    let rows = app.0.store.audit_rows(filter, before, limit).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.number);
    Ok(Json(Page { rows: rows.into_iter().map(Row::of).collect(), next }))
}

impl Row {
    pub fn of(row: AuditRow) -> Self {
        let AuditRow { number, entry } = row;
        Self {
            number,
            at: rfc3339(entry.at),
            operator: entry.operator,
            action: entry.action,
            tenant_id: entry.tenant_id,
            subject: entry.subject,
            detail: RawValue::from_string(entry.detail).ok(),
        }
    }
}
