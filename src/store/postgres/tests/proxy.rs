//! A stretch of network between the store and the server that can fail at an exact place.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_postgres::config::Host;

use super::url;
use crate::config::secret::Secret;
use crate::store::postgres::Options;

/// The message that asks for a commit, and the end of the one that confirms it.
const COMMIT: &[u8] = b"COMMIT\0";

/// What becomes of what passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    Pass,
    /// Requests from the commit on wait until the rule changes, as if the store's process had frozen before it.
    HoldCommit,
    /// The confirmation of a commit is swallowed, and the connection cut.
    LoseCommitted,
    /// Every request waits until the rule changes.
    HoldAll,
}

pub struct Proxy {
    address: SocketAddr,
    rule: Arc<watch::Sender<Rule>>,
    /// How often the rule struck.
    struck: watch::Receiver<u32>,
}

impl Proxy {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (rule, rules) = watch::channel(Rule::Pass);
        let (strike, struck) = watch::channel(0);
        let strike = Arc::new(strike);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server()).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (requests, answers) = (Arc::clone(&strike), Arc::clone(&strike));
                let rules_of_answers = rules.clone();
                let requests = tokio::spawn(pass_requests(from_client, to_server, rules.clone(), requests));
                tokio::spawn(async move {
                    pass_answers(from_server, to_client, rules_of_answers, answers).await;
                    requests.abort();
                });
            }
        });
        Self { address, rule: Arc::new(rule), struck }
    }

    /// The same store, reached through this.
    pub fn before(&self, options: &Options) -> Options {
        let config: tokio_postgres::Config = url().parse().unwrap();
        let mut through = url::Url::parse("postgresql://through/").unwrap();
        through.set_ip_host(self.address.ip()).unwrap();
        through.set_port(Some(self.address.port())).unwrap();
        through.set_username(config.get_user().unwrap()).unwrap();
        if let Some(password) = config.get_password() {
            through.set_password(Some(std::str::from_utf8(password).unwrap())).unwrap();
        }
        through.set_path(config.get_dbname().unwrap_or_default());
        Options { url: Secret::new(through), ..options.clone() }
    }

    pub fn set(&self, rule: Rule) {
        self.rule.send_replace(rule);
    }

    /// Waits until the rule has struck `times` in all.
    pub async fn struck(&self, times: u32) {
        self.struck.clone().wait_for(|struck| *struck >= times).await.unwrap();
    }
}

/// Where `CROSSDOCK_TEST_POSTGRES` points.
fn server() -> (String, u16) {
    let config: tokio_postgres::Config = url().parse().unwrap();
    let Some(Host::Tcp(host)) = config.get_hosts().first() else { panic!("expected a URL with a TCP host") };
    (host.clone(), config.get_ports().first().copied().unwrap_or(5432))
}

async fn pass_requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut rules: watch::Receiver<Rule>,
    strike: Arc<watch::Sender<u32>>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        let chunk = &buffer[..len];
        let rule = *rules.borrow_and_update();
        if rule == Rule::HoldAll || rule == Rule::HoldCommit && holds_commit(chunk) {
            strike.send_modify(|struck| *struck += 1);
            let _ = rules.wait_for(|now| *now != rule).await;
        }
        if to.write_all(chunk).await.is_err() {
            return;
        }
    }
}

async fn pass_answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    rules: watch::Receiver<Rule>,
    strike: Arc<watch::Sender<u32>>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        let chunk = &buffer[..len];
        if *rules.borrow() == Rule::LoseCommitted && holds_commit(chunk) {
            strike.send_modify(|struck| *struck += 1);
            return;
        }
        if to.write_all(chunk).await.is_err() {
            return;
        }
    }
}

fn holds_commit(chunk: &[u8]) -> bool {
    chunk.windows(COMMIT.len()).any(|window| window == COMMIT)
}
