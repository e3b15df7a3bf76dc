use super::*;

/// What is published for an event of `topic` about the order of the contract: topic, id and value without id and time.
fn published(topic: &str, event: &Value) -> Vec<(String, String, Value)> {
    let consumed = consumed(topic, event, &[]);
    let Translated::Known { events, learned, .. } = platform(&consumed, &linked(pyxis()), DAY_MS, NOW) else {
        panic!("the order is known")
    };
    assert_eq!(learned, None, "only `fsm.order.*` tells of a link");
    let published = |event: crate::canonical::event::Event| {
        assert_eq!(event.key, "PYXIS_PYX-FR-20260304-7731");
        let append = event.to_append(catalogue(), &consumed.meta(&pyxis())).expect("a record");
        let mut value = catalogue().decode(append.record.value.as_ref().expect("a value")).expect("an event").value;
        assert_eq!((&value["event_id"], &value["event_timestamp"]), (&json!(event.event_id), &json!(NOW)));
        let members = value.as_object_mut().expect("an object");
        for name in ["event_id", "event_timestamp", "source_system", "external_order_id"] {
            members.shift_remove(name);
        }
        (event.topic.to_owned(), event.event_id.to_string(), value)
    };
    events.into_iter().map(published).collect()
}

#[test]
fn an_outcome_is_recorded_and_what_it_changes_required() {
    let move_gas = json!([{ "description": "Move the gas supply", "extra_duration_min": 30 }]);
    let repriced = json!([{ "description": "Move the gas supply", "requires_repricing": true }]);
    let (recorded, required) = ("fsm.tv.outcome_recorded", "fsm.tv.modifications_required");
    for (event, expected) in [
        (visit("YES", json!(null)), vec![(recorded, json!(["YES", null, null]))]),
        // What a visit without consequences remarks is none of the partner's business.
        (visit("YES", move_gas.clone()), vec![(recorded, json!(["YES", null, null]))]),
        (
            visit("YES_BUT", move_gas),
            vec![(recorded, json!(["YES_BUT", repriced, null])), (required, json!(["YES_BUT", repriced, null]))],
        ),
        (
            visit("YES_BUT", json!([])),
            vec![(recorded, json!(["YES_BUT", null, null])), (required, json!(["YES_BUT", null, null]))],
        ),
        (visit("NO", json!(null)), vec![(recorded, json!(["NO", null, "TECHNICAL_VISIT_NEGATIVE"]))]),
    ] {
        let found = published("projects.tv_outcome.recorded", &event);

        let found: Vec<_> = found
            .into_iter()
            .map(|(topic, _, value)| {
                (topic, json!([value["tv_outcome"], value["modifications"], value["cancellation_reason"]]))
            })
            .collect();
        let expected: Vec<_> = expected.into_iter().map(|(topic, value)| (topic.to_owned(), value)).collect();
        assert_eq!(found, expected, "{event}");
    }
}

#[test]
fn ids_are_derived_from_topic_and_consumed_event() {
    // python3: uuid.uuid5(NAMESPACE, topic + ":e-1")
    let outcome = published("projects.tv_outcome.recorded", &visit("YES_BUT", json!(null)));
    let confirmed = published("assignments.assignment.confirmed", &confirmed());
    let cancelled = published("projects.service_order.cancelled", &cancelled());

    let ids: Vec<_> = [outcome, confirmed, cancelled].into_iter().flatten().map(|(topic, id, _)| (topic, id)).collect();
    let expected = [
        ("fsm.tv.outcome_recorded", "0a74f56d-34af-5b70-8f6d-d2e2fae3634d"),
        ("fsm.tv.modifications_required", "1e4dee5d-6dcf-5e45-8fc6-cca5ba188dfd"),
        ("fsm.order.scheduled", "95d4ecd9-34d3-5426-9f21-c768c376c58c"),
        ("fsm.order.status_updated", "68561327-43b8-5d04-ae73-0ba9ca81a32f"),
    ];
    assert_eq!(ids, expected.map(|(topic, id)| (topic.to_owned(), id.to_owned())));
}

#[test]
fn an_assignment_schedules_and_a_service_order_cancels() {
    for (topic, event, expected_topic, status, date) in [
        ("assignments.assignment.confirmed", confirmed(), "fsm.order.scheduled", "SCHEDULED", json!("2026-03-19")),
        ("projects.service_order.cancelled", cancelled(), "fsm.order.status_updated", "CANCELLED", json!(null)),
    ] {
        let found = published(topic, &event);

        let [(found_topic, _, value)] = <[_; 1]>::try_from(found).expect("one event");
        assert_eq!(found_topic, expected_topic);
        assert_eq!(
            value,
            json!({
                "fsm_service_order_id": "8fc78ce8-6c4a-55d8-aaaa-f149200431d2", "status": status,
                "scheduled_date": date, "provider_name": null,
            })
        );
    }
}

#[test]
fn what_is_published_has_the_headers_of_every_record_and_is_published_once() {
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("correlation-id", "c-7"), ("tenant-id", "elsewhere"), ("traceparent", traceparent)];
    let consumed = consumed("projects.service_order.cancelled", &cancelled(), &headers);
    let found = linked(order("custom.shop", "S-1"));
    let Translated::Known { order, events, .. } = platform(&consumed, &found, DAY_MS, NOW) else { panic!("known") };

    let append = events[0].to_append(catalogue(), &consumed.meta(&order)).expect("a record");

    let expected = [
        ("correlation-id", "c-7"),
        // The tenant is the order's, whatever another domain says.
        ("tenant-id", "north"),
        ("source-system", "CUSTOM"),
        ("event-type", "FsmOrderStatusUpdated"),
        ("idempotency-key", &events[0].event_id.to_string()),
        ("traceparent", traceparent),
    ];
    assert_eq!(append.record.headers, expected.map(|(name, value)| Header::text(name, value)));
    assert_eq!(append.record.key.as_deref(), Some(&b"CUSTOM_S-1"[..]));
    assert!(events[0].guard("north").is_some());
    assert_ne!(events[0].guard("north"), events[0].guard("south"));
}

#[test]
fn an_unknown_order_is_waited_for_and_then_told() {
    let topic = "projects.tv_outcome.recorded";
    let (event, with_link) = (visit("NO", json!(null)), ["order-1", "visit-1"].map(str::to_owned).to_vec());
    let mut alone = event.clone();
    alone["linked_installation_order_id"] = json!(null);
    for (event, wanted, pointer) in [
        (&event, with_link, "/linked_installation_order_id"),
        (&alone, vec!["visit-1".to_owned()], "/tv_service_order_id"),
    ] {
        let consumed = consumed(topic, event, &[]);

        let parked = platform(&consumed, &Found::default(), DAY_MS, NOW);
        let failed = unknown_reference(&consumed, &record(topic, event, &[("tenant-id", "x")]), NOW, catalogue());

        assert_eq!(parked, Translated::Parked { wanted, expires_at: NOW + DAY_MS });
        assert_eq!(failed.topic.as_ref(), "dlq.failed_events");
        let document: Value = serde_json::from_slice(failed.record.value.as_ref().expect("a value")).expect("JSON");
        assert_eq!(
            document,
            json!({
                "original_topic": topic, "original_event": event, "failed_at": NOW,
                "error": format!("UNKNOWN_REFERENCE {pointer}: no order of this id became known in time"),
            })
        );
    }
}

#[test]
fn a_platform_event_about_an_order_is_not_published_again() {
    for (topic, event) in [
        ("fsm.order.status_updated", status("PYXIS", "COMPLETED")),
        ("fsm.tv.outcome_recorded", outcome("PYXIS", "NO")),
    ] {
        let consumed = consumed(topic, &event, &[("tenant-id", "north")]);

        let translated = platform(&consumed, &Found::default(), DAY_MS, NOW);

        assert!(matches!(translated, Translated::Known { events, .. } if events.is_empty()), "{topic}");
    }
}
