//! The gateway as its operators see it: metrics, topics and orders, over the operations API.

use std::collections::{BTreeMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cli::client::{self, Client};

/// Asks one gateway.
#[derive(Debug)]
pub struct Observer {
    client: Client,
}

/// One scrape.
#[derive(Debug, Default)]
pub struct Metrics {
    series: Vec<Series>,
}

#[derive(Debug, PartialEq)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: u64,
}

/// Events found on a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    pub events: u64,
    /// Of these, those whose `event_id` an earlier one had.
    pub repeated: u64,
}

impl Observer {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// # Errors
    /// The gateway does not answer, or refuses.
    pub async fn metrics(&self) -> Result<Metrics, client::Error> {
        let request = self.client.request_outside(Method::GET, &["metrics"], &[]);
        let answer = self.client.send(request, "text/plain").await?;
        Ok(Metrics::parse(&String::from_utf8_lossy(&self.client.body(answer).await?)))
    }

    /// The events on `topic` from its beginning whose line contains `mark`.
    ///
    /// # Errors
    /// The gateway does not answer, refuses, or breaks off.
    pub async fn events(&self, topic: &str, mark: &str) -> Result<Found, client::Error> {
        let query = [("from", "beginning"), ("follow", "false")];
        let request = self.client.request(Method::GET, &["events", topic], &query);
        let mut answer = self.client.send(request, "application/x-ndjson").await?;
        let (mut found, mut ids, mut pending) = (Found::default(), HashSet::new(), Vec::new());
        while let Some(chunk) = self.client.chunk(&mut answer, false).await? {
            pending.extend_from_slice(&chunk);
            let Some(end) = pending.iter().rposition(|byte| *byte == b'\n') else { continue };
            for line in pending[..end].split(|byte| *byte == b'\n') {
                let Ok(text) = std::str::from_utf8(line) else { continue };
                if !text.contains(mark) {
                    continue;
                }
                found.events += 1;
                let event: Value = serde_json::from_str(text).unwrap_or_default();
                if let Some(id) = event["value"]["event_id"].as_str()
                    && !ids.insert(id.to_owned())
                {
                    found.repeated += 1;
                }
            }
            pending.drain(..=end);
        }
        Ok(found)
    }

    /// Whether the log has this topic.
    ///
    /// # Errors
    /// The gateway does not answer, or refuses.
    pub async fn has_topic(&self, topic: &str) -> Result<bool, client::Error> {
        let query = [("from", "beginning"), ("follow", "false"), ("limit", "1")];
        let request = self.client.request(Method::GET, &["events", topic], &query);
        match self.client.send(request, "application/x-ndjson").await {
            Ok(_) => Ok(true),
            Err(client::Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The order and its journey; `None` while nothing is known of it.
    ///
    /// # Errors
    /// The gateway does not answer, or refuses.
    pub async fn order(&self, source_key: &str, tenant: &str, id: &str) -> Result<Option<Value>, client::Error> {
        let request = self.client.request(Method::GET, &["orders", source_key, id], &[("tenant", tenant)]);
        match self.client.send(request, "application/json").await {
            Ok(answer) => self.client.json(answer).await.map(Some),
            Err(client::Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a record on `topic`, as its producer would: once this returns it is durable.
    ///
    /// # Errors
    /// The gateway does not answer, or refuses; a topic that is not there among others.
    pub async fn append(&self, topic: &str, key: &str, value: &[u8]) -> Result<(), client::Error> {
        let record = json!({"key": key, "encoding": "raw", "value_base64": STANDARD.encode(value)});
        let request = self.client.request(Method::POST, &["events", topic], &[]).json(&record);
        self.client.send(request, "application/json").await.map(drop)
    }

    /// The same, with `value` as framed Avro.
    ///
    /// # Errors
    /// As [`Self::append`], or the value is none of `schema`.
    pub async fn append_avro(&self, topic: &str, key: &str, schema: &str, value: &Value) -> Result<(), client::Error> {
        let value = STANDARD.encode(value.to_string());
        let record = json!({"key": key, "encoding": "avro", "schema": schema, "value_base64": value});
        let request = self.client.request(Method::POST, &["events", topic], &[]).json(&record);
        self.client.send(request, "application/json").await.map(drop)
    }
}

impl Metrics {
    /// Reads Prometheus text format, version 0.0.4. What is no whole number, and what no line of it, is left out.
    fn parse(text: &str) -> Self {
        Self { series: text.lines().filter_map(Series::parse).collect() }
    }

    /// The values of `name` under all these labels, added up.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.of(name, labels).map(|series| series.value).sum()
    }

    /// The values of `name` under all these labels, added up by the value of `label`.
    pub fn by(&self, name: &str, labels: &[(&str, &str)], label: &str) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for series in self.of(name, labels) {
            if let Some(value) = series.labels.get(label) {
                *sums.entry(value.clone()).or_default() += series.value;
            }
        }
        sums
    }

    fn of<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Series> {
        let has =
            |series: &Series, (label, value): &(&str, &str)| series.labels.get(*label).is_some_and(|v| v == value);
        self.series.iter().filter(move |series| series.name == name && labels.iter().all(|label| has(series, label)))
    }
}

impl Series {
    fn parse(line: &str) -> Option<Self> {
        let name_end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at_checked(name_end)?;
        let mut labels = BTreeMap::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            while !rest.starts_with('}') {
                let (label, quoted) = rest.split_once("=\"")?;
                let (value, after) = unquoted(quoted)?;
                labels.insert(label.trim_start_matches(',').to_owned(), value);
                rest = after;
            }
            rest = rest.strip_prefix('}')?;
        }
        Some(Self { name: name.to_owned(), labels, value: rest.trim().parse().ok()? })
    }
}

/// The text up to the closing quote, and what is behind it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_with_their_labels() {
        let metrics = Metrics::parse(
            "# HELP requests_total Requests\n# TYPE requests_total counter\n\
             requests_total{route=\"/orders/{order_id}/cancellation\",status=\"202\"} 3\n\
             requests_total{route=\"/orders\",status=\"202\"} 4\nrequests_total{route=\"/orders\",status=\"422\"} 5\n\
             odd{text=\"a\\\"b\\\\c\\nd\"} 1\nplain 7\nseconds 0.5\nbroken{a=\"b} 1\n",
        );

        assert_eq!(metrics.sum("requests_total", &[]), 12);
        assert_eq!(metrics.sum("requests_total", &[("route", "/orders"), ("status", "202")]), 4);
        let by_status = [("202".to_owned(), 7), ("422".to_owned(), 5)];
        assert_eq!(metrics.by("requests_total", &[], "status"), by_status.into());
        assert_eq!(metrics.sum("odd", &[("text", "a\"b\\c\nd")]), 1);
        assert_eq!((metrics.sum("plain", &[]), metrics.sum("seconds", &[]), metrics.sum("broken", &[])), (7, 0, 0));
    }
}
