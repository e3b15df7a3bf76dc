//! `crossdock events`: the records of a topic.

mod append;
mod tail;

use clap::Subcommand;

use crate::cli::{Common, Failure, Output};
use crate::config::environment::Environment;

#[derive(Debug, Subcommand)]
pub enum Events {
    Tail(tail::Tail),
    Append(append::Append),
}

impl Events {
    pub(super) async fn run(self, common: &Common, environment: Environment, out: Output) -> Result<(), Failure> {
        match self {
            Self::Tail(tail) => tail.run(common, environment, out).await,
            Self::Append(append) => append.run(common, environment, out).await,
        }
    }
}
