//! What platform ids stand for, and what was delivered last.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use crate::canonical::ids::OrderKey;
use crate::store::lanes::{DeliveredOf, Link, country_of, order_id_of};
use crate::store::sqlite::rows;

pub(super) fn links(snapshot: &Transaction<'_>, ids: &[String]) -> rusqlite::Result<Vec<Option<Link>>> {
    let mut link = snapshot.prepare_cached(
        "SELECT tenant_id, source_key, external_order_id, country_code FROM links WHERE platform_id = ?1",
    )?;
    let mut order = snapshot.prepare_cached(
        "SELECT tenant_id, source_key, external_order_id, canonical FROM orders WHERE id = ?1 AND phase IN (2, 3)",
    )?;
    let mut links = Vec::with_capacity(ids.len());
    for id in ids {
        let mut found = link
            .query_row([id], |row| {
                Ok(Link { platform_id: id.clone(), order: order_key(row)?, country_code: row.get(3)? })
            })
            .optional()?;
        if let (None, Some(own)) = (&found, order_id_of(id)) {
            found = order
                .query_row([own.as_bytes()], |row| {
                    let country_code = country_of(row.get_ref(3)?.as_blob()?);
                    Ok(Link { platform_id: id.clone(), order: order_key(row)?, country_code })
                })
                .optional()?;
        }
        links.push(found);
    }
    Ok(links)
}

pub(super) fn orders_called(
    snapshot: &Transaction<'_>,
    source_key: &str,
    external_order_id: &str,
    limit: usize,
) -> rusqlite::Result<Vec<Link>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = snapshot.prepare_cached(
        "SELECT id, tenant_id, canonical FROM orders
         WHERE external_order_id = ?2 AND source_key = ?1 AND phase IN (2, 3) ORDER BY tenant_id LIMIT ?3",
    )?;
    rows::all(&mut statement, params![source_key, external_order_id, limit], |row| {
        Ok(Link {
            platform_id: rows::uuid(row, 0)?.to_string(),
            order: OrderKey {
                tenant_id: row.get(1)?,
                source_key: source_key.to_owned(),
                external_order_id: external_order_id.to_owned(),
            },
            country_code: country_of(row.get_ref(2)?.as_blob()?),
        })
    })
}

pub(super) fn delivered(snapshot: &Transaction<'_>, of: &[DeliveredOf]) -> rusqlite::Result<Vec<Option<String>>> {
    let mut statement = snapshot.prepare_cached(
        "SELECT value FROM delivered
         WHERE tenant_id = ?1 AND target = ?2 AND external_order_id = ?3 AND kind = ?4",
    )?;
    let mut value = |of: &DeliveredOf| {
        let DeliveredOf { tenant_id, target, external_order_id, kind } = of;
        statement.query_row(params![tenant_id, target, external_order_id, kind], |row| row.get(0)).optional()
    };
    of.iter().map(&mut value).collect()
}

/// Columns: tenant_id, source_key, external_order_id.
fn order_key(row: &Row<'_>) -> rusqlite::Result<OrderKey> {
    Ok(OrderKey { tenant_id: row.get(0)?, source_key: row.get(1)?, external_order_id: row.get(2)? })
}
