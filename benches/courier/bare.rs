//! What reqwest costs by itself: the same calls from as many tasks, nothing kept, nothing ordered. A process of its own.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::child::Again;
use crate::notifications::Notifications;

/// Asks this program to be the bare loop; the file with its job follows.
pub const FLAG: &str = "--bare";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The partner's.
    pub url: String,
    pub notifications: Notifications,
    pub calls: usize,
    /// Calls under way at once.
    pub concurrency: usize,
}

impl Job {
    /// Begins to call. The file is read by then.
    pub fn start(&self) -> Again {
        let file = NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), serde_json::to_vec(self).expect("a job is JSON")).expect("the job can be written");
        let path = file.path().to_str().expect("a path of text");
        Again::start(&[FLAG, path]).0
    }
}

/// Makes the calls, then waits to be killed.
pub fn run(job: &Path) {
    let job: Job = serde_json::from_slice(&std::fs::read(job).expect("the job")).expect("a job");
    let bodies: Vec<Bytes> = (0..job.calls).map(|number| body(&job.notifications, number)).collect();
    println!("ready");
    // As the gateway's own: a worker for each CPU.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = client(job.concurrency);
        let (bodies, url) = (Arc::new(bodies), format!("{}/webhooks/fsm/service-order-status", job.url));
        let tasks: Vec<_> = (0..job.concurrency)
            .map(|index| {
                let (client, bodies, url) = (client.clone(), Arc::clone(&bodies), url.clone());
                tokio::spawn(async move {
                    for body in bodies.iter().skip(index).step_by(job.concurrency) {
                        call(&client, &url, body.clone()).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("a call does not panic");
        }
        std::future::pending::<()>().await;
    });
}

pub fn body(notifications: &Notifications, number: usize) -> Bytes {
    serde_json::to_vec(&notifications.body(number)).expect("JSON").into()
}

/// As the courier's, for `http`.
fn client(concurrency: usize) -> reqwest::Client {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .user_agent("crossdock/bare")
        .http1_max_headers(128)
        .pool_idle_timeout(std::time::Duration::from_secs(15))
        .pool_max_idle_per_host(concurrency)
        .tls_certs_only([]);
    builder.build().expect("a client")
}

/// With headers as long as the courier's, made once: nothing is signed.
async fn call(client: &reqwest::Client, url: &str, body: Bytes) {
    const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("authorization", "Bearer bench-bearer-token-of-pyxis-north")
        .header("x-fsm-timestamp", "1772700000")
        .header("x-fsm-signature", DIGEST)
        .header("x-correlation-id", "0-BARE-0")
        .header("x-idempotency-key", DIGEST)
        .body(body);
    let mut answer = request.send().await.expect("the partner answers");
    assert_eq!(answer.status().as_u16(), 200);
    while answer.chunk().await.expect("a whole answer").is_some() {}
}
