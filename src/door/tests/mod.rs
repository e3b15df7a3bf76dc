//! What a sender sees: the order of checks, the answers, the listener's limits.

mod adapters;
mod checks;
mod engines;
mod hooks;
mod listener;
mod orders;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use uuid::Uuid;

use crate::canonical::draft::{CancellationDraft, Draft, DraftBody, DraftHead, INTAKE};
use crate::canonical::order::SourceSystem;
use crate::canonical::rejection::{Code, Rejection};
use crate::clock::ManualClock;
use crate::config::binding::Binding;
use crate::config::secret::Secret;
use crate::config::settings::DoorSettings;
use crate::door::testing::{MemoryLog, MemoryStore, NOW_S, binding, catalogue};
use crate::door::{Deps, Door, InboundRoute, Installation};
use crate::log::Stored;
use crate::normalize::{Defect, Message, Messages};
use crate::telemetry::metrics::Metrics;
use crate::verify::{Verified, sign};

const ORDERS: &str = "/api/v1/adapters/sales/pyxis/orders";
const LIMIT: usize = 100_000;

/// A route whose payload says what is to become of it: `bad`, `defect`, `panic`, else it is an order's id.
struct Scripted {
    adapter: &'static str,
    method: Method,
    path: &'static str,
}

impl InboundRoute for Scripted {
    fn adapter(&self) -> &str {
        self.adapter
    }

    fn method(&self) -> Method {
        self.method.clone()
    }

    fn path(&self) -> &str {
        self.path
    }

    fn media_types(&self) -> &[String] {
        static JSON: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| vec!["application/json".into()]);
        &JSON
    }

    fn max_body_bytes(&self) -> usize {
        LIMIT
    }

    fn normalize(&self, delivery: &Verified) -> Result<Messages, Defect> {
        self.map(delivery).map(|draft| Messages::One(Message::Draft(Box::new(draft))))
    }

    fn refuse(&self, delivery: &Verified, rejection: Rejection) -> Draft {
        draft(delivery, None, DraftBody::Rejection(rejection))
    }
}

impl Scripted {
    fn map(&self, delivery: &Verified) -> Result<Draft, Defect> {
        let text = String::from_utf8_lossy(delivery.body()).trim().to_owned();
        match text.as_str() {
            "bad" => Ok(self.refuse(delivery, Rejection::one(Code::FieldRequired, "/order_id", "missing"))),
            "defect" => Err(Defect::new("order.vrl", "gives no order")),
            "panic" => panic!("a defect of the adapter"),
            _ => {
                let path_id = delivery.context().path.first().map(|(name, value)| format!("{name}={value}"));
                let body = DraftBody::Cancellation(CancellationDraft {
                    cancelled_at: 1,
                    country_code: None,
                    reason_code: "OTHER".into(),
                    reason: None,
                    warnings: vec![],
                    id_field: "/order_id".into(),
                });
                Ok(draft(delivery, Some(path_id.unwrap_or(text)), body))
            }
        }
    }
}

fn draft(delivery: &Verified, external_order_id: Option<String>, body: DraftBody) -> Draft {
    let (binding, context) = (delivery.binding(), delivery.context());
    let head = DraftHead {
        tenant_id: binding.tenant_id.clone(),
        source_system: SourceSystem::Pyxis,
        source_key: binding.adapter.clone(),
        external_order_id,
        binding: binding.name.clone(),
        received_from: context.received_from.clone(),
        received_at: context.received_at,
        correlation_id: context.correlation_id.clone(),
        raw_sha256: delivery.digest(),
        retry_count: 0,
        transformation_version: "pyxis/1.0.0".into(),
        route: Some("pyxis/order".into()),
        path: Default::default(),
        replay_of: None,
        delivery_id: None,
    };
    Draft { head, body, raw: delivery.body().clone() }
}

/// A door with the bindings `pyxis-north` and `pyxis-south` (8 requests a minute) and `tempo-north`.
struct TestDoor {
    door: Arc<Door>,
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
    metrics: Arc<Metrics>,
}

impl TestDoor {
    fn new() -> Self {
        Self::with_store(MemoryStore::default())
    }

    fn with_store(store: MemoryStore) -> Self {
        Self::with(store, settings())
    }

    fn with(store: MemoryStore, settings: DoorSettings) -> Self {
        let log = MemoryLog::with_topics(&[INTAKE]);
        let clock = Arc::new(ManualClock::at(NOW_S * 1000));
        let metrics = Arc::new(Metrics::new().unwrap());
        let deps = Deps {
            log: log.clone(),
            store: Arc::new(store),
            catalogue: catalogue(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            new_id: Arc::new(|| Uuid::from_u128(7)),
        };
        let door = Arc::new(Door::new(deps, &settings));
        door.install(installation()).unwrap();
        Self { door, log, clock, metrics }
    }

    async fn send(&self, request: Request) -> Answered {
        let response = self.door.handle(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        Answered { status: parts.status, headers: parts.headers, body }
    }

    fn stored(&self) -> Vec<Stored> {
        self.log.records(INTAKE)
    }
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answered {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status, `status` and the first error's `code` and `field`.
    fn summary(&self) -> (u16, &str, &str, &str) {
        let text = |pointer| self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        (self.status.as_u16(), text("/status"), text("/errors/0/code"), text("/errors/0/field"))
    }
}

fn settings() -> DoorSettings {
    DoorSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        read_timeout: Duration::from_secs(30),
        max_connections: 8,
        max_body_bytes_in_flight: 10 * LIMIT,
        append_timeout: Duration::from_millis(20),
    }
}

fn installation() -> Installation {
    let route = |adapter, path| -> Arc<dyn InboundRoute> { Arc::new(Scripted { adapter, method: Method::POST, path }) };
    Installation {
        routes: vec![
            route("pyxis", ORDERS),
            route("pyxis", "/api/v1/adapters/sales/pyxis/orders/{order_id}/cancellation"),
            route("tempo", "/api/v1/adapters/sales/tempo/services/{request_id}/cancellation"),
        ],
        senders: vec![
            (pyxis(), "pyxis".into()),
            (binding("pyxis-south", "pyxis", "south", 8), "pyxis".into()),
            (binding("tempo-north", "tempo", "north", 0), "tempo".into()),
        ],
    }
}

fn pyxis() -> Arc<Binding> {
    binding("pyxis-north", "pyxis", "north", 0)
}

/// A well-formed delivery of `body` by the binding called `name`.
fn delivery(name: &str, path: &str, body: &str) -> Request {
    let signature = sign(&Secret::new(format!("{name}-secret")), NOW_S, body.as_bytes());
    Request::builder()
        .method("POST")
        .uri(path)
        .header("authorization", format!("Bearer {name}-token"))
        .header("content-type", "application/json")
        .header("x-fsm-timestamp", NOW_S)
        .header("x-fsm-signature", signature)
        .body(Body::from(body.to_owned()))
        .unwrap()
}
