//! The lane engine: keeps the order of each key through retries, dead letters, held keys and replays, blocks no other
//! key meanwhile, and comes out of every crash and change of ownership where it was.
//!
//! A [`Lane`] is one partition of one internal topic, as a state machine: records, copies read back, answers of
//! attempts, operators' commands and time go in; a [`Batch`] at a time comes out, to be written to the store and then
//! committed to the log. [`Recovery`] is the only way to get one. `docs/lane.md` has the rules, and for each the
//! failure it prevents.
//!
//! Invariant: a record is attempted only if it is the smallest outstanding one of its key, and it is outstanding until
//! its end is committed. Absent on purpose: no I/O, no clock, no randomness, no payload. The same inputs give the same
//! batches.

mod answers;
pub mod batch;
pub mod checkpoint;
pub mod command;
mod execute;
pub mod header;
mod index;
mod machine;
pub mod marks;
#[cfg(test)]
pub(crate) mod model;
pub mod moved;
#[cfg(test)]
mod mutation;
pub mod place;
pub mod plan;
pub mod policy;
pub mod recovery;
mod staging;
#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use machine::{Lane, Outstanding};
pub use place::{Key, Place, Seq, Topic};
pub use policy::{OnDead, Policy, Tier};
pub use recovery::Recovery;
