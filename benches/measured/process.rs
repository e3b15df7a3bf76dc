//! A process that takes orders: started, measured, ended.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::hop;
use super::load::{BEARER, SECRET};

const OPERATOR: &str = "bench-operator-token-of-the-bench";
/// Where nobody listens: the partner of a process that calls none.
const NOBODY: &str = "http://127.0.0.1:9";
/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(120);
const METRICS: &str = "/metrics";
/// How often is asked whether it has.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Dropping it kills the process.
pub struct Process {
    child: Child,
    pub door: String,
    ops: String,
    /// Number of the first order it has not seen.
    pub first_order: usize,
    client: reqwest::Client,
}

impl Process {
    /// The gateway on a data folder in `directory`, once all of it is ready. `engines`: the lines of its configuration
    /// that choose them, none for the embedded ones. `first_order` orders of [`load`](super::load) were taken before.
    pub async fn gateway(directory: &Path, engines: &str, first_order: usize) -> Self {
        let process = Self::starting(directory, engines, first_order);
        process.ready().await;
        process
    }

    /// The gateway as soon as it takes orders: its lanes may still be starting.
    pub fn starting(directory: &Path, engines: &str, first_order: usize) -> Self {
        Self::serve(&configure(directory, engines, NOBODY), first_order)
    }

    /// The same, whose binding's partner is at `partner`, a URL. `settings`: lines of its configuration, as for
    /// [`Self::gateway`].
    pub fn calling(directory: &Path, settings: &str, partner: &str) -> Self {
        Self::serve(&configure(directory, settings, partner), 0)
    }

    /// Waits until all of it is ready.
    pub async fn ready(&self) {
        self.wait_for("/readyz", |_| true).await;
    }

    fn serve(configuration: &Path, first_order: usize) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossdock"));
        command.args(["serve", "--config"]).arg(configuration);
        Self::start(command, first_order)
    }

    /// The door without a sequencer.
    pub fn door(directory: &Path, engines: &str, first_order: usize) -> Self {
        Self::hop(hop::DOOR, directory, engines, first_order)
    }

    /// The reader without a sequencer.
    pub fn reader(directory: &Path, engines: &str) -> Self {
        Self::hop(hop::READER, directory, engines, 0)
    }

    fn hop(hop: &str, directory: &Path, engines: &str, first_order: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(hop).arg(configure(directory, engines, NOBODY));
        Self::start(command, first_order)
    }

    fn start(mut command: Command, first_order: usize) -> Self {
        command
            .env("BENCH_OPERATOR", OPERATOR)
            .env("BENCH_SECRET", SECRET)
            .env("BENCH_BEARER", BEARER)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is a pipe")).lines();
        let mut heard = Vec::new();
        let ready = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let addresses = ready(&line);
            heard.push(line);
            addresses
        });
        let (door, ops) = ready.unwrap_or_else(|| panic!("it did not become ready:\n{}", heard.join("\n")));
        // Read to the end, or a full pipe would hold the process up.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { child, door, ops, first_order, client }
    }

    /// User and system time of all its threads so far.
    pub fn cpu(&self) -> Duration {
        cpu_of(&self.child.id().to_string())
    }

    /// Memory it has in RAM.
    pub fn resident_mib(&self) -> f64 {
        self.memory_mib("VmRSS:")
    }

    /// The most it ever had.
    pub fn peak_mib(&self) -> f64 {
        self.memory_mib("VmHWM:")
    }

    fn memory_mib(&self, field: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a line for it");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
    }

    /// Waits until it has published the events of `count` orders: the counter moves when they are committed.
    pub async fn wait_for_accepted(&self, count: usize) {
        self.wait_for(METRICS, |metrics| {
            total(metrics, "crossdock_outcomes_total{", "outcome=\"accepted\"") >= count as f64
        })
        .await;
    }

    /// Waits until it has decided about `count` messages, whatever it decided.
    pub async fn wait_for_outcomes(&self, count: usize) {
        self.wait_for(METRICS, |metrics| total(metrics, "crossdock_outcomes_total{", "outcome=") >= count as f64).await;
    }

    /// Calls of the store or the log so far, by operation.
    pub async fn calls(&self, operation: &str) -> f64 {
        self.engine(operation).await.0
    }

    /// The same, and the seconds all of them took together.
    pub async fn engine(&self, operation: &str) -> (f64, f64) {
        let metrics = self.wait_for(METRICS, |_| true).await;
        let of = |figure: &str| {
            let metric = format!("crossdock_engine_duration_seconds_{figure}{{");
            total(&metrics, &metric, &format!("operation=\"{operation}\""))
        };
        (of("count"), of("sum"))
    }

    /// Waits until the lanes of `topic` have `count` records in `state`, as their last commits say.
    pub async fn wait_for_records(&self, topic: &str, state: &str, count: usize) {
        let line = format!("crossdock_lane_records{{state=\"{state}\",topic=\"{topic}\"}}");
        self.wait_for(METRICS, |metrics| total(metrics, &line, "") >= count as f64).await;
    }

    /// How long an answer of the operations API takes.
    pub async fn ask(&self, path: &str) -> (Duration, Value) {
        let began = Instant::now();
        let answer = self.client.get(format!("http://{}{path}", self.ops)).bearer_auth(OPERATOR).send().await;
        let text = answer.and_then(reqwest::Response::error_for_status).expect("an answer").text().await;
        (began.elapsed(), serde_json::from_str(&text.expect("text")).expect("JSON"))
    }

    /// Appends a record to a topic, durably.
    pub async fn append(&self, topic: &str, key: &str, value: &[u8]) {
        let record = serde_json::json!({"key": key, "value_base64": STANDARD.encode(value)});
        let url = format!("http://{}/api/v1/ops/events/{topic}", self.ops);
        let answer = self.client.post(url).bearer_auth(OPERATOR).json(&record).send().await;
        answer.and_then(reqwest::Response::error_for_status).expect("it is appended");
    }

    /// Asks `path` of the operations API until it answers 200 with what is `enough`.
    async fn wait_for(&self, path: &str, enough: impl Fn(&str) -> bool) -> String {
        let url = format!("http://{}{path}", self.ops);
        let began = Instant::now();
        loop {
            let answer = self.client.get(&url).bearer_auth(OPERATOR).send().await.expect("it answers");
            let is_ok = answer.status().is_success();
            let text = answer.text().await.expect("an answer of text");
            if is_ok && enough(&text) {
                return text;
            }
            assert!(began.elapsed() < PATIENCE, "{path} does not tell what is waited for:\n{text}");
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of all threads of a process so far; `self` is this one.
pub fn cpu_of(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux");
    // proc_pid_stat(5): the second field is the name in parentheses, and may hold anything; user and system time
    // are the 14th and 15th, in ticks, of which Linux shows a hundred a second.
    let (_, rest) = stat.rsplit_once(") ").expect("a name in parentheses");
    let ticks = |field: usize| -> u64 {
        let text = rest.split(' ').nth(field - 3).expect("as many fields");
        text.parse().expect("a number")
    };
    Duration::from_millis((ticks(14) + ticks(15)) * 10)
}

/// The sum of a metric over the lines that have `label`.
fn total(metrics: &str, metric: &str, label: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.starts_with(metric) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Writes the configuration of a process in `directory`: everything is as shipped but ports, folders and senders.
fn configure(directory: &Path, engines: &str, partner: &str) -> std::path::PathBuf {
    let (data, root) = (directory.join("data"), env!("CARGO_MANIFEST_DIR"));
    let text = format!(
        r#"data_dir = "{data}"
mappings_dir = "{root}/mappings"
schemas_dir = "{root}/schemas"
{engines}
[door]
listen = "127.0.0.1:0"
[ops]
listen = "127.0.0.1:0"
[telemetry]
log_format = "json"
[[operator]]
name = "bench"
token = "env:BENCH_OPERATOR"
roles = ["admin"]
[[binding]]
name = "pyxis-north"
adapter = "pyxis"
tenant_id = "north"
countries = ["FR"]
bu_codes = ["BU_FR_HOME"]
signing_secret = "env:BENCH_SECRET"
bearer_tokens = "env:BENCH_BEARER"
base_url = "{partner}"
outbound_token = "env:BENCH_BEARER"
rate_limit_per_minute = 0
"#,
        data = data.display()
    );
    let file = directory.join("crossdock.toml");
    std::fs::write(&file, text).expect("the configuration can be written");
    file
}

/// The addresses of door and operations API, if `line` says that the process is ready.
fn ready(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line.get("message")?.as_str()? != "gateway is ready" {
        return None;
    }
    Some((line.get("door")?.as_str()?.to_owned(), line.get("ops")?.as_str()?.to_owned()))
}
