use std::path::Path;

use serde_json::{Value, json};

use super::*;

mod agreement;

/// Every kind of type, a record within itself, and defaults as Avro spells them.
const EVERYTHING: &str = r#"{
  "type": "record", "name": "Everything", "namespace": "test", "fields": [
    { "name": "boolean", "type": "boolean" },
    { "name": "int", "type": "int" },
    { "name": "long", "type": { "type": "long", "logicalType": "timestamp-millis" } },
    { "name": "float", "type": "float" },
    { "name": "double", "type": "double" },
    { "name": "bytes", "type": "bytes", "default": "\u00ff" },
    { "name": "text", "type": "string", "default": "none" },
    { "name": "fixed", "type": { "type": "fixed", "name": "Pair", "size": 2 } },
    { "name": "again", "type": "Pair" },
    { "name": "choice", "type": { "type": "enum", "name": "Choice", "symbols": ["A", "B"] } },
    { "name": "list", "type": { "type": "array", "items": ["null", "Choice"] } },
    { "name": "map", "type": { "type": "map", "values": "long" } },
    { "name": "several", "type": ["string", "null", "long", { "type": "array", "items": "long" }], "default": "x" },
    { "name": "next", "type": ["null", "Everything"] }
  ]
}"#;

/// The schemas of this repository.
pub(crate) fn catalogue() -> Catalogue {
    Catalogue::load(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas")).unwrap_or_else(|report| panic!("{report}"))
}

fn everything() -> Catalogue {
    let dir = folder(&[
        ("ids.toml", "schema = [{ id = 258, record = \"Everything\", file = \"events/Everything.avsc\" }]\n"),
        ("events/Everything.avsc", EVERYTHING),
    ]);
    Catalogue::load(dir.path()).unwrap_or_else(|report| panic!("{report}"))
}

fn full() -> Value {
    json!({"boolean": true, "int": -3, "long": 1_772_612_131_210_i64, "float": 1.5, "double": 1490.0, "bytes": "/wA=",
        "text": "é", "fixed": "AAE=", "again": "AQA=", "choice": "B", "list": ["A", null], "map": {"k~/": -1},
        "several": [7], "next": null})
}

fn with(pointer: &str, value: Value) -> Value {
    let mut document = full();
    *document.pointer_mut(pointer).expect("the member is there") = value;
    document
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(dir.path().join("events")).expect("a folder in it");
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).expect("a file in it");
    }
    dir
}

#[test]
fn an_id_stands_for_its_record_for_ever() {
    let catalogue = catalogue();
    let ids: Vec<_> = catalogue.records().map(|entry| (entry.id, entry.record.as_str())).collect();

    assert_eq!(
        ids,
        [
            (1, "PyxisOrderCreated"),
            (2, "PyxisOrderUpdated"),
            (3, "PyxisOrderCancelled"),
            (4, "TempoServiceRequested"),
            (5, "TempoServiceUpdated"),
            (6, "TempoServiceCancelled"),
            (7, "SalesOrderReceived"),
            (8, "SalesOrderNormalized"),
            (9, "SalesOrderUpdated"),
            (10, "SalesOrderCancelled"),
            (11, "SalesOrderFailed"),
            (12, "SalesStatusFailed"),
            (13, "FsmOrderStatusUpdated"),
            (14, "FsmTvOutcomeRecorded"),
            (15, "PaymentReady"),
            (16, "TvOutcomeRecorded"),
            (17, "ServiceOrderClosed"),
            (18, "ServiceOrderCancelled"),
            (19, "AssignmentConfirmed"),
            (21, "Intake"),
        ]
    );
}

/// A catalogue of one record `R` with `field`, under `id`.
fn of_one(id: u32, field: &str) -> Catalogue {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("events")).expect("a folder");
    let ids = format!("schema = [{{ id = {id}, record = \"R\", file = \"events/R.avsc\" }}]\n");
    std::fs::write(folder.path().join("ids.toml"), ids).expect("written");
    let schema = json!({"type": "record", "name": "R", "fields": [{"name": field, "type": "string"}]});
    std::fs::write(folder.path().join("events/R.avsc"), schema.to_string()).expect("written");
    Catalogue::load(folder.path()).expect("it is sound")
}

#[test]
fn schemas_that_come_later_join_those_that_are_there() {
    let catalogue = of_one(1, "a");
    let former = catalogue.encode_json("R", &json!({"a": "x"})).expect("it fits");

    catalogue.extend(of_one(2, "b")).expect("an id of its own");

    let later = catalogue.encode_json("R", &json!({"b": "y"})).expect("written with the later schema");
    assert_eq!((former[4], later[4]), (1, 2));
    assert_eq!(catalogue.decode(&former).expect("still read").value, json!({"a": "x"}));
    assert_eq!(catalogue.decode(&later).expect("read").value, json!({"b": "y"}));
    catalogue.extend(of_one(2, "b")).expect("it is the same");
    for changed in [of_one(1, "c"), of_one(2, "c")] {
        let replaced = catalogue.extend(changed).expect_err("an id stands for one schema");
        assert_eq!(replaced[0].file, Path::new("events/R.avsc"));
    }
    assert_eq!(catalogue.decode(&later).expect("unharmed").value, json!({"b": "y"}));
}

#[test]
fn a_schema_lies_in_the_folder_of_its_namespace() {
    for entry in catalogue().records() {
        let schema: Value = serde_json::from_str(&entry.text).expect("it was loaded");
        let namespace = schema["namespace"].as_str().expect("text");

        assert_eq!(entry.file, Path::new("events").join(namespace).join(format!("{}.avsc", entry.record)));
    }
}

#[test]
fn a_logical_type_beside_the_type_changes_nothing_on_the_wire() {
    let closed = json!({"event_id": "e", "event_timestamp": 1_772_612_131_210_i64, "service_order_id": "s",
        "project_id": "p", "provider_id": "v", "team_id": "t", "customer_amount": {"value": 1490, "currency": "EUR"},
        "provider_amount": {"value": 0.1, "currency": "EUR"}, "wcf_accepted": true,
        "warranty_start_date": "2026-03-19"});

    let framed = catalogue().encode_json("ServiceOrderClosed", &closed).expect("it fits");

    let mut expected = vec![0, 0, 0, 0, 17, 2, b'e'];
    expected.extend([148, 230, 212, 254, 150, 103]); // zigzag of 1772612131210
    expected.extend(b"\x02s\x02p\x02v\x02t");
    expected.extend(1490_f64.to_le_bytes());
    expected.extend(b"\x06EUR");
    expected.extend(0.1_f64.to_le_bytes());
    expected.extend(b"\x06EUR\x01\x142026-03-19");
    assert_eq!(framed, expected);
}

#[test]
fn every_mistake_in_the_folder_is_reported_at_once() {
    let dir = folder(&[
        (
            "ids.toml",
            concat!(
                "[[schema]]\nid = 1\nrecord = \"Gone\"\nfile = \"events/Gone.avsc\"\n",
                "[[schema]]\nid = 1\nrecord = \"Json\"\nfile = \"events/Json.avsc\"\n",
                "[[schema]]\nid = 3\nrecord = \"Avro\"\nfile = \"events/Avro.avsc\"\n",
                "[[schema]]\nid = 4\nrecord = \"Name\"\nfile = \"events/Name.avsc\"\n",
                "[[schema]]\nid = 5\nrecord = \"Name\"\nfile = \"../Other.avsc\"\nsize = 1\n",
                "[[schema]]\nrecord = \"Enum\"\nfile = \"events/Enum.avsc\"\n",
                "[[schema]]\nid = 7\nrecord = \"Default\"\nfile = \"events/Default.avsc\"\n",
            ),
        ),
        ("events/Json.avsc", "{\n  \"type\": \"record\",\n}\n"),
        ("events/Avro.avsc", r#"{"type": "record", "name": "Avro", "fields": [{"name": "a", "type": "strnig"}]}"#),
        ("events/Name.avsc", r#"{"type": "record", "name": "Nome", "fields": []}"#),
        ("events/Enum.avsc", r#"{"type": "enum", "name": "Enum", "symbols": ["A"]}"#),
        (
            "events/Default.avsc",
            r#"{"type": "record", "name": "Default", "fields": [{"name": "a", "type": "int", "default": "x"}]}"#,
        ),
        ("events/Stray.avsc", "{}"),
    ]);

    let report = Catalogue::load(dir.path()).expect_err("there are mistakes");

    let place = format!("{}/", dir.path().display());
    let lines: Vec<_> = report.findings().iter().map(|finding| finding.to_string().replace(&place, "")).collect();
    let expected = [
        "events/Avro.avsc: is not an Avro schema: ",
        "events/Default.avsc: is not an Avro schema: ",
        "events/Enum.avsc: has no id: expected it in `ids.toml`",
        "events/Gone.avsc: cannot be read: ",
        "events/Json.avsc:3:1: is not JSON: ",
        "events/Name.avsc: expected record `Name`, found `Nome`",
        "events/Stray.avsc: has no id: expected it in `ids.toml`",
        "ids.toml:6:6: id 1 is taken in line 1",
        "ids.toml:19:10: record `Name` has an id in line 13",
        "ids.toml:20:8: `file`: expected a path below the folder of schemas",
        "ids.toml:20:8: expected a file called `Name.avsc`",
        "ids.toml:21:1: unknown key `schema.size`",
        "ids.toml:22:1: `schema.id` is missing",
    ];
    assert_eq!(lines.len(), expected.len() + 1, "{lines:#?}"); // and ../Other.avsc, which is not there
    for expected in expected {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected} in {lines:#?}");
    }
    assert!(lines.iter().all(|line| line.len() < 400), "{lines:#?}");
}

#[test]
fn a_document_of_every_type_comes_back_as_it_went() {
    let catalogue = everything();
    let nested = with("/next", full());
    let mut lean = nested.clone();
    for absent in ["bytes", "text", "several", "next"] {
        lean["next"].as_object_mut().expect("an object").remove(absent);
    }
    let mut filled = nested.clone();
    filled["next"]["bytes"] = "/w==".into(); // U+00FF stands for the byte 0xFF in a default
    filled["next"]["text"] = "none".into();
    filled["next"]["several"] = "x".into();
    for (name, document, expected) in [
        ("full", full(), full()),
        ("nested", nested.clone(), nested),
        ("defaults", lean, filled),
        ("i64", with("/long", i64::MIN.into()), with("/long", i64::MIN.into())),
        ("i32", with("/int", i32::MAX.into()), with("/int", i32::MAX.into())),
        ("whole double", with("/double", 85.into()), with("/double", 85.0.into())),
        ("tiny double", with("/double", 5e-324.into()), with("/double", 5e-324.into())),
        ("no number", with("/double", "NaN".into()), with("/double", "NaN".into())),
        ("infinite", with("/float", "-Infinity".into()), with("/float", "-Infinity".into())),
        ("float", with("/float", 0.1.into()), with("/float", 0.1_f32.into())),
        ("branch by type", with("/several", 7.into()), with("/several", 7.into())),
        ("null branch", with("/several", Value::Null), with("/several", Value::Null)),
        ("empty", with("/list", json!([])), with("/list", json!([]))),
    ] {
        let framed = catalogue.encode_json("Everything", &document).unwrap_or_else(|error| panic!("{name}: {error}"));

        assert_eq!(framed[..5], [0, 0, 0, 1, 2], "{name}");
        let decoded = catalogue.decode(&framed).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            decoded,
            Decoded { record: "Everything".into(), full_name: "test.Everything".into(), value: expected },
            "{name}"
        );
    }
}

#[test]
fn logical_types_are_read_as_what_they_mean_or_as_they_are() {
    let schema = r#"{"type": "record", "name": "Priced", "fields": [
        {"name": "on", "type": {"type": "int", "logicalType": "date"}},
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "opens", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "rate", "type": {"type": "fixed", "name": "Rate", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 4}},
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "plain", "type": "long", "logicalType": "timestamp-millis"},
        {"name": "lines", "type": {"type": "array", "items": ["null", {"type": "int", "logicalType": "date"}]}}
    ]}"#;
    let dir = folder(&[
        ("ids.toml", "schema = [{ id = 1, record = \"Priced\", file = \"events/Priced.avsc\" }]\n"),
        ("events/Priced.avsc", schema),
    ]);
    let catalogue = Catalogue::load(dir.path()).unwrap_or_else(|report| panic!("{report}"));
    let id = "0b6fd84f-6f4e-4a55-9f6b-6f31cfb2ad3c";
    let wire = json!({"on": 20_531, "at": 1_772_612_130_000_i64, "opens": 33_330_000, "local": 1_772_612_130_000_000_i64,
        "price": "AkYI", "rate": "//8=", "id": id, "plain": 1_772_612_130_000_i64, "lines": [null, 0]});

    let framed = catalogue.encode_json("Priced", &wire).expect("a record");

    assert_eq!(catalogue.decode(&framed).expect("a record").value, wire);
    let meaning = json!({"on": "2026-03-19", "at": "2026-03-04T08:15:30Z", "opens": "09:15:30",
        "local": "2026-03-04T08:15:30", "price": "1490.00", "rate": "-0.0001", "id": id,
        "plain": 1_772_612_130_000_i64, "lines": [null, "1970-01-01"]});
    assert_eq!(catalogue.decode_meaning(&framed).expect("a record").value, meaning);
    let mut beyond = wire;
    beyond["lines"][1] = i32::MAX.into();
    let framed = catalogue.encode_json("Priced", &beyond).expect("a record");
    let error = catalogue.decode_meaning(&framed).expect_err("no such date").to_string();
    assert_eq!(
        error,
        "record `Priced` cannot be read, at `/lines/1`: expected date, found a value outside of what it can mean"
    );
}

#[test]
fn a_document_that_does_not_fit_is_refused_with_its_place_and_without_its_value() {
    let catalogue = everything();
    let number = |literal: &str| serde_json::from_str::<Value>(literal).expect("a number");
    let mut unknown = full();
    unknown["a/b"] = "secret".into();
    let mut missing = full();
    missing.as_object_mut().expect("an object").remove("int");
    let deep = (0..64).fold(full(), |inner, _| with("/next", inner));
    let too_deep = format!("{}/list", "/next".repeat(63)); // the list is the sixty-fifth
    for (document, path, problem) in [
        (json!([1]), "", "expected object, found array"),
        (with("/boolean", "secret".into()), "/boolean", "expected boolean, found string"),
        (with("/int", 2_147_483_648_i64.into()), "/int", "expected int, found another number"),
        (with("/int", number("3.0")), "/int", "expected int, found another number"),
        (with("/int", "3".into()), "/int", "expected int, found string"),
        (with("/long", number("9223372036854775808")), "/long", "expected long, found another number"),
        (with("/double", number("1e400")), "/double", "expected double, found another number"),
        (with("/double", "secret".into()), "/double", "expected double, found string"),
        (with("/bytes", "*".into()), "/bytes", "expected bytes as base64 text, found other text"),
        (with("/fixed", "AA==".into()), "/fixed", "expected 2 bytes as base64 text, found other text"),
        (with("/choice", "secret".into()), "/choice", "expected one of `A`, `B`, found other text"),
        (with("/list/1", "secret".into()), "/list/1", "expected one of `A`, `B`, found other text"),
        (with("/map/k~0~1", json!({})), "/map/k~0~1", "expected long, found object"),
        (with("/several", true.into()), "/several", "expected string or null or long or array, found boolean"),
        (missing, "/int", "expected int, found nothing"),
        (deep, too_deep.as_str(), "nested deeper than 64"),
    ] {
        let error = catalogue.encode_json("Everything", &document).expect_err("it does not fit");

        let expected = Error::Write { record: "Everything".into(), path: path.into(), problem: problem.into() };
        assert_eq!(error, expected);
    }
    let error = catalogue.encode_json("Everything", &unknown).expect_err("it does not fit").to_string();
    assert!(error.starts_with("record `Everything` cannot be written, at `/a~1b`: unknown field, expected one of `bo"));
    assert!(!error.contains("secret"));
    let error = catalogue.encode_json("Nothing", &full()).expect_err("there is no such record");
    assert_eq!(error.to_string(), "no schema for record `Nothing`");
}

#[test]
fn a_type_that_is_not_the_schemas_is_refused_in_short() {
    #[derive(serde::Serialize)]
    struct Cancelled {
        event_id: &'static str,
        event_timestamp: &'static str,
    }
    let value = Cancelled { event_id: "secret", event_timestamp: "secret" };

    let error = catalogue().encode("ServiceOrderCancelled", &value).expect_err("a long is expected");

    assert_eq!(
        error.to_string(),
        "record `ServiceOrderCancelled` cannot be written, at `/event_timestamp`: the type's member is not what the \
         schema says"
    );
}

#[test]
fn bytes_that_are_not_a_value_are_refused_with_their_place() {
    let catalogue = catalogue();
    let id = |id: u8, body: &[u8]| [&[0, 0, 0, 0, id], body].concat();
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    for (bytes, expected) in [
        (b"{}".to_vec(), "value of 2 bytes is not framed Avro: expected 0x00 and a schema id of 4 bytes"),
        (b"{\"a\":1}".to_vec(), "value of 7 bytes is not framed Avro: expected 0x00 and a schema id of 4 bytes"),
        (vec![0, 0, 0, 0], "value of 4 bytes is not framed Avro: expected 0x00 and a schema id of 4 bytes"),
        (id(200, b""), "no schema with id 200"),
        (id(18, b""), "record `ServiceOrderCancelled` cannot be read, at `/event_id`: the value is cut off"),
        (id(18, &huge), "record `ServiceOrderCancelled` cannot be read, at `/event_id`: the value is cut off"),
        (
            id(18, b"\x01"),
            "record `ServiceOrderCancelled` cannot be read, at `/event_id`: expected a length, found a negative number",
        ),
        (
            id(18, b"\x02\xff"),
            "record `ServiceOrderCancelled` cannot be read, at `/event_id`: expected string, found bytes that are not \
             UTF-8",
        ),
        (
            id(18, &[b"\x00", &[0xff; 10][..]].concat()),
            "record `ServiceOrderCancelled` cannot be read, at `/event_timestamp`: expected a number of at most 64 \
             bits, found a longer one",
        ),
        (
            id(18, b"\x00\x00\x00\x04"),
            "record `ServiceOrderCancelled` cannot be read, at `/reason`: expected null or string, found another branch",
        ),
        (id(18, b"\x00\x00\x00\x00\x00\x00"), "record `ServiceOrderCancelled` ends 2 bytes before its value does"),
        (
            id(8, b"\x00\x00\x08"),
            "record `SalesOrderNormalized` cannot be read, at `/source_system`: expected one of `PYXIS`, `TEMPO`, \
             `SAP`, `CUSTOM`, found another symbol",
        ),
        (
            id(7, b"\x00\x00\x00\x00\x00\x02\x00\x07"),
            "record `SalesOrderReceived` cannot be read, at `/services/0/requires_confirmation_tv`: expected boolean, \
             found a byte other than 0 and 1",
        ),
    ] {
        assert_eq!(catalogue.decode(&bytes).map_err(|error| error.to_string()), Err(expected.to_owned()));
    }
}

#[test]
fn elements_of_no_length_cannot_fill_the_memory() {
    let schema = r#"{"type": "record", "name": "Nulls", "fields": [
        {"name": "nulls", "type": {"type": "array", "items": "null"}}]}"#;
    let dir = folder(&[
        ("ids.toml", "[[schema]]\nid = 1\nrecord = \"Nulls\"\nfile = \"events/Nulls.avsc\"\n"),
        ("events/Nulls.avsc", schema),
    ]);
    let catalogue = Catalogue::load(dir.path()).unwrap_or_else(|report| panic!("{report}"));

    let error = catalogue.decode(&[0, 0, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0xff, 0x1f]).expect_err("too many");

    assert!(error.to_string().ends_with("more than 1000000 values in one document"), "{error}");
}
