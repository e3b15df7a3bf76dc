//! The real listener on loopback: timeouts, limits, stopping.

use super::*;
use crate::door::server::{Limits, Server};
use crate::door::testing::Mood;
use prometheus::IntGauge;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const TINY: Duration = Duration::from_millis(20);
const AMPLE: Duration = Duration::from_secs(30);

struct Listener {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    served: JoinHandle<usize>,
    connections: IntGauge,
}

impl Listener {
    async fn start(door: &TestDoor, head_timeout: Duration, max_connections: usize, grace: Duration) -> Self {
        let connections = door.metrics.door_connections.clone();
        let limits = Limits { max_connections, head_timeout, connections: connections.clone() };
        let server = Server::bind(([127, 0, 0, 1], 0).into(), limits).await.unwrap();
        let address = server.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let door = door.door.clone();
        let served = tokio::spawn(server.serve(Arc::new(move |request| door.handle(request)), stopped, grace));
        Self { address, stop, served, connections }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// The delivery of `body` as it goes over the wire, declaring `length` bytes.
fn wire(body: &str, length: usize) -> Vec<u8> {
    let (parts, _) = delivery("pyxis-north", ORDERS, body).into_parts();
    let mut text = format!("POST {ORDERS} HTTP/1.1\r\nhost: door\r\ncontent-length: {length}\r\n");
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    format!("{text}\r\n{body}").into_bytes()
}

/// All there is to read until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = vec![];
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// One answer with its body, leaving the connection open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = vec![];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return text.into_owned();
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "closed after {}", String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test]
async fn one_connection_carries_many_deliveries() {
    let door = TestDoor::new();
    let listener = Listener::start(&door, AMPLE, 8, AMPLE).await;
    let mut stream = listener.connect().await;

    for body in ["PYX-1", "bad", "PYX-2"] {
        stream.write_all(&wire(body, body.len())).await.unwrap();
        let status = if body == "bad" { "HTTP/1.1 422" } else { "HTTP/1.1 202" };
        assert!(answer(&mut stream).await.starts_with(status), "{body}");
    }

    assert_eq!((listener.connections.get(), door.stored().len()), (1, 3));
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let door = TestDoor::new();
    let listener = Listener::start(&door, TINY, 8, AMPLE).await;
    let [mut silent, mut slow] = [listener.connect().await, listener.connect().await];

    slow.write_all(b"POST / HTTP/1.1\r\nhost:").await.unwrap();

    assert_eq!((rest(&mut silent).await, rest(&mut slow).await), (String::new(), String::new()));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408_and_ends_the_connection() {
    let door = TestDoor::with(MemoryStore::default(), DoorSettings { read_timeout: TINY, ..settings() });
    let listener = Listener::start(&door, AMPLE, 8, AMPLE).await;
    let mut stream = listener.connect().await;

    stream.write_all(&wire("PYX-1", 100)).await.unwrap();

    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_declared_body_over_the_limit_is_413_before_it_is_sent() {
    let door = TestDoor::new();
    let listener = Listener::start(&door, AMPLE, 8, AMPLE).await;
    let mut stream = listener.connect().await;

    stream.write_all(&wire("", LIMIT + 1)).await.unwrap();

    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("PAYLOAD_TOO_LARGE"), "{answer}");
}

#[tokio::test]
async fn a_sender_who_goes_on_sending_a_body_over_the_limit_still_reads_its_answer() {
    let door = TestDoor::new();
    let listener = Listener::start(&door, AMPLE, 8, AMPLE).await;
    let mut stream = listener.connect().await;
    let body = "x".repeat(4 * 1024 * 1024);

    stream.write_all(&wire(&body, body.len())).await.unwrap();

    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_one_to_end() {
    let door = TestDoor::new();
    let listener = Listener::start(&door, AMPLE, 1, AMPLE).await;
    let mut first = listener.connect().await;
    first.write_all(&wire("PYX-1", 5)).await.unwrap();
    answer(&mut first).await;

    let mut second = listener.connect().await;
    second.write_all(&wire("PYX-2", 5)).await.unwrap();
    assert_eq!((listener.connections.get(), door.stored().len()), (1, 1));
    drop(first);

    assert!(answer(&mut second).await.starts_with("HTTP/1.1 202"));
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_takes_nothing_new() {
    let door = TestDoor::with(MemoryStore::default(), DoorSettings { append_timeout: AMPLE, ..settings() });
    let listener = Listener::start(&door, AMPLE, 8, AMPLE).await;
    let [mut idle, mut busy] = [listener.connect().await, listener.connect().await];
    idle.write_all(&wire("PYX-0", 5)).await.unwrap();
    answer(&mut idle).await;
    door.log.asked().await;
    door.log.set(Mood::Waits);
    busy.write_all(&wire("PYX-1", 5)).await.unwrap();
    door.log.asked().await;

    listener.stop.send(true).unwrap();
    assert_eq!(rest(&mut idle).await, "");
    door.log.release();

    let answer = rest(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 202") && answer.contains("connection: close"), "{answer}");
    drop((idle, busy));
    assert_eq!(listener.served.await.unwrap(), 0);
    assert!(TcpStream::connect(listener.address).await.is_err());
}

#[tokio::test]
async fn what_is_still_under_way_after_the_grace_period_is_cut_off() {
    let door = TestDoor::with(MemoryStore::default(), DoorSettings { append_timeout: AMPLE, ..settings() });
    door.log.set(Mood::Waits);
    let listener = Listener::start(&door, AMPLE, 8, TINY).await;
    let mut stream = listener.connect().await;
    stream.write_all(&wire("PYX-1", 5)).await.unwrap();
    door.log.asked().await;

    listener.stop.send(true).unwrap();

    assert_eq!(listener.served.await.unwrap(), 1);
    assert_eq!(listener.connections.get(), 0);
}
