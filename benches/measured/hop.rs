//! A hop alone, as a process of its own: the library's door or reader over the configured log, without a sequencer.
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
use crossdock::config::settings::{LogEngine, Settings};
use crossdock::door::server::{Limits, Server};
use crossdock::door::{self, Door};
use crossdock::log::kafka::{self, KafkaLog};
use crossdock::log::sqlite::{self, SqliteLog};
use crossdock::log::{EventLog, TopicSpec};
use crossdock::normalize::AdapterSet;
use crossdock::reader::{self, Reader};
use crossdock::schema::Catalogue;
use crossdock::store::sqlite::SqliteStore;
use crossdock::telemetry::metrics::Metrics;
use tokio::sync::watch;
use uuid::Uuid;

/// Asks this program to be the door; the configuration file follows.
pub const DOOR: &str = "--door-alone";
/// The same for the reader.
pub const READER: &str = "--reader-alone";

/// What both hops stand on.
struct Parts {
    settings: Settings,
    adapters: AdapterSet,
    log: Arc<dyn EventLog>,
    catalogue: Arc<Catalogue>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}

/// Serves until it is killed.
pub fn run(hop: &str, configuration: &Path) {
    let sources =
        Sources { file: Some(configuration.to_owned()), environment: Environment::of_process(), flags: Vec::new() };
    let layers = Layers::open(sources).expect("the configuration can be read");
    let folders = layers.folders().expect("folders");
    let adapters = AdapterSet::load(&folders.mappings_dir, &folders.schemas_dir).expect("the adapters are sound");
    let settings = layers.settings(&adapters.parameters()).expect("the configuration is sound");
    // As the gateway's own: a worker for each CPU.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let parts = Parts::open(settings, adapters).await;
        if hop == DOOR { serve(parts).await } else { read(parts).await }
    });
}

impl Parts {
    async fn open(settings: Settings, adapters: AdapterSet) -> Self {
        std::fs::create_dir_all(&settings.data_dir).expect("the data folder");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let log: Arc<dyn EventLog> = match &settings.log.engine {
            LogEngine::Sqlite => {
                let group_commit_delay = settings.log.group_commit_delay;
                let options = sqlite::Options { group_commit_delay, clock: Arc::clone(&clock) };
                SqliteLog::open(&settings.data_dir.join("log.db"), options).expect("a log")
            }
            LogEngine::Kafka(kafka) => {
                let options = kafka::Options::new(&kafka.bootstrap_servers, &kafka.transactional_id);
                KafkaLog::open(options).await.expect("a log")
            }
        };
        let (partitions, max_record_bytes) = (settings.log.partitions, 16 << 20);
        let intake = TopicSpec { name: INTAKE.to_owned(), partitions, max_record_bytes, retention: None };
        log.create_topic(&intake).await.expect("the topic");
        let catalogue = Arc::new(Catalogue::load(&settings.schemas_dir).expect("schemas"));
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        Self { settings, adapters, log, catalogue, metrics, clock }
    }

    fn bindings(&self) -> Vec<Arc<crossdock::config::binding::Binding>> {
        self.settings.bindings.iter().cloned().map(Arc::new).collect()
    }
}

async fn serve(parts: Parts) {
    let bindings = parts.bindings();
    let Parts { settings, adapters, log, catalogue, metrics, clock } = parts;
    let deps = door::Deps {
        log,
        // The door reads orders from it, and none is asked for here.
        store: SqliteStore::open(&settings.data_dir.join("store.db"), Default::default()).expect("a store"),
        catalogue,
        metrics: Arc::clone(&metrics),
        clock,
        new_id: Arc::new(Uuid::new_v4),
    };
    let door = Arc::new(Door::new(deps, &settings.door));
    door.install(door::Installation::of(&adapters, &bindings).expect("routes")).expect("routes");
    let limits = Limits {
        max_connections: settings.door.max_connections,
        head_timeout: settings.door.read_timeout,
        connections: metrics.door_connections.clone(),
    };
    let server = Server::bind(settings.door.listen, limits).await.expect("a free port");
    ready(&server.local_addr().expect("an address").to_string());
    let (_never, stop) = watch::channel(false);
    server.serve(Arc::new(move |request| door.handle(request)), stop, Duration::ZERO).await;
}

async fn read(parts: Parts) {
    let bindings = parts.bindings();
    let Parts { settings, adapters, log, catalogue, metrics, clock } = parts;
    let installation = reader::Installation::of(&adapters, &bindings).expect("topics");
    let reader = Reader::start(reader::Deps {
        log,
        catalogue,
        clock,
        metrics,
        new_id: Arc::new(Uuid::new_v4),
        settings: settings.reader.clone(),
        retention: settings.log.retention,
        pace: reader::Pace::default(),
    });
    reader.install(installation);
    ready("");
    std::future::pending::<()>().await;
}

/// In the form of the gateway's own log line.
fn ready(door: &str) {
    eprintln!(r#"{{"message":"gateway is ready","door":"{door}","ops":""}}"#);
}
