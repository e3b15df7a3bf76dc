//! The routes of the loaded adapters, as the door serves them.

use std::sync::Arc;

use axum::http::Method;

use crate::canonical::draft::Draft;
use crate::canonical::rejection::Rejection;
use crate::config::binding::Binding;
use crate::door::route::InboundRoute;
use crate::door::table::{Error, Installation};
use crate::normalize::manifest::Http;
use crate::normalize::{AdapterSet, Defect, Message, Messages, Route, Webhook};
use crate::verify::{Gate, Source, Tokens, Verified};

/// Where the sources of webhooks deliver; behind it comes their `source_id`.
const HOOKS: &str = "/api/v1/adapters/hooks/";

/// A route that is reached over HTTP.
struct Served {
    route: Arc<Route>,
    http: Http,
    method: Method,
}

/// The webhook of one source.
struct Hook {
    webhook: Arc<Webhook>,
    source: Arc<Source>,
    path: String,
}

impl Installation {
    /// Every HTTP route of `adapters` and every source of webhooks, for those of `bindings` whose adapter is loaded.
    ///
    /// # Errors
    /// [`Error::Method`], [`Error::Source`]; paths are checked when the installation is installed.
    pub fn of(adapters: &AdapterSet, bindings: &[Arc<Binding>]) -> Result<Self, Error> {
        let mut routes: Vec<Arc<dyn InboundRoute>> = Vec::new();
        for route in adapters.iter().flat_map(|adapter| adapter.routes()) {
            let Some(http) = route.http().cloned() else { continue };
            let method = Method::from_bytes(http.method.as_bytes())
                .map_err(|_| Error::Method { adapter: route.adapter().name.clone(), method: http.method.clone() })?;
            routes.push(Arc::new(Served { route: route.clone(), http, method }));
        }
        for binding in bindings {
            let webhook = adapters.adapter(&binding.adapter).and_then(|adapter| adapter.webhook());
            let (Some(webhook), Some(source_id)) = (webhook, &binding.source_id) else { continue };
            let source = Source::new(Arc::clone(binding), webhook.spec().auth.clone())
                .map_err(|cause| Error::Source { binding: binding.name.clone(), cause })?;
            let (webhook, source, path) = (Arc::clone(webhook), Arc::new(source), format!("{HOOKS}{source_id}"));
            routes.push(Arc::new(Hook { webhook, source, path }));
        }
        let sender = |binding: &Arc<Binding>| {
            let adapter = adapters.adapter(&binding.adapter)?;
            Some((binding.clone(), adapter.manifest().source_key(binding).into_owned()))
        };
        Ok(Self { routes, senders: bindings.iter().filter_map(sender).collect() })
    }
}

impl InboundRoute for Served {
    fn adapter(&self) -> &str {
        &self.route.adapter().name
    }

    fn method(&self) -> Method {
        self.method.clone()
    }

    fn path(&self) -> &str {
        &self.http.path
    }

    fn media_types(&self) -> &[String] {
        &self.http.media_types
    }

    fn max_body_bytes(&self) -> usize {
        self.route.body_bytes()
    }

    fn normalize(&self, delivery: &Verified) -> Result<Messages, Defect> {
        self.route.normalize(delivery).map(|draft| Messages::One(Message::Draft(Box::new(draft))))
    }

    fn refuse(&self, delivery: &Verified, rejection: Rejection) -> Draft {
        self.route.refuse(delivery, rejection)
    }
}

impl InboundRoute for Hook {
    fn adapter(&self) -> &str {
        &self.webhook.adapter().name
    }

    fn method(&self) -> Method {
        Method::POST
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn media_types(&self) -> &[String] {
        &self.webhook.spec().media_types
    }

    fn max_body_bytes(&self) -> usize {
        self.webhook.adapter().body_bytes
    }

    fn gate(&self, _: &Arc<Tokens<Arc<Binding>>>) -> Gate {
        Gate::Source(Arc::clone(&self.source))
    }

    fn reads_header(&self, name: &str) -> bool {
        self.webhook.reads_header(name)
    }

    fn normalize(&self, delivery: &Verified) -> Result<Messages, Defect> {
        self.webhook.normalize(delivery)
    }

    fn refuse(&self, delivery: &Verified, rejection: Rejection) -> Draft {
        self.webhook.refuse(delivery, rejection)
    }
}
