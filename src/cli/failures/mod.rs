//! `crossdock failures`: rejected payloads, failed calls and translations, found, explained, replayed, dismissed.

mod told;

use std::io::Read as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::client::{Client, Gateway};
use crate::cli::{Common, Exit, Failure, Output, keys};
use crate::config::environment::Environment;

#[derive(Debug, Subcommand)]
pub enum Failures {
    /// List failures, newest first; open ones unless told otherwise
    List(List),
    /// Group failures by cause, those with most failures first; open ones unless told otherwise
    Groups(Groups),
    /// Show a failure: what is wrong, the payload, what was done about it
    Show(Show),
    /// Map a rejected payload again, or attempt a failed call again, as it came or corrected
    ///
    /// Exits with 65 if it is rejected or fails again. What the order's state makes of an accepted payload tells
    /// `orders show`.
    Replay(Replay),
    /// Say that nothing is to be done about a failure
    Dismiss(Dismiss),
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    /// Go on behind the page before
    #[arg(long)]
    after: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
pub struct Groups {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    gateway: Gateway,
}

/// What failures have to match, and how many are told.
#[derive(Debug, Args)]
struct Filter {
    #[command(flatten)]
    selection: Selection,
    #[arg(long, value_enum, default_value_t = State::Open)]
    state: State,
    /// Most rows, at most 500
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

/// What failures have to match.
#[derive(Debug, Args)]
pub(super) struct Selection {
    #[arg(long)]
    tenant: Option<String>,
    #[arg(long)]
    binding: Option<String>,
    /// Error code, such as `UNKNOWN_CODE`
    #[arg(long)]
    code: Option<String>,
    /// The sales system, as the adapter's source key: `pyxis`
    #[arg(long)]
    source: Option<String>,
    /// The order's id in that system
    #[arg(long)]
    order: Option<String>,
    #[arg(long)]
    correlation: Option<String>,
    /// A group's id
    #[arg(long)]
    group: Option<Uuid>,
    /// Somewhere in the pointer of the first problem
    #[arg(long)]
    pointer: Option<String>,
    /// From this time on: 2026-03-04T08:15:30Z, or how long ago: 90s, 15m, 2h, 3d
    #[arg(long, value_parser = moment)]
    since: Option<Timestamp>,
    /// Before this time, said in the same way
    #[arg(long, value_parser = moment)]
    until: Option<Timestamp>,
    /// Only these: rejected orders, calls others published as failed, our calls, our translations
    #[arg(long, value_enum)]
    kind: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Open,
    Replayed,
    Dismissed,
    Resolved,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Order,
    Status,
    Call,
    Translation,
}

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    which: Which,
    /// Why; the audit keeps it
    #[arg(long, required_unless_present = "dry_run")]
    reason: Option<String>,
    /// The corrected payload, byte for byte; `-` for standard input
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// Only tell what would come out
    #[arg(long)]
    dry_run: bool,
    /// Also if it was replayed with this payload before, or if a later record of its key was attempted since
    #[arg(long)]
    force: bool,
    /// Of a call: makes two requests one, whatever happened in between
    #[arg(long)]
    request_id: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
pub struct Dismiss {
    #[command(flatten)]
    which: Which,
    /// Why; the audit keeps it
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
struct Which {
    /// The failure's id, the `event_id` of its event
    id: Uuid,
    /// Needed if several tenants have a failure of that id
    #[arg(long)]
    tenant: Option<String>,
}

impl Failures {
    pub(super) async fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<Exit, Failure> {
        match self {
            Self::List(List { filter, after, gateway }) => {
                let client = gateway.client(common, environment)?;
                let mut query = filter.query();
                query.extend(after.map(|after| ("after", after)));
                let page = get(&client, &["failures"], &query).await?;
                out.print(|| told::list(&page), || page.clone())?;
            }
            Self::Groups(Groups { filter, gateway }) => {
                let client = gateway.client(common, environment)?;
                let groups = get(&client, &["failure-groups"], &filter.query()).await?;
                out.print(|| told::groups(&groups), || groups.clone())?;
            }
            Self::Show(Show { which, gateway }) => {
                let client = gateway.client(common, environment)?;
                let failure = get(&client, &["failures", &which.id.to_string()], &which.query()).await?;
                out.print(|| told::failure(&failure), || failure.clone())?;
            }
            Self::Replay(replay) => {
                let client = replay.gateway.client(common, environment)?;
                let answer = post(&client, &replay.which, "replay", &replay.wish()?).await?;
                if answer.get("command_id").is_some() {
                    out.print(|| keys::command(&answer), || answer.clone())?;
                    return Ok(keys::exit(&answer));
                }
                out.print(|| told::replay(&answer), || answer.clone())?;
                return Ok(if answer["outcome"] == "rejected" { Exit::BadData } else { Exit::Done });
            }
            Self::Dismiss(Dismiss { which, reason, gateway }) => {
                let client = gateway.client(common, environment)?;
                let answer = post(&client, &which, "dismiss", &json!({"reason": reason})).await?;
                out.print(|| format!("{}  dismissed", which.id), || answer.clone())?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Filter {
    fn query(&self) -> Vec<(&'static str, String)> {
        let state = match self.state {
            State::Open => Some("open"),
            State::Replayed => Some("replayed"),
            State::Dismissed => Some("dismissed"),
            State::Resolved => Some("resolved"),
            State::All => None,
        };
        let mut query = self.selection.query();
        query.extend(state.map(|state| ("state", state.to_owned())));
        query.push(("limit", self.limit.to_string()));
        query
    }
}

impl Selection {
    /// As the operations API asks for them.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let kind = self.kind.map(|kind| match kind {
            Kind::Order => "order",
            Kind::Status => "status",
            Kind::Call => "call",
            Kind::Translation => "translation",
        });
        let asked = [
            ("tenant", self.tenant.clone()),
            ("binding", self.binding.clone()),
            ("code", self.code.clone()),
            ("source", self.source.clone()),
            ("order", self.order.clone()),
            ("correlation", self.correlation.clone()),
            ("group", self.group.map(|group| group.to_string())),
            ("pointer", self.pointer.clone()),
            ("since", self.since.map(|since| since.to_string())),
            ("until", self.until.map(|until| until.to_string())),
            ("kind", kind.map(str::to_owned)),
        ];
        asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl Which {
    fn query(&self) -> Vec<(&'static str, String)> {
        self.tenant.iter().map(|tenant| ("tenant", tenant.clone())).collect()
    }
}

impl Replay {
    fn wish(&self) -> Result<Value, Failure> {
        let mut wish = json!({"dry_run": self.dry_run, "force": self.force});
        if let Some(id) = &self.request_id {
            wish["request_id"] = json!(id);
        }
        if let Some(reason) = &self.reason {
            wish["reason"] = json!(reason);
        }
        if let Some(path) = &self.payload {
            let bytes = read(path)?;
            // A JSON string is the same bytes again, if they are UTF-8.
            match std::str::from_utf8(&bytes) {
                Ok(text) => wish["payload"] = json!(text),
                Err(_) => wish["payload_base64"] = json!(STANDARD.encode(&bytes)),
            }
        }
        Ok(wish)
    }
}

async fn get(client: &Client, segments: &[&str], query: &[(&'static str, String)]) -> Result<Value, Failure> {
    let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = client.send(client.request(Method::GET, segments, &query), "application/json").await?;
    Ok(client.json(answer).await?)
}

async fn post(client: &Client, which: &Which, verb: &str, body: &Value) -> Result<Value, Failure> {
    let (id, query) = (which.id.to_string(), which.query());
    let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let request = client.request(Method::POST, &["failures", &id, verb], &query);
    let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
    let answer = client.send(request, "application/json").await?;
    Ok(client.json(answer).await?)
}

fn read(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().read_to_end(&mut bytes).map(|_| bytes),
        _ => std::fs::read(path),
    };
    read.map_err(|cause| Failure::Input { path: path.clone(), cause })
}

/// A time, or how long ago.
fn moment(text: &str) -> Result<Timestamp, String> {
    let expected = || "expected a time such as 2026-03-04T08:15:30Z or an age such as 90s, 15m, 2h, 3d".to_owned();
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let seconds = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)].into_iter().find_map(|(unit, seconds)| {
        let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|count| *count >= 0)?;
        count.checked_mul(seconds)
    });
    let age = SignedDuration::from_secs(seconds.ok_or_else(expected)?);
    Timestamp::now().checked_sub(age).map_err(|_| expected())
}

#[cfg(test)]
mod tests;
