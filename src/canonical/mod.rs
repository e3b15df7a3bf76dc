//! What passes between the stages: identifiers, the canonical order, drafts, rejections and published events.
//!
//! Everything here is plain data. Nothing here does I/O, reads a clock or draws a random number.

pub mod draft;
pub mod event;
pub mod headers;
pub mod ids;
pub mod intake;
pub mod notification;
pub mod order;
pub mod rejection;
