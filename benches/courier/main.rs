//! What a call to a partner costs, beside a bare reqwest loop that makes the same calls in the same run; and what a
//! hundred thousand records that wait cost those that do not.
//!
//! Nothing but the order is asserted: every figure is printed with its goal and its verdict, whichever way it falls.
//! The gateway, the partner and the bare loop are processes of their own, the last two this program started again.
//! What is compared is measured in turns; each figure is the median of the rounds and is shown with their span.
//!
//! `docs/benchmarks.md` says how to run it and what the figures mean.

mod bare;
mod blocked;
mod child;
mod index;
#[path = "../measured/mod.rs"]
// Each bench uses a part of it.
#[allow(dead_code)]
mod measured;
mod notifications;
mod partner;
mod rate;

use std::path::Path;

use crate::measured::number;
use crate::measured::report::{Report, count};
use crate::partner::Seen;

/// The gateway's own, for the bare loop that runs here; counts what the index of a lane takes.
#[global_allocator]
static ALLOCATOR: index::Counting = index::Counting;

/// Every part is bounded by these.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Of the courier, and of the bare loop; 0 leaves that part out.
    pub calls: usize,
    pub keys: usize,
    pub concurrency: usize,
    pub rounds: usize,
    /// Records that wait, of a hundredth as many keys; 0 leaves that part out too.
    pub waiting: usize,
    /// Records told beside them, in a round.
    pub beside: usize,
    pub beside_per_second: usize,
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.as_slice() {
        [_, flag] if flag == partner::FLAG => return partner::run(),
        [_, flag, job] if flag == bare::FLAG => return bare::run(Path::new(job)),
        _ => {}
    }
    // `cargo bench` says `--bench`; `cargo test --benches` only wants to know that this starts.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return println!("nothing is measured without `--bench`");
    }
    let settings = Settings {
        calls: number("BENCH_CALLS", 20_000),
        keys: number("BENCH_KEYS", 2_000),
        concurrency: number("BENCH_CONCURRENCY", 64),
        rounds: number("BENCH_ROUNDS", 3),
        waiting: number("BENCH_WAITING", 100_000),
        beside: number("BENCH_BESIDE", 2_000),
        beside_per_second: number("BENCH_BESIDE_PER_SECOND", 200),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(settings)).print();
}

async fn measure(settings: Settings) -> Report {
    let mut report = Report::new(&format!(
        "{} calls of {} keys a round, {} at once, {} rounds; {} records waiting, {} told beside them, {} a second",
        count(settings.calls),
        count(settings.keys),
        settings.concurrency,
        settings.rounds,
        count(settings.waiting),
        count(settings.beside),
        settings.beside_per_second,
    ));
    if settings.calls > 0 {
        rate::measure(settings, &mut report).await;
    }
    if settings.waiting > 0 {
        blocked::measure(settings, &mut report).await;
    }
    report
}

/// The one thing no figure excuses.
pub fn assert_in_order(seen: &Seen) {
    assert_eq!(seen.disordered, 0, "calls came out of the order of their keys: {seen:?}");
}
