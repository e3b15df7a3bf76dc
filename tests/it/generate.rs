//! `crossdock generate`: what it reports, what the metrics say and what is on the topics agree to the record.

use std::process::Output;

use serde_json::Value;

use crate::support::Gateway;
use crate::support::gateway::{BEARER_TOKEN, SIGNING_SECRET, TEMPO_BEARER_TOKEN, TEMPO_SIGNING_SECRET};

const MIX: [&str; 6] = ["--bad", "5%", "--duplicate", "10%", "--shuffle", "5%"];

/// Runs `generate` against `gateway`, as JSON.
pub fn generate(gateway: &Gateway, arguments: &[&str]) -> (Output, Value) {
    let run = gateway
        .command(&["generate", "--output", "json", "--config", "crossdock.toml", "--door", &gateway.door])
        .args(arguments)
        .env("TEST_OPERATOR", "not-used-here")
        .env("TEST_BEARER", BEARER_TOKEN)
        .env("TEST_OTHER_BEARER", "of-another-binding")
        .env("TEST_SECRET", SIGNING_SECRET)
        .env("TEST_OLD_SECRET", "not-used-here")
        .env("TEST_TEMPO_BEARER", TEMPO_BEARER_TOKEN)
        .env("TEST_TEMPO_SECRET", TEMPO_SIGNING_SECRET)
        .output()
        .expect("the binary can be started");
    let report = serde_json::from_slice(&run.stdout).unwrap_or_default();
    (run, report)
}

/// Sends `count` messages of `adapter` and asserts that everything agrees.
#[track_caller]
pub fn agrees_to_the_record(gateway: &Gateway, adapter: &str, count: &str) {
    let binding = format!("{adapter}-north");
    let arguments = [adapter, "--binding", &binding, "--rate", "500", "--count", count, "--seed", "7", "--verify"];

    let (run, report) = generate(gateway, &[&arguments, &MIX[..]].concat());

    assert!(run.status.success(), "{report:#}\n{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(report["sent"].to_string(), count, "{report:#}");
    assert_eq!(report["differences"]["count"], 0, "{report:#}");
    assert_eq!(report["verified"]["agrees"], true, "{report:#}");
    for outcome in ["accepted", "duplicate", "stale", "rejected"] {
        assert!(report["expected"]["outcomes"][outcome].as_u64().is_some_and(|n| n > 0), "{outcome}: {report:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_metrics_and_topics_agree_to_the_record() {
    let gateway = Gateway::start();

    agrees_to_the_record(&gateway, "pyxis", "2000");
    agrees_to_the_record(&gateway, "tempo", "300");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_before_is_no_new_order_and_that_is_told() {
    let gateway = Gateway::start();
    let arguments = ["pyxis", "--binding", "pyxis-north", "--rate", "1000", "--count", "50", "--seed", "7", "--verify"];

    let (first, _) = generate(&gateway, &arguments);
    let (second, report) = generate(&gateway, &arguments);

    assert!(first.status.success(), "{first:?}");
    assert_eq!(second.status.code(), Some(65), "{report:#}");
    assert_eq!(report["differences"]["count"], 0, "the answers are the same: {report:#}");
    assert_eq!(report["verified"]["agrees"], false, "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_others_than_expected_are_listed() {
    let gateway = Gateway::start();

    // The secrets of one binding under the name of another: nothing is authentic.
    let (run, report) = generate(&gateway, &["tempo", "--binding", "pyxis-north", "--count", "20", "--bad", "0%"]);

    assert_eq!(run.status.code(), Some(65), "{report:#}");
    assert_eq!(report["answered"]["401"], 20, "{report:#}");
    assert_eq!(report["differences"]["count"], 20, "{report:#}");
    let example = report["differences"]["examples"][0].as_str().expect("an example");
    assert!(example.ends_with("expected 202, found 401 AUTHENTICATION_FAILED at ``"), "{example}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_to_send_as_must_be_clear() {
    let gateway = Gateway::start();
    for (arguments, code, line) in [
        (vec!["pyxis"], 2, "adapter `pyxis` has several bindings, name one with `--binding`"),
        (vec!["sap"], 2, "no adapter `sap`"),
        (vec!["pyxis", "--binding", "nobody"], 78, "no binding `nobody`"),
        (vec!["pyxis", "--bad", "60%", "--duplicate", "60%"], 2, "more than 100% together"),
    ] {
        let (run, _) = generate(&gateway, &arguments);

        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(line), "{arguments:?}: {said}");
    }
}

#[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_metrics_and_topics_agree_on_kafka_and_postgresql() {
    let services = crate::support::services::Services::start("generate");
    let gateway = Gateway::start_with(&services.options());

    agrees_to_the_record(&gateway, "pyxis", "2000");
}
