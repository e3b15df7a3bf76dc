//! Opens the engines the configuration names. From here on nothing knows which ones run.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::settings::{
    ClientCertificate, GroupProtocol, KafkaSecurity, KafkaSettings, LogEngine, PostgresSettings, PostgresTls,
    SaslMechanism, Settings, StoreEngine, TlsSettings,
};
use crate::gateway::Error;
use crate::log::kafka::{self, KafkaLog};
use crate::log::sqlite::SqliteLog;
use crate::log::{self, EventLog};
use crate::store::postgres::{self, PostgresStore};
use crate::store::sqlite::SqliteStore;
use crate::store::{self, Store};

pub(super) struct Engines {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
}

pub(super) async fn open(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Engines, Error> {
    let path = &settings.data_dir;
    std::fs::create_dir_all(path).map_err(|cause| Error::DataDir { path: path.clone(), cause })?;
    let log: Arc<dyn EventLog> = match &settings.log.engine {
        LogEngine::Sqlite => {
            let group_commit_delay = settings.log.group_commit_delay;
            let options = log::sqlite::Options { group_commit_delay, clock: Arc::clone(clock) };
            SqliteLog::open(&path.join("log.db"), options)?
        }
        LogEngine::Kafka(kafka) => KafkaLog::open(kafka_options(kafka)).await?,
    };
    let store: Arc<dyn Store> = match &settings.store.engine {
        StoreEngine::Sqlite => SqliteStore::open(&path.join("store.db"), store::sqlite::Options::default())?,
        StoreEngine::Postgres(postgres) => PostgresStore::open(postgres_options(postgres)).await?,
    };
    Ok(Engines { log, store })
}

/// What `[log.kafka]` says, for the log's clients.
pub(crate) fn kafka_options(settings: &KafkaSettings) -> kafka::Options {
    let mut options = kafka::Options::new(&settings.bootstrap_servers, &settings.transactional_id);
    options.security = match &settings.security {
        KafkaSecurity::Plaintext => kafka::Security::Plaintext,
        KafkaSecurity::Tls(tls) => kafka::Security::Tls(kafka_tls(tls)),
        KafkaSecurity::Sasl { mechanism, username, password, tls } => kafka::Security::Sasl {
            mechanism: match mechanism {
                SaslMechanism::Plain => kafka::Mechanism::Plain,
                SaslMechanism::ScramSha256 => kafka::Mechanism::ScramSha256,
                SaslMechanism::ScramSha512 => kafka::Mechanism::ScramSha512,
            },
            username: username.clone(),
            password: password.clone(),
            tls: tls.as_ref().map(kafka_tls),
        },
    };
    options.client_id.clone_from(&settings.client_id);
    options.session_timeout = settings.session_timeout;
    options.transaction_timeout = settings.transaction_timeout;
    options.request_timeout = settings.request_timeout;
    options.replication = settings.replication_factor;
    options.group_protocol = match settings.group_protocol {
        GroupProtocol::Classic => kafka::GroupProtocol::Classic,
        GroupProtocol::Consumer => kafka::GroupProtocol::Consumer,
    };
    options.settings.clone_from(&settings.librdkafka);
    // A static member: started again after a crash, a gateway has its lanes back at once, not after a session time-out.
    // A broker that assigns lanes itself would turn it away until the one before has timed out.
    if options.group_protocol == kafka::GroupProtocol::Classic {
        let instance = || settings.transactional_id.clone();
        options.settings.entry("group.instance.id".to_owned()).or_insert_with(instance);
    }
    options
}

fn kafka_tls(tls: &TlsSettings) -> kafka::Tls {
    let identity = |client: &ClientCertificate| kafka::Identity {
        certificate: client.certificate.clone(),
        key: client.key.clone(),
    };
    kafka::Tls { ca: tls.ca.clone(), identity: tls.client.as_ref().map(identity) }
}

fn postgres_options(settings: &PostgresSettings) -> postgres::Options {
    let client = |client: &ClientCertificate| postgres::ClientCertificate {
        chain: client.certificate.clone(),
        key: client.key.clone(),
    };
    let mut options = postgres::Options::new(settings.url.clone());
    options.password.clone_from(&settings.password);
    options.schema.clone_from(&settings.schema);
    options.tls = match &settings.tls {
        PostgresTls::Disable => postgres::Tls::Off,
        PostgresTls::Require { client: shown } => postgres::Tls::Require { client: shown.as_ref().map(client) },
        PostgresTls::VerifyFull(TlsSettings { ca, client: shown }) => {
            postgres::Tls::VerifyFull { ca: ca.clone(), client: shown.as_ref().map(client) }
        }
    };
    options.connections = settings.max_connections;
    options.connect_timeout = settings.connect_timeout;
    options.statement_timeout = settings.statement_timeout;
    options.idle_transaction_timeout = settings.idle_in_transaction_session_timeout;
    options
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::config::secret::Secret;

    fn configured(security: KafkaSecurity) -> kafka::Options {
        kafka_options(&KafkaSettings {
            bootstrap_servers: "kafka:9092".to_owned(),
            security,
            client_id: "dock".to_owned(),
            transactional_id: "dock-7".to_owned(),
            replication_factor: Some(3),
            group_protocol: GroupProtocol::Classic,
            session_timeout: Duration::from_secs(11),
            transaction_timeout: Duration::from_secs(12),
            request_timeout: Duration::from_secs(13),
            librdkafka: BTreeMap::from([("client.rack".to_owned(), "a".to_owned())]),
        })
    }
    #[test]
    fn what_is_configured_reaches_the_clients() {
        let options = configured(KafkaSecurity::Plaintext);

        let (committer, member) = (options.committer(), options.member("group"));
        for (client, setting, expected) in [
            (&committer, "bootstrap.servers", "kafka:9092"),
            (&committer, "client.id", "dock"),
            (&committer, "client.rack", "a"),
            (&committer, "transactional.id", "dock-7"),
            (&committer, "transaction.timeout.ms", "12000"),
            (&committer, "security.protocol", "PLAINTEXT"),
            (&member, "session.timeout.ms", "11000"),
            (&member, "partition.assignment.strategy", "cooperative-sticky"),
        ] {
            assert_eq!(client.get(setting), Some(expected), "{setting}");
        }
        assert_eq!((options.replication, options.request_timeout), (Some(3), Duration::from_secs(13)));
    }

    #[test]
    fn whom_to_trust_and_whom_to_be_reaches_the_clients() {
        let client = ClientCertificate { certificate: "dock.pem".into(), key: "dock.key".into() };
        let tls = TlsSettings { ca: Some("ca.pem".into()), client: Some(client) };
        let sasl = |mechanism, tls| KafkaSecurity::Sasl {
            mechanism,
            username: "dock".to_owned(),
            password: Secret::new("secret"),
            tls,
        };
        for (security, protocol, mechanism) in [
            (KafkaSecurity::Tls(tls.clone()), "SSL", None),
            (sasl(SaslMechanism::Plain, None), "SASL_PLAINTEXT", Some("PLAIN")),
            (sasl(SaslMechanism::ScramSha256, Some(tls.clone())), "SASL_SSL", Some("SCRAM-SHA-256")),
            (sasl(SaslMechanism::ScramSha512, Some(tls)), "SASL_SSL", Some("SCRAM-SHA-512")),
        ] {
            let admin = configured(security).admin();

            let has_tls = protocol.ends_with("SSL");
            assert_eq!(admin.get("security.protocol"), Some(protocol));
            assert_eq!(admin.get("sasl.mechanism"), mechanism, "{protocol}");
            assert_eq!(admin.get("sasl.password"), mechanism.map(|_| "secret"), "{protocol}");
            assert_eq!(admin.get("ssl.ca.location"), has_tls.then_some("ca.pem"), "{protocol}");
            assert_eq!(admin.get("ssl.key.location"), has_tls.then_some("dock.key"), "{protocol}");
        }
    }
}
