//! What an operator and a tool see of the operations API.

mod events;
mod keys;
mod orders;
mod replay_jobs;
mod rights;
mod targets;

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
use crate::recovery::testing::TestLane;
use crate::recovery::{job, replay};

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
        let ops = Ops::new(deps(log.clone(), Arc::new(store), readiness.clone(), stopped));
        Self { ops, log, readiness, stop }
    }

    /// Over the embedded engines of `lane`, whose owner is played by the test.
    fn of(lane: &TestLane) -> Self {
        let readiness = Arc::new(Readiness::default());
        let (stop, stopped) = watch::channel(false);
        let deps = deps(lane.log.clone(), lane.store.clone(), readiness.clone(), stopped);
        let ops = Ops::new(Deps { keys: lane.keys.clone(), ..deps });
        Self { ops, log: MemoryLog::with_topics(&[]), readiness, stop }
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
fn deps(log: Arc<dyn EventLog>, store: Arc<dyn Store>, readiness: Arc<Readiness>, stop: watch::Receiver<bool>) -> Deps {
    let operator = |name: &str, role, tenants: &[&str]| Operator {
        name: name.into(),
        token: Secret::new(name),
        roles: vec![role],
        tenants: tenants.iter().map(|tenant| (*tenant).into()).collect(),
    };
    let metrics = Arc::new(Metrics::new().unwrap());
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
    let keys = Keys::new(crate::recovery::keys::Deps {
        log: log.clone(),
        store: store.clone(),
        catalogue: catalogue(),
        clock: clock.clone(),
        append_timeout: Duration::from_secs(5),
        outcome_timeout: Duration::ZERO,
    });
    let (keys, replays) = (Arc::new(keys), Arc::new(replays));
    let jobs = Jobs::new(job::Deps {
        store: store.clone(),
        clock: clock.clone(),
        replays: replays.clone(),
        keys: keys.clone(),
        new_id: Arc::new(uuid::Uuid::new_v4),
    });
    Deps {
        keys,
        jobs: Arc::new(jobs),
        log,
        store,
        clock,
        replays,
        traffic: Arc::new(Traffic::new(metrics.clone())),
        targets: Arc::new(|| None),
        catalogue: catalogue(),
        metrics,
        readiness,
        reload: Arc::new(|| Err(Report::default())),
        operators: vec![
            operator("viewer", Role::Viewer, &[]),
            operator("writer", Role::Writer, &[]),
            operator("operator", Role::Operator, &[]),
            operator("editor", Role::Editor, &[]),
            operator("south", Role::Operator, &["south"]),
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
