//! The table: what was measured, what was aimed at, and whether it was met.

use std::fmt::Write as _;
use std::fs;

/// The same figure of several rounds.
#[derive(Debug, Default)]
pub struct Samples {
    /// From the least to the most.
    sorted: Vec<f64>,
    last: f64,
}

impl Samples {
    pub fn add(&mut self, value: f64) {
        self.last = value;
        self.sorted.push(value);
        self.sorted.sort_unstable_by(f64::total_cmp);
    }

    /// The one that was added last.
    pub fn last(&self) -> f64 {
        self.last
    }

    /// The middle one, or the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let middle = self.sorted.len() / 2;
        if self.sorted.len() % 2 == 1 {
            self.sorted[middle]
        } else {
            (self.sorted[middle - 1] + self.sorted[middle]) / 2.0
        }
    }
}

#[derive(Debug)]
pub struct Report {
    text: String,
}

impl Report {
    /// A table under the machine and `conditions`, the line that says what was run.
    pub fn new(conditions: &str) -> Self {
        let mut text = format!("{}\n{conditions}\n\n", machine());
        text.push_str("| figure | median | of the rounds | goal | verdict |\n|---|---:|---:|---:|---|\n");
        Self { text }
    }

    pub fn at_most(&mut self, name: &str, unit: &str, goal: f64, samples: Samples) {
        let verdict = if samples.median() <= goal { "met" } else { "missed" };
        self.row(name, unit, &format!("≤ {}", figure(goal, unit)), verdict, &samples);
    }

    pub fn at_least(&mut self, name: &str, unit: &str, goal: f64, samples: Samples) {
        let verdict = if samples.median() >= goal { "met" } else { "missed" };
        self.row(name, unit, &format!("≥ {}", figure(goal, unit)), verdict, &samples);
    }

    /// A figure without a goal.
    pub fn shown(&mut self, name: &str, unit: &str, samples: Samples) {
        self.row(name, unit, "", "", &samples);
    }

    pub fn print(&self) {
        println!("{}", self.text);
    }

    fn row(&mut self, name: &str, unit: &str, goal: &str, verdict: &str, samples: &Samples) {
        let span = match samples.sorted.as_slice() {
            [least, .., most] => format!("{} – {}", number(*least), number(*most)),
            _ => String::new(),
        };
        let median = figure(samples.median(), unit);
        eprintln!("{name}: {median} ({span})");
        let _ = writeln!(self.text, "| {name} | {median} | {span} | {goal} | {verdict} |");
    }
}

/// A whole number with its thousands parted.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn figure(value: f64, unit: &str) -> String {
    format!("{} {unit}", number(value)).trim_end().to_owned()
}

/// Three digits that mean something are what a shared machine gives.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => count((value / 10.0).round() as usize * 10),
        medium if medium >= 100.0 => format!("{value:.0}"),
        small if small >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| -> String {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim_start_matches([':', ' ', '\t']).trim().to_owned()
    };
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let memory_kib: u64 = field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    format!(
        "{} × {}, {} GiB, Linux {}, load before the run {}",
        cpus,
        field(&read("/proc/cpuinfo"), "model name"),
        memory_kib >> 20,
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    )
}
