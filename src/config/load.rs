//! Reads [`Settings`]: every key by name, type and range.

mod courier;
mod kafka;
mod postgres;
mod registry;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use toml_edit::Item;
use tracing_subscriber::EnvFilter;

use crate::config::binding::Binding;
use crate::config::layers::AdapterParameters;
use crate::config::reader::{ByteSize, FromItem, Section};
use crate::config::resolve;
use crate::config::secret::Resolver;
use crate::config::settings::{
    DoorSettings, LogEngine, LogFormat, LogSettings, OpsSettings, ReaderSettings, SequenceSettings, Settings,
    StoreEngine, StoreSettings, TelemetrySettings,
};

pub(super) use courier::Profiles;
pub(super) use registry::registry;

/// For what is waited on by something that waits itself.
const SHORTEST: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// Ten years: longer is a slip of the unit.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

/// `None` if anything was reported.
pub(super) fn settings(
    root: Section<'_>,
    adapters: &AdapterParameters,
    secrets: &Resolver<'_>,
    developer: bool,
) -> Option<Settings> {
    let (data_dir, mappings_dir) = (root.required("data_dir"), root.required("mappings_dir"));
    let schemas_dir = root.required("schemas_dir");
    let shutdown_timeout = root.within("shutdown_timeout", SECOND..=HOUR);
    let door = root.section("door").and_then(|section| door(section, developer));
    let ops = root.section("ops").and_then(|section| ops(section, developer, door.as_ref()));
    let log_section = root.section("log");
    // Asked apart: the store has to fit also while something else about the log is wrong.
    let needs_server = log_section.as_ref().is_some_and(|section| section.is("engine", "kafka"));
    let log = log_section.and_then(|section| log(section, secrets));
    let reader = root.section("reader").and_then(reader);
    let sequence = root.section("sequence").and_then(sequence);
    let store = root.section("store").and_then(|section| store(section, sequence.as_ref(), needs_server, secrets));
    let registry = registry(&root, secrets);
    let telemetry = root.section("telemetry").and_then(telemetry);
    let operators = resolve::operators(&root, secrets);
    let bindings = bindings(&root, adapters, secrets);
    root.finish();
    Some(Settings {
        data_dir: data_dir?,
        mappings_dir: mappings_dir?,
        schemas_dir: schemas_dir?,
        developer,
        door: door?,
        ops: ops?,
        log: log?,
        store: store?,
        registry: registry?,
        reader: reader?,
        sequence: sequence?,
        telemetry: telemetry?,
        shutdown_timeout: shutdown_timeout?,
        operators,
        bindings: bindings?,
    })
}

/// The bindings, with how their systems are called.
pub(super) fn bindings(
    root: &Section<'_>,
    adapters: &AdapterParameters,
    secrets: &Resolver<'_>,
) -> Option<Vec<Binding>> {
    let courier = root.section("courier").map(courier::profiles)?;
    Some(resolve::bindings(root, adapters, &courier, secrets))
}

fn door(section: Section<'_>, developer: bool) -> Option<DoorSettings> {
    let listen = address(&section, developer);
    let read_timeout = section.within("read_timeout", SHORTEST..=HOUR);
    let max_connections = section.within("max_connections", 1..=1_000_000);
    // The least holds the largest body any route accepts, so that no sender waits for ever.
    let in_flight = section.within("max_body_bytes_in_flight", ByteSize(16 << 20)..=ByteSize(64 << 30));
    let append_timeout = section.within("append_timeout", SHORTEST..=HOUR);
    section.finish();
    Some(DoorSettings {
        listen: listen?,
        read_timeout: read_timeout?,
        max_connections: max_connections?,
        max_body_bytes_in_flight: in_flight?.0,
        append_timeout: append_timeout?,
    })
}

fn ops(section: Section<'_>, developer: bool, door: Option<&DoorSettings>) -> Option<OpsSettings> {
    let listen = address(&section, developer);
    if let (Some(listen), Some(door)) = (listen, door)
        && listen == door.listen
        && listen.port() != 0
    {
        section.error(Some("listen"), format!("`ops.listen`: `{listen}` is `door.listen` already"));
    }
    section.finish();
    Some(OpsSettings { listen: listen? })
}

fn address(section: &Section<'_>, developer: bool) -> Option<SocketAddr> {
    let listen: SocketAddr = section.required("listen")?;
    if developer && !listen.ip().is_loopback() {
        let message = format!("without a configuration file: expected a loopback address, found `{listen}`");
        section.error(Some("listen"), message);
    }
    Some(listen)
}

pub(super) fn log(section: Section<'_>, secrets: &Resolver<'_>) -> Option<LogSettings> {
    let is_kafka = section.one_of("engine", &[("sqlite", false), ("kafka", true)]);
    let kafka = section.section("kafka").map(|kafka| kafka::read(kafka, is_kafka == Some(true), secrets));
    let engine = match is_kafka {
        Some(true) => kafka.flatten().map(|kafka| LogEngine::Kafka(Box::new(kafka))),
        Some(false) => Some(LogEngine::Sqlite),
        None => None,
    };
    let partitions = section.within("partitions", 1..=1000);
    let replay_window = section.within("replay_window", HOUR..=LONGEST);
    let retention = section.within("retention", HOUR..=LONGEST);
    let group_commit_delay = section.within("group_commit_delay", Duration::ZERO..=SECOND);
    section.finish();
    Some(LogSettings {
        engine: engine?,
        partitions: partitions?,
        replay_window: replay_window?,
        retention: retention?,
        group_commit_delay: group_commit_delay?,
    })
}

/// `needs_server`: the log is one of several gateways', which the store has to be too.
fn store(
    section: Section<'_>,
    sequence: Option<&SequenceSettings>,
    needs_server: bool,
    secrets: &Resolver<'_>,
) -> Option<StoreSettings> {
    let is_postgres = section.one_of("engine", &[("sqlite", false), ("postgres", true)]);
    if is_postgres == Some(false) && needs_server {
        section.refuse("engine", "\"postgres\" beside `log.engine = \"kafka\"`", "\"sqlite\", one machine's own");
    }
    let postgres =
        section.section("postgres").map(|section| postgres::read(section, is_postgres == Some(true), secrets));
    let engine = match is_postgres {
        Some(true) => postgres.flatten().map(|postgres| StoreEngine::Postgres(Box::new(postgres))),
        Some(false) => Some(StoreEngine::Sqlite),
        None => None,
    };
    let payloads_for = section.within("payloads_for", HOUR..=LONGEST);
    let events_for = section.within("events_for", HOUR..=LONGEST);
    let ledger_for = section.within("ledger_for", HOUR..=LONGEST);
    let orders_for = section.within("orders_for", HOUR..=LONGEST);
    let failures_for = section.within("failures_for", HOUR..=LONGEST);
    if let (Some(orders_for), Some(sequence)) = (orders_for, sequence)
        && orders_for < sequence.tombstone_for
    {
        let message = "`store.orders_for`: expected at least `sequence.tombstone_for`, found less";
        section.error(Some("orders_for"), message);
    }
    section.finish();
    Some(StoreSettings {
        engine: engine?,
        payloads_for: payloads_for?,
        events_for: events_for?,
        ledger_for: ledger_for?,
        orders_for: orders_for?,
        failures_for: failures_for?,
    })
}

fn reader(section: Section<'_>) -> Option<ReaderSettings> {
    let batch_records = section.within("batch_records", 1..=10_000);
    let batch_bytes = section.within("batch_bytes", ByteSize(64 << 10)..=ByteSize(1 << 30));
    section.finish();
    Some(ReaderSettings { batch_records: batch_records?, batch_bytes: batch_bytes?.0 })
}

fn sequence(section: Section<'_>) -> Option<SequenceSettings> {
    let parked_for = section.within("parked_for", SECOND..=LONGEST);
    let tombstone_for = section.within("tombstone_for", SECOND..=LONGEST);
    let max_parked_per_order = section.within("max_parked_per_order", 1..=10_000);
    let batch_records = section.within("batch_records", 1..=10_000);
    let batch_bytes = section.within("batch_bytes", ByteSize(64 << 10)..=ByteSize(1 << 30));
    section.finish();
    Some(SequenceSettings {
        parked_for: parked_for?,
        tombstone_for: tombstone_for?,
        max_parked_per_order: max_parked_per_order?,
        batch_records: batch_records?,
        batch_bytes: batch_bytes?.0,
    })
}

fn telemetry(section: Section<'_>) -> Option<TelemetrySettings> {
    let log_format = section.required("log_format");
    let log_filter: Option<String> = section.required("log_filter");
    if let Some(Err(error)) = log_filter.as_ref().map(EnvFilter::try_new) {
        section.error(Some("log_filter"), format!("`telemetry.log_filter`: {error}"));
    }
    section.finish();
    Some(TelemetrySettings { log_format: log_format?, log_filter: log_filter? })
}

impl FromItem for LogFormat {
    const EXPECTED: &'static str = "\"auto\", \"text\" or \"json\"";
    fn from_item(item: &Item) -> Option<Self> {
        match item.as_str()? {
            "auto" => Some(Self::Auto),
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}
