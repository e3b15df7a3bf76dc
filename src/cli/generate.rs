//! `crossdock generate`: sample traffic of a partner system against a running gateway.

mod drive;
mod plan;
mod progress;
mod random;
mod report;
mod tally;
mod verify;

use std::sync::Arc;

use clap::{Args, ValueEnum};
use tokio::sync::watch;
use tokio::time::Instant;
use url::Url;

use crate::cli::client::{self, web_address};
use crate::cli::generate::drive::{Pace, Progress, Target, drive};
use crate::cli::generate::plan::{Mix, Plan};
use crate::cli::generate::progress::Line;
use crate::cli::generate::report::Report;
use crate::cli::generate::verify::Before;
use crate::cli::partner::oracle::Way;
use crate::cli::partner::{Observer, Sample, Sender};
use crate::cli::serve::Signals;
use crate::cli::{Common, Exit, Failure, Output};
use crate::clock::{Clock as _, SystemClock};
use crate::config::developer;
use crate::config::environment::Environment;
use crate::config::layers::Layers;
use crate::config::resolve::Credentials;
use crate::normalize::AdapterSet;

/// Send sample traffic of a partner system to a running gateway, and hold the answers against what they must be
///
/// Orders are created, changed and cancelled; some messages are bad, some are repeats byte for byte, some overtake the
/// one before them. The same seed gives the same messages: give a new one for new orders. Messages are due at a fixed
/// rate whatever is answered. Exits with 65 if anything was answered or, with `--verify`, decided otherwise than the
/// contract has it. Ctrl-C ends it with the report of what was done.
///
/// The payloads are the adapter's own, in `mappings/<adapter>/sample`. The secrets are those of the configuration, or
/// of developer mode in the data folder; the binding's `rate_limit_per_minute` must be 0 or high enough.
#[derive(Debug, Args)]
pub struct Generate {
    /// The adapter, a folder of `mappings` with a folder `sample`
    adapter: String,
    /// The binding to send as [default: the adapter's only one]
    #[arg(long)]
    binding: Option<String>,
    /// Messages per second
    #[arg(long, value_name = "N", default_value = "100", value_parser = rate)]
    rate: f64,
    /// How many messages
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: u64,
    /// Messages that must be refused, each class of rejection among them
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = part)]
    bad: f64,
    /// Messages that repeat an earlier one byte for byte
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = part)]
    duplicate: f64,
    /// Updates that overtake the message before them
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = part)]
    shuffle: f64,
    /// What the messages are made from; their order ids are `GEN-<seed>-<n>` [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// Messages under way at once; those of one order go one after another
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Over HTTP as the partner would, or straight onto the inbound topics
    #[arg(long, value_enum, default_value_t)]
    to: To,
    /// Where the gateway takes deliveries
    #[arg(long, env = "CROSSDOCK_DOOR", default_value = "http://127.0.0.1:8080", value_parser = web_address)]
    door: Url,
    /// Compare with the gateway's metrics and topics afterwards; nothing else may send meanwhile
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    gateway: client::Gateway,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum To {
    #[default]
    Http,
    Topic,
}

impl Generate {
    pub(super) async fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<Exit, Failure> {
        let mix = Mix { bad: self.bad, duplicate: self.duplicate, shuffle: self.shuffle };
        if mix.bad + mix.duplicate + mix.shuffle > 1.0 + f64::EPSILON {
            return Err(Failure::TooMuch);
        }
        let (sample, binding, credentials) = self.sender(common, environment.clone())?;
        let observer = || Ok::<_, Failure>(Observer::new(self.gateway.client(common, environment.clone())?));
        let (target, way) = match self.to {
            To::Http => (Target::Door(Sender::new(self.door.clone(), credentials)?), Way::Http),
            To::Topic => (Target::Topics(observer()?), Way::Topic),
        };
        let seed = self.seed.unwrap_or_else(|| SystemClock.now_ms().div_euclid(1000).unsigned_abs());
        let before = match self.verify {
            true => {
                let observer = observer()?;
                let before = Before::look(&observer, &binding, Plan::mark(seed)).await?;
                Some((observer, before))
            }
            false => None,
        };
        let plan = Plan::new(&sample, way, mix, seed, self.count);
        let (sample, target, progress) = (Arc::new(sample), Arc::new(target), Arc::new(Progress::default()));
        let (stop, stopping) = watch::channel(false);
        let mut signals = Signals::listen()?;
        let started = Instant::now();
        let line = Line::draw(&progress, self.count);
        let pace = Pace { rate: self.rate, connections: usize::from(self.connections) };
        let tally = {
            let driven = drive(plan, &sample, &target, pace, &progress, &stopping);
            tokio::pin!(driven);
            tokio::select! {
                tally = &mut driven => tally,
                () = signals.stop() => {
                    // A receiver that is gone has nothing left to stop.
                    let _ = stop.send(true);
                    driven.await
                }
            }
        };
        let took = started.elapsed();
        drop(line);
        let verified = match &before {
            Some((observer, before)) => Some(before.compare(observer, &tally, way == Way::Http).await?),
            None => None,
        };
        let (adapter, count, rate) = (self.adapter, self.count, self.rate);
        let mut report = Report { adapter, binding, seed, count, rate, took, tally, verified };
        let document = report.document();
        out.print(|| report.text(), || document)?;
        Ok(if report.is_good() { Exit::Done } else { Exit::BadData })
    }

    /// What is sent, and as whom.
    fn sender(&self, common: &Common, environment: Environment) -> Result<(Sample, String, Credentials), Failure> {
        let mut layers = Layers::open(common.sources(environment, Vec::new())).map_err(Failure::Configuration)?;
        let folders = layers.folders().map_err(Failure::Configuration)?;
        if layers.is_developer() {
            developer::attach(&mut layers, &folders.data_dir)?;
        }
        let adapters = AdapterSet::load(&folders.mappings_dir, &folders.schemas_dir).map_err(Failure::Configuration)?;
        let adapter = adapters.adapter(&self.adapter).ok_or_else(|| Failure::Unknown {
            kind: "adapter",
            name: self.adapter.clone(),
            known: adapters.iter().map(|adapter| adapter.manifest().name.clone()).collect(),
        })?;
        let sample = Sample::load(adapter).map_err(Failure::Configuration)?;
        if let Some(binding) = &self.binding {
            let credentials = layers.credentials(binding).map_err(Failure::Configuration)?;
            return Ok((sample, binding.clone(), credentials));
        }
        let configured = layers.settings(&adapters.parameters()).map_err(Failure::Configuration)?.bindings;
        let mut own: Vec<_> = configured.into_iter().filter(|binding| binding.adapter == self.adapter).collect();
        match (own.pop(), own.is_empty()) {
            (Some(binding), true) => {
                let credentials = Credentials::of(&binding);
                Ok((sample, binding.name, credentials))
            }
            (Some(last), false) => Err(Failure::Ambiguous {
                adapter: self.adapter.clone(),
                bindings: own.into_iter().chain([last]).map(|binding| binding.name).collect(),
            }),
            (None, _) => Err(Failure::NoBinding { adapter: self.adapter.clone() }),
        }
    }
}

/// `5%` or `5`, as a part of 1.
fn part(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.map(|percent| percent / 100.0).ok_or_else(|| "expected a percentage such as `5%`, 0 to 100".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.1..=100_000.0).contains(rate));
    rate.ok_or_else(|| "expected messages per second, 0.1 to 100000".to_owned())
}
