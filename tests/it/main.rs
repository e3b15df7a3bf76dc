//! The gateway from outside: the real binary, over HTTP and its command line. One file a behaviour.

mod support;

mod commands;
mod developer_mode;
mod gaps;
mod hostile_payloads;
mod kills;
mod order_state;
mod reloading;
#[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
mod scale_out;
mod stopping;
mod straight_line;
mod tempo;
