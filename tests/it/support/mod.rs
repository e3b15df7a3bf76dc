//! A gateway of one's own: the real binary with its own data folder and its own ports.

pub mod client;
#[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
pub mod clients;
pub mod gateway;
pub mod pyxis;
#[cfg(any(feature = "test-registry", all(feature = "test-kafka", feature = "test-postgres")))]
pub mod services;
pub mod tempo;

pub use client::Client;
pub use gateway::{Gateway, Options, crossdock};

/// Longest wait for anything that must happen; reaching it is a failure, never a pause.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Whether this is a long run: `deploy/test --long`.
#[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
pub fn is_long() -> bool {
    std::env::var_os("CROSSDOCK_LONG").is_some()
}

/// Copies a folder with everything in it.
pub fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
