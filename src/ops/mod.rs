//! The operations API: what operators and their tools ask of a running gateway. One file a resource.
//!
//! On its own listener, so that it can be kept from the senders' network. Only the health routes are open; every
//! other needs an operator's token, and the token's roles and tenants say what it may do. Errors are RFC 9457
//! problem documents.

mod audit;
mod auth;
mod events;
mod failures;
mod health;
mod keys;
mod mappings;
mod metrics;
mod orders;
mod payloads;
mod problem;
mod readiness;
mod replay_jobs;
mod replays;
mod tail;
mod targets;
mod traffic;

#[cfg(test)]
mod tests;

pub use mappings::{InForce, Reload, Reloaded};
pub use readiness::Readiness;
pub use targets::{Lane, Target, Targets};
pub use traffic::Traffic;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tower::ServiceExt as _;
use tracing::error;

use crate::clock::Clock;
use crate::config::settings::Operator;
use crate::log::EventLog;
use crate::ops::auth::Operators;
use crate::ops::problem::Problem;
use crate::recovery::audit::Audit;
use crate::recovery::job::Jobs;
use crate::recovery::keys::Keys;
use crate::recovery::replay::Replays;
use crate::schema::Catalogue;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// What the operations API works with.
pub struct Deps {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub operators: Vec<Operator>,
    /// The tenants of the configured bindings: where an order is looked for when no tenant is named.
    pub tenants: watch::Receiver<Vec<String>>,
    pub reload: Reload,
    pub clock: Arc<dyn Clock>,
    pub replays: Arc<Replays>,
    pub keys: Arc<Keys>,
    pub jobs: Arc<Jobs>,
    pub traffic: Arc<Traffic>,
    pub targets: Targets,
    /// True ends the streams.
    pub stop: watch::Receiver<bool>,
}

/// The routes. Cheap to clone.
#[derive(Clone)]
pub struct Ops {
    router: Router,
}

/// What every handler sees.
#[derive(Clone)]
struct App(Arc<State>);

struct State {
    log: Arc<dyn EventLog>,
    store: Arc<dyn Store>,
    catalogue: Arc<Catalogue>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    operators: Operators,
    tenants: watch::Receiver<Vec<String>>,
    reload: Reload,
    audit: Audit,
    replays: Arc<Replays>,
    keys: Arc<Keys>,
    jobs: Arc<Jobs>,
    traffic: Arc<Traffic>,
    targets: Targets,
    stop: watch::Receiver<bool>,
}

/// A record of the largest size the log takes, as base64 in a JSON document.
const MAX_BODY_BYTES: usize = 24 * 1024 * 1024;

impl Ops {
    pub fn new(deps: Deps) -> Self {
        let Deps { log, store, catalogue, metrics, readiness, operators, tenants, reload, targets, stop, .. } = deps;
        let (replays, keys, jobs, traffic) = (deps.replays, deps.keys, deps.jobs, deps.traffic);
        let audit = Audit { store: Arc::clone(&store), clock: deps.clock };
        let operators = Operators::new(operators);
        let app = App(Arc::new(State {
            log,
            store,
            catalogue,
            metrics,
            readiness,
            operators,
            tenants,
            reload,
            audit,
            replays,
            keys,
            jobs,
            traffic,
            targets,
            stop,
        }));
        let router = Router::new()
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/health", get(health::checks))
            .route("/metrics", get(metrics::render))
            .route("/api/v1/ops/events/{topic}", get(events::tail).post(events::append))
            .route("/api/v1/ops/orders/{source_key}/{external_id}", get(orders::show))
            .route("/api/v1/ops/mappings/reload", post(mappings::reload))
            .route("/api/v1/ops/payloads/{sha256}", get(payloads::show))
            .route("/api/v1/ops/failures", get(failures::list))
            .route("/api/v1/ops/failures/{id}", get(failures::show))
            .route("/api/v1/ops/failures/{id}/replay", post(replays::replay))
            .route("/api/v1/ops/failures/{id}/dismiss", post(replays::dismiss))
            .route("/api/v1/ops/failure-groups", get(failures::groups))
            .route("/api/v1/ops/keys", get(keys::list))
            .route("/api/v1/ops/keys/{key}", get(keys::show))
            .route("/api/v1/ops/keys/{key}/release", post(keys::release))
            .route("/api/v1/ops/keys/{key}/skip", post(keys::skip))
            .route("/api/v1/ops/keys/{key}/purge", post(keys::purge))
            .route("/api/v1/ops/replays", get(replay_jobs::list).post(replay_jobs::plan))
            .route("/api/v1/ops/replays/{id}", get(replay_jobs::show))
            .route("/api/v1/ops/replays/{id}/items", get(replay_jobs::items))
            .route("/api/v1/ops/replays/{id}/run", post(replay_jobs::run))
            .route("/api/v1/ops/replays/{id}/cancel", post(replay_jobs::cancel))
            .route("/api/v1/ops/targets", get(targets::list))
            .route("/api/v1/ops/audit", get(audit::list))
            .method_not_allowed_fallback(async || Problem::method_not_allowed())
            .fallback(async || Problem::not_found("no such resource"))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .layer(from_fn(catch_panic))
            .with_state(app);
        Self { router }
    }

    /// Answers one request; the [`crate::door::server::Handler`] of the operations listener.
    pub fn handle(&self, request: Request) -> BoxFuture<'static, Response> {
        let router = self.router.clone();
        Box::pin(async move {
            match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
    }
}

/// A panic is a defect of ours and ends this one request.
async fn catch_panic(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        error!(path, "handler panicked");
        Problem::internal().into_response()
    })
}
