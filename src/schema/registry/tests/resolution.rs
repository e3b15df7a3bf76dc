//! Values that another version of a schema wrote, and schemas that are not ours.

use serde::Deserialize;
use serde_json::{Value, json};

use super::clock;
use crate::schema::registry::testing::Fake;
use crate::schema::tests::catalogue;
use crate::schema::{Catalogue, Error};

const ID: u32 = 9;

/// Writes `document` as `schema` says, under [`ID`].
fn written(schema: &str, document: &Value) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let record = serde_json::from_str::<Value>(schema).expect("JSON")["name"].as_str().expect("a name").to_owned();
    let ids = format!("schema = [{{ id = {ID}, record = \"{record}\", file = \"events/{record}.avsc\" }}]\n");
    std::fs::create_dir(folder.path().join("events")).expect("a folder in it");
    std::fs::write(folder.path().join("ids.toml"), ids).expect("written");
    std::fs::write(folder.path().join(format!("events/{record}.avsc")), schema).expect("written");
    let writer = Catalogue::load(folder.path()).unwrap_or_else(|report| panic!("{report}"));
    writer.encode_json(&record, document).unwrap_or_else(|error| panic!("{error}")).to_vec()
}

/// The catalogue of this repository, which has met `schema` as [`ID`].
async fn met(schema: &str) -> Catalogue {
    let fake = Fake::start().await;
    fake.has_schema(ID, schema);
    let catalogue = catalogue().with_registry(fake.registry(clock()), clock());
    catalogue.learn(ID).await.expect("learned");
    catalogue
}

/// `ServiceOrderCancelled` with other fields.
fn cancelled(fields: &str) -> String {
    format!(
        r#"{{"type": "record", "name": "ServiceOrderCancelled", "namespace": "com.ahs.fsm.events.projects",
            "fields": [{fields}]}}"#
    )
}

const EVENT_ID: &str = r#"{"name": "event_id", "type": "string"}"#;
const TIMESTAMP: &str = r#"{"name": "event_timestamp", "type": "long"}"#;
const ORDER: &str = r#"{"name": "service_order_id", "type": "string"}"#;
const REASON: &str = r#"{"name": "reason", "type": ["null", "string"], "default": null}"#;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename = "ServiceOrderCancelled")]
struct Cancelled {
    event_id: String,
    event_timestamp: i64,
    service_order_id: String,
    reason: Option<String>,
}

#[tokio::test]
async fn another_version_is_read_as_ours() {
    let full = json!({"event_id": "e", "event_timestamp": 5, "service_order_id": "s", "reason": "r"});
    let without_reason = json!({"event_id": "e", "event_timestamp": 5, "service_order_id": "s", "reason": null});
    let nested = r#"{"name": "event_timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}}"#;
    for (name, fields, written_as, expected) in [
        ("the same", format!("{EVENT_ID},{TIMESTAMP},{ORDER},{REASON}"), full.clone(), &full),
        ("another order", format!("{REASON},{ORDER},{TIMESTAMP},{EVENT_ID}"), full.clone(), &full),
        (
            "older: a field less",
            format!("{EVENT_ID},{TIMESTAMP},{ORDER}"),
            json!({"event_id": "e", "event_timestamp": 5, "service_order_id": "s"}),
            &without_reason,
        ),
        (
            "newer: a field more",
            format!(r#"{EVENT_ID},{TIMESTAMP},{ORDER},{REASON},{{"name": "by", "type": "string", "default": ""}}"#),
            json!({"event_id": "e", "event_timestamp": 5, "service_order_id": "s", "reason": "r", "by": "x"}),
            &full,
        ),
        (
            "a shorter number",
            format!(r#"{EVENT_ID},{{"name": "event_timestamp", "type": "int"}},{ORDER},{REASON}"#),
            full.clone(),
            &full,
        ),
        ("a logical type", format!("{EVENT_ID},{nested},{ORDER},{REASON}"), full.clone(), &full),
        (
            "no longer nullable",
            format!(r#"{EVENT_ID},{TIMESTAMP},{ORDER},{{"name": "reason", "type": "string"}}"#),
            full.clone(),
            &full,
        ),
        (
            "nullable the other way round",
            format!(r#"{EVENT_ID},{TIMESTAMP},{ORDER},{{"name": "reason", "type": ["string", "null"]}}"#),
            full.clone(),
            &full,
        ),
    ] {
        let schema = cancelled(&fields);
        let value = written(&schema, &written_as);
        let catalogue = met(&schema).await;

        let decoded = catalogue.decode(&value).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((decoded.record.as_str(), &decoded.value), ("ServiceOrderCancelled", expected), "{name}");
        let typed: Cancelled = catalogue.decode_as("ServiceOrderCancelled", &value).expect(name);
        assert_eq!(typed.reason.as_deref(), expected["reason"].as_str(), "{name}");
        assert_eq!((typed.event_id.as_str(), typed.event_timestamp), ("e", 5), "{name}");

        let longer = [value.as_slice(), b"\x00"].concat();
        let trailing = Err(Error::TrailingBytes { record: "ServiceOrderCancelled".into(), bytes: 1 });
        assert_eq!(catalogue.decode(&longer), trailing, "{name}");
        // Whatever the bytes: an answer, not a panic.
        for end in 5..value.len() {
            assert!(catalogue.decode(&value[..end]).is_err(), "{name} cut at {end}");
            for bit in 0..8 {
                let mut damaged = value.clone();
                damaged[end] ^= 1 << bit;
                let _ = catalogue.decode(&damaged);
                let _ = catalogue.decode_as::<Cancelled>("ServiceOrderCancelled", &damaged);
            }
        }
    }
}

#[tokio::test]
async fn what_another_version_allows_and_ours_does_not_is_refused_with_its_place() {
    let read = |path: &str, problem: &str| Error::Read {
        record: "ServiceOrderCancelled".into(),
        path: path.into(),
        problem: problem.into(),
    };
    let no_order = cancelled(&format!("{EVENT_ID},{TIMESTAMP},{REASON}"));
    let text_time =
        cancelled(&format!(r#"{EVENT_ID},{{"name": "event_timestamp", "type": "string"}},{ORDER},{REASON}"#));
    for (schema, document, expected) in [
        (
            &no_order,
            json!({"event_id": "e", "event_timestamp": 5, "reason": null}),
            read("/service_order_id", "the schema that wrote it has no such field, and ours no default"),
        ),
        (
            &text_time,
            json!({"event_id": "e", "event_timestamp": "soon", "service_order_id": "s", "reason": null}),
            read("", "the schema that wrote it allows what ours does not"),
        ),
    ] {
        let value = written(schema, &document);
        let catalogue = met(schema).await;

        let error = catalogue.decode(&value).expect_err("it does not fit");

        assert_eq!(error, expected);
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn a_new_symbol_of_an_enum_is_refused_and_its_neighbours_are_read() {
    let text = catalogue().records().find(|entry| entry.record == "FsmOrderStatusUpdated").expect("there").text.clone();
    let newer = text.replacen("\"CUSTOM\"", "\"CUSTOM\", \"SHOPIFY\"", 1);
    assert_ne!(text, newer, "the schema has the enum");
    let mut schema: Value = serde_json::from_str(&newer).expect("JSON");
    let catalogue = met(&newer).await;
    let document = |source: &str| {
        let mut document = json!({});
        for field in schema["fields"].as_array().expect("fields") {
            let name = field["name"].as_str().expect("a name");
            document[name] = match (&field["type"], name) {
                (_, "source_system") => source.into(),
                (Value::String(kind), _) if kind == "string" => "x".into(),
                (Value::String(kind), _) if kind == "long" => 5.into(),
                (Value::Object(kind), _) if kind["type"] == "enum" => kind["symbols"][0].clone(),
                _ => Value::Null,
            };
        }
        document
    };
    let (old, new) = (written(&newer, &document("CUSTOM")), written(&newer, &document("SHOPIFY")));
    schema.take();

    assert_eq!(catalogue.decode(&old).expect("an old symbol").value["source_system"], "CUSTOM");
    let error = catalogue.decode(&new).expect_err("a new symbol");
    assert!(matches!(&error, Error::Read { record, .. } if record == "FsmOrderStatusUpdated"), "{error}");
    assert!(!error.to_string().contains("SHOPIFY"), "{error}");
}

#[tokio::test]
async fn a_record_that_is_not_ours_is_read_by_its_own_schema() {
    let schema = r#"{"type": "record", "name": "Other", "fields": [{"name": "a", "type": "long"}]}"#;
    let value = written(schema, &json!({"a": 5}));
    let catalogue = met(schema).await;

    let decoded = catalogue.decode(&value).expect("read");

    assert_eq!((decoded.record.as_str(), decoded.value), ("Other", json!({"a": 5})));
    assert_eq!(
        catalogue.decode_as::<Cancelled>("ServiceOrderCancelled", &value),
        Err(Error::WrongRecord { expected: "ServiceOrderCancelled".into(), found: "Other".into() })
    );
    let error = catalogue.decode(&[value.as_slice(), b"\x00"].concat()).expect_err("trailing");
    assert_eq!(error, Error::TrailingBytes { record: "Other".into(), bytes: 1 });
}

#[tokio::test]
async fn schemas_that_refer_to_others_are_read_with_them() {
    let fake = Fake::start().await;
    let root = r#"{"type": "record", "name": "Root", "namespace": "n", "fields": [
        {"name": "one", "type": "n.Part"}, {"name": "two", "type": {"type": "array", "items": "n.Part"}}]}"#;
    let part =
        r#"{"type": "record", "name": "Part", "namespace": "n", "fields": [{"name": "kind", "type": "m.Kind"}]}"#;
    let kind = r#"{"type": "enum", "name": "Kind", "namespace": "m", "symbols": ["A", "B"]}"#;
    let refers = |schema: &str, name: &str, subject: &str| json!({"schema": schema, "references": [{"name": name, "subject": subject, "version": 3}]});
    fake.says("GET /schemas/ids/9", 200, refers(root, "n.Part", "part"))
        .says("GET /subjects/part/versions/3", 200, refers(part, "m.Kind", "kind"))
        .says("GET /subjects/kind/versions/3", 200, json!({ "schema": kind }))
        .says("GET /schemas/ids/10", 200, refers(root, "n.Part", "deleted"));
    let catalogue = catalogue().with_registry(fake.registry(clock()), clock());
    catalogue.learn(9).await.expect("learned");
    catalogue.learn(10).await.expect("learned");

    let decoded = catalogue.decode(&[0, 0, 0, 0, 9, 2, 4, 0, 2, 0]).expect("read");
    assert_eq!(decoded.value, json!({"one": {"kind": "B"}, "two": [{"kind": "A"}, {"kind": "B"}]}));

    let error = catalogue.decode(&[0, 0, 0, 0, 10, 2, 0]).expect_err("a reference is gone").to_string();
    let expected =
        "schema 10 of the registry cannot be used: it is not an Avro schema, or refers to one that is not there";
    assert_eq!(error, expected);
}

#[tokio::test]
async fn references_that_never_end_are_given_up() {
    let fake = Fake::start().await;
    for version in 0..100 {
        let next =
            json!({"schema": "\"string\"", "references": [{"name": "x", "subject": "s", "version": version + 1}]});
        fake.says(&format!("GET /subjects/s/versions/{version}"), 200, next);
    }
    let first = json!({"schema": "\"string\"", "references": [{"name": "x", "subject": "s", "version": 0}]});
    fake.says("GET /schemas/ids/9", 200, first);
    let catalogue = catalogue().with_registry(fake.registry(clock()), clock());

    catalogue.learn(ID).await.expect("learned");

    let error = catalogue.decode(&[0, 0, 0, 0, 9]).expect_err("of no use").to_string();
    assert_eq!(error, "schema 9 of the registry cannot be used: it refers to more than 50 others");
}

#[tokio::test]
async fn a_schema_nothing_can_be_read_with_is_a_fact_about_its_values() {
    let deep = format!("{}\"long\"{}", r#"{"type":"array","items":"#.repeat(1000), "}".repeat(1000));
    for (answer, problem) in [
        (json!({"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"}), "it is not an Avro schema"),
        (json!({"schema": "{}", "schemaType": "JSON"}), "it is not an Avro schema"),
        (json!({"schema": "{"}), "it is not JSON"),
        (json!({"schema": deep}), "it is not JSON"),
        (json!({"schema": "\"strnig\""}), "it is not an Avro schema, or refers to one that is not there"),
        (json!({"schema": "\"string\""}), "expected a record, found another type"),
    ] {
        let fake = Fake::start().await;
        fake.says("GET /schemas/ids/9", 200, &answer);
        let catalogue = catalogue().with_registry(fake.registry(clock()), clock());

        catalogue.learn(ID).await.expect("answered");
        let error = catalogue.decode(&[0, 0, 0, 0, 9, 0]).expect_err("of no use");

        assert_eq!(error, Error::Unusable { id: ID, problem: problem.to_owned() });
        assert!(!error.is_transient());
        assert_eq!(fake.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_hostile_schema_cannot_fill_memory_or_stack() {
    let nulls = cancelled(r#"{"name": "n", "type": {"type": "array", "items": "null"}}"#);
    let itself = r#"{"type": "record", "name": "ServiceOrderCancelled", "fields": [
        {"name": "next", "type": ["null", "ServiceOrderCancelled"], "default": null}]}"#;
    let endless = r#"{"type": "record", "name": "ServiceOrderCancelled", "fields": [
        {"name": "next", "type": "ServiceOrderCancelled"}]}"#;
    let bytes = cancelled(r#"{"name": "b", "type": "bytes"}"#);
    let many = [&[0, 0, 0, 0, 9], [0xfe, 0xff, 0xff, 0xff, 0xff, 0x1f].as_slice()].concat();
    let deep = [&[0, 0, 0, 0, 9], [2_u8; 100_000].as_slice()].concat();
    for (schema, value) in [(nulls.as_str(), &many), (itself, &deep), (endless, &deep), (&bytes, &many)] {
        let error = met(schema).await.decode(value).expect_err("refused");

        assert!(matches!(error, Error::Read { .. }), "{error}");
    }
}
