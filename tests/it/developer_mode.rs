//! `crossdock serve` without a configuration file, as a newcomer meets it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::crossdock;
use crate::support::gateway::root;

/// A developer's gateway on ports of its own. Dropping it kills the process.
struct Developer {
    process: Child,
    folder: TempDir,
    /// What it printed on standard output.
    commands: Vec<String>,
}

/// An order of the greeting, with the ids that come of it.
struct Example {
    binding: &'static str,
    external_id: &'static str,
    order_id: &'static str,
    received: &'static str,
    normalized: &'static str,
}

impl Drop for Developer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Developer {
    fn start() -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let mut process = crossdock()
            .args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path().join("data"))
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary can be started");
        let printed = BufReader::new(process.stdout.take().expect("stdout is a pipe")).lines().map_while(Result::ok);
        let mut commands = Vec::new();
        for line in printed {
            let command = line.strip_prefix("  ").filter(|line| line.contains("--data-dir"));
            commands.extend(command.map(str::to_owned));
            if line.starts_with("Ctrl-C") {
                break;
            }
        }
        Self { process, folder, commands }
    }

    /// The printed command with `word` in it, run by a shell in the repository as it is.
    fn paste(&self, word: &str) -> String {
        let command = self.commands.iter().find(|command| command.contains(word));
        let command = command.unwrap_or_else(|| panic!("no command has `{word}`: {:#?}", self.commands));
        let run = Command::new("bash").args(["-c", command]).current_dir(root()).output().expect("a shell");
        assert!(run.status.success(), "{command}\n{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).expect("text")
    }
}

#[test]
fn the_printed_commands_of_pyxis_work_as_they_are() {
    paste_the_commands_of(&Example {
        binding: "pyxis-north",
        external_id: "PYX-FR-20260304-7731",
        order_id: "8fc78ce8-6c4a-55d8-aaaa-f149200431d2",
        received: "9478506a-9d09-57c5-a89e-1f1c103e2680",
        normalized: "bbd48371-33e6-5a6b-956c-a94669e9595b",
    });
}

#[test]
fn the_printed_commands_of_tempo_work_as_they_are() {
    paste_the_commands_of(&Example {
        binding: "tempo-north",
        external_id: "TEMPO-ES-20260311-0417",
        order_id: "f047371d-b2e4-551f-8a27-98de3afce03b",
        received: "1d15a026-97e7-5b61-a55c-4064819fe981",
        normalized: "7da75272-4477-58d1-9dde-4088b738a851",
    });
}

#[test]
fn secrets_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let developer = Developer::start();

    for file in ["developer.toml", "operator.token"] {
        let mode = std::fs::metadata(developer.folder.path().join("data").join(file)).expect("the file is there");
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn other_machines_are_not_let_in() {
    let folder = TempDir::new().expect("a temporary directory");
    let run = crossdock()
        .args(["serve", "--listen", "0.0.0.0:0", "--data-dir"])
        .arg(folder.path())
        .current_dir(root())
        .output()
        .expect("the binary can be started");

    assert_eq!(run.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&run.stderr).contains("loopback"));
}

#[track_caller]
fn paste_the_commands_of(example: &Example) {
    let developer = Developer::start();

    let answer = developer.paste(&format!("sign --binding {}", example.binding));
    let received = developer.paste("events tail integration.sales.order_received");
    let normalized = developer.paste("events tail integration.sales.order.normalized");
    let order = developer.paste(example.external_id);

    let answer: Value = serde_json::from_str(&answer).expect("the answer is JSON");
    assert_eq!(answer["orderId"], example.order_id, "{answer}");
    let received: Value = serde_json::from_str(&received).expect("one event");
    assert_eq!(received["value"]["event_id"], example.received);
    let normalized: Value = serde_json::from_str(&normalized).expect("one event");
    assert_eq!(normalized["value"]["event_id"], example.normalized);
    assert!(order.contains(example.external_id), "{order}");
    assert!(order.contains("accepted"), "{order}");
}
