//! `crossdock replay`: many failures, replayed as one job.

mod told;

use clap::{Args, Subcommand};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::cli::client::{Client, Gateway};
use crate::cli::failures::Selection;
use crate::cli::{Common, Exit, Failure, Output};
use crate::config::environment::Environment;

#[derive(Debug, Subcommand)]
pub enum Replay {
    /// Freeze the open failures that match into a job, and tell what it is about; nothing is replayed yet
    Plan(Plan),
    /// Let a planned job run, a few items first
    Run(Run),
    /// Show how far a job is, or list the jobs
    ///
    /// Exits with 65 if the job was stopped, or if items of it failed.
    Status(Status),
    /// End a job: nothing more is begun
    Cancel(Cancel),
}

#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    selection: Selection,
    /// Why; the audit keeps it
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
pub struct Run {
    /// The job
    id: Uuid,
    /// Only tell what would come of the first 500 items
    #[arg(long)]
    dry_run: bool,
    /// Items begun a second, once the job is warm
    #[arg(long, default_value_t = 10)]
    rate: u32,
    /// Items that are begun first; nothing more is begun before each has its outcome
    #[arg(long, default_value_t = 10)]
    canary: u32,
    /// Stop when more than this share of the items failed, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 20)]
    most_failed: u32,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
pub struct Status {
    /// The job; without one, the newest jobs
    id: Option<Uuid>,
    /// The job's items as well
    #[arg(long, requires = "id")]
    items: bool,
    /// Only items in this state: pending, requested, succeeded, failed, refused
    #[arg(long, requires = "items", value_name = "STATE")]
    state: Option<String>,
    /// Items behind this number
    #[arg(long, requires = "items")]
    after: Option<i64>,
    /// Most rows, at most 500
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
pub struct Cancel {
    /// The job
    id: Uuid,
    /// Why; the audit keeps it
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    gateway: Gateway,
}

impl Replay {
    pub(super) async fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<Exit, Failure> {
        match self {
            Self::Plan(Plan { selection, reason, gateway }) => {
                let client = gateway.client(common, environment)?;
                let failures: Map<_, _> =
                    selection.query().into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
                let job = post(&client, &["replays"], &json!({"reason": reason, "failures": failures})).await?;
                out.print(|| told::plan(&job), || job.clone())?;
            }
            Self::Run(Run { id, dry_run, rate, canary, most_failed, gateway }) => {
                let client = gateway.client(common, environment)?;
                let pace = json!({"per_second": rate, "canary": canary, "most_failed_percent": most_failed});
                let body = json!({"dry_run": dry_run, "pace": pace});
                let answer = post(&client, &["replays", &id.to_string(), "run"], &body).await?;
                out.print(|| if dry_run { told::outlook(&answer) } else { told::job(&answer) }, || answer.clone())?;
            }
            Self::Status(status) => return status.run(common, environment, out).await,
            Self::Cancel(Cancel { id, reason, gateway }) => {
                let client = gateway.client(common, environment)?;
                let job = post(&client, &["replays", &id.to_string(), "cancel"], &json!({"reason": reason})).await?;
                out.print(|| told::job(&job), || job.clone())?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Status {
    async fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<Exit, Failure> {
        let client = self.gateway.client(common, environment)?;
        let limit = self.limit.to_string();
        let Some(id) = self.id.map(|id| id.to_string()) else {
            let page = get(&client, &["replays"], &[("limit", &limit)]).await?;
            out.print(|| told::jobs(&page), || page.clone())?;
            return Ok(Exit::Done);
        };
        let mut job = get(&client, &["replays", &id], &[]).await?;
        if self.items {
            let after = self.after.map(|after| after.to_string());
            let asked = [("limit", Some(&limit)), ("state", self.state.as_ref()), ("after", after.as_ref())];
            let query: Vec<_> = asked.into_iter().filter_map(|(name, value)| Some((name, value?.as_str()))).collect();
            let page = get(&client, &["replays", &id, "items"], &query).await?;
            job["page"] = page;
        }
        out.print(|| told::job(&job), || job.clone())?;
        let has_failed = job["state"] == "stopped" || job["counts"]["failed"].as_u64().is_some_and(|failed| failed > 0);
        Ok(if has_failed { Exit::BadData } else { Exit::Done })
    }
}

async fn get(client: &Client, segments: &[&str], query: &[(&str, &str)]) -> Result<Value, Failure> {
    let answer = client.send(client.request(Method::GET, segments, query), "application/json").await?;
    Ok(client.json(answer).await?)
}

async fn post(client: &Client, segments: &[&str], body: &Value) -> Result<Value, Failure> {
    let request = client.request(Method::POST, segments, &[]);
    let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
    let answer = client.send(request, "application/json").await?;
    Ok(client.json(answer).await?)
}

#[cfg(test)]
mod tests;
