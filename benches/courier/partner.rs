//! The partner that is called: a process of its own that takes 5 ms for each call and sees to the order.
//!
//! It goes by the order's id: `HELD-` is unknown to it (404), at `RETRY-` it fails (500), of `BARE-` it does not look at
//! the order. Everything else is taken, and must come in the order of its key, one after the other.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::child::Again;
use crate::notifications::{FIRST, now_us};

/// Asks this program to be the partner.
pub const FLAG: &str = "--partner";

/// What a call takes.
const SERVICE: Duration = Duration::from_millis(5);

/// The partner, and what it says of itself.
pub struct Partner {
    process: Again,
    pub url: String,
    client: reqwest::Client,
}

/// Since it was asked to begin anew.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Answered with success.
    pub applied: usize,
    /// Answered with failure.
    pub failed: usize,
    /// Calls it had taken before, repeated before their successors.
    pub repeated: usize,
    /// Calls out of their order, or beside another of their key.
    pub disordered: usize,
}

/// Microseconds: the median and the 99th percentile.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Times {
    /// From an answer to the next call on the same connection.
    pub pauses: [u32; 2],
    /// From the sender to the call.
    pub deliveries: [u32; 2],
    /// Body of the first call.
    pub first: String,
}

#[derive(Default)]
struct State {
    seen: Seen,
    pauses: Vec<u32>,
    deliveries: Vec<u32>,
    first: Option<Bytes>,
    keys: HashMap<String, Key>,
}

struct Key {
    /// Number of the last call that was taken.
    last: i64,
    is_busy: bool,
}

/// What is read of a call.
#[derive(Deserialize)]
struct Call {
    event_id: String,
    event_timestamp: i64,
    external_sales_order_id: String,
}

impl Partner {
    pub fn start() -> Self {
        let (process, address) = Again::start(&[FLAG]);
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { process, url: format!("http://{address}"), client }
    }

    /// CPU time it has taken so far; it has one thread.
    pub fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    pub async fn seen(&self) -> Seen {
        self.ask("/seen").await
    }

    pub async fn times(&self) -> Times {
        self.ask("/times").await
    }

    /// Forgets all figures, not where each key is.
    pub async fn begin_anew(&self) {
        let _: Seen = self.ask("/anew").await;
    }

    /// Forgets where each key is, too: another gateway begins with the same ones.
    pub async fn forget(&self) {
        let _: Seen = self.ask("/forget").await;
    }

    async fn ask<T: for<'de> Deserialize<'de>>(&self, path: &str) -> T {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.expect("the partner answers");
        answer.json().await.expect("figures")
    }
}

/// Serves until it is killed.
pub fn run() {
    // One thread: on a small machine the partner must leave room for what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("an address"));
        let state = Arc::<Mutex<State>>::default();
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a TCP option");
            let (state, answered) = (Arc::clone(&state), Arc::<Mutex<Option<Instant>>>::default());
            let service = service_fn(move |request| serve(Arc::clone(&state), Arc::clone(&answered), request));
            let connection =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move {
                // Clients come and go as they like.
                let _ = connection.await;
            });
        }
    });
}

async fn serve(
    state: Arc<Mutex<State>>,
    answered: Arc<Mutex<Option<Instant>>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let figures = match request.uri().path() {
        "/seen" => Some(serde_json::to_vec(&locked(&state).seen)),
        "/times" => Some(serde_json::to_vec(&locked(&state).times())),
        "/anew" => {
            let keys = std::mem::take(&mut locked(&state).keys);
            *locked(&state) = State { keys, ..State::default() };
            Some(serde_json::to_vec(&Seen::default()))
        }
        "/forget" => {
            *locked(&state) = State::default();
            Some(serde_json::to_vec(&Seen::default()))
        }
        _ => None,
    };
    if let Some(figures) = figures {
        return Ok(Response::new(Full::from(figures.expect("figures are JSON"))));
    }
    let (arrived, at_us) = (Instant::now(), now_us());
    let paused = locked(&answered).take().map(|answered| arrived.duration_since(answered));
    let body = request.into_body().collect().await.expect("a whole body").to_bytes();
    let call: Call = serde_json::from_slice(&body).expect("a call as the mapping makes it");
    locked(&state).begin(&call, paused, at_us, body);
    tokio::time::sleep(SERVICE).await;
    let status = locked(&state).end(&call);
    *locked(&answered) = Some(Instant::now());
    Ok(Response::builder().status(status).body(Full::default()).expect("an answer"))
}

impl State {
    fn begin(&mut self, call: &Call, paused: Option<Duration>, at_us: u64, body: Bytes) {
        self.first.get_or_insert(body);
        if let Some(paused) = paused {
            self.pauses.push(u32::try_from(paused.as_micros()).unwrap_or(u32::MAX));
        }
        let sent_us = call.event_id.split_once('-').and_then(|(sent, _)| sent.parse::<u64>().ok());
        if let Some(sent_us) = sent_us.filter(|sent_us| *sent_us > 0) {
            self.deliveries.push(u32::try_from(at_us.saturating_sub(sent_us)).unwrap_or(u32::MAX));
        }
        if call.order().starts_with("BARE-") {
            return;
        }
        let key = self.keys.entry(call.order().to_owned()).or_insert(Key { last: -1, is_busy: false });
        let is_beside = std::mem::replace(&mut key.is_busy, true);
        match call.number() - key.last {
            _ if is_beside => self.seen.disordered += 1,
            0 => self.seen.repeated += 1,
            1 => {}
            _ => self.seen.disordered += 1,
        }
    }

    /// The answer's status.
    fn end(&mut self, call: &Call) -> u16 {
        let status = match call.order() {
            order if order.starts_with("HELD-") => 404,
            order if order.starts_with("RETRY-") => 500,
            _ => 200,
        };
        if let Some(key) = self.keys.get_mut(call.order()) {
            key.is_busy = false;
            if status == 200 {
                key.last = call.number();
            }
        }
        let counted = if status == 200 { &mut self.seen.applied } else { &mut self.seen.failed };
        *counted += 1;
        status
    }

    fn times(&mut self) -> Times {
        let first = self.first.as_deref().unwrap_or_default();
        Times {
            pauses: quantiles(&mut self.pauses),
            deliveries: quantiles(&mut self.deliveries),
            first: String::from_utf8_lossy(first).into_owned(),
        }
    }
}

impl Call {
    fn order(&self) -> &str {
        &self.external_sales_order_id
    }

    fn number(&self) -> i64 {
        self.event_timestamp - FIRST
    }
}

fn quantiles(times: &mut [u32]) -> [u32; 2] {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    [0.5, 0.99].map(|share| times.get((last as f64 * share) as usize).copied().unwrap_or_default())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it is held")
}
