//! What the platform's events mean for an order's partner: events of other domains become `fsm.*` events, and those
//! become notifications for the bindings that have something to tell.
//!
//! A [`Consumed`] is a record of the platform, read. Whose order it is about is looked up by whoever calls: it answers
//! [`Consumed::wanted`] with a [`Found`], of which [`Consumed::order`] makes the order. [`platform`] then gives the
//! events to publish and the link learned, or says how long the record waits for its order; [`notify`] gives the
//! notifications; [`unknown_reference`] is what becomes of a record whose wait ran out, [`refused`] of one that cannot be
//! read.
//!
//! All of that is pure: no I/O, no clock, no state; [`lane`] looks up, and runs it. What is published has derived ids and a guard, so that a record
//! that was relayed twice is published once. Calls outside are caused by `fsm.*` events alone; what is made of another
//! domain's event is published, read again, and only then told.
//!
//! Source: `contracts/canonical-events.md` sections 2.1, 2.2, 5 and 8; DESIGN section 1.

mod consumed;
mod event;
pub mod lane;
mod notify;
mod order;
mod platform;

/// Every topic whose events are made of other domains' events, beside the bindings' own. Others write to them too.
pub const PUBLISHED: [&str; 4] =
    [fsm::SCHEDULED, fsm::STATUS_UPDATED, fsm::TV_OUTCOME_RECORDED, fsm::TV_MODIFICATIONS_REQUIRED];

pub use consumed::{Consumed, Unread};
pub use event::{Platform, PlatformEvent};
pub use notify::{Outgoing, notify};
pub use order::{Found, KnownOrder, Named, Wanted};
pub use platform::{Translated, platform, refused, unknown_reference};

use crate::canonical::event::fsm;

#[cfg(test)]
mod tests;
