//! The one thread that writes, and the sharing of its transactions.
//!
//! All work that waits when a transaction begins becomes part of it, and of its one sync. Work refuses itself (a
//! fenced lane) before it has written anything, so a refusal needs no savepoint. When SQLite fails, the transaction
//! is rolled back and each piece of work gets one of its own: what cannot be written fails alone, and the thread
//! goes on.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;
use tracing::warn;

use crate::store::Error;
use crate::store::sqlite::failure;

/// Most pieces of work in one transaction: bounds how long the first of them waits for the others.
const SHARED_AT_MOST: usize = 64;

/// Hands work to the thread. Dropping it lets the thread finish what waits, and waits for it.
#[derive(Debug)]
pub(super) struct Writer {
    // Not bounded here: each waiting call is a lane's or a background job's only one.
    queue: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// `path` names the store in errors.
    pub(super) fn start(connection: Connection, path: Arc<str>) -> Result<Self, Error> {
        let (queue, jobs) = channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(connection, &jobs, &path))
            .map_err(|cause| Error::Unavailable { reason: cause.to_string() })?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs `work` in a transaction that may be shared; its answer is given when that is durable.
    ///
    /// `work` may be run again after a rollback. A refusal (the inner error) must come before its first change.
    pub(super) async fn run<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnMut(&Transaction<'_>) -> rusqlite::Result<Result<T, Error>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let stopped = || Error::Unavailable { reason: "the store's writer has stopped".to_owned() };
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(Box::new(Task { work, answer: None, reply })).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Work of any answer type.
trait Job: Send {
    /// Runs the work and keeps its answer.
    fn attempt(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()>;

    /// Gives the kept answer once it is durable, or the reason why it is not.
    fn finish(self: Box<Self>, committed: Result<(), Error>);
}

struct Task<T, W> {
    work: W,
    answer: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, W> Job for Task<T, W>
where
    T: Send,
    W: FnMut(&Transaction<'_>) -> rusqlite::Result<Result<T, Error>> + Send,
{
    fn attempt(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        self.answer = Some((self.work)(transaction)?);
        Ok(())
    }

    fn finish(self: Box<Self>, committed: Result<(), Error>) {
        let answer = match (committed, self.answer) {
            (Ok(()), Some(answer)) => answer,
            (Ok(()), None) => return, // dropping `reply` tells the caller
            (Err(error), _) => Err(error),
        };
        let _ = self.reply.send(answer); // the caller may have left
    }
}

fn run(mut connection: Connection, jobs: &Receiver<Box<dyn Job>>, path: &str) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(SHARED_AT_MOST - 1));
        match commit(&mut connection, &mut batch) {
            Err(cause) if batch.len() > 1 => {
                warn!(error = %cause, calls = batch.len(), "shared transaction failed, running its calls apart");
                for job in batch {
                    let mut alone = vec![job];
                    let committed = commit(&mut connection, &mut alone);
                    finish(alone, committed, path);
                }
            }
            committed => finish(batch, committed, path),
        }
    }
}

fn commit(connection: &mut Connection, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in batch {
        job.attempt(&transaction)?;
    }
    fail::fail_point!("store.write.before_commit", |_| Err(injected()));
    transaction.commit()?;
    fail::fail_point!("store.write.after_commit");
    Ok(())
}

fn finish(batch: Vec<Box<dyn Job>>, committed: rusqlite::Result<()>, path: &str) {
    let committed = committed.map_err(|cause| failure(path, &cause));
    for job in batch {
        job.finish(committed.clone());
    }
}

#[cfg(feature = "failpoints")]
fn injected() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR), None)
}
