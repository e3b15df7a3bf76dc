//! The conformance suite on a real server, and what only this engine promises.
//!
//! The server is named by `CROSSDOCK_TEST_POSTGRES`, a URL whose role may make schemas; each test has one of its own.
//! Tests that stop a server, or need TLS, start one of their own.

mod connections;
mod engine_fencing;
mod fencing;
mod protection;
mod proxy;
mod schemas;
mod server;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_postgres::NoTls;

use super::{Options, PostgresStore};
use crate::config::secret::Secret;
use crate::store::conformance::{Harness, conformance_suite};
use crate::store::{Error, Store};

/// A store in a schema that goes when this is dropped.
struct Schema {
    store: Arc<PostgresStore>,
    options: Options,
}

impl Harness for Schema {
    fn store(&self) -> &dyn Store {
        &*self.store
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn reopen(mut self) -> Self {
        self.store = PostgresStore::open(self.options.clone()).await.unwrap();
        self
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let drop_schema = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.options.schema);
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { admin().await.batch_execute(&drop_schema).await })
        });
        let _ = cleaning.join(); // a test that failed may have left it locked
    }
}

impl Schema {
    /// SQL against the store's own tables, past the store.
    async fn admin(&self) -> tokio_postgres::Client {
        let client = admin().await;
        client.batch_execute(&format!("SET search_path = {}", self.options.schema)).await.unwrap();
        client
    }
}

async fn open() -> Schema {
    let options = options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    Schema { store, options }
}

conformance_suite!(open);

/// Of a schema nobody else has.
fn options() -> Options {
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);

    let schema = format!("test_{}_{}", std::process::id(), SCHEMAS.fetch_add(1, Ordering::Relaxed));
    Options { schema, connections: 8, ..Options::new(Secret::new(url())) }
}

fn url() -> String {
    std::env::var("CROSSDOCK_TEST_POSTGRES")
        .expect("CROSSDOCK_TEST_POSTGRES must hold the URL of a PostgreSQL server for tests")
}

async fn admin() -> tokio_postgres::Client {
    connect(&url()).await
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Asks until the answer is there.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(60), asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("{what}: not within 60 s"),
    }
}

/// Changes a setting of the one connection that `store` has.
async fn limit(store: &PostgresStore, setting: &str) {
    let connection = store.pool.get().await.unwrap();
    connection.batch_execute(&format!("SET {setting}")).await.unwrap();
    connection.release();
}

fn is_unavailable<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unavailable { .. }))
}

fn unusable<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Unusable { reason, .. }) => reason,
        Err(other) => panic!("expected an unusable store, found: {other}"),
        Ok(_) => panic!("expected an unusable store, it was opened"),
    }
}
