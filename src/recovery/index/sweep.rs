//! Closes the failures of records that came to their end after them.
//!
//! A held record whose second round succeeds tells nobody but its lane. So open dead letters are compared with what the
//! store knows of their records, a page at a time, round and round: what is closed late is seen late, and nothing else.

use bytes::Bytes;

use crate::recovery::dead_letter::DeadRecord;
use crate::recovery::failure::Detail;
use crate::recovery::index::{Error, Index};
use crate::store::recovery::{Failure, FailureChange, FailureFilter, FailureKind, FailureRow, FailureState};

/// Failures looked at in one sweep: two questions to the store each.
const SWEPT: usize = 100;

impl Index {
    /// Says of a new dead letter whether it holds its key.
    pub(super) async fn look_up(&self, failure: Failure) -> Result<Failure, Error> {
        let mut detail = Detail::of(&failure);
        let Some(record) = &mut detail.record else { return Ok(failure) };
        record.is_held = self.is_outstanding(record).await?;
        // Texts and numbers are always JSON.
        Ok(Failure { detail: serde_json::to_string(&detail).unwrap_or_default(), ..failure })
    }

    /// Compares the next page of open dead letters.
    pub(in crate::recovery) async fn sweep(&mut self) -> Result<(), Error> {
        let filter = FailureFilter {
            kinds: Some(vec![FailureKind::Call, FailureKind::Translation]),
            state: Some(FailureState::Open),
            ..FailureFilter::default()
        };
        let page = self.deps.store.failures(filter, self.swept, SWEPT).await?;
        self.swept = page.last().filter(|_| page.len() == SWEPT).map(FailureRow::cursor);
        let mut changes = Vec::new();
        for FailureRow { failure, .. } in page {
            if let Some(state) = self.closed(&failure).await? {
                let Failure { tenant_id, event_id, .. } = failure;
                changes.push(FailureChange { tenant_id, event_id, state });
            }
        }
        if !changes.is_empty() {
            self.deps.store.close_failures(changes).await?;
        }
        Ok(())
    }

    /// What a failure is that is not open any more.
    async fn closed(&self, failure: &Failure) -> Result<Option<FailureState>, Error> {
        let Some(record) = Detail::of(failure).record else { return Ok(None) };
        if self.is_outstanding(&record).await? {
            // One that did not hold its key is there because it came back. If it dies again, that is another failure.
            return Ok((!record.is_held).then_some(FailureState::Replayed));
        }
        let ended = self.deps.store.ended(&record.lane(), vec![record.seq]).await?;
        let has_ended = match ended.get(&record.seq) {
            // One that died without holding its key ended a move before its letter.
            Some(hop) => *hop >= record.hop,
            // The store keeps ends for as long as its lane may ask. A held record that is not there any more has ended.
            None => record.is_held,
        };
        Ok(has_ended.then_some(FailureState::Resolved))
    }

    async fn is_outstanding(&self, record: &DeadRecord) -> Result<bool, Error> {
        let Some(key) = record.key() else { return Ok(false) };
        let key = Bytes::copy_from_slice(key.as_bytes());
        let rows = self.deps.store.key_records(&record.lane(), key, record.seq, 1).await?;
        Ok(rows.first().is_some_and(|row| row.seq == record.seq))
    }
}
