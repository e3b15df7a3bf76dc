use serde_json::json;

use super::*;
use crate::canonical::draft::DraftHead;
use crate::canonical::ids::Sha256Digest;
use crate::canonical::order::tests::example;
use crate::canonical::order::{Line, ServiceType, Status, Urgency, Warning};
use crate::canonical::rejection::{Code, Rejection};
use crate::schema::tests::catalogue;

const REVISION: i64 = 1_772_612_130_000;
const PUBLISHED_AT: i64 = 1_772_612_131_210;

fn meta() -> Meta<'static> {
    Meta {
        correlation_id: "c-1",
        tenant_id: "north",
        source_system: SourceSystem::Pyxis,
        traceparent: Some("00-a-b-01"),
    }
}

fn head() -> DraftHead {
    DraftHead {
        tenant_id: "north".into(),
        source_system: SourceSystem::Pyxis,
        source_key: "pyxis".into(),
        external_order_id: None,
        binding: "pyxis-north".into(),
        received_from: "http".into(),
        received_at: 1_772_612_131_000,
        correlation_id: "c-1".into(),
        raw_sha256: Sha256Digest::of(b"{}"),
        retry_count: 2,
        transformation_version: "pyxis/1.0.0".into(),
        route: Some("pyxis/order".into()),
        path: Default::default(),
        replay_of: None,
        delivery_id: None,
    }
}

fn tempo_order() -> CanonicalOrder {
    let mut order = example();
    order.source_system = SourceSystem::Tempo;
    order.source_key = "tempo".into();
    order.external_order_id = "TEMPO-ES-20260311-0417".into();
    order.fsm_service_order_id = "f047371d-b2e4-551f-8a27-98de3afce03b".into();
    order.country_code = "ES".into();
    order.sales_channel = SalesChannel::Mobile;
    order
}

fn one_of_each() -> Vec<Event> {
    let order = example();
    let rejection = Rejection::one(Code::UnknownCode, "/channel", "not a channel");
    vec![
        received(&order, REVISION, PUBLISHED_AT),
        normalized(&order, REVISION, "pyxis/1.0.0", PUBLISHED_AT),
        updated(&order, REVISION, vec!["lines".into(), "notes".into()], PUBLISHED_AT),
        cancelled(&order, REVISION, "CUSTOMER_REQUEST", Some("Moved away"), REVISION, PUBLISHED_AT),
        cancelled(&order, REVISION, "OTHER", None, REVISION, PUBLISHED_AT),
        failed(&head(), &rejection, b"{}", PUBLISHED_AT),
    ]
}

#[test]
fn a_created_pyxis_order_publishes_the_two_events_printed_in_the_contract() {
    let order = example();
    let events = [received(&order, REVISION, PUBLISHED_AT), normalized(&order, REVISION, "pyxis/1.0.0", PUBLISHED_AT)];

    let expected = [
        (
            "integration.sales.order_received",
            "FR_PYX-FR-20260304-7731",
            r#"{"event_id":"9478506a-9d09-57c5-a89e-1f1c103e2680","event_timestamp":1772612131210,"sales_order_id":"PYX-FR-20260304-7731","customer_id":"C-558120","country_code":"FR","services":[{"service_type":"installation","requires_confirmation_tv":true}]}"#,
        ),
        (
            "integration.sales.order.normalized",
            "PYXIS_PYX-FR-20260304-7731",
            r#"{"event_id":"bbd48371-33e6-5a6b-956c-a94669e9595b","event_timestamp":1772612131210,"source_system":"PYXIS","external_order_id":"PYX-FR-20260304-7731","fsm_service_order_id":"8fc78ce8-6c4a-55d8-aaaa-f149200431d2","sales_channel":"STORE","country_code":"FR","transformation_version":"pyxis/1.0.0"}"#,
        ),
    ];
    for (event, (topic, key, value)) in events.iter().zip(expected) {
        assert_eq!((event.topic, event.key.as_str(), event.value_json().to_string().as_str()), (topic, key, value));
    }
}

#[test]
fn a_requested_tempo_service_has_the_keys_of_the_contract() {
    let order = tempo_order();

    assert_eq!(received(&order, 1, 2).key, "ES_TEMPO-ES-20260311-0417");
    assert_eq!(normalized(&order, 1, "tempo/1.0.0", 2).key, "TEMPO_TEMPO-ES-20260311-0417");
    assert_eq!(normalized(&order, 1, "tempo/1.0.0", 2).value_json()["sales_channel"], "MOBILE");
}

#[test]
fn every_event_is_read_back_from_its_record_as_it_was_written() {
    let catalogue = catalogue();
    for event in one_of_each() {
        let append = event.to_append(&catalogue, &meta()).expect("the event fits its schema");

        let decoded = catalogue.decode(append.record.value.as_deref().expect("a value")).expect("it was just written");
        assert_eq!((decoded.record.as_str(), &decoded.value), (event.body.record(), &event.value_json()));
        assert_eq!((&*append.topic, append.partition), (event.topic, None));
        assert_eq!(append.record.key.as_deref(), Some(event.key.as_bytes()));
        assert_eq!(decoded.value["event_id"], event.event_id.to_string());
        let headers: Vec<_> = append.record.headers.iter().map(|header| header.name.as_str()).collect();
        let (every, own) = headers.split_at(6);
        assert_eq!(
            every,
            ["correlation-id", "tenant-id", "source-system", "event-type", "idempotency-key", "traceparent"]
        );
        assert_eq!(own.is_empty(), !matches!(event.body, Body::Failed(_)), "{own:?}");
        assert_eq!(append.record.header("event-type"), Some(event.body.record()));
        assert_eq!(append.record.header("source-system"), Some("PYXIS"));
        assert_eq!(append.record.header("idempotency-key"), Some(event.event_id.to_string().as_str()));
    }
}

#[test]
fn a_typed_event_and_its_json_are_the_same_bytes() {
    let catalogue = catalogue();
    for event in one_of_each() {
        let typed = event.to_append(&catalogue, &meta()).expect("the event fits its schema").record.value;

        let from_json = catalogue.encode_json(event.body.record(), &event.value_json());

        assert_eq!(typed, from_json.ok(), "{}", event.body.record());
    }
}

#[test]
fn services_are_the_service_lines_in_line_order() {
    let mut order = example();
    let line = order.lines[0].clone();
    order.lines = vec![
        Line { service_type: Some(ServiceType::Rework), ..line.clone() },
        Line { service_type: None, estimated_duration_min: None, ..line.clone() },
        Line { service_type: Some(ServiceType::TechnicalVisit), requires_confirmation_tv: false, ..line },
    ];

    let event = received(&order, REVISION, PUBLISHED_AT);

    assert_eq!(
        event.value_json()["services"],
        json!([{"service_type": "rework", "requires_confirmation_tv": true},
            {"service_type": "technical_visit", "requires_confirmation_tv": false}])
    );
}

#[test]
fn a_rejection_whose_order_is_unreadable_is_published_as_unknown() {
    let rejection = Rejection::one(Code::FieldRequired, "/order_id", "is required");

    let event = failed(&head(), &rejection, b"{}", PUBLISHED_AT);

    assert_eq!(event.key, "PYXIS_unknown");
    assert_eq!(event.event_id, ids::rejection_event_id(Sha256Digest::of(b"{}"), 2));
    let value = event.value_json();
    assert_eq!(value["external_order_id"], "unknown");
    assert_eq!((&value["error_code"], &value["retry_count"]), (&json!("FIELD_REQUIRED"), &json!(2)));
    assert_eq!(value["error_message"], "/order_id: is required");
}

#[test]
fn a_rejection_carries_what_its_schema_has_no_field_for() {
    let head = DraftHead {
        path: [("order_id".to_owned(), "PYX-1".to_owned())].into(),
        replay_of: Some(Uuid::from_u128(7)),
        ..head()
    };
    let rejection = Rejection::one(Code::FieldRequired, "/order_id", "is required");

    let event = failed(&head, &rejection, b"{}", PUBLISHED_AT);

    let append = event.to_append(&catalogue(), &meta()).expect("it fits its schema");
    for (name, expected) in [
        (headers::BINDING, "pyxis-north"),
        (headers::ROUTE, "pyxis/order"),
        (headers::PATH, r#"{"order_id":"PYX-1"}"#),
        (headers::SOURCE_KEY, "pyxis"),
        (headers::RECEIVED_FROM, "http"),
        (headers::RECEIVED_AT, "1772612131000"),
        (headers::RAW_SHA256, &Sha256Digest::of(b"{}").to_string()),
        (headers::MAPPED_BY, "pyxis/1.0.0"),
        (headers::REPLAY_OF, "00000000-0000-0000-0000-000000000007"),
        (
            headers::PROBLEMS,
            r#"{"problems":[{"code":"FIELD_REQUIRED","field":"/order_id","message":"is required"}],"omitted":0}"#,
        ),
    ] {
        assert_eq!(append.record.header(name), Some(expected), "{name}");
    }
}

#[test]
fn a_payload_is_carried_as_text_as_base64_or_by_reference() {
    let large = vec![b'a'; MAX_RAW_BYTES + 1];
    for (raw, expected) in [
        (&b"{\"a\":\"\xc3\xa9\"}"[..], "{\"a\":\"é\"}".to_owned()),
        (b"", String::new()),
        (b"\xff\x00", "base64:/wA=".to_owned()),
        (&large[1..], "a".repeat(MAX_RAW_BYTES)),
        (&large, format!("ref:sha256:{}", Sha256Digest::of(&large))),
    ] {
        assert!(raw_payload(raw, Sha256Digest::of(raw)) == expected, "payload of {} bytes", raw.len());
    }
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let rejection = Rejection::one(Code::InvalidFormat, "/é", "é".repeat(MAX_MESSAGE_BYTES));

    let event = failed(&head(), &rejection, b"{}", PUBLISHED_AT);

    let value = event.value_json();
    let message = value["error_message"].as_str().expect("text");
    assert!(message.len() <= MAX_MESSAGE_BYTES && message.len() > MAX_MESSAGE_BYTES - 4);
    assert!(message.ends_with("é…"));
}

#[test]
fn changed_fields_are_the_members_of_the_business_digest_in_document_order() {
    let old = example();
    let new =
        CanonicalOrder { notes: Some("Ring twice".into()), urgency: Urgency::Urgent, lines: Vec::new(), ..old.clone() };
    let booked = CanonicalOrder {
        revision: "1".into(),
        status: Status::Cancelled,
        created_at: "2026-01-01T00:00:00.000Z".into(),
        updated_at: Some("2026-01-01T00:00:00.000Z".into()),
        warnings: vec![Warning::TextSanitized],
        raw_sha256: Sha256Digest::of(b"other"),
        ..old.clone()
    };

    assert_eq!(changed_fields(&old, &new), ["urgency", "lines", "notes"]);
    assert_eq!(changed_fields(&old, &booked), [""; 0]);
    assert_eq!(booked.business_digest(), old.business_digest());
}

#[test]
fn every_business_member_can_be_among_the_changed_fields() {
    let order = example();
    let json = serde_json::to_value(&order).expect("an order is JSON");
    let books = ["revision", "status", "created_at", "updated_at", "warnings", "raw_sha256"];
    let members = json.as_object().expect("an object").keys().filter(|name| !books.contains(&name.as_str()));
    let mut other = tempo_order();
    other.schema = "other".into();
    other.tenant_id = "south".into();
    other.bu_code = "other".into();
    other.urgency = Urgency::Low;
    (other.store_id, other.requested_date, other.total) = (None, None, None);
    other.customer.name = "other".into();
    other.address.city = "other".into();
    other.lines.clear();
    other.external_refs.lead_id = Some("L-1".into());
    other.notes = Some("other".into());

    assert_eq!(changed_fields(&order, &other), members.cloned().collect::<Vec<_>>());
}
