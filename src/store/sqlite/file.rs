//! The file behind the store: who may open it, how a connection is set up, and which version its tables have.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::store::Error;
use crate::store::sqlite::failure;

/// `application_id` of the file, "cdst": a file without it was made by something else.
const APPLICATION_ID: i32 = 0x6364_7374;

/// The `n`-th entry brings version `n` to `n + 1`. Entries are never changed, only added.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_published_events.sql"),
    include_str!("migrations/0003_failures.sql"),
    include_str!("migrations/0004_lane_engine.sql"),
    include_str!("migrations/0005_jobs.sql"),
];

/// More statements than the store has, so that each is prepared once a connection.
const STATEMENTS: usize = 128;

/// Says that this process owns the store. Given back when dropped, and by the system when the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock beside the store at `path`; creates the folder if absent.
    pub(super) fn take(path: &Path) -> Result<Self, Error> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|cause| refused(path, &cause))?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let file = create_private(&PathBuf::from(beside)).map_err(|cause| refused(path, &cause))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(unusable(path, "it is already open, by this or another process")),
            Err(TryLockError::Error(cause)) => Err(refused(path, &cause)),
        }
    }
}

/// The one connection that writes. Creates the file and brings its tables to this build's version.
pub(super) fn open_writer(path: &Path, cache_bytes: u32) -> Result<Connection, Error> {
    // SQLite would create it readable for others, and gives the files beside it the mode of this one.
    create_private(path).map_err(|cause| refused(path, &cause))?;
    let shown = path.display().to_string();
    let mut connection =
        connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, cache_bytes).map_err(|cause| failure(&shown, &cause))?;
    let version = version(&connection, path)?;
    set_up_writer(&mut connection, version).map_err(|cause| failure(&shown, &cause))?;
    Ok(connection)
}

/// A connection that only reads. The file must have been opened by [`open_writer`].
pub(super) fn open_reader(path: &Path, cache_bytes: u32) -> Result<Connection, Error> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, cache_bytes)
        .map_err(|cause| failure(&path.display().to_string(), &cause))
}

fn connect(path: &Path, flags: OpenFlags, cache_bytes: u32) -> rusqlite::Result<Connection> {
    // Each connection stays on one thread.
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else a plan may depend on bound values, and a statement is compiled again each time one of them changes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -i64::from(cache_bytes / 1024))?; // negative: in KiB
    Ok(connection)
}

/// Migrations the file has had; none for a new one.
fn version(connection: &Connection, path: &Path) -> Result<usize, Error> {
    let shown = path.display().to_string();
    let read = || {
        let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((application, version, tables))
    };
    match read().map_err(|cause| failure(&shown, &cause))? {
        (0, 0, 0) => Ok(0),
        (APPLICATION_ID, version, _) => match usize::try_from(version) {
            Ok(version) if version <= MIGRATIONS.len() => Ok(version),
            _ => Err(unusable(path, format!("it has version {version}, this build knows up to {}", MIGRATIONS.len()))),
        },
        _ => Err(unusable(path, "it is an SQLite file of something else")),
    }
}

fn set_up_writer(connection: &mut Connection, version: usize) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", 8192)?; // takes effect on a new file only
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 500)?;
    // A long read may let the WAL grow; it is cut back to this when it starts over.
    connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
    for (done, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", done as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Opens or creates a file that only its owner may read.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn refused(path: &Path, cause: &io::Error) -> Error {
    unusable(path, cause.to_string())
}

fn unusable(path: &Path, reason: impl Into<String>) -> Error {
    Error::Unusable { path: path.display().to_string(), reason: reason.into() }
}
