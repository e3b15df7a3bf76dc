//! What one order's messages come to, by the state table of the contract: a second, much smaller telling of it, so that
//! what the gateway does is held against something other than itself.
//!
//! Source: `contracts/canonical-events.md` section 8.

use crate::canonical::event::{ORDER_CANCELLED, ORDER_NORMALIZED, ORDER_RECEIVED, ORDER_UPDATED};
use crate::cli::partner::Kind;

/// One order as the table has it. Versions stand for revision and content at once: another version is both.
#[derive(Debug, Clone, Default)]
pub struct Order {
    phase: Phase,
    /// Versions that wait for the creation.
    parked: Vec<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Unknown,
    Received(u32),
    Cancelled,
    Tombstone,
}

/// Which way a message comes: over HTTP an order is created or updated as its state has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Http,
    Topic,
}

/// One outcome, and the topics of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// As the metrics name it.
    pub outcome: &'static str,
    pub topics: &'static [&'static str],
}

const CREATED: Effect = Effect { outcome: "accepted", topics: &[ORDER_RECEIVED, ORDER_NORMALIZED] };
const UPDATED: Effect = Effect { outcome: "accepted", topics: &[ORDER_UPDATED, ORDER_NORMALIZED] };
const CANCELLED: Effect = Effect { outcome: "accepted", topics: &[ORDER_CANCELLED] };
const SUPPRESSED: Effect = Effect { outcome: "suppressed", topics: &[ORDER_CANCELLED] };
const DUPLICATE: Effect = silent("duplicate");
const STALE: Effect = silent("stale");
const PARKED: Effect = silent("parked");

impl Order {
    /// What `kind` comes to: its own outcome, then those of the updates it releases.
    pub fn take(&mut self, kind: Kind, way: Way) -> Vec<Effect> {
        match kind {
            Kind::Cancelled(_) => vec![self.cancel()],
            Kind::Updated(version) if way == Way::Topic && !self.is_created() => {
                self.parked.push(version);
                vec![PARKED]
            }
            Kind::Updated(version) => self.upsert(version, way),
            Kind::Created => self.upsert(0, way),
        }
    }

    fn is_created(&self) -> bool {
        matches!(self.phase, Phase::Received(_) | Phase::Cancelled)
    }

    fn upsert(&mut self, version: u32, way: Way) -> Vec<Effect> {
        let was_created = self.is_created();
        let mut effects = vec![match self.phase {
            Phase::Unknown => {
                self.phase = Phase::Received(version);
                CREATED
            }
            Phase::Tombstone => {
                self.phase = Phase::Cancelled;
                SUPPRESSED
            }
            Phase::Received(_) | Phase::Cancelled => self.change(version),
        }];
        if !was_created && way == Way::Topic {
            let mut parked = std::mem::take(&mut self.parked);
            parked.sort_unstable();
            effects.extend(parked.into_iter().map(|version| self.change(version)));
        }
        effects
    }

    fn change(&mut self, version: u32) -> Effect {
        match self.phase {
            Phase::Received(known) if version > known => {
                self.phase = Phase::Received(version);
                UPDATED
            }
            Phase::Received(known) if version == known => DUPLICATE,
            _ => STALE,
        }
    }

    fn cancel(&mut self) -> Effect {
        match self.phase {
            Phase::Unknown => {
                self.phase = Phase::Tombstone;
                PARKED
            }
            Phase::Received(_) => {
                self.phase = Phase::Cancelled;
                CANCELLED
            }
            Phase::Cancelled | Phase::Tombstone => DUPLICATE,
        }
    }
}

const fn silent(outcome: &'static str) -> Effect {
    Effect { outcome, topics: &[] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(way: Way, kinds: &[Kind]) -> Vec<&'static str> {
        let mut order = Order::default();
        kinds.iter().flat_map(|kind| order.take(*kind, way)).map(|effect| effect.outcome).collect()
    }

    #[test]
    fn an_order_goes_through_the_table() {
        use Kind::{Cancelled, Created, Updated};
        for (way, kinds, expected) in [
            (
                Way::Http,
                vec![Created, Created, Updated(1), Created],
                vec!["accepted", "duplicate", "accepted", "stale"],
            ),
            (Way::Http, vec![Updated(2), Updated(1), Created], vec!["accepted", "stale", "stale"]),
            (Way::Http, vec![Cancelled(1), Cancelled(1), Created], vec!["parked", "duplicate", "suppressed"]),
            (
                Way::Http,
                vec![Created, Cancelled(3), Updated(4), Cancelled(3)],
                vec!["accepted", "accepted", "stale", "duplicate"],
            ),
            (
                Way::Topic,
                vec![Updated(2), Updated(1), Created],
                vec!["parked", "parked", "accepted", "accepted", "accepted"],
            ),
            (
                Way::Topic,
                vec![Updated(1), Updated(1), Created],
                vec!["parked", "parked", "accepted", "accepted", "duplicate"],
            ),
        ] {
            assert_eq!(outcomes(way, &kinds), expected, "{way:?} {kinds:?}");
        }
    }
}
