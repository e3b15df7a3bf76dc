//! The configuration: one struct a concern, read from `crossdock.toml`, the environment and flags.
//!
//! [`layers::Layers`] opens what says something, the last word first; [`settings::Settings`] is what comes of it.
//! Nothing is written here but the secrets a first start makes for itself ([`operator_token`], [`developer`]).

pub mod binding;
mod changes;
pub mod courier;
pub mod developer;
pub mod environment;
pub mod layers;
mod load;
pub mod operator_token;
mod private;
pub mod reader;
pub mod report;
pub mod resolve;
pub mod secret;
pub mod settings;
mod value;

#[cfg(test)]
mod tests;
