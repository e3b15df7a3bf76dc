//! `crossdock schemas`: the schemas of this installation against those of the schema registry.
//!
//! Needs no running gateway: the registry is asked as `[registry]` says.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::{Common, Failure, Output};
use crate::clock::SystemClock;
use crate::config::environment::Environment;
use crate::config::layers::Layers;
use crate::schema::registry::Registry;
use crate::schema::registry::comparison::{self, Comparison, State};
use crate::schema::{Catalogue, topics};

#[derive(Debug, Subcommand)]
pub enum Schemas {
    Plan(Plan),
    Register(Register),
}

/// Compare the schemas with those of the registry; nothing is changed
///
/// For each subject: missing, same, compatible change, or incompatible with the registry's reasons (exit code 65).
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    selection: Selection,
}

/// Register what the plan says is missing or a compatible change
///
/// Nothing is registered if anything is incompatible (exit code 65).
#[derive(Debug, Args)]
pub struct Register {
    #[command(flatten)]
    selection: Selection,
}

#[derive(Debug, Args)]
struct Selection {
    /// Look at this topic only; can be given several times [default: every topic with a schema]
    #[arg(long = "topic", value_name = "TOPIC", value_parser = topic)]
    topics: Vec<String>,
}

impl Schemas {
    pub(super) async fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<(), Failure> {
        let (selection, registers) = match self {
            Self::Plan(Plan { selection }) => (selection, false),
            Self::Register(Register { selection }) => (selection, true),
        };
        let layers = Layers::open(common.sources(environment, Vec::new())).map_err(Failure::Configuration)?;
        let folders = layers.folders().map_err(Failure::Configuration)?;
        let settings = layers.registry().map_err(Failure::Configuration)?.ok_or(Failure::NoRegistry)?;
        let catalogue = Catalogue::load(folders.schemas_dir).map_err(Failure::Configuration)?;
        let registry = Registry::new(&settings, Arc::new(SystemClock))?;

        let wanted = |topic: &str| selection.topics.is_empty() || selection.topics.iter().any(|named| named == topic);
        let before = comparison::compare(&registry, &catalogue, wanted).await?;
        let incompatible = before.iter().filter(|comparison| comparison.is_incompatible()).count();
        let mut after = before.clone();
        let registered = if registers && incompatible == 0 {
            comparison::register(&registry, &catalogue, &mut after).await
        } else {
            Ok(())
        };
        // Also after a failure half-way: what was done is told.
        let rows: Vec<_> = before.iter().zip(&after).map(|(before, after)| Row::of(before, after)).collect();
        out.print(|| told(&rows), || json!({ "subjects": rows.iter().map(Row::json).collect::<Vec<_>>() }))?;
        registered?;
        if incompatible > 0 { Err(Failure::Incompatible { subjects: incompatible }) } else { Ok(()) }
    }
}

/// One line of the answer.
struct Row<'a> {
    comparison: &'a Comparison,
    state: &'static str,
    id: Option<u32>,
    reasons: &'a [String],
}

impl<'a> Row<'a> {
    fn of(before: &'a Comparison, after: &'a Comparison) -> Self {
        let (state, id, reasons): (_, _, &[String]) = match (&before.state, &after.state) {
            (State::Missing | State::Compatible, State::Same { id }) => ("registered", Some(*id), &[]),
            (_, State::Same { id }) => ("same", Some(*id), &[]),
            (_, State::Missing) => ("missing", None, &[]),
            (_, State::Compatible) => ("compatible change", None, &[]),
            (_, State::Incompatible { reasons }) => ("incompatible", None, reasons),
        };
        Self { comparison: after, state, id, reasons }
    }

    fn json(&self) -> Value {
        let Comparison { subject, topic, record, .. } = self.comparison;
        let state = self.state.replace(' ', "_");
        let mut row = json!({ "subject": subject, "topic": topic, "record": record, "state": state });
        if let Some(id) = self.id {
            row["id"] = id.into();
        }
        if !self.reasons.is_empty() {
            row["reasons"] = self.reasons.into();
        }
        row
    }
}

/// A line for each subject, its reasons below it, and the sum at the end.
fn told(rows: &[Row<'_>]) -> String {
    let width = rows.iter().map(|row| row.comparison.subject.len()).max().unwrap_or_default();
    let mut text = String::new();
    for row in rows {
        let Comparison { subject, record, .. } = row.comparison;
        text.push_str(&format!("{:<19} {subject:<width$}  {record}\n", row.state));
        for reason in row.reasons {
            text.push_str(&format!("{:20}{reason}\n", ""));
        }
    }
    let states = ["missing", "registered", "same", "compatible change", "incompatible"];
    let counts = states.map(|state| (rows.iter().filter(|row| row.state == state).count(), state));
    let sum: Vec<_> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, state)| format!("{count} {state}")).collect();
    text + &sum.join(", ") + "\n"
}

fn topic(text: &str) -> Result<String, String> {
    match topics::record_of(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected a topic that has a schema".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;

    use crate::cli::output::Format;
    use crate::cli::testing::Captured;
    use crate::cli::{Cli, Command, Exit, Failure, Output};
    use crate::config::environment::Environment;
    use crate::schema::registry::testing::Fake;

    /// Received, failed, updated, cancelled: one in each state.
    const TOPICS: [&str; 4] = [
        "integration.sales.order_received",
        "integration.sales.order.failed",
        "integration.sales.order_updated",
        "integration.sales.order_cancelled",
    ];

    async fn run(url: &str, format: Format, verb: &str, topics: &[&str]) -> (Result<(), Failure>, String) {
        let mut words = vec!["crossdock", "schemas", verb];
        for topic in topics {
            words.extend(["--topic", topic]);
        }
        let Cli { common, command: Command::Schemas(schemas) } = Cli::try_parse_from(words).expect("usage") else {
            panic!("another command")
        };
        let schemas_dir = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");
        let variables = [("CROSSDOCK__REGISTRY__URL", url), ("CROSSDOCK__SCHEMAS_DIR", schemas_dir)];
        let variables = variables.into_iter().filter(|(_, value)| !value.is_empty());
        let captured = Captured::default();
        let out = Output::to(captured.clone(), format);
        let done = schemas.run(&common, variables.collect::<Environment>(), out).await;
        (done, captured.text())
    }

    /// The first topic's subject is missing, the second's the same, the third's compatible, the fourth's not.
    async fn registry() -> Fake {
        let fake = Fake::start().await;
        let [received, failed, updated, cancelled] = TOPICS.map(|topic| format!("{topic}-value"));
        let compatibility = |subject| format!("POST /compatibility/subjects/{subject}/versions/latest?verbose=true");
        let reasons = json!({"is_compatible": false, "messages": ["field `a` has no default"]});
        fake.says("GET /subjects", 200, json!([failed, updated, cancelled]))
            .says(&format!("POST /subjects/{failed}"), 200, json!({"id": 7}))
            .says(&compatibility(updated.clone()), 200, json!({"is_compatible": true}))
            .says(&compatibility(cancelled), 200, reasons)
            .says(&format!("POST /subjects/{received}/versions"), 200, json!({"id": 8}))
            .says(&format!("POST /subjects/{updated}/versions"), 200, json!({"id": 9}));
        fake
    }

    #[tokio::test]
    async fn a_plan_tells_each_subject_and_changes_nothing() {
        let fake = registry().await;

        let (done, text) = run(&fake.url, Format::Text, "plan", &TOPICS).await;
        let (_, json) = run(&fake.url, Format::Json, "plan", &TOPICS[..2]).await;

        let failure = done.expect_err("incompatible");
        assert_eq!(failure.exit(), Exit::BadData);
        assert_eq!(
            failure.to_string(),
            "incompatible with the schema registry: 1 of the subjects; nothing was registered"
        );
        assert_eq!(
            text,
            "\
missing             integration.sales.order_received-value   SalesOrderReceived
compatible change   integration.sales.order_updated-value    SalesOrderUpdated
incompatible        integration.sales.order_cancelled-value  SalesOrderCancelled
                    field `a` has no default
same                integration.sales.order.failed-value     SalesOrderFailed
1 missing, 1 same, 1 compatible change, 1 incompatible
"
        );
        assert_eq!(
            json,
            "{\"subjects\":[{\"subject\":\"integration.sales.order_received-value\",\"topic\":\"integration.sales.\
             order_received\",\"record\":\"SalesOrderReceived\",\"state\":\"missing\"},{\"subject\":\"integration.\
             sales.order.failed-value\",\"topic\":\"integration.sales.order.failed\",\"record\":\"SalesOrderFailed\",\
             \"state\":\"same\",\"id\":7}]}\n"
        );
        assert!(fake.questions().iter().all(|question| !question.ends_with("/versions")), "{:?}", fake.questions());
    }

    #[tokio::test]
    async fn registering_does_what_the_plan_says() {
        let fake = registry().await;

        let (done, text) = run(&fake.url, Format::Text, "register", &TOPICS[..3]).await;

        done.expect("registered");
        assert!(text.ends_with("2 registered, 1 same\n"), "{text}");
        let registered: Vec<_> =
            fake.questions().into_iter().filter(|question| question.ends_with("/versions")).collect();
        assert_eq!(registered, [0, 2].map(|topic: usize| format!("POST /subjects/{}-value/versions", TOPICS[topic])));
    }

    #[tokio::test]
    async fn one_incompatible_subject_stops_all() {
        let fake = registry().await;

        let (done, text) = run(&fake.url, Format::Text, "register", &TOPICS).await;

        assert_eq!(done.expect_err("refused").exit(), Exit::BadData);
        assert!(text.ends_with("1 missing, 1 same, 1 compatible change, 1 incompatible\n"), "{text}");
        assert!(fake.questions().iter().all(|question| !question.ends_with("/versions")));
    }

    #[tokio::test]
    async fn what_was_registered_before_a_failure_is_told() {
        let fake = registry().await;
        let subject = format!("{}-value", TOPICS[2]);
        fake.says(&format!("POST /subjects/{subject}/versions"), 503, "");

        let (done, text) = run(&fake.url, Format::Text, "register", &TOPICS[..3]).await;

        assert_eq!(done.expect_err("down").exit(), Exit::Unavailable);
        assert!(text.ends_with("1 registered, 1 same, 1 compatible change\n"), "{text}");
    }

    #[tokio::test]
    async fn each_failure_has_its_exit_code() {
        let fake = Fake::start().await;
        for (status, body, exit) in [
            (503, "", Exit::Unavailable),
            (200, "garbage", Exit::Unavailable),
            (401, "", Exit::BadConfiguration),
            (422, r#"{"error_code": 42201, "message": "no"}"#, Exit::BadData),
        ] {
            fake.breaks(status, body);
            let (done, text) = run(&fake.url, Format::Text, "plan", &[]).await;

            assert_eq!((done.expect_err("failed").exit(), text.as_str()), (exit, ""), "{status}");
        }
        let (none, _) = run("", Format::Text, "plan", &[]).await;
        let none = none.expect_err("no registry");
        assert_eq!(none.exit(), Exit::BadConfiguration);
        assert!(none.to_string().contains("`registry.url` is not set"));
    }
}
