//! What every concern is configured by. The commented default file says what each key means.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::config::binding::Binding;
use crate::config::secret::Secret;

#[derive(Debug, Clone)]
pub struct Settings {
    pub data_dir: PathBuf,
    pub mappings_dir: PathBuf,
    pub schemas_dir: PathBuf,
    /// `serve` without a configuration file: loopback only, generated secrets, no rate limits.
    pub developer: bool,
    pub door: DoorSettings,
    pub ops: OpsSettings,
    pub log: LogSettings,
    pub store: StoreSettings,
    /// `None`: schemas and their ids come from `schemas_dir` alone.
    pub registry: Option<RegistrySettings>,
    pub reader: ReaderSettings,
    pub sequence: SequenceSettings,
    pub telemetry: TelemetrySettings,
    /// How long a stop may take before what is left is cut off.
    pub shutdown_timeout: Duration,
    pub operators: Vec<Operator>,
    pub bindings: Vec<Binding>,
}

#[derive(Debug, Clone)]
pub struct DoorSettings {
    pub listen: SocketAddr,
    /// For the head of a request, and again for its body.
    pub read_timeout: Duration,
    pub max_connections: usize,
    /// Bodies being held in memory at once, all connections together; beyond it requests wait, then 503.
    pub max_body_bytes_in_flight: usize,
    /// How long an append may take before the sender is told 503.
    pub append_timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct OpsSettings {
    pub listen: SocketAddr,
}

#[derive(Debug, Clone)]
pub struct LogSettings {
    pub engine: LogEngine,
    /// Partitions of the internal topics and of the published ones the gateway creates.
    pub partitions: u32,
    /// Internal topics are kept this long behind the committed offset.
    pub replay_window: Duration,
    /// Published topics of the embedded log are kept this long.
    pub retention: Duration,
    /// Longest wait for company before a group commit; 0 commits at once what is there.
    pub group_commit_delay: Duration,
}

/// Where the event log is.
#[derive(Debug, Clone)]
pub enum LogEngine {
    /// One file in `data_dir`.
    Sqlite,
    Kafka(Box<KafkaSettings>),
}

/// How a Kafka cluster is reached, and how this process appears in it.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// `host:port`, several separated by commas.
    pub bootstrap_servers: String,
    pub security: KafkaSecurity,
    /// Name in the cluster's logs and quotas.
    pub client_id: String,
    /// One process's own, and the same at each of its starts.
    pub transactional_id: String,
    /// Copies of each partition of the topics the gateway creates; `None`: the cluster's default.
    pub replication_factor: Option<u16>,
    pub group_protocol: GroupProtocol,
    /// A member silent for so long loses its lanes.
    pub session_timeout: Duration,
    /// Longest time the transaction of a dead process can hide what others wrote behind it.
    pub transaction_timeout: Duration,
    /// Until a call that cannot reach the cluster gives up.
    pub request_timeout: Duration,
    /// Further settings of librdkafka by its own names, none that has a key here or that a promise depends on.
    pub librdkafka: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaSecurity {
    Plaintext,
    Tls(TlsSettings),
    /// `tls: None` shows the password, or what proves it, to whoever can read the connection.
    Sasl {
        mechanism: SaslMechanism,
        username: String,
        password: Secret,
        tls: Option<TlsSettings>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

/// How the members of a group agree on who owns which lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The members decide, cooperative-sticky.
    Classic,
    /// The brokers decide (KIP-848).
    Consumer,
}

/// Whom to trust and whom to be, in files of PEM form that could be read at the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The authorities to trust, and no others; `None`: those this machine trusts.
    pub ca: Option<PathBuf>,
    pub client: Option<ClientCertificate>,
}

/// Shows the other side who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate first, then those that sign it.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone)]
pub struct StoreSettings {
    pub engine: StoreEngine,
    pub payloads_for: Duration,
    /// Events no order's state guards are published once in this time.
    pub events_for: Duration,
    pub ledger_for: Duration,
    pub orders_for: Duration,
    pub failures_for: Duration,
}

/// Where the store is.
#[derive(Debug, Clone)]
pub enum StoreEngine {
    /// One file in `data_dir`.
    Sqlite,
    Postgres(Box<PostgresSettings>),
}

#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// `postgresql://user@host:port/database`.
    pub url: Secret,
    /// In place of one in the URL.
    pub password: Option<Secret>,
    /// Holds the tables.
    pub schema: String,
    pub tls: PostgresTls,
    /// Most connections at once.
    pub max_connections: usize,
    pub connect_timeout: Duration,
    /// Of each statement and each wait for a lock; longer than `idle_in_transaction_session_timeout`.
    pub statement_timeout: Duration,
    /// How long an owner that froze in the middle of a write keeps its lane from the next one.
    pub idle_in_transaction_session_timeout: Duration,
}

/// libpq's `sslmode`, those of its modes that promise something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresTls {
    Disable,
    /// Encrypted, to whoever answers.
    Require {
        client: Option<ClientCertificate>,
    },
    /// Encrypted, to a server whose certificate is valid for the URL's host.
    VerifyFull(TlsSettings),
}

/// How a schema registry is reached.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// http or https; the registry's paths follow behind its own.
    pub url: Url,
    pub auth: Option<RegistryAuth>,
    pub tls: TlsSettings,
    /// From the request to the end of the answer.
    pub request_timeout: Duration,
    /// The first wait after a failure; each further one is about twice as long, up to `retry_backoff_max`.
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryAuth {
    Basic { username: String, password: Secret },
    Bearer(Secret),
}

#[derive(Debug, Clone)]
pub struct ReaderSettings {
    /// Most records a consumer group has in memory at once.
    pub batch_records: usize,
    pub batch_bytes: usize,
}

#[derive(Debug, Clone)]
pub struct SequenceSettings {
    pub parked_for: Duration,
    pub tombstone_for: Duration,
    /// Updates of one order that may wait for its creation.
    pub max_parked_per_order: usize,
    /// Most records decided in one step of a lane.
    pub batch_records: usize,
    pub batch_bytes: usize,
}

#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    pub log_format: LogFormat,
    /// An `EnvFilter` directive list, e.g. `info,crossdock::door=debug`.
    pub log_filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

/// Someone who may use the operations API.
#[derive(Debug, Clone)]
pub struct Operator {
    pub name: String,
    pub token: Secret,
    pub roles: Vec<Role>,
    /// Empty: every tenant.
    pub tenants: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    Viewer,
    Writer,
    Operator,
    Editor,
    Admin,
    Client,
}

impl Role {
    /// The role a configuration file names.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "viewer" => Some(Self::Viewer),
            "writer" => Some(Self::Writer),
            "operator" => Some(Self::Operator),
            "editor" => Some(Self::Editor),
            "admin" => Some(Self::Admin),
            "client" => Some(Self::Client),
            _ => None,
        }
    }
}
