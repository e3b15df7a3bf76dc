//! The topics of the loaded adapters, as the reader reads them.

use std::sync::Arc;

use crate::canonical::draft::Draft;
use crate::canonical::rejection::Rejection;
use crate::config::binding::Binding;
use crate::normalize::{AdapterSet, TopicDefect, TopicRoute};
use crate::reader::topic::{Error, Inbound, InboundTopic, Installation};
use crate::schema::Catalogue;
use crate::verify::Verified;

impl Installation {
    /// Every topic that one of `bindings` reads and its adapter has.
    ///
    /// # Errors
    /// [`Error::Taken`].
    pub fn of(adapters: &AdapterSet, bindings: &[Arc<Binding>]) -> Result<Self, Error> {
        let of_binding = |binding: &Arc<Binding>| {
            let routes = adapters.adapter(&binding.adapter).into_iter().flat_map(|adapter| adapter.topics());
            let read = routes.filter(|route| binding.topics.iter().any(|topic| topic == route.topic()));
            let inbound = |route: &Arc<TopicRoute>| Inbound { route: route.clone(), binding: binding.clone() };
            read.map(inbound).collect::<Vec<_>>()
        };
        Self::new(bindings.iter().flat_map(of_binding))
    }
}

impl InboundTopic for TopicRoute {
    fn topic(&self) -> &str {
        Self::topic(self)
    }

    fn group(&self) -> &str {
        Self::group(self)
    }

    fn max_bytes(&self) -> usize {
        Self::max_bytes(self)
    }

    fn normalize(&self, delivery: &Verified, catalogue: &Catalogue) -> Result<Draft, TopicDefect> {
        Self::normalize(self, delivery, catalogue)
    }

    fn refuse(&self, delivery: &Verified, rejection: Rejection) -> Draft {
        Self::refuse(self, delivery, rejection)
    }
}
