//! Failures: found, explained, mapped again.
//!
//! The index (`index`) is a hop: it reads what was published as failed, by the consumer group of the contract, into the
//! store, where operators find it. A failure knows everything a person needs to decide and the gateway needs to map the
//! payload again; `failure` reads that from the event and its headers, `group` tells which failures have one cause.
//!
//! A replay (`replay`) maps a rejected payload again, as it came or corrected, by the mappings now in force
//! (`mappings`), and appends the result to the intake as a message of its own. What was there stays: the failure, the
//! payload and the audit row that says who did it and why.
//!
//! Absent on purpose: nothing here puts a record back that a lane has taken, and nothing here decides about an order.

pub mod audit;
pub mod failure;
mod group;
pub mod index;
pub mod mappings;
pub mod replay;
