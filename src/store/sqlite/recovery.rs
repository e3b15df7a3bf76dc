//! The failure index and the audit, as calls of the store's threads.

use futures_util::future::BoxFuture;

use crate::store::Error;
use crate::store::recovery::{
    AuditEntry, AuditFilter, AuditRow, Failure, FailureChange, FailureCursor, FailureFilter, FailureGroup, FailureRow,
    MAX_PAGE, OpenFailures, RecoveryStore,
};
use crate::store::sqlite::{SqliteStore, audit, failures};

impl RecoveryStore for SqliteStore {
    fn index_failures(&self, new: Vec<Failure>) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(self.writer.run(move |transaction| failures::index(transaction, &new).map(Ok)))
    }

    fn failures(
        &self,
        filter: FailureFilter,
        after: Option<FailureCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<FailureRow>, Error>> {
        let limit = limit.min(MAX_PAGE);
        Box::pin(self.readers.run(move |snapshot| failures::page(snapshot, &filter, after, limit)))
    }

    fn failure_groups(&self, filter: FailureFilter, limit: usize) -> BoxFuture<'_, Result<Vec<FailureGroup>, Error>> {
        let limit = limit.min(MAX_PAGE);
        Box::pin(self.readers.run(move |snapshot| failures::groups(snapshot, &filter, limit)))
    }

    fn close_failures(&self, changes: Vec<FailureChange>) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(self.writer.run(move |transaction| failures::close(transaction, &changes).map(Ok)))
    }

    fn open_failures(&self) -> BoxFuture<'_, Result<Vec<OpenFailures>, Error>> {
        Box::pin(self.readers.run(failures::open))
    }

    fn audit(&self, entry: AuditEntry, change: Option<FailureChange>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.writer.run(move |transaction| {
            audit::write(transaction, &entry)?;
            change.iter().try_for_each(|change| failures::change(transaction, change))?;
            Ok(Ok(()))
        }))
    }

    fn audit_rows(
        &self,
        filter: AuditFilter,
        before: Option<i64>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<AuditRow>, Error>> {
        let limit = limit.min(MAX_PAGE);
        Box::pin(self.readers.run(move |snapshot| audit::page(snapshot, &filter, before, limit)))
    }
}
