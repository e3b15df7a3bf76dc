use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::canonical::rejection::Problem;
use crate::normalize::AdapterSet;
use crate::normalize::tests::{adapters, binding};
use crate::schema::registry::testing::Fake;
use crate::verify::Context;

const ORDER: &[u8] = include_bytes!("../../../mappings/pyxis/cases/order/input.json");
const ADAPTER: &str = "name = \"acme\"\nversion = \"1.0.0\"\nsource_system = \"CUSTOM\"\nsource_key = \"custom.acme\"\n\
    [limits]\nbody_bytes = 1000\n\
    [[topic]]\nname = \"acme.orders\"\ngroup = \"acme-v1\"\n\
    [[topic.avro]]\nrecord = \"com.acme.Cancelled\"\nroute = \"cancelled\"\n\
    [[route]]\nname = \"cancelled\"\ntarget = \"order_cancelled\"\nprogram = \"cancelled.vrl\"\n\
    schema = \"acme/cancelled.schema.json\"\nid = \"/order\"\nrevision = [\"/at\"]\n";
const PROGRAM: &str = "{ \"external_order_id\": order_id(.order), \"cancelled_at\": timestamp(.at, null),\n\
    \"reason_code\": \"OTHER\", \"reason\": quantity(.amount) }";
const PAYLOAD: &str = r#"{"type": "object", "required": ["order", "at"], "properties":
    {"order": {"type": "string"}, "at": {"type": "string"}, "amount": {"type": "number"}}}"#;
const RECORD: &str = r#"{"type": "record", "name": "Cancelled", "namespace": "com.acme", "fields": [
    {"name": "order", "type": "string"}, {"name": "at", "type": "string"},
    {"name": "amount", "type": ["null", "double"]}]}"#;
const OTHER: &str = r#"{"type": "record", "name": "Other", "namespace": "com.acme", "fields": []}"#;
const IDS: &str = "schema = [{ id = 7, record = \"Cancelled\", file = \"events/Cancelled.avsc\" },\n\
    { id = 8, record = \"Other\", file = \"events/Other.avsc\" }]\n";

/// An adapter of one topic without native JSON, and the schemas of its records.
struct Acme {
    folder: tempfile::TempDir,
}

impl Acme {
    fn new(adapter: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in [
            ("mappings/acme/adapter.toml", adapter),
            ("mappings/acme/cancelled.vrl", PROGRAM),
            ("schemas/acme/cancelled.schema.json", PAYLOAD),
            ("schemas/events/Cancelled.avsc", RECORD),
            ("schemas/events/Other.avsc", OTHER),
            ("schemas/ids.toml", IDS),
        ] {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().expect("files are in folders")).expect("a folder");
            fs::write(file, text).expect("a file");
        }
        Self { folder }
    }

    fn adapters(&self) -> Result<AdapterSet, crate::config::report::Report> {
        AdapterSet::load(&self.folder.path().join("mappings"), &self.folder.path().join("schemas"))
    }

    fn topic(&self) -> Arc<TopicRoute> {
        let adapters = self.adapters().unwrap_or_else(|report| panic!("{report}"));
        let topic = adapters.adapter("acme").and_then(|adapter| adapter.topics().next()).cloned();
        topic.expect("the topic is there")
    }

    fn catalogue(&self) -> Catalogue {
        Catalogue::load(self.folder.path().join("schemas")).unwrap_or_else(|report| panic!("{report}"))
    }
}

fn delivery(value: impl Into<Bytes>) -> Verified {
    let context = Context { received_from: "acme.orders".into(), ..Context::default() };
    Verified::by_operator(Arc::new(binding()), value.into(), context)
}

fn pyxis(topic: &str) -> Arc<TopicRoute> {
    let adapters = adapters();
    let pyxis = adapters.adapter("pyxis").expect("the adapter is there");
    pyxis.topics().find(|route| route.topic() == topic).cloned().expect("the topic is there")
}

fn rejection(draft: &Draft) -> Problem {
    match &draft.body {
        DraftBody::Rejection(rejection) => rejection.problems().first().cloned().expect("a problem"),
        _ => panic!("expected a rejection, found {draft:?}"),
    }
}

#[test]
fn a_native_value_is_mapped_as_its_route_does() {
    let topic = pyxis("sales.pyxis.order.created");
    let marked = [b"\xef\xbb\xbf", ORDER].concat();
    let spaced = [b"\r\n\t ", ORDER].concat();

    for value in [ORDER.to_vec(), marked, spaced] {
        let draft = topic.normalize(&delivery(value), &crate::schema::tests::catalogue()).expect("mapped");

        let DraftBody::Order(order) = &draft.body else { panic!("expected an order, found {draft:?}") };
        assert_eq!(order.digest.to_string(), "abe06f7d585ef87d46c736e04388111f01943047fa37a63adc574b88580dce53");
    }
    assert_eq!(topic.group(), "integration-adapters-sales-pyxis-orders-v1");
    assert_eq!((topic.adapter().name.as_str(), topic.max_bytes()), ("pyxis", 2 << 20));
}

#[test]
fn a_framed_value_is_decoded_by_the_schema_that_wrote_it() {
    let acme = Acme::new(ADAPTER);
    let topic = acme.topic();
    let record = json!({"order": "A-1", "at": "2026-03-04T08:15:30Z", "amount": 1.1});
    let framed = acme.catalogue().encode_json("Cancelled", &record).expect("a record");

    let draft = topic.normalize(&delivery(framed.clone()), &acme.catalogue()).expect("mapped");

    let DraftBody::Cancellation(cancellation) = &draft.body else { panic!("expected a cancellation, found {draft:?}") };
    assert_eq!((cancellation.cancelled_at, cancellation.reason.as_deref()), (1_772_612_130_000, Some("1.1")));
    assert_eq!((draft.head.external_order_id.as_deref(), &draft.raw), (Some("A-1"), &framed));
}

#[test]
fn an_envelope_has_the_digest_of_the_native_order_in_it() {
    let catalogue = crate::schema::tests::catalogue();
    let adapters = adapters();
    for (adapter, topic, record, case) in [
        ("pyxis", "sales.pyxis.order.created", "PyxisOrderCreated", "envelope"),
        ("pyxis", "sales.pyxis.order.updated", "PyxisOrderUpdated", "envelope_updated_has_its_own_revision"),
        ("tempo", "sales.tempo.service.requested", "TempoServiceRequested", "envelope"),
    ] {
        let adapter = adapters.adapter(adapter).expect("the adapter is there");
        let file = adapter.folder().join("cases").join(case).join("input.json");
        let mut document: serde_json::Value = serde_json::from_slice(&fs::read(file).expect("a case")).expect("JSON");
        let native = document["raw_payload"].to_string();
        document["raw_payload"] = native.clone().into();
        let framed = catalogue.encode_json(record, &document).expect("a record");
        let topic = adapter.topics().find(|route| route.topic() == topic).expect("the topic is there");
        let binding = Arc::new(crate::normalize::cases::binding(adapter).unwrap_or_else(|report| panic!("{report}")));

        let [enveloped, bare] = [framed, Bytes::from(native)].map(|value| {
            let delivery = Verified::by_operator(Arc::clone(&binding), value, Context::default());
            match topic.normalize(&delivery, &catalogue).expect("mapped").body {
                DraftBody::Order(order) => order,
                body => panic!("expected an order, found {body:?}"),
            }
        });

        assert_eq!(enveloped.digest, bare.digest, "{record}");
        if record == "PyxisOrderCreated" {
            let printed = "abe06f7d585ef87d46c736e04388111f01943047fa37a63adc574b88580dce53";
            assert_eq!(enveloped.digest.to_string(), printed);
            assert_eq!(enveloped.revision_field, "/raw_payload/created_at");
            assert_eq!(enveloped.order.revision, bare.order.revision);
        }
    }
}

#[test]
fn an_envelope_of_too_many_products_is_refused() {
    let catalogue = crate::schema::tests::catalogue();
    let case = include_str!("../../../mappings/pyxis/cases/envelope/input.json");
    let mut document: serde_json::Value = serde_json::from_str(case).expect("JSON");
    document["raw_payload"] = "".into();
    for (products, field) in [(10_000, None), (10_001, Some("/products"))] {
        document["products"] = vec![document["products"][0].clone(); products].into();
        let framed = catalogue.encode_json("PyxisOrderCreated", &document).expect("a record");

        let draft = pyxis("sales.pyxis.order.created").normalize(&delivery(framed), &catalogue).expect("a draft");

        match field {
            Some(field) => {
                let problem = rejection(&draft);
                assert_eq!((problem.code, problem.field.as_str()), (Code::LimitExceeded, field));
            }
            None => assert!(matches!(draft.body, DraftBody::Order(_)), "{products}"),
        }
    }
}

#[test]
fn no_value_in_any_place_makes_the_mapping_of_an_envelope_fail() {
    let catalogue = crate::schema::tests::catalogue();
    let case = include_str!("../../../mappings/pyxis/cases/envelope/input.json");
    let document: serde_json::Value = serde_json::from_str(case).expect("JSON");
    let topic = pyxis("sales.pyxis.order.created");
    let odd = [
        "null",
        "true",
        "0",
        "-1",
        "1e400",
        "\"\"",
        "\"\\u0000\"",
        "\"?\"",
        "[]",
        "[null]",
        "{}",
        r#"{"$number": "1"}"#,
    ];
    for place in [
        "/order_id",
        "/created_at",
        "/updated_at",
        "/customer",
        "/customer/first_name",
        "/line_items",
        "/line_items/0",
        "/line_items/0/line_number",
        "/line_items/0/service_code",
        "/line_items/0/estimated_duration_minutes",
        "/line_items/0/requires_technical_visit",
        "/total_amount",
        "/total_amount/value",
        "/delivery_date",
        "",
    ] {
        for value in odd {
            let mut native = document["raw_payload"].clone();
            native["updated_at"] = json!("2026-03-05T00:00:00Z");
            native["line_items"][0]["requires_technical_visit"] = json!(true);
            *native.pointer_mut(place).expect("the place is there") = serde_json::from_str(value).expect("JSON");
            let mut record = document.clone();
            record["raw_payload"] = native.to_string().into();
            let framed = catalogue.encode_json("PyxisOrderCreated", &record).expect("a record");

            let draft = topic.normalize(&delivery(framed), &catalogue);

            assert!(draft.is_ok(), "{value} at {place}: {draft:?}");
        }
    }
}

#[test]
fn every_mistake_of_an_embedded_document_is_reported() {
    let embedded =
        |text: &str| ADAPTER.replace("revision = [\"/at\"]\n", &format!("revision = [\"/at\"]\nembedded = {text}\n"));
    for (text, expected) in [
        (
            "{ at = \"/note\", id = \"/id\" }",
            "acme/adapter.toml:13: route `cancelled`: `embedded`: expected `/note` to be an object that is not required",
        ),
        (
            "{ at = \"/amount\", id = \"/id\" }",
            "expected `/amount/id` to be text in the schema `acme/cancelled.schema.json`",
        ),
        ("{ at = \"/order\", id = \"/id\" }", "expected `/order` to be an object that is not required"),
        ("{ at = \"order\", id = \"/id\" }", "acme/adapter.toml:20:19: `at`: expected a JSON pointer"),
        ("{ at = \"/order\" }", "acme/adapter.toml:20:12: `route.embedded.id` is missing: expected text"),
        ("{ at = \"\", id = \"/id\" }", "acme/adapter.toml:20:19: `at`: expected the pointer of a member"),
    ] {
        let report = Acme::new(&embedded(text)).adapters().expect_err(expected).to_string();

        assert!(report.contains(expected), "expected {expected}\nfound {report}");
    }
}

#[test]
fn a_value_of_neither_form_is_a_schema_mismatch() {
    let acme = Acme::new(ADAPTER);
    let (topic, catalogue) = (acme.topic(), acme.catalogue());
    let record = json!({"order": "A-1", "at": "2026-03-04T08:15:30Z", "amount": null});
    let framed = catalogue.encode_json("Cancelled", &record).expect("a record").to_vec();
    let cut = framed[..framed.len() - 1].to_vec();
    let with_more = [framed.as_slice(), b"\0"].concat();

    for (value, message) in [
        (b"".to_vec(), "value of 0 bytes is not framed Avro"),
        (b"\0".to_vec(), "value of 1 bytes is not framed Avro"),
        (b"order A-1".to_vec(), "value of 9 bytes is not framed Avro"),
        (b"\x01\0\0\0\x07".to_vec(), "value of 5 bytes is not framed Avro"),
        (b"\0\0\0\0\x07".to_vec(), "record `Cancelled` cannot be read, at `/order`: the value is cut off"),
        (cut, "the value is cut off"),
        (with_more, "record `Cancelled` ends 1 bytes before its value does"),
        (b"\0\0\0\0\x09".to_vec(), "no schema with id 9"),
        (b"\0\0\0\0\x08".to_vec(), "expected record `com.acme.Cancelled`, found `com.acme.Other`"),
        (b"{}".to_vec(), "expected framed Avro, found what may be JSON"),
    ] {
        let draft = topic.normalize(&delivery(value.clone()), &catalogue).expect("a draft");

        let problem = rejection(&draft);
        assert_eq!((problem.code, problem.field.as_str()), (Code::SchemaMismatch, ""), "{value:?}");
        assert!(problem.message.contains(message), "{value:?}: {}", problem.message);
        assert_eq!(draft.head.external_order_id, None, "{value:?}");
    }
    let native = pyxis("sales.pyxis.order.cancelled").native().is_some();
    assert!(native, "a topic of both forms takes JSON");
}

#[test]
fn a_decoded_record_is_judged_like_any_payload() {
    let acme = Acme::new(ADAPTER);
    let (topic, catalogue) = (acme.topic(), acme.catalogue());

    for (record, code, field) in [
        (json!({"order": "A-1", "at": " ", "amount": null}), Code::FieldRequired, "/at"),
        (json!({"order": "A 1", "at": "soon", "amount": 1.0}), Code::InvalidFormat, "/order"),
        (json!({"order": "A-1", "at": "2026-03-04T08:15:30Z", "amount": "NaN"}), Code::InvalidType, "/amount"),
        (json!({"order": "A-1", "at": "2026-03-04T08:15:30Z", "amount": -1.5}), Code::InvalidFormat, "/amount"),
    ] {
        let framed = catalogue.encode_json("Cancelled", &record).expect("a record");

        let draft = topic.normalize(&delivery(framed), &catalogue).expect("a draft");

        let problem = rejection(&draft);
        assert_eq!((problem.code, problem.field.as_str()), (code, field), "{record}");
    }
}

#[tokio::test]
async fn a_schema_the_registry_was_not_asked_for_rejects_nothing() {
    let acme = Acme::new(ADAPTER);
    let topic = acme.topic();
    let record = json!({"order": "A-1", "at": "2026-03-04T08:15:30Z", "amount": null});
    let mut framed = acme.catalogue().encode_json("Cancelled", &record).expect("a record").to_vec();
    framed[4] = 42;
    let fake = Fake::start().await;
    let clock = Arc::new(crate::clock::ManualClock::at(0));
    let catalogue = acme.catalogue().with_registry(fake.registry(clock.clone()), clock);
    let delivery = delivery(framed.clone());

    assert!(matches!(topic.normalize(&delivery, &catalogue), Err(TopicDefect::Unlearned { .. })));

    fake.says("GET /schemas/ids/42", 200, json!({ "schema": RECORD }));
    catalogue.learn_from(&framed).await.expect("the registry knows it");
    let draft = topic.normalize(&delivery, &catalogue).expect("mapped");
    assert!(matches!(draft.body, DraftBody::Cancellation(_)), "{draft:?}");
    framed[4] = 43;
    let unknown = self::delivery(framed.clone());
    catalogue.learn_from(&framed).await.expect_err("the registry does not know it");
    let draft = topic.normalize(&unknown, &catalogue).expect("a draft");
    assert_eq!(rejection(&draft).message, "no schema with id 43");
}

#[test]
fn every_mistake_of_a_topic_is_reported_with_its_line() {
    for (from, to, expected) in [
        ("acme-v1", "", "acme/adapter.toml:9:9: `group`: expected 1 to 249 letters, digits, `.`, `_`, `-`"),
        ("group = \"acme-v1\"\n", "", "acme/adapter.toml:7:1: `topic.group` is missing: expected text"),
        ("acme.orders", "acme orders", "acme/adapter.toml:8:8: `name`: expected 1 to 249 letters, digits"),
        (
            "route = \"cancelled\"",
            "route = \"canceled\"",
            "acme/adapter.toml:12:9: `route`: no route `canceled`, expected one of: cancelled",
        ),
        ("com.acme.Cancelled", "Cancelled", "acme/adapter.toml:10: `record`: no schema of record `Cancelled` among"),
        (
            "[[topic.avro]]\nrecord = \"com.acme.Cancelled\"\nroute = \"cancelled\"\n",
            "",
            "acme/adapter.toml:7:1: expected a `route` for JSON values, `[[topic.avro]]` for framed Avro values, or both",
        ),
        (
            "[[route]]",
            "[[topic]]\nname = \"acme.orders\"\ngroup = \"g\"\nroute = \"cancelled\"\n[[route]]",
            "acme/adapter.toml:14:8: a second topic `acme.orders`",
        ),
        (
            "[[route]]",
            "[[topic.avro]]\nrecord = \"com.acme.Cancelled\"\nroute = \"cancelled\"\n[[route]]",
            "acme/adapter.toml:14:10: a second route for record `com.acme.Cancelled`",
        ),
        ("group = ", "partitions = 3\ngroup = ", "acme/adapter.toml:9:1: unknown key `topic.partitions`"),
    ] {
        let report = Acme::new(&ADAPTER.replacen(from, to, 1)).adapters().expect_err(expected).to_string();

        assert!(report.contains(expected), "expected {expected}\nfound {report}");
    }
}
