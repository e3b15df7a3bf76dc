//! Payloads of Tempo.

use serde_json::{Value, json};

pub const SERVICES: &str = "/api/v1/adapters/sales/tempo/services";

/// The request printed in Tempo's contract, with its bytes as printed.
pub const EXAMPLE: &str = include_str!("../../../mappings/tempo/cases/order/input.json");

/// The printed request under another id.
pub fn request(request_id: &str) -> Value {
    let mut request: Value = serde_json::from_str(EXAMPLE).expect("the example is JSON");
    request["request_id"] = json!(request_id);
    request
}

/// The request updated the morning after, as an emergency.
pub fn update(request_id: &str) -> Value {
    let mut request = request(request_id);
    request["updated_timestamp"] = json!("2026-03-12T06:30:00Z");
    request["request_type"] = json!("EMERGENCY");
    request
}

pub fn cancellation(request_id: &str) -> Value {
    json!({"request_id": request_id, "cancelled_timestamp": "2026-03-12T07:55:00Z",
        "cancellation_reason": "Solved by a neighbour", "reason_code": "CUSTOMER_REQUEST"})
}
