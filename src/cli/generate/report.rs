//! What a run has to say.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::generate::tally::Tally;
use crate::cli::generate::verify::Verified;

/// One run.
pub struct Report {
    pub adapter: String,
    pub binding: String,
    pub seed: u64,
    /// Messages asked for.
    pub count: u64,
    /// Messages per second asked for.
    pub rate: f64,
    pub took: Duration,
    pub tally: Tally,
    /// `None`: it was not asked for.
    pub verified: Option<Verified>,
}

impl Report {
    /// Whether everything was answered as it must be, and the gateway says the same of itself.
    pub fn is_good(&self) -> bool {
        self.tally.differences == 0 && self.verified.as_ref().is_none_or(Verified::agrees)
    }

    pub fn text(&mut self) -> String {
        let [p50, p99, max] = self.latencies();
        let Self { adapter, binding, seed, count, rate, took, tally, verified } = self;
        let achieved = tally.sent as f64 / took.as_secs_f64().max(f64::EPSILON);
        let mut text = format!(
            "{adapter} as {binding}, seed {seed}\n\
             sent       {} of {count} in {:.1} s: {achieved:.1}/s of {rate}/s, {} late\n\
             answered   {}\n\
             otherwise  {} than expected\n\
             latency    p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms\n\
             outcomes   {}\n\
             rejections {}\n",
            tally.sent,
            took.as_secs_f64(),
            tally.late,
            list(&tally.answers),
            tally.differences,
            list(&tally.outcomes),
            list(&tally.rejections),
        );
        for example in &tally.examples {
            text += &format!("  {example}\n");
        }
        text + &verified.as_ref().map_or_else(String::new, Verified::text)
    }

    pub fn document(&mut self) -> Value {
        let [p50, p99, max] = self.latencies();
        let Self { adapter, binding, seed, count, rate, took, tally, verified } = self;
        json!({
            "adapter": adapter,
            "binding": binding,
            "seed": seed,
            "count": count,
            "sent": tally.sent,
            "seconds": took.as_secs_f64(),
            "rate_asked": rate,
            "rate": tally.sent as f64 / took.as_secs_f64().max(f64::EPSILON),
            "late": tally.late,
            "answered": tally.answers,
            "differences": {"count": tally.differences, "examples": tally.examples},
            "latency_ms": {"p50": p50, "p99": p99, "max": max},
            "expected": {"outcomes": tally.outcomes, "events": tally.events, "rejections": tally.rejections},
            "verified": verified.as_ref().map(Verified::document),
        })
    }

    fn latencies(&mut self) -> [f64; 3] {
        [0.5, 0.99, 1.0].map(|part| self.tally.latency_ms(part))
    }
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    let shown: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if shown.is_empty() { "-".to_owned() } else { shown.join(", ") }
}
