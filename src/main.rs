use std::process::ExitCode;

use clap::Parser as _;
use crossdock::cli::{self, Cli};

/// An order is some hundreds of small allocations, made on one thread and often freed on another; the system's
/// allocator spends a quarter of the process's time on them (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    if let Err(mistake) = crossdock::failpoint::arm_from_environment() {
        eprintln!("crossdock: {mistake}");
        return ExitCode::from(78);
    }
    cli::run(Cli::parse()).await
}
