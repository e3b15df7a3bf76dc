//! Crossdock: an open integration adapter gateway.
//!
//! Orders come in from sales systems that all speak differently, are normalized, put in order and published as
//! canonical events. `ARCHITECTURE.md` follows one record from end to end; the modules below are in its order.

pub mod backoff;
pub mod canonical;
pub mod cli;
pub mod clock;
pub mod config;
pub mod courier;
pub mod door;
pub mod driver;
#[cfg(feature = "failpoints")]
pub mod failpoint;
pub mod gateway;
pub mod hop;
pub mod lane;
pub mod log;
pub mod normalize;
pub mod ops;
pub mod ownership;
pub mod rate;
pub mod reader;
pub mod recovery;
pub mod relay;
pub mod schema;
pub mod sequence;
pub mod store;
pub mod telemetry;
pub mod topics;
pub mod translate;
pub mod verify;
