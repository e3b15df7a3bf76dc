//! Deleting old records, a bounded run at a time, so that no write waits long behind it.

use rusqlite::{Connection, OptionalExtension as _};
use tracing::warn;

use super::{SWEEP_EVERY, Writer, transaction};
use crate::log::sqlite::catalog::Slot;
use crate::log::sqlite::queue::Trimmed;
use crate::log::sqlite::records;

impl Writer {
    /// Deletes one run of records below `before` and below every cursor on the partition.
    pub(super) fn trim(&mut self, slot: Slot, before: i64) -> rusqlite::Result<Trimmed> {
        let partition = self.tails.partition(slot);
        let connection = &self.files.connection;
        let bounds = partition.bounds();
        let lowest = lowest_cursor(connection, slot)?.unwrap_or(i64::MAX);
        let target = before.min(lowest).min(bounds.end);
        if target <= bounds.start {
            return Ok(Trimmed { start: bounds.start, done: true });
        }
        let (max_records, max_bytes) = (self.limits.trim_records, self.limits.trim_bytes);
        let run = (bounds.start, target);
        let start = transaction(connection, |connection| {
            let end = records::run_end(connection, slot, run, max_records, max_bytes)?;
            records::delete_run(connection, slot, end)?;
            Ok(end)
        })?;
        partition.publish_start(start);
        Ok(Trimmed { start, done: start >= target })
    }

    /// Deletes one run of records past their topic's retention, if there are any; looks for them now and then.
    pub(super) fn sweep(&mut self) {
        let now_ms = self.clock.now_ms();
        if self.expiring.is_empty() {
            let idle_ms = now_ms.saturating_sub(self.swept_ms);
            if idle_ms < SWEEP_EVERY.as_millis() as i64 {
                return;
            }
            self.swept_ms = now_ms;
            self.expiring = self.catalog.retained();
        }
        let Some((slot, retention_ms)) = self.expiring.pop() else { return };
        match self.expire(slot, now_ms.saturating_sub(retention_ms)) {
            Ok(trimmed) if trimmed.done => {}
            Ok(_) => self.expiring.push((slot, retention_ms)),
            Err(error) => warn!(reason = %error, "records past their retention were not deleted"),
        }
    }

    fn expire(&mut self, slot: Slot, before_ms: i64) -> rusqlite::Result<Trimmed> {
        let bounds = self.tails.partition(slot).bounds();
        let run = (bounds.start, bounds.end);
        let before = records::first_at(&self.files.connection, slot, run, before_ms)?;
        self.trim(slot, before)
    }
}

fn lowest_cursor(connection: &Connection, slot: Slot) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT min(offset) FROM cursors WHERE slot = ?1")?;
    Ok(statement.query_row([slot], |row| row.get(0)).optional()?.flatten())
}
