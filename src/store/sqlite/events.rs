//! Which events were published, of those no order's state guards.

use std::collections::HashSet;

use rusqlite::{Connection, Transaction, params};
use uuid::Uuid;

use crate::store::PublishedEvent;

/// Writes `events`; one that is there already stays as it is.
pub(super) fn write(transaction: &Connection, events: &[PublishedEvent]) -> rusqlite::Result<()> {
    for PublishedEvent { id, published_at } in events {
        transaction
            .prepare_cached("INSERT INTO published_events (id, published_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![id.as_bytes(), published_at])?;
    }
    Ok(())
}

/// Those of `ids` that are there.
pub(super) fn read(snapshot: &Transaction<'_>, ids: &[Uuid]) -> rusqlite::Result<HashSet<Uuid>> {
    let mut statement = snapshot.prepare_cached("SELECT 1 FROM published_events WHERE id = ?1")?;
    let mut found = HashSet::new();
    for id in ids {
        if statement.exists([id.as_bytes()])? {
            found.insert(*id);
        }
    }
    Ok(found)
}

/// Deletes at most `limit` events published before `since`; returns how many.
pub(super) fn prune(transaction: &Transaction<'_>, since: i64, limit: i64) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "DELETE FROM published_events WHERE id IN (
                 SELECT id FROM published_events WHERE published_at < ?1 ORDER BY published_at LIMIT ?2)",
        )?
        .execute(params![since, limit])
}
