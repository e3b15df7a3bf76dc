//! The client on its own: what is asked, what answers mean, and when nothing is asked.

mod learning;
#[cfg(feature = "test-registry")]
mod real;
mod resolution;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::{Value, json};

use crate::clock::ManualClock;
use crate::config::secret::Secret;
use crate::config::settings::{RegistryAuth, RegistrySettings};
use crate::schema::registry::testing::{Fake, settings};
use crate::schema::registry::{Error, Registry};

const SCHEMA: &str = "{\n  \"type\": \"record\",\n  \"name\": \"R\",\n  \"fields\": []\n}\n";
const MINIFIED: &str = r#"{"type":"record","name":"R","fields":[]}"#;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(1_772_612_131_210))
}

#[tokio::test]
async fn questions_are_asked_as_the_api_says() {
    let fake = Fake::start().await;
    fake.says("GET /subjects", 200, json!(["a-value", "b-value"]))
        .says("POST /subjects/a%2Fb-value", 200, json!({"subject": "a/b-value", "id": 7, "version": 1, "schema": "{}"}))
        .says("POST /subjects/a-value/versions", 200, json!({"id": 8}))
        .says(
            "POST /compatibility/subjects/a-value/versions/latest?verbose=true",
            200,
            json!({"is_compatible": false, "messages": ["one\nreason", "another"]}),
        );
    let registry = fake.registry(clock());

    assert_eq!(registry.subjects().await, Ok(vec!["a-value".to_owned(), "b-value".to_owned()]));
    assert_eq!(registry.look_up("a/b-value", SCHEMA).await, Ok(7));
    assert_eq!(registry.register("a-value", SCHEMA).await, Ok(8));
    let reasons = registry.incompatibilities("a-value", SCHEMA).await;
    assert_eq!(reasons, Ok(vec!["one reason".to_owned(), "another".to_owned()]));
    let bodies: Vec<_> = fake.asked().into_iter().map(|asked| asked.body).collect();
    let body = json!({ "schema": MINIFIED });
    assert_eq!(bodies, [Value::Null, body.clone(), body.clone(), body]);
}

#[tokio::test]
async fn a_path_in_the_address_stays_in_front() {
    let fake = Fake::start().await;
    fake.says("GET /apis/ccompat/v7/subjects", 200, "null");
    for path in ["/apis/ccompat/v7", "/apis/ccompat/v7/"] {
        let registry = Registry::new(&settings(&format!("{}{path}", fake.url)), clock()).expect("set up");

        // One implementation says null where there is none.
        assert_eq!(registry.subjects().await, Ok(Vec::new()), "{path}");
    }
}

#[tokio::test]
async fn what_an_answer_means() {
    let fake = Fake::start().await;
    let url = &fake.url;
    let down = |cause: &str| (format!("schema registry `{url}` does not answer: {cause}"), true);
    let fact = |text: &str| (text.to_owned(), false);
    let forbidden = |status| {
        fact(&format!("schema registry `{url}` does not accept this gateway's credentials: it answered {status}"))
    };
    let nothing = "it answered 200 OK and nothing a schema registry says";
    let long = json!({"error_code": 409, "message": "x".repeat(600)}).to_string();
    let too_long = format!("\"{}\"", "x".repeat(5 << 20));
    for (status, body, (text, is_transient)) in [
        (404, r#"{"error_code":40401,"message":"m"}"#, fact("schema registry knows no subject `s` with this schema")),
        (404, r#"{"error_code":40403,"message":"m"}"#, fact("schema registry knows no subject `s` with this schema")),
        // No registry's answers: there is a proxy, or the address is wrong.
        (
            404,
            r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#,
            down("it answered 404 Not Found, error code 404"),
        ),
        (404, "<html>", down("it answered 404 Not Found without a schema registry's error code")),
        (200, "<html>", down(nothing)),
        (200, "", down(nothing)),
        (200, r#"{"id":-1}"#, down(nothing)),
        (200, r#"{"id":4294967296}"#, down(nothing)),
        (200, &too_long, down("its answer is longer than 4194304 bytes")),
        (302, "", down("it answered 302 Found")),
        (500, r#"{"error_code":50001,"message":"m"}"#, down("it answered 500 Internal Server Error")),
        (503, "", down("it answered 503 Service Unavailable")),
        (429, "", down("it answered 429 Too Many Requests")),
        (408, "", down("it answered 408 Request Timeout")),
        (401, "{}", forbidden(401)),
        (403, "<html>", forbidden(403)),
        (
            409,
            r#"{"error_code":409,"message":"incompatible:\u001b[31m\na"}"#,
            fact("schema registry refuses subject `s` with this schema: incompatible: [31m a"),
        ),
        (422, r#"{"error_code":42201}"#, fact("schema registry refuses subject `s` with this schema: ")),
        (409, &long, fact(&format!("schema registry refuses subject `s` with this schema: {}…", "x".repeat(500)))),
    ] {
        fake.says("POST /subjects/s", status, body);

        let error = fake.registry(clock()).look_up("s", SCHEMA).await.expect_err("no answer of use");

        assert_eq!((error.to_string(), error.is_transient()), (text, is_transient), "{status} {:.40}", body);
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_or_says_nothing_is_unavailable() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = silent.local_addr().expect("bound");
    let router = Router::new().fallback(std::future::pending::<()>);
    tokio::spawn(async move { axum::serve(silent, router).await });
    for (address, cause) in [(free, "Connection refused (os error 111)"), (address, "no answer in time")] {
        let settings =
            RegistrySettings { request_timeout: Duration::from_millis(50), ..settings(&format!("http://{address}")) };

        let error = Registry::new(&settings, clock()).expect("set up").subjects().await.expect_err("no answer");

        assert_eq!(error, Error::Unavailable { url: format!("http://{address}"), cause: cause.to_owned() });
    }
}

#[tokio::test]
async fn credentials_are_shown_to_the_registry_and_to_nobody_else() {
    let fake = Fake::start().await;
    fake.says("GET /subjects", 200, "[]");
    let password = Secret::new("pa55:wörd");
    for (auth, expected) in [
        (None, None),
        (Some(RegistryAuth::Basic { username: "u".to_owned(), password }), Some("Basic dTpwYTU1OnfDtnJk")),
        (Some(RegistryAuth::Bearer(Secret::new("t0ken"))), Some("Bearer t0ken")),
    ] {
        let registry = Registry::new(&RegistrySettings { auth, ..fake.settings() }, clock()).expect("set up");

        registry.subjects().await.expect("answered");

        assert_eq!(fake.asked().pop().expect("asked").authorization.as_deref(), expected);
        assert!(!format!("{registry:?}").contains("t0ken"));
    }
    let bad = RegistrySettings { auth: Some(RegistryAuth::Bearer(Secret::new("t0\nken"))), ..fake.settings() };
    let error = Registry::new(&bad, clock()).expect_err("no header").to_string();
    assert!(error.ends_with("expected credentials a header can hold"), "{error}");
}

#[tokio::test]
async fn after_a_failure_the_registry_is_left_alone_longer_and_longer() {
    let fake = Fake::start().await;
    fake.says("GET /subjects", 200, "[]").breaks(503, "");
    let clock = clock();
    let registry = fake.registry(Arc::<ManualClock>::clone(&clock));
    let mut asked = 0;
    for (least, most) in [(80, 120), (160, 240), (320, 480), (640, 960), (800, 1000), (800, 1000)] {
        let error = registry.subjects().await.expect_err("down");
        asked += 1;
        assert_eq!(fake.asked().len(), asked);

        // In the pause the same is said without asking.
        let pause_ms = i64::try_from(registry.pause().as_millis()).expect("small");
        assert!((least..=most).contains(&pause_ms), "{pause_ms} is not in {least}..={most}");
        clock.advance(pause_ms - 1);
        assert_eq!(registry.subjects().await, Err(error));
        assert_eq!(fake.asked().len(), asked);
        clock.advance(1);
    }
    fake.is_well();
    assert_eq!(registry.subjects().await, Ok(Vec::new()));

    fake.breaks(500, "");
    registry.subjects().await.expect_err("down again");
    assert!(registry.pause() <= Duration::from_millis(120), "the row of failures had ended");
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_begins_no_pause() {
    let fake = Fake::start().await;
    let registry = fake.registry(clock());
    for status in [401, 409, 404] {
        fake.breaks(status, r#"{"error_code":40401,"message":"m"}"#);
        registry.look_up("s", SCHEMA).await.expect_err("refused");

        assert_eq!(registry.pause(), Duration::ZERO, "{status}");
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_no_pause_longer() {
    let fake = Fake::start().await;
    fake.breaks(503, "");
    let clock = clock();
    let registry = fake.registry(Arc::<ManualClock>::clone(&clock));
    registry.subjects().await.expect_err("down");

    clock.advance(-3_600_000);

    assert_eq!(registry.pause(), Duration::ZERO);
}
