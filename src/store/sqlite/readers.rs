//! The threads that read. Each has its own connection and sees one state of the store for the length of a call.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

use crate::store::Error;
use crate::store::sqlite::failure;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// Hands reads to the threads. Dropping it lets them finish what waits, and waits for them.
#[derive(Debug)]
pub(super) struct Readers {
    queue: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    path: Arc<str>,
}

impl Readers {
    /// One thread for each connection. `path` names the store in errors.
    pub(super) fn start(connections: Vec<Connection>, path: Arc<str>) -> Result<Self, Error> {
        let (queue, jobs) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        let mut readers = Self { queue: Some(queue), threads: Vec::with_capacity(connections.len()), path };
        for connection in connections {
            let jobs = Arc::clone(&jobs);
            let thread = std::thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || run(&connection, &jobs))
                .map_err(|cause| Error::Unavailable { reason: cause.to_string() })?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// Runs `read` on one state of the store.
    pub(super) async fn run<T, R>(&self, read: R) -> Result<T, Error>
    where
        T: Send + 'static,
        R: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let stopped = || Error::Unavailable { reason: "the store's readers have stopped".to_owned() };
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        let job = move |connection: &Connection| {
            let answer = connection.unchecked_transaction().and_then(|snapshot| read(&snapshot));
            let _ = reply.send(answer); // the caller may have left
        };
        queue.send(Box::new(job)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?.map_err(|cause| failure(&self.path, &cause))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, jobs: &Mutex<Receiver<Job>>) {
    loop {
        // One thread waits here, the others for their turn; none holds the lock while it reads.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(connection),
            Err(_) => return,
        }
    }
}
