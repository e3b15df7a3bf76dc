//! Sources of webhooks at the door: every scheme, the answers, and what is appended.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::canonical::intake;
use crate::config::binding::Parameter;
use crate::door::Error;
use crate::door::testing::Mood;
use crate::normalize::AdapterSet;
use crate::verify::scheme::{Encoding, HmacHeader, Scheme, WrongSecret};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The sources `shop`, `relay` and `plain` of the fixtures.
fn door() -> TestDoor {
    let door = TestDoor::new();
    door.door.install(sources(SECRET).expect("the secrets are well-formed")).expect("the paths are free");
    door
}

fn sources(secret: &str) -> Result<Installation, Error> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/webhook");
    let adapters = AdapterSet::load(&folder.join("mappings"), &folder.join("schemas")).unwrap();
    let binding = |adapter: &str| {
        Arc::new(Binding {
            name: format!("{adapter}-north"),
            adapter: adapter.into(),
            tenant_id: "north".into(),
            countries: vec!["FR".into()],
            signing_secret: vec![Secret::new(secret)],
            basic_credentials: vec![Secret::new("acme:pass word")],
            source_id: Some(adapter.into()),
            parameters: [("bu_codes".to_owned(), Parameter::List(vec!["BU_FR_HOME".into()]))].into(),
            ..Binding::default()
        })
    };
    Installation::of(&adapters, &["shop", "relay", "plain"].map(binding))
}

fn scheme(source: &str) -> Scheme {
    match source {
        "relay" => Scheme::HmacHeader(HmacHeader {
            header: "x-relay-signature".into(),
            encoding: Encoding::Hex,
            prefix: "sha256=".into(),
            timestamp_header: Some("x-relay-time".into()),
        }),
        "plain" => Scheme::Basic,
        _ => Scheme::Standard,
    }
}

fn example(source: &str) -> Value {
    let file = format!("{}/fixtures/webhook/mappings/{source}/cases/order/input.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn sent(source: &str, body: &str, at_s: i64) -> Request {
    let secret = if source == "plain" { "acme:pass word" } else { SECRET };
    let headers = scheme(source).sign(&Secret::new(secret), "msg_1", at_s, body.as_bytes()).unwrap();
    let mut request = Request::post(format!("/api/v1/adapters/hooks/{source}"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.header("content-type", "application/json").body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn every_scheme_lets_its_source_in() {
    for (source, order) in [("shop", "S-1001"), ("relay", "S-1001"), ("plain", "42")] {
        let door = door();

        let answered = door.send(sent(source, &example(source).to_string(), NOW_S)).await;

        assert_eq!(answered.status, 202, "{source}: {}", answered.body);
        assert_eq!(answered.body["externalOrderId"], order, "{source}");
        let key = format!("north|custom.{source}|{order}");
        assert_eq!(door.stored()[0].record.key.as_deref(), Some(key.as_bytes()), "{source}");
    }
}

#[tokio::test]
async fn a_delivery_that_does_not_prove_itself_is_told_no_more_than_that() {
    let body = example("shop").to_string();
    let changed = |name: &'static str, value: &str| {
        let mut request = sent("shop", &body, NOW_S);
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let (late, early) = (sent("shop", &body, NOW_S - 360), sent("relay", &body, NOW_S + 301));
    for request in [
        changed("webhook-signature", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        changed("webhook-id", "msg_2"),
        late,
        early,
        Request::post("/api/v1/adapters/hooks/plain").body(Body::from(body.clone())).unwrap(),
    ] {
        let door = door();

        let answered = door.send(request).await;

        assert_eq!(answered.summary(), (401, "REJECTED", "AUTHENTICATION_FAILED", ""));
        assert!(door.stored().is_empty());
    }
}

#[tokio::test]
async fn an_unknown_source_is_not_found() {
    let door = door();

    for source in ["nobody", "Shop", "shop/", ""] {
        assert_eq!(door.send(sent(source, "{}", NOW_S)).await.status, 404, "{source}");
    }
}

#[tokio::test]
async fn what_there_is_nothing_to_do_for_is_ignored_and_not_stored() {
    let door = door();

    let answered = door.send(sent("shop", r#"{"type": "stock.moved"}"#, NOW_S)).await;

    let expected = json!({"status": "IGNORED", "correlationId": Uuid::from_u128(7).to_string(),
        "receivedAt": "2026-03-04T08:15:30.000Z"});
    assert_eq!((answered.status.as_u16(), answered.body), (200, expected));
    assert!(door.stored().is_empty());
    assert_eq!(door.metrics.outcomes.with_label_values(&["shop-north", "ignored"]).get(), 1);
}

#[tokio::test]
async fn a_batch_is_answered_item_by_item_and_stored_in_its_order() {
    let door = door();
    let mut bad = example("shop");
    bad["data"]["number"] = json!("S-1002");
    bad["data"]["shop"]["channel"] = json!("moon");
    let batch = json!([example("shop"), {"type": "stock.moved"}, bad]);

    let answered = door.send(sent("shop", &batch.to_string(), NOW_S)).await;

    let error = json!({"code": "UNKNOWN_CODE", "field": "/2/data/shop/channel",
        "message": "expected a code of the table `channels`"});
    let expected = json!({"items": [
        {"index": 0, "status": "RECEIVED", "errors": []},
        {"index": 1, "status": "IGNORED", "errors": []},
        {"index": 2, "status": "REJECTED", "errors": [error]},
    ]});
    assert_eq!((answered.status.as_u16(), answered.body), (200, expected));
    let drafts: Vec<_> = door
        .stored()
        .iter()
        .map(|stored| intake::decode(&catalogue(), stored.record.value.as_deref().unwrap()).unwrap().head)
        .map(|head| (head.external_order_id, head.delivery_id))
        .collect();
    let named = |order: &str, delivery: &str| (Some(order.to_owned()), Some(delivery.to_owned()));
    assert_eq!(drafts, [named("S-1001", "msg_1#0"), named("S-1002", "msg_1#2")]);
    assert_eq!(door.metrics.rejections.with_label_values(&["shop-north", "UNKNOWN_CODE"]).get(), 1);
}

#[tokio::test]
async fn a_batch_that_cannot_be_stored_is_answered_503() {
    let door = door();
    door.log.set(Mood::Fails);

    let answered = door.send(sent("shop", &json!([example("shop")]).to_string(), NOW_S)).await;

    assert_eq!(answered.status, 503);
}

#[tokio::test]
async fn the_body_of_a_webhook_has_a_mebibyte_and_its_media_type_is_checked() {
    let (mebibyte, event) = (1 << 20, r#"{"type": "stock.moved"}"#);
    let padded = |bytes: usize| format!("{event}{}", " ".repeat(bytes - event.len()));
    for (body, content_type, status) in [
        (padded(mebibyte), "application/json", 200),
        (padded(mebibyte + 1), "application/json", 413),
        (event.to_owned(), "application/xml", 415),
        (event.to_owned(), "application/cloudevents+json", 415),
    ] {
        let settings = DoorSettings { max_body_bytes_in_flight: 4 << 20, ..settings() };
        let door = TestDoor::with(MemoryStore::default(), settings);
        door.door.install(sources(SECRET).unwrap()).unwrap();
        let mut request = sent("shop", &body, NOW_S);
        request.headers_mut().insert("content-type", content_type.parse().unwrap());

        assert_eq!(door.send(request).await.status, status, "{} bytes of {content_type}", body.len());
    }
}

#[test]
fn a_secret_of_another_form_is_refused_before_the_door_opens() {
    let refused = sources("no standard secret").err();

    assert_eq!(refused, Some(Error::Source { binding: "shop-north".into(), cause: WrongSecret::NotStandard }));
}
