//! Topics as lines, and records appended.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use futures_util::StreamExt as _;

use super::*;
use crate::clock::SystemClock;
use crate::door::server::{Limits, Server};
use crate::log::TopicSpec;
use crate::log::sqlite::{Options, SqliteLog};

#[tokio::test]
async fn records_are_shown_with_their_values_decoded() {
    let ops = TestOps::new(MemoryStore::default());
    let normalized = json!({"event_id": Uuid::from_u128(1).to_string(), "event_timestamp": 1_772_612_131_210_i64,
        "source_system": "PYXIS", "external_order_id": "PYX-1", "fsm_service_order_id": "x",
        "sales_channel": "STORE", "country_code": "FR", "transformation_version": "pyxis/1.0.0"});
    let framed = catalogue().encode_json("SalesOrderNormalized", &normalized).unwrap();
    let twice = vec![
        Header::text("a", "1"),
        Header::text("a", "2"),
        Header { name: "b".into(), value: Bytes::from_static(b"\xff") },
    ];
    ops.append("1", framed, vec![]).await;
    ops.append("22", "{\"amount\": 1490.00,\n\"text\": \"é\"}", twice).await;
    ops.append("1", "not JSON", vec![]).await;
    let tombstone = Record { key: None, value: None, headers: vec![] };
    ops.log.append(vec![Append { topic: TOPIC.into(), partition: None, record: tombstone }]).await.unwrap();

    let answered = ops.get(&format!("/api/v1/ops/events/{TOPIC}?from=beginning&follow=false"), "viewer").await;

    assert_eq!(answered.content_type(), "application/x-ndjson");
    let line = |at: i64, partition, offset, key: Value, headers, schema: Value, value| {
        json!({"topic": TOPIC, "partition": partition, "offset": offset, "timestamp": NOW_S * 1000 + at, "key": key,
            "headers": headers, "schema": schema, "value": value})
    };
    let json_value: Value = serde_json::from_str(r#"{"amount": 1490.00, "text": "é"}"#).unwrap();
    let expected = vec![
        line(0, 1, 0, json!("1"), json!({}), json!("SalesOrderNormalized"), normalized),
        line(1, 0, 0, json!("22"), json!({"a": ["1", "2"], "b": {"base64": "/w=="}}), Value::Null, json_value),
        line(2, 1, 1, json!("1"), json!({}), Value::Null, json!({"base64": "bm90IEpTT04="})),
        line(3, 0, 1, Value::Null, json!({}), Value::Null, Value::Null),
    ];
    assert_eq!(answered.lines().await, expected);
}

#[tokio::test]
async fn a_tail_begins_and_ends_where_it_is_told() {
    let ops = TestOps::new(MemoryStore::default());
    for (number, key) in ["1", "22", "1", "22", "1", "1"].into_iter().enumerate() {
        ops.append(key, number.to_string(), vec![]).await;
    }
    for (question, expected) in [
        ("from=beginning", &[0, 1, 2, 3, 4, 5][..]),
        ("from=beginning&limit=2", &[0, 1]),
        ("from=beginning&limit=0", &[]),
        ("from=beginning&partition=0", &[1, 3]),
        ("from=2&partition=1", &[4, 5]),
        ("from=1", &[2, 3, 4, 5]),
        ("from=99", &[]),
        ("from=end", &[]),
        ("", &[]),
    ] {
        let answered = ops.get(&format!("/api/v1/ops/events/{TOPIC}?follow=false&{question}"), "viewer").await;

        let values: Vec<_> = answered.lines().await.iter().map(|line| line["value"].as_i64().unwrap()).collect();
        assert_eq!(values, expected, "{question}");
    }
}

#[tokio::test]
async fn a_tail_of_thousands_of_records_keeps_the_order_of_their_times() {
    let ops = TestOps::new(MemoryStore::default());
    for number in 0..3_000 {
        ops.append(if number % 7 == 0 { "22" } else { "1" }, number.to_string(), vec![]).await;
    }

    let answered = ops.get(&format!("/api/v1/ops/events/{TOPIC}?from=beginning&follow=false"), "viewer").await;

    let values: Vec<_> = answered.lines().await.iter().map(|line| line["value"].as_i64().unwrap()).collect();
    assert_eq!(values, (0..3_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_followed_tail_shows_what_comes_and_ends_with_the_gateway() {
    let ops = TestOps::new(MemoryStore::default());
    let mut body = ops.get(&format!("/api/v1/ops/events/{TOPIC}"), "viewer").await.body;

    let (frame, ()) = tokio::join!(body.frame(), ops.append("1", "7", vec![]));
    let line: Value = serde_json::from_slice(&frame.unwrap().unwrap().into_data().unwrap()).unwrap();
    assert_eq!(line["value"], 7);

    let (end, ()) = tokio::join!(body.frame(), async { ops.stop.send(true).unwrap() });
    assert!(end.is_none());
}

#[tokio::test]
async fn an_operator_of_one_tenant_sees_its_records_only() {
    let ops = TestOps::new(MemoryStore::default());
    for (value, tenant) in [("1", Some("north")), ("2", Some("south")), ("3", None), ("4", Some("north"))] {
        ops.append("1", value, tenant.map(|tenant| Header::text("tenant-id", tenant)).into_iter().collect()).await;
    }

    let answered = ops.get(&format!("/api/v1/ops/events/{TOPIC}?from=beginning&follow=false"), "north").await;

    let values: Vec<_> = answered.lines().await.iter().map(|line| line["value"].as_i64().unwrap()).collect();
    assert_eq!(values, [1, 4]);
}

#[tokio::test]
async fn a_question_about_no_topic_or_in_no_form_is_a_problem() {
    let ops = TestOps::new(MemoryStore::default());
    for (uri, status, detail) in [
        ("/api/v1/ops/events/nowhere", 404, "topic `nowhere` does not exist"),
        ("/api/v1/ops/events/empty?partition=2", 404, "topic `empty` has 2 partitions, there is no partition 2"),
        ("/api/v1/ops/events/empty?from=-1", 400, "expected `from` to be `beginning`, `end` or an offset"),
        ("/api/v1/ops/events/empty?from=now", 400, "expected `from` to be `beginning`, `end` or an offset"),
        ("/api/v1/ops/orders/pyxis/x?tenants=a", 400, ""),
        ("/api/v1/ops/events/empty?limit=many", 400, ""),
        ("/api/v1/ops/orders/pyxis/%ff", 400, ""),
    ] {
        let answered = ops.get(uri, "viewer").await;

        assert_eq!(answered.status, status, "{uri}");
        let problem = answered.json().await;
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{uri}: {problem}");
    }
}

#[tokio::test]
async fn a_record_is_appended_raw_or_as_avro() {
    let ops = TestOps::new(MemoryStore::default());
    let base64 = |text: &str| STANDARD.encode(text);
    let failed = r#"{"event_id":"e","event_timestamp":1,"source_system":"SAP","external_order_id":"x",
        "error_code":"c","error_message":"m","raw_payload":"","retry_count":0}"#;

    let raw =
        ops.post(TOPIC, json!({"key": "1", "encoding": "raw", "schema": null, "value_base64": base64("hello")})).await;
    let avro = json!({"key": "1", "encoding": "avro", "schema": "SalesOrderFailed", "value_base64": base64(failed)});
    let avro = ops.post(TOPIC, avro).await;
    let tombstone = ops.post(TOPIC, json!({"key": "1", "encoding": "raw", "schema": null, "value_base64": null})).await;

    assert_eq!(raw.status, 201);
    assert_eq!(raw.json().await, json!({"topic": TOPIC, "partition": 1, "offset": 0}));
    assert_eq!(avro.json().await["offset"], 1);
    assert_eq!(tombstone.json().await["offset"], 2);
    let values: Vec<_> = ops.log.records(TOPIC).into_iter().map(|stored| stored.record.value).collect();
    assert_eq!(values[0].as_deref(), Some(b"hello".as_slice()));
    assert_eq!(catalogue().decode(values[1].as_deref().unwrap()).unwrap().record, "SalesOrderFailed");
    assert_eq!(values[2], None);
}

#[tokio::test]
async fn a_record_that_cannot_be_made_is_refused_with_its_place() {
    let ops = TestOps::new(MemoryStore::default());
    let avro =
        |schema, text: &str| json!({"encoding": "avro", "schema": schema, "value_base64": STANDARD.encode(text)});
    for (topic, record, status, detail) in [
        ("nowhere", json!({"value_base64": ""}), 404, "topic `nowhere` does not exist"),
        (TOPIC, avro("Nothing", "{}"), 422, "no schema for record `Nothing`"),
        (TOPIC, avro("SalesOrderFailed", "{"), 422, "value is not JSON, line 1 column 1"),
        (TOPIC, avro("SalesOrderFailed", r#"{"event_id": 1}"#), 422, "`/event_id`"),
        (TOPIC, json!({"encoding": "avro"}), 400, "`value_base64` is needed"),
        ("empty", json!({"encoding": "avro", "value_base64": ""}), 400, "no schema of its own"),
        (TOPIC, json!({"encoding": "avro", "value_base64": STANDARD.encode("{}")}), 422, "`SalesOrderNormalized`"),
        (TOPIC, json!({"schema": "SalesOrderFailed", "value_base64": ""}), 400, "for the encoding `avro` only"),
        (TOPIC, json!({"value_base64": "?"}), 400, "expected `value_base64` to be base64"),
        (TOPIC, json!({"encoding": "xml"}), 422, "xml"),
        (TOPIC, json!({"keys": "1"}), 422, "keys"),
    ] {
        let answered = ops.post(topic, record.clone()).await;

        assert_eq!(answered.status, status, "{record}");
        let problem = answered.json().await;
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{record}: {problem}");
    }
}

#[tokio::test]
async fn a_reader_that_leaves_a_followed_tail_ends_it() {
    let ops = TestOps::new(MemoryStore::default());
    ops.append("1", "7", vec![]).await;
    let connections = prometheus::IntGauge::new("open", "open").unwrap();
    let limits = Limits { max_connections: 8, head_timeout: Duration::from_secs(30), connections: connections.clone() };
    let server = Server::bind(([127, 0, 0, 1], 0).into(), limits).await.unwrap();
    let address = server.local_addr().unwrap();
    let handler = ops.ops.clone();
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(server.serve(Arc::new(move |request| handler.handle(request)), stopped, Duration::ZERO));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET /api/v1/ops/events/{TOPIC}?from=beginning HTTP/1.1\r\nauthorization: Bearer viewer\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = vec![];
    while !text.ends_with(b"}\n\r\n") {
        stream.read_buf(&mut text).await.unwrap();
    }
    assert_eq!(connections.get(), 1);

    drop(stream);

    while connections.get() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_topic_of_the_embedded_log_is_shown_and_followed() {
    let folder = tempfile::TempDir::new().unwrap();
    let options = Options { group_commit_delay: Duration::ZERO, clock: Arc::new(SystemClock) };
    let log = SqliteLog::open(&folder.path().join("log.db"), options).unwrap();
    let spec = TopicSpec { name: TOPIC.into(), partitions: 6, max_record_bytes: 1 << 20, retention: None };
    log.create_topic(&spec).await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    let ops = Ops::new(deps(log.clone(), Arc::new(MemoryStore::default()), Arc::default(), stopped));
    let append = |number: usize| {
        let record = Record {
            key: Some(format!("key {number}").into()),
            value: Some(number.to_string().into()),
            headers: vec![],
        };
        Append { topic: TOPIC.into(), partition: None, record }
    };
    log.append((0..1_000).map(append).collect()).await.unwrap();

    let uri = format!("/api/v1/ops/events/{TOPIC}?from=beginning");
    let request = Request::get(&uri).header("authorization", "Bearer viewer").body(Body::empty()).unwrap();
    let mut followed = ops.handle(request).await.into_body().into_data_stream();
    let mut numbers = vec![];
    while numbers.len() < 1_001 {
        if numbers.len() == 1_000 {
            log.append(vec![append(1_000)]).await.unwrap();
        }
        let lines = followed.next().await.unwrap().unwrap();
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        numbers.extend(lines.map(|line| serde_json::from_slice::<Value>(line).unwrap()["value"].as_u64().unwrap()));
    }

    numbers.sort_unstable();
    assert_eq!(numbers, (0..=1_000).collect::<Vec<_>>());
}
