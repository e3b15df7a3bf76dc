//! Which path leads where. The table is built whole from the loaded adapters and swapped whole on a reload.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawPathParams, Request};
use axum::http::Method;
use axum::response::Response;
use axum::routing::any;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tower::ServiceExt as _;
use tracing::error;

use crate::canonical::draft::INTAKE;
use crate::clock::Clock;
use crate::config::binding::Binding;
use crate::config::settings::DoorSettings;
use crate::door::answer::Answer;
use crate::door::body::Bodies;
use crate::door::delivery::{self, Inbound};
use crate::door::exchange::{Exchange, NewId};
use crate::door::orders::{self, Reader};
use crate::door::rate::RateLimiter;
use crate::door::route::{InboundRoute, Pattern};
use crate::log::EventLog;
use crate::schema::Catalogue;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::verify::Tokens;
use crate::verify::scheme::WrongSecret;

/// The routes in force. One a gateway.
pub struct Door {
    shared: Arc<Shared>,
    router: RwLock<Router>,
}

/// What the door works with.
pub struct Deps {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// Makes the correlation ids of requests that bring none.
    pub new_id: NewId,
}

/// What is served: the routes of the loaded adapters, and who may use them.
#[derive(Default)]
pub struct Installation {
    pub routes: Vec<Arc<dyn InboundRoute>>,
    /// Each binding with the `source_key` of its orders.
    pub senders: Vec<(Arc<Binding>, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("path `{path}` of adapter `{adapter}`: expected literal and `{{name}}` segments, no name twice")]
    Path { adapter: String, path: String },
    #[error("method `{method}` of adapter `{adapter}`: expected an HTTP method")]
    Method { adapter: String, method: String },
    #[error("`{method} {path}` of adapter `{adapter}` is taken by `{other}`")]
    Taken { adapter: String, method: Method, path: String, other: String },
    #[error("binding `{binding}`: the secret of its webhooks {cause}")]
    Source { binding: String, cause: WrongSecret },
}

/// What every request needs, whatever the table.
pub(super) struct Shared {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub new_id: NewId,
    pub bodies: Bodies,
    pub rates: RateLimiter,
    pub append_timeout: Duration,
    pub intake_topic: Arc<str>,
}

impl Door {
    /// A door without routes: everything is 404 until [`Door::install`].
    pub fn new(deps: Deps, settings: &DoorSettings) -> Self {
        let Deps { log, store, catalogue, metrics, clock, new_id } = deps;
        let append_timeout = settings.append_timeout;
        let shared = Arc::new(Shared {
            bodies: Bodies::new(settings.max_body_bytes_in_flight, append_timeout, settings.read_timeout),
            rates: RateLimiter::default(),
            append_timeout,
            intake_topic: INTAKE.into(),
            log,
            store,
            catalogue,
            metrics,
            clock,
            new_id,
        });
        let router = RwLock::new(with_fallback(Router::new(), &shared));
        Self { shared, router }
    }

    /// Serves `installation` from the next request on; requests under way end on the table they began with.
    ///
    /// # Errors
    /// A path that cannot be served, or one that two routes share. The table in force stays.
    pub fn install(&self, installation: Installation) -> Result<(), Error> {
        let router = build(&self.shared, installation)?;
        *self.router.write().unwrap_or_else(PoisonError::into_inner) = router;
        Ok(())
    }

    /// Answers one request; the [`super::server::Handler`] of the door's listener.
    pub fn handle(&self, request: Request) -> BoxFuture<'static, Response> {
        let router = self.router.read().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
    }
}

fn build(shared: &Arc<Shared>, installation: Installation) -> Result<Router, Error> {
    let Installation { routes, senders } = installation;
    let tokens = Tokens::new(
        senders.iter().flat_map(|(binding, _)| binding.bearer_tokens.iter().map(|token| (token, binding.clone()))),
    );
    let (tokens, mut paths) = (Arc::new(tokens), BTreeMap::<String, Vec<Arc<Inbound>>>::new());
    for route in routes {
        let unusable = || Error::Path { adapter: route.adapter().to_owned(), path: route.path().to_owned() };
        let pattern = Pattern::parse(route.path()).ok_or_else(unusable)?;
        let method = route.method();
        let taken = |other: &str| Error::Taken {
            adapter: route.adapter().to_owned(),
            method: method.clone(),
            path: route.path().to_owned(),
            other: other.to_owned(),
        };
        if pattern.matched == orders::MATCHED {
            return Err(taken("the gateway"));
        }
        let here = paths.entry(pattern.matched).or_default();
        if let Some(other) = here.iter().find(|inbound| inbound.method == method) {
            return Err(taken(other.route.adapter()));
        }
        let (pattern, parameters) = (route.path().to_owned(), pattern.names);
        let gate = route.gate(&tokens);
        here.push(Arc::new(Inbound { pattern, method, parameters, route, gate }));
    }
    let mut router = Router::new();
    for (path, inbound) in paths {
        let (shared, inbound) = (shared.clone(), Arc::<[_]>::from(inbound));
        let handler = move |path: Result<RawPathParams, _>, request: Request| {
            let (shared, inbound) = (shared.clone(), inbound.clone());
            // A parameter that is not UTF-8 once decoded names nothing.
            let path = path.ok().map(|path| path.iter().map(|(_, value)| value.to_owned()).collect());
            async move { inbound_answer(shared, &inbound, path, request).await }
        };
        router = router.route(&path, any(handler));
    }
    let readers = senders.iter().flat_map(|(binding, source_key)| {
        binding
            .bearer_tokens
            .iter()
            .map(move |token| (token, Reader { tenant_id: binding.tenant_id.clone(), source_key: source_key.clone() }))
    });
    let (readers, handler_shared) = (Arc::new(Tokens::new(readers)), shared.clone());
    let order = move |path: Result<RawPathParams, _>, request: Request| {
        let (shared, readers) = (handler_shared.clone(), readers.clone());
        let id = path.ok().and_then(|path| path.iter().next().map(|(_, value)| value.to_owned()));
        async move { order_answer(shared, &readers, id, request).await }
    };
    Ok(with_fallback(router.route(orders::MATCHED, any(order)), shared))
}

async fn inbound_answer(
    shared: Arc<Shared>,
    inbound: &[Arc<Inbound>],
    path: Option<Vec<String>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let exchange = Exchange::begin(&parts.headers, &*shared.clock, &shared.new_id);
    let pattern = inbound.first().map_or(UNMATCHED, |inbound| &inbound.pattern);
    let answer = async {
        match (inbound.iter().find(|inbound| inbound.method == parts.method), path) {
            (Some(inbound), Some(path)) => {
                delivery::deliver(&shared, inbound, &exchange, path, &parts.headers, body).await
            }
            (Some(_), None) => Answer::NotFound { retry_after_s: None },
            (None, _) => {
                let methods: Vec<_> = inbound.iter().map(|inbound| inbound.method.to_string()).collect();
                Answer::MethodNotAllowed { allow: methods.join(", ") }
            }
        }
    };
    conclude(&shared, pattern, &exchange, answer).await
}

async fn order_answer(shared: Arc<Shared>, readers: &Tokens<Reader>, id: Option<String>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let exchange = Exchange::begin(&parts.headers, &*shared.clock, &shared.new_id);
    let answer = async {
        match parts.method {
            Method::GET | Method::HEAD => orders::show(&shared, readers, id.as_deref(), &parts.headers).await,
            _ => Answer::MethodNotAllowed { allow: "GET, HEAD".to_owned() },
        }
    };
    conclude(&shared, orders::PATH, &exchange, answer).await
}

fn with_fallback(router: Router, shared: &Arc<Shared>) -> Router {
    let shared = shared.clone();
    router.fallback(move |request: Request| {
        let shared = shared.clone();
        async move {
            let exchange = Exchange::begin(request.headers(), &*shared.clock, &shared.new_id);
            let answer = async { Answer::NotFound { retry_after_s: None } };
            conclude(&shared, UNMATCHED, &exchange, answer).await
        }
    })
}

/// The label of requests no route takes: their paths are the senders' to choose.
const UNMATCHED: &str = "unmatched";

/// Waits for the answer, catches a panic, counts. A panic is a defect of ours and ends this one request.
async fn conclude(
    shared: &Shared,
    pattern: &str,
    exchange: &Exchange,
    answer: impl Future<Output = Answer>,
) -> Response {
    let answer = AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
        error!(route = %pattern, correlation.id = %exchange.correlation_id, "handler panicked");
        Answer::Panicked
    });
    shared.metrics.door_requests.with_label_values(&[pattern, answer.status().as_str()]).inc();
    answer.into_response(exchange)
}
