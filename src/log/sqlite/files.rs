//! The files of the log: who may open them, how SQLite is set up, and what is read back at the start.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::catalog::{Partition, Slot, Topic};
use super::records;
use crate::log::{Bounds, Error};

const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: i64 = 1;
/// "CDlg", as `schema.sql` sets it.
const APPLICATION_ID: i64 = 0x4344_6c67;
/// Only a checkpoint or a recovery can make another connection of this process wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// One insert for each partition, and the few statements around them.
const WRITER_STATEMENTS: usize = 2048;
const READER_STATEMENTS: usize = 128;

/// The only connection that writes, and the proof that no other process has one.
#[derive(Debug)]
pub struct Files {
    /// Before the lock, so that it is closed while the lock is held.
    pub connection: Connection,
    _lock: File,
}

/// What is on disk at the start.
#[derive(Debug, Default)]
pub struct Loaded {
    pub topics: Vec<Topic>,
    /// By slot.
    pub marks: Vec<(Arc<Partition>, Mark)>,
}

/// Where the next record of a partition goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    pub next: i64,
    /// Append time of the newest record: the next one is not before it.
    pub last_ms: i64,
}

impl Files {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let lock = lock(path)?;
        private(OpenOptions::new().create(true).append(true))
            .open(path)
            .map_err(|error| unusable(path, format!("cannot be opened: {error}")))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| failed(path, &error))?;
        set_up(path, &connection)?;
        Ok(Self { connection, _lock: lock })
    }

    pub fn load(&self, path: &Path) -> Result<Loaded, Error> {
        let loaded = topics(&self.connection).map_err(|error| failed(path, &error))?;
        let dense = loaded.marks.iter().zip(0..).all(|((partition, _), slot)| partition.slot == slot);
        if dense { Ok(loaded) } else { Err(unusable(path, "the partitions in `topics` are not numbered densely")) }
    }
}

/// A connection that cannot write.
pub fn open_reader(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags).map_err(|error| failed(path, &error))?;
    reader.busy_timeout(BUSY_TIMEOUT).map_err(|error| failed(path, &error))?;
    reader.set_prepared_statement_cache_capacity(READER_STATEMENTS);
    // Else a plan may depend on bound values, and a statement is compiled again each time one of them changes.
    let stable = reader.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
    stable.map_err(|error| failed(path, &error))?;
    Ok(reader)
}

/// Partition objects of a topic that begins at `first_slot`, with what is stored of each.
pub fn partitions(
    connection: &Connection,
    topic: &Arc<str>,
    first_slot: Slot,
    count: u32,
) -> rusqlite::Result<Vec<(Arc<Partition>, Mark)>> {
    let slots = (0..count).zip(first_slot..);
    let load = |(number, slot)| {
        let (start, mark) = mark(connection, slot)?;
        let bounds = Bounds { start, end: mark.next };
        Ok((Arc::new(Partition::new(topic.clone(), number, slot, bounds)), mark))
    };
    slots.map(load).collect()
}

/// First offset kept, and where the next record goes.
pub fn mark(connection: &Connection, slot: Slot) -> rusqlite::Result<(i64, Mark)> {
    let mut trimmed = connection.prepare_cached("SELECT start, trimmed_ms FROM slots WHERE slot = ?1")?;
    let (start, trimmed_ms) = trimmed.query_row([slot], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let newest = records::newest(connection, slot)?;
    let (next, last_ms) = newest.map_or((start, trimmed_ms), |(offset, timestamp_ms)| (offset + 1, timestamp_ms));
    Ok((start, Mark { next, last_ms }))
}

/// What a failure of SQLite means for the caller.
pub fn failed(path: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => unusable(path, error.to_string()),
        _ => Error::Unavailable { reason: error.to_string() },
    }
}

pub fn unusable(path: &Path, reason: impl Into<String>) -> Error {
    Error::Unusable { path: path.display().to_string(), reason: reason.into() }
}

/// A file beside the log, locked as long as it is open; the system lets go of it when the process dies. Not the
/// log's own file: SQLite's locks on that one would be lost whenever any handle on it is closed.
fn lock(path: &Path) -> Result<File, Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = private(OpenOptions::new().create(true).append(true))
        .open(PathBuf::from(name))
        .map_err(|error| unusable(path, format!("its lock file cannot be opened: {error}")))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(unusable(path, "another process has it open")),
        Err(TryLockError::Error(error)) => Err(unusable(path, format!("it cannot be locked: {error}"))),
    }
}

/// Records hold personal data: for the owner's eyes only. SQLite gives its other files the same mode.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn set_up(path: &Path, connection: &Connection) -> Result<(), Error> {
    let sqlite = |error: rusqlite::Error| failed(path, &error);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    connection.set_prepared_statement_cache_capacity(WRITER_STATEMENTS);
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(sqlite);
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables = "SELECT count(*) FROM sqlite_schema";
    let empty = connection.query_row(tables, [], |row| row.get::<_, i64>(0)).map_err(sqlite)? == 0;
    let new = application == 0 && version == 0 && empty;
    if !new && application != APPLICATION_ID {
        return Err(unusable(path, "it is not an event log"));
    }
    if !new && version != SCHEMA_VERSION {
        let reason = format!("its schema has version {version}, this program knows version {SCHEMA_VERSION}");
        return Err(unusable(path, reason));
    }
    // Before the first table: the page size is fixed from then on.
    connection.pragma_update(None, "page_size", 8192).map_err(sqlite)?;
    let mode = "PRAGMA journal_mode = WAL";
    let mode: String = connection.query_row(mode, [], |row| row.get(0)).map_err(sqlite)?;
    if mode != "wal" {
        return Err(unusable(path, format!("journal mode `wal` is needed, the file system allows `{mode}`")));
    }
    // FULL: a commit is on disk when it returns. 500 pages: short checkpoints, small stalls (worst 4 ms measured).
    // The cache (16 MiB) holds a whole batch, so no page is written twice. The WAL shrinks after a large record.
    let settings = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 500; PRAGMA cache_size = -16384;
                    PRAGMA journal_size_limit = 67108864;";
    connection.execute_batch(settings).map_err(sqlite)?;
    if new {
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;")).map_err(sqlite)?;
    }
    Ok(())
}

fn topics(connection: &Connection) -> rusqlite::Result<Loaded> {
    let mut loaded = Loaded::default();
    let sql = "SELECT name, partitions, first_slot, max_record_bytes, retention_ms FROM topics ORDER BY first_slot";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name = Arc::<str>::from(row.get::<_, String>(0)?);
        let marks = partitions(connection, &name, row.get(2)?, row.get(1)?)?;
        let objects = marks.iter().map(|(partition, _)| partition.clone()).collect();
        let max_record_bytes = usize::try_from(row.get::<_, i64>(3)?).unwrap_or(usize::MAX);
        loaded.topics.push(Topic::new(name, objects, max_record_bytes, row.get(4)?));
        loaded.marks.extend(marks);
    }
    Ok(loaded)
}
