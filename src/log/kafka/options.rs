//! How the clients of one Kafka cluster are set up: what an operator chooses, and what this engine stands on.
//!
//! Settings are laid down in three layers: defaults that may be changed, the operator's own
//! [`settings`](Options::settings), and last what the promises of the log depend on, which nothing can take away.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use crate::config::secret::Secret;
use crate::log::Error;

/// Above what any topic allows: the limit of a record is its topic's.
const MAX_REQUEST_BYTES: usize = 96 * 1024 * 1024;
/// The largest batch; a topic that allows less takes its records one by one.
pub const BATCH_BYTES: usize = 1_000_000;

/// How a cluster is reached and how this process appears in it.
#[derive(Debug, Clone)]
pub struct Options {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    pub security: Security,
    /// Name in the cluster's logs and quotas.
    pub client_id: String,
    /// The same for every start of one process slot, and no other process's: a second process that uses it fences
    /// the first one.
    pub transactional_id: String,
    /// A member silent for so long loses its lanes. With [`GroupProtocol::Consumer`] the broker decides this.
    pub session_timeout: Duration,
    /// How long the transaction of a dead process can hide what others wrote behind it.
    pub transaction_timeout: Duration,
    /// Until a call that cannot reach the cluster gives up; also how long an append is tried.
    pub request_timeout: Duration,
    /// Copies of each partition of topics made here; `None`: the broker's default.
    pub replication: Option<u16>,
    pub group_protocol: GroupProtocol,
    /// Further settings of librdkafka, by its names. Those the log's promises depend on cannot be changed.
    pub settings: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default)]
pub enum Security {
    #[default]
    Plaintext,
    Tls(Tls),
    /// `tls: None` sends the password (PLAIN) or its proof (SCRAM) over a connection anyone can read.
    Sasl {
        mechanism: Mechanism,
        username: String,
        password: Secret,
        tls: Option<Tls>,
    },
}

/// Files in PEM form.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// `None`: the authorities this machine trusts.
    pub ca: Option<PathBuf>,
    pub identity: Option<Identity>,
}

/// The certificate this process shows, and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

/// How members of a group agree on who owns which lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Members assign the lanes among themselves, cooperative-sticky: a lane that stays is not interrupted.
    #[default]
    Classic,
    /// The broker assigns them (KIP-848; brokers from 4.0 on).
    Consumer,
}

impl Options {
    pub fn new(bootstrap: impl Into<String>, transactional_id: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            security: Security::default(),
            client_id: "crossdock".to_owned(),
            transactional_id: transactional_id.into(),
            session_timeout: Duration::from_secs(30),
            transaction_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(10),
            replication: None,
            group_protocol: GroupProtocol::default(),
            settings: BTreeMap::new(),
        }
    }

    /// Finds what this build cannot do.
    pub fn check(&self) -> Result<(), Error> {
        let needs_openssl = match &self.security {
            Security::Plaintext => false,
            Security::Tls(_) => true,
            Security::Sasl { mechanism, tls, .. } => tls.is_some() || *mechanism != Mechanism::Plain,
        };
        if needs_openssl && !cfg!(feature = "kafka-tls") {
            return Err(self.unusable("TLS and SCRAM are configured, this build has neither: feature `kafka-tls`"));
        }
        Ok(())
    }

    pub fn unusable(&self, reason: impl Into<String>) -> Error {
        Error::Unusable { path: self.bootstrap.clone(), reason: reason.into() }
    }

    /// A client that could not be made. Never shows the value of a setting, which may be a secret.
    pub fn refused(&self, error: &KafkaError) -> Error {
        match error {
            KafkaError::ClientConfig(_, description, key, _) => {
                self.unusable(format!("setting `{key}`: {description}"))
            }
            error => self.unusable(error.to_string()),
        }
    }

    /// Metadata, bounds and committed offsets; sees what is not yet committed. Its group is never joined: librdkafka
    /// 2.12 ends the process when a broker that is no coordinator (yet) is asked for offsets by a client without one.
    pub fn probe(&self) -> ClientConfig {
        let mut config = self.layered([]);
        config.set("group.id", format!("{}.probe", self.client_id));
        config.set("isolation.level", "read_uncommitted");
        config
    }

    pub fn admin(&self) -> ClientConfig {
        self.layered([])
    }

    /// Everything outside lanes. `linger.ms`: what arrives together is sent together, which spares both sides work.
    pub fn appender(&self) -> ClientConfig {
        let mut config = self.layered([("linger.ms", "2"), ("queue.buffering.max.kbytes", "131072")]);
        config.set("message.timeout.ms", millis(self.request_timeout));
        guard_producer(&mut config);
        config
    }

    /// The lanes' transactions. Their batches end with a flush, so lingering would only delay. `retry.backoff.ms`: a
    /// transaction that begins at once is refused until the one before is marked everywhere, some milliseconds later.
    pub fn committer(&self) -> ClientConfig {
        let mut config =
            self.layered([("linger.ms", "0"), ("queue.buffering.max.kbytes", "131072"), ("retry.backoff.ms", "2")]);
        config.set("transactional.id", &self.transactional_id);
        config.set("transaction.timeout.ms", millis(self.transaction_timeout));
        config.set("message.timeout.ms", millis(self.transaction_timeout));
        guard_producer(&mut config);
        config
    }

    /// Reads partitions by offset, without a group. `fetch.wait.max.ms` is how long a newly opened partition waits
    /// for the fetch under way; `fetch.queue.backoff.ms` the time a full queue sleeps (one second by default, which
    /// made recovery fifty times slower).
    pub fn reader(&self) -> ClientConfig {
        let mut config = self.layered([
            ("fetch.wait.max.ms", "100"),
            ("fetch.queue.backoff.ms", "1"),
            ("queued.max.messages.kbytes", "2048"),
            ("queued.min.messages", "10000"),
        ]);
        // Never joined: librdkafka wants one before it lets a consumer have partitions.
        config.set("group.id", format!("{}.reader", self.client_id));
        config.set("enable.partition.eof", "true");
        guard_consumer(&mut config);
        config
    }

    /// Membership of a group, which decides who owns a lane; it fetches nothing.
    pub fn member(&self, group: &str) -> ClientConfig {
        let mut config = self.layered([]);
        self.join(&mut config, group);
        guard_consumer(&mut config);
        config
    }

    fn join(&self, config: &mut ClientConfig, group: &str) {
        config.set("group.id", group);
        match self.group_protocol {
            GroupProtocol::Classic => {
                config.set("partition.assignment.strategy", "cooperative-sticky");
                config.set("session.timeout.ms", millis(self.session_timeout));
            }
            GroupProtocol::Consumer => {
                config.set("group.protocol", "consumer");
            }
        }
    }

    /// Membership of a group by a reader of its topics. Each partition has a queue of its own, so the limits are each
    /// partition's. `topic.metadata.refresh.interval.ms`: after so long a new topic is read.
    pub fn subscriber(&self, group: &str) -> ClientConfig {
        let mut config = self.layered([
            ("fetch.wait.max.ms", "100"),
            ("fetch.queue.backoff.ms", "1"),
            ("fetch.message.max.bytes", "524288"),
            ("queued.max.messages.kbytes", "512"),
            ("queued.min.messages", "10000"),
            ("topic.metadata.refresh.interval.ms", "5000"),
        ]);
        self.join(&mut config, group);
        if self.group_protocol == GroupProtocol::Classic {
            // Of the process slot and the group, so that one name is one member, started again or not. A broker that
            // assigns partitions itself would turn the second one away until the first has timed out.
            config.set("group.instance.id", format!("{}.{group}", self.transactional_id));
        }
        guard_consumer(&mut config);
        config.set("auto.offset.reset", "earliest");
        config
    }

    fn layered<const N: usize>(&self, defaults: [(&str, &str); N]) -> ClientConfig {
        let mut config = ClientConfig::new();
        // Ten seconds by default: a broker would be back for as long before it is noticed.
        config.set("reconnect.backoff.max.ms", "500");
        for (key, value) in defaults {
            config.set(key, value);
        }
        for (key, value) in &self.settings {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.bootstrap);
        config.set("client.id", &self.client_id);
        self.secure(&mut config);
        config
    }

    fn secure(&self, config: &mut ClientConfig) {
        let (protocol, tls) = match &self.security {
            Security::Plaintext => ("PLAINTEXT", None),
            Security::Tls(tls) => ("SSL", Some(tls)),
            Security::Sasl { mechanism, username, password, tls } => {
                config.set("sasl.mechanism", mechanism.name());
                config.set("sasl.username", username);
                config.set("sasl.password", password.reveal());
                (if tls.is_some() { "SASL_SSL" } else { "SASL_PLAINTEXT" }, tls.as_ref())
            }
        };
        config.set("security.protocol", protocol);
        let Some(tls) = tls else { return };
        // `probe`: the usual places; OpenSSL built into the program knows none of this machine's.
        let ca = tls.ca.as_ref().map_or_else(|| "probe".to_owned(), |path| path.display().to_string());
        config.set("ssl.ca.location", ca);
        if let Some(identity) = &tls.identity {
            config.set("ssl.certificate.location", identity.certificate.display().to_string());
            config.set("ssl.key.location", identity.key.display().to_string());
        }
    }
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// The platform's producer settings: `acks=all`, snappy, idempotent, five requests in flight. Every record names its
/// partition; the partitioner only keeps librdkafka's own default, which is not Kafka's, from ever deciding.
fn guard_producer(config: &mut ClientConfig) {
    config.set("acks", "all");
    config.set("enable.idempotence", "true");
    config.set("max.in.flight.requests.per.connection", "5");
    config.set("compression.type", "snappy");
    config.set("partitioner", "murmur2_random");
    config.set("batch.size", BATCH_BYTES.to_string());
    config.set("message.max.bytes", MAX_REQUEST_BYTES.to_string());
}

/// `auto.offset.reset=error`: an offset that is gone is an answer, not a reason to skip records in silence.
fn guard_consumer(config: &mut ClientConfig) {
    config.set("isolation.level", "read_committed");
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("auto.offset.reset", "error");
    config.set("allow.auto.create.topics", "false");
}

fn millis(duration: Duration) -> String {
    duration.as_millis().clamp(1, 2_000_000_000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sasl(mechanism: Mechanism, tls: Option<Tls>) -> Options {
        let password = Secret::new("hunter2");
        let security = Security::Sasl { mechanism, username: "gateway".to_owned(), password, tls };
        Options { security, ..Options::new("broker:9093", "slot-1") }
    }

    #[test]
    fn what_the_promises_depend_on_cannot_be_set() {
        let mut options = Options::new("broker:9092", "slot-1");
        for key in ["acks", "enable.idempotence", "isolation.level", "enable.auto.commit", "auto.offset.reset"] {
            options.settings.insert(key.to_owned(), "other".to_owned());
        }
        options.settings.insert("linger.ms".to_owned(), "7".to_owned());

        let (appender, reader) = (options.appender(), options.reader());

        assert_eq!(appender.get("acks"), Some("all"));
        assert_eq!(appender.get("enable.idempotence"), Some("true"));
        assert_eq!(appender.get("linger.ms"), Some("7"));
        assert_eq!(reader.get("isolation.level"), Some("read_committed"));
        assert_eq!(reader.get("enable.auto.commit"), Some("false"));
        assert_eq!(reader.get("auto.offset.reset"), Some("error"));
    }

    #[test]
    fn the_security_protocol_follows_from_mechanism_and_tls() {
        let tls = || Some(Tls::default());
        for (options, protocol, mechanism) in [
            (Options::new("broker:9092", "slot-1"), "PLAINTEXT", None),
            (Options { security: Security::Tls(Tls::default()), ..Options::new("b:1", "s") }, "SSL", None),
            (sasl(Mechanism::Plain, None), "SASL_PLAINTEXT", Some("PLAIN")),
            (sasl(Mechanism::ScramSha256, tls()), "SASL_SSL", Some("SCRAM-SHA-256")),
            (sasl(Mechanism::ScramSha512, tls()), "SASL_SSL", Some("SCRAM-SHA-512")),
        ] {
            let config = options.member("group");
            assert_eq!(config.get("security.protocol"), Some(protocol));
            assert_eq!(config.get("sasl.mechanism"), mechanism, "{protocol}");
            assert_eq!(config.get("ssl.ca.location").is_some(), protocol.ends_with("SSL"), "{protocol}");
        }
    }

    #[test]
    fn every_protocol_is_accepted_by_this_build_of_librdkafka_or_refused_by_check() {
        for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
            for tls in [None, Some(Tls::default())] {
                let options = sasl(mechanism, tls);
                let made = options.admin().create::<rdkafka::producer::BaseProducer>();
                assert_eq!(made.is_ok(), options.check().is_ok(), "{options:?}: {:?}", made.err());
            }
        }
    }

    #[test]
    fn a_refused_setting_is_named_and_its_value_is_not() {
        let mut options = sasl(Mechanism::Plain, None);
        options.settings.insert("sasl.oauthbearer.config".to_owned(), "x".to_owned());
        options.settings.insert("no.such.setting".to_owned(), "s3cret".to_owned());

        let error = options.admin().create::<rdkafka::producer::BaseProducer>().err().unwrap();
        let error = options.refused(&error).to_string();

        assert!(error.contains("`no.such.setting`"), "{error}");
        assert!(!error.contains("s3cret") && !format!("{options:?}").contains("hunter2"), "{error}");
    }
}
