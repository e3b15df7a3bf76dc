//! What operators find failures by, and what they did about them.
//!
//! The failure index is a projection of the published failures: a row is known by its tenant and the event's id, so
//! indexing an event again changes nothing. What an operator makes of a failure is written together with the row of
//! the audit that says so.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::canonical::ids::Sha256Digest;
use crate::store::Error;

/// Most rows one question is answered with.
pub const MAX_PAGE: usize = 500;

/// The failure index and the audit of a [`super::Store`].
pub trait RecoveryStore: Send + Sync {
    /// Adds `failures` to the index, each open; one that is there stays as it is. The failure a new one is a replay of
    /// is [`FailureState::Replayed`] from then on, if it was open. One transaction; returns how many are new.
    fn index_failures(&self, failures: Vec<Failure>) -> BoxFuture<'_, Result<u64, Error>>;

    /// The failures `filter` names, newest first, then in the reverse order of indexing: the first `limit` (at most
    /// [`MAX_PAGE`]) behind `after`.
    fn failures(
        &self,
        filter: FailureFilter,
        after: Option<FailureCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<FailureRow>, Error>>;

    /// The failures `filter` names by their group, those with most failures first, then by the newest failure: at most
    /// `limit` groups (at most [`MAX_PAGE`]).
    fn failure_groups(&self, filter: FailureFilter, limit: usize) -> BoxFuture<'_, Result<Vec<FailureGroup>, Error>>;

    /// Gives those of the failures named that are open their new state, in one transaction; returns how many were.
    fn close_failures(&self, changes: Vec<FailureChange>) -> BoxFuture<'_, Result<u64, Error>>;

    /// Open failures by binding and error code.
    fn open_failures(&self) -> BoxFuture<'_, Result<Vec<OpenFailures>, Error>>;

    /// Writes a row of the audit and, in the same transaction, what it did to a failure. Durable when it returns.
    fn audit(&self, entry: AuditEntry, change: Option<FailureChange>) -> BoxFuture<'_, Result<(), Error>>;

    /// The audit's rows `filter` names, newest first: the first `limit` (at most [`MAX_PAGE`]) before row `before`.
    fn audit_rows(
        &self,
        filter: AuditFilter,
        before: Option<i64>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<AuditRow>, Error>>;
}

/// A published failure, as it is indexed. No text has a U+0000, and none but `detail` is longer than 1 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub tenant_id: String,
    /// `event_id` of the failure event.
    pub event_id: Uuid,
    pub kind: FailureKind,
    /// Epoch milliseconds.
    pub failed_at: i64,
    pub binding: String,
    pub error_code: String,
    pub source_key: String,
    pub external_order_id: String,
    pub correlation_id: String,
    /// Of the first problem; empty for the whole document.
    pub pointer: String,
    /// The same for failures of one cause.
    pub group: Uuid,
    /// `event_id` of the failure whose payload was replayed.
    pub replay_of: Option<Uuid>,
    /// Of the payload; `None` if the failure has none.
    pub raw_sha256: Option<Sha256Digest>,
    /// Where the event is: topic, partition, offset.
    pub place: (Arc<str>, u32, i64),
    /// A JSON object: see `recovery::failure`.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// A rejected payload.
    Order,
    /// A call to a sales system that finally failed, as another gateway published it.
    Status,
    /// A dead letter of a courier's lane: a call of this gateway that finally failed.
    Call,
    /// A dead letter of a translator's lane.
    Translation,
}

/// What became of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureState {
    /// Nobody has done anything about it.
    Open,
    /// Its payload was mapped again. If that failed too, there is a failure of its own, which is open.
    Replayed,
    /// An operator said why nothing is to be done.
    Dismissed,
    /// Its record came to its end after it: by a second round, or because an operator released its key.
    Resolved,
}

/// A failure in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRow {
    pub failure: Failure,
    pub state: FailureState,
    /// Its place among failures of the same moment.
    pub number: i64,
}

/// Which failures are asked for: those that match everything that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureFilter {
    /// `None`: of every tenant.
    pub tenants: Option<Vec<String>>,
    pub event_id: Option<Uuid>,
    /// Any of these; `None`: of every kind.
    pub kinds: Option<Vec<FailureKind>>,
    pub state: Option<FailureState>,
    pub binding: Option<String>,
    pub error_code: Option<String>,
    pub source_key: Option<String>,
    pub external_order_id: Option<String>,
    pub correlation_id: Option<String>,
    pub group: Option<Uuid>,
    pub replay_of: Option<Uuid>,
    /// Somewhere in the first problem's pointer.
    pub pointer: Option<String>,
    /// Epoch milliseconds, inclusive.
    pub since: Option<i64>,
    /// Epoch milliseconds, exclusive.
    pub until: Option<i64>,
}

/// Where a page of failures ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureCursor {
    pub failed_at: i64,
    pub number: i64,
}

/// Failures of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup {
    pub failures: u64,
    /// Epoch milliseconds.
    pub first_at: i64,
    /// Epoch milliseconds.
    pub last_at: i64,
    /// The one indexed last.
    pub newest: FailureRow,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenFailures {
    pub binding: String,
    pub error_code: String,
    pub failures: u64,
}

/// A new state of a failure. Of one that is not in the index nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureChange {
    pub tenant_id: String,
    pub event_id: Uuid,
    pub state: FailureState,
}

/// One thing an operator did, or asked for. Kept for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Epoch milliseconds.
    pub at: i64,
    /// The operator's name.
    pub operator: String,
    /// `failure.replay`, `mappings.reload` and so on.
    pub action: String,
    /// `None`: not of one tenant.
    pub tenant_id: Option<String>,
    /// What it was done to: a failure's id, a topic.
    pub subject: String,
    /// A JSON object: see `recovery::audit`.
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Grows with every row.
    pub number: i64,
    pub entry: AuditEntry,
}

/// Which rows of the audit are asked for: those that match everything that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// `None`: of every tenant, and of none.
    pub tenants: Option<Vec<String>>,
    pub operator: Option<String>,
    pub action: Option<String>,
    pub subject: Option<String>,
}

impl FailureRow {
    /// Where a page that ends with this row goes on.
    pub fn cursor(&self) -> FailureCursor {
        FailureCursor { failed_at: self.failure.failed_at, number: self.number }
    }
}

impl FailureKind {
    /// As it is stored.
    pub(super) const fn code(self) -> i16 {
        match self {
            Self::Order => 1,
            Self::Status => 2,
            Self::Call => 3,
            Self::Translation => 4,
        }
    }

    pub(super) const fn of_code(code: i16) -> Option<Self> {
        match code {
            1 => Some(Self::Order),
            2 => Some(Self::Status),
            3 => Some(Self::Call),
            4 => Some(Self::Translation),
            _ => None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Status => "status",
            Self::Call => "call",
            Self::Translation => "translation",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Order, Self::Status, Self::Call, Self::Translation].into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether the failure is a dead letter of a lane: it is tried again by a command, not mapped again.
    pub const fn is_dead_letter(self) -> bool {
        matches!(self, Self::Call | Self::Translation)
    }
}

impl FailureState {
    /// As it is stored.
    pub(super) const fn code(self) -> i16 {
        match self {
            Self::Open => 0,
            Self::Replayed => 1,
            Self::Dismissed => 2,
            Self::Resolved => 3,
        }
    }

    pub(super) const fn of_code(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::Open),
            1 => Some(Self::Replayed),
            2 => Some(Self::Dismissed),
            3 => Some(Self::Resolved),
            _ => None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Dismissed => "dismissed",
            Self::Resolved => "resolved",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Open, Self::Replayed, Self::Dismissed, Self::Resolved].into_iter().find(|state| state.as_str() == name)
    }
}
