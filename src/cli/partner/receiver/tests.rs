use super::*;

const TOKEN: &str = "token of the gateway";
const SECRET: &str = "secret of the gateway";
const PATIENCE: Duration = Duration::from_secs(30);

async fn receiver() -> Receiver {
    let trust = Trust {
        bearer_token: Some(Secret::new(TOKEN)),
        signing_secrets: vec![Secret::new("other"), Secret::new(SECRET)],
    };
    Receiver::start(trust).await.expect("a free port")
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client")
}

/// A signed call about `order`.
fn call(receiver: &Receiver, http: &reqwest::Client, order: &str, key: &str) -> reqwest::RequestBuilder {
    let body = format!("{{\"external_sales_order_id\": \"{order}\"}}");
    let at = SystemClock.now_ms() / 1000;
    http.post(format!("{}/status", receiver.base_url()))
        .bearer_auth(TOKEN)
        .header(verify::TIMESTAMP, at)
        .header(verify::SIGNATURE, verify::sign(&Secret::new(SECRET), at, body.as_bytes()))
        .header("X-Idempotency-Key", key)
        .body(body)
}

/// What the caller sees: a status with the body's length, or nothing.
async fn seen(call: reqwest::RequestBuilder) -> Option<(u16, usize)> {
    let response = call.send().await.ok()?;
    let status = response.status().as_u16();
    Some((status, response.bytes().await.ok()?.len()))
}

#[tokio::test]
async fn calls_are_applied_once_by_their_key_on_connections_that_are_kept() {
    let (receiver, http) = (receiver().await, http());

    for key in ["1", "2", "2"] {
        assert_eq!(seen(call(&receiver, &http, "A", key)).await, Some((204, 0)));
    }

    receiver.until(|received| received.calls().all(|call| call.ended.is_some())).await;
    receiver.look(|received| {
        let applied: Vec<_> = received.applied("A").map(|call| call.idempotency_key.as_str()).collect();
        assert_eq!(applied, ["1", "2"]);
        assert_eq!((received.count(), received.connections), (3, 1));
    });
}

#[tokio::test]
async fn a_wrong_token_or_signature_is_401_and_changes_nothing() {
    let (receiver, http) = (receiver().await, http());
    let body = r#"{"request_id": "A"}"#;
    let post = || http.post(receiver.base_url()).body(body);
    let signed = |post: reqwest::RequestBuilder, secret: &str, at: i64| {
        let signature = verify::sign(&Secret::new(secret), at, body.as_bytes());
        post.header(verify::TIMESTAMP, at).header(verify::SIGNATURE, signature)
    };
    let now = SystemClock.now_ms() / 1000;
    for (what, request, status) in [
        ("neither", post(), 401),
        ("no signature", post().bearer_auth(TOKEN), 401),
        ("another token", signed(post().bearer_auth("token"), SECRET, now), 401),
        ("another secret", signed(post().bearer_auth(TOKEN), "secret", now), 401),
        ("signed long ago", signed(post().bearer_auth(TOKEN), SECRET, now - 400), 401),
        ("as agreed", signed(post().bearer_auth(TOKEN), SECRET, now), 204),
        ("as agreed, with the other secret", signed(post().bearer_auth(TOKEN), "other", now), 204),
    ] {
        let before = receiver.look(Received::applied_count);

        assert_eq!(seen(request).await.map(|seen| seen.0), Some(status), "{what}");

        let applied = receiver.look(Received::applied_count) - before;
        assert_eq!(applied, usize::from(status == 204), "{what}");
    }
}

#[tokio::test]
async fn every_manner_is_seen_by_the_caller_as_it_should() {
    let (receiver, http) = (receiver().await, http());
    let pause = Duration::from_millis(1);
    for (manner, expected, answered, applied) in [
        (Manner::Answer(Reply::status(500)), Some((500, 2)), Answered::Status(500), false),
        (Manner::Answer(Reply::already_applied()), Some((409, 27)), Answered::Status(409), true),
        (Manner::AnswerAfter(pause, Reply::status(200)), Some((200, 2)), Answered::Status(200), true),
        (Manner::ResetRead { applies: false }, None, Answered::Reset, false),
        (Manner::ResetRead { applies: true }, None, Answered::Reset, true),
        (Manner::HalfAnswer, None, Answered::Half, true),
        (Manner::SlowBody { bytes: 3, pause }, Some((200, 3)), Answered::Status(200), true),
    ] {
        receiver.follow(vec![Rule::always(manner.clone())]);
        let key = format!("{manner:?}");

        assert_eq!(seen(call(&receiver, &http, "A", &key)).await, expected, "{manner:?}");

        receiver.until(|received| received.calls().all(|call| call.ended.is_some())).await;
        receiver.look(|received| {
            let call = received.attempts(&key).next().expect("it was taken down");
            assert_eq!((call.answered, call.applied), (answered, applied), "{manner:?}");
        });
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_unread_leaves_no_call() {
    let (receiver, http) = (receiver().await, http());
    receiver.follow(vec![Rule::always(Manner::ResetUnread).nth(0..1)]);

    let first = seen(call(&receiver, &http, "A", "1")).await;
    let second = seen(call(&receiver, &http, "A", "1")).await;

    assert_eq!((first, second), (None, Some((204, 0))));
    receiver.look(|received| assert_eq!((received.count(), received.resets_unread), (1, 1)));
}

#[tokio::test]
async fn a_caller_that_is_never_answered_gives_up_and_the_call_is_over() {
    for (applies, expected) in [(false, 0), (true, 1)] {
        let (receiver, http) = (receiver().await, http());
        receiver.follow(vec![Rule::always(Manner::NeverAnswer { applies })]);

        let call = tokio::spawn(seen(call(&receiver, &http, "A", "1")));
        receiver.until(|received| received.count() == 1).await;
        call.abort();

        receiver.until(|received| received.calls().all(|call| call.ended.is_some())).await;
        receiver.look(|received| {
            assert!(received.calls().all(|call| call.answered == Answered::Nothing));
            assert_eq!(received.applied_count(), expected);
        });
    }
}

#[tokio::test]
async fn a_retry_after_is_said_in_seconds() {
    let (receiver, http) = (receiver().await, http());
    receiver.follow(vec![Rule::always(Manner::Answer(Reply::retry_after(429, Duration::from_secs(7))))]);

    let answer = call(&receiver, &http, "A", "1").send().await.expect("an answer");

    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"7".parse().expect("a value")));
}

#[tokio::test]
async fn a_partner_that_refuses_is_there_again_at_the_same_address() {
    let (mut receiver, http) = (receiver().await, http());
    assert!(seen(call(&receiver, &http, "A", "1")).await.is_some());

    receiver.refuse().await;
    let error = call(&receiver, &http, "A", "2").send().await.expect_err("nobody listens");
    receiver.listen_again().await.expect("the port is free");

    assert!(error.is_connect(), "{error:?}");
    assert_eq!(seen(call(&receiver, &http, "A", "2")).await, Some((204, 0)));
    assert_eq!(receiver.look(Received::count), 2);
}

#[tokio::test]
async fn what_is_no_http_ends_its_connection_alone() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (receiver, http) = (receiver().await, http());
    for noise in ["\0\u{1}\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"] {
        let mut stream = TcpStream::connect(receiver.address).await.expect("it listens");
        stream.write_all(noise.as_bytes()).await.expect("written");
        let mut rest = Vec::new();

        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed");

        assert!(rest.is_empty(), "{read:?}");
    }
    assert_eq!(seen(call(&receiver, &http, "A", "1")).await, Some((204, 0)));
}
