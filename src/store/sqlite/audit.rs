//! The audit: rows are added and read.

use rusqlite::types::ToSql;
use rusqlite::{Connection, Transaction, params, params_from_iter};

use crate::store::recovery::{AuditEntry, AuditFilter, AuditRow};
use crate::store::sqlite::failures::Conditions;

pub(super) fn write(transaction: &Connection, entry: &AuditEntry) -> rusqlite::Result<()> {
    let AuditEntry { at, operator, action, tenant_id, subject, detail } = entry;
    transaction
        .prepare_cached(
            "INSERT INTO audit (at, operator, action, tenant_id, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![at, operator, action, tenant_id, subject, detail])?;
    Ok(())
}

pub(super) fn page(
    snapshot: &Transaction<'_>,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: usize,
) -> rusqlite::Result<Vec<AuditRow>> {
    let AuditFilter { tenants, operator, action, subject } = filter;
    let mut conditions = Conditions::default();
    conditions.tenants(tenants.as_deref());
    conditions.add("operator = ?", operator.clone());
    conditions.add("action = ?", action.clone());
    conditions.add("subject = ?", subject.clone());
    conditions.add("number < ?", before);
    let Conditions { text, mut values } = conditions;
    values.push(Box::new(i64::try_from(limit).unwrap_or(i64::MAX)) as Box<dyn ToSql>);
    let sql = format!(
        "SELECT number, at, operator, action, tenant_id, subject, detail FROM audit{text} ORDER BY number DESC LIMIT ?"
    );
    let mut statement = snapshot.prepare(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| {
        let entry = AuditEntry {
            at: row.get(1)?,
            operator: row.get(2)?,
            action: row.get(3)?,
            tenant_id: row.get(4)?,
            subject: row.get(5)?,
            detail: row.get(6)?,
        };
        Ok(AuditRow { number: row.get(0)?, entry })
    })?;
    rows.collect()
}
