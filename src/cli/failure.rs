//! How a command can fail, what it says and which code it exits with.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::client;
use crate::config::report::Report;
use crate::config::{developer, operator_token};
use crate::normalize::{Defect, sample};
use crate::schema::registry;
use crate::{gateway, log, telemetry};

/// Exit codes; usage errors are the argument parser's own. Source: `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Usage = 2,
    BadData = 65,
    Unavailable = 69,
    BadConfiguration = 78,
}

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Configuration(Report),
    #[error(transparent)]
    Developer(#[from] developer::Error),
    #[error(transparent)]
    OperatorToken(#[from] operator_token::Error),
    #[error(transparent)]
    Log(#[from] telemetry::log::Error),
    #[error("no operator token: `{path}` does not exist; give `--token` or `CROSSDOCK_TOKEN`, or `--data-dir`")]
    NoOperatorToken { path: PathBuf },
    #[error("binding `{binding}` has neither `bearer_tokens` nor `signing_secret`")]
    NoCredentials { binding: String },
    #[error("there is no schema registry: `registry.url` is not set (`CROSSDOCK__REGISTRY__URL`)")]
    NoRegistry,
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error("incompatible with the schema registry: {subjects} of the subjects; nothing was registered")]
    Incompatible { subjects: usize },
    #[error(transparent)]
    Topics(log::Error),
    #[error(transparent)]
    LaneTopics(crate::driver::topics::Error),
    #[error("refused: {topics} of the topics; nothing was made or changed")]
    TopicsRefused { topics: usize },
    #[error("`{path}` cannot be read: {cause}")]
    Input { path: PathBuf, cause: io::Error },
    #[error("no {kind} `{name}`{}", known_names(.known))]
    Unknown { kind: &'static str, name: String, known: Vec<String> },
    #[error("adapter `{adapter}` has several bindings, name one with `--binding`: {}", .bindings.join(", "))]
    Ambiguous { adapter: String, bindings: Vec<String> },
    #[error("adapter `{adapter}` has no binding to send as")]
    NoBinding { adapter: String },
    #[error("`--bad`, `--duplicate` and `--shuffle` are more than 100% together")]
    TooMuch,
    #[error("the mapping is at fault, not the payload: {defect}")]
    Defect { defect: Defect },
    #[error("`{path}`: {error}")]
    Record { path: PathBuf, error: sample::Error },
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error("a temporary folder cannot be used: {cause}")]
    Scratch { cause: io::Error },
    #[error("no random numbers: {cause}")]
    Random { cause: getrandom::Error },
    #[error(transparent)]
    Gateway(#[from] gateway::Error),
    #[error("signals cannot be received: {cause}")]
    Signals { cause: io::Error },
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Configuration(_)
            | Self::Developer(_)
            | Self::OperatorToken(_)
            | Self::Log(_)
            | Self::NoOperatorToken { .. }
            | Self::NoCredentials { .. }
            | Self::NoBinding { .. }
            | Self::NoRegistry
            | Self::Registry(registry::Error::Setup { .. } | registry::Error::Forbidden { .. }) => {
                Exit::BadConfiguration
            }
            Self::Topics(log::Error::Unusable { .. }) | Self::LaneTopics(_) | Self::TopicsRefused { .. } => {
                Exit::BadConfiguration
            }
            Self::Topics(_) => Exit::Unavailable,
            Self::Registry(registry::Error::Unavailable { .. }) => Exit::Unavailable,
            Self::Unknown { .. } | Self::Ambiguous { .. } | Self::TooMuch => Exit::Usage,
            Self::Defect { .. } => Exit::BadConfiguration,
            Self::Incompatible { .. } | Self::Registry(_) | Self::Input { .. } | Self::Record { .. } => Exit::BadData,
            Self::Client(error) => error.exit(),
            Self::Gateway(
                gateway::Error::Configuration(_)
                | gateway::Error::Routes(_)
                | gateway::Error::Inbound(_)
                | gateway::Error::Topics(_),
            ) => Exit::BadConfiguration,
            Self::Gateway(gateway::Error::Schemas(error)) if !error.is_transient() => Exit::BadConfiguration,
            Self::Gateway(_) => Exit::Unavailable,
            // `… | head` has what it wanted.
            Self::Output(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Scratch { .. } | Self::Random { .. } | Self::Signals { .. } | Self::Output(_) => Exit::Unavailable,
        }
    }

    /// Says it on standard error; says nothing if nothing is wrong.
    pub fn tell(&self) {
        match self {
            _ if self.exit() == Exit::Done => {}
            // Lines that begin with a place can be jumped to.
            Self::Configuration(report) | Self::Gateway(gateway::Error::Configuration(report)) => {
                talk(report.to_string().trim_end())
            }
            _ => talk(&format!("crossdock: {}", self.to_string().trim_end())),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

fn known_names(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(", there is: {}", names.join(", ")) }
}

/// A line on standard error. If nobody can hear it, there is nobody to tell that either.
pub(super) fn talk(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
