//! What the benches of whole processes share: the sender, the process that is measured, the table of figures.

pub mod hop;
pub mod load;
pub mod process;
pub mod report;
pub mod sender;

/// Orders sent to a new process before anything is measured: caches, pools and statements are made then.
pub const WARM_UP: usize = 2_000;

/// A number from the environment.
///
/// # Panics
/// The variable is there and no number.
pub fn number(name: &str, usual: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: expected a number, found `{text}`")),
        Err(_) => usual,
    }
}
