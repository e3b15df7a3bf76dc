//! A sales system and an operator, as HTTP clients.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use hmac::{Hmac, Mac as _};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use sha2::Sha256;

use super::PATIENCE;
use super::gateway::{BEARER_TOKEN, OPERATOR_TOKEN, SIGNING_SECRET, TEMPO_BEARER_TOKEN, TEMPO_SIGNING_SECRET};
use super::tempo::SERVICES;

pub const ORDERS: &str = "/api/v1/adapters/sales/pyxis/orders";

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    door: String,
    ops: String,
    bearer_token: &'static str,
    signing_secret: &'static str,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Client {
    /// Sends as `pyxis-north`.
    pub fn new(door: &str, ops: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        let (bearer_token, signing_secret) = (BEARER_TOKEN, SIGNING_SECRET);
        Self { http, door: door.to_owned(), ops: ops.to_owned(), bearer_token, signing_secret }
    }

    /// The same, sending as `tempo-north`.
    pub fn tempo(&self) -> Self {
        Self { bearer_token: TEMPO_BEARER_TOKEN, signing_secret: TEMPO_SIGNING_SECRET, ..self.clone() }
    }

    /// A signed Pyxis order.
    pub async fn deliver(&self, order: &Value) -> Answer {
        self.deliver_bytes(ORDERS, order.to_string().into_bytes()).await
    }

    /// A signed Pyxis cancellation.
    pub async fn cancel(&self, order_id: &str, cancellation: &Value) -> Answer {
        self.deliver_bytes(&format!("{ORDERS}/{order_id}/cancellation"), cancellation.to_string().into_bytes()).await
    }

    /// A signed Tempo service request.
    pub async fn request_service(&self, request: &Value) -> Answer {
        self.deliver_bytes(SERVICES, request.to_string().into_bytes()).await
    }

    /// A signed Tempo cancellation.
    pub async fn cancel_service(&self, request_id: &str, cancellation: &Value) -> Answer {
        let path = format!("{SERVICES}/{request_id}/cancellation");
        self.deliver_bytes(&path, cancellation.to_string().into_bytes()).await
    }

    pub async fn deliver_bytes(&self, path: &str, body: Vec<u8>) -> Answer {
        answer(self.signed(path, body)).await.expect("the door answers")
    }

    /// A signed delivery that may be cut off by the gateway's death.
    pub async fn try_deliver(&self, path: &str, body: Vec<u8>) -> Option<Answer> {
        answer(self.signed(path, body)).await.ok()
    }

    /// The request as a sales system sends it, to be changed by a test before it goes out.
    pub fn signed(&self, path: &str, body: Vec<u8>) -> RequestBuilder {
        self.signed_at(path, body, now_seconds(), self.signing_secret)
    }

    pub fn signed_at(&self, path: &str, body: Vec<u8>, at: i64, secret: &str) -> RequestBuilder {
        self.http
            .post(format!("{}{path}", self.door))
            .bearer_auth(self.bearer_token)
            .header("content-type", "application/json")
            .header("x-fsm-timestamp", at.to_string())
            .header("x-fsm-signature", signature(secret, at, &body))
            .body(body)
    }

    pub fn door(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.door))
    }

    pub fn ops(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.ops)).bearer_auth(OPERATOR_TOKEN)
    }

    /// Everything on `topic` now, as `events tail` shows it.
    pub async fn events(&self, topic: &str) -> Vec<Value> {
        let path = format!("/api/v1/ops/events/{topic}?from=beginning&follow=false");
        let text = self.ops(Method::GET, &path).send().await.expect("the tail answers").text().await;
        let text = text.expect("the tail is text");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    /// The first `count` events on `topic`; waits for them.
    pub async fn first_events(&self, topic: &str, count: usize) -> Vec<Value> {
        let path = format!("/api/v1/ops/events/{topic}?from=beginning&follow=true&limit={count}");
        let mut events = Vec::new();
        self.follow(&path, |event| {
            events.push(event);
            events.len() < count
        })
        .await;
        events
    }

    /// Follows `topic` from its beginning until `more` says no.
    pub async fn follow_events(&self, topic: &str, more: impl FnMut(Value) -> bool) {
        self.follow(&format!("/api/v1/ops/events/{topic}?from=beginning&follow=true"), more).await;
    }

    async fn follow(&self, path: &str, mut more: impl FnMut(Value) -> bool) {
        let response = self.ops(Method::GET, path).send().await.expect("the tail answers");
        if response.status() != 200 {
            panic!("{path}: {} {}", response.status(), response.text().await.unwrap_or_default());
        }
        let mut chunks = response.bytes_stream();
        let mut buffer = Vec::new();
        while let Some(chunk) = tokio::time::timeout(PATIENCE, chunks.next()).await.expect("an event in time") {
            buffer.extend_from_slice(&chunk.expect("the tail goes on"));
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                if !more(serde_json::from_slice(&line).expect("a line is JSON")) {
                    return;
                }
            }
        }
        panic!("{path}: the tail ended before what was waited for");
    }

    /// The journey of a Pyxis order of tenant `north`, as operators see it.
    pub async fn order(&self, external_id: &str) -> Value {
        self.order_of("pyxis", external_id).await
    }

    /// The journey of an order of tenant `north`, from the source with this key.
    pub async fn order_of(&self, source_key: &str, external_id: &str) -> Value {
        let path = format!("/api/v1/ops/orders/{source_key}/{external_id}?tenant=north");
        answer(self.ops(Method::GET, &path)).await.expect("the operations API answers").body
    }

    pub async fn metrics(&self) -> String {
        let response = self.ops(Method::GET, "/metrics").send().await.expect("metrics are served");
        response.text().await.expect("metrics are text")
    }
}

/// Sends and reads the whole answer; the body is `null` if it is not JSON.
pub async fn answer(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await?;
    Ok(Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
}

impl Answer {
    /// Asserts a 202 and gives the order id.
    #[track_caller]
    pub fn assert_accepted(&self) -> String {
        assert_eq!(self.status, 202, "{}", self.body);
        self.body["orderId"].as_str().expect("a 202 names the order").to_owned()
    }

    /// Asserts a rejection with this status, code and pointer first.
    #[track_caller]
    pub fn assert_rejected(&self, status: u16, code: &str, field: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.body["status"], "REJECTED", "{}", self.body);
        let first = &self.body["errors"][0];
        assert_eq!((first["code"].as_str(), first["field"].as_str()), (Some(code), Some(field)), "{}", self.body);
    }
}

pub fn signature(secret: &str, at: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length");
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    format!("v1={}", hex::encode(mac.finalize().into_bytes()))
}

pub fn now_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_secs()).expect("the clock is before the end of time")
}
