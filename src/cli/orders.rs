//! `crossdock orders`: one order and its whole journey.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;

use crate::cli::client::Gateway;
use crate::cli::{Common, Failure, Output};
use crate::config::environment::Environment;

#[derive(Debug, Subcommand)]
pub enum Orders {
    Show(Show),
}

/// Show an order: its state, everything that happened to it, and the canonical order
#[derive(Debug, Args)]
pub struct Show {
    /// The sales system, as the adapter's source key: `pyxis`
    source: String,
    /// The order's id in that system
    external_id: String,
    /// Needed if several tenants have an order of that id
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
}

impl Orders {
    pub(super) async fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<(), Failure> {
        let Self::Show(show) = self;
        let client = show.gateway.client(common, environment)?;
        let tenant = show.tenant.as_deref().map(|tenant| ("tenant", tenant));
        let request = client.request(Method::GET, &["orders", &show.source, &show.external_id], tenant.as_slice());
        let answer = client.send(request, "application/json").await?;
        let order = client.json(answer).await?;
        out.print(|| told(&order), || order.clone())?;
        Ok(())
    }
}

/// The order for a person: what it is, then every step, oldest first, then the order itself.
fn told(order: &Value) -> String {
    let mut text = format!(
        "{} {}: {}\ntenant {}, order {}\n",
        plain(&order["source_key"]),
        plain(&order["external_order_id"]),
        plain(&order["state"]),
        plain(&order["tenant_id"]),
        plain(&order["order_id"])
    );
    match order["parked"].as_u64() {
        Some(0) | None => {}
        Some(1) => text.push_str("1 update is parked: it waits for the order's creation\n"),
        Some(more) => text.push_str(&format!("{more} updates are parked: they wait for the order's creation\n")),
    }
    let journey = order["journey"].as_array().map(Vec::as_slice).unwrap_or_default();
    for step in journey {
        text.push('\n');
        text.push_str(&step_told(step));
    }
    if !order["canonical"].is_null() {
        text.push_str(&format!("\ncanonical order:\n{:#}\n", order["canonical"]));
    }
    text
}

/// `time  what: outcome`, then each thing known of it on a line of its own, also those this version has no word for.
fn step_told(step: &Value) -> String {
    let mut text = format!("{}  {}", plain(&step["at"]), plain(&step["what"]));
    if !step["outcome"].is_null() {
        text.push_str(&format!(": {}", plain(&step["outcome"])));
    }
    text.push('\n');
    let Some(members) = step.as_object() else { return text };
    let known = |(name, value): (&String, &Value)| lines_of(name, value);
    for (name, value) in members.iter().flat_map(known) {
        text.push_str(&format!("    {name:<13} {value}\n"));
    }
    text
}

fn lines_of(name: &str, value: &Value) -> Vec<(String, String)> {
    let line = |name: &str, text: String| vec![(name.to_owned(), text)];
    let elements = value.as_array().map(Vec::as_slice).unwrap_or_default();
    match name {
        "at" | "what" | "outcome" => Vec::new(),
        "revision" | "received_at" => line(&name.replace('_', " "), time(value)),
        "received_from" => line("received from", plain(value)),
        "source" => line("read at", plain(value)),
        "repeat" => line("repeat", "of a record decided before".to_owned()),
        "error_code" => line("error", plain(value)),
        "error_message" => line("", plain(value)),
        "raw_sha256" => line("payload", plain(value)),
        "released_by" => line("released by", format!("offset {}", plain(value))),
        "retry_count" if value.as_u64() == Some(0) => Vec::new(),
        "retry_count" => line("replayed", format!("{} times", plain(value))),
        "replay_of" => line("replay of", format!("failure {}", plain(value))),
        "correlation_id" => line("correlation", plain(value)),
        "origin" => {
            let place = format!("{} partition {}", plain(&value["topic"]), plain(&value["partition"]));
            line("record", format!("{place} offset {}", plain(&value["offset"])))
        }
        "events" => elements.iter().map(|event| ("published".to_owned(), published(event))).collect(),
        "warnings" => elements.iter().map(|warning| ("warning".to_owned(), plain(warning))).collect(),
        "published" => elements.iter().map(|topic| ("published".to_owned(), plain(topic))).collect(),
        "told" => elements.iter().map(|binding| ("to be told".to_owned(), plain(binding))).collect(),
        "event_topic" => line("said on", plain(value)),
        "event_id" => line("event", plain(value)),
        "idempotency_key" => line("sent with key", plain(value)),
        "http_status" => line("HTTP status", plain(value)),
        "answer_headers" => elements.iter().map(|header| ("answered".to_owned(), plain(header))).collect(),
        "answer_body" => line("answered", plain(value)),
        "took_ms" => line("took", format!("{} ms", plain(value))),
        "error_class" => line("error", plain(value)),
        _ => line(&plain(&Value::from(name)), plain(value)),
    }
}

fn published(event: &Value) -> String {
    let before = if event["already_published"] == true { " (already before, not again)" } else { "" };
    format!("{} key {} event {}{before}", plain(&event["topic"]), plain(&event["key"]), plain(&event["event_id"]))
}

/// Epoch milliseconds as a time of day; anything else as it is.
fn time(value: &Value) -> String {
    let timestamp = value.as_i64().and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok());
    timestamp.map_or_else(|| plain(value), |timestamp| format!("{timestamp:.3}"))
}

/// Text without quotes, anything else as JSON; safe on a terminal.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::{Path, RawQuery};
    use axum::http::header::CONTENT_TYPE;
    use axum::routing::get;

    use crate::cli::output::Format;
    use crate::cli::testing::{ask, serve};

    const ORDER: &str = r#"{"order_id":"8fc78ce8-6c4a-55d8-aaaa-f149200431d2","tenant_id":"north","source_key":"pyxis","external_order_id":"PYX-1","state":"RECEIVED","canonical":{"total":1490.00},"journey":[{"what":"created","outcome":"accepted","revision":1772612130000,"received_from":"http","binding":"pyxis-north","retry_count":0,"warnings":["cross_border_address"],"events":[{"topic":"integration.sales.order_received","key":"FR_PYX-1","event_id":"9478506a","record":"R"}],"at":"2026-03-04T08:15:31.210Z","origin":{"topic":"crossdock.intake","partition":3,"offset":17}},{"what":"updated","outcome":"rejected","error_code":"BUSINESS_RULE","error_message":"two\nlines","retry_count":1,"replay_of":"f-1","novelty":[1],"events":[{"topic":"t","key":"k","event_id":"e","already_published":true}],"at":"2026-03-04T09:00:00.000Z"}],"parked":2}"#;

    const TOLD: &str = "\
pyxis PYX-1: RECEIVED
tenant north, order 8fc78ce8-6c4a-55d8-aaaa-f149200431d2
2 updates are parked: they wait for the order's creation

2026-03-04T08:15:31.210Z  created: accepted
    revision      2026-03-04T08:15:30.000Z
    received from http
    binding       pyxis-north
    warning       cross_border_address
    published     integration.sales.order_received key FR_PYX-1 event 9478506a
    record        crossdock.intake partition 3 offset 17

2026-03-04T09:00:00.000Z  updated: rejected
    error         BUSINESS_RULE
                  two lines
    replayed      1 times
    replay of     failure f-1
    novelty       [1]
    published     t key k event e (already before, not again)

canonical order:
{
  \"total\": 1490.00
}
";

    #[tokio::test]
    async fn an_order_is_told_to_people_and_handed_to_machines_as_it_is() {
        let answer = |Path((source, id)): Path<(String, String)>, RawQuery(query): RawQuery| async move {
            let asked = (source.as_str(), id.as_str(), query.as_deref());
            assert_eq!(asked, ("pyxis", "PYX/1", Some("tenant=north")));
            ([(CONTENT_TYPE, "application/json; charset=utf-8")], ORDER)
        };
        let url = serve(Router::new().route("/api/v1/ops/orders/{source}/{id}", get(answer))).await;
        let words = ["orders", "show", "pyxis", "PYX/1", "--tenant", "north"];

        let (done, text) = ask(&url, Format::Text, &words).await;
        done.expect("shown");
        let (_, json) = ask(&url, Format::Json, &words).await;

        assert_eq!(text, TOLD);
        assert_eq!(json, format!("{ORDER}\n"));
    }
}
