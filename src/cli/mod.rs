//! The command line: one file a command.
//!
//! Standard output is data, standard error is talk. Commands about a running gateway ask its operations API through
//! `client`; none opens a running gateway's files but the operator token and, in developer mode, the secrets.

mod audit;
mod check;
mod client;
mod demo;
mod events;
mod failure;
mod failures;
mod generate;
mod keygen;
mod keys;
mod map;
mod orders;
mod output;
pub mod partner;
mod replay;
mod schemas;
pub mod serve;
mod sign;
#[cfg(test)]
pub(crate) mod testing;
mod token;
mod topics;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use crate::cli::failure::{Exit, Failure};
pub use crate::cli::output::{Format, Output};
use crate::config::environment::Environment;
use crate::config::layers::{Flag, Folders, Layers, Sources};

/// The configuration file if none is named, in the folder the command runs in.
const DEFAULT_FILE: &str = "crossdock.toml";

/// An open integration adapter gateway.
#[derive(Debug, Parser)]
#[command(name = "crossdock", version, about, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 2 usage, 65 bad data, 69 service unavailable, 78 bad configuration.";

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Common {
    /// Configuration file [default: `crossdock.toml` in this folder; without one, developer mode]
    #[arg(long, short, global = true, value_name = "FILE", env = "CROSSDOCK_CONFIG")]
    pub config: Option<PathBuf>,
    /// The data folder, in the place of `data_dir`
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Text for people or JSON for machines
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Format,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Check(check::Check),
    Map(map::Map),
    Generate(generate::Generate),
    Keygen(keygen::Keygen),
    Token(token::Token),
    Sign(sign::Sign),
    /// Read and append the records of a topic
    #[command(subcommand)]
    Events(events::Events),
    /// Find, explain, replay and dismiss what failed: rejected payloads, calls, translations
    #[command(subcommand)]
    Failures(failures::Failures),
    /// Replay many failures as one job
    #[command(subcommand)]
    Replay(replay::Replay),
    /// See the keys that wait, release and skip
    #[command(subcommand)]
    Keys(keys::Keys),
    /// See what operators did
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Look at an order
    #[command(subcommand)]
    Orders(orders::Orders),
    /// Compare and register Avro schemas at the schema registry
    #[command(subcommand)]
    Schemas(schemas::Schemas),
    /// Compare and make the topics of this gateway
    #[command(subcommand)]
    Topics(topics::Topics),
}

/// Runs the command, says what went wrong, and returns the exit code.
pub async fn run(cli: Cli) -> ExitCode {
    let Cli { common, command } = cli;
    let environment = Environment::of_process();
    let out = Output::standard(common.output);
    let done = |result: Result<(), Failure>| result.map(|()| Exit::Done);
    let exit = match command {
        Command::Serve(serve) => done(serve.run(&common, environment, out).await),
        Command::Demo(demo) => demo.run(&common, environment, out).await,
        Command::Check(check) => check.run(&common, environment, out),
        Command::Map(map) => map.run(&common, environment, out),
        Command::Generate(generate) => generate.run(&common, environment, out).await,
        Command::Keygen(keygen) => done(keygen.run(out)),
        Command::Token(token) => done(token.run(out)),
        Command::Sign(sign) => done(sign.run(&common, environment, out)),
        Command::Events(events) => done(events.run(&common, environment, out).await),
        Command::Failures(failures) => failures.run(&common, environment, out).await,
        Command::Replay(replay) => replay.run(&common, environment, out).await,
        Command::Keys(keys) => keys.run(&common, environment, out).await,
        Command::Audit(audit) => done(audit.run(&common, environment, out).await),
        Command::Orders(orders) => done(orders.run(&common, environment, out).await),
        Command::Schemas(schemas) => done(schemas.run(&common, environment, out).await),
        Command::Topics(topics) => done(topics.run(&common, environment, out).await),
    };
    let exit = exit.unwrap_or_else(|failure| {
        failure.tell();
        failure.exit()
    });
    exit.into()
}

impl Common {
    /// Where the configuration comes from; `flags` are those of the command itself.
    pub fn sources(&self, environment: Environment, flags: Vec<Flag>) -> Sources {
        let default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists());
        let file = self.config.clone().filter(|file| !file.as_os_str().is_empty()).or_else(default);
        let data_dir = self.data_dir.as_ref().map(|folder| Flag {
            name: "--data-dir".to_owned(),
            key: vec!["data_dir".to_owned()],
            value: folder.to_string_lossy().into_owned(),
            is_text: true,
        });
        Sources { file, environment, flags: data_dir.into_iter().chain(flags).collect() }
    }

    /// The folders of the configuration, whatever else is wrong with it.
    fn folders(&self, environment: Environment) -> Result<Folders, Failure> {
        let layers = Layers::open(self.sources(environment, Vec::new())).map_err(Failure::Configuration)?;
        layers.folders().map_err(Failure::Configuration)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_are_read_or_refused_as_usage() {
        for (line, is_read) in [
            ("serve", true),
            ("serve --config f --listen 127.0.0.1:0 --set log.partitions=3", true),
            ("serve --listen nowhere", false),
            ("serve --set log.partitions", false),
            ("serve --set =1", false),
            ("serve --accept-skip", true),
            ("serve --accept-skip yes", false),
            ("serve --print-default-config", true),
            ("demo", true),
            ("demo --once --listen 127.0.0.1:8080 --output json", true),
            ("demo --listen nowhere", false),
            ("generate pyxis --rate 500 --count 20000 --bad 5% --duplicate 10% --shuffle 5% --seed 7 --verify", true),
            ("generate pyxis --bad 5 --to topic --connections 4 --door http://h:1 --url http://h:2 --token x", true),
            ("generate", false),
            ("generate pyxis --bad 101%", false),
            ("generate pyxis --rate 0", false),
            ("generate pyxis --count 0", false),
            ("keygen --output json", true),
            ("token anna --role viewer --role writer --tenant north", true),
            ("token anna", false),
            ("token anna --role king", false),
            ("token local --role admin", false),
            ("token 'a --role admin", false),
            ("sign --binding b order.json --at 1772612130", true),
            ("sign order.json", false),
            ("sign --binding b order.json --at noon", false),
            ("events tail t", true),
            ("events tail t --from 17 --no-follow --limit 3 --url http://h:1 --token x", true),
            ("events tail t --from beginning", true),
            ("events tail t --from start", false),
            ("events tail t --from -1", false),
            ("events tail t --url ftp://h", false),
            ("events append t --key k file", true),
            ("events append t --no-key --encoding avro --schema s file", true),
            ("events append t file", false),
            ("events append t --key k --no-key file", false),
            ("events append t --key k --encoding xml file", false),
            ("orders show pyxis PYX-1 --tenant north --output json", true),
            ("failures list --binding b --code C --since 2h --until 2026-03-04T08:15:30Z --state all --limit 5", true),
            ("failures list --since yesterday", false),
            ("failures list --state closed", false),
            ("failures groups --tenant north", true),
            ("failures show 8fc78ce8-6c4a-55d8-aaaa-f149200431d2", true),
            ("failures show PYX-1", false),
            ("failures replay 8fc78ce8-6c4a-55d8-aaaa-f149200431d2 --reason R --payload fixed.json --force", true),
            ("failures replay 8fc78ce8-6c4a-55d8-aaaa-f149200431d2 --dry-run", true),
            ("failures replay 8fc78ce8-6c4a-55d8-aaaa-f149200431d2", false),
            ("failures dismiss 8fc78ce8-6c4a-55d8-aaaa-f149200431d2 --reason R", true),
            ("failures dismiss 8fc78ce8-6c4a-55d8-aaaa-f149200431d2", false),
            ("replay plan --binding pyxis-north --kind call --since 2h --reason R", true),
            ("replay plan --binding pyxis-north", false),
            ("replay plan --state all --reason R", false),
            ("replay run 8fc78ce8-6c4a-55d8-aaaa-f149200431d2 --rate 5 --canary 3 --most-failed 10 --dry-run", true),
            ("replay run", false),
            ("replay status", true),
            ("replay status 8fc78ce8-6c4a-55d8-aaaa-f149200431d2 --items --state failed --after 7", true),
            ("replay status --items", false),
            ("replay cancel 8fc78ce8-6c4a-55d8-aaaa-f149200431d2 --reason R", true),
            ("replay cancel 8fc78ce8-6c4a-55d8-aaaa-f149200431d2", false),
            ("keys list --held --binding pyxis-north --limit 5", true),
            ("keys list --held --retrying", false),
            ("keys list --topic crossdock.platform --tenant north --after 1.2.ab.t", true),
            ("keys list --topic t --binding b", false),
            ("keys show north|pyxis|PYX-1 --from 7", true),
            ("keys release north|pyxis|PYX-1 --reason R --request-id r", true),
            ("keys release north|pyxis|PYX-1", false),
            ("keys skip north|pyxis|PYX-1 42 --reason R", true),
            ("keys skip north|pyxis|PYX-1 --reason R", false),
            ("keys purge north|pyxis|PYX-1 --through 57 --reason R", true),
            ("keys purge north|pyxis|PYX-1 --reason R", false),
            ("failures list --kind call --state resolved", true),
            ("failures list --kind phone", false),
            ("audit list --operator anna --action failure.replay --subject s --limit 3", true),
            ("topics plan --output json", true),
            ("topics apply --create-foreign", true),
            ("topics plan --create-foreign", false),
            ("topics", false),
            ("orders show pyxis", false),
            ("orders show pyxis PYX-1 --output xml", false),
            ("schemas plan --topic integration.sales.order_received --topic crossdock.intake", true),
            ("schemas plan --topic integration.sales.nothing", false),
            ("schemas register --output json", true),
            ("schemas", false),
            ("", false),
        ] {
            let words = std::iter::once("crossdock").chain(line.split_whitespace());
            let read = Cli::try_parse_from(words);
            assert_eq!(read.is_ok(), is_read, "{line}: {read:?}");
        }
    }
}
