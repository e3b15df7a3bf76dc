//! Other people's Kafka clients, as `deploy/local/services install` provides them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::gateway::root;
use super::services::Services;

/// A record as kcat shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub partition: u32,
    pub offset: i64,
    pub value_bytes: i64,
    pub key: String,
    pub headers: BTreeMap<String, String>,
}

impl Services {
    /// Everything committed on `topic`, each partition in order, read by kcat.
    pub fn kcat(&self, topic: &str) -> Vec<Seen> {
        let mut kcat = self.kcat_command("-C", topic);
        kcat.args(["-X", "isolation.level=read_committed", "-o", "beginning", "-e", "-q"]);
        kcat.args(["-f", r"%p\t%o\t%S\t%k\t%h\n"]);
        run(&mut kcat, "").lines().map(seen).collect()
    }

    /// Appends `lines` to one partition of `topic`, a record each, by kcat.
    pub fn kcat_append(&self, topic: &str, partition: u32, lines: &str) {
        run(self.kcat_command("-P", topic).args(["-p", &partition.to_string()]), lines);
    }

    /// What a Python script of `tests/it/interop` prints, run with Confluent's client; `words` come after the addresses.
    #[cfg(feature = "test-registry")]
    pub fn python(&self, script: &str, words: &[&str], input: &str) -> String {
        let mut python = Command::new(self.variable("CONFLUENT_PYTHON"));
        python.args(["-W", "ignore"]).arg(root().join("tests/it/interop").join(script));
        python.args([self.variable("KAFKA_BOOTSTRAP"), self.variable("SCHEMA_REGISTRY_URL")]).args(words);
        run(&mut python, input)
    }

    /// What one of Kafka's own command-line tools prints.
    pub fn kafka_tool(&self, tool: &str, words: &[&str], input: &str) -> String {
        let mut command = Command::new(root().join("deploy/local/kafka-tool"));
        command.arg(tool).args(["--bootstrap-server", self.variable("KAFKA_BOOTSTRAP")]).args(words);
        run(&mut command, input)
    }

    fn kcat_command(&self, mode: &str, topic: &str) -> Command {
        let mut kcat = Command::new(self.variable("KCAT"));
        kcat.args(["-b", self.variable("KAFKA_BOOTSTRAP"), mode, "-t", topic]);
        kcat
    }
}

/// Runs to the end; gives what was printed.
fn run(command: &mut Command, input: &str) -> String {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the client can be started");
    // Small enough for the pipe: nothing is read before all is written.
    process.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("the client reads");
    let output = process.wait_with_output().expect("the client ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

fn seen(line: &str) -> Seen {
    let [partition, offset, value_bytes, key, headers] = line.split('\t').collect::<Vec<_>>()[..] else {
        panic!("five fields: {line}")
    };
    let headers = headers.split(',').filter_map(|header| header.split_once('='));
    Seen {
        partition: partition.parse().expect("a number"),
        offset: offset.parse().expect("a number"),
        value_bytes: value_bytes.parse().expect("a number"),
        key: key.to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    }
}
