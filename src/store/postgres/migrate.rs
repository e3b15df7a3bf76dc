//! Brings the tables to this build's version, once, whoever comes first.

use tracing::{info, warn};

use crate::store::Error;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::pool::{Connection, Pool};

/// The `n`-th entry brings version `n` to `n + 1`. Entries are never changed, only added.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_published_events.sql"),
    include_str!("migrations/0003_failures.sql"),
    include_str!("migrations/0004_lane_engine.sql"),
    include_str!("migrations/0005_jobs.sql"),
];

/// The oldest server whose statements and settings the store uses.
const OLDEST_SERVER: i32 = 140_000;

/// Makes the schema and its tables, or brings them up to date. Another gateway that starts at the same time waits.
///
/// # Errors
/// [`Error::Unusable`] for a server that is too old or would lose what it has confirmed, and for a schema of a newer
/// version or of something else.
pub(super) async fn migrate(pool: &Pool, schema: &str, name: &str) -> Result<(), Failure> {
    let unusable = |reason: String| Failure::Refused(Error::Unusable { path: name.to_owned(), reason });
    let connection = pool.get().await?;
    check_server(&connection).await?.map_err(unusable)?;

    // How long a migration takes depends on what is stored. The server ends it if its client is gone.
    connection.batch_execute("BEGIN; SET LOCAL statement_timeout = 0").await?;
    connection
        .execute("SELECT pg_advisory_xact_lock(hashtextextended('crossdock.store.' || $1, 0))", &[&schema])
        .await?;
    let version = version(&connection, schema).await?.map_err(unusable)?;
    for (done, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        connection.batch_execute(migration).await?;
        connection.execute("INSERT INTO migrations (version) VALUES ($1)", &[&(done as i64 + 1)]).await?;
        info!(store = name, version = done + 1, "migrated the store");
    }
    connection.batch_execute("COMMIT").await?;
    connection.release();
    Ok(())
}

/// The inner error says why this server cannot keep the store's promises.
async fn check_server(connection: &Connection) -> Result<Result<(), String>, Failure> {
    let row = connection
        .query_one(
            "SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
                 current_setting('synchronous_commit'), current_setting('fsync')",
            &[],
        )
        .await?;
    let (version, shown): (i32, &str) = (row.try_get(0)?, row.try_get(1)?);
    let (synchronous_commit, fsync): (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
    if version < OLDEST_SERVER {
        return Ok(Err(format!("the server has version {shown}, expected {} or newer", OLDEST_SERVER / 10_000)));
    }
    if synchronous_commit == "off" {
        return Ok(Err("`synchronous_commit` is off: a crash would lose what was confirmed".to_owned()));
    }
    if fsync == "off" {
        warn!("PostgreSQL runs with `fsync` off: a crash of its machine loses orders");
    }
    Ok(Ok(()))
}

/// Migrations the schema has had; makes it if absent. The inner error says why it cannot be used.
async fn version(connection: &Connection, schema: &str) -> Result<Result<usize, String>, Failure> {
    let row = connection
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
                 EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'migrations'),
                 EXISTS (SELECT FROM pg_tables WHERE schemaname = $1)",
            &[&schema],
        )
        .await?;
    let (there, ours, filled): (bool, bool, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if !ours {
        if filled {
            return Ok(Err("its schema holds the tables of something else".to_owned()));
        }
        if !there {
            connection.batch_execute(&format!("CREATE SCHEMA {schema}")).await?; // a name that needs no quotes
        }
        connection
            .batch_execute(
                "CREATE TABLE migrations (
                     version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
            )
            .await?;
    }
    let version: i64 =
        connection.query_one("SELECT coalesce(max(version), 0) FROM migrations", &[]).await?.try_get(0)?;
    Ok(match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(format!("it has version {version}, this build knows up to {}", MIGRATIONS.len())),
    })
}
