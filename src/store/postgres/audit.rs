//! The audit: rows are added and read.

use crate::store::postgres::failure::Failure;
use crate::store::postgres::failures::Conditions;
use crate::store::postgres::pool::Pool;
use crate::store::postgres::rows;
use crate::store::recovery::{AuditEntry, AuditFilter, AuditRow, FailureChange, FailureState};

pub(super) async fn write(pool: &Pool, entry: &AuditEntry, change: Option<&FailureChange>) -> Result<(), Failure> {
    let AuditEntry { at, operator, action, tenant_id, subject, detail } = entry;
    let event_id = change.map(|change| change.event_id);
    let tenant = change.map(|change| &change.tenant_id);
    let state = change.map_or(FailureState::Open, |change| change.state).code();
    let connection = pool.get().await?;
    let statement = connection.prepare_cached(include_str!("sql/insert_audit.sql")).await?;
    connection
        .execute(&statement, &[at, operator, action, tenant_id, subject, detail, &event_id, &tenant, &state])
        .await?;
    connection.release();
    Ok(())
}

pub(super) async fn page(
    pool: &Pool,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<AuditRow>, Failure> {
    let AuditFilter { tenants, operator, action, subject } = filter;
    let mut conditions = Conditions::default();
    conditions.add("tenant_id = ANY ({})", tenants.clone());
    conditions.add("operator = {}", operator.clone());
    conditions.add("action = {}", action.clone());
    conditions.add("subject = {}", subject.clone());
    conditions.add("number < {}", before);
    let limit = conditions.value(i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT number, at, operator, action, tenant_id, subject, detail FROM audit{} ORDER BY number DESC LIMIT {limit}",
        conditions.text
    );
    let found = conditions.rows(pool, &sql).await?;
    found
        .iter()
        .map(|row| {
            let entry = AuditEntry {
                at: rows::get(row, 1)?,
                operator: rows::get(row, 2)?,
                action: rows::get(row, 3)?,
                tenant_id: rows::get(row, 4)?,
                subject: rows::get(row, 5)?,
                detail: rows::get(row, 6)?,
            };
            Ok(AuditRow { number: rows::get(row, 0)?, entry })
        })
        .collect()
}
