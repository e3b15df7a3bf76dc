//! A broker and a database for one part of a bench, fresh, so that no part reads what another wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the broker runs with, where it matters for a figure.
pub const BROKER: &str = "one broker, replication 1, `acks=all`, snappy, log flush as Kafka ships it (none per record)";

/// Dropping it stops them.
pub struct Servers {
    folder: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Servers {
    pub fn start(part: &str) -> Self {
        // Not in a folder that only its owner may enter: PostgreSQL runs as a user of its own.
        let folder = std::env::temp_dir().join(format!("crossdock-bench-{part}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let started = script().arg("up").arg(&folder).args(["kafka", "postgres"]).output().expect("a shell");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let variables = String::from_utf8_lossy(&started.stdout)
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { folder, variables }
    }

    pub fn kafka(&self) -> &str {
        self.variable("KAFKA_BOOTSTRAP")
    }

    /// The lines of a configuration that put a gateway on them.
    pub fn engines(&self) -> String {
        let url = self.folder.join("postgres.url");
        std::fs::write(&url, self.variable("POSTGRES_URL")).expect("the address can be written");
        format!(
            "log.engine = \"kafka\"\nlog.kafka.bootstrap_servers = \"{}\"\n\
             log.kafka.transactional_id = \"crossdock-bench\"\nstore.engine = \"postgres\"\n\
             store.postgres.url = \"file:{}\"\nstore.postgres.sslmode = \"disable\"\n",
            self.kafka(),
            url.display()
        )
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn variable(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("{name} is not set"))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = script().arg("down").arg(&self.folder).output();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/local/services"))
}
