//! Starts, kills and restarts the binary.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use serde_json::Value;
use tempfile::TempDir;

use super::{Client, PATIENCE};

pub const OPERATOR_TOKEN: &str = "operator-token-of-the-tests";
pub const BEARER_TOKEN: &str = "bearer-token-of-pyxis-north";
pub const OTHER_BEARER_TOKEN: &str = "bearer-token-of-pyxis-south";
pub const SIGNING_SECRET: &str = "signing-secret-of-pyxis-north";
pub const OLD_SIGNING_SECRET: &str = "old-signing-secret-of-pyxis-north";
pub const TEMPO_BEARER_TOKEN: &str = "bearer-token-of-tempo-north";
pub const TEMPO_SIGNING_SECRET: &str = "signing-secret-of-tempo-north";

/// Lines of a gateway's log that a failing test shows.
const LINES_KEPT: usize = 40;

/// The binary under test.
pub fn crossdock() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossdock"));
    command.env_remove("RUST_LOG").env_remove("CROSSDOCK_URL").env_remove("CROSSDOCK_TOKEN");
    command
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[derive(Debug, Default, Clone)]
pub struct Options {
    /// Lines put at the top of the configuration file.
    pub top: String,
    /// A folder with `mappings` and `schemas`, in the place of the repository's.
    pub adapters: Option<PathBuf>,
    /// Requests per minute of `pyxis-north`; 0 is no limit.
    pub rate_limit_per_minute: u32,
    /// Where Pyxis and Tempo are called; nobody is there by default.
    pub pyxis_url: Option<String>,
    pub tempo_url: Option<String>,
}

/// A running gateway. Dropping it kills the process.
pub struct Gateway {
    directory: TempDir,
    /// The newest lines of its log, for a test that fails.
    said: Arc<Mutex<VecDeque<String>>>,
    process: Child,
    pub door: String,
    pub ops: String,
}

impl Gateway {
    pub fn start() -> Self {
        Self::start_with(&Options::default())
    }

    pub fn start_with(options: &Options) -> Self {
        Self::spawn(Self::prepare(options), &[]).expect("the gateway becomes ready")
    }

    /// A folder with the configuration; nothing runs yet.
    pub fn prepare(options: &Options) -> TempDir {
        let directory = TempDir::new().expect("a temporary directory");
        std::fs::write(directory.path().join("crossdock.toml"), configuration(directory.path(), options))
            .expect("the configuration can be written");
        directory
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(mut self) -> TempDir {
        self.kill_process();
        let spare = TempDir::new().expect("a temporary directory");
        std::mem::replace(&mut self.directory, spare)
    }

    /// Asks the process to stop and waits for its end.
    pub fn terminate(mut self) -> (TempDir, std::process::ExitStatus) {
        let asked = Command::new("kill").arg("-TERM").arg(self.process.id().to_string()).status();
        assert!(asked.is_ok_and(|status| status.success()), "the gateway can be signalled");
        let status = self.process.wait().expect("the gateway can be waited for");
        let spare = TempDir::new().expect("a temporary directory");
        (std::mem::replace(&mut self.directory, spare), status)
    }

    pub fn spawn(directory: TempDir, environment: &[(&str, String)]) -> Result<Self, (TempDir, Vec<String>)> {
        Self::spawn_with(directory, &[], environment)
    }

    /// As [`Self::spawn`], with more words on the command line.
    pub fn spawn_with(
        directory: TempDir,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> Result<Self, (TempDir, Vec<String>)> {
        let mut process = crossdock()
            .args(["serve", "--config"])
            .arg(directory.path().join("crossdock.toml"))
            .args(arguments)
            .current_dir(directory.path())
            .env("TEST_OPERATOR", OPERATOR_TOKEN)
            .env("TEST_BEARER", BEARER_TOKEN)
            .env("TEST_OTHER_BEARER", OTHER_BEARER_TOKEN)
            .env("TEST_SECRET", SIGNING_SECRET)
            .env("TEST_OLD_SECRET", OLD_SIGNING_SECRET)
            .env("TEST_TEMPO_BEARER", TEMPO_BEARER_TOKEN)
            .env("TEST_TEMPO_SECRET", TEMPO_SIGNING_SECRET)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let stderr = process.stderr.take().expect("stderr is a pipe");
        let (say, saying) = mpsc::channel();
        let said = Arc::<Mutex<VecDeque<String>>>::default();
        let newest = Arc::clone(&said);
        std::thread::spawn(move || {
            // Read to the end whoever listens: a full pipe would hold the process up.
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut newest = newest.lock().expect("no panic while locked");
                if newest.len() == LINES_KEPT {
                    newest.pop_front();
                }
                newest.push_back(line.clone());
                let _ = say.send(line);
            }
        });
        let mut heard = Vec::new();
        while let Ok(line) = saying.recv_timeout(PATIENCE) {
            if let Some((door, ops)) = ready(&line) {
                return Ok(Self { directory, said, process, door, ops });
            }
            heard.push(line);
        }
        let _ = process.kill();
        let _ = process.wait();
        Err((directory, heard))
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Whether the process ended by itself (a fail point).
    pub fn has_ended(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|status| status.is_some())
    }

    pub fn client(&self) -> Client {
        Client::new(&self.door, &self.ops)
    }

    /// A command of the binary against this gateway.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = crossdock();
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("CROSSDOCK_URL", &self.ops)
            .env("CROSSDOCK_TOKEN", OPERATOR_TOKEN);
        command
    }

    fn kill_process(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill_process();
        if std::thread::panicking()
            && let Ok(said) = self.said.lock()
        {
            println!("the gateway said last:");
            said.iter().for_each(|line| println!("{line}"));
        }
    }
}

/// The two base URLs, if `line` is the log line that says the gateway is ready.
fn ready(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line.get("message")?.as_str()? != "gateway is ready" {
        return None;
    }
    let url = |name: &str| Some(format!("http://{}", line.get(name)?.as_str()?));
    Some((url("door")?, url("ops")?))
}

/// The configuration the tests run on.
fn configuration(directory: &Path, options: &Options) -> String {
    let (top, rate) = (&options.top, options.rate_limit_per_minute);
    let nowhere = "http://127.0.0.1:9";
    let (pyxis_url, tempo_url) =
        (options.pyxis_url.as_deref().unwrap_or(nowhere), options.tempo_url.as_deref().unwrap_or(nowhere));
    let data = directory.join("data");
    let root = options.adapters.as_deref().unwrap_or(root());
    format!(
        r#"data_dir = "{data}"
mappings_dir = "{root}/mappings"
schemas_dir = "{root}/schemas"
{top}

[door]
listen = "127.0.0.1:0"

[ops]
listen = "127.0.0.1:0"

[telemetry]
log_format = "json"

[[operator]]
name = "tests"
token = "env:TEST_OPERATOR"
roles = ["admin"]

[[binding]]
name = "pyxis-north"
adapter = "pyxis"
tenant_id = "north"
countries = ["FR", "ES", "IT", "PL"]
bu_codes = ["BU_FR_HOME", "BU_ES_HOME", "BU_IT_HOME", "BU_PL_HOME"]
signing_secret = ["env:TEST_SECRET", "env:TEST_OLD_SECRET"]
bearer_tokens = "env:TEST_BEARER"
base_url = "{pyxis_url}"
outbound_token = "env:TEST_BEARER"
rate_limit_per_minute = {rate}

[[binding]]
name = "pyxis-south"
adapter = "pyxis"
tenant_id = "south"
countries = ["FR"]
bu_codes = ["BU_FR_HOME"]
signing_secret = "env:TEST_SECRET"
bearer_tokens = "env:TEST_OTHER_BEARER"
base_url = "http://127.0.0.1:9"
outbound_token = "env:TEST_BEARER"
rate_limit_per_minute = 0
topics = []

[[binding]]
name = "tempo-north"
adapter = "tempo"
tenant_id = "north"
countries = ["ES", "IT"]
bu_codes = ["BU_ES_DIY", "BU_IT_HOME"]
signing_secret = "env:TEST_TEMPO_SECRET"
bearer_tokens = "env:TEST_TEMPO_BEARER"
base_url = "{tempo_url}"
outbound_token = "env:TEST_TEMPO_BEARER"
rate_limit_per_minute = 0
"#,
        data = data.display(),
        root = root.display(),
    )
}
