use axum::Router;
use axum::extract::RawQuery;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::cli::output::Format;
use crate::cli::testing::{ask, serve};

const ID: &str = "5b1c2f7e-0000-5000-8000-000000000001";
const JSON: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

fn failure() -> Value {
    json!({"failure_id": ID, "state": "open", "kind": "order", "tenant_id": "north", "binding": "pyxis-north",
        "source_key": "pyxis", "external_order_id": "PYX-1", "error_code": "UNKNOWN_CODE",
        "pointer": "/line_items/0/service_code", "message": "/line_items/0/service_code: is not a\u{1b}[31m service",
        "failed_at": "2026-03-04T08:15:31.300Z", "retry_count": 0, "group_id": ID, "replay_of": null,
        "correlation_id": "c-1", "raw_sha256": "ab"})
}

#[tokio::test]
async fn open_failures_are_listed_a_line_each() {
    let answer = |RawQuery(query): RawQuery| async move {
        assert_eq!(query.as_deref(), Some("binding=b&pointer=%2Fa&state=open&limit=2"));
        (JSON, json!({"failures": [failure(), failure()], "next": "17.3"}).to_string())
    };
    let url = serve(Router::new().route("/api/v1/ops/failures", get(answer))).await;
    let words = ["failures", "list", "--binding", "b", "--pointer", "/a", "--limit", "2"];

    let (done, text) = ask(&url, Format::Text, &words).await;

    done.expect("listed");
    let line = format!(
        "{ID}  2026-03-04T08:15:31.300Z  open       pyxis-north  PYX-1  UNKNOWN_CODE at /line_items/0/service_code\n"
    );
    assert_eq!(text, format!("{line}{line}more: --after 17.3\n"));
}

#[tokio::test]
async fn groups_are_told_with_their_newest_failure() {
    let group = json!({"group_id": ID, "failures": 412, "tenant_id": "north", "binding": "pyxis-north",
        "error_code": "UNKNOWN_CODE", "pointer": "/c", "message": "/c: not a code", "first_at": "f", "last_at": "l",
        "newest_failure_id": "n"});
    let answer = || async move { (JSON, json!({"groups": [group]}).to_string()) };
    let url = serve(Router::new().route("/api/v1/ops/failure-groups", get(answer))).await;

    let (done, text) = ask(&url, Format::Text, &["failures", "groups"]).await;

    done.expect("told");
    let expected = format!(
        "    412  pyxis-north  UNKNOWN_CODE\n         /c: not a code\n         first f, last l\n         newest n, group {ID}\n"
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_failure_is_told_whole_and_its_payload_as_it_came() {
    let whole = json!({"failure": failure(),
        "problems": [{"code": "UNKNOWN_CODE", "field": "/line_items/0/service_code", "message": "not a service"}],
        "omitted_problems": 3, "route": "pyxis/order-cancelled", "path": {"order_id": "PYX-1"},
        "received_from": "http", "received_at": "2026-03-04T08:15:31.210Z", "mapped_by": "pyxis/1.0.0",
        "event": {"topic": "integration.sales.order.failed", "partition": 3, "offset": 17},
        "payload": {"state": "kept", "link": "/p", "text": "{\n  \"order_id\": \"PYX-1\u{7}\"\n}\n", "base64": null},
        "order": null, "replay_failures": [], "siblings": [],
        "audit": [{"number": 1, "at": "2026-03-04T09:00:00.000Z", "operator": "anna", "action": "failure.replay",
            "tenant_id": "north", "subject": ID, "detail": {"phase": "requested", "reason": "typo"}}]});
    let answer = move || async move { (JSON, whole.to_string()) };
    let url = serve(Router::new().route(&format!("/api/v1/ops/failures/{ID}"), get(answer))).await;

    let (done, text) = ask(&url, Format::Text, &["failures", "show", ID]).await;

    done.expect("shown");
    let expected = format!(
        "\
pyxis PYX-1: UNKNOWN_CODE, open
failure {ID}

  UNKNOWN_CODE at /line_items/0/service_code: not a service
  and 3 more

failed       2026-03-04T08:15:31.300Z
received     2026-03-04T08:15:31.210Z from http
binding      pyxis-north of tenant north
route        pyxis/order-cancelled order_id=PYX-1, mapped by pyxis/1.0.0
replays      0
correlation  c-1
payload      ab
event        integration.sales.order.failed partition 3 offset 17
group        {ID}
order        not known

what was done:
2026-03-04T09:00:00.000Z  anna  failure.replay  {ID}
    phase           requested
    reason          typo

payload:
{{
  \"order_id\": \"PYX-1 \"
}}
"
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_corrected_payload_travels_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    for (bytes, member, value) in [
        (&b"{\"a\":\t1.0e0}\r\n\xc3\xa9"[..], "payload", "{\"a\":\t1.0e0}\r\n\u{e9}"),
        (b"\xff\x00", "payload_base64", "/wA="),
    ] {
        let file = folder.path().join("payload");
        std::fs::write(&file, bytes).expect("written");
        let answer = move |body: String| async move {
            let wish: Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(wish[member], value);
            assert_eq!((&wish["reason"], &wish["force"]), (&json!("typo"), &json!(false)));
            let answer = json!({"replay_id": "r", "repeated": true, "outcome": "rejected", "mapped_by": "pyxis/1.0.0",
                "errors": [{"code": "FIELD_REQUIRED", "field": "", "message": "is required"}], "failure_id": "f"});
            (JSON, answer.to_string())
        };
        let url = serve(Router::new().route(&format!("/api/v1/ops/failures/{ID}/replay"), post(answer))).await;
        let file = file.to_str().expect("text");

        let (done, text) =
            ask(&url, Format::Text, &["failures", "replay", ID, "--reason", "typo", "--payload", file]).await;

        done.expect("answered");
        let expected = "rejected by pyxis/1.0.0, replayed before with this payload, nothing was done now\n  \
            FIELD_REQUIRED at the document: is required\n  published as failure f\n  replay r\n";
        assert_eq!(text, expected);
    }
}
