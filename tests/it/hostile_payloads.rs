//! Payloads at and beyond every limit: the right answer, and a gateway that is still there.

use serde_json::{Value, json};

use crate::support::client::{ORDERS, answer, now_seconds};
use crate::support::gateway::{OLD_SIGNING_SECRET, OTHER_BEARER_TOKEN, SIGNING_SECRET};
use crate::support::{Gateway, pyxis};

const BODY_LIMIT: usize = 2_097_152;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_class_of_bad_payload_gets_its_status_code_and_pointer() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let example = pyxis::EXAMPLE;
    let with = |name: &str, value: &str| example.replacen(name, value, 1).into_bytes();
    let nested = |depth: usize| {
        let deep = format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        with("\"order_id\"", &format!("\"extra\": {deep}, \"order_id\"")) // one level is the document itself
    };
    let cases: Vec<(&str, Vec<u8>, u16, &str, &str)> = vec![
        ("no bytes", Vec::new(), 400, "MALFORMED_PAYLOAD", ""),
        ("cut off", example.as_bytes()[..300].to_vec(), 400, "MALFORMED_PAYLOAD", ""),
        ("text after the document", format!("{example} x").into_bytes(), 400, "MALFORMED_PAYLOAD", ""),
        ("not UTF-8", [b"{\"order_id\": \"".as_slice(), b"\xff\xfe", b"\"}"].concat(), 400, "MALFORMED_PAYLOAD", ""),
        ("a lone surrogate", with("Tessier", "\\ud800"), 400, "MALFORMED_PAYLOAD", ""),
        (
            "a repeated member",
            with("\"city\": \"Lyon\"", "\"city\": \"Lyon\", \"city\": \"Nice\""),
            400,
            "MALFORMED_PAYLOAD",
            "/delivery_address/city",
        ),
        ("65 levels", nested(65), 422, "LIMIT_EXCEEDED", ""),
        ("a million levels", "[".repeat(1_000_000).into_bytes(), 422, "LIMIT_EXCEEDED", ""),
        ("not an object", b"[]".to_vec(), 422, "INVALID_TYPE", ""),
        ("1e400 euros", with("1490.00", "1e400"), 422, "INVALID_FORMAT", "/total_amount/value"),
        (
            "a quantity of 2^53+1",
            with("\"quantity\": 1", "\"quantity\": 9007199254740993"),
            422,
            "INVALID_FORMAT",
            "/line_items/0/quantity",
        ),
        (
            "half a fitting",
            with("\"quantity\": 1", "\"quantity\": 1.5"),
            422,
            "INVALID_FORMAT",
            "/line_items/0/quantity",
        ),
        ("a postal code as a number", with("\"69007\"", "69007"), 422, "INVALID_TYPE", "/delivery_address/postal_code"),
        ("an unknown channel", with("\"STORE\"", "\"FAX\""), 422, "UNKNOWN_CODE", "/channel"),
        ("no customer", with("\"customer\"", "\"client\""), 422, "FIELD_REQUIRED", "/customer"),
        (
            "an update before its creation",
            with("\"channel\"", "\"updated_at\": \"2026-03-03T09:15:30+01:00\", \"channel\""),
            422,
            "BUSINESS_RULE",
            "/updated_at",
        ),
    ];

    for (name, body, status, code, field) in cases {
        let answer = client.deliver_bytes(ORDERS, body).await;

        println!("{name}: {} {}", answer.status, answer.body);
        answer.assert_rejected(status, code, field);
    }
    // Exact numbers survive: fifteen digits beyond what a double holds.
    let exact = client.deliver_bytes(ORDERS, with("1490.00", "900719925474099.31")).await.assert_accepted();
    client.first_events("integration.sales.order.normalized", 1).await;
    let order = client.order("PYX-FR-20260304-7731").await;
    assert_eq!(order["canonical"]["total"]["amount"], "900719925474099.31", "{exact}");
    client.deliver_bytes(ORDERS, nested(64)).await.assert_accepted();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_are_inclusive_and_memory_stays_bounded() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let padded = |bytes: usize| {
        let mut body = pyxis::order("PYX-BIG");
        let without = body.to_string().len() + r#","padding":"""#.len();
        body["padding"] = json!("x".repeat(bytes - without));
        body.to_string().into_bytes()
    };
    let lines = |count: usize| -> Value {
        let mut order = pyxis::order("PYX-LONG");
        let line =
            |number: usize| json!({"line_number": number, "product_code": "P", "quantity": 1, "service_code": "TV_X"});
        order["line_items"] = (1..=count).map(line).collect();
        order
    };

    assert_eq!(padded(BODY_LIMIT).len(), BODY_LIMIT);
    client.deliver_bytes(ORDERS, padded(BODY_LIMIT)).await.assert_accepted();
    client.deliver_bytes(ORDERS, padded(BODY_LIMIT + 1)).await.assert_rejected(413, "PAYLOAD_TOO_LARGE", "");
    client.deliver(&lines(10_000)).await.assert_accepted();
    client.deliver(&lines(10_001)).await.assert_rejected(422, "LIMIT_EXCEEDED", "/line_items");

    client.first_events("integration.sales.order.normalized", 2).await;
    let order = client.order("PYX-LONG").await;
    assert_eq!(order["canonical"]["lines"].as_array().map(Vec::len), Some(10_000));
    let failed = client.first_events("integration.sales.order.failed", 1).await;
    assert_eq!(failed.len(), 1, "a payload over the size limit is not published");
    let raw = failed[0]["value"]["raw_payload"].as_str().expect("text");
    assert!(raw.starts_with("ref:sha256:"), "large payloads are published by reference");
    let resident = resident_bytes(gateway.process_id());
    assert!(resident < 400 << 20, "{resident} bytes are resident after the largest payloads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_authenticated_sender_gets_as_far_as_its_payload() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let body = pyxis::EXAMPLE.as_bytes().to_vec();
    let bad = b"{".to_vec();
    let now = now_seconds();
    let signed = |at, secret| client.signed_at(ORDERS, body.clone(), at, secret);
    let text = reqwest::header::HeaderValue::from_static("text/plain");

    for (name, request, status, code) in [
        ("a wrong secret", signed(now, "wrong"), 401, "AUTHENTICATION_FAILED"),
        ("signed 310 s ago", signed(now - 310, SIGNING_SECRET), 401, "AUTHENTICATION_FAILED"),
        ("signed in 310 s", signed(now + 310, SIGNING_SECRET), 401, "AUTHENTICATION_FAILED"),
        ("an altered body", signed(now, SIGNING_SECRET).body("{}"), 401, "AUTHENTICATION_FAILED"),
        ("bad and unauthenticated", client.signed_at(ORDERS, bad.clone(), now, "wrong"), 401, "AUTHENTICATION_FAILED"),
        (
            "plain text",
            client.signed(ORDERS, body.clone()).header("content-type", text.clone()),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
    ] {
        let mut request = request.build().expect("a request");
        if name == "plain text" {
            request.headers_mut().insert("content-type", text.clone());
        }
        let answer =
            answer(reqwest::RequestBuilder::from_parts(reqwest::Client::new(), request)).await.expect("an answer");
        println!("{name}: {} {}", answer.status, answer.body);
        answer.assert_rejected(status, code, "");
    }
    let other_tenant = client.signed(ORDERS, body.clone()).build().expect("a request");
    let mut other_tenant = other_tenant;
    let bearer = format!("Bearer {OTHER_BEARER_TOKEN}").parse().expect("a header");
    other_tenant.headers_mut().insert("authorization", bearer);
    let other =
        answer(reqwest::RequestBuilder::from_parts(reqwest::Client::new(), other_tenant)).await.expect("an answer");
    assert_ne!(other.assert_accepted(), "8fc78ce8-6c4a-55d8-aaaa-f149200431d2", "the token picks the tenant");
    answer(signed(now, OLD_SIGNING_SECRET)).await.expect("an answer").assert_accepted();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_rate_a_tenant_is_told_when_to_come_back() {
    let options = crate::support::Options { rate_limit_per_minute: 20, ..Default::default() };
    let gateway = Gateway::start_with(&options);
    let client = gateway.client();

    let mut statuses = Vec::new();
    for n in 0..12 {
        let answer = client.deliver(&pyxis::order(&format!("PYX-{n}"))).await;
        if answer.status == 429 {
            assert!(answer.headers.contains_key("retry-after"));
        }
        statuses.push(answer.status.as_u16());
    }

    assert_eq!(statuses[..5], [202; 5], "a quarter of the rate at once");
    assert!(statuses[5..].contains(&429), "{statuses:?}");
}

fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1024
}
