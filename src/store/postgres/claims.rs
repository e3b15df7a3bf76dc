//! Who may attempt a record. What the store knows of each claim is read under the lane's lock; then they are answered
//! one after the other, each in sight of those before it.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_postgres::Row;
use uuid::Uuid;

use crate::lane::batch::{Answer, Claim, ClaimAnswer};
use crate::lane::place::Seq;
use crate::store::lanes::{BatchWrite, encoding};
use crate::store::postgres::failure::Failure;
use crate::store::postgres::lane_columns::Ends;
use crate::store::postgres::rows;

/// Claims as parameters of `sql/claim_states.sql`.
#[derive(Default)]
pub(super) struct Asked {
    pub seqs: Vec<Seq>,
    pub attempts: Vec<i32>,
    pub key_ids: Vec<Uuid>,
}

impl Asked {
    pub(super) fn of(claims: &[Claim]) -> Self {
        let mut columns = Self::default();
        for Claim { seq, key, attempt, .. } in claims {
            columns.seqs.push(*seq);
            columns.attempts.push(i32::from(*attempt));
            columns.key_ids.push(rows::hashed(&[key.as_bytes()]));
        }
        columns
    }
}

/// What the answers change.
#[derive(Default)]
pub(super) struct Granted {
    pub seqs: Vec<Seq>,
    pub attempts: Vec<i32>,
    pub keys: Vec<Uuid>,
    pub last: Vec<Seq>,
}

/// What the store knows of one claim.
struct State {
    /// Epoch, milliseconds until it expires, answer.
    claimed: Option<(u64, i64, Option<Answer>)>,
    /// Moves behind the copy the record ended with.
    hop: Option<u32>,
    /// The key's highest sequence that was ever claimed.
    last: Option<Seq>,
}

impl State {
    fn of(row: &Row) -> Result<Self, Failure> {
        let claimed = if rows::get(row, 0)? {
            let answer = rows::get::<Option<&[u8]>>(row, 1)?;
            let answer = answer.map(|bytes| encoding::read_answer(bytes.to_vec().into())).transpose();
            Some((rows::unsigned(row, 2)?, rows::get(row, 3)?, rows::sound(answer)?))
        } else {
            None
        };
        let hop = match rows::get::<Option<i64>>(row, 4)? {
            None => None,
            Some(_) => Some(rows::narrow::<i64, u32>(row, 4)?),
        };
        Ok(Self { claimed, hop, last: rows::get(row, 5)? })
    }
}

/// Answers the claims of `write`, of which `found` has one row each. `ended`: what the batch itself ends. `is_repeat`:
/// it was written before, and what it was granted then it is granted again, whatever was granted after it.
pub(super) fn answer(
    write: &BatchWrite,
    asked: &Asked,
    found: &[Row],
    ended: &Ends,
    is_repeat: bool,
) -> Result<(Vec<ClaimAnswer>, Granted), Failure> {
    let ended: HashMap<Seq, i64> = ended.seqs.iter().copied().zip(ended.hops.iter().copied()).collect();
    let mut granted: HashSet<(Seq, u16)> = HashSet::new();
    let mut last: BTreeMap<Uuid, Seq> = BTreeMap::new();
    let mut answers = Vec::with_capacity(found.len());
    for ((claim, key), row) in write.batch.claims.iter().zip(&asked.key_ids).zip(found) {
        let state = State::of(row)?;
        let hop = ended.get(&claim.seq).copied().or(state.hop.map(i64::from));
        let latest = last.get(key).copied().max(state.last);
        let answer = match state.claimed {
            Some((epoch, _, None)) if is_repeat && epoch == write.epoch => ClaimAnswer::Granted,
            _ if is_overtaken(claim, hop, latest) => ClaimAnswer::Overtaken,
            _ if granted.contains(&(claim.seq, claim.attempt)) => ClaimAnswer::Granted,
            Some((_, _, Some(answer))) => ClaimAnswer::Settled(answer),
            Some((epoch, left_ms, None)) if epoch != write.epoch && left_ms > 0 => {
                ClaimAnswer::Busy { until_ms: write.now_ms.saturating_add(left_ms) }
            }
            _ => ClaimAnswer::Granted,
        };
        if answer == ClaimAnswer::Granted {
            granted.insert((claim.seq, claim.attempt));
            let last = last.entry(*key).or_insert(claim.seq);
            *last = (*last).max(claim.seq);
        }
        answers.push(answer);
    }
    let mut columns = Granted::default();
    (columns.seqs, columns.attempts) = granted.into_iter().map(|(seq, attempt)| (seq, i32::from(attempt))).unzip();
    (columns.keys, columns.last) = last.into_iter().unzip();
    Ok((answers, columns))
}

fn is_overtaken(claim: &Claim, ended_with: Option<i64>, last: Option<Seq>) -> bool {
    claim.guard.is_some_and(|guard| {
        let has_come_back = ended_with.is_some_and(|hop| hop >= i64::from(guard.hop));
        has_come_back || !guard.is_forced && last.is_some_and(|last| last > claim.seq)
    })
}
