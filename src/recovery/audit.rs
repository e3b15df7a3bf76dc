//! The audit: who did what to what, when and why, and what came of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::canonical::ids::Sha256Digest;
use crate::clock::Clock;
use crate::recovery::replay::Outcome;
use crate::store::recovery::{AuditEntry, FailureChange};
use crate::store::{Error, Store};

/// `action` of the rows of a replay.
pub const REPLAY: &str = "failure.replay";
/// `action` of the row of a failure that was dismissed.
pub const DISMISS: &str = "failure.dismiss";
/// `action` of the rows of a key that was released: its held head is attempted again.
pub const RELEASE: &str = "key.release";
/// `action` of the rows of a record that was skipped.
pub const SKIP: &str = "key.skip";
/// `action` of the rows of a key that was purged.
pub const PURGE: &str = "key.purge";
/// `action` of the row of a replay job that was planned.
pub const PLAN_JOB: &str = "replay.plan";
/// `action` of the row of a replay job that was begun.
pub const RUN_JOB: &str = "replay.run";
/// `action` of the row of a replay job that was cancelled.
pub const CANCEL_JOB: &str = "replay.cancel";
/// `action` of the row of a replay job that came to its end, by whom it was begun.
pub const END_JOB: &str = "replay.end";
/// `action` of mappings that were taken over.
pub const RELOAD: &str = "mappings.reload";
/// `action` of a record appended by hand.
pub const APPEND: &str = "events.append";
/// `action` of a payload that was read: payloads name people.
pub const READ_PAYLOAD: &str = "payload.read";

/// Writes the rows.
#[derive(Clone)]
pub struct Audit {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
}

/// A row, its time and detail apart.
#[derive(Debug, Clone, Copy)]
pub struct Deed<'a> {
    pub operator: &'a str,
    pub action: &'a str,
    /// `None`: not of one tenant.
    pub tenant_id: Option<&'a str>,
    pub subject: &'a str,
}

impl Audit {
    /// Writes a row and, in the same transaction, `change`.
    ///
    /// # Errors
    /// The row was not written, or its answer was lost.
    pub async fn write(
        &self,
        deed: Deed<'_>,
        detail: &impl Serialize,
        change: Option<FailureChange>,
    ) -> Result<(), Error> {
        let Deed { operator, action, tenant_id, subject } = deed;
        let entry = AuditEntry {
            at: self.clock.now_ms(),
            operator: operator.to_owned(),
            action: action.to_owned(),
            tenant_id: tenant_id.map(str::to_owned),
            subject: subject.to_owned(),
            // Texts and numbers are always JSON.
            detail: serde_json::to_string(detail).unwrap_or_default(),
        };
        self.store.audit(entry, change).await
    }
}

/// How far a replay had come when its row was written. The first row is there before anything is appended, so nothing
/// enters the intake unseen; without a second one the process died in between, or the log did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Requested,
    Done,
    /// The append failed, or was not answered: then it may have happened.
    Failed,
}

/// `detail` of a replay's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    pub phase: Phase,
    /// The same for the same failure and payload, unless the replay was forced.
    pub replay_id: Uuid,
    pub reason: String,
    /// Of the payload that was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_sha256: Option<Sha256Digest>,
    /// Of the payload that was replayed; absent if it is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_sha256: Option<Sha256Digest>,
    /// With [`Phase::Done`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// With [`Phase::Failed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `detail` of the rows of a command to a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub phase: Phase,
    pub command_id: Uuid,
    /// `retry`, `edit`, `skip`, `purge` or `replay`.
    pub verb: String,
    /// `topic/partition`.
    pub lane: String,
    /// The record; of a purge the last one.
    pub seq: i64,
    pub reason: String,
    /// Of the value the record was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_sha256: Option<Sha256Digest>,
    /// With [`Phase::Done`]; absent if the lane had not executed it when the answer was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// With [`Phase::Failed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `detail` of a dismissal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub reason: String,
}
