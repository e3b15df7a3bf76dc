//! Which schemas, databases and servers are opened, and which are refused.

use futures_util::future::join_all;

use super::{Schema, admin, open, options, unusable, url};
use crate::config::secret::Secret;
use crate::store::Store;
use crate::store::conformance::samples::{full_write, lane, received, state};
use crate::store::postgres::{Options, PostgresStore};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_start_together_migrate_once() {
    let options = options();

    let opened = join_all((0..6).map(|_| PostgresStore::open(options.clone()))).await;

    let stores: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
    let schema = Schema { store: stores[0].clone(), options };
    let migrations = schema.admin().await.query("SELECT version FROM migrations", &[]).await.unwrap();
    assert_eq!(migrations.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [1, 2, 3, 4, 5]);
    for (epoch, store) in (1..).zip(&stores) {
        assert_eq!(store.take_lane(&lane(0)).await.unwrap().epoch, epoch, "one store for all");
    }
}

#[tokio::test]
async fn a_second_opening_finds_what_the_first_has_stored() {
    let schema = open().await;
    let row = schema.store.take_lane(&lane(0)).await.unwrap();
    schema.store.write(full_write(&lane(0), &row, 0)).await.unwrap();

    let second = PostgresStore::open(schema.options.clone()).await.unwrap();

    assert_eq!(state(&*second, "PYX-0-0").await, Some(received("PYX-0-0")));
}

#[tokio::test]
async fn a_newer_version_is_refused() {
    let schema = open().await;
    schema.admin().await.batch_execute("INSERT INTO migrations (version) VALUES (99)").await.unwrap();

    let refused = unusable(PostgresStore::open(schema.options.clone()).await);

    assert_eq!(refused, "it has version 99, this build knows up to 5");
}

#[tokio::test]
async fn a_schema_of_something_else_is_refused_and_left_alone() {
    let options = options();
    let admin = admin().await;
    let schema = &options.schema;
    admin.batch_execute(&format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.notes (note text)")).await.unwrap();

    let refused = unusable(PostgresStore::open(options.clone()).await);

    assert_eq!(refused, "its schema holds the tables of something else");
    let tables = admin.query("SELECT tablename::text FROM pg_tables WHERE schemaname = $1", &[schema]).await.unwrap();
    assert_eq!(tables.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["notes"]);
    admin.batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).await.unwrap();
}

#[tokio::test]
async fn an_empty_schema_made_by_somebody_else_is_used() {
    let options = options();
    admin().await.batch_execute(&format!("CREATE SCHEMA {}", options.schema)).await.unwrap();

    let schema = Schema { store: PostgresStore::open(options.clone()).await.unwrap(), options };

    assert_eq!(schema.store.take_lane(&lane(0)).await.unwrap().epoch, 1);
}

#[tokio::test]
async fn an_unknown_database_is_refused_by_name() {
    let mut url = url::Url::parse(&url()).unwrap();
    url.set_path("no_such_database");

    let refused = unusable(PostgresStore::open(Options { url: Secret::new(url), ..options() }).await);

    assert_eq!(refused, r#"database "no_such_database" does not exist (SQLSTATE 3D000)"#);
}

#[tokio::test]
async fn a_server_that_does_not_sync_its_commits_is_refused() {
    let url = Secret::new(format!("{}?options=-c%20synchronous_commit%3Doff", url()));

    let refused = unusable(PostgresStore::open(Options { url, ..options() }).await);

    assert_eq!(refused, "`synchronous_commit` is off: a crash would lose what was confirmed");
}
