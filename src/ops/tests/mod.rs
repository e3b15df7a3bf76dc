//! What an operator and a tool see of the operations API.

mod events;
mod orders;
mod rights;

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::*;
use crate::clock::ManualClock;
use crate::config::report::Report;
use crate::config::secret::Secret;
use crate::config::settings::Role;
use crate::door::testing::{MemoryLog, MemoryStore, NOW_S, catalogue};
use crate::log::{Append, Header, Record};
use crate::recovery::replay;

const TOPIC: &str = "integration.sales.order.normalized";

struct TestOps {
    ops: Ops,
    log: Arc<MemoryLog>,
    readiness: Arc<Readiness>,
    stop: watch::Sender<bool>,
}

impl TestOps {
    fn new(store: MemoryStore) -> Self {
        let log = MemoryLog::with_topics(&[TOPIC, "empty"]);
        let readiness = Arc::new(Readiness::default());
        let (stop, stopped) = watch::channel(false);
        let ops = Ops::new(deps(log.clone(), store, readiness.clone(), stopped));
        Self { ops, log, readiness, stop }
    }

    async fn ask(&self, method: &str, uri: &str, token: &str, body: impl Into<Body>) -> Answered {
        let mut request = Request::builder().method(method).uri(uri).header("content-type", "application/json");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let (parts, body) = self.ops.handle(request.body(body.into()).unwrap()).await.into_parts();
        Answered { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, uri: &str, token: &str) -> Answered {
        self.ask("GET", uri, token, Body::empty()).await
    }

    async fn append(&self, key: &str, value: impl Into<Bytes>, headers: Vec<Header>) {
        let record = Record { key: Some(Bytes::from(key.to_owned())), value: Some(value.into()), headers };
        self.log.append(vec![Append { topic: TOPIC.into(), partition: None, record }]).await.unwrap();
    }

    async fn post(&self, topic: &str, record: Value) -> Answered {
        self.ask("POST", &format!("/api/v1/ops/events/{topic}"), "writer", record.to_string()).await
    }
}

/// Operators are called by their roles; `north` is a viewer of one tenant.
fn deps(log: Arc<dyn EventLog>, store: MemoryStore, readiness: Arc<Readiness>, stop: watch::Receiver<bool>) -> Deps {
    let operator = |name: &str, role, tenants: &[&str]| Operator {
        name: name.into(),
        token: Secret::new(name),
        roles: vec![role],
        tenants: tenants.iter().map(|tenant| (*tenant).into()).collect(),
    };
    let (store, metrics): (Arc<dyn Store>, _) = (Arc::new(store), Arc::new(Metrics::new().unwrap()));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW_S * 1000));
    let replays = Replays::new(replay::Deps {
        log: log.clone(),
        store: store.clone(),
        catalogue: catalogue(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        mappings: Arc::default(),
        append_timeout: Duration::from_secs(5),
    });
    Deps {
        log,
        store,
        clock,
        replays: Arc::new(replays),
        traffic: Arc::new(Traffic::new(metrics.clone())),
        catalogue: catalogue(),
        metrics,
        readiness,
        reload: Arc::new(|| Err(Report::default())),
        operators: vec![
            operator("viewer", Role::Viewer, &[]),
            operator("writer", Role::Writer, &[]),
            operator("operator", Role::Operator, &[]),
            operator("admin", Role::Admin, &[]),
            operator("client", Role::Client, &[]),
            operator("north", Role::Viewer, &["north"]),
            operator("north-admin", Role::Admin, &["north"]),
        ],
        tenants: watch::channel(vec!["north".into(), "south".into()]).1,
        stop,
    }
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

impl Answered {
    fn content_type(&self) -> &str {
        self.headers["content-type"].to_str().unwrap()
    }

    async fn bytes(self) -> Bytes {
        self.body.collect().await.unwrap().to_bytes()
    }

    async fn json(self) -> Value {
        serde_json::from_slice(&self.bytes().await).unwrap()
    }

    async fn lines(self) -> Vec<Value> {
        let text = self.bytes().await;
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}
