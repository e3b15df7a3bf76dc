//! What a sender may read of its orders.

use super::*;
use crate::canonical::ids::{OrderKey, Sha256Digest};
use crate::store::{Accepted, LaneId, LedgerEntry, OrderState, Origin, Phase};
use serde_json::json;

fn key(tenant_id: &str, source_key: &str) -> OrderKey {
    OrderKey { tenant_id: tenant_id.into(), source_key: source_key.into(), external_order_id: "PYX-1".into() }
}

fn state(key: OrderKey, phase: Phase) -> OrderState {
    OrderState { key, phase, parked: vec![], changed_at: 0 }
}

fn received() -> Phase {
    Phase::Received(Accepted {
        revision: 1,
        digest: Sha256Digest::of(b""),
        canonical: r#"{"total":{"amount":"1490.00"}, "lines":[]}"#.into(),
        transformation_version: "pyxis/1.0.0".into(),
    })
}

fn entry(key: &OrderKey, detail: &str) -> LedgerEntry {
    LedgerEntry {
        order: key.service_order_id(),
        lane: LaneId { topic: INTAKE.into(), partition: 0 },
        origin: Origin::Record { offset: 4 },
        at: NOW_S * 1000,
        detail: detail.into(),
    }
}

async fn get(door: &TestDoor, id: &str, token: Option<&str>) -> Answered {
    let mut request = Request::get(format!("/api/v1/orders/{id}"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    door.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_sender_reads_its_order_and_what_became_of_its_messages() {
    let key = key("north", "pyxis");
    let detail = r#"{"what":"created","outcome":"accepted","revision":1772612130000,"received":{"from":"http",
        "at":1772612130000,"binding":"pyxis-north","correlation_id":"my-id"},"events":[{"topic":"t"}]}"#;
    let door = TestDoor::with_store(MemoryStore {
        orders: vec![state(key.clone(), received())],
        ledger: vec![entry(&key, detail)],
        ..MemoryStore::default()
    });

    let answered = get(&door, &key.service_order_id().to_string(), Some("pyxis-north-token")).await;

    assert_eq!(answered.status, 200);
    let expected = json!({"orderId": key.service_order_id(), "externalOrderId": "PYX-1", "state": "RECEIVED",
        "canonical": {"total": {"amount": "1490.00"}, "lines": []},
        "outcomes": [{"at": "2026-03-04T08:15:30.000Z", "what": "created", "outcome": "accepted",
            "revision": 1_772_612_130_000_i64, "receivedAt": "2026-03-04T08:15:30.000Z", "correlationId": "my-id"}]});
    assert_eq!(answered.body, expected);
}

#[tokio::test]
async fn an_order_is_shown_only_to_its_own_tenant_and_source() {
    let [north, south, tempo] = [key("north", "pyxis"), key("south", "pyxis"), key("north", "tempo")];
    let orders = [&north, &south, &tempo].map(|key| state(key.clone(), received())).to_vec();
    let door = TestDoor::with_store(MemoryStore { orders, ..MemoryStore::default() });
    let id = |key: &OrderKey| key.service_order_id().to_string();
    let unknown = Uuid::from_u128(1).to_string();
    for (id, token, status, retry_after) in [
        (id(&north), Some("pyxis-north-token"), 200, None),
        (id(&south), Some("pyxis-north-token"), 404, Some("1")), // no other answer than for an id that never was
        (id(&tempo), Some("pyxis-north-token"), 404, Some("1")),
        (id(&tempo), Some("tempo-north-token"), 200, None),
        (unknown, Some("pyxis-north-token"), 404, Some("1")),
        (id(&north), None, 401, None),
        (id(&north), Some("nobody"), 401, None),
        (id(&north).to_uppercase(), Some("pyxis-north-token"), 404, None),
        ("not-a-uuid".into(), Some("pyxis-north-token"), 404, None),
        ("%ff".into(), Some("pyxis-north-token"), 404, None),
    ] {
        let answered = get(&door, &id, token).await;

        assert_eq!(answered.status, status, "{id} {token:?}");
        assert_eq!(answered.header("retry-after"), retry_after, "{id} {token:?}");
    }
}

#[tokio::test]
async fn while_the_store_is_down_a_reader_is_asked_to_come_again() {
    let door = TestDoor::with_store(MemoryStore { is_down: true, ..MemoryStore::default() });

    let answered = get(&door, &Uuid::from_u128(1).to_string(), Some("pyxis-north-token")).await;

    assert_eq!((answered.status.as_u16(), answered.header("retry-after")), (503, Some("5")));
}
