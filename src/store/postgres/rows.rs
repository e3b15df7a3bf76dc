//! Columns to values and back, wherever more than one statement needs it.

use bytes::Bytes;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::canonical::ids::{OrderKey, Sha256Digest};
use crate::store::postgres::failure::Failure;
use crate::store::{Accepted, OrderState, Origin, Outcome, ParkedUpdate, Phase, Tombstone, effects};

/// `orders.phase` of a tombstone.
pub(super) const TOMBSTONE: i16 = 4;

/// `released` of the decision about a record itself. No offset is negative.
pub(super) const RECORD_ITSELF: i64 = -1;

/// `orders.phase`.
pub(super) fn phase_code(phase: &Phase) -> i16 {
    match phase {
        Phase::Unknown => 1,
        Phase::Received(_) => 2,
        Phase::Cancelled(_) => 3,
        Phase::Tombstone(_) => TOMBSTONE,
    }
}

/// `outcome` of a decision.
pub(super) fn outcome_code(outcome: Outcome) -> i16 {
    match outcome {
        Outcome::Accepted => 1,
        Outcome::Duplicate => 2,
        Outcome::Stale => 3,
        Outcome::Parked => 4,
        Outcome::Suppressed => 5,
        Outcome::Ignored => 6,
        Outcome::Rejected => 7,
        Outcome::Expired => 8,
    }
}

pub(super) fn outcome(row: &Row, column: usize) -> Result<Outcome, Failure> {
    Ok(match get::<i16>(row, column)? {
        1 => Outcome::Accepted,
        2 => Outcome::Duplicate,
        3 => Outcome::Stale,
        4 => Outcome::Parked,
        5 => Outcome::Suppressed,
        6 => Outcome::Ignored,
        7 => Outcome::Rejected,
        8 => Outcome::Expired,
        other => return Err(Failure::Value(format!("a decision has the outcome {other}, which is unknown"))),
    })
}

/// A number of ours as PostgreSQL's signed one. Only a broken caller counts beyond it.
pub(super) fn signed(number: u64) -> Result<i64, Failure> {
    i64::try_from(number).map_err(|_| Failure::Value(format!("the number {number} is too large to be stored")))
}

/// A count as it was stored by [`signed`].
pub(super) fn unsigned(row: &Row, column: usize) -> Result<u64, Failure> {
    let number: i64 = get(row, column)?;
    u64::try_from(number).map_err(|_| Failure::Value(format!("a count is {number}, expected none below 0")))
}

pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Failure> {
    Ok(row.try_get(column)?)
}

pub(super) fn bytes(row: &Row, column: usize) -> Result<Bytes, Failure> {
    get::<&[u8]>(row, column).map(Bytes::copy_from_slice)
}

pub(super) fn text(row: &Row, column: usize) -> Result<String, Failure> {
    decoded(get(row, column)?)
}

pub(super) fn optional_text(row: &Row, column: usize) -> Result<Option<String>, Failure> {
    get::<Option<&[u8]>>(row, column)?.map(decoded).transpose()
}

/// Columns: phase, tenant_id, source_key, external_order_id, changed_at, revision, digest, transformation_version,
/// canonical, tombstone_offset, cancelled_at, reason_code, reason, expires_at. Without what is parked.
pub(super) fn order_state(row: &Row, first: usize) -> Result<OrderState, Failure> {
    let accepted = || -> Result<Accepted, Failure> {
        Ok(Accepted {
            revision: get(row, first + 5)?,
            digest: digest(get(row, first + 6)?)?,
            transformation_version: text(row, first + 7)?,
            canonical: bytes(row, first + 8)?,
        })
    };
    let phase = match get::<i16>(row, first)? {
        1 => Phase::Unknown,
        2 => Phase::Received(accepted()?),
        3 => Phase::Cancelled(accepted()?),
        TOMBSTONE => Phase::Tombstone(Tombstone {
            offset: get(row, first + 9)?,
            cancelled_at: get(row, first + 10)?,
            reason_code: text(row, first + 11)?,
            reason: optional_text(row, first + 12)?,
            expires_at: get(row, first + 13)?,
        }),
        other => return Err(Failure::Value(format!("an order has the phase {other}, which is unknown"))),
    };
    let key = OrderKey {
        tenant_id: text(row, first + 1)?,
        source_key: text(row, first + 2)?,
        external_order_id: text(row, first + 3)?,
    };
    Ok(OrderState { key, phase, parked: Vec::new(), changed_at: get(row, first + 4)? })
}

/// Columns: record_offset, revision, expires_at, traceparent, value. `None` if the first is.
pub(super) fn parked_update(row: &Row, first: usize) -> Result<Option<ParkedUpdate>, Failure> {
    let Some(offset) = get(row, first)? else { return Ok(None) };
    Ok(Some(ParkedUpdate {
        offset,
        revision: get(row, first + 1)?,
        expires_at: get(row, first + 2)?,
        traceparent: optional_text(row, first + 3)?,
        value: bytes(row, first + 4)?,
    }))
}

/// The origin of a record, or of what it released.
pub(super) fn record_origin(offset: i64, released: i64) -> Origin {
    match released {
        RECORD_ITSELF => Origin::Record { offset },
        parked => Origin::Release { offset, parked },
    }
}

pub(super) fn effects(row: &Row, column: usize) -> Result<Vec<crate::log::Append>, Failure> {
    effects::decode(bytes(row, column)?).map_err(|cause| Failure::Value(cause.to_string()))
}

fn digest(bytes: &[u8]) -> Result<Sha256Digest, Failure> {
    <[u8; 32]>::try_from(bytes)
        .map(Sha256Digest)
        .map_err(|_| Failure::Value(format!("a digest has {} bytes, expected 32", bytes.len())))
}

pub(super) fn decoded(bytes: &[u8]) -> Result<String, Failure> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Failure::Value("a text is not UTF-8".to_owned()))
}

/// What stands for `parts` in an index: half of a SHA-256, so that neither length nor bytes of them matter.
pub(super) fn hashed(parts: &[&[u8]]) -> Uuid {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bytes.extend((part.len() as u64).to_be_bytes()); // or two parts could share a border
        bytes.extend_from_slice(part);
    }
    let Sha256Digest([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..]) = Sha256Digest::of(&bytes);
    Uuid::from_bytes([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
}

/// What `read` made of a column of bytes, or that they are damaged.
pub(super) fn sound<T, E: std::fmt::Display>(read: Result<T, E>) -> Result<T, Failure> {
    read.map_err(|cause| Failure::Value(cause.to_string()))
}

/// A number that has fewer values than its column.
pub(super) fn narrow<N, T>(row: &Row, column: usize) -> Result<T, Failure>
where
    N: for<'a> FromSql<'a> + Copy + std::fmt::Display,
    T: TryFrom<N>,
{
    let number: N = get(row, column)?;
    T::try_from(number).map_err(|_| Failure::Value(format!("a number is {number}, which is out of its range")))
}
