//! The suite on Kafka and PostgreSQL: the servers named by `CROSSDOCK_TEST_KAFKA` and `CROSSDOCK_TEST_POSTGRES`.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::NoTls;

use super::world::{Engines, START};
use crate::clock::ManualClock;
use crate::config::secret::Secret;
use crate::log::kafka::{self, KafkaLog};
use crate::store::postgres::{self, PostgresStore};

/// A schema that goes when this is dropped.
struct Schema(String);

impl Drop for Schema {
    fn drop(&mut self) {
        let drop_schema = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.0);
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&url(), NoTls).await.unwrap();
                tokio::spawn(connection);
                client.batch_execute(&drop_schema).await
            })
        });
        let _ = cleaning.join(); // a test that failed may have left it locked
    }
}

fn url() -> String {
    std::env::var("CROSSDOCK_TEST_POSTGRES").expect("CROSSDOCK_TEST_POSTGRES: the URL of a PostgreSQL server")
}

async fn open() -> Engines {
    let name = uuid::Uuid::new_v4().simple().to_string();
    let (prefix, schema) = (format!("d{name}-"), format!("test_driver_{name}"));
    let bootstrap = std::env::var("CROSSDOCK_TEST_KAFKA").expect("CROSSDOCK_TEST_KAFKA: the bootstrap servers");
    let mut options = kafka::Options::new(bootstrap, format!("{prefix}slot"));
    options.session_timeout = Duration::from_secs(6);
    options.settings.insert("heartbeat.interval.ms".to_owned(), "200".to_owned());
    // One process slot: its newest member takes the place of the one before it.
    options.settings.insert("group.instance.id".to_owned(), prefix.clone());
    let log = KafkaLog::open(options).await.unwrap();
    let options =
        postgres::Options { schema: schema.clone(), connections: 8, ..postgres::Options::new(Secret::new(url())) };
    let store = PostgresStore::open(options).await.unwrap();
    // Append times are the broker's; what passes is this clock's all the same.
    let clock = Arc::new(ManualClock::at(START));
    Engines { log, store, prefix, clock, guard: Box::new(Schema(schema)) }
}

super::suite!(open);
