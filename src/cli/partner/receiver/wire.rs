//! HTTP/1.1 on a socket of its own: enough to be called, and to misbehave below it.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cli::partner::receiver::script::Reply;

/// Request line and headers.
const HEAD_BYTES: usize = 64 << 10;
const BODY_BYTES: usize = 4 << 20;

/// One connection, requests one after the other.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    pending: BytesMut,
}

/// One request as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, pending: BytesMut::new() }
    }

    /// Waits for the first byte of a request; false if the caller has hung up.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn has_request(&mut self) -> io::Result<bool> {
        Ok(!self.pending.is_empty() || self.stream.read_buf(&mut self.pending).await? > 0)
    }

    /// # Errors
    /// The connection broke or was closed within the request; what came is no request, or a larger one than any call.
    pub async fn request(&mut self) -> io::Result<Request> {
        let head_end = loop {
            if let Some(end) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.more(HEAD_BYTES).await?;
        };
        let head = self.pending.split_to(head_end);
        self.pending.advance(4);
        let mut request = parse(&head)?;
        let length = match request.header("content-length") {
            Some(length) => length.parse().map_err(|_| bad("`Content-Length` is no number"))?,
            None => 0,
        };
        if length > BODY_BYTES {
            return Err(bad("the body is too large"));
        }
        while self.pending.len() < length {
            self.more(BODY_BYTES).await?;
        }
        request.body = self.pending.split_to(length).freeze();
        Ok(request)
    }

    /// # Errors
    /// The connection broke.
    pub async fn answer(&mut self, reply: &Reply) -> io::Result<()> {
        let mut text = head(reply, reply.body.len());
        text += &reply.body;
        self.write(text.as_bytes()).await
    }

    /// Promises a body of `bytes`, of which nothing is written yet.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn promise(&mut self, reply: &Reply, bytes: usize) -> io::Result<()> {
        self.write(head(reply, bytes).as_bytes()).await
    }

    /// # Errors
    /// The connection broke.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Waits until the caller hangs up.
    pub async fn until_closed(&mut self) {
        // Nobody writes on while it waits for an answer; one that does is not read for ever.
        while self.pending.len() < HEAD_BYTES && matches!(self.stream.read_buf(&mut self.pending).await, Ok(1..)) {}
    }

    /// Closes it so that the caller sees a reset, not an end.
    pub fn reset(self) {
        // On failure it is closed in the ordinary way, which is a failure to the caller too.
        let _ = self.stream.set_zero_linger();
    }

    async fn more(&mut self, most: usize) -> io::Result<()> {
        if self.pending.len() > most {
            return Err(bad("the request is too large"));
        }
        match self.stream.read_buf(&mut self.pending).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Request {
    /// The first of that name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

fn parse(head: &[u8]) -> io::Result<Request> {
    let head = str::from_utf8(head).map_err(|_| bad("the head is no text"))?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path), Some("HTTP/1.1"), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad("no request line of HTTP/1.1"));
    };
    let mut request = Request { method: method.to_owned(), path: path.to_owned(), ..Request::default() };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if request.header("transfer-encoding").is_some() {
        return Err(bad("`Transfer-Encoding` is not known here"));
    }
    Ok(request)
}

fn head(reply: &Reply, body_bytes: usize) -> String {
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", reply.status);
    if let Some(after) = reply.retry_after {
        head += &format!("Retry-After: {}\r\n", after.as_secs());
    }
    // An answer of 204 has no body, nor a length.
    if reply.status != 204 {
        head += &format!("Content-Type: application/json\r\nContent-Length: {body_bytes}\r\n");
    }
    head + "\r\n"
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let request = parse(b"POST /a?b HTTP/1.1\r\nHost: x\r\nX-Odd:  a: b \r\nContent-Length: 3").expect("a request");

        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/a?b"));
        assert_eq!(request.header("x-odd"), Some("a: b"));
        assert_eq!(request.header("X-Odd"), None);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for head in [
            "",
            "GET /",
            "GET / HTTP/1.0",
            "GET / x HTTP/1.1",
            "GET / HTTP/1.1\r\nno colon",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked",
        ] {
            assert!(parse(head.as_bytes()).is_err(), "{head}");
        }
        assert!(parse(b"GET /\xff HTTP/1.1").is_err());
    }
}
