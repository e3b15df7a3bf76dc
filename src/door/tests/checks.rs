//! The order of checks and the answers.

use super::*;
use crate::canonical::ids::OrderKey;
use crate::canonical::intake;
use crate::door::Error;
use crate::door::testing::Mood;
use futures_util::stream;

fn with(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn without(mut request: Request, name: &'static str) -> Request {
    request.headers_mut().remove(name);
    request
}

fn order(body: &str) -> Request {
    delivery("pyxis-north", ORDERS, body)
}

#[tokio::test]
async fn an_accepted_delivery_is_answered_once_it_is_stored() {
    let door = TestDoor::new();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    let answered = door.send(with(with(order("PYX-1"), "x-correlation-id", "my-id"), "traceparent", trace)).await;

    let key = OrderKey { tenant_id: "north".into(), source_key: "pyxis".into(), external_order_id: "PYX-1".into() };
    let id = key.service_order_id().to_string();
    assert_eq!(answered.status, 202);
    let expected = serde_json::json!({"orderId": id, "externalOrderId": "PYX-1",
        "status": "RECEIVED", "correlationId": "my-id", "receivedAt": "2026-03-04T08:15:30.000Z"});
    assert_eq!(answered.body, expected);
    assert_eq!(answered.header("location"), Some(&*format!("/api/v1/orders/{id}")));
    assert_eq!(answered.header("x-correlation-id"), Some("my-id"));
    let stored = &door.stored()[0].record;
    assert_eq!(stored.key.as_deref(), Some(b"north|pyxis|PYX-1".as_slice()));
    for (name, value) in [
        ("correlation-id", "my-id"),
        ("tenant-id", "north"),
        ("source-system", "PYXIS"),
        ("event-type", "Intake"),
        ("traceparent", trace),
    ] {
        assert_eq!(stored.header(name), Some(value), "{name}");
    }
    let draft = intake::decode(&catalogue(), stored.value.as_deref().unwrap()).unwrap();
    assert_eq!((draft.raw.as_ref(), draft.head.received_from.as_str()), (b"PYX-1".as_slice(), "http"));
}

#[tokio::test]
async fn a_request_without_a_correlation_id_is_given_one() {
    let door = TestDoor::new();

    let answered = door.send(order("PYX-1")).await;

    let made = Uuid::from_u128(7).to_string();
    assert_eq!(answered.body["correlationId"], *made);
    assert_eq!(answered.header("x-correlation-id"), Some(&*made));
    assert_eq!(door.stored()[0].record.header("correlation-id"), Some(&*made));
}

#[tokio::test]
async fn the_first_failing_check_decides() {
    let long = "x".repeat(LIMIT + 1);
    let refused = |code, field| (code, "REJECTED", field);
    let unauthenticated = refused("AUTHENTICATION_FAILED", "");
    let gzip = |request| with(request, "content-encoding", "gzip");
    for (fact, request, status, (code, answer, field), published) in [
        (
            "too large, though its sender is unknown",
            without(order(&long), "authorization"),
            413,
            refused("PAYLOAD_TOO_LARGE", ""),
            false,
        ),
        (
            "too large, though of a wrong type",
            with(order(&long), "content-type", "text/plain"),
            413,
            refused("PAYLOAD_TOO_LARGE", ""),
            false,
        ),
        ("no token", without(order("bad"), "authorization"), 401, unauthenticated, false),
        ("a token of another adapter", delivery("tempo-north", ORDERS, "bad"), 401, unauthenticated, false),
        (
            "no signature, though of a wrong type",
            with(without(order("bad"), "x-fsm-signature"), "content-type", "text/plain"),
            401,
            unauthenticated,
            false,
        ),
        (
            "a signature of another body",
            with(order("bad"), "x-fsm-signature", &sign(&Secret::new("pyxis-north-secret"), NOW_S, b"BAD")),
            401,
            unauthenticated,
            false,
        ),
        ("signed too long ago", with(order("bad"), "x-fsm-timestamp", "1772611000"), 401, unauthenticated, false),
        (
            "a wrong type, though the payload is bad",
            with(order("bad"), "content-type", "text/plain"),
            415,
            refused("UNSUPPORTED_MEDIA_TYPE", ""),
            true,
        ),
        ("no type", without(order("bad"), "content-type"), 415, refused("UNSUPPORTED_MEDIA_TYPE", ""), true),
        ("encoded", gzip(order("bad")), 415, refused("UNSUPPORTED_MEDIA_TYPE", ""), true),
        ("a bad payload", order("bad"), 422, refused("FIELD_REQUIRED", "/order_id"), true),
        ("a defect of the adapter", order("defect"), 503, ("UNAVAILABLE", "UNAVAILABLE", ""), false),
        ("a panic", order("panic"), 500, ("INTERNAL", "UNAVAILABLE", ""), false),
    ] {
        let door = TestDoor::new();

        let answered = door.send(request).await;

        assert_eq!(answered.summary(), (status, answer, code, field), "{fact}");
        assert_eq!(door.stored().len(), usize::from(published), "{fact}");
        assert_eq!(answered.body["correlationId"], *Uuid::from_u128(7).to_string(), "{fact}");
    }
}

#[tokio::test]
async fn every_unknown_sender_is_told_the_same_and_the_reason_is_counted() {
    let door = TestDoor::new();

    let unknown = door.send(with(order("PYX-1"), "authorization", "Bearer nobody")).await;
    let unsigned = door.send(with(order("PYX-1"), "x-fsm-signature", &format!("v1={}", "0".repeat(64)))).await;
    let late = door.send(with(order("PYX-1"), "x-fsm-timestamp", "1772611829")).await;

    assert_eq!((&unknown.body, &unknown.body), (&unsigned.body, &late.body));
    assert_eq!(unknown.header("www-authenticate"), Some("Bearer"));
    for reason in ["unknown_token", "no_secret_matched", "clock_skew"] {
        let counted = door.metrics.authentication_failures.with_label_values(&["pyxis", reason]).get();
        assert_eq!(counted, 1, "{reason}");
    }
}

#[tokio::test]
async fn a_body_of_the_limit_is_taken_and_mapped_off_the_worker() {
    let door = TestDoor::new();
    let padded = |text: &str| format!("{text}{}", " ".repeat(LIMIT - text.len()));

    let accepted = door.send(order(&padded("PYX-1"))).await;
    let panicked = door.send(order(&padded("panic"))).await;
    let rejected = door.send(order(&padded("bad"))).await;

    assert_eq!([accepted.status, panicked.status, rejected.status].map(|status| status.as_u16()), [202, 500, 422]);
    assert_eq!(door.stored().len(), 2);
}

#[tokio::test]
async fn a_chunked_body_is_counted_to_the_same_limit() {
    for (chunks, status) in [(LIMIT / 10, 202), (LIMIT / 10 + 1, 413)] {
        let door = TestDoor::new();
        let body = "x".repeat(10).repeat(chunks);
        let (parts, _) = order(&body).into_parts();
        let pieces = (0..chunks).map(|_| Ok::<_, std::io::Error>("x".repeat(10)));

        let answered = door.send(Request::from_parts(parts, Body::from_stream(stream::iter(pieces)))).await;

        assert_eq!(answered.status, status);
    }
}

#[tokio::test]
async fn while_the_log_is_down_or_silent_senders_are_asked_to_come_again() {
    for mood in [Mood::Fails, Mood::Waits] {
        for body in ["PYX-1", "bad"] {
            let door = TestDoor::new();
            door.log.set(mood);

            let answered = door.send(order(body)).await;

            assert_eq!(answered.summary(), (503, "UNAVAILABLE", "UNAVAILABLE", ""), "{mood:?} {body}");
            assert_eq!(answered.header("retry-after"), Some("5"), "{mood:?} {body}");
        }
    }
}

#[tokio::test]
async fn a_tenants_rate_is_limited_behind_authentication() {
    let door = TestDoor::new();
    let south = || delivery("pyxis-south", ORDERS, "PYX-1");
    let mut statuses = vec![];
    for _ in 0..3 {
        door.send(with(south(), "x-fsm-signature", "v1=")).await; // takes no token of the tenant's
        statuses.push(door.send(south()).await.status.as_u16());
    }
    assert_eq!(statuses, [202, 202, 429]);

    let refused = door.send(with(south(), "content-type", "text/plain")).await;
    let other_tenant = door.send(order("PYX-1")).await;
    door.clock.advance(8_000);
    let later = door.send(south()).await;

    assert_eq!(refused.summary(), (429, "RATE_LIMITED", "RATE_LIMITED", ""));
    assert_eq!(refused.header("retry-after"), Some("8"));
    assert_eq!((other_tenant.status.as_u16(), later.status.as_u16()), (202, 202));
}

#[tokio::test]
async fn what_no_route_takes_is_404_and_what_no_method_takes_405_with_those_that_do() {
    let door = TestDoor::new();
    let request = |method: &str, uri: &str| Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
    for (method, uri, status, allow) in [
        ("POST", "/", 404, None),
        ("POST", "/api/v1/adapters/sales/pyxis/orders/", 404, None),
        ("POST", "/api/v1/adapters/sales/pyxis/orders/%ff/cancellation", 404, None),
        ("GET", "/healthz", 404, None),
        ("GET", ORDERS, 405, Some("POST")),
        ("HEAD", ORDERS, 405, Some("POST")),
        ("OPTIONS", ORDERS, 405, Some("POST")),
        ("DELETE", "/api/v1/orders/x", 405, Some("GET, HEAD")),
    ] {
        let answered = door.send(request(method, uri)).await;

        assert_eq!(answered.status, status, "{method} {uri}");
        assert_eq!(answered.header("allow"), allow, "{method} {uri}");
        assert!(answered.header("x-correlation-id").is_some(), "{method} {uri}");
    }
}

#[tokio::test]
async fn the_values_of_a_path_are_decoded_and_named_as_the_adapter_names_them() {
    let door = TestDoor::new();

    let pyxis = door.send(delivery("pyxis-north", &format!("{ORDERS}/PYX%20%2F1/cancellation"), "x")).await;
    let tempo = "/api/v1/adapters/sales/tempo/services/T-1/cancellation";
    let tempo = door.send(delivery("tempo-north", tempo, "x")).await;

    assert_eq!(pyxis.body["externalOrderId"], "order_id=PYX /1");
    assert_eq!(tempo.body["externalOrderId"], "request_id=T-1");
}

#[tokio::test]
async fn requests_are_counted_by_the_route_as_declared_and_by_status() {
    let door = TestDoor::new();
    let cancellation = "/api/v1/adapters/sales/pyxis/orders/{order_id}/cancellation";
    door.send(delivery("pyxis-north", &format!("{ORDERS}/1/cancellation"), "x")).await;
    door.send(delivery("pyxis-north", &format!("{ORDERS}/2/cancellation"), "bad")).await;
    door.send(delivery("pyxis-north", "/nowhere", "x")).await;

    for (route, status) in [(cancellation, "202"), (cancellation, "422"), ("unmatched", "404")] {
        assert_eq!(door.metrics.door_requests.with_label_values(&[route, status]).get(), 1, "{route} {status}");
    }
    assert_eq!(door.metrics.rejections.with_label_values(&["pyxis-north", "FIELD_REQUIRED"]).get(), 1);
}

#[tokio::test]
async fn a_table_with_unusable_or_colliding_paths_is_refused_and_the_one_in_force_stays() {
    let door = TestDoor::new();
    let post = |path| -> Arc<dyn InboundRoute> { Arc::new(Scripted { adapter: "other", method: Method::POST, path }) };
    for (routes, message) in [
        (
            vec![post("/a/{*rest}")],
            "path `/a/{*rest}` of adapter `other`: expected literal and `{name}` segments, no name twice",
        ),
        (vec![post("/a/{x}"), post("/a/{y}")], "`POST /a/{y}` of adapter `other` is taken by `other`"),
        (vec![post("/api/v1/orders/{id}")], "`POST /api/v1/orders/{id}` of adapter `other` is taken by `the gateway`"),
    ] {
        let refused: Error = door.door.install(Installation { routes, senders: vec![] }).unwrap_err();

        assert_eq!(refused.to_string(), message);
        assert_eq!(door.send(order("PYX-1")).await.status, 202);
    }
}

#[tokio::test]
async fn a_new_table_is_in_force_from_the_next_request_on() {
    let door = TestDoor::new();
    let get = Scripted { adapter: "pyxis", method: Method::GET, path: ORDERS };
    let post = Scripted { adapter: "pyxis", method: Method::POST, path: ORDERS };

    door.door
        .install(Installation { routes: vec![Arc::new(get), Arc::new(post)], senders: vec![(pyxis(), "pyxis".into())] })
        .unwrap();

    assert_eq!(door.send(order("PYX-1")).await.status, 202);
    assert_eq!(door.send(delivery("pyxis-south", ORDERS, "PYX-1")).await.status, 401, "its binding is gone");
    assert_eq!(
        door.send(Request::delete(ORDERS).body(Body::empty()).unwrap()).await.header("allow"),
        Some("GET, POST")
    );
}
