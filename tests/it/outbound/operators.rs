//! Operators at work while partners fail and the gateway is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossdock::cli::partner::receiver::script::{Manner, Reply, Rule};
use reqwest::Method;
use serde_json::{Value, json};

use super::failing_partners::every_failure;
use super::partners::{Partners, assert_in_order, until_told};
use super::platform::{Order, say_statuses};
use super::{balance, in_time};
use crate::support::client::answer;
use crate::support::{Client, Gateway, Options};

const PYXIS: &str = "crossdock.out.pyxis-north";
/// Whoever fails twice is held, and nothing but an operator lets it go on.
const HELD_SOON: &str = "courier.sales.timeout = \"300ms\"\n\
                         courier.sales.retry_delays = [\"100ms\"]\n\
                         courier.sales.breaker_failures = 1000\n\
                         courier.sales.second_rounds = []\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_released_while_the_gateway_is_killed_are_told_in_order() {
    let partners = Partners::start().await;
    let options = partners.options(&Options { top: HELD_SOON.to_owned(), ..Options::default() });
    let mut gateway = Gateway::start_with(&options);
    let mut orders = Order::many(&gateway.client(), "PYX", 12).await;
    let mut failures = every_failure(5);
    failures.push(Rule::always(Manner::Answer(Reply::status(404))).share(99, 20));
    partners.pyxis.follow(failures);

    for _ in 0..6 {
        let client = gateway.client();
        say_statuses(&client, &mut orders, 2).await;
        let some = partners.pyxis.look(|received| received.count()) + 15;
        let released = Released::start(client);
        in_time("calls", partners.pyxis.until(|received| received.count() >= some)).await;
        let directory = gateway.kill();
        released.stop().await;
        gateway = crate::topics_in::again(directory);
    }
    let client = gateway.client();
    let released = Released::start(client.clone());

    until_told(&partners.pyxis, &orders).await;
    assert_in_order(&partners.pyxis, &orders);
    assert_eq!(partners.pyxis.look(|received| received.made_twice()), Vec::<String>::new());
    balance::until_all(&client, PYXIS, &[("held", 0), ("dead", 0), ("skipped", 0)]).await;
    assert!(released.stop().await > 0, "nothing was held: the failures were too few");
}

/// Releases every held key, again and again, until it is told to stop.
struct Released {
    task: tokio::task::JoinHandle<usize>,
    stop: Arc<AtomicBool>,
}

impl Released {
    fn start(client: Client) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut released = 0;
            while !stopped.load(Ordering::Acquire) {
                for key in held(&client).await {
                    let path = format!("/api/v1/ops/keys/{}/release", key.replace('|', "%7C"));
                    let wish = client.ops(Method::POST, &path).json(&json!({"reason": "once more"}));
                    // The gateway may be gone, the key may be free meanwhile.
                    released += usize::from(answer(wish).await.is_ok_and(|answer| answer.status.is_success()));
                }
            }
            released
        });
        Self { task, stop }
    }

    /// How often a key was released.
    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::Release);
        self.task.await.expect("it does not panic")
    }
}

/// The held keys; none while the gateway is away.
async fn held(client: &Client) -> Vec<String> {
    let listed = answer(client.ops(Method::GET, "/api/v1/ops/keys?held=true")).await;
    let keys = listed.map(|listed| listed.body["keys"].clone()).unwrap_or_default();
    let name = |key: &Value| key["key"].as_str().map(str::to_owned);
    keys.as_array().map(|keys| keys.iter().filter_map(name).collect()).unwrap_or_default()
}
