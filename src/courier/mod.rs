//! Between "here is a request for this target" and "this is what came of it": one HTTP attempt.
//!
//! A [`Request`] is what a mapping made of a notification; a [`Target`] adds credentials and signature, waits for its
//! turn ([`pace`]), asks the [`breaker`], makes the call once, and says in an [`Answer`] what came of it by the table of
//! failures ([`judge`]). `docs/courier.md` has the table as a partner sees it.
//!
//! Invariant: a request is begun only while its deadline is at least one time-out away, and is over when the time-out
//! is; so an answer that comes later belongs to nobody. Absent on purpose: nothing here retries, knows lanes' records or
//! writes anything down. Time comes in through `crate::clock` and the deadline.
//!
//! Source: `contracts/canonical-events.md` section 9.

mod already_applied;
pub mod answer;
pub mod breaker;
pub mod client;
pub mod credentials;
pub mod delays;
mod failed;
mod journey;
pub mod judge;
mod kept;
pub mod lane;
pub mod pace;
pub mod request;
mod retry_after;
pub mod target;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Cause, NotMade, Verdict};
pub use breaker::{Condition, State};
pub use credentials::Credentials;
pub use request::{Effect, IdempotencyKey, Request};
pub use target::Target;
