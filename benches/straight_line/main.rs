//! What an order costs on the straight line, from the door to the published events, beside the goals.
//!
//! Nothing is asserted: every figure is printed with its goal and its verdict, whichever way it falls. The sender is
//! this process and what is measured is another one: the gateway itself, or, for the door without a sequencer, this
//! program started again ([`hop`]). What is compared is measured in turns, so that a slow moment of the machine hits
//! both; each figure is the median of the rounds and is shown with their span.
//!
//! `docs/benchmarks.md` says how to run it and what the figures mean.

mod baseline;
#[path = "../measured/mod.rs"]
// Each bench uses a part of it.
#[allow(dead_code)]
mod measured;
mod settings;
mod stored;

use std::path::Path;

use tempfile::TempDir;

use crate::measured::load::{self, Sent};
use crate::measured::process::Process;
use crate::measured::report::{self, Report, Samples};
use crate::measured::sender::Sender;
use crate::measured::{WARM_UP, hop};
use crate::settings::Settings;
use crate::stored::Template;

/// The gateway's own, for the door that runs here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, flag, configuration] = arguments.as_slice()
        && flag == hop::DOOR
    {
        return hop::run(flag, Path::new(configuration));
    }
    // `cargo bench` says `--bench`; `cargo test --benches` only wants to know that this starts.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return println!("nothing is measured without `--bench`");
    }
    // One thread: on a small machine the sender must leave room for what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(&Settings::of_environment())).print();
}

async fn measure(settings: &Settings) -> Report {
    let mut report = Report::new(&settings.conditions());
    door_alone(settings, &mut report).await;
    let template = whole_gateway(settings, &mut report).await;
    if settings.stored > 0 {
        many_stored(settings, &template, &mut report).await;
    }
    report
}

/// CPU and rate of the door with the embedded log behind it and nobody reading, in turns with what SQLite gives.
async fn door_alone(settings: &Settings, report: &mut Report) {
    let (mut cpu, mut share) = (Samples::default(), Samples::default());
    let (mut rate, mut limit) = (Samples::default(), Samples::default());
    for _ in 0..settings.rounds {
        let folder = folder();
        let of_sqlite =
            baseline::group_commit(folder.path(), settings.connections, settings.orders, load::order(0).len()).await;
        let process = Process::door(folder.path(), "", 0);
        let mut sender = Sender::new(&process, settings.connections);
        sender.send(WARM_UP).await;
        let before = process.cpu();
        let sent = sender.send(settings.orders).await;
        cpu.add((process.cpu() - before).as_secs_f64() * 1e6 / settings.orders as f64);
        share.add(sent.rate() / of_sqlite * 100.0);
        rate.add(sent.rate());
        limit.add(of_sqlite);
    }
    report.at_most("door to durable intake, CPU per order", "µs", 50.0, cpu);
    report.at_least("door's rate, of SQLite's group commit", "%", 30.0, share);
    report.shown("door's rate", "orders/s", rate);
    report.shown("SQLite's group commit, same orders, same connections", "rows/s", limit);
}

/// CPU and memory of the whole gateway until every event is out. Gives what one order left in its store.
async fn whole_gateway(settings: &Settings, report: &mut Report) -> Template {
    let (mut cpu, mut rate, mut idle, mut after) =
        (Samples::default(), Samples::default(), Samples::default(), Samples::default());
    let (mut median, mut slow, mut batch) = (Samples::default(), Samples::default(), Samples::default());
    let mut template = None;
    for _ in 0..settings.rounds {
        let folder = folder();
        let process = Process::gateway(folder.path(), "", 0).await;
        idle.add(process.resident_mib());
        let cost = cost(&process, settings.connections, settings.orders).await;
        cpu.add(cost.cpu_us);
        rate.add(cost.sent.rate());
        batch.add(cost.batch);
        median.add(cost.sent.quantile(0.5).as_secs_f64() * 1e3);
        slow.add(cost.sent.quantile(0.99).as_secs_f64() * 1e3);
        after.add(process.resident_mib());
        drop(process);
        template = Some(Template::of(folder.path()).await);
    }
    report.at_most("door to published events, CPU per order", "µs", 150.0, cpu);
    report.at_most("idle memory (resident)", "MiB", 50.0, idle);
    report.shown("memory after the load", "MiB", after);
    report.shown("whole gateway's rate", "orders/s", rate);
    report.shown("orders in one write of a lane", "", batch);
    report.shown("latency at that rate, median", "ms", median);
    report.shown("latency at that rate, 99th percentile", "ms", slow);
    template.expect("there is at least one round")
}

/// CPU per order of a gateway that holds many orders, in turns with one that holds a hundredth.
async fn many_stored(settings: &Settings, template: &Template, report: &mut Report) {
    let few = settings.stored / 100;
    let (small, large) = (folder(), folder());
    template.fill(small.path(), few).await;
    template.fill(large.path(), settings.stored).await;
    let (mut cpu_few, mut cpu_many, mut ratio) = (Samples::default(), Samples::default(), Samples::default());
    let mut idle = Samples::default();
    for round in 0..settings.rounds {
        let mut costs = [0.0; 2];
        for (folder, cost_us) in [&small, &large].into_iter().zip(&mut costs) {
            let process = Process::gateway(folder.path(), "", round * (settings.orders + WARM_UP)).await;
            idle.add(process.resident_mib());
            *cost_us = cost(&process, settings.connections, settings.orders).await.cpu_us;
        }
        cpu_few.add(costs[0]);
        cpu_many.add(costs[1]);
        ratio.add(costs[1] / costs[0]);
    }
    let name = |orders: usize| format!("CPU per order with {} stored", report::count(orders));
    report.at_most(&format!("{}, times that with {}", name(settings.stored), report::count(few)), "", 1.5, ratio);
    report.shown(&name(few), "µs", cpu_few);
    report.shown(&name(settings.stored), "µs", cpu_many);
    report.shown("idle memory with these folders", "MiB", idle);
}

/// The write of a lane, as the metrics call it.
const WRITE: &str = "store.write";

/// What `orders` cost a gateway until their events are out.
struct Cost {
    cpu_us: f64,
    /// Orders in one write of a lane to the store, on average.
    batch: f64,
    sent: Sent,
}

async fn cost(process: &Process, connections: usize, orders: usize) -> Cost {
    let mut sender = Sender::new(process, connections);
    sender.send(WARM_UP).await;
    process.wait_for_accepted(WARM_UP).await;
    let writes = process.calls(WRITE).await;
    let before = process.cpu();
    let sent = sender.send(orders).await;
    process.wait_for_accepted(WARM_UP + orders).await;
    let cpu = process.cpu() - before;
    let writes = process.calls(WRITE).await - writes;
    Cost { cpu_us: cpu.as_secs_f64() * 1e6 / orders as f64, batch: orders as f64 / writes, sent }
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}
