//! What is fuzzed, one function a target: whatever the bytes are, nothing panics, and what is accepted holds together.

mod avro;
mod configuration;
mod json;
pub mod seeds;
mod signature;

/// The target of that name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    match name {
        "json" => Some(json::json),
        "avro" => Some(avro::avro),
        "signature" => Some(signature::signature),
        "configuration" => Some(configuration::configuration),
        _ => None,
    }
}
