//! The failure index and the audit, as calls of the server.

use futures_util::future::BoxFuture;

use crate::store::Error;
use crate::store::postgres::{PostgresStore, audit, failures};
use crate::store::recovery::{
    AuditEntry, AuditFilter, AuditRow, Failure, FailureChange, FailureCursor, FailureFilter, FailureGroup, FailureRow,
    MAX_PAGE, OpenFailures, RecoveryStore,
};

impl RecoveryStore for PostgresStore {
    fn index_failures(&self, new: Vec<Failure>) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(self.call(async move { failures::index(&self.pool, &new).await }))
    }

    fn failures(
        &self,
        filter: FailureFilter,
        after: Option<FailureCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<FailureRow>, Error>> {
        Box::pin(self.call(async move { failures::page(&self.pool, &filter, after, limit.min(MAX_PAGE)).await }))
    }

    fn failure_groups(&self, filter: FailureFilter, limit: usize) -> BoxFuture<'_, Result<Vec<FailureGroup>, Error>> {
        Box::pin(self.call(async move { failures::groups(&self.pool, &filter, limit.min(MAX_PAGE)).await }))
    }

    fn close_failures(&self, changes: Vec<FailureChange>) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(self.call(async move { failures::close(&self.pool, &changes).await }))
    }

    fn open_failures(&self) -> BoxFuture<'_, Result<Vec<OpenFailures>, Error>> {
        Box::pin(self.call(failures::open(&self.pool)))
    }

    fn audit(&self, entry: AuditEntry, change: Option<FailureChange>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.call(async move { audit::write(&self.pool, &entry, change.as_ref()).await }))
    }

    fn audit_rows(
        &self,
        filter: AuditFilter,
        before: Option<i64>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<AuditRow>, Error>> {
        Box::pin(self.call(async move { audit::page(&self.pool, &filter, before, limit.min(MAX_PAGE)).await }))
    }
}
