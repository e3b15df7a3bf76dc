//! Reads of the files: a few read-only connections, used on blocking threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::files;
use crate::log::Error;

#[derive(Debug)]
pub struct Readers {
    path: PathBuf,
    /// As many reads as may run at the same time.
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub fn new(path: PathBuf, readers: usize) -> Self {
        Self { path, permits: Semaphore::new(readers.max(1)), idle: Mutex::default() }
    }

    /// Runs `query` on a blocking thread. A connection whose query failed is not used again.
    pub async fn query<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let _permit = self.permits.acquire().await.map_err(|_| aborted())?;
        let readers = self.clone();
        let run = move || {
            let idle = readers.idle().pop();
            let connection = match idle {
                Some(connection) => connection,
                None => files::open_reader(&readers.path)?,
            };
            let value = query(&connection).map_err(|error| files::failed(&readers.path, &error))?;
            readers.idle().push(connection);
            Ok(value)
        };
        tokio::task::spawn_blocking(run).await.map_err(|_| aborted())?
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn aborted() -> Error {
    Error::Unavailable { reason: "the read was aborted".to_owned() }
}
