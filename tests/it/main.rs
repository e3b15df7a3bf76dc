//! The gateway from outside: the real binary, over HTTP and its command line. One file a behaviour.

mod support;

mod adding_a_partner;
#[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
mod brokers;
mod commands;
mod demo;
mod deployment;
mod developer_mode;
mod failures;
mod gaps;
mod generate;
mod hostile_payloads;
#[cfg(all(feature = "test-kafka", feature = "test-postgres", feature = "test-registry"))]
mod interop;
mod kills;
#[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
mod offset_resets;
mod operators;
mod order_state;
mod outbound;
#[cfg(all(feature = "test-kafka", feature = "test-postgres", feature = "test-registry"))]
mod registry_outage;
mod reloading;
#[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
mod scale_out;
#[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
mod security;
mod stopping;
mod straight_line;
mod tempo;
mod topics_avro;
mod topics_in;
mod webhooks;
