//! A Kafka broker and a PostgreSQL server of one's own, started by `deploy/local/services`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use super::Options;
use super::gateway::root;

/// Running servers. Dropping it stops them.
pub struct Services {
    folder: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Services {
    /// Starts both and waits until they answer.
    pub fn start(name: &str) -> Self {
        // Not below a folder that only its owner may enter: PostgreSQL runs as a user of its own.
        let folder = std::env::temp_dir().join(format!("crossdock-{name}-{}", std::process::id()));
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

    fn variable(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("{name} is not set"))
    }

    /// Options of a gateway on these servers.
    pub fn options(&self) -> Options {
        let (kafka, postgres) = (self.variable("KAFKA_BOOTSTRAP"), self.folder.join("postgres.url"));
        std::fs::write(&postgres, self.variable("POSTGRES_URL")).expect("written");
        let top = format!(
            "log.engine = \"kafka\"\nlog.kafka.bootstrap_servers = \"{kafka}\"\n\
             log.kafka.transactional_id = \"crossdock-tests\"\nstore.engine = \"postgres\"\n\
             store.postgres.url = \"file:{}\"\nstore.postgres.sslmode = \"disable\"\n",
            postgres.display()
        );
        Options { top, ..Options::default() }
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
