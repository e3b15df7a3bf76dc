//! Every metric, span and field name, once.

pub mod log;
pub mod metrics;
