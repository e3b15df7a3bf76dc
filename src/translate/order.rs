//! Whose order an event is about.
//!
//! An event of another domain names the platform's ids; the first of them that is known counts. An `fsm.*` event names
//! the order as its source does, so all it may lack is the tenant: the header `tenant-id`, else the link of its
//! `fsm_service_order_id`, else the only order with its source system and external id.
//!
//! Source: DESIGN section 1; `contracts/pyxis.md`, "Translation".

use crate::canonical::ids::OrderKey;
use crate::canonical::order::SourceSystem;
use crate::translate::consumed::Consumed;
use crate::translate::event::{Platform, PlatformEvent};

/// What to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Ids of the platform, the most telling first; while none of them is known, the record waits for any of them.
    pub platform_ids: Vec<String>,
    /// The order as its source names it, of an `fsm.*` event.
    pub named: Option<Named>,
}

/// An order named by its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub source_system: SourceSystem,
    pub external_order_id: String,
}

/// The answer to [`Wanted`]. Empty if nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The order of the first platform id that is known.
    pub linked: Option<KnownOrder>,
    /// The orders with that source system and external id, of any tenant; more than two need not be given.
    pub named: Vec<KnownOrder>,
}

/// An order the gateway knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownOrder {
    pub key: OrderKey,
    /// The selling country, where it is known.
    pub country_code: Option<String>,
}

impl Consumed {
    /// What is to be looked up for the event.
    pub fn wanted(&self) -> Wanted {
        let ids = |ids: &[Option<&String>]| {
            ids.iter().flatten().filter(|id| !id.is_empty()).map(|id| (*id).clone()).collect()
        };
        let named = |source_system: SourceSystem, external_order_id: &String| {
            Some(Named { source_system, external_order_id: external_order_id.clone() })
        };
        match &self.event {
            PlatformEvent::StatusUpdated(event) => Wanted {
                platform_ids: ids(&[Some(&event.fsm_service_order_id)]),
                named: named(event.source_system, &event.external_order_id),
            },
            PlatformEvent::TvOutcomeRecorded(event) => {
                Wanted { platform_ids: Vec::new(), named: named(event.source_system, &event.external_order_id) }
            }
            PlatformEvent::Other(Platform::TvOutcomeRecorded(event)) => Wanted {
                platform_ids: ids(&[event.linked_installation_order_id.as_ref(), Some(&event.tv_service_order_id)]),
                named: None,
            },
            PlatformEvent::Other(Platform::AssignmentConfirmed(event)) => {
                Wanted { platform_ids: ids(&[Some(&event.service_order_id)]), named: None }
            }
            PlatformEvent::Other(Platform::ServiceOrderCancelled(event)) => {
                Wanted { platform_ids: ids(&[Some(&event.service_order_id)]), named: None }
            }
        }
    }

    /// The order the event is about; `None`: nobody knows it yet.
    pub fn order(&self, found: &Found) -> Option<KnownOrder> {
        let Some(Named { source_system, external_order_id }) = self.wanted().named else {
            return found.linked.clone();
        };
        let is_it = |order: &&KnownOrder| {
            order.key.external_order_id == external_order_id && order.key.source_system() == source_system
        };
        // Without a tenant of its own, an order of any tenant may be meant.
        let is_tenants =
            |order: &&KnownOrder| self.tenant_id.as_ref().is_none_or(|tenant| *tenant == order.key.tenant_id);
        if let Some(linked) = found.linked.as_ref().filter(is_it).filter(is_tenants) {
            return Some(linked.clone());
        }
        let mut named = found.named.iter().filter(is_it).filter(is_tenants);
        if let (Some(only), None) = (named.next(), named.next()) {
            return Some(only.clone());
        }
        // The tenant and the system say it all, but for sources of which there are many.
        let source_key = match source_system {
            SourceSystem::Pyxis => "pyxis",
            SourceSystem::Tempo => "tempo",
            SourceSystem::Sap => "sap",
            SourceSystem::Custom => return None,
        };
        let tenant_id = self.tenant_id.clone()?;
        let key = OrderKey { tenant_id, source_key: source_key.to_owned(), external_order_id };
        Some(KnownOrder { key, country_code: None })
    }

    /// The platform's id of `order`, which an `fsm.order.*` event tells, unless `found` has it already.
    pub(super) fn learned(&self, found: &Found, order: &KnownOrder) -> Option<String> {
        let PlatformEvent::StatusUpdated(event) = &self.event else { return None };
        let is_known = found.linked.as_ref().is_some_and(|linked| linked.key == order.key);
        (!is_known && !event.fsm_service_order_id.is_empty()).then(|| event.fsm_service_order_id.clone())
    }

    /// Where in the event the order is named: of what is said about an unknown one.
    pub(super) fn order_pointer(&self) -> &'static str {
        match &self.event {
            PlatformEvent::StatusUpdated(_) | PlatformEvent::TvOutcomeRecorded(_) => "/external_order_id",
            PlatformEvent::Other(Platform::TvOutcomeRecorded(event)) => match event.linked_installation_order_id {
                Some(_) => "/linked_installation_order_id",
                None => "/tv_service_order_id",
            },
            PlatformEvent::Other(_) => "/service_order_id",
        }
    }
}
