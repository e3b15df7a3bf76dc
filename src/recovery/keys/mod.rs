//! Operators' verbs on what waits in the lanes: release a held key, skip or purge records, bring a dead one back.
//!
//! A verb is a [`Command`](crate::lane::command::Command) in the lane's control topic. The lane's owner executes it in
//! its turn, guarded at the moment of the attempt, and writes the outcome to the store; here it is waited for, for a
//! few seconds. Before the command is written, the audit knows who wants it and why.
//!
//! Twice is once: a command's id is derived from what it is to do and from where the record stands, or from the id the
//! caller gave to the request. The lane executes an id once, and asking again finds the first outcome. One that came
//! to nothing (a later record was attempted, an earlier one is held) may be asked for again.
//!
//! Absent on purpose: nothing here decides whether a verb may be executed. The lane alone knows.

mod dead;
mod send;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::clock::Clock;
use crate::lane::batch::{CommandOutcome, Failure, Ruling};
use crate::lane::command::Verb;
use crate::lane::{Key, Seq, Topic};
use crate::log::{self, EventLog};
use crate::recovery::audit::{self, Audit};
use crate::recovery::edit;
pub use crate::recovery::keys::dead::Asked;
use crate::recovery::keys::send::Order;
use crate::schema::Catalogue;
use crate::store::lanes::{KeyCursor, KeyFilter, KeyRow, OutstandingRow};
use crate::store::{self, LaneId, Store};

/// What the verbs work with.
pub struct Deps {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub clock: Arc<dyn Clock>,
    /// How long an append may take.
    pub append_timeout: Duration,
    /// How long the lane may take to execute a command before the answer is that it has not yet.
    pub outcome_timeout: Duration,
}

/// The keys that are not free, and the verbs on them. One a gateway.
pub struct Keys {
    deps: Deps,
    audit: Audit,
}

/// Who asks, and why.
#[derive(Debug, Clone)]
pub struct Request {
    pub operator: String,
    pub reason: String,
    /// Makes two requests one, whatever happened to the record in between; `None`: what makes them one is that it
    /// still stands where it stood.
    pub request_id: Option<String>,
    /// The command's id, if the caller derives it: then what makes two requests one is that alone.
    pub command_id: Option<Uuid>,
}

/// What a verb came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commanded {
    pub command_id: Uuid,
    /// `None`: the lane has not executed it yet. It will, also after a restart.
    pub outcome: Option<CommandOutcome>,
    /// Where the record is after a command that was done.
    pub standing: Option<Standing>,
}

/// Where a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is not outstanding any more.
    Ended,
    /// It came back, was attempted, and died again without holding its key.
    DiedAgain(Option<Failure>),
    /// It lies in this topic of its lane, and this is what it failed of last.
    Waits(Topic, Option<Failure>),
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the failure is no dead letter of a lane")]
    NoDeadLetter,
    #[error("the dead letter is not in `{topic}` any more; without it the record cannot be brought back")]
    LetterGone { topic: String },
    #[error("record {head} of the key is held before this one: release or skip that one first")]
    NotHead { head: Seq },
    #[error("the record is not dead any more: it waits in `{topic}` of its lane and is attempted when it is due")]
    UnderWay { topic: Topic },
    #[error("{0}")]
    Edit(#[from] edit::Error),
    #[error("lane `{topic}` has no topic for commands: is its binding still configured?")]
    NoControl { topic: String },
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error("event log does not answer within {} ms; the command may have been written, ask again", limit.as_millis())]
    Late { limit: Duration },
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether the same may be asked for again, unchanged.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Log(_) | Self::Late { .. } | Self::Store(_))
    }
}

impl Keys {
    pub fn new(deps: Deps) -> Self {
        let audit = Audit { store: Arc::clone(&deps.store), clock: Arc::clone(&deps.clock) };
        Self { deps, audit }
    }

    /// Keys that are not free, those that wait longest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn list(
        &self,
        filter: KeyFilter,
        after: Option<KeyCursor>,
        limit: usize,
    ) -> Result<Vec<KeyRow>, store::Error> {
        self.deps.store.keys(filter, after, limit).await
    }

    /// Outstanding records of a key, the first `limit` from `from` on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn records(&self, row: &KeyRow, from: Seq, limit: usize) -> Result<Vec<OutstandingRow>, store::Error> {
        self.deps.store.key_records(&row.lane, row.head.key.clone(), from, limit).await
    }

    /// One attempt at the held head; if it succeeds, what waits behind it follows.
    ///
    /// # Errors
    /// [`Error`]. After [`Error::Log`] and [`Error::Late`] the same may be asked for again.
    pub async fn release(&self, row: &KeyRow, request: Request) -> Result<Commanded, Error> {
        self.send(&row.lane, &row.head, Verb::Retry, audit::RELEASE, request).await
    }

    /// Ends one outstanding record without an attempt.
    ///
    /// # Errors
    /// [`Error`]. After [`Error::Log`] and [`Error::Late`] the same may be asked for again.
    pub async fn skip(&self, lane: &LaneId, record: &OutstandingRow, request: Request) -> Result<Commanded, Error> {
        self.send(lane, record, Verb::Skip { seq: record.seq }, audit::SKIP, request).await
    }

    /// Skips every outstanding record of the key up to `through`.
    ///
    /// # Errors
    /// [`Error`]. After [`Error::Log`] and [`Error::Late`] the same may be asked for again.
    pub async fn purge(&self, row: &KeyRow, through: Seq, request: Request) -> Result<Commanded, Error> {
        self.send(&row.lane, &row.head, Verb::Purge { through }, audit::PURGE, request).await
    }

    async fn send(
        &self,
        lane: &LaneId,
        record: &OutstandingRow,
        verb: Verb,
        action: &'static str,
        request: Request,
    ) -> Result<Commanded, Error> {
        // The store has no row without a key.
        let key = Key::new(&record.key).ok_or(Error::NoDeadLetter)?;
        let subject = String::from_utf8_lossy(&record.key).into_owned();
        let tenant_id = tenant_of(&record.key).map(str::to_owned);
        let order = Order {
            lane: lane.clone(),
            key,
            verb,
            seq: record.seq,
            hop: record.hop,
            carried: None,
            edited: None,
            action,
            subject,
            tenant_id,
            request,
        };
        let commanded = self.command(&order).await?;
        let ended = commanded.outcome == Some(CommandOutcome::Done) && commanded.standing == Some(Standing::Ended);
        if ended {
            self.settle(lane, record, verb).await?;
        }
        Ok(commanded)
    }

    /// `control`: the offset of the command that brought the record back, if it is known.
    async fn standing(
        &self,
        lane: &LaneId,
        key: &Bytes,
        seq: Seq,
        control: Option<i64>,
    ) -> Result<Standing, store::Error> {
        let rows = self.deps.store.key_records(lane, key.clone(), seq, 1).await?;
        if let Some(row) = rows.into_iter().find(|row| row.seq == seq) {
            return Ok(Standing::Waits(row.topic, row.failure));
        }
        if let Some(offset) = control {
            // What was decided about the copy in the command: both a delivery and a death are ends.
            let decided = self.deps.store.decided_in(lane, Topic::Control, offset, offset.saturating_add(1)).await?;
            let dead = decided.into_iter().find(|decided| matches!(decided.decision.ruling, Ruling::Dead(_)));
            if let Some(dead) = dead {
                return Ok(Standing::DiedAgain(dead.decision.failure));
            }
        }
        Ok(Standing::Ended)
    }
}

/// The tenant a key is of: what stands before its first `|`.
pub fn tenant_of(key: &[u8]) -> Option<&str> {
    let (tenant, _) = std::str::from_utf8(key).ok()?.split_once('|')?;
    Some(tenant)
}

/// The outcome of a command, as the API and the audit write it.
pub const fn outcome_name(outcome: CommandOutcome) -> &'static str {
    match outcome {
        CommandOutcome::Done | CommandOutcome::Repeated => "done",
        CommandOutcome::Nothing => "nothing_to_do",
        CommandOutcome::Overtaken => "overtaken",
        CommandOutcome::NotHead => "not_head",
    }
}

#[cfg(test)]
mod tests;
