//! Failures: found, explained, mapped again.
//!
//! The index (`index`) is two hops: they read what was published as failed and the dead letters of the lanes into the
//! store, where operators find them. A failure knows everything a person needs to decide and the gateway needs to map the
//! payload again; `failure` reads that from the event and its headers, `group` tells which failures have one cause.
//!
//! A replay (`replay`) maps a rejected payload again, as it came or corrected, by the mappings now in force
//! (`mappings`), and appends the result to the intake as a message of its own. What was there stays: the failure, the
//! payload and the audit row that says who did it and why.
//!
//! What a lane has taken is brought back by a command to its owner (`keys`), never by putting it back; many failures at
//! once by a job (`job`), which does for each what a person would.
//!
//! Absent on purpose: nothing here puts a record back that a lane has taken, and nothing here decides about an order.

pub mod audit;
pub mod dead_letter;
#[cfg(test)]
mod driven;
mod edit;
pub mod failure;
mod group;
pub mod index;
pub mod job;
pub mod keys;
pub mod mappings;
pub mod replay;
#[cfg(test)]
pub(crate) mod testing;
