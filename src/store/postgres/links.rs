//! What platform ids stand for, and what was delivered last.

use std::collections::HashMap;

use tokio_postgres::Row;
use uuid::Uuid;

use crate::canonical::ids::OrderKey;
use crate::store::lanes::{DeliveredOf, Link, country_of, order_id_of};
use crate::store::postgres::failure::Failure;
use crate::store::postgres::lane_write::value_id;
use crate::store::postgres::pool::Pool;
use crate::store::postgres::read::rows as query;
use crate::store::postgres::rows;

/// The orders are asked after the links: an id that is in neither yet is not known.
pub(super) async fn links(pool: &Pool, ids: &[String]) -> Result<Vec<Option<Link>>, Failure> {
    let link_ids: Vec<Uuid> = ids.iter().map(|id| rows::hashed(&[id.as_bytes()])).collect();
    let mut linked = HashMap::with_capacity(ids.len());
    for row in &query(pool, include_str!("sql/links.sql"), &[&link_ids]).await? {
        linked.insert(rows::get::<Uuid>(row, 0)?, (order_key(row)?, rows::text(row, 4)?));
    }
    let is_open = |(id, link_id): &(&String, &Uuid)| (!linked.contains_key(link_id)).then(|| order_id_of(id)).flatten();
    let open: Vec<Uuid> = ids.iter().zip(&link_ids).filter_map(|pair| is_open(&pair)).collect();
    let mut orders = HashMap::with_capacity(open.len());
    if !open.is_empty() {
        for row in &query(pool, include_str!("sql/linked_orders.sql"), &[&open]).await? {
            orders.insert(rows::get::<Uuid>(row, 0)?, (order_key(row)?, country_of(rows::get(row, 4)?)));
        }
    }
    let link = |(id, link_id): (&String, &Uuid)| {
        let found = linked.get(link_id).or_else(|| orders.get(&order_id_of(id)?));
        found.map(|(order, country_code)| Link {
            platform_id: id.clone(),
            order: order.clone(),
            country_code: country_code.clone(),
        })
    };
    Ok(ids.iter().zip(&link_ids).map(link).collect())
}

pub(super) async fn orders_called(
    pool: &Pool,
    source_key: &str,
    external_order_id: &str,
    limit: usize,
) -> Result<Vec<Link>, Failure> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (source, external) = (source_key.as_bytes(), external_order_id.as_bytes());
    let found = query(pool, include_str!("sql/orders_called.sql"), &[&source, &external, &limit]).await?;
    let link = |row: &Row| {
        let platform_id = rows::get::<Uuid>(row, 0)?.to_string();
        Ok(Link { platform_id, order: order_key(row)?, country_code: country_of(rows::get(row, 4)?) })
    };
    found.iter().map(link).collect()
}

pub(super) async fn delivered(pool: &Pool, of: &[DeliveredOf]) -> Result<Vec<Option<String>>, Failure> {
    let ids: Vec<Uuid> = of.iter().map(value_id).collect();
    let mut values: HashMap<Uuid, String> = HashMap::with_capacity(of.len());
    for row in &query(pool, include_str!("sql/delivered.sql"), &[&ids]).await? {
        values.insert(rows::get(row, 0)?, rows::text(row, 1)?);
    }
    Ok(ids.iter().map(|id| values.get(id).cloned()).collect())
}

/// Columns from the second on: tenant_id, source_key, external_order_id.
fn order_key(row: &Row) -> Result<OrderKey, Failure> {
    Ok(OrderKey {
        tenant_id: rows::text(row, 1)?,
        source_key: rows::text(row, 2)?,
        external_order_id: rows::text(row, 3)?,
    })
}
