//! How fast what waits for a partner is told, in turns with the bare loop.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::bare::{self, Job};
use crate::measured::process::Process;
use crate::measured::report::{Report, Samples};
use crate::notifications::{Notifications, TOPIC};
use crate::partner::Partner;
use crate::{Settings, assert_in_order};

/// Longest wait for the partner to be called.
const PATIENCE: Duration = Duration::from_secs(300);
const ASK_EVERY: Duration = Duration::from_millis(10);

/// Part of the calls that are made before the clock starts: connections are opened then, statements made.
const WARM_UP: usize = 10;

/// The caller, whichever it is.
#[derive(Default)]
struct Figures {
    rate: Samples,
    cpu: Samples,
    median: Samples,
    slow: Samples,
    partner: Samples,
}

/// What stands between two calls, as the metrics have it.
#[derive(Default)]
struct Engines {
    batch: Samples,
    write: Samples,
    settle: Samples,
    commit: Samples,
}

pub async fn measure(settings: Settings, report: &mut Report) {
    let partner = Partner::start();
    let (mut gateway, mut loops, mut share) = (Figures::default(), Figures::default(), Samples::default());
    let (mut repeated, mut engines) = (Samples::default(), Engines::default());
    for round in 0..settings.rounds {
        let of_loop = bare_loop(settings, &partner, &mut loops).await;
        let of_gateway = courier(settings, round, &partner, &mut gateway, &mut engines).await;
        share.add(of_gateway / of_loop * 100.0);
        repeated.add(partner.seen().await.repeated as f64);
    }
    report.at_least("courier's rate, of the bare loop's", "%", 70.0, share);
    report.shown("courier's rate", "calls/s", gateway.rate);
    report.shown("the bare loop's", "calls/s", loops.rate);
    report.shown("courier: CPU per call", "µs", gateway.cpu);
    report.shown("the bare loop's", "µs", loops.cpu);
    report.shown("courier: pause of a connection between two calls, median", "ms", gateway.median);
    report.shown("the bare loop's", "ms", loops.median);
    report.shown("courier: pause of a connection between two calls, 99th percentile", "ms", gateway.slow);
    report.shown("the bare loop's", "ms", loops.slow);
    report.shown("the partner's one thread is busy, beside the courier", "%", gateway.partner);
    report.shown("beside the bare loop", "%", loops.partner);
    report.shown("calls made again", "", repeated);
    report.shown("decisions in one write of a lane", "", engines.batch);
    report.shown("a write of a lane to the store", "ms", engines.write);
    report.shown("an attempt's answer, written to the store", "ms", engines.settle);
    report.shown("a commit of a lane to the log", "ms", engines.commit);
}

async fn bare_loop(settings: Settings, partner: &Partner, figures: &mut Figures) -> f64 {
    partner.begin_anew().await;
    let notifications = Notifications::new("BARE", settings.keys);
    let (calls, concurrency) = (settings.calls, settings.concurrency);
    let process = Job { url: partner.url.clone(), notifications, calls, concurrency }.start();
    let watched = watch(settings, partner, || process.cpu()).await;
    figures.add(watched, process.cpu(), partner).await
}

async fn courier(
    settings: Settings,
    round: usize,
    partner: &Partner,
    figures: &mut Figures,
    engines: &mut Engines,
) -> f64 {
    partner.begin_anew().await;
    let folder = TempDir::new().expect("a temporary folder");
    let lines = format!("courier.sales.concurrency = {}", settings.concurrency);
    // Once without anything to do: it makes its topics.
    Process::calling(folder.path(), &lines, &partner.url).ready().await;
    let notifications = Notifications::new(&format!("ROUND{round}"), settings.keys);
    notifications.fill(folder.path(), settings.calls).await;
    let process = Process::calling(folder.path(), &lines, &partner.url);
    let watched = watch(settings, partner, || process.cpu()).await;
    process.wait_for_records(TOPIC, "applied", settings.calls).await;
    let rate = figures.add(watched, process.cpu(), partner).await;
    engines.add(settings, &process).await;
    assert_in_order(&partner.seen().await);
    assert_same(&notifications, &partner.times().await.first);
    rate
}

/// What happened while the clock ran.
struct Watched {
    calls: usize,
    elapsed: Duration,
    /// The caller's CPU time when it was started.
    before: Duration,
    /// What the partner took meanwhile.
    partner: Duration,
}

/// Runs the clock until all calls are made.
async fn watch(settings: Settings, partner: &Partner, cpu: impl Fn() -> Duration) -> Watched {
    let (began, from) = until(settings.calls / WARM_UP, partner).await;
    let (before, of_partner) = (cpu(), partner.cpu());
    assert!(from < settings.calls / 2, "too few calls for anything to be measured: {from} were made already");
    let (ended, to) = until(settings.calls, partner).await;
    Watched { calls: to - from, elapsed: ended - began, before, partner: partner.cpu() - of_partner }
}

/// Waits until the partner has taken `calls`, and gives how many it has then.
async fn until(calls: usize, partner: &Partner) -> (Instant, usize) {
    let began = Instant::now();
    loop {
        let seen = partner.seen().await;
        if seen.applied >= calls {
            return (Instant::now(), seen.applied);
        }
        assert!(began.elapsed() < PATIENCE, "expected {calls} calls, found {seen:?}");
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// The bare loop's bodies are the mapping's.
fn assert_same(notifications: &Notifications, first: &str) {
    let found: serde_json::Value = serde_json::from_str(first).expect("the partner was sent JSON");
    let number = found["event_id"].as_str().and_then(|id| id.rsplit('-').next()?.parse().ok()).expect("its number");
    assert_eq!(first, String::from_utf8_lossy(&bare::body(notifications, number)));
}

impl Figures {
    /// Gives the calls a second.
    async fn add(&mut self, watched: Watched, cpu: Duration, partner: &Partner) -> f64 {
        let Watched { calls, elapsed, before, partner: of_partner } = watched;
        let rate = calls as f64 / elapsed.as_secs_f64();
        let [median, slow] = partner.times().await.pauses;
        self.rate.add(rate);
        self.cpu.add((cpu - before).as_secs_f64() * 1e6 / calls as f64);
        self.median.add(f64::from(median) / 1e3);
        self.slow.add(f64::from(slow) / 1e3);
        self.partner.add(of_partner.as_secs_f64() / elapsed.as_secs_f64() * 100.0);
        rate
    }
}

impl Engines {
    async fn add(&mut self, settings: Settings, process: &Process) {
        let (writes, seconds) = process.engine("store.write_batch").await;
        self.batch.add(settings.calls as f64 / writes);
        self.write.add(seconds / writes * 1e3);
        for (operation, samples) in [("store.settle", &mut self.settle), ("log.commit", &mut self.commit)] {
            let (calls, seconds) = process.engine(operation).await;
            samples.add(seconds / calls * 1e3);
        }
    }
}
