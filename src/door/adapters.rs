//! The routes of the loaded adapters, as the door serves them.

use std::sync::Arc;

use axum::http::Method;

use crate::canonical::draft::Draft;
use crate::canonical::rejection::Rejection;
use crate::config::binding::Binding;
use crate::door::route::InboundRoute;
use crate::door::table::{Error, Installation};
use crate::normalize::manifest::Http;
use crate::normalize::{AdapterSet, Defect, Route};
use crate::verify::Verified;

/// A route that is reached over HTTP.
struct Served {
    route: Arc<Route>,
    http: Http,
    method: Method,
}

impl Installation {
    /// Every HTTP route of `adapters`, for those of `bindings` whose adapter is loaded.
    ///
    /// # Errors
    /// [`Error::Method`]; paths are checked when the installation is installed.
    pub fn of(adapters: &AdapterSet, bindings: &[Arc<Binding>]) -> Result<Self, Error> {
        let mut routes: Vec<Arc<dyn InboundRoute>> = Vec::new();
        for route in adapters.iter().flat_map(|adapter| adapter.routes()) {
            let Some(http) = route.http().cloned() else { continue };
            let method = Method::from_bytes(http.method.as_bytes())
                .map_err(|_| Error::Method { adapter: route.adapter().name.clone(), method: http.method.clone() })?;
            routes.push(Arc::new(Served { route: route.clone(), http, method }));
        }
        let sender = |binding: &Arc<Binding>| {
            let adapter = adapters.adapter(&binding.adapter)?;
            Some((binding.clone(), adapter.manifest().source_key.clone()))
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

    fn normalize(&self, delivery: &Verified) -> Result<Draft, Defect> {
        self.route.normalize(delivery)
    }

    fn refuse(&self, delivery: &Verified, rejection: Rejection) -> Draft {
        self.route.refuse(delivery, rejection)
    }
}
