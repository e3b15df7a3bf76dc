use axum::Router;
use axum::extract::{Path, RawQuery};
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::cli::Exit;
use crate::cli::output::Format;
use crate::cli::testing::{ask, serve};

const JSON: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];
const KEY: &str = "north|pyxis|PYX/1";

fn head() -> Value {
    json!({"seq": 42, "place": "held", "role": "head", "attempts": 4, "second_rounds": 1, "hop": 5, "passing": true,
        "waiting_since": "2026-03-04T08:15:31.300Z", "moved_at": "2026-03-04T08:30:31.300Z",
        "failure": {"class": "timeout", "http_status": 504, "message": "no\u{1b} answer"}})
}

fn key() -> Value {
    json!({"key": KEY, "tenant_id": "north", "topic": "crossdock.out.pyxis-north", "partition": 3,
        "binding": "pyxis-north", "state": "held", "head": head(), "records": 2, "last_seq": 57})
}

#[tokio::test]
async fn held_keys_are_listed_a_line_each() {
    let answer = |RawQuery(query): RawQuery| async move {
        assert_eq!(query.as_deref(), Some("tenant=north&binding=pyxis-north&held=true&limit=1"));
        (JSON, json!({"keys": [key()], "next": "1.2.ab.t"}).to_string())
    };
    let url = serve(Router::new().route("/api/v1/ops/keys", get(answer))).await;
    let words = ["keys", "list", "--held", "--tenant", "north", "--binding", "pyxis-north", "--limit", "1"];

    let (done, text) = ask(&url, Format::Text, &words).await;

    done.expect("listed");
    let expected = "2026-03-04T08:15:31.300Z  held          2  north|pyxis|PYX/1  crossdock.out.pyxis-north  timeout \
                    (HTTP 504): no  answer\nmore: --after 1.2.ab.t\n";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_key_is_told_with_what_waits_behind_it() {
    let follower = json!({"seq": 57, "place": "held", "role": "follower", "attempts": 0, "second_rounds": 0, "hop": 1,
        "passing": false, "waiting_since": "2026-03-04T08:16:00.000Z", "moved_at": "x", "failure": null});
    let whole = json!({"key": key(), "failure_id": "f-1", "records": [head(), follower], "next": 58});
    let answer = move |Path(key): Path<String>| async move {
        assert_eq!(key, KEY);
        (JSON, whole.to_string())
    };
    let url = serve(Router::new().route("/api/v1/ops/keys/{key}", get(answer))).await;

    let (done, text) = ask(&url, Format::Text, &["keys", "show", KEY]).await;

    done.expect("shown");
    let expected = "\
north|pyxis|PYX/1: held

topic    crossdock.out.pyxis-north partition 3
waiting  2 records since 2026-03-04T08:15:31.300Z
failure  f-1

       42  head      held      4 attempts, 1 second rounds, since 2026-03-04T08:15:31.300Z
           timeout (HTTP 504): no  answer
       57  follower  held      0 attempts, 0 second rounds, since 2026-03-04T08:16:00.000Z
more: --from 58
";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_verb_says_why_and_what_came_of_it() {
    for (verb, words, member) in [
        ("release", &["keys", "release", KEY][..], json!({})),
        ("skip", &["keys", "skip", KEY, "42"], json!({"seq": 42})),
        ("purge", &["keys", "purge", KEY, "--through", "57"], json!({"through": 57})),
    ] {
        let answer = move |body: String| async move {
            let mut expected = json!({"reason": "ticket 4711", "request_id": "r-1"});
            for (name, value) in member.as_object().into_iter().flatten() {
                expected[name] = value.clone();
            }
            assert_eq!(serde_json::from_str::<Value>(&body).expect("JSON"), expected);
            (JSON, json!({"command_id": "c-1", "outcome": "done", "record": "ended", "failure": null}).to_string())
        };
        let url = serve(Router::new().route(&format!("/api/v1/ops/keys/{{key}}/{verb}"), post(answer))).await;
        let words = [words, &["--reason", "ticket 4711", "--request-id", "r-1"]].concat();

        let (done, text) = ask(&url, Format::Text, &words).await;

        done.expect("answered");
        assert_eq!(text, "done: the record has come to its end\n  command c-1\n", "{verb}");
    }
}

#[test]
fn the_exit_code_tells_scripts_whether_the_record_is_done_with() {
    for (outcome, record, expected) in [
        ("done", json!("ended"), Exit::Done),
        ("done", json!("held"), Exit::BadData), // it failed again
        ("done", json!("retry.1"), Exit::BadData),
        ("nothing_to_do", Value::Null, Exit::Done),
        ("overtaken", Value::Null, Exit::BadData),
        ("not_head", Value::Null, Exit::BadData),
        ("not_executed_yet", Value::Null, Exit::Done),
    ] {
        let answer = json!({"outcome": outcome, "record": record});

        assert_eq!(super::exit(&answer), expected, "{answer}");
    }
}
