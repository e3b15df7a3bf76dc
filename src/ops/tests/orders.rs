//! Orders, their journeys and their payloads.

use serde_json::json;

use super::*;
use crate::canonical::ids::{OrderKey, Sha256Digest};
use crate::store::{Accepted, LaneId, LedgerEntry, OrderState, Origin, ParkedUpdate, Phase, Tombstone};

fn key(tenant_id: &str) -> OrderKey {
    OrderKey { tenant_id: tenant_id.into(), source_key: "pyxis".into(), external_order_id: "PYX/1".into() }
}

fn state(tenant_id: &str, phase: Phase) -> OrderState {
    OrderState { key: key(tenant_id), phase, parked: vec![], changed_at: 0 }
}

fn received() -> Phase {
    Phase::Received(Accepted {
        revision: 1,
        digest: Sha256Digest::of(b""),
        canonical: r#"{"total":1490.00}"#.into(),
        transformation_version: "pyxis/1.0.0".into(),
    })
}

fn entry(tenant_id: &str, detail: &str) -> LedgerEntry {
    LedgerEntry {
        order: key(tenant_id).service_order_id(),
        lane: LaneId { topic: "crossdock.intake".into(), partition: 3 },
        origin: Origin::Release { offset: 17, parked: 4 },
        at: NOW_S * 1000,
        detail: detail.into(),
    }
}

#[tokio::test]
async fn an_order_is_shown_with_its_whole_journey() {
    let waiting = ParkedUpdate { offset: 4, revision: 2, expires_at: 0, value: Bytes::new(), traceparent: None };
    let store = MemoryStore {
        orders: vec![OrderState { parked: vec![waiting], ..state("north", received()) }],
        ledger: vec![entry("north", r#"{"what":"created","outcome":"accepted"}"#), entry("north", "damaged")],
        ..MemoryStore::default()
    };
    let ops = TestOps::new(store);

    let answered = ops.get("/api/v1/ops/orders/pyxis/PYX%2F1", "viewer").await;

    let origin = json!({"topic": "crossdock.intake", "partition": 3, "offset": 17});
    let at = "2026-03-04T08:15:30.000Z";
    let canonical: Value = serde_json::from_str(r#"{"total":1490.00}"#).unwrap();
    let expected = json!({"order_id": key("north").service_order_id(), "tenant_id": "north", "source_key": "pyxis",
        "external_order_id": "PYX/1", "state": "RECEIVED", "canonical": canonical, "parked": 1,
        "journey": [{"what": "created", "outcome": "accepted", "at": at, "origin": origin},
            {"at": at, "origin": origin}]});
    assert_eq!(answered.json().await, expected);
}

#[tokio::test]
async fn the_tenant_of_an_order_is_the_one_named_or_the_only_one() {
    let tombstone = Tombstone { offset: 1, cancelled_at: 1, reason_code: "OTHER".into(), reason: None, expires_at: 2 };
    let store = MemoryStore {
        orders: vec![
            state("north", received()),
            state("gone", Phase::Tombstone(tombstone)), // a tenant that is configured no more must be named
        ],
        ledger: vec![entry("south", r#"{"what":"rejection","outcome":"rejected"}"#)],
        ..MemoryStore::default()
    };
    let ops = TestOps::new(store);
    let uri = "/api/v1/ops/orders/pyxis/PYX%2F1";
    for (question, token, status, state) in [
        ("?tenant=north", "viewer", 200, "RECEIVED"),
        ("?tenant=south", "viewer", 200, "UNKNOWN"), // rejected only: a journey without an order
        ("?tenant=gone", "viewer", 200, "TOMBSTONE"),
        ("?tenant=other", "viewer", 404, ""),
        ("", "viewer", 409, ""),
        ("", "north", 200, "RECEIVED"),
        ("?tenant=north", "north", 200, "RECEIVED"),
        ("?tenant=south", "north", 404, ""),
    ] {
        let answered = ops.get(&format!("{uri}{question}"), token).await;

        assert_eq!(answered.status, status, "{question} as {token}");
        assert_eq!(answered.json().await["state"].as_str().unwrap_or_default(), state, "{question} as {token}");
    }
}

#[tokio::test]
async fn a_payload_is_given_byte_for_byte() {
    let bytes = Bytes::from_static(b"\xff{\"order_id\":1}");
    let digest = Sha256Digest::of(&bytes);
    let ops = TestOps::new(MemoryStore { payloads: [(digest, bytes.clone())].into(), ..MemoryStore::default() });

    let found = ops.get(&format!("/api/v1/ops/payloads/{digest}"), "operator").await;
    let unknown = ops.get("/api/v1/ops/payloads/abc", "operator").await;

    assert_eq!((found.content_type(), unknown.status.as_u16()), ("application/octet-stream", 404));
    assert_eq!(found.bytes().await, bytes);
}

#[tokio::test]
async fn while_the_store_is_down_an_operator_is_told_so() {
    let ops = TestOps::new(MemoryStore { is_down: true, ..MemoryStore::default() });

    let answered = ops.get("/api/v1/ops/orders/pyxis/1", "viewer").await;

    assert_eq!((answered.status.as_u16(), answered.headers["retry-after"].to_str().unwrap()), (503, "5"));
    assert_eq!(answered.json().await["detail"], "store is unavailable: disk full");
}
