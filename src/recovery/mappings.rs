//! The mappings and bindings in force, for payloads that came before.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::canonical::draft::Draft;
use crate::config::binding::Binding;
use crate::normalize::manifest::Manifest;
use crate::normalize::manifest::webhook::ROUTE;
use crate::normalize::{AdapterSet, Message, Messages, Route, TopicRoute, Webhook};
use crate::schema::Catalogue;
use crate::verify::Verified;

/// Routes and bindings, replaced whole at a reload.
#[derive(Debug, Default)]
pub struct Mappings {
    set: RwLock<Arc<Set>>,
}

#[derive(Debug, Default)]
struct Set {
    /// By `<adapter>/<route>`.
    routes: HashMap<String, Arc<Route>>,
    /// By `<adapter>/webhook`.
    webhooks: HashMap<String, Arc<Webhook>>,
    /// By adapter and topic.
    topics: HashMap<(String, String), Arc<TopicRoute>>,
    bindings: HashMap<String, Arc<Binding>>,
}

/// The way a payload came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// `<adapter>/<route>`, or `<adapter>/webhook`: the document tells its route.
    Route(String),
    /// The topic it was read from; the value tells its route.
    Topic(String),
}

/// A way with its binding, as they are now.
#[derive(Debug, Clone)]
pub struct Mapping {
    binding: Arc<Binding>,
    by: By,
}

#[derive(Debug, Clone)]
enum By {
    Route(Arc<Route>),
    Webhook(Arc<Webhook>),
    Topic(Arc<TopicRoute>),
}

/// Why a payload cannot be mapped now as it was then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    #[error("binding `{name}` is not configured any more")]
    Binding { name: String },
    #[error("route `{name}` is not in the mappings any more")]
    Route { name: String },
    #[error("topic `{name}` is not in the mappings of adapter `{adapter}` any more")]
    Topic { name: String, adapter: String },
    /// The name was given to another system since.
    #[error("binding `{name}` is of adapter `{found}` now, the payload came to adapter `{expected}`")]
    Adapter { name: String, expected: String, found: String },
    #[error("binding `{name}` is of another tenant now")]
    Tenant { name: String },
}

impl Mappings {
    /// Those of `adapters`, for `bindings`, from now on.
    pub fn install(&self, adapters: &AdapterSet, bindings: &[Arc<Binding>]) {
        let mut set = Set::default();
        for adapter in adapters.iter() {
            for route in adapter.routes() {
                set.routes.insert(format!("{}/{}", route.adapter().name, route.name()), route.clone());
            }
            if let Some(webhook) = adapter.webhook() {
                set.webhooks.insert(format!("{}/{ROUTE}", webhook.adapter().name), webhook.clone());
            }
            for topic in adapter.topics() {
                set.topics.insert((topic.adapter().name.clone(), topic.topic().to_owned()), topic.clone());
            }
        }
        set.bindings = bindings.iter().map(|binding| (binding.name.clone(), binding.clone())).collect();
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
    }

    /// The bindings, by name.
    pub fn bindings(&self) -> Vec<Arc<Binding>> {
        let set = Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner));
        let mut bindings: Vec<_> = set.bindings.values().cloned().collect();
        bindings.sort_by(|one, other| one.name.cmp(&other.name));
        bindings
    }

    /// The mapping for what came by `way` to the binding of `tenant_id`.
    ///
    /// # Errors
    /// [`Missing`] names what is gone or has become something else.
    pub fn find(&self, way: &Way, binding: &str, tenant_id: &str) -> Result<Mapping, Missing> {
        let set = Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner));
        let name = || binding.to_owned();
        let found = set.bindings.get(binding).ok_or_else(|| Missing::Binding { name: name() })?;
        if found.tenant_id != tenant_id {
            return Err(Missing::Tenant { name: name() });
        }
        let by = match way {
            Way::Route(route) => match (set.routes.get(route), set.webhooks.get(route)) {
                (Some(known), _) => By::Route(known.clone()),
                (None, Some(webhook)) => By::Webhook(webhook.clone()),
                (None, None) => return Err(Missing::Route { name: route.clone() }),
            },
            Way::Topic(topic) => {
                let place = (found.adapter.clone(), topic.clone());
                let missing = || Missing::Topic { name: topic.clone(), adapter: found.adapter.clone() };
                By::Topic(set.topics.get(&place).cloned().ok_or_else(missing)?)
            }
        };
        let mapping = Mapping { binding: found.clone(), by };
        let expected = &mapping.adapter().name;
        if found.adapter != *expected {
            let (expected, found) = (expected.clone(), found.adapter.clone());
            return Err(Missing::Adapter { name: name(), expected, found });
        }
        Ok(mapping)
    }
}

impl Mapping {
    pub fn binding(&self) -> &Arc<Binding> {
        &self.binding
    }

    /// Largest payload, inclusive.
    pub fn max_bytes(&self) -> usize {
        self.adapter().body_bytes
    }

    /// Decodes, validates and maps; a payload that fails a check becomes a draft with its rejection.
    ///
    /// # Errors
    /// A text that says what of ours is at fault.
    pub fn normalize(&self, delivery: &Verified, catalogue: &Catalogue) -> Result<Draft, String> {
        match &self.by {
            By::Route(route) => route.normalize(delivery).map_err(|defect| defect.to_string()),
            By::Webhook(webhook) => match webhook.normalize(delivery).map_err(|defect| defect.to_string())? {
                Messages::One(Message::Draft(draft)) => Ok(*draft),
                Messages::One(Message::Ignored) => Err("the webhook has no use for events of this type now".to_owned()),
                Messages::Many(_) => Err("the payload is a batch, expected one message".to_owned()),
            },
            By::Topic(topic) => topic.normalize(delivery, catalogue).map_err(|defect| defect.to_string()),
        }
    }

    fn adapter(&self) -> &Manifest {
        match &self.by {
            By::Route(route) => route.adapter(),
            By::Webhook(webhook) => webhook.adapter(),
            By::Topic(topic) => topic.adapter(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalize::tests::{adapters, binding};

    #[test]
    fn a_payload_is_mapped_only_as_what_it_was() {
        let mappings = Mappings::default();
        let find = |way: &Way, name, tenant| mappings.find(way, name, tenant).map(|mapping| mapping.max_bytes());
        let route = |name: &str| Way::Route(name.to_owned());
        let topic = |name: &str| Way::Topic(name.to_owned());
        let none = find(&route("pyxis/order"), "pyxis-north", "north").expect_err("nothing is installed");
        assert_eq!(none, Missing::Binding { name: "pyxis-north".into() });

        mappings.install(adapters(), &[Arc::new(binding())]);

        assert_eq!(find(&route("pyxis/order"), "pyxis-north", "north"), Ok(2 << 20));
        assert_eq!(find(&topic("sales.pyxis.order.created"), "pyxis-north", "north"), Ok(2 << 20));
        for (way, name, tenant, expected) in [
            (route("pyxis/order"), "pyxis-west", "north", "binding `pyxis-west` is not configured any more"),
            (route("pyxis/orders"), "pyxis-north", "north", "route `pyxis/orders` is not in the mappings any more"),
            (topic("t"), "pyxis-north", "north", "topic `t` is not in the mappings of adapter `pyxis` any more"),
            (
                route("tempo/service"),
                "pyxis-north",
                "north",
                "binding `pyxis-north` is of adapter `pyxis` now, the payload came to adapter `tempo`",
            ),
            (route("pyxis/order"), "pyxis-north", "south", "binding `pyxis-north` is of another tenant now"),
        ] {
            let missing = find(&way, name, tenant).expect_err("something is missing");
            assert_eq!(missing.to_string(), expected);
        }
    }
}
