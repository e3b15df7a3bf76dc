//! A partner system that is called: takes calls over HTTP on this machine, as well or as badly as its script says.
//!
//! It keeps what a real one would: a call is applied once by its idempotency key, also if the answer never arrives. It
//! checks token and signature as a partner does. Everything is remembered, for whoever asks what came in which order.

pub mod received;
pub mod script;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::cli::partner::receiver::received::{Answered, Received};
use crate::cli::partner::receiver::script::{Manner, Reply, Rule, Script, Seen, Told};
use crate::cli::partner::receiver::wire::{Request, Wire};
use crate::clock::{Clock as _, SystemClock};
use crate::config::secret::Secret;
use crate::verify::{self, TOLERANCE_S};

/// Callers beyond are not accepted before others have gone.
const CONNECTIONS: usize = 256;
/// Where the bodies of the house systems' calls name the order.
const ORDER_MEMBERS: [&str; 3] = ["external_sales_order_id", "request_id", "external_order_id"];

/// By what a partner knows that it is the gateway who calls.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// `None`: any.
    pub bearer_token: Option<Secret>,
    /// One of them has signed; none: no signature is asked for.
    pub signing_secrets: Vec<Secret>,
}

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    trust: Trust,
    state: Mutex<State>,
    /// Counts what happened, for whoever waits.
    happened: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    script: Script,
    /// When the script was given.
    since: Instant,
    received: Received,
}

impl Receiver {
    /// Listens on a free port of this machine; calls are applied and answered 204 until [`Self::follow`] says otherwise.
    ///
    /// # Errors
    /// There is no port to be had.
    pub async fn start(trust: Trust) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = State { script: Script::default(), since: Instant::now(), received: Received::default() };
        let shared = Arc::new(Shared { trust, state: Mutex::new(state), happened: watch::Sender::new(0) });
        let listening = Some(tokio::spawn(accept(listener, Arc::clone(&shared))));
        Ok(Self { address, shared, listening })
    }

    /// Without a slash at its end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on the script is this; its time begins now. Requests under way end as they began.
    pub fn follow(&self, rules: Vec<Rule>) {
        let mut state = self.shared.state();
        state.script = Script::new(rules);
        state.since = Instant::now();
    }

    /// Closes every connection and refuses new ones.
    pub async fn refuse(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            // Cancelled, as it was told to: its sockets are closed then.
            let _ = listening.await;
        }
    }

    /// Takes calls again, at the same address.
    ///
    /// # Errors
    /// Somebody else took the port meanwhile.
    pub async fn listen_again(&mut self) -> io::Result<()> {
        if self.listening.is_none() {
            let listener = TcpListener::bind(self.address).await?;
            self.listening = Some(tokio::spawn(accept(listener, Arc::clone(&self.shared))));
        }
        Ok(())
    }

    /// Looks at what came so far.
    pub fn look<T>(&self, ask: impl FnOnce(&Received) -> T) -> T {
        ask(&self.shared.state().received)
    }

    /// Waits until `is_so`; asked again after each call and each answer.
    pub async fn until(&self, mut is_so: impl FnMut(&Received) -> bool) {
        let mut happened = self.shared.happened.subscribe();
        while !self.look(&mut is_so) {
            // The sender lives as long as this.
            let _ = happened.changed().await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => {
                // What cannot be accepted was given up by its caller.
                let Ok((stream, _)) = accepted else { continue };
                let number = {
                    let mut state = shared.state();
                    state.received.connections += 1;
                    state.received.connections
                };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    // A connection that broke has nobody to be told.
                    let _ = serve(stream, number, &shared).await;
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// The requests of one connection, until either side ends it.
async fn serve(stream: TcpStream, connection: u64, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut wire = Wire::new(stream);
    while wire.has_request().await? {
        if shared.resets_unread() {
            wire.reset();
            return Ok(());
        }
        let request = wire.request().await?;
        let (number, manner) = shared.begin(request, connection);
        let answered = carry_out(&manner, &mut wire).await;
        if answered == Answered::Reset {
            wire.reset();
            shared.end(number, answered);
            return Ok(());
        }
        shared.end(number, answered);
        if !matches!(answered, Answered::Status(_)) {
            return Ok(());
        }
    }
    Ok(())
}

async fn carry_out(manner: &Manner, wire: &mut Wire) -> Answered {
    match manner {
        Manner::Answer(reply) => answer(wire, reply).await,
        Manner::AnswerAfter(delay, reply) => tokio::select! {
            () = tokio::time::sleep(*delay) => answer(wire, reply).await,
            () = wire.until_closed() => Answered::Nothing,
        },
        Manner::NeverAnswer { .. } => {
            wire.until_closed().await;
            Answered::Nothing
        }
        Manner::ResetUnread | Manner::ResetRead { .. } => Answered::Reset,
        Manner::HalfAnswer => {
            let begun = wire.promise(&Reply::status(200), 64).await;
            if begun.is_ok() && wire.write(b"{\"half\":").await.is_ok() { Answered::Half } else { Answered::Nothing }
        }
        Manner::SlowBody { bytes, pause } => slowly(wire, *bytes, *pause).await,
    }
}

async fn answer(wire: &mut Wire, reply: &Reply) -> Answered {
    match wire.answer(reply).await {
        Ok(()) => Answered::Status(reply.status),
        Err(_) => Answered::Nothing,
    }
}

async fn slowly(wire: &mut Wire, bytes: u32, pause: Duration) -> Answered {
    let Ok(promised) = usize::try_from(bytes) else { return Answered::Nothing };
    if wire.promise(&Reply::status(200), promised).await.is_err() {
        return Answered::Nothing;
    }
    for _ in 0..bytes {
        let is_there = tokio::select! {
            () = tokio::time::sleep(pause) => wire.write(b" ").await.is_ok(),
            () = wire.until_closed() => false,
        };
        if !is_there {
            return Answered::Half;
        }
    }
    Answered::Status(200)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.happened.send_modify(|happened| *happened = happened.wrapping_add(1));
    }

    fn resets_unread(&self) -> bool {
        let resets = {
            let mut state = self.state();
            let elapsed = state.since.elapsed();
            let resets = state.script.choose(&Seen { elapsed, request: None }) == Some(Manner::ResetUnread);
            state.received.resets_unread += u64::from(resets);
            resets
        };
        if resets {
            self.tell();
        }
        resets
    }

    /// Takes the call down, decides what becomes of it and makes its change.
    fn begin(&self, request: Request, connection: u64) -> (u64, Manner) {
        let order = order(&request.body);
        let is_trusted = self.trust.is_met(&request);
        let (path, key) = (request.path.clone(), request.header("x-idempotency-key").unwrap_or_default().to_owned());
        let decided = {
            let mut state = self.state();
            let (number, attempt) = state.received.begin(request, order.clone(), connection);
            let told = Told { path: &path, order: order.as_deref(), idempotency_key: &key, attempt };
            let seen = Seen { elapsed: state.since.elapsed(), request: Some(told) };
            let manner = match state.script.choose(&seen).unwrap_or_default() {
                Manner::Answer(_) | Manner::AnswerAfter(..) if !is_trusted => Manner::Answer(Reply::status(401)),
                manner => manner,
            };
            if is_trusted && manner.applies() {
                state.received.apply(number);
            }
            (number, manner)
        };
        self.tell();
        decided
    }

    fn end(&self, number: u64, answered: Answered) {
        self.state().received.end(number, answered);
        self.tell();
    }
}

impl Trust {
    fn is_met(&self, request: &Request) -> bool {
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let has_token = self.bearer_token.as_ref().is_none_or(|token| Some(token.reveal()) == bearer);
        has_token && (self.signing_secrets.is_empty() || self.has_signed(request))
    }

    fn has_signed(&self, request: &Request) -> bool {
        let at = request.header(verify::TIMESTAMP).and_then(|at| at.parse::<i64>().ok());
        let (Some(at), Some(signature)) = (at, request.header(verify::SIGNATURE)) else { return false };
        let now = SystemClock.now_ms().div_euclid(1000);
        let is_fresh = now.abs_diff(at) <= TOLERANCE_S.unsigned_abs();
        is_fresh && self.signing_secrets.iter().any(|secret| verify::sign(secret, at, &request.body) == signature)
    }
}

/// The order a body names.
fn order(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    ORDER_MEMBERS.iter().find_map(|member| body.get(member)?.as_str()).map(str::to_owned)
}
