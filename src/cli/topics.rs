//! `crossdock topics`: the topics of this gateway against those of the cluster.
//!
//! Needs no running gateway: the cluster is asked as `[log.kafka]` says.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::cli::{Common, Failure, Output};
use crate::config::environment::Environment;
use crate::config::layers::{Folders, Layers};
use crate::config::settings::LogEngine;
use crate::gateway;
use crate::log::kafka::admin::TopicAdmin;
use crate::normalize::AdapterSet;
use crate::topics::apply::{self, Approved};
use crate::topics::plan::{Comparison, State};
use crate::topics::{self, Role, Topic};

#[derive(Debug, Subcommand)]
pub enum Topics {
    Plan(Plan),
    Apply(Apply),
}

/// Compare the topics with those of the cluster; nothing is changed
///
/// For each topic: missing, same, change with what is found and expected, or refused with the reason (exit code 78).
/// Topics of others are compared too; what differs there is theirs to settle.
#[derive(Debug, Args)]
pub struct Plan {}

/// Make what the plan says is missing, and change what it says is to be changed
///
/// Nothing is done if anything is refused (exit code 78). Nothing is ever deleted, shortened or made smaller. Applying
/// again changes nothing.
#[derive(Debug, Args)]
pub struct Apply {
    /// Make missing topics of others too, as on a cluster to try things on
    #[arg(long)]
    create_foreign: bool,
}

impl Topics {
    pub(super) async fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<(), Failure> {
        let layers = Layers::open(common.sources(environment, Vec::new())).map_err(Failure::Configuration)?;
        let settings = layers.log().map_err(Failure::Configuration)?;
        let Folders { mappings_dir, schemas_dir, .. } = layers.folders().map_err(Failure::Configuration)?;
        let adapters = AdapterSet::load(&mappings_dir, &schemas_dir).map_err(Failure::Configuration)?;
        let bindings = layers.bindings(&adapters.parameters()).map_err(Failure::Configuration)?;
        let bindings: Vec<_> = bindings.into_iter().map(Arc::new).collect();
        let lanes = |existing| gateway::lane_topics(&adapters, &bindings, existing).map_err(Failure::LaneTopics);
        let LogEngine::Kafka(kafka) = &settings.engine else {
            let topics = topics::own(&settings, &lanes(&BTreeSet::new())?);
            let rows: Vec<_> = topics.iter().map(Row::at_start).collect();
            out.print(|| told(&rows), || answer("sqlite", &rows))?;
            return Ok(());
        };
        let admin = TopicAdmin::new(gateway::kafka_options(kafka)).map_err(Failure::Topics)?;
        let lanes = lanes(&admin.names().await.map_err(Failure::Topics)?)?;
        let all: Vec<_> = topics::own(&settings, &lanes).into_iter().chain(topics::foreign(&settings)).collect();
        let before = apply::compare(&admin, &all).await.map_err(Failure::Topics)?;
        let approved = Approved::new(&before);
        let mut after = before.clone();
        let applied = match (self, &approved) {
            (Self::Apply(Apply { create_foreign }), Ok(approved)) => {
                let applied = apply::apply(&admin, *approved, create_foreign).await;
                // Also after a failure half-way: what was done is told. If that cannot be asked, the failure is.
                match apply::compare(&admin, &all).await {
                    Ok(found) => after = found,
                    Err(error) => applied.clone().and(Err(error)).map_err(Failure::Topics)?,
                }
                applied
            }
            _ => Ok(()),
        };
        let rows: Vec<_> = before.iter().zip(&after).map(|(before, after)| Row::of(before, after)).collect();
        out.print(|| told(&rows), || answer("kafka", &rows))?;
        applied.map_err(Failure::Topics)?;
        approved.map(drop).map_err(|refused| Failure::TopicsRefused { topics: refused.topics })
    }
}

/// One line of the answer.
struct Row<'a> {
    topic: &'a Topic,
    state: &'static str,
    /// `None` on the embedded log.
    comparison: Option<&'a Comparison>,
}

/// In the order of the sum at the end.
const STATES: [&str; 8] = ["missing", "created", "same", "change", "changed", "differs", "refused", AT_START];
const AT_START: &str = "made at start";

impl<'a> Row<'a> {
    fn at_start(topic: &'a Topic) -> Self {
        Self { topic, state: AT_START, comparison: None }
    }

    /// What was changed is told as it was before.
    fn of(before: &'a Comparison, after: &'a Comparison) -> Self {
        let (state, comparison) = match (before.state(), after.state()) {
            (State::Missing, State::Same) => ("created", after),
            (State::Change, State::Same) => ("changed", before),
            (_, State::Missing) => ("missing", after),
            (_, State::Same) => ("same", after),
            (_, State::Change) => ("change", after),
            (_, State::Differs) => ("differs", after),
            (_, State::Refused) => ("refused", after),
        };
        Self { topic: &before.topic, state, comparison: Some(comparison) }
    }

    /// Partitions and copies as they are, or would be.
    fn shape(&self) -> (u32, Option<u16>) {
        let found = self.comparison.and_then(|comparison| comparison.found);
        found.map_or((self.topic.partitions, self.topic.replication), |(count, copies)| (count, Some(copies)))
    }

    /// `columns`: how wide the state and the name are.
    fn text(&self, columns: (usize, usize)) -> String {
        let Topic { name, role, max_record_bytes, retention, .. } = self.topic;
        let (partitions, replication) = self.shape();
        let copies = replication.map_or(String::new(), |copies| format!(" × {copies}"));
        let about = if let Role::Foreign { group } = role {
            format!("for {group}")
        } else {
            let largest = max_record_bytes.map_or(String::new(), |bytes| {
                let bytes = readable(bytes as u64, &[(" MiB", 1 << 20), (" KiB", 1 << 10), (" B", 1)]);
                format!("records up to {bytes}, ")
            });
            let kept = retention.map_or("until trimmed".to_owned(), |kept| {
                "for ".to_owned() + &readable(kept.as_secs(), &[("d", 86_400), ("h", 3600), ("s", 1)])
            });
            format!("{largest}kept {kept}")
        };
        let (role, shape) = (role.name().replace('_', " "), format!("{partitions} partitions{copies}"));
        let (state_width, name_width) = columns;
        let mut text = format!("{:<state_width$}  {name:<name_width$}  {role:<11}  {shape:<16}  {about}\n", self.state);
        let Some(comparison) = self.comparison else { return text };
        for change in &comparison.changes {
            text.push_str(&format!(
                "{:state_width$}  {}: {} → {}\n",
                "", change.setting, change.found, change.expected
            ));
        }
        for refusal in &comparison.refusals {
            text.push_str(&format!("{:state_width$}  {refusal}\n", ""));
        }
        text
    }

    fn json(&self) -> Value {
        let Topic { name, role, max_record_bytes, retention, .. } = self.topic;
        let (partitions, replication) = self.shape();
        let mut row = json!({
            "topic": name,
            "role": role.name(),
            "state": self.state.replace(' ', "_"),
            "partitions": partitions,
            "replication": replication,
            "max_record_bytes": max_record_bytes,
            "retention_ms": retention.map(|kept| u64::try_from(kept.as_millis()).unwrap_or(u64::MAX)),
        });
        if let Role::Foreign { group } = role {
            row["group"] = (*group).into();
        }
        let Some(comparison) = self.comparison else { return row };
        let settings = comparison.expected.iter().map(|expected| (expected.setting.to_owned(), json!(expected.value)));
        row["settings"] = Value::Object(settings.collect::<Map<_, _>>());
        let changes = comparison
            .changes
            .iter()
            .map(|change| json!({ "setting": change.setting, "found": change.found, "expected": change.expected }));
        let refusals = comparison.refusals.iter().map(|refusal| {
            let difference = &refusal.difference;
            let (found, expected) = (&difference.found, &difference.expected);
            json!({ "setting": difference.setting, "found": found, "expected": expected, "reason": refusal.reason })
        });
        row["changes"] = changes.collect();
        row["refusals"] = refusals.collect();
        row
    }
}

/// A line for each topic, what is to be said of it below, and the sums at the end.
fn told(rows: &[Row<'_>]) -> String {
    let width = |of: fn(&Row<'_>) -> usize| rows.iter().map(of).max().unwrap_or_default();
    let columns = (width(|row| row.state.len()), width(|row| row.topic.name.len()));
    let mut text: String = rows.iter().map(|row| row.text(columns)).collect();
    text.push_str(&sum(rows.iter().filter(|row| row.topic.role.is_own())));
    if rows.iter().any(|row| !row.topic.role.is_own()) {
        text.push_str("; of others: ");
        text.push_str(&sum(rows.iter().filter(|row| !row.topic.role.is_own())));
    }
    text
}

fn sum<'a>(rows: impl Iterator<Item = &'a Row<'a>> + Clone) -> String {
    let counts = STATES.map(|state| (rows.clone().filter(|row| row.state == state).count(), state));
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, state)| format!("{count} {state}"));
    counts.collect::<Vec<_>>().join(", ")
}

fn answer(engine: &str, rows: &[Row<'_>]) -> Value {
    json!({ "engine": engine, "topics": rows.iter().map(Row::json).collect::<Vec<_>>() })
}

/// In the largest unit that divides it; the last one is 1.
fn readable(number: u64, units: &[(&str, u64)]) -> String {
    let unit = units.iter().find(|(_, size)| number >= *size && number.is_multiple_of(*size));
    unit.map_or_else(|| number.to_string(), |(name, size)| format!("{}{name}", number / size))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::testing::Captured;
    use crate::cli::{Cli, Command, Exit, Format};

    const UNREACHABLE: [(&str, &str); 4] = [
        ("CROSSDOCK__LOG__ENGINE", "kafka"),
        ("CROSSDOCK__LOG__KAFKA__TRANSACTIONAL_ID", "crossdock-0"),
        // Nothing listens there.
        ("CROSSDOCK__LOG__KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("CROSSDOCK__LOG__KAFKA__REQUEST_TIMEOUT", "200ms"),
    ];

    /// Runs a `topics` command with these variables and an empty configuration file.
    async fn run(words: &[&str], format: Format, variables: &[(&str, &str)]) -> (Result<(), Failure>, String) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let file = file.path().to_str().expect("text");
        let all = ["crossdock", "--config", file, "topics"];
        let words = all.iter().chain(words);
        let Cli { common, command } = Cli::try_parse_from(words).expect("usage");
        let Command::Topics(topics) = command else { panic!("another command") };
        let captured = Captured::default();
        let environment = variables.iter().copied().collect();
        let done = topics.run(&common, environment, Output::to(captured.clone(), format)).await;
        (done, captured.text())
    }

    #[tokio::test]
    async fn the_embedded_log_makes_its_topics_at_start() {
        for command in ["plan", "apply"] {
            let (done, text) = run(&[command], Format::Text, &[("CROSSDOCK__LOG__PARTITIONS", "3")]).await;

            done.expect("told");
            let lines: Vec<_> = text.lines().collect();
            assert_eq!(
                (lines[0], lines[2], lines[12]),
                (
                    "made at start  crossdock.intake                    intake       3 partitions      \
                     records up to 16 MiB, kept until trimmed",
                    "made at start  integration.sales.order_received    published    3 partitions      \
                     records up to 1 MiB, kept for 7d",
                    "12 made at start"
                )
            );
        }
        let (done, text) = run(&["plan"], Format::Json, &[]).await;
        done.expect("told");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(answer["engine"], "sqlite");
        assert_eq!(
            answer["topics"][1],
            json!({
                "topic": "dlq.crossdock.intake", "role": "dead_letter", "state": "made_at_start", "partitions": 6,
                "replication": null, "max_record_bytes": (16 << 20) + (64 << 10), "retention_ms": null,
            })
        );
    }

    #[tokio::test]
    async fn a_cluster_that_does_not_answer_is_exit_code_69_within_the_time_given() {
        let asked = std::time::Instant::now();

        let (done, text) = run(&["plan"], Format::Text, &UNREACHABLE).await;

        let failure = done.expect_err("nobody is there");
        assert_eq!((failure.exit(), text.as_str()), (Exit::Unavailable, ""), "{failure}");
        assert!(asked.elapsed() < std::time::Duration::from_secs(10), "{:?}", asked.elapsed());
    }

    #[tokio::test]
    async fn a_wrong_configuration_is_exit_code_78() {
        for variables in [&UNREACHABLE[..1], &[("CROSSDOCK__LOG__PARTITIONS", "0")]] {
            let (done, _) = run(&["apply"], Format::Text, variables).await;

            assert_eq!(done.expect_err("refused").exit(), Exit::BadConfiguration, "{variables:?}");
        }
    }

    #[cfg(feature = "test-kafka")]
    #[tokio::test]
    async fn applied_once_the_plan_finds_the_same() {
        let bootstrap = std::env::var("CROSSDOCK_TEST_KAFKA").expect("CROSSDOCK_TEST_KAFKA: bootstrap servers");
        let mut variables = UNREACHABLE;
        variables[2].1 = &bootstrap;
        variables[3].1 = "30s";
        let states = |text: &str| {
            let answer: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(answer["engine"], "kafka");
            let rows = answer["topics"].as_array().expect("rows").iter();
            rows.map(|row| row["state"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
        };
        let (done, text) = run(&["apply", "--create-foreign"], Format::Json, &variables).await;
        done.expect("applied");
        // Whoever subscribes to a topic may have made it with the cluster's own settings.
        let is_sound = |state: &String| ["created", "same", "changed"].contains(&state.as_str());
        assert!(states(&text).iter().all(is_sound), "{text}");

        for command in ["apply", "plan"] {
            let (done, text) = run(&[command], Format::Json, &variables).await;

            done.expect("the same");
            assert_eq!(states(&text), ["same"; 38]);
        }
        // The count of partitions is frozen.
        let mut others = variables.to_vec();
        others.push(("CROSSDOCK__LOG__PARTITIONS", "7"));
        let (done, text) = run(&["apply"], Format::Text, &others).await;
        let failure = done.expect_err("refused");
        assert_eq!(failure.exit(), Exit::BadConfiguration);
        assert_eq!(failure.to_string(), "refused: 12 of the topics; nothing was made or changed");
        assert!(text.contains("\n         partitions: found 6, expected 7: the count is frozen"), "{text}");
        assert!(text.ends_with("12 refused; of others: 26 same\n"), "{text}");
    }
}
