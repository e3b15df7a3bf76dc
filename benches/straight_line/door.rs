//! The door alone, as a process of its own: the library's door, listener and embedded log, without a sequencer.
//!
//! The gateway has no such mode and needs none; this program is started again for it, on the gateway's own
//! configuration. What arrives stays on `crossdock.intake`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossdock::canonical::draft::INTAKE;
use crossdock::clock::{Clock, SystemClock};
use crossdock::config::environment::Environment;
use crossdock::config::layers::{Layers, Sources};
use crossdock::config::settings::Settings;
use crossdock::door::server::{Limits, Server};
use crossdock::door::{Deps, Door, Installation};
use crossdock::log::sqlite::{Options, SqliteLog};
use crossdock::log::{EventLog as _, TopicSpec};
use crossdock::normalize::AdapterSet;
use crossdock::schema::Catalogue;
use crossdock::store::sqlite::SqliteStore;
use crossdock::telemetry::metrics::Metrics;
use tokio::sync::watch;
use uuid::Uuid;

/// Asks this program to be the door; the configuration file follows.
pub const FLAG: &str = "--door-alone";

/// Serves until it is killed.
pub fn run(configuration: &Path) {
    let sources =
        Sources { file: Some(configuration.to_owned()), environment: Environment::of_process(), flags: Vec::new() };
    let layers = Layers::open(sources).expect("the configuration can be read");
    let folders = layers.folders().expect("folders");
    let adapters = AdapterSet::load(&folders.mappings_dir, &folders.schemas_dir).expect("the adapters are sound");
    let settings = layers.settings(&adapters.parameters()).expect("the configuration is sound");
    // As the gateway's own: a worker for each CPU.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(serve(&settings, &adapters));
}

async fn serve(settings: &Settings, adapters: &AdapterSet) {
    std::fs::create_dir_all(&settings.data_dir).expect("the data folder");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = Options { group_commit_delay: settings.log.group_commit_delay, clock: Arc::clone(&clock) };
    let log = SqliteLog::open(&settings.data_dir.join("log.db"), options).expect("a log");
    let (partitions, max_record_bytes) = (settings.log.partitions, 16 << 20);
    let intake = TopicSpec { name: INTAKE.to_owned(), partitions, max_record_bytes, retention: None };
    log.create_topic(&intake).await.expect("the topic");
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let deps = Deps {
        log,
        store: SqliteStore::open(&settings.data_dir.join("store.db"), Default::default()).expect("a store"),
        catalogue: Arc::new(Catalogue::load(&settings.schemas_dir).expect("schemas")),
        metrics: Arc::clone(&metrics),
        clock,
        new_id: Arc::new(Uuid::new_v4),
    };
    let door = Arc::new(Door::new(deps, &settings.door));
    let bindings: Vec<_> = settings.bindings.iter().cloned().map(Arc::new).collect();
    door.install(Installation::of(adapters, &bindings).expect("routes")).expect("routes");
    let limits = Limits {
        max_connections: settings.door.max_connections,
        head_timeout: settings.door.read_timeout,
        connections: metrics.door_connections.clone(),
    };
    let server = Server::bind(settings.door.listen, limits).await.expect("a free port");
    let address = server.local_addr().expect("an address");
    // In the form of the gateway's own log line.
    eprintln!(r#"{{"message":"gateway is ready","door":"{address}","ops":""}}"#);
    let (_never, stop) = watch::channel(false);
    server.serve(Arc::new(move |request| door.handle(request)), stop, Duration::ZERO).await;
}
