//! Payloads of Pyxis.

use serde_json::{Value, json};

/// The order printed in Pyxis's contract, with its bytes as printed.
pub const EXAMPLE: &str = r#"{
  "order_id": "PYX-FR-20260304-7731",
  "created_at": "2026-03-04T09:15:30+01:00",
  "channel": "STORE",
  "store": {"store_id": "FR-LYO-04", "country_code": "FR", "business_unit": "BU_FR_HOME"},
  "customer": {"customer_id": "C-558120", "first_name": "Maëlle", "last_name": "Tessier", "email": "maelle.tessier@example.org", "phone": "06 55 51 23 40"},
  "delivery_address": {"street": "8 quai des Tilleuls", "city": "Lyon", "postal_code": "69007", "country_code": "FR"},
  "line_items": [
    {"line_number": 1, "product_code": "KIT-INST-STD", "product_name": "Kitchen fitting, standard", "quantity": 1, "service_code": "INSTALL_KITCHEN", "estimated_duration_minutes": 480}
  ],
  "total_amount": {"value": 1490.00, "currency": "EUR"},
  "delivery_date": "2026-03-19"
}"#;

/// The printed order under another id.
pub fn order(order_id: &str) -> Value {
    let mut order: Value = serde_json::from_str(EXAMPLE).expect("the example is JSON");
    order["order_id"] = json!(order_id);
    order
}

/// The order updated `minutes` after the creation of the example, with other content.
pub fn update(order_id: &str, minutes: u32) -> Value {
    let mut order = order(order_id);
    order["updated_at"] = json!(format!("2026-03-04T10:{minutes:02}:00+01:00"));
    order["notes"] = json!(format!("changed at minute {minutes}"));
    order
}

pub fn cancellation(order_id: &str) -> Value {
    json!({"order_id": order_id, "country_code": "FR", "cancelled_at": "2026-03-06T17:02:00+01:00",
        "reason_code": "CUSTOMER_REQUEST", "reason": "Kitchen no longer wanted"})
}
