//! A topic as a stream of lines: all partitions merged by append time as well as that can be done, then followed.
//!
//! Pulled by the connection, so a slow reader holds nothing but one buffer a partition, and one that leaves ends it.
//! A failure in the middle breaks the stream off: the reader sees an incomplete answer, not a short one.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::warn;

use crate::canonical::headers::TENANT_ID;
use crate::log::{self, ReadLimit, Record, Stored};
use crate::ops::App;
use crate::ops::auth::Caller;
use crate::ops::problem::Problem;

/// Where a tail begins, on every partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Beginning,
    End,
    Offset(i64),
}

pub struct Tail {
    app: App,
    caller: Caller,
    topic: String,
    cursors: Vec<Cursor>,
    follow: bool,
    /// Records still to be shown.
    remaining: u64,
    stop: watch::Receiver<bool>,
}

/// How far one partition was read.
struct Cursor {
    partition: u32,
    next: i64,
    /// Not shown from here on; only without `follow`.
    until: i64,
    buffered: VecDeque<Stored>,
    /// The last read found nothing.
    at_end: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    partition: u32,
    offset: i64,
    /// Append time, epoch milliseconds.
    timestamp: i64,
    key: Option<Value>,
    /// A name that repeats has an array.
    headers: BTreeMap<&'a str, Value>,
    /// The Avro record's name.
    schema: Option<String>,
    value: Option<Value>,
}

/// Sent at once, so that a line is not a packet.
const CHUNK_BYTES: usize = 64 * 1024;
/// Buffered of all partitions together, unless single records are larger.
const BUFFER_BYTES: usize = 1024 * 1024;
const BUFFER_RECORDS: usize = 256;
/// Longest wait for a record in one go; `wait` may also return early.
const WAIT: Duration = Duration::from_secs(10);

impl Tail {
    /// # Errors
    /// 404 if there is no such topic or partition; 503 if the log cannot be read.
    pub async fn open(
        app: &App,
        caller: Caller,
        topic: String,
        from: Start,
        follow: bool,
        limit: Option<u64>,
        partition: Option<u32>,
    ) -> Result<Self, Problem> {
        let unknown = || log::Error::UnknownTopic { topic: topic.clone() };
        let partitions = app.0.log.topics().await?.get(&topic).copied().ok_or_else(unknown)?;
        let shown = match partition {
            None => 0..partitions,
            Some(partition) if partition < partitions => partition..partition + 1,
            Some(partition) => {
                return Err(log::Error::UnknownPartition { topic, partition, partitions }.into());
            }
        };
        let mut cursors = Vec::with_capacity(shown.len());
        for partition in shown {
            let bounds = app.0.log.bounds(&topic, partition).await?;
            let next = match from {
                Start::Beginning => bounds.start,
                Start::End => bounds.end,
                Start::Offset(offset) => offset,
            };
            let until = if follow { i64::MAX } else { bounds.end };
            cursors.push(Cursor { partition, next, until, buffered: VecDeque::new(), at_end: false });
        }
        let (app, stop) = (app.clone(), app.0.stop.clone());
        Ok(Self { app, caller, topic, cursors, follow, remaining: limit.unwrap_or(u64::MAX), stop })
    }

    /// Chunks of whole lines, each ended by a line feed.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, log::Error>> + Send {
        try_unfold(self, |mut tail| async move {
            match tail.chunk().await {
                Ok(chunk) => Ok(chunk.map(|chunk| (chunk, tail))),
                Err(cause) => {
                    warn!(topic = %tail.topic, error = %cause, "tail broken off");
                    Err(cause)
                }
            }
        })
    }

    /// The next lines, at least one; `None` at the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, log::Error> {
        let mut lines = Vec::new();
        loop {
            if self.remaining == 0 || *self.stop.borrow() {
                return Ok(None);
            }
            self.fill().await?;
            self.merge(&mut lines);
            if !lines.is_empty() {
                return Ok(Some(lines.into()));
            }
            if self.cursors.iter().all(|cursor| cursor.at_end) {
                if !self.follow {
                    return Ok(None);
                }
                self.wait().await?;
            }
        }
    }

    /// Reads on where nothing is buffered.
    async fn fill(&mut self) -> Result<(), log::Error> {
        let bytes = BUFFER_BYTES / self.cursors.len().max(1);
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.buffered.is_empty()) {
            let mut records = Vec::new();
            if cursor.next < cursor.until {
                let limit = ReadLimit { records: BUFFER_RECORDS, bytes };
                records = self.app.0.log.read(&self.topic, cursor.partition, cursor.next, limit).await?;
            }
            if let Some(last) = records.last() {
                cursor.next = last.offset.saturating_add(1);
            }
            records.retain(|record| record.offset < cursor.until);
            for value in records.iter().filter_map(|record| record.record.value.as_deref()) {
                // A value whose schema cannot be had is shown as its bytes.
                let _ = self.app.0.catalogue.learn_from(value).await;
            }
            cursor.at_end = records.is_empty();
            cursor.buffered = records.into();
        }
        Ok(())
    }

    /// Moves buffered records to `lines`, the oldest first, until a partition must be read on.
    fn merge(&mut self, lines: &mut Vec<u8>) {
        while lines.len() < CHUNK_BYTES && self.remaining > 0 {
            let oldest = self.cursors.iter_mut().min_by_key(|cursor| match cursor.buffered.front() {
                Some(record) => (record.timestamp_ms, record.partition),
                None => (i64::MAX, u32::MAX),
            });
            let Some(cursor) = oldest else { return };
            let Some(record) = cursor.buffered.pop_front() else { return };
            let drained = cursor.buffered.is_empty();
            if is_visible(&self.caller, &record.record) {
                write_line(&self.app, &record, lines);
                self.remaining -= 1;
            }
            if drained {
                return;
            }
        }
    }

    async fn wait(&mut self) -> Result<(), log::Error> {
        let positions = self.cursors.iter().map(|cursor| (self.topic.clone(), cursor.partition, cursor.next)).collect();
        tokio::select! {
            waited = self.app.0.log.wait(positions, WAIT) => waited,
            // Also when whoever could stop us is gone; the next round sees it only if it was said.
            stopped = self.stop.wait_for(|stop| *stop) => stopped.map(drop).map_err(|_| log::Error::Unavailable {
                reason: "the gateway stops".to_owned(),
            }),
        }
    }
}

/// What cannot be told to belong to a tenant is for operators of every tenant only.
fn is_visible(caller: &Caller, record: &Record) -> bool {
    caller.tenants().is_none() || record.header(TENANT_ID).is_some_and(|tenant| caller.sees(tenant))
}

fn write_line(app: &App, stored: &Stored, lines: &mut Vec<u8>) {
    let Record { key, value, headers } = &stored.record;
    let (schema, value) = match value.as_deref().map(|value| decode(app, value)) {
        Some((schema, value)) => (schema, Some(value)),
        None => (None, None),
    };
    let mut named = BTreeMap::new();
    for header in headers {
        let value = text_or_base64(&header.value);
        match named.get_mut(header.name.as_str()) {
            None => {
                named.insert(header.name.as_str(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    let line = Line {
        topic: &stored.topic,
        partition: stored.partition,
        offset: stored.offset,
        timestamp: stored.timestamp_ms,
        key: key.as_ref().map(text_or_base64),
        headers: named,
        schema,
        value,
    };
    // Text keys and JSON values: serialization cannot fail, nor does writing to memory.
    let _ = serde_json::to_writer(&mut *lines, &line);
    lines.push(b'\n');
}

/// Framed Avro by its schema, JSON as JSON, anything else as base64.
fn decode(app: &App, value: &[u8]) -> (Option<String>, Value) {
    if let Ok(decoded) = app.0.catalogue.decode(value) {
        return (Some(decoded.record), decoded.value);
    }
    let document = serde_json::from_slice(value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value));
    (None, document.unwrap_or_else(|_| base64_object(value)))
}

fn text_or_base64(bytes: &Bytes) -> Value {
    std::str::from_utf8(bytes).map_or_else(|_| base64_object(bytes), Value::from)
}

fn base64_object(bytes: &[u8]) -> Value {
    json!({"base64": STANDARD.encode(bytes)})
}
