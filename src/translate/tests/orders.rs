use super::*;

fn of_tenant(tenant_id: &str, source_key: &str) -> KnownOrder {
    let known = order(source_key, "PYX-FR-20260304-7731");
    KnownOrder { key: OrderKey { tenant_id: tenant_id.into(), ..known.key }, country_code: None }
}

#[test]
fn the_order_of_a_platform_event_is_found_by_header_link_or_name() {
    let (north, south) = (of_tenant("north", "pyxis"), of_tenant("south", "pyxis"));
    let named =
        |orders: &[&KnownOrder]| Found { linked: None, named: orders.iter().map(|order| (*order).clone()).collect() };
    let shop = of_tenant("north", "custom.shop");
    let none = Found::default;
    let elsewhere = linked(order("pyxis", "PYX-other"));
    for (why, system, tenant, found, expected) in [
        ("header alone", "PYXIS", Some("north"), none(), Some(&north)),
        ("header over link", "PYXIS", Some("north"), linked(south.clone()), Some(&north)),
        ("header picks among the named", "PYXIS", Some("south"), named(&[&north, &south]), Some(&south)),
        ("link alone", "PYXIS", None, linked(south.clone()), Some(&south)),
        ("link of another order", "PYXIS", None, elsewhere, None),
        ("link of another system", "TEMPO", None, linked(north.clone()), None),
        ("the only one of its name", "PYXIS", None, named(&[&south]), Some(&south)),
        ("two of its name", "PYXIS", None, named(&[&north, &south]), None),
        ("nothing", "PYXIS", None, none(), None),
        ("many sources, one tenant", "CUSTOM", Some("north"), none(), None),
        ("many sources, one order", "CUSTOM", Some("north"), named(&[&shop]), Some(&shop)),
        ("another tenant's", "CUSTOM", Some("south"), named(&[&shop]), None),
    ] {
        let headers: Vec<_> = tenant.map(|tenant| ("tenant-id", tenant)).into_iter().collect();
        let consumed = consumed("fsm.order.status_updated", &status(system, "CREATED"), &headers);

        assert_eq!(consumed.order(&found).as_ref(), expected, "{why}");
    }
}

#[test]
fn the_country_comes_from_what_is_known() {
    let consumed = consumed("fsm.order.status_updated", &status("PYXIS", "CREATED"), &[("tenant-id", "north")]);

    assert_eq!(consumed.order(&linked(pyxis())).and_then(|order| order.country_code).as_deref(), Some("FR"));
}

#[test]
fn a_link_is_learned_from_a_status_unless_it_is_known() {
    let headers = [("tenant-id", "north")];
    let status = consumed("fsm.order.completed", &status("PYXIS", "COMPLETED"), &headers);
    let outcome = consumed("fsm.tv.outcome_recorded", &outcome("PYXIS", "NO"), &headers);

    let learned = |consumed: &Consumed, found: &Found| match platform(consumed, found, DAY_MS, NOW) {
        Translated::Known { learned, .. } => learned,
        Translated::Parked { .. } => panic!("the order is known"),
    };

    assert_eq!(learned(&status, &Found::default()).as_deref(), Some("fsm-1"));
    assert_eq!(learned(&status, &linked(pyxis())), None);
    assert_eq!(learned(&outcome, &Found::default()), None); // it names no id of the platform
}

#[test]
fn what_is_wanted_and_the_key_follow_the_event() {
    let mut alone = visit("NO", json!(null));
    alone["linked_installation_order_id"] = json!(null);
    for (topic, event, ids, named, key) in [
        ("projects.tv_outcome.recorded", visit("NO", json!(null)), vec!["order-1", "visit-1"], false, "order-1"),
        ("projects.tv_outcome.recorded", alone, vec!["visit-1"], false, "visit-1"),
        ("assignments.assignment.confirmed", confirmed(), vec!["order-1"], false, "order-1"),
        ("projects.service_order.cancelled", cancelled(), vec!["order-1"], false, "order-1"),
        ("fsm.order.assigned", status("SAP", "ASSIGNED"), vec!["fsm-1"], true, "own"),
        ("fsm.tv.modifications_required", outcome("SAP", "YES_BUT"), vec![], true, "own"),
    ] {
        let consumed = consumed(topic, &event, &[]);

        let wanted = consumed.wanted();

        assert_eq!(
            (wanted.platform_ids, wanted.named.is_some()),
            (ids.iter().map(|id| (*id).to_owned()).collect(), named)
        );
        assert_eq!(consumed.platform_key(Some(b"own")), key.as_bytes(), "{topic}");
    }
}
