//! The calls a group makes of log and registry, each with what its failure means.

use std::future::Future;
use std::time::Instant;

use futures_util::future::BoxFuture;

use crate::backoff::Delays;
use crate::log::{self, Append, Stored};
use crate::reader::group::GroupReader;
use crate::reader::paused::{Cause, Pause};

impl GroupReader {
    /// Appends all of `appends`, however long the log is away, and tells how many were.
    ///
    /// # Errors
    /// `None` if the reader is to stop; else what can never be appended, behind so many that were.
    pub(super) async fn append(&self, appends: Vec<Append>) -> Result<usize, Option<(usize, log::Error)>> {
        let count = appends.len();
        if count == 0 {
            return Ok(0);
        }
        match self.append_once(&appends).await.ok_or(None)? {
            Ok(()) => return Ok(count),
            Err(error) if count == 1 => return Err(Some((0, error))),
            // One of them is refused: those before it are not to wait with it.
            Err(_) => {}
        }
        for (written, append) in appends.iter().enumerate() {
            self.append_once(std::slice::from_ref(append))
                .await
                .ok_or(None)?
                .map_err(|error| Some((written, error)))?;
        }
        Ok(count)
    }

    async fn append_once(&self, appends: &[Append]) -> Option<Result<(), log::Error>> {
        let append = || self.deps.log.append(appends.to_vec());
        let appended = self.patiently("reader.append", |error| !error.is_transient(), append).await?;
        Some(appended.map(|_| ()))
    }

    /// Asks the registry for the schema of a record; why the partition has to stand still, if it has.
    pub(super) async fn learn(&self, stored: &Stored, again: bool) -> Option<Pause> {
        let value = stored.record.value.as_deref().unwrap_or_default();
        let cause = Cause::Registry;
        match self.deps.catalogue.learn_from(value).await {
            Err(error) if error.is_transient() => Some(Pause { cause, reason: error.to_string() }),
            _ if again => Some(Pause { cause, reason: "the schema of the record cannot be learned".to_owned() }),
            // A schema nobody knows is a fault of the record: it is rejected.
            Ok(()) | Err(_) => None,
        }
    }

    /// Makes the call until it succeeds or `is_final` says of its error that repeating does not help; the group is told
    /// not to read meanwhile. `None`: the reader is to stop.
    pub(super) async fn patiently<'a, T>(
        &self,
        operation: &'static str,
        is_final: impl Fn(&log::Error) -> bool,
        mut call: impl FnMut() -> BoxFuture<'a, Result<T, log::Error>>,
    ) -> Option<Result<T, log::Error>> {
        let metrics = &self.deps.metrics;
        let mut delays = Delays::new(self.deps.pace.log);
        let mut waited = false;
        loop {
            let started = Instant::now();
            // A call under way is finished also when the stop has come: only what waits is given up.
            let result = call().await;
            metrics.engine_seconds.with_label_values(&[operation]).observe(started.elapsed().as_secs_f64());
            let error = match result {
                Err(error) if !is_final(&error) => error,
                done => {
                    if waited {
                        tracing::info!(group = %self.group, operation, "call succeeded again");
                    }
                    self.board.set_problem(&self.group, None);
                    return Some(done);
                }
            };
            metrics.engine_errors.with_label_values(&[operation]).inc();
            let delay = delays.next_delay();
            tracing::warn!(
                group = %self.group, operation, %error, delay_ms = delay.as_millis() as u64,
                "call failed, repeating it"
            );
            self.board.set_problem(&self.group, Some(error.to_string()));
            waited = true;
            self.unless_stopped(tokio::time::sleep(delay)).await?;
        }
    }

    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            // The sender goes away only with the supervisor: that is a stop as well.
            _ = stop.wait_for(|stop| *stop) => None,
            value = work => Some(value),
        }
    }
}
