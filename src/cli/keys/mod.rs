//! `crossdock keys`: keys that are not free, and what an operator does about them.

mod told;

use clap::{Args, Subcommand};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::cli::client::{Client, Gateway};
use crate::cli::{Common, Exit, Failure, Output};
use crate::config::environment::Environment;

pub(super) use told::command;

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// List the keys that are not free, those that wait longest first
    List(List),
    /// Show a key: what it failed of, and what waits behind it
    Show(Show),
    /// Attempt a held key's head once more; if it succeeds, what waits behind it follows
    ///
    /// Exits with 65 if it fails again, or is refused.
    Release(Release),
    /// End one record of a key without an attempt, for good
    Skip(Skip),
    /// End every record of a key up to the last one you saw, for good; for admins
    Purge(Purge),
}

#[derive(Debug, Args)]
pub struct List {
    /// Only those that wait for an operator or a second round
    #[arg(long, conflicts_with = "retrying")]
    held: bool,
    /// Only those whose head is attempted again when it is due
    #[arg(long)]
    retrying: bool,
    #[command(flatten)]
    place: Where,
    /// Most rows, at most 500
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Go on behind the page before
    #[arg(long)]
    after: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
}

/// Where a key waits.
#[derive(Debug, Args)]
struct Where {
    #[arg(long)]
    tenant: Option<String>,
    /// In the topic of the calls of this binding
    #[arg(long)]
    binding: Option<String>,
    /// In this topic, such as `crossdock.platform`
    #[arg(long, conflicts_with = "binding")]
    topic: Option<String>,
}

#[derive(Debug, Args)]
struct Which {
    /// The key, such as `north|pyxis|PYX-FR-20260304-7731`
    key: String,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    which: Which,
    /// Records from this one on
    #[arg(long)]
    from: Option<i64>,
    /// Most records, at most 500
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    gateway: Gateway,
}

/// Who wants it, and why.
#[derive(Debug, Args)]
struct Wish {
    /// Why; the audit keeps it
    #[arg(long)]
    reason: String,
    /// Makes two requests one, whatever happened in between
    #[arg(long)]
    request_id: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
pub struct Release {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    wish: Wish,
}

#[derive(Debug, Args)]
pub struct Skip {
    #[command(flatten)]
    which: Which,
    /// The record, as `keys show` numbers it
    seq: i64,
    #[command(flatten)]
    wish: Wish,
}

#[derive(Debug, Args)]
pub struct Purge {
    #[command(flatten)]
    which: Which,
    /// The last record to be skipped: what came after you looked stays
    #[arg(long)]
    through: i64,
    #[command(flatten)]
    wish: Wish,
}

impl Keys {
    pub(super) async fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<Exit, Failure> {
        let answer = match self {
            Self::List(list) => {
                let client = list.gateway.client(common, environment)?;
                let mut query = list.place.query();
                query.extend((list.held || list.retrying).then(|| ("held", list.held.to_string())));
                query.push(("limit", list.limit.to_string()));
                query.extend(list.after.map(|after| ("after", after)));
                let page = get(&client, &["keys"], &query).await?;
                out.print(|| told::list(&page), || page.clone())?;
                return Ok(Exit::Done);
            }
            Self::Show(Show { which, from, limit, gateway }) => {
                let client = gateway.client(common, environment)?;
                let mut query = which.place.query();
                query.extend(from.map(|from| ("from", from.to_string())));
                query.push(("limit", limit.to_string()));
                let whole = get(&client, &["keys", &which.key], &query).await?;
                out.print(|| told::key(&whole), || whole.clone())?;
                return Ok(Exit::Done);
            }
            Self::Release(Release { which, wish }) => {
                wish.ask(common, environment, &which, "release", json!({})).await?
            }
            Self::Skip(Skip { which, seq, wish }) => {
                wish.ask(common, environment, &which, "skip", json!({"seq": seq})).await?
            }
            Self::Purge(Purge { which, through, wish }) => {
                wish.ask(common, environment, &which, "purge", json!({"through": through})).await?
            }
        };
        out.print(|| told::command(&answer), || answer.clone())?;
        Ok(exit(&answer))
    }
}

/// Bad data if a command was refused, or its record still waits after it.
pub(super) fn exit(answer: &Value) -> Exit {
    let is_refused = matches!(answer["outcome"].as_str(), Some("overtaken" | "not_head"));
    let is_ended = answer["record"].is_null() || answer["record"] == "ended";
    if is_refused || !is_ended { Exit::BadData } else { Exit::Done }
}

impl Where {
    fn query(&self) -> Vec<(&'static str, String)> {
        let asked = [("tenant", &self.tenant), ("binding", &self.binding), ("topic", &self.topic)];
        asked.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }
}

impl Wish {
    async fn ask(
        self,
        common: &Common,
        environment: Environment,
        which: &Which,
        verb: &str,
        mut body: Value,
    ) -> Result<Value, Failure> {
        let client = self.gateway.client(common, environment)?;
        body["reason"] = json!(self.reason);
        if let Some(id) = self.request_id {
            body["request_id"] = json!(id);
        }
        let query = which.place.query();
        let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = client.request(Method::POST, &["keys", &which.key, verb], &query);
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        let answer = client.send(request, "application/json").await?;
        Ok(client.json(answer).await?)
    }
}

async fn get(client: &Client, segments: &[&str], query: &[(&'static str, String)]) -> Result<Value, Failure> {
    let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = client.send(client.request(Method::GET, segments, &query), "application/json").await?;
    Ok(client.json(answer).await?)
}

#[cfg(test)]
mod tests;
