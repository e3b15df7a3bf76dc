//! Sends signed orders over many connections. Raw sockets, and requests made before the clock starts: the sender
//! shares the machine with what it measures, so it should cost as little as it can.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossdock::config::secret::Secret;
use crossdock::verify;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const BEARER: &str = "bench-bearer-token-of-pyxis-north";
pub const SECRET: &str = "bench-signing-secret-of-pyxis-north";

/// An order with six lines; `@ID@` stands for its id.
const ORDER: &str = include_str!("order.json");

#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub connections: usize,
    pub orders: usize,
    /// Number of the first order, so that each run sends others.
    pub first: usize,
}

/// What was answered.
#[derive(Debug)]
pub struct Sent {
    elapsed: Duration,
    /// Sorted; from the first byte sent to the last byte read.
    latencies: Vec<Duration>,
}

impl Sent {
    /// Orders a second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that `share` of the orders do not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share) as usize).copied().unwrap_or_default()
    }
}

/// The external id of an order.
pub fn order_id(number: usize) -> String {
    format!("PYX-{number:09}")
}

pub fn order(number: usize) -> String {
    ORDER.replace("@ID@", &order_id(number))
}

/// Sends every order once and waits for all answers; anything but 202 ends the bench.
pub async fn send(address: &str, load: Load) -> Sent {
    let mut connections = Vec::with_capacity(load.connections);
    for index in 0..load.connections {
        let stream = TcpStream::connect(address).await.expect("the door accepts connections");
        stream.set_nodelay(true).expect("a TCP option");
        let numbers = (load.first + index..load.first + load.orders).step_by(load.connections);
        connections.push((stream, numbers.map(request).collect::<VecDeque<_>>()));
    }
    let began = Instant::now();
    let connections: Vec<_> =
        connections.into_iter().map(|(stream, requests)| tokio::spawn(deliver(stream, requests))).collect();
    let mut latencies = Vec::with_capacity(load.orders);
    for connection in connections {
        latencies.extend(connection.await.expect("a connection does not panic"));
    }
    let elapsed = began.elapsed();
    latencies.sort_unstable();
    Sent { elapsed, latencies }
}

/// One request after the other, each after the answer to the one before.
async fn deliver(mut stream: TcpStream, requests: VecDeque<Vec<u8>>) -> Vec<Duration> {
    let (mut latencies, mut buffer) = (Vec::with_capacity(requests.len()), vec![0; 16 * 1024]);
    for request in requests {
        let began = Instant::now();
        stream.write_all(&request).await.expect("the door reads");
        let answer = read_answer(&mut stream, &mut buffer).await;
        assert!(answer.starts_with(b"HTTP/1.1 202"), "{}", String::from_utf8_lossy(answer));
        latencies.push(began.elapsed());
    }
    latencies
}

fn request(number: usize) -> Vec<u8> {
    let body = order(number);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock past 1970");
    let at = i64::try_from(since.as_secs()).expect("a clock before the end of time");
    format!(
        "POST /api/v1/adapters/sales/pyxis/orders HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         authorization: Bearer {BEARER}\r\n{}: {at}\r\n{}: {}\r\ncontent-length: {}\r\n\r\n{body}",
        verify::TIMESTAMP,
        verify::SIGNATURE,
        verify::sign(&Secret::new(SECRET), at, body.as_bytes()),
        body.len(),
    )
    .into_bytes()
}

/// Reads one answer whole: head, then as many bytes as `content-length` says.
async fn read_answer<'a>(stream: &mut TcpStream, buffer: &'a mut [u8]) -> &'a [u8] {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.expect("the door answers");
        assert!(read > 0, "the door closed the connection: {}", String::from_utf8_lossy(&buffer[..filled]));
        filled += read;
        let Some(head) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        if filled >= head + 4 + content_length(&buffer[..head]) {
            return &buffer[..filled];
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let at = head.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME)).expect("a length");
    let digits = head[at + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
}
