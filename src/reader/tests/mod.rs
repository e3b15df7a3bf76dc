//! The reader on the embedded engine, with adapters and a log that do as a test tells them.

mod bench;
mod faults;
mod pausing;
mod reading;
mod reloading;
