//! Operators at their command line: dead letters replayed by the thousand and one by one, whatever happens meanwhile.

mod jobs;
mod kills;
mod many;
#[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
mod scale_out;
mod targets;

use crossdock::cli::partner::Receiver;
use crossdock::cli::partner::receiver::script::{Manner, Reply, Rule};
use reqwest::Method;
use serde_json::Value;

use crate::outbound::in_time;
use crate::outbound::partners::Partners;
use crate::outbound::platform::{Order, say_statuses};
use crate::support::client::answer;
use crate::support::{Client, Gateway, Options};

const PYXIS: &str = "crossdock.out.pyxis-north";
const REASON: &str = "Pyxis knows them now, ticket 4711";

/// What fails is held at once or soon, and nobody but an operator lets it go on.
const HELD_SOON: &str = "courier.sales.timeout = \"2s\"\n\
                         courier.sales.retry_delays = [\"100ms\"]\n\
                         courier.sales.concurrency = 64\n\
                         courier.sales.breaker_failures = 1000\n\
                         courier.sales.second_rounds = []\n";

/// A gateway, the partners it calls, and orders each of which is held by its first call.
struct Outage {
    gateway: Gateway,
    partners: Partners,
    orders: Vec<Order>,
}

/// A replay job, by its id.
struct Job(String);

impl Outage {
    /// `orders` with `calls` each; Pyxis knows none of them.
    async fn of(orders: usize, calls: usize) -> Self {
        Self::with(&Options { top: HELD_SOON.to_owned(), ..Options::default() }, orders, calls).await
    }

    async fn with(options: &Options, orders: usize, calls: usize) -> Self {
        let partners = Partners::start().await;
        let gateway = Gateway::start_with(&partners.options(options));
        let client = gateway.client();
        let mut orders = Order::many(&client, "PYX", orders).await;
        refuse_all(&partners.pyxis);
        say_statuses(&client, &mut orders, calls).await;
        until_indexed(&client, orders.len()).await;
        Self { gateway, partners, orders }
    }

    fn first_calls(&self) -> Vec<&str> {
        self.orders.iter().map(|order| order.keys[0].as_str()).collect()
    }
}

impl Job {
    /// Of every open failure of `pyxis-north`.
    fn planned(gateway: &Gateway) -> (Self, Value) {
        let planned = done(gateway, &["replay", "plan", "--binding", "pyxis-north", "--reason", REASON]);
        (Self(planned["job_id"].as_str().expect("an id").to_owned()), planned)
    }

    fn run(&self, gateway: &Gateway, pace: &[&str]) -> Value {
        done(gateway, &[&["replay", "run", &self.0], pace].concat())
    }

    fn cancel(&self, gateway: &Gateway) -> Value {
        done(gateway, &["replay", "cancel", &self.0, "--reason", "enough for today"])
    }

    async fn now(&self, client: &Client) -> Value {
        let path = format!("/api/v1/ops/replays/{}", self.0);
        answer(client.ops(Method::GET, &path)).await.expect("the operations API answers").body
    }

    /// Waits until it is so.
    async fn until(&self, client: &Client, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let wait = async {
            loop {
                let job = self.now(client).await;
                if is_so(&job) {
                    return job;
                }
                assert!(job["state"] == "running" || job["state"] == "planned", "not {what}, and ended: {job}");
            }
        };
        in_time(what, wait).await
    }

    async fn until_ended(&self, client: &Client) -> Value {
        self.until(client, "the job has ended", |job| job["ended_at"].is_string()).await
    }

    /// `[pending, requested, succeeded, failed, refused]`.
    fn counts(job: &Value) -> [u64; 5] {
        ["pending", "requested", "succeeded", "failed", "refused"]
            .map(|state| job["counts"][state].as_u64().unwrap_or_else(|| panic!("{job}")))
    }

    /// Every item, page by page.
    async fn items(&self, client: &Client) -> Vec<Value> {
        let mut items = Vec::new();
        let mut after = Value::from(0);
        while !after.is_null() {
            let path = format!("/api/v1/ops/replays/{}/items?limit=500&after={after}", self.0);
            let mut page = answer(client.ops(Method::GET, &path)).await.expect("the operations API answers").body;
            items.append(page["items"].as_array_mut().expect("items"));
            after = page["next"].take();
        }
        items
    }
}

/// Pyxis does not know an order, or does not like it.
fn refuse_all(pyxis: &Receiver) {
    let refusal = |status| Rule::always(Manner::Answer(Reply::status(status)));
    pyxis.follow(vec![refusal(404).share(7, 50), refusal(422)]);
}

/// Waits until so many failures of calls are open.
async fn until_indexed(client: &Client, failures: usize) {
    let wait = async {
        loop {
            let metrics = client.metrics().await;
            let open =
                metrics.lines().filter(|line| line.starts_with("crossdock_open_failures{binding=\"pyxis-north\""));
            let open: usize = open.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum();
            if open == failures {
                return;
            }
        }
    };
    in_time("the failures are in the index", wait).await;
}

/// What a command answers, and its exit status.
fn asked(gateway: &Gateway, words: &[&str]) -> (Option<i32>, Value) {
    let run = gateway.command(words).args(["--output", "json"]).output().expect("it runs");
    (run.status.code(), serde_json::from_slice(&run.stdout).unwrap_or(Value::Null))
}

/// The answer of a command that succeeds.
#[track_caller]
fn done(gateway: &Gateway, words: &[&str]) -> Value {
    let run = gateway.command(words).args(["--output", "json"]).output().expect("it runs");
    let (said, told) = (String::from_utf8_lossy(&run.stderr), String::from_utf8_lossy(&run.stdout));
    assert!(run.status.success(), "{words:?}: {} {said} {told}", run.status);
    serde_json::from_slice(&run.stdout).expect("JSON")
}

/// Attempts at each of these calls so far.
fn attempts(pyxis: &Receiver, calls: &[&str]) -> Vec<usize> {
    pyxis.look(|received| calls.iter().map(|key| received.attempts(key).count()).collect())
}
