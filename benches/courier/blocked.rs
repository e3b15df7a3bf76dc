//! Many records that wait in a retry topic or are held: what they take, and what they take from others.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::MissedTickBehavior;

use crate::measured::process::Process;
use crate::measured::report::{Report, Samples, count};
use crate::notifications::{Notifications, TOPIC, now_us};
use crate::partner::Partner;
use crate::{Settings, assert_in_order, index};

/// A lane has at most 16 384 outstanding records: a hundred thousand need more lanes than the default.
const PARTITIONS: usize = 12;
/// Longer than this takes: who fails waits, and waits.
const DELAY: &str = "6h";
/// Records told one after the other, of keys of its own each: a key's are appended in its order.
const SENDERS: usize = 8;
const KEYS_BESIDE: usize = 496;
const PAGE: &str = "limit=50";
const PAGES: usize = 20;
/// What is there whatever waits, such as caches, is told apart by a gateway with so much less of it.
const PART: usize = 4;
/// How long a gateway is watched that has nothing to do.
const REST: Duration = Duration::from_secs(2);

/// A gateway's folder, with records that wait or without.
struct Gateway {
    folder: TempDir,
    /// What is told beside them.
    beside: Notifications,
    next: usize,
    figures: Figures,
}

#[derive(Default)]
struct Figures {
    ready: Samples,
    resident: Samples,
    rest: Samples,
    median: Samples,
    slow: Samples,
}

/// Milliseconds until the first page of something is there.
#[derive(Default)]
struct Pages {
    /// Nothing of it was read since the start.
    first: Samples,
    later: Samples,
}

pub async fn measure(settings: Settings, report: &mut Report) {
    let partner = Partner::start();
    let mut free = Gateway::make("FREE", &partner).await;
    let mut some = Gateway::make("SOME", &partner).await;
    some.fill(settings.waiting / PART, &partner).await;
    let mut blocked = Gateway::make("BESIDE", &partner).await;
    let filled = blocked.fill(settings.waiting, &partner).await;
    let (mut keys, mut failures) = (Pages::default(), Pages::default());
    let (mut bytes, mut ratio) = (Samples::default(), Samples::default());
    for _ in 0..settings.rounds {
        drop(some.start(&partner).await);
        let without = free.start(&partner).await;
        free.rest(&without).await;
        let of_free = free.tell(settings, &without, &partner).await;
        drop(without);
        let with = blocked.start(&partner).await;
        blocked.rest(&with).await;
        keys.ask(&with, "keys").await;
        failures.ask(&with, "failures").await;
        let of_blocked = blocked.tell(settings, &with, &partner).await;
        let more_mib = blocked.figures.resident.last() - some.figures.resident.last();
        bytes.add(more_mib * 1_048_576.0 / (settings.waiting - settings.waiting / PART) as f64);
        ratio.add(of_blocked / of_free);
    }
    let (waiting, part) = (count(settings.waiting), count(settings.waiting / PART));
    report.at_most("a record that waits, in the index of its lane", "bytes", 64.0, index::bytes(settings.waiting));
    report.shown("a record that waits, in the memory of the process", "bytes", bytes);
    report.shown("memory at the start, without any", "MiB", free.figures.resident);
    report.shown(&format!("memory at the start, with {part}"), "MiB", some.figures.resident);
    report.shown(&format!("memory at the start, with {waiting}"), "MiB", blocked.figures.resident);
    report.at_most(&format!("start until ready with {waiting}"), "s", 5.0, blocked.figures.ready);
    report.shown("start until ready without any", "s", free.figures.ready);
    report.shown(&format!("CPU at rest with {waiting}"), "ms/s", blocked.figures.rest);
    report.shown("CPU at rest without any", "ms/s", free.figures.rest);
    report.at_most("first page of keys", "ms", 100.0, keys.later);
    report.shown("asked for the first time after the start", "ms", keys.first);
    report.at_most("first page of failures", "ms", 100.0, failures.later);
    report.shown("asked for the first time after the start", "ms", failures.first);
    report.at_most("other keys' 99th percentile of delivery, times that without", "", 3.0, ratio);
    report.shown("without any: median of delivery", "ms", free.figures.median);
    report.shown("without any: 99th percentile", "ms", free.figures.slow);
    report.shown(&format!("with {waiting}: median of delivery"), "ms", blocked.figures.median);
    report.shown(&format!("with {waiting}: 99th percentile"), "ms", blocked.figures.slow);
    report.shown("until all of them waited", "s", filled);
}

impl Gateway {
    async fn make(prefix: &str, partner: &Partner) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let beside = Notifications::new(prefix, KEYS_BESIDE);
        let mut gateway = Self { folder, beside, next: 0, figures: Figures::default() };
        // It makes its topics.
        drop(gateway.start(partner).await);
        gateway.figures = Figures::default();
        gateway
    }

    async fn start(&mut self, partner: &Partner) -> Process {
        let lines = format!(
            "log.partitions = {PARTITIONS}\ncourier.sales.concurrency = 64\ncourier.sales.breaker_failures = 1000\n\
             courier.sales.second_rounds = []\ncourier.sales.retry_delays = [\"{DELAY}\"]"
        );
        let began = Instant::now();
        let process = Process::calling(self.folder.path(), &lines, &partner.url);
        process.ready().await;
        self.figures.ready.add(began.elapsed().as_secs_f64());
        self.figures.resident.add(process.resident_mib());
        process
    }

    /// Lets records fail: half of the keys are held, the others are in a retry topic. Gives the seconds it took.
    async fn fill(&mut self, waiting: usize, partner: &Partner) -> Samples {
        partner.forget().await;
        let keys = (waiting / 200).max(1);
        for prefix in ["HELD", "RETRY"] {
            Notifications::new(prefix, keys).fill(self.folder.path(), waiting / 2).await;
        }
        let began = Instant::now();
        let process = self.start(partner).await;
        process.wait_for_records(TOPIC, "held", waiting / 2).await;
        process.wait_for_records(TOPIC, "in_flight", waiting / 2).await;
        let elapsed = began.elapsed();
        self.figures = Figures::default();
        let mut filled = Samples::default();
        filled.add(elapsed.as_secs_f64());
        filled
    }

    /// CPU milliseconds a second while nothing is told.
    async fn rest(&mut self, process: &Process) {
        let (began, before) = (Instant::now(), process.cpu());
        tokio::time::sleep(REST).await;
        let spent = process.cpu() - before;
        self.figures.rest.add(spent.as_secs_f64() * 1e3 / began.elapsed().as_secs_f64());
    }

    /// Tells records of other keys at an even pace. Gives the 99th percentile of the time to the partner.
    async fn tell(&mut self, settings: Settings, process: &Process, partner: &Partner) -> f64 {
        partner.begin_anew().await;
        // To the end of a turn of the keys, so that the next round goes on where this one ends.
        let numbers = self.next..self.next + settings.beside.next_multiple_of(KEYS_BESIDE);
        self.next = numbers.end;
        let every = Duration::from_secs(SENDERS as u64) / u32::try_from(settings.beside_per_second).expect("a pace");
        let senders = (0..SENDERS).map(|sender| {
            let (numbers, beside) = (numbers.clone().skip(sender).step_by(SENDERS), &self.beside);
            async move {
                let mut ticks = tokio::time::interval(every);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                for number in numbers {
                    ticks.tick().await;
                    process.append(TOPIC, &beside.key(number), &beside.value(number, now_us())).await;
                }
            }
        });
        futures_util::future::join_all(senders).await;
        process.wait_for_records(TOPIC, "applied", self.next).await;
        assert_in_order(&partner.seen().await);
        let [median, slow] = partner.times().await.deliveries.map(|us| f64::from(us) / 1e3);
        self.figures.median.add(median);
        self.figures.slow.add(slow);
        slow
    }
}

impl Pages {
    async fn ask(&mut self, process: &Process, what: &str) {
        for time in 0..PAGES {
            let (took, answer) = process.ask(&format!("/api/v1/ops/{what}?{PAGE}")).await;
            assert!(answer[what].as_array().is_some_and(|rows| !rows.is_empty()), "expected {what}, found {answer}");
            let samples = if time == 0 { &mut self.first } else { &mut self.later };
            samples.add(took.as_secs_f64() * 1e3);
        }
    }
}
