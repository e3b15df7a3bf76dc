//! Records of topics as framed Avro: read by the schema that wrote them, whoever gives out its id.

use serde_json::{Value, json};

use crate::support::{Client, Gateway, pyxis};
use crate::topics_in::{CREATED, UPDATED};

const NORMALIZED_EVENT: &str = "integration.sales.order.normalized";
const FAILED_EVENT: &str = "integration.sales.order.failed";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_and_the_order_in_it_are_the_same_order() {
    let gateway = Gateway::start();
    meet_the_envelope(&gateway.client()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_is_not_what_its_frame_says_is_rejected_and_stops_nothing() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let key = "FR_PYX-1";
    client.put(CREATED, key, &[0, 0, 1, 134, 159, 2]).await; // nobody knows this id
    client.put(CREATED, key, &[0]).await;
    let other = json!({"event_id": "e", "event_timestamp": 1, "service_order_id": "s"});
    client.put_avro(CREATED, key, "ServiceOrderCancelled", &other).await;
    client.put_avro(CREATED, key, "PyxisOrderCreated", &envelope("PYX-1")).await;

    client.events_of(NORMALIZED_EVENT, "PYX-1", 1).await;

    for failed in client.first_events(FAILED_EVENT, 3).await {
        assert_eq!(failed["value"]["error_code"], "SCHEMA_MISMATCH", "{failed}");
        assert_eq!(failed["value"]["external_order_id"], "unknown", "{failed}");
    }
}

/// The order of the contract as `PyxisOrderCreated`, its native document inside, then by REST, then updated.
pub async fn meet_the_envelope(client: &Client) {
    client.put_avro(CREATED, "FR_PYX-A", "PyxisOrderCreated", &envelope("PYX-A")).await;
    client.events_of(NORMALIZED_EVENT, "PYX-A", 1).await;
    client.deliver(&pyxis::order("PYX-A")).await.assert_accepted();
    let mut updated = envelope("PYX-A");
    updated["updated_at"] = json!(1_772_616_000_000_i64);
    updated["store_id"] = json!("FR-LYO-05");
    client.put_avro(UPDATED, "FR_PYX-A", "PyxisOrderUpdated", &updated).await;

    client.events_of("integration.sales.order_updated", "PYX-A", 1).await;
    let order = client.order("PYX-A").await;
    let outcomes: Vec<_> = order["journey"].as_array().expect("steps").iter().map(|step| &step["outcome"]).collect();
    assert_eq!(outcomes, ["accepted", "duplicate", "accepted"], "{order}");
    assert_eq!(order["canonical"]["store_id"], "FR-LYO-05", "{order}");
    assert_eq!(order["canonical"]["total"]["amount"], "1490.00", "from the document inside: {order}");
}

fn envelope(order_id: &str) -> Value {
    json!({
        "event_id": "0b8f4c6e-0000-4000-8000-000000000001",
        "event_timestamp": 1_772_612_131_000_i64,
        "pyxis_order_id": order_id,
        "sales_channel": "STORE",
        "country_code": "FR",
        "bu_code": "BU_FR_HOME",
        "store_id": "FR-LYO-04",
        "customer": {"customer_id": "C-558120", "name": "Maëlle Tessier", "email": "maelle.tessier@example.org",
            "phone": "06 55 51 23 40"},
        "products": [{"product_id": "KIT-INST-STD", "quantity": 1, "service_type": "INSTALL_KITCHEN"}],
        "address": {"street": "8 quai des Tilleuls", "city": "Lyon", "postal_code": "69007", "country": "FR"},
        "raw_payload": pyxis::order(order_id).to_string(),
    })
}

#[cfg(feature = "test-registry")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_a_registry_are_asked_for_and_understood() {
    use crate::support::gateway::root;
    use crate::support::services::Services;
    use crate::support::{Options, crossdock};

    let services = Services::start_these("registry", &["registry"]);
    let url = services.variable("SCHEMA_REGISTRY_URL");
    let folder = tempfile::TempDir::new().expect("a temporary directory");
    let file = folder.path().join("crossdock.toml");
    let schemas = root().join("schemas");
    std::fs::write(&file, format!("schemas_dir = \"{}\"\n[registry]\nurl = \"{url}\"\n", schemas.display()))
        .expect("written");
    let registered = crossdock().args(["schemas", "register", "--config"]).arg(&file).output().expect("it runs");
    assert!(registered.status.success(), "{}", String::from_utf8_lossy(&registered.stderr));
    let top = format!("registry.url = \"{url}\"");

    let gateway = Gateway::start_with(&Options { top, ..Options::default() });

    meet_the_envelope(&gateway.client()).await;
}
