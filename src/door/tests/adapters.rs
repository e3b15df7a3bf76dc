//! The door with the adapters of the repository.

use super::*;
use crate::config::binding::Parameter;
use crate::normalize::AdapterSet;
use std::path::Path;

/// The order printed in the contract.
const ORDER: &str = r#"{
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
const CANCELLATION: &str = r#"{"order_id": "PYX-FR-20260304-7731", "cancelled_at": "2026-03-04T09:00:00Z",
    "reason_code": "CUSTOMER_REQUEST"}"#;

fn door() -> TestDoor {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let adapters = AdapterSet::load(&root.join("mappings"), &root.join("schemas")).unwrap();
    let mut binding = (*pyxis()).clone();
    binding.parameters.insert("bu_codes".into(), Parameter::List(vec!["BU_FR_HOME".into()]));
    let door = TestDoor::new();
    door.door.install(Installation::of(&adapters, &[Arc::new(binding)]).unwrap()).unwrap();
    door
}

#[tokio::test]
async fn the_order_of_the_contract_is_received_under_its_id() {
    let door = door();

    let answered = door.send(delivery("pyxis-north", ORDERS, ORDER)).await;

    assert_eq!(answered.status, 202, "{}", answered.body);
    assert_eq!(answered.body["orderId"], "8fc78ce8-6c4a-55d8-aaaa-f149200431d2");
    assert_eq!(answered.body["externalOrderId"], "PYX-FR-20260304-7731");
    assert_eq!(door.stored()[0].record.key.as_deref(), Some(b"north|pyxis|PYX-FR-20260304-7731".as_slice()));
}

#[tokio::test]
async fn a_payload_is_answered_by_what_is_wrong_with_it() {
    let here = format!("{ORDERS}/PYX-FR-20260304-7731/cancellation");
    let other = format!("{ORDERS}/PYX-FR-20260304-7732/cancellation");
    for (path, body, summary) in [
        (ORDERS, "{", (400, "REJECTED", "MALFORMED_PAYLOAD", "")),
        (ORDERS, "", (400, "REJECTED", "MALFORMED_PAYLOAD", "")),
        (
            ORDERS,
            &ORDER.replace("\"PYX-FR", "7, \"x\": \"").replace("order_id", "order_ids"),
            (422, "REJECTED", "FIELD_REQUIRED", "/order_id"),
        ),
        (
            ORDERS,
            &ORDER.replace("INSTALL_KITCHEN", "BUILD_KITCHEN"),
            (422, "REJECTED", "UNKNOWN_CODE", "/line_items/0/service_code"),
        ),
        (&here, CANCELLATION, (202, "RECEIVED", "", "")),
        (&other, CANCELLATION, (422, "REJECTED", "BUSINESS_RULE", "/order_id")),
    ] {
        let door = door();

        let answered = door.send(delivery("pyxis-north", path, body)).await;

        assert_eq!(answered.summary(), summary, "{path} {body}: {}", answered.body);
        assert_eq!(door.stored().len(), 1, "{path} {body}");
    }
}
