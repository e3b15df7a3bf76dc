//! `crossdock audit`: who did what, when and why.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use crate::cli::client::Gateway;
use crate::cli::orders::plain;
use crate::cli::{Common, Failure, Output};
use crate::config::environment::Environment;

#[derive(Debug, Subcommand)]
pub enum Audit {
    List(List),
}

/// List what operators did, newest first
#[derive(Debug, Args)]
pub struct List {
    /// By this operator
    #[arg(long)]
    operator: Option<String>,
    /// Of this kind: `failure.replay`, `failure.dismiss`, `key.release`, `key.skip`, `key.purge`, `mappings.reload`, `events.append`, `payload.read`
    #[arg(long)]
    action: Option<String>,
    /// To this: a failure's id, a key, a topic, a payload's digest
    #[arg(long)]
    subject: Option<String>,
    /// Rows before this number
    #[arg(long)]
    before: Option<i64>,
    /// Most rows, at most 500
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    gateway: Gateway,
}

impl Audit {
    pub(super) async fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<(), Failure> {
        let Self::List(list) = self;
        let client = list.gateway.client(common, environment)?;
        let (limit, before) = (list.limit.to_string(), list.before.map(|before| before.to_string()));
        let asked = [
            ("operator", list.operator.as_deref()),
            ("action", list.action.as_deref()),
            ("subject", list.subject.as_deref()),
            ("before", before.as_deref()),
            ("limit", Some(limit.as_str())),
        ];
        let query: Vec<_> = asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let answer = client.send(client.request(Method::GET, &["audit"], &query), "application/json").await?;
        let page = client.json(answer).await?;
        out.print(|| told(&page), || page.clone())?;
        Ok(())
    }
}

fn told(page: &Value) -> String {
    let rows = page["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return "nothing was done that matches\n".to_owned();
    }
    let mut text: String = rows.iter().map(row_told).collect();
    if let Some(next) = page["next"].as_i64() {
        text.push_str(&format!("more: --before {next}\n"));
    }
    text
}

/// `time  who  what  to what`, then each thing its detail says on a line of its own.
pub(super) fn row_told(row: &Value) -> String {
    let word = |name: &str| plain(&row[name]);
    let mut text = format!("{}  {}  {}  {}\n", word("at"), word("operator"), word("action"), word("subject"));
    for (name, value) in row["detail"].as_object().into_iter().flatten() {
        let value = match name.as_str() {
            "outcome" => outcome_told(value),
            _ => plain(value),
        };
        text.push_str(&format!("    {:<16}{value}\n", plain(&Value::from(name.replace('_', " ")))));
    }
    text
}

fn outcome_told(outcome: &Value) -> String {
    if outcome.is_string() {
        return plain(outcome); // of a command
    }
    let order = outcome["external_order_id"].as_str().map(|order| format!(", order {order}")).unwrap_or_default();
    plain(&Value::from(format!("{}{order}, mapped by {}", plain(&outcome["verdict"]), plain(&outcome["mapped_by"]))))
}
