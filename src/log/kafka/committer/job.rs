//! One call of a member's commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::log::kafka::delivery::Row;
use crate::log::kafka::roster::{Roster, fenced};
use crate::log::{Error, Lane, OffsetCommit};

/// A lane's effects, checked and placed.
#[derive(Debug)]
pub struct Staged {
    pub lane: Lane,
    pub offset: OffsetCommit,
    pub others: BTreeMap<String, OffsetCommit>,
    pub rows: Vec<Row>,
}

pub struct Job {
    pub member: Arc<Roster>,
    pub lanes: Vec<Staged>,
    /// Records and offsets.
    pub effects: usize,
    pub bytes: usize,
    pub since: Instant,
    reply: oneshot::Sender<Result<(), Error>>,
}

impl Job {
    pub fn new(member: Arc<Roster>, lanes: Vec<Staged>, reply: oneshot::Sender<Result<(), Error>>) -> Self {
        let effects = lanes.iter().map(|staged| staged.rows.len() + staged.others.len() + 1).sum();
        let rows = lanes.iter().flat_map(|staged| &staged.rows);
        let bytes = rows.map(|row| row.record.size()).sum();
        Self { member, lanes, effects, bytes, since: Instant::now(), reply }
    }

    pub fn answer(self, outcome: Result<(), Error>) {
        // Fails only if the caller does not wait any more.
        let _ = self.reply.send(outcome);
    }

    /// It is committed.
    pub fn done(mut self) {
        for Staged { lane, offset, .. } in std::mem::take(&mut self.lanes) {
            self.member.remember(&lane, offset);
        }
        self.answer(Ok(()));
    }

    /// The broker does not know the member any more: it owns nothing.
    pub fn fence(self) {
        let outcome = self.lanes.first().map_or(Ok(()), |staged| Err(fenced(&staged.lane)));
        self.answer(outcome);
    }

    pub fn owned(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().map(|staged| &staged.lane)
    }
}
