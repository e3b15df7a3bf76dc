//! Many writes in one transaction, their failures kept apart.

use rusqlite::{Connection, params};
use tracing::warn;

use super::{Writer, transaction};
use crate::log::sqlite::files;
use crate::log::sqlite::queue::{Claim, Cursor, Write};
use crate::log::{Error, Position, Stored};

/// After as many failures in a row the cause is not one write: the rest of the batch shares the error.
const FAILURES_IN_A_ROW: usize = 2;

impl Writer {
    /// Writes the batch and answers every write of it.
    pub(super) fn write(&mut self, batch: Vec<Write>) {
        let (batch, error) = match self.attempt(batch) {
            Ok(()) => return,
            Err((batch, error)) if batch.len() == 1 => return refuse(batch, &error),
            Err(failed) => failed,
        };
        // One write that cannot succeed must not fail its companions: each again, alone.
        let mut failures = 0;
        let mut rest = batch.into_iter();
        while failures < FAILURES_IN_A_ROW {
            let Some(write) = rest.next() else { return };
            match self.attempt(vec![write]) {
                Ok(()) => failures = 0,
                Err((alone, error)) => {
                    failures += 1;
                    refuse(alone, &error);
                }
            }
        }
        refuse(rest.collect(), &error);
    }

    /// One transaction with all writes that are not fenced off. The batch comes back if nothing of it was written.
    fn attempt(&mut self, mut batch: Vec<Write>) -> Result<(), (Vec<Write>, Error)> {
        let refusals: Vec<_> = batch.iter().map(|write| self.fenced(write.effects.claim.as_ref())).collect();
        let accepted = batch.iter_mut().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
        match self.transact(accepted.map(|(write, _)| write).collect()) {
            Ok(()) => {
                self.publish(batch, refusals);
                Ok(())
            }
            Err(error) => {
                self.tails.forget(&self.files.connection);
                warn!(writes = batch.len(), reason = %error, "event log was not written");
                let error = files::failed(&self.path, &error);
                Err((batch, error))
            }
        }
    }

    fn transact(&mut self, mut writes: Vec<&mut Write>) -> rusqlite::Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        let Self { files, tails, clock, subscriptions, .. } = self;
        tails.make_sure(&files.connection)?;
        let now_ms = clock.now_ms();
        let has_appends = writes.iter().any(|write| write.effects.claim.is_none());
        let has_commits = writes.iter().any(|write| matches!(write.effects.claim, Some(Claim::Lane { .. })));
        transaction(&files.connection, |connection| {
            for write in &mut writes {
                let effects = &mut write.effects;
                for row in &mut effects.rows {
                    tails.append(connection, row, now_ms)?;
                }
                if let Some(claim) = &effects.claim {
                    let held = effects.cursors.iter().filter(|cursor| subscriptions.hold(claim, cursor));
                    commit_cursors(connection, claim, held)?;
                }
            }
            before_commit(has_appends, has_commits);
            Ok(())
        })?;
        after_commit(has_appends, has_commits);
        Ok(())
    }

    /// Shows what is on disk, then answers.
    fn publish(&mut self, batch: Vec<Write>, refusals: Vec<Option<Error>>) {
        let mut answers = Vec::with_capacity(batch.len());
        for (write, refusal) in batch.into_iter().zip(refusals) {
            let outcome = match refusal {
                Some(error) => Err(error),
                None => {
                    let mut positions = Vec::with_capacity(write.effects.rows.len());
                    for row in write.effects.rows {
                        let (offset, timestamp_ms) = (row.offset, row.timestamp_ms);
                        let (topic, partition) = (row.partition.topic.clone(), row.partition.number);
                        positions.push(Position { partition, offset });
                        let stored = Stored { topic, partition, offset, timestamp_ms, record: row.record };
                        self.recent.push(&row.partition, stored);
                    }
                    Ok(positions)
                }
            };
            answers.push((write.reply, outcome, write.room));
        }
        self.tails.publish();
        for (reply, outcome, room) in answers {
            drop(room);
            // Whoever asked may have gone; what was done stays done.
            let _ = reply.send(outcome);
        }
    }

    fn fenced(&self, claim: Option<&Claim>) -> Option<Error> {
        let Claim::Lane { seat, lane } = claim? else { return None };
        let newest = self.owners.get(&seat.group_id).is_some_and(|owner| owner.generation == seat.generation);
        (!newest).then(|| Error::Fenced { topic: lane.topic.to_string(), partition: lane.partition })
    }
}

fn commit_cursors<'a>(
    connection: &Connection,
    claim: &Claim,
    cursors: impl Iterator<Item = &'a Cursor>,
) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO cursors (slot, group_id, offset, metadata) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (slot, group_id) DO UPDATE SET offset = excluded.offset, metadata = excluded.metadata",
    )?;
    for cursor in cursors {
        let slot = cursor.partition.slot;
        upsert.execute(params![slot, claim.seat().group_id, cursor.offset, cursor.metadata])?;
    }
    Ok(())
}

fn refuse(writes: Vec<Write>, error: &Error) {
    for Write { reply, room, .. } in writes {
        drop(room);
        let _ = reply.send(Err(error.clone()));
    }
}

/// Where a test kills the process: everything is written, nothing is committed.
fn before_commit(appends: bool, commits: bool) {
    if appends {
        fail::fail_point!("log.append.before_commit");
    }
    if commits {
        fail::fail_point!("log.commit.before");
    }
}

/// Where a test kills the process: everything is on disk, nobody was told.
fn after_commit(appends: bool, commits: bool) {
    if appends {
        fail::fail_point!("log.append.after_commit");
    }
    if commits {
        fail::fail_point!("log.commit.after");
    }
}
