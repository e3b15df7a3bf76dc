//! The listener: accepts connections within a bound, serves HTTP/1.1 on them, stops without cutting an answer off.
//!
//! Both listeners of the gateway run on this. A connection has a time in which each request's head must arrive,
//! which also ends idle ones; when all connections are taken, new ones wait in the kernel's queue.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::IntGauge;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// Answers one request; it never fails and does not panic.
pub type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;

/// A bound socket, not yet serving.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    limits: Limits,
}

#[derive(Debug, Clone)]
pub struct Limits {
    pub max_connections: usize,
    /// How long the head of a request may take, counted from the end of the request before.
    pub head_timeout: Duration,
    /// Connections open now.
    pub connections: IntGauge,
}

/// Largest request line and headers together; beyond it hyper answers 431.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long, and how much, is read of a sender who is still sending after our last answer: closing at once would
/// reset the connection and could destroy that answer on its way.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 32 * 1024 * 1024;
/// Pause after a failed accept: out of file descriptors, the next one fails as well.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Server {
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, limits })
    }

    /// Where it listens: the port the system chose if 0 was asked for.
    ///
    /// # Errors
    /// As the system reports them.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is true (or its sender is gone), then finishes what is under way for at most `grace`.
    /// Returns how many connections were cut off.
    pub async fn serve(self, handler: Handler, mut stop: watch::Receiver<bool>, grace: Duration) -> usize {
        let slots = Arc::new(Semaphore::new(self.limits.max_connections.min(Semaphore::MAX_PERMITS)));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                accepted = self.accept(&slots) => accepted,
            };
            let Some((stream, slot)) = accepted else { continue };
            connections.spawn(connection(stream, slot, handler.clone(), self.limits.clone(), stop.clone()));
            while connections.try_join_next().is_some() {}
        }
        drop(self.listener);
        let drained = timeout(grace, async { while connections.join_next().await.is_some() {} }).await;
        let cut_off = connections.len();
        if drained.is_err() {
            warn!(connections = cut_off, "requests still under way at the end of the grace period are cut off");
            connections.shutdown().await;
        }
        cut_off
    }

    async fn accept(&self, slots: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let slot = slots.clone().acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, _)) => Some((stream, slot)),
            Err(cause) => {
                warn!(error = %cause, "connection cannot be accepted");
                sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    _slot: OwnedSemaphorePermit,
    handler: Handler,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let _open = Open::count(&limits.connections);
    // An answer is one small write: waiting to fill a segment would only delay it.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| -> BoxFuture<'static, Result<_, Infallible>> {
        let answer = handler(request.map(Body::new));
        Box::pin(async move { Ok(answer.await) })
    });
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = poll_fn(|cx| http.poll_without_shutdown(cx)) => Some(ended),
        () = stopped(&mut stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut http).graceful_shutdown();
            poll_fn(|cx| http.poll_without_shutdown(cx)).await
        }
    };
    if let Err(cause) = ended {
        debug!(error = %cause, "connection ended");
    }
    linger(http.into_parts().io.into_inner()).await;
}

/// Closes our half, then reads to the sender's end, within bounds.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut scratch = [0; 8 * 1024];
    let _ = timeout(LINGER, async {
        let mut discarded = 0;
        while let Ok(bytes @ 1..) = stream.read(&mut scratch).await {
            discarded += bytes;
            if discarded > LINGER_BYTES {
                break;
            }
        }
    })
    .await;
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever could have stopped us is gone: that is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// One open connection in the gauge, however the connection ends.
struct Open(IntGauge);

impl Open {
    fn count(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
