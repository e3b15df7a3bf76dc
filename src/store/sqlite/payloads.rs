//! Payloads by digest, without a random page write for each: the index is cut into generations.
//!
//! A payload's generation is the run of [`GENERATION`] payloads it was written in, so the writes of one batch fall
//! into a few pages, and so do the deletions. A reading, which only people cause, asks generation after generation,
//! newest first: ten milliseconds for a digest that is not among a million payloads. A payload that comes again is
//! looked for in the newest two only; one that comes later than that is stored again, and its older copy goes when it
//! is past its time.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use crate::canonical::ids::Sha256Digest;
use crate::store::Payload;
use crate::store::sqlite::rows;

/// Payloads of one generation: their index rows fill about 16 pages.
const GENERATION: i64 = 4096;

/// Most bytes of payloads one call deletes, unless a single one is larger.
const PRUNED_BYTES: i64 = 16 << 20;

/// A row of the index.
struct Place {
    generation: i64,
    payload: i64,
    received_at: i64,
}

/// Writes `payloads`; one that is there already moves its time forward.
pub(super) fn write(transaction: &Connection, payloads: &[Payload]) -> rusqlite::Result<()> {
    if payloads.is_empty() {
        return Ok(());
    }
    let mut newest = newest_generation(transaction)?;
    for Payload { digest, bytes, received_at } in payloads {
        match find(transaction, [newest, newest - 1], *digest)? {
            Some(place) if place.received_at >= *received_at => {}
            Some(Place { generation, payload, .. }) => {
                transaction
                    .prepare_cached(
                        "UPDATE payload_index SET received_at = ?4
                         WHERE generation = ?1 AND prefix = ?2 AND payload = ?3",
                    )?
                    .execute(params![generation, prefix(*digest), payload, received_at])?;
            }
            None => {
                let payload = transaction
                    .prepare_cached("INSERT INTO payloads (digest, bytes) VALUES (?1, ?2)")?
                    .insert(params![digest.0, &**bytes])?;
                newest = payload / GENERATION;
                transaction
                    .prepare_cached(
                        "INSERT INTO payload_index (generation, prefix, payload, received_at)
                         VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![newest, prefix(*digest), payload, received_at])?;
            }
        }
    }
    Ok(())
}

/// The payload with `digest`, if it is still kept.
pub(super) fn read(snapshot: &Transaction<'_>, digest: Sha256Digest) -> rusqlite::Result<Option<Bytes>> {
    let oldest: Option<i64> = snapshot
        .prepare_cached("SELECT payload FROM payloads ORDER BY payload LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(oldest) = oldest else { return Ok(None) };
    for generation in (oldest / GENERATION..=newest_generation(snapshot)?).rev().step_by(2) {
        if let Some(place) = find(snapshot, [generation, generation - 1], digest)? {
            return snapshot
                .prepare_cached("SELECT bytes FROM payloads WHERE payload = ?1")?
                .query_row([place.payload], |row| row.get::<_, Vec<u8>>(0).map(Bytes::from))
                .optional();
        }
    }
    Ok(None)
}

/// Deletes at most `limit` payloads received last before `since`; returns how many.
pub(super) fn prune(transaction: &Transaction<'_>, since: i64, limit: i64) -> rusqlite::Result<usize> {
    let mut statement = transaction.prepare_cached(
        "SELECT generation, prefix, payload, length(bytes) FROM payload_index JOIN payloads USING (payload)
         WHERE received_at < ?1 ORDER BY received_at LIMIT ?2",
    )?;
    let old = rows::all(&mut statement, params![since, limit], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
    })?;
    let mut bytes = 0;
    let mut deleted = 0;
    for (generation, prefix, payload, len) in old {
        bytes += len;
        if deleted > 0 && bytes > PRUNED_BYTES {
            break;
        }
        transaction
            .prepare_cached("DELETE FROM payload_index WHERE generation = ?1 AND prefix = ?2 AND payload = ?3")?
            .execute(params![generation, prefix, payload])?;
        transaction.prepare_cached("DELETE FROM payloads WHERE payload = ?1")?.execute([payload])?;
        deleted += 1;
    }
    Ok(deleted)
}

/// The payload with `digest`, if it is in one of two generations.
fn find(connection: &Connection, generations: [i64; 2], digest: Sha256Digest) -> rusqlite::Result<Option<Place>> {
    let [one, other] = generations;
    connection
        .prepare_cached(
            "SELECT generation, payload, received_at FROM payload_index JOIN payloads USING (payload)
             WHERE generation IN (?1, ?2) AND prefix = ?3 AND digest = ?4",
        )?
        .query_row(params![one, other, prefix(digest), digest.0], |row| {
            Ok(Place { generation: row.get(0)?, payload: row.get(1)?, received_at: row.get(2)? })
        })
        .optional()
}

/// The generation written to now; 0 for an empty store.
fn newest_generation(connection: &Connection) -> rusqlite::Result<i64> {
    let newest: Option<i64> = connection
        .prepare_cached("SELECT payload FROM payloads ORDER BY payload DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(newest.unwrap_or(0) / GENERATION)
}

/// The part of a digest the index is ordered by.
fn prefix(digest: Sha256Digest) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = digest.0;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}
