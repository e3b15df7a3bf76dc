//! What goes over the wire, and what is made of what comes back or does not.

use std::time::Duration;

use tokio::net::TcpListener;

use super::server::{Act, Server, answer, say};
use super::{BODY, NOW_MS, Partner, bearer, request, settings};
use crate::config::courier::CourierSettings;
use crate::config::secret::Secret;
use crate::courier::client::MOST_BODY_BYTES;
use crate::courier::credentials::{Credentials, Signing};
use crate::courier::{Cause, Verdict};
use crate::{config::binding::SignatureMode, verify};

#[tokio::test]
async fn an_attempt_is_one_signed_request_and_its_answer_is_kept() {
    let said = answer(202, "X-Request-Id: 17\r\nSet-Cookie: id=1\r\n", "taken, t0ken-of-ours");
    let server = Server::start([Act::Say(said)]).await;
    let secret = Secret::new("secret");
    let signing = Some(Signing { secret: secret.clone(), mode: SignatureMode::Timestamp });
    let tokens = crate::courier::credentials::Authorization::new(
        crate::courier::credentials::Kind::Bearer,
        vec![Secret::new("t0ken-of-ours")],
    );
    let partner = Partner::at(&server.url(), &settings(), Credentials::new(Some(tokens), signing).unwrap());

    let answer = partner.attempt("e1").await;

    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].head.starts_with("POST /hook HTTP/1.1\r\n"), "{}", seen[0].head);
    assert_eq!(seen[0].body, BODY);
    for (name, value) in [
        ("authorization", "Bearer t0ken-of-ours"),
        ("content-type", "application/json"),
        ("x-correlation-id", "corr-1"),
        ("x-fsm-timestamp", "1772612130"),
        ("x-fsm-signature", &verify::sign(&secret, NOW_MS / 1_000, BODY)),
        ("x-idempotency-key", &request(&partner.url, "e1").effect().idempotency_key.to_string()),
        ("user-agent", concat!("crossdock/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(seen[0].header(name), value, "{name}");
    }
    assert_eq!((answer.verdict, answer.status, answer.requests), (Verdict::Success, Some(202), 1));
    let kept: Vec<_> = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(kept, [("x-request-id", "17"), ("set-cookie", "***"), ("content-length", "20")]);
    assert_eq!(answer.body, "taken, ***");
    assert!(!answer.body_is_truncated && answer.took > Duration::ZERO);
}

#[tokio::test]
async fn every_way_an_answer_can_fail_is_told_apart() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_vec();
    let half = [head.clone(), b"half".to_vec()].concat();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n".to_vec();
    for (act, cause, status) in [
        (Act::SayAndClose(Vec::new()), Cause::Reset, None),
        (Act::SayAndReset(Vec::new()), Cause::Reset, None),
        (Act::SayAndClose(b"HTTP/1.1 200 O".to_vec()), Cause::Reset, None),
        (Act::SayAndClose(half.clone()), Cause::Incomplete, Some(200)),
        (Act::SayAndClose(chunked), Cause::Incomplete, Some(200)),
        (Act::SayAndClose(b"220 mail.example ESMTP\r\n".to_vec()), Cause::Malformed, None),
        (say(503), Cause::Status(503), Some(503)),
    ] {
        let server = Server::start([act.clone()]).await;

        let answer = Partner::plain(&server.url()).attempt("e1").await;

        assert_eq!((answer.verdict, answer.status), (Verdict::Retry(cause), status), "{act:?}");
        assert_eq!((answer.requests, server.seen().len()), (1, 1), "{act:?}: the courier itself repeats nothing");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_end_in_time_is_an_attempt() {
    let settings = CourierSettings { timeout: Duration::from_millis(60), ..settings() };
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nslow".to_vec();
    for said in [Vec::new(), head] {
        let server = Server::start([Act::SayAndHang(said)]).await;

        let answer = Partner::at(&server.url(), &settings, Credentials::default()).attempt("e1").await;

        assert_eq!(answer.verdict, Verdict::Retry(Cause::TimedOut));
        assert!(answer.took >= settings.timeout);
    }
}

#[tokio::test]
async fn nobody_there_is_no_attempt() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("bound").port()
    };
    let plain = Server::start([]).await;
    for (url, cause) in [
        (format!("http://127.0.0.1:{port}/"), Cause::Refused),
        ("http://partner.invalid/".to_owned(), Cause::Dns),
        // It speaks HTTP, not TLS.
        (format!("https://127.0.0.1:{}/", plain.port), Cause::Tls),
    ] {
        let answer = Partner::plain(&url).attempt("e1").await;

        assert_eq!(answer.verdict, Verdict::TargetFailed(cause), "{url}");
        assert!(!answer.verdict.counts());
    }
    assert!(plain.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let elsewhere = Server::start([]).await;
    let moved = answer(307, &format!("location: {}\r\n", elsewhere.url()), "");
    let server = Server::start([Act::Say(moved)]).await;

    let answer = Partner::at(&server.url(), &settings(), bearer(&["t0ken"])).attempt("e1").await;

    assert_eq!(answer.verdict, Verdict::Permanent(Cause::Status(307)));
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn of_a_body_that_is_too_long_its_first_part_is_kept() {
    for (length, truncated) in [(MOST_BODY_BYTES, false), (MOST_BODY_BYTES + 1, true), (4 * 1024 * 1024, true)] {
        let server = Server::start([Act::Say(answer(200, "", &"x".repeat(length)))]).await;

        let answer = Partner::plain(&server.url()).attempt("e1").await;

        assert_eq!((answer.verdict, answer.body_is_truncated), (Verdict::Success, truncated), "{length}");
        assert_eq!(answer.body.len(), MOST_BODY_BYTES.min(length));
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let server = Server::start([say(200), say(404), say(503)]).await;
    let partner = Partner::plain(&server.url());

    for event_id in ["e1", "e2", "e3", "e4"] {
        partner.attempt(event_id).await;
    }

    assert_eq!((server.seen().len(), server.connections()), (4, 1));
}
