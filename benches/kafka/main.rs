//! What an order costs on real Kafka and PostgreSQL, beside a bare rdkafka loop that moves the same bytes in the same
//! run.
//!
//! Nothing is asserted: every figure is printed with its goal and its verdict, whichever way it falls. The sender is
//! this process; what is measured is another one: the gateway itself or, for a part of it alone or a bare loop, this
//! program started again. Gateway and loop run in turns; each figure is the median of the rounds and is shown with
//! their span. `docs/benchmarks.md` says how to run it and what the figures mean.

mod bare;
#[path = "../measured/mod.rs"]
// Each bench uses a part of it.
#[allow(dead_code)]
mod measured;
mod reader;
mod samples;
mod servers;
mod unread;

use std::path::Path;

use crate::bare::Kind;
use crate::measured::process::Process;
use crate::measured::report::{Report, Samples, count};
use crate::measured::sender::Sender;
use crate::measured::{WARM_UP, hop, load, number};
use crate::servers::Servers;

/// The gateway's own, for the parts of it that run here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the gateway may cost above the bare loop, per record.
const GOAL_ABOVE_BARE_US: f64 = 45.0;
/// A third of what a peer spends on the same way, per record (150 CPU seconds a million).
const GOAL_HTTP_US: f64 = 50.0;

/// Every part is bounded by these.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub connections: usize,
    pub orders: usize,
    pub rounds: usize,
    /// Records a lane finds unread when it starts; 0 leaves that part out.
    pub unread: usize,
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, flag, file] = arguments.as_slice() {
        match flag.as_str() {
            hop::DOOR | hop::READER => return hop::run(flag, Path::new(file)),
            bare::FLAG => return bare::run(Path::new(file)),
            _ => {}
        }
    }
    // `cargo bench` says `--bench`; `cargo test --benches` only wants to know that this starts.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return println!("nothing is measured without `--bench`");
    }
    let settings = Settings {
        connections: number("BENCH_CONNECTIONS", 64),
        orders: number("BENCH_ORDERS", 20_000),
        rounds: number("BENCH_ROUNDS", 3),
        unread: number("BENCH_UNREAD", 1_000_000),
    };
    // One thread: on a small machine the sender must leave room for what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(settings)).print();
}

async fn measure(settings: Settings) -> Report {
    let mut report = Report::new(&format!(
        "{} connections, {} orders of {} bytes a round, {} rounds; {}",
        settings.connections,
        count(settings.orders),
        load::order(0).len(),
        settings.rounds,
        servers::BROKER,
    ));
    door_alone(settings, &mut report).await;
    reader::alone(settings, &mut report).await;
    whole_gateway(settings, &mut report).await;
    if settings.unread > 0 {
        unread::lane_start(settings.unread, &mut report).await;
    }
    report
}

/// HTTP in, one record out, `acks=all`.
async fn door_alone(settings: Settings, report: &mut Report) {
    let servers = Servers::start("door");
    let mut figures = Figures::default();
    let mut first = 0;
    for round in 0..settings.rounds {
        let process = Process::door(servers.folder(), &servers.engines(), first);
        let mut sender = Sender::new(&process, settings.connections);
        sender.send(WARM_UP).await;
        let before = process.cpu();
        let sent = sender.send(settings.orders).await;
        figures.add((process.cpu() - before).as_secs_f64() * 1e6 / settings.orders as f64, &sent, &process);
        first += WARM_UP + settings.orders;
        drop(process);
        if round == 0 {
            samples::create_bare_topics(&servers).await;
        }
        let intake = samples::read(&servers, bare::TOPICS[0]).await;
        figures.add_bare(settings, &servers, Kind::Append, intake, Vec::new());
    }
    figures.report("HTTP -> check, map -> Kafka", Some(GOAL_HTTP_US), report);
}

/// HTTP in, until the order's two events are committed.
async fn whole_gateway(settings: Settings, report: &mut Report) {
    let servers = Servers::start("line");
    let mut figures = Figures::default();
    let mut first = 0;
    for round in 0..settings.rounds {
        let process = Process::gateway(servers.folder(), &servers.engines(), first).await;
        let mut sender = Sender::new(&process, settings.connections);
        sender.send(WARM_UP).await;
        process.wait_for_accepted(WARM_UP).await;
        let before = process.cpu();
        let sent = sender.send(settings.orders).await;
        process.wait_for_accepted(WARM_UP + settings.orders).await;
        figures.add((process.cpu() - before).as_secs_f64() * 1e6 / settings.orders as f64, &sent, &process);
        first += WARM_UP + settings.orders;
        drop(process);
        if round == 0 {
            samples::create_bare_topics(&servers).await;
        }
        let [intake, received, normalized] = bare::TOPICS;
        let intake = samples::read(&servers, intake).await;
        let events = vec![samples::read(&servers, received).await, samples::read(&servers, normalized).await];
        figures.add_bare(settings, &servers, Kind::Line, intake, events);
    }
    figures.report("HTTP -> sequencer -> two events on Kafka, state in PostgreSQL", None, report);
}

/// One way through the gateway, and the bare loop beside it.
#[derive(Default)]
struct Figures {
    cpu: Samples,
    bare: Samples,
    above: Samples,
    rate: Samples,
    bare_rate: Samples,
    median: Samples,
    slow: Samples,
    peak: Samples,
    last_cpu_us: f64,
}

impl Figures {
    fn add(&mut self, cpu_us: f64, sent: &load::Sent, process: &Process) {
        self.last_cpu_us = cpu_us;
        self.cpu.add(cpu_us);
        self.rate.add(sent.rate());
        self.median.add(sent.quantile(0.5).as_secs_f64() * 1e3);
        self.slow.add(sent.quantile(0.99).as_secs_f64() * 1e3);
        self.peak.add(process.peak_mib());
    }

    fn add_bare(
        &mut self,
        settings: Settings,
        servers: &Servers,
        kind: Kind,
        intake: bare::Sample,
        events: Vec<bare::Sample>,
    ) {
        let outcome = samples::job(settings, servers, kind, intake, events).run();
        self.bare.add(outcome.cpu_us);
        self.bare_rate.add(outcome.rate);
        self.above.add(self.last_cpu_us - outcome.cpu_us);
    }

    fn report(self, way: &str, goal_us: Option<f64>, report: &mut Report) {
        let cpu = format!("{way}: CPU per order");
        match goal_us {
            Some(goal) => report.at_most(&cpu, "µs", goal, self.cpu),
            None => report.shown(&cpu, "µs", self.cpu),
        }
        report.shown("the bare loop's", "µs", self.bare);
        report.at_most("above the bare loop", "µs", GOAL_ABOVE_BARE_US, self.above);
        report.shown("rate", "orders/s", self.rate);
        report.shown("the bare loop's", "records/s", self.bare_rate);
        report.shown("latency at that rate, median", "ms", self.median);
        report.shown("latency at that rate, 99th percentile", "ms", self.slow);
        report.shown("peak memory", "MiB", self.peak);
    }
}
