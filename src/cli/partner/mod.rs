//! Simulated partner systems: what `demo` and `generate` send, as a partner would send it, and who is called.
//!
//! A [`Sample`] is the adapter's own files: payloads with places to fill in, and what is wrong with a bad one. It makes
//! a [`Delivery`], which a [`Sender`] signs and sends over HTTP. What the gateway must make of it is not asked of the
//! gateway's code: the sample names the answer, and [`oracle`] has the state table of the contract a second time. A [`Receiver`] is called,
//! and misbehaves on script.

pub mod gateway;
pub mod oracle;
pub mod receiver;
pub mod sample;
mod sample_file;
pub mod sender;

pub use gateway::Observer;
pub use receiver::Receiver;
pub use sample::{Delivery, Expected, Flaw, Kind, Message, Sample};
pub use sender::{Answer, Sender};
