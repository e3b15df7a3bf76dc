//! A target that does what it is told: answers, half answers, silence.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The first byte of a connection by TLS.
const TLS_HANDSHAKE: u8 = 22;

/// What it does with one request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Writes this, and waits for the next request.
    Say(Vec<u8>),
    /// Writes this, and ends the connection.
    SayAndClose(Vec<u8>),
    /// Writes this, and resets the connection.
    SayAndReset(Vec<u8>),
    /// Writes this, and nothing more for as long as the connection lasts.
    SayAndHang(Vec<u8>),
}

#[derive(Debug, Clone)]
pub struct Seen {
    /// Request line and headers, names in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<Act>,
    seen: Vec<Seen>,
    connections: usize,
}

/// Answers 204 when its script has ended.
#[derive(Debug, Clone)]
pub struct Server {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

pub fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Said\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub fn say(status: u16) -> Act {
    Act::Say(answer(status, "", ""))
}

impl Server {
    pub async fn start(script: impl IntoIterator<Item = Act>) -> Self {
        Self::with(script, None).await
    }

    pub async fn with(script: impl IntoIterator<Item = Act>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(Mutex::new(State { script: script.into_iter().collect(), ..State::default() }));
        let server = Self { port, state: Arc::clone(&state) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&state), tls.clone());
                tokio::spawn(async move {
                    state.lock().expect("not poisoned").connections += 1;
                    match tls {
                        None => drop(serve(stream, &state, TcpStream::set_zero_linger).await),
                        Some(tls) => match tls.accept(stream).into_fallible().await {
                            Ok(stream) => drop(serve(stream, &state, |_| Ok(())).await),
                            // What is left unread would reset the connection, before the client has read why.
                            Err((_, mut stream)) => drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await),
                        },
                    }
                });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().expect("not poisoned").seen.clone()
    }

    pub fn connections(&self) -> usize {
        self.state.lock().expect("not poisoned").connections
    }

    pub fn then(&self, act: Act) {
        self.state.lock().expect("not poisoned").script.push_back(act);
    }
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.split_once(": ").filter(|(known, _)| *known == name));
        line.map_or("", |(_, value)| value)
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    state: &Mutex<State>,
    reset: fn(&S) -> std::io::Result<()>,
) -> std::io::Result<()> {
    while let Some(seen) = read(&mut stream).await? {
        let act = {
            let mut state = state.lock().expect("not poisoned");
            state.seen.push(seen);
            state.script.pop_front().unwrap_or_else(|| say(204))
        };
        let (Act::Say(bytes) | Act::SayAndClose(bytes) | Act::SayAndReset(bytes) | Act::SayAndHang(bytes)) = &act;
        stream.write_all(bytes).await?;
        stream.flush().await?;
        match act {
            Act::Say(_) => {}
            Act::SayAndClose(_) => return stream.shutdown().await,
            Act::SayAndReset(_) => return reset(&stream),
            Act::SayAndHang(_) => std::future::pending().await,
        }
    }
    Ok(())
}

/// `None` at the end of the connection.
async fn read<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> std::io::Result<Option<Seen>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        if head.is_empty() && byte[0] == TLS_HANDSHAKE {
            stream.write_all(&answer(400, "", "")).await?;
            tokio::io::copy(stream, &mut tokio::io::sink()).await?;
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let mut seen = Seen { head, body: Vec::new() };
    let length = seen.header("content-length").parse().unwrap_or(0);
    seen.body.resize(length, 0);
    stream.read_exact(&mut seen.body).await?;
    Ok(Some(seen))
}
