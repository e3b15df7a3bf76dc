//! Where the server is, and what every connection to it promises.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::config::secret::Secret;
use crate::store::Error;

/// How the store is reached. [`Options::new`] sets all but the URL.
#[derive(Debug, Clone)]
pub struct Options {
    /// `postgresql://user@host:port/database`. Of several hosts (`host1:port1,host2:port2`) the one that takes writes
    /// is used, so that a failover needs no new configuration.
    pub url: Secret,
    /// In place of one in the URL.
    pub password: Option<Secret>,
    /// Holds the tables; made if absent. Lower-case letters, digits and `_`, not first a digit, at most 63 bytes.
    pub schema: String,
    pub tls: Tls,
    /// Most connections at once. Each lane writes on one, so have more than lanes.
    pub connections: usize,
    pub connect_timeout: Duration,
    /// Bounds each statement and each wait for a lock. Longer than `idle_transaction_timeout`, or a takeover from a
    /// frozen owner needs more than one try.
    pub statement_timeout: Duration,
    /// How long an owner that froze in the middle of a write keeps its lane from the next one.
    pub idle_transaction_timeout: Duration,
}

/// What the connection to the server is protected by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Nothing: for loopback and private networks.
    Off,
    /// Encrypted, to whoever answers.
    Require { client: Option<ClientCertificate> },
    /// Encrypted, to a server whose certificate is valid for the URL's host. `ca`: a PEM file of the authorities
    /// to trust; without one, those of the system.
    VerifyFull { ca: Option<PathBuf>, client: Option<ClientCertificate> },
}

/// PEM files that show the server who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate first, then those that sign it.
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Options {
    pub fn new(url: Secret) -> Self {
        Self {
            url,
            password: None,
            schema: "crossdock".to_owned(),
            tls: Tls::Off,
            connections: 16,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(20),
            idle_transaction_timeout: Duration::from_secs(5),
        }
    }

    /// The longest that a call waits for the server: a connection, then a few statements.
    pub(super) fn call_timeout(&self) -> Duration {
        self.connect_timeout + 2 * self.statement_timeout
    }

    /// What each connection is made with.
    ///
    /// # Errors
    /// [`Error::Unusable`] if the URL or the schema's name is ill-formed.
    pub(super) fn connection(&self) -> Result<tokio_postgres::Config, Error> {
        let unusable = |reason: &str| Error::Unusable { path: "postgresql".to_owned(), reason: reason.to_owned() };
        if !is_schema_name(&self.schema) {
            return Err(unusable("its schema's name is not of lower-case letters, digits and `_`"));
        }
        // The parser's own message may quote what it did not understand, so also a password.
        let mut config: tokio_postgres::Config =
            self.url.reveal().parse().map_err(|_| unusable("its URL is not `postgresql://user@host:port/database`"))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(unusable("its URL names no host"));
        }
        if self.tls == Tls::Off && config.get_ssl_mode() == SslMode::Require {
            return Err(unusable("its URL requires TLS, which its settings turn off"));
        }
        if let Some(password) = &self.password {
            config.password(password.reveal());
        }
        // What the URL sets stays, unless it is ours to set: of two settings the later counts.
        let settings = [config.get_options().unwrap_or_default(), &self.settings()].join(" ");
        config
            .ssl_mode(if self.tls == Tls::Off { SslMode::Disable } else { SslMode::Require })
            .application_name("crossdock")
            .options(settings.trim_start())
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(self.connect_timeout)
            // A server that vanished without a word is noticed while a statement waits, and while a connection rests.
            .tcp_user_timeout(Duration::from_secs(10))
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3);
        Ok(config)
    }

    /// The server's settings of each connection, whatever the role or the database says.
    fn settings(&self) -> String {
        // A statement sees what was committed before it began: a write that waited for its lane sees the new epoch.
        let settings = [
            ("search_path", self.schema.clone()),
            ("default_transaction_isolation", "read\\ committed".to_owned()),
            ("statement_timeout", self.statement_timeout.as_millis().to_string()),
            ("idle_in_transaction_session_timeout", self.idle_transaction_timeout.as_millis().to_string()),
            ("jit", "off".to_owned()), // compiling costs more than any statement of ours
            ("client_min_messages", "error".to_owned()),
        ];
        settings.map(|(name, value)| format!("-c {name}={value}")).join(" ")
    }

    /// The store, for people: host, port, database and schema, without the user.
    pub(super) fn name(&self, config: &tokio_postgres::Config) -> String {
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
        format!("postgresql://{host}:{port}/{database}#{}", self.schema)
    }
}

/// A name that needs no quotes anywhere.
fn is_schema_name(name: &str) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
    name.len() <= 63
        && name.as_bytes().first().is_some_and(is_letter)
        && name.as_bytes().iter().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Options {
        Options::new(Secret::new(url))
    }

    fn refusal(options: &Options) -> String {
        options.connection().unwrap_err().to_string()
    }

    #[test]
    fn every_connection_has_its_limits() {
        let config = options("postgresql://gateway@db.example/orders").connection().unwrap();

        assert_eq!(
            config.get_options(),
            Some(
                "-c search_path=crossdock -c default_transaction_isolation=read\\ committed \
                 -c statement_timeout=20000 -c idle_in_transaction_session_timeout=5000 -c jit=off \
                 -c client_min_messages=error"
            )
        );
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(10)));
        assert!(config.get_keepalives());
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(config.get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn the_name_says_where_and_never_who() {
        for (url, expected) in [
            ("postgresql://gateway:s3cret@db.example/orders", "postgresql://db.example:5432/orders#crossdock"),
            ("postgresql://gateway@a:5433,b:5434/orders", "postgresql://a:5433/orders#crossdock"),
            ("host=/run/postgresql user=gateway", "postgresql:///run/postgresql:5432/gateway#crossdock"),
        ] {
            let options = options(url);
            assert_eq!(options.name(&options.connection().unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn a_wrong_url_is_refused_without_being_quoted() {
        for url in ["", "s3cret", "postgresql://u:s3cret@h:port/d", "mysql://u:s3cret@h/d", "postgresql:///orders"] {
            let refusal = refusal(&options(url));
            assert!(refusal.contains("its URL"), "{url}: {refusal}");
            assert!(!refusal.contains("s3cret"), "{url}: {refusal}");
        }
    }

    #[test]
    fn tls_asked_for_by_the_url_alone_is_not_dropped_silently() {
        let mut options = options("postgresql://u@h/d?sslmode=require");
        assert!(refusal(&options).contains("requires TLS"));

        options.tls = Tls::Require { client: None };
        assert_eq!(options.connection().unwrap().get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn settings_of_the_url_stay_before_ours() {
        let config = options("postgresql://u@h/d?options=-c%20work_mem%3D8MB").connection().unwrap();

        assert!(config.get_options().unwrap().starts_with("-c work_mem=8MB -c search_path=crossdock "));
    }

    #[test]
    fn a_separate_password_replaces_that_of_the_url() {
        let options =
            Options { password: Some(Secret::new("new")), ..options("postgresql://gateway:old@db.example/orders") };

        assert_eq!(options.connection().unwrap().get_password(), Some(&b"new"[..]));
    }

    #[test]
    fn a_schema_name_needs_no_quotes() {
        for (schema, good) in [
            ("crossdock", true),
            ("_a1", true),
            ("", false),
            ("1a", false),
            ("Crossdock", false),
            ("a b", false),
            ("a,public", false),
            ("maß", false),
            (&"a".repeat(63), true),
            (&"a".repeat(64), false),
        ] {
            let options = Options { schema: schema.to_owned(), ..options("postgresql://u@h/d") };
            assert_eq!(options.connection().is_ok(), good, "`{schema}`");
        }
    }
}
