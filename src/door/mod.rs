//! The door: where senders deliver over HTTP.
//!
//! A delivery passes the checks in the contract's order (size, authentication, media type, then what `normalize`
//! checks), is appended to `crossdock.intake` and answered only once that append is durable. A rejection travels the
//! same way before its 4xx is sent, so whoever was refused can be found later; what fails at size or authentication
//! leaves no record. A failure of ours is 503 with `Retry-After`, never 4xx: a sender must be able to tell a bad
//! order from an outage.
//!
//! [`Door`] holds the routes of the loaded adapters and swaps them whole on a reload; [`server`] is the listener.
//! Absent on purpose: nothing here knows a partner system, and no delivery waits for the store.

mod adapters;
mod answer;
mod body;
mod delivery;
mod exchange;
mod media_type;
mod orders;
mod rate;
mod route;
pub mod server;
mod table;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use answer::{RETRY_AFTER_S, rfc3339};
pub use route::InboundRoute;
pub use table::{Deps, Door, Error, Installation};
