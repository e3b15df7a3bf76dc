//! What the commands' tests share: output that can be read back, and a gateway that gives fixed answers.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use clap::Parser as _;

use crate::cli::{Cli, Command, Failure, Format, Output};
use crate::config::environment::Environment;

/// Keeps what is written.
#[derive(Debug, Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).expect("text")
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Serves `router` on a free port of this machine for as long as the test runs; its address.
pub async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Runs an `events` or `orders` command against `url` with the token `t0ken`.
pub async fn ask(url: &str, format: Format, words: &[&str]) -> (Result<(), Failure>, String) {
    let gateway = ["--url", url, "--token", "t0ken"];
    let all = ["crossdock"].iter().chain(words).chain(&gateway);
    let Cli { common, command } = Cli::try_parse_from(all).expect("usage");
    let captured = Captured::default();
    let out = Output::to(captured.clone(), format);
    let environment = Environment::default();
    let done = match command {
        Command::Events(events) => events.run(&common, environment, out).await,
        Command::Orders(orders) => orders.run(&common, environment, out).await,
        Command::Audit(audit) => audit.run(&common, environment, out).await,
        Command::Replay(replay) => replay.run(&common, environment, out).await.map(drop),
        Command::Keys(keys) => keys.run(&common, environment, out).await.map(drop),
        Command::Failures(failures) => failures.run(&common, environment, out).await.map(drop),
        _ => panic!("a command that asks nobody"),
    };
    (done, captured.text())
}
