//! Servers of one's own, started by `deploy/local/services`: a Kafka broker, PostgreSQL, a schema registry.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

#[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
use super::Options;
use super::gateway::root;

/// Running servers. Dropping it stops them.
pub struct Services {
    folder: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Services {
    /// Starts Kafka and PostgreSQL and waits until they answer.
    #[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
    pub fn start(name: &str) -> Self {
        Self::start_these(name, &["kafka", "postgres"])
    }

    /// Starts those of `kafka`, `postgres` and `registry` that are named, and waits until they answer.
    pub fn start_these(name: &str, services: &[&str]) -> Self {
        // Not below a folder that only its owner may enter: PostgreSQL runs as a user of its own.
        let folder = std::env::temp_dir().join(format!("crossdock-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        // Also if this process is killed, nothing is left behind.
        let until = ["--until".to_owned(), std::process::id().to_string()];
        let started = script().arg("up").arg(&folder).args(until).args(services).output().expect("a shell");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let variables = String::from_utf8_lossy(&started.stdout)
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { folder, variables }
    }

    /// What `up` has told, by the name of the variable.
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("{name} is not set"))
    }

    /// Options of a gateway on Kafka and PostgreSQL.
    #[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
    pub fn options(&self) -> Options {
        self.options_with(&format!("log.kafka.bootstrap_servers = \"{}\"", self.variable("KAFKA_BOOTSTRAP")))
    }

    /// As [`Self::options`], with lines that say how the brokers are reached.
    #[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
    pub fn options_with(&self, kafka: &str) -> Options {
        let postgres = self.folder.join("postgres.url");
        std::fs::write(&postgres, self.variable("POSTGRES_URL")).expect("written");
        let top = format!(
            "log.engine = \"kafka\"\n{kafka}\n\
             log.kafka.transactional_id = \"crossdock-tests\"\nstore.engine = \"postgres\"\n\
             store.postgres.url = \"file:{}\"\nstore.postgres.sslmode = \"disable\"\n",
            postgres.display()
        );
        Options { top, ..Options::default() }
    }

    /// The same, with the schema registry.
    #[cfg(feature = "test-registry")]
    pub fn options_with_registry(&self) -> Options {
        let Options { mut top, .. } = self.options();
        top.push_str(&self.registry());
        Options { top, ..Options::default() }
    }

    /// Lines of the configuration that name the schema registry.
    #[cfg(feature = "test-registry")]
    pub fn registry(&self) -> String {
        format!("registry.url = \"{}\"\n", self.variable("SCHEMA_REGISTRY_URL"))
    }

    /// The process of one service.
    pub fn process_id(&self, service: &str) -> u32 {
        let pid = std::fs::read_to_string(self.folder.join(service).join("pid")).expect("it was started");
        pid.trim().parse().expect("a number")
    }

    /// `kill -9` for one of several brokers.
    pub fn kill_broker(&self, node: u32) {
        let process = self.process_id(&format!("kafka-{node}")).to_string();
        let killed = Command::new("kill").args(["-KILL", &process]).status().expect("a shell");
        assert!(killed.success(), "broker {node} can be killed");
    }

    /// Starts a killed broker again and waits until it is up.
    pub fn restart_broker(&self, node: u32) {
        let started = script().arg("broker").arg(&self.folder).arg(node.to_string()).output().expect("a shell");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let _ = script().arg("down").arg(&self.folder).output();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn script() -> Command {
    Command::new(root().join("deploy/local/services"))
}
