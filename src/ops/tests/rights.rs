//! Who may do what, and what anyone may see.

use serde_json::json;

use super::*;

#[tokio::test]
async fn only_health_is_open_and_every_role_has_its_rights() {
    let ops = TestOps::new(MemoryStore::default());
    ops.readiness.ready("log");
    let events = format!("/api/v1/ops/events/{TOPIC}?follow=false");
    let payload = format!("/api/v1/ops/payloads/{}", "0".repeat(64));
    for (method, uri, tokens) in [
        // no token, viewer, writer, operator, admin, client, an admin of one tenant
        ("GET", "/healthz", [200, 200, 200, 200, 200, 200, 200]),
        ("GET", "/readyz", [200, 200, 200, 200, 200, 200, 200]),
        ("GET", "/health", [200, 200, 200, 200, 200, 200, 200]),
        ("GET", "/metrics", [401, 200, 403, 200, 200, 403, 200]),
        ("GET", &events, [401, 200, 403, 200, 200, 403, 200]),
        ("POST", &events, [401, 403, 201, 403, 201, 403, 403]),
        ("GET", "/api/v1/ops/orders/pyxis/1", [401, 404, 403, 404, 404, 403, 404]),
        ("GET", &payload, [401, 403, 403, 404, 404, 403, 403]),
        ("GET", "/nowhere", [404, 404, 404, 404, 404, 404, 404]),
        ("DELETE", &events, [405, 405, 405, 405, 405, 405, 405]),
    ] {
        for (token, expected) in
            ["", "viewer", "writer", "operator", "admin", "client", "north-admin"].iter().zip(tokens)
        {
            let answered = ops.ask(method, uri, token, "{}").await;

            assert_eq!(answered.status, expected, "{method} {uri} as `{token}`");
            if !answered.status.is_success() {
                assert_eq!(answered.content_type(), "application/problem+json", "{method} {uri} as `{token}`");
                assert_eq!(answered.json().await["status"], expected, "{method} {uri} as `{token}`");
            }
        }
    }
    assert_eq!(ops.get("/metrics", "nobody").await.status, 401);
}

#[tokio::test]
async fn readiness_names_the_reasons() {
    let ops = TestOps::new(MemoryStore::default());
    ops.readiness.ready("log");
    ops.readiness.not_ready("sequencer", "recovering");

    let ready = ops.get("/readyz", "").await;
    let health = ops.get("/health", "").await;

    assert_eq!((ready.status.as_u16(), health.status.as_u16()), (503, 503));
    assert_eq!(ready.json().await, json!({"status": "not ready", "parts": {"log": "ok", "sequencer": "recovering"}}));
    assert_eq!(health.json().await, json!({"status": "unhealthy", "checks": {"log": "up", "sequencer": "down"}}));
}

#[tokio::test]
async fn a_method_nobody_takes_is_answered_with_those_that_are() {
    let ops = TestOps::new(MemoryStore::default());

    let answered = ops.ask("DELETE", &format!("/api/v1/ops/events/{TOPIC}"), "admin", Body::empty()).await;

    assert_eq!(answered.headers["allow"], "GET,HEAD,POST");
}
