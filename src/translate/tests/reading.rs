use super::*;
use crate::canonical::rejection::Code;

fn read(topic: &str, value: Option<Bytes>) -> Result<Consumed, Unread> {
    Consumed::read(topic, &Record { key: None, value, headers: Vec::new() }, catalogue())
}

#[test]
fn an_event_is_read_the_same_as_avro_and_as_json() {
    for (topic, event) in [
        ("fsm.order.status_updated", status("PYXIS", "IN_PROGRESS")),
        ("fsm.tv.outcome_recorded", outcome("TEMPO", "YES_BUT")),
        ("projects.tv_outcome.recorded", visit("YES_BUT", json!([{ "description": "x", "extra_duration_min": null }]))),
        ("assignments.assignment.confirmed", confirmed()),
        ("projects.service_order.cancelled", cancelled()),
    ] {
        let mut written_by_hand = event.clone();
        written_by_hand["unknown"] = json!({ "ignored": 1.5 });
        let by_hand = read(topic, Some(Bytes::from(written_by_hand.to_string()))).expect("an event");

        assert_eq!(by_hand, consumed(topic, &event, &[]), "{topic}");
    }
}

#[test]
fn an_absent_nullable_field_of_json_is_null() {
    let mut event = status("PYXIS", "CREATED");
    event.as_object_mut().expect("an object").shift_remove("scheduled_date");

    let consumed = read("fsm.order.status_updated", Some(Bytes::from(event.to_string()))).expect("an event");

    assert!(matches!(consumed.event, PlatformEvent::StatusUpdated(event) if event.scheduled_date.is_none()));
}

#[test]
fn a_record_that_is_no_event_is_refused_without_repeating_it() {
    let topic = "projects.service_order.cancelled";
    let other = catalogue().encode_json("FsmTvOutcomeRecorded", &outcome("PYXIS", "NO")).expect("a record");
    let cut_off = record(topic, &cancelled(), &[]).value.expect("a value").slice(..12);
    for (value, code, message) in [
        (None, Code::SchemaMismatch, "expected a value"),
        (Some(other), Code::SchemaMismatch, "expected record `ServiceOrderCancelled`, found `com.ahs.fsm"),
        (Some(cut_off), Code::SchemaMismatch, "record `ServiceOrderCancelled` cannot be read"),
        (Some(Bytes::from_static(b"\0\0\0\xff\xff")), Code::SchemaMismatch, "no schema with id 65535"),
        (Some(Bytes::from_static(b"s3cret")), Code::SchemaMismatch, "value of 6 bytes is not framed Avro"),
        (Some(Bytes::from_static(b"{")), Code::MalformedPayload, ""),
        (Some(Bytes::from_static(b"{\"event_id\": 5}")), Code::SchemaMismatch, "cannot be written, at `/event_id`"),
        (Some(Bytes::from_static(b"{\"event_id\": \"s3cret\"}")), Code::SchemaMismatch, "at `/event_timestamp`"),
    ] {
        let Err(Unread::Refused { rejection, .. }) = read(topic, value.clone()) else { panic!("{message}") };

        let said = &rejection.problems()[0].message;
        assert_eq!(rejection.code(), code, "{said}");
        assert!(said.contains(message), "expected {message}\nfound {said}");
        assert!(!said.contains("s3cret"), "{said}");
        let record = Record { key: None, value, headers: Vec::new() };
        let dead = refused(topic, &record, &rejection, NOW, catalogue());
        let document: Value = serde_json::from_slice(dead.record.value.as_ref().expect("a value")).expect("JSON");
        assert!(document["error"].as_str().is_some_and(|error| error.starts_with(&format!("{code} : "))), "{document}");
    }
}

#[test]
fn topics_that_are_not_translated_are_told_apart() {
    for topic in
        ["projects.service_order.closed", "integration.erp.payment_ready", "crm.leads", "sales.pyxis.order.created"]
    {
        assert!(matches!(read(topic, None), Err(Unread::Foreign { .. })), "{topic}");
    }
}

#[test]
fn what_travels_beside_an_event_is_taken_over_if_it_is_well_formed() {
    for (headers, correlation_id, tenant_id, traceparent) in [
        (vec![], "e-1", None, None),
        (vec![("correlation-id", "c-1"), ("tenant-id", "north")], "c-1", Some("north"), None),
        (vec![("correlation-id", ""), ("tenant-id", ""), ("traceparent", "00-x")], "e-1", None, None),
    ] {
        let consumed = consumed("projects.service_order.cancelled", &cancelled(), &headers);

        assert_eq!(
            (consumed.correlation_id.as_str(), consumed.tenant_id.as_deref(), consumed.traceparent.as_deref()),
            (correlation_id, tenant_id, traceparent)
        );
    }
}

#[test]
fn no_bytes_make_reading_panic() {
    for topic in ["fsm.order.completed", "fsm.tv.outcome_recorded", "projects.tv_outcome.recorded"] {
        let good = match topic {
            "fsm.order.completed" => record(topic, &status("PYXIS", "COMPLETED"), &[]),
            "fsm.tv.outcome_recorded" => record(topic, &outcome("PYXIS", "NO"), &[]),
            _ => record(topic, &visit("NO", json!(null)), &[]),
        };
        let good = good.value.expect("a value");
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.to_vec();
                bad[at] ^= 1 << bit;
                let _ = read(topic, Some(Bytes::from(bad)));
            }
            let _ = read(topic, Some(good.slice(..at)));
        }
    }
}
