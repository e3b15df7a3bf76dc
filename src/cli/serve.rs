//! `crossdock serve`: the gateway itself.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use crate::cli::{Common, Failure, Output};
use crate::config::developer::Greeting;
use crate::config::environment::Environment;
use crate::config::layers::{AdapterParameters, DEFAULT, Flag, Layers};
use crate::config::report::Report;
use crate::config::settings::Settings;
use crate::config::{developer, operator_token};
use crate::gateway::Gateway;
use crate::normalize::AdapterSet;
use crate::telemetry;

/// Run the gateway
///
/// Until it is told to stop (SIGTERM, SIGINT).
///
/// Without a configuration file it is developer mode: this machine only, bindings to try things with, and commands
/// to paste.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where sales systems deliver, in the place of `door.listen`
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where operators ask, in the place of `ops.listen`
    #[arg(long, value_name = "ADDRESS")]
    ops_listen: Option<SocketAddr>,
    /// Any other key: `--set log.partitions=12`; can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<Flag>,
    /// Let a lane skip records that were never decided, if it refuses to start because of them. For this start only;
    /// what is skipped stands in the ledger
    #[arg(long)]
    accept_skip: bool,
    /// Print the commented default configuration, which is its manual, and exit
    #[arg(long)]
    print_default_config: bool,
}

impl Serve {
    pub(super) async fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<(), Failure> {
        if self.print_default_config {
            out.bytes(DEFAULT.as_bytes())?;
            return Ok(());
        }
        let layers = Layers::open(common.sources(environment.clone(), self.flags())).map_err(Failure::Configuration)?;
        run_gateway(layers, environment, self.accept_skip, &mut out).await
    }

    fn flags(&self) -> Vec<Flag> {
        let address = |name: &str, section: &str, address: SocketAddr| Flag {
            name: name.to_owned(),
            key: vec![section.to_owned(), "listen".to_owned()],
            value: address.to_string(),
            is_text: true,
        };
        let listen = self.listen.map(|listen| address("--listen", "door", listen));
        let ops_listen = self.ops_listen.map(|listen| address("--ops-listen", "ops", listen));
        self.set.iter().cloned().chain(listen).chain(ops_listen).collect()
    }
}

/// Loads the adapters, completes the settings, and runs the gateway until it is told to stop.
async fn run_gateway(
    mut layers: Layers,
    environment: Environment,
    accept_skip: bool,
    out: &mut Output,
) -> Result<(), Failure> {
    let folders = layers.folders().map_err(Failure::Configuration)?;
    let adapters = AdapterSet::load(&folders.mappings_dir, &folders.schemas_dir).map_err(Failure::Configuration)?;
    let adapters = Arc::new(adapters);
    let parameters = adapters.parameters();
    let settings = prepare(&mut layers, &parameters)?;
    let mut report = Report::default();
    for mistake in adapters.check_bindings(&settings.bindings) {
        report.add("configuration", 0, 0, mistake);
    }
    report.into_result().map_err(Failure::Configuration)?;
    telemetry::log::start(&settings.telemetry, &environment)?;
    // Before the first order is taken: a stop asked for while starting is not lost.
    let mut signals = Signals::listen()?;
    // A start can be long: servers that do not answer yet are waited for.
    let gateway = tokio::select! {
        gateway = Gateway::start(&settings, layers, &adapters, accept_skip) => gateway?,
        () = signals.stop() => return Ok(()),
    };
    info!(door = %gateway.door, ops = %gateway.ops, "gateway is ready");
    if settings.developer {
        let program = std::env::args().next().unwrap_or_else(|| "crossdock".to_owned());
        let greeting = Greeting {
            program: &program,
            data_dir: &settings.data_dir,
            mappings_dir: &settings.mappings_dir,
            door: gateway.door,
            ops: gateway.ops,
            adapters: &parameters,
        };
        out.bytes(greeting.to_string().as_bytes())?;
    }
    while signals.next().await == Told::Reload {
        gateway.reload().await;
    }
    info!("stopping");
    gateway.stop().await;
    Ok(())
}

/// The signals the gateway answers to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|cause| Failure::Signals { cause });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Completes when the gateway is told to stop; there is nothing to reload yet.
    pub(super) async fn stop(&mut self) {
        while self.next().await == Told::Reload {}
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }
}

/// The settings of a start. Makes what a first start makes: the operator token, and developer mode's secrets.
///
/// # Errors
/// The configuration is wrong, or the data folder cannot be written.
pub fn prepare(layers: &mut Layers, adapters: &AdapterParameters) -> Result<Settings, Failure> {
    if layers.is_developer() {
        let folders = layers.folders().map_err(Failure::Configuration)?;
        developer::prepare(layers, &folders.data_dir, adapters)?;
    }
    let mut settings = layers.settings(adapters).map_err(Failure::Configuration)?;
    settings.operators.push(operator_token::ensure(&settings.data_dir)?);
    Ok(settings)
}

fn assignment(text: &str) -> Result<Flag, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok(Flag {
            name: format!("--set {key}"),
            key: key.split('.').map(str::to_owned).collect(),
            value: value.to_owned(),
            is_text: false,
        }),
        _ => Err("expected a key, `=` and a value, as in `log.partitions=12`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser as _;

    use super::*;
    use crate::cli::output::Format;
    use crate::cli::testing::Captured;
    use crate::cli::{Cli, Command, Exit};
    use crate::config::layers::Sources;

    fn read(words: &[&str]) -> (Serve, Common) {
        let cli = Cli::try_parse_from(["crossdock", "serve"].iter().chain(words)).expect("usage");
        let Command::Serve(serve) = cli.command else { panic!("another command") };
        (serve, cli.common)
    }

    /// The settings of a first start with these words, in a folder of its own.
    fn start(words: &[&str]) -> Result<Settings, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let (serve, mut common) = read(words);
        common.data_dir = Some(folder.path().join("data"));
        let sources = common.sources(Environment::default(), serve.flags());
        // Whatever file lies in the folder the tests run in.
        let mut layers = Layers::open(Sources { file: None, ..sources }).expect("TOML");
        prepare(&mut layers, &BTreeMap::new())
    }

    #[test]
    fn flags_reach_the_settings_and_a_first_start_makes_an_operator() {
        let settings = start(&["--listen", "127.0.0.1:0", "--ops-listen", "[::1]:9", "--set", "log.partitions=12"])
            .expect("no mistake");

        assert!(settings.developer && settings.bindings.is_empty());
        assert_eq!((settings.door.listen.port(), settings.ops.listen.port()), (0, 9));
        assert_eq!((settings.log.partitions, settings.operators.len()), (12, 1));
    }

    #[test]
    fn a_mistake_in_a_flag_names_the_flag() {
        for (words, expected) in [
            (["--set", "log.partitions=0"], "--set log.partitions: `log.partitions`: expected 1 to 1000, found 0\n"),
            (
                ["--listen", "0.0.0.0:80"],
                "--listen: without a configuration file: expected a loopback address, found `0.0.0.0:80`\n",
            ),
        ] {
            let failure = start(&words).expect_err("refused");

            assert_eq!((failure.to_string().as_str(), failure.exit()), (expected, Exit::BadConfiguration));
        }
    }

    #[tokio::test]
    async fn the_default_configuration_is_printed_as_it_is() {
        let (serve, common) = read(&["--print-default-config"]);
        let captured = Captured::default();

        let out = Output::to(captured.clone(), Format::Text);
        serve.run(&common, Environment::default(), out).await.expect("printed");

        assert_eq!(captured.text(), DEFAULT);
    }
}
