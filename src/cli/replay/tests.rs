use axum::Router;
use axum::extract::RawQuery;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::cli::output::Format;
use crate::cli::testing::{ask, serve};

const JSON: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];
const ID: &str = "5b1c2f7e-0000-5000-8000-000000000001";

fn job() -> Value {
    json!({"job_id": ID, "number": 3, "state": "stopped", "note": "3 of the first 10 items failed",
        "planned_by": "anna", "reason": "ticket 4711", "tenants": null, "failures": {}, "pace": null,
        "planned_at": "2026-03-04T08:15:31.300Z", "started_at": "2026-03-04T08:16:00.000Z", "ended_at": null,
        "items": 412, "keys": 398, "keys_left_behind": 2,
        "counts": {"pending": 402, "requested": 0, "succeeded": 6, "failed": 3, "refused": 1}})
}

const TOLD: &str = "\
job 5b1c2f7e-0000-5000-8000-000000000001: stopped

because   3 of the first 10 items failed
reason    ticket 4711
planned   2026-03-04T08:15:31.300Z by anna
started   2026-03-04T08:16:00.000Z
items     412 of 398 orders
pending   402
requested 0
succeeded 6
failed    3
refused   1
";

#[tokio::test]
async fn a_plan_says_what_it_is_about_and_what_is_left_behind() {
    let answer = |body: String| async move {
        let expected = json!({"reason": "ticket 4711", "failures": {"binding": "pyxis-north", "kind": "call"}});
        assert_eq!(serde_json::from_str::<Value>(&body).expect("JSON"), expected);
        (JSON, job().to_string())
    };
    let url = serve(Router::new().route("/api/v1/ops/replays", post(answer))).await;
    let words = ["replay", "plan", "--binding", "pyxis-north", "--kind", "call", "--reason", "ticket 4711"];

    let (done, text) = ask(&url, Format::Text, &words).await;

    done.expect("planned");
    let expected = format!(
        "{TOLD}\n2 of these orders have an older open failure that is not in the job: look at those first, or widen the \
         selection\n\nnext: crossdock replay run {ID} --dry-run\n"
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_come_of_it() {
    let answer = |body: String| async move {
        let expected = json!({"dry_run": true, "pace": {"per_second": 5, "canary": 3, "most_failed_percent": 20}});
        assert_eq!(serde_json::from_str::<Value>(&body).expect("JSON"), expected);
        let outlook = json!({"accepted": 400, "rejected again: UNKNOWN_CODE": 12});
        (JSON, json!({"dry_run": true, "job": job(), "looked_at": 412, "outlook": outlook}).to_string())
    };
    let url = serve(Router::new().route(&format!("/api/v1/ops/replays/{ID}/run"), post(answer))).await;

    let (done, text) =
        ask(&url, Format::Text, &["replay", "run", ID, "--dry-run", "--rate", "5", "--canary", "3"]).await;

    done.expect("told");
    let expected = "dry run: the first 412 of 412 items, if they were replayed now\n    400  accepted\n     12  rejected \
                    again: UNKNOWN_CODE\n";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn the_status_of_a_job_comes_with_its_items_if_asked_for() {
    let items = |RawQuery(query): RawQuery| async move {
        assert_eq!(query.as_deref(), Some("limit=2&state=failed"));
        let item = json!({"number": 7, "failure_id": ID, "tenant_id": "north", "kind": "call", "state": "failed",
            "outcome": "failed again, in held: timeout", "command_id": null, "changed_at": null});
        (JSON, json!({"items": [item], "next": 7}).to_string())
    };
    let routes = Router::new()
        .route(&format!("/api/v1/ops/replays/{ID}"), get(|| async { (JSON, job().to_string()) }))
        .route(&format!("/api/v1/ops/replays/{ID}/items"), get(items));
    let url = serve(routes).await;
    let words = ["replay", "status", ID, "--items", "--state", "failed", "--limit", "2"];

    let (done, text) = ask(&url, Format::Text, &words).await;

    done.expect("shown");
    let expected =
        format!("{TOLD}\n     7  failed     call         {ID}  failed again, in held: timeout\nmore: --after 7\n");
    assert_eq!(text, expected);
}
