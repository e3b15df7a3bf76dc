use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::*;
use crate::canonical::rejection::Rejection;

fn schema(name: &str) -> Validator {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
    Validator::load(file).unwrap_or_else(|report| panic!("{report}"))
}

/// The example of `contracts/pyxis.md`.
fn order() -> Json {
    json!({
        "order_id": "PYX-FR-20260304-7731", "created_at": "2026-03-04T09:15:30+01:00", "channel": "STORE",
        "store": {"store_id": "FR-LYO-04", "country_code": "FR", "business_unit": "BU_FR_HOME"},
        "customer": {"customer_id": "C-558120", "first_name": "Maëlle", "last_name": "Tessier",
            "email": "maelle.tessier@example.org", "phone": "06 55 51 23 40"},
        "delivery_address": {"street": "8 quai des Tilleuls", "city": "Lyon", "postal_code": "69007",
            "country_code": "FR"},
        "line_items": [{"line_number": 1, "product_code": "KIT-INST-STD", "product_name": "Kitchen fitting, standard",
            "quantity": 1, "service_code": "INSTALL_KITCHEN", "estimated_duration_minutes": 480}],
        "total_amount": {"value": 1490.00, "currency": "EUR"}, "delivery_date": "2026-03-19"
    })
}

fn patched(patches: &[(&str, Json)]) -> Json {
    let mut order = order();
    for (pointer, value) in patches {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = order.pointer_mut(parent).expect("the parent is there");
        match parent {
            Json::Array(elements) => match name.parse::<usize>() {
                Ok(index) if index < elements.len() => elements[index] = value.clone(),
                _ => elements.push(value.clone()),
            },
            parent => parent[name] = value.clone(),
        }
    }
    order
}

fn check(validator: &Validator, payload: &str) -> Vec<Problem> {
    let mut payload = decode::decode(&Bytes::from(payload.to_owned())).expect("JSON");
    decode::remove_empty(&mut payload);
    validator.check(&payload)
}

fn found(validator: &Validator, payload: &Json) -> Vec<String> {
    let problems = check(validator, &payload.to_string());
    problems.iter().map(|problem| format!("{} {}", problem.code, problem.field)).collect()
}

#[test]
fn the_examples_of_the_contract_are_valid() {
    let cancellation = json!({"order_id": "PYX-FR-20260304-7731", "country_code": "FR",
        "cancelled_at": "2026-03-06T17:02:00+01:00", "reason_code": "CUSTOMER_REQUEST",
        "reason": "Kitchen no longer wanted"});

    assert_eq!(found(&schema("pyxis/order.schema.json"), &order()), [""; 0]);
    assert_eq!(found(&schema("pyxis/cancellation.schema.json"), &cancellation), [""; 0]);
}

#[test]
fn what_a_pyxis_order_lacks_is_named_by_the_contract() {
    let pyxis = schema("pyxis/order.schema.json");
    let null = Json::Null;
    type Patches<'a> = &'a [(&'a str, Json)];
    let cases: &[(Patches<'_>, &[&str])] = &[
        (&[("/order_id", null.clone())], &["FIELD_REQUIRED /order_id"]),
        (&[("/order_id", json!("  \u{a0}"))], &["FIELD_REQUIRED /order_id"]),
        (&[("/order_id", json!(7))], &["INVALID_TYPE /order_id"]),
        (&[("/updated_at", null.clone())], &[]),
        (&[("/customer", null.clone())], &["FIELD_REQUIRED /customer"]),
        (&[("/store", null.clone())], &["FIELD_REQUIRED /store"]),
        (&[("/delivery_address", json!([]))], &["FIELD_REQUIRED /delivery_address"]),
        (&[("/customer", json!("Maëlle"))], &["INVALID_TYPE /customer"]),
        (&[("/customer", json!(5))], &["INVALID_TYPE /customer"]),
        (&[("/customer", json!([1]))], &["INVALID_TYPE /customer"]),
        (&[("/store", json!(5))], &["INVALID_TYPE /store"]),
        (&[("/customer/first_name", null.clone())], &[]),
        (&[("/customer/last_name", null.clone())], &[]),
        (
            &[("/customer/first_name", null.clone()), ("/customer/last_name", json!(""))],
            &["FIELD_REQUIRED /customer/last_name"],
        ),
        (&[("/customer/email", null.clone())], &[]),
        (&[("/customer/phone", null.clone())], &[]),
        (&[("/customer/email", null.clone()), ("/customer/phone", json!(" "))], &["FIELD_REQUIRED /customer"]),
        (
            &[("/customer", json!({}))],
            &["FIELD_REQUIRED /customer/customer_id", "FIELD_REQUIRED /customer/last_name", "FIELD_REQUIRED /customer"],
        ),
        (&[("/store/store_id", null.clone())], &["FIELD_REQUIRED /store/store_id"]),
        (&[("/store/store_id", null.clone()), ("/channel", json!("WEB"))], &[]),
        (&[("/store/store_id", null.clone()), ("/channel", json!("store"))], &[]),
        (&[("/store/store_id", null.clone()), ("/channel", null.clone())], &["FIELD_REQUIRED /channel"]),
        (
            &[("/store", json!({}))],
            &[
                "FIELD_REQUIRED /store/country_code",
                "FIELD_REQUIRED /store/business_unit",
                "FIELD_REQUIRED /store/store_id",
            ],
        ),
        (&[("/delivery_address/postal_code", json!(69007))], &["INVALID_TYPE /delivery_address/postal_code"]),
        (&[("/line_items", json!([]))], &["FIELD_REQUIRED /line_items"]),
        (&[("/line_items", json!({}))], &["INVALID_TYPE /line_items"]),
        (&[("/line_items", json!("one"))], &["INVALID_TYPE /line_items"]),
        (&[("/line_items/1", null.clone())], &["FIELD_REQUIRED /line_items/1"]),
        (&[("/line_items/1", json!(" "))], &["FIELD_REQUIRED /line_items/1"]),
        (&[("/line_items/1", json!([]))], &["FIELD_REQUIRED /line_items/1"]),
        (&[("/line_items/1", json!("x"))], &["INVALID_TYPE /line_items/1"]),
        (
            &[("/line_items/1", json!({"product_name": 1, "quantity": "1"}))],
            &[
                "FIELD_REQUIRED /line_items/1/line_number",
                "FIELD_REQUIRED /line_items/1/product_code",
                "INVALID_TYPE /line_items/1/product_name",
                "INVALID_TYPE /line_items/1/quantity",
                "FIELD_REQUIRED /line_items/1/service_code",
            ],
        ),
        (&[("/line_items/0/quantity", json!({"$number": "1"}))], &["INVALID_TYPE /line_items/0/quantity"]),
        (&[("/line_items/0/quantity", json!(1.5))], &[]), // a format, not a type
        (
            &[("/line_items/0/requires_technical_visit", json!("true"))],
            &["INVALID_TYPE /line_items/0/requires_technical_visit"],
        ),
        (&[("/line_items/0/requires_technical_visit", json!(false))], &[]),
        (&[("/total_amount", null.clone())], &[]),
        (&[("/total_amount/value", json!("1490.00"))], &[]),
        (&[("/total_amount/value", json!(true))], &["INVALID_TYPE /total_amount/value"]),
        (&[("/total_amount/currency", null.clone())], &["FIELD_REQUIRED /total_amount/currency"]),
        (
            &[("/total_amount", json!({}))],
            &["FIELD_REQUIRED /total_amount/value", "FIELD_REQUIRED /total_amount/currency"],
        ),
        (&[("/total_amount", json!(1490))], &["INVALID_TYPE /total_amount"]),
        (&[("/external_refs", json!({"project_id": "P", "other": [null]}))], &[]),
        (&[("/external_refs", json!({"lead_id": 1}))], &["INVALID_TYPE /external_refs/lead_id"]),
        (&[("/unknown", json!({"order_id": 1}))], &[]),
    ];
    for (patches, expected) in cases {
        assert_eq!(found(&pyxis, &patched(patches)), *expected, "{patches:?}");
    }
}

#[test]
fn problems_stand_in_the_order_of_the_field_table() {
    let pyxis = schema("pyxis/order.schema.json");

    assert_eq!(
        found(
            &pyxis,
            &json!({"notes": 1, "line_items": [{}, null], "customer": {"email": 1}, "channel": "STORE",
            "store": {}})
        ),
        [
            "FIELD_REQUIRED /order_id",
            "FIELD_REQUIRED /created_at",
            "FIELD_REQUIRED /store/country_code",
            "FIELD_REQUIRED /store/business_unit",
            "FIELD_REQUIRED /store/store_id",
            "FIELD_REQUIRED /customer/customer_id",
            "FIELD_REQUIRED /customer/last_name",
            "INVALID_TYPE /customer/email",
            "FIELD_REQUIRED /delivery_address",
            "FIELD_REQUIRED /line_items/0/line_number",
            "FIELD_REQUIRED /line_items/0/product_code",
            "FIELD_REQUIRED /line_items/0/quantity",
            "FIELD_REQUIRED /line_items/0/service_code",
            "FIELD_REQUIRED /line_items/1",
            "INVALID_TYPE /notes",
        ]
    );
}

#[test]
fn later_problems_are_put_into_the_order_of_the_schema() {
    let pyxis = schema("pyxis/order.schema.json");
    let at = |field: &str| Problem::new(Code::InvalidFormat, field, "");
    let mut problems = [
        "/nowhere",
        "/line_items/10/quantity",
        "/line_items/9/service_code",
        "/line_items/9/quantity",
        "/customer/phone",
        "/customer/email",
        "/created_at",
        "/order_id",
        "",
    ]
    .map(at);

    pyxis.sort(&mut problems);

    assert_eq!(
        problems.map(|problem| problem.field),
        [
            "",
            "/order_id",
            "/created_at",
            "/customer/email",
            "/customer/phone",
            "/line_items/9/quantity",
            "/line_items/9/service_code",
            "/line_items/10/quantity",
            "/nowhere"
        ]
    );
}

#[test]
fn ten_thousand_lines_are_allowed_and_no_more() {
    let pyxis = schema("pyxis/order.schema.json");
    let lines = |count: usize| {
        let line = &order()["line_items"][0];
        patched(&[("/line_items", Json::Array(vec![line.clone(); count]))])
    };

    assert_eq!(found(&pyxis, &lines(10_000)), [""; 0]);
    assert_eq!(found(&pyxis, &lines(10_001)), ["LIMIT_EXCEEDED /line_items"]);
    // Presence comes before counts.
    let mut both = lines(10_001);
    both["channel"] = Json::Null;
    let rejection = Rejection::of(check(&pyxis, &both.to_string())).expect("a rejection");
    assert_eq!((rejection.code(), rejection.problems().len()), (Code::FieldRequired, 1));
}

#[test]
fn a_document_that_is_no_object_has_the_wrong_type() {
    let pyxis = schema("pyxis/order.schema.json");
    for body in ["null", "[]", "[{}]", "1", "\"x\"", "\"\"", "true"] {
        let problems = check(&pyxis, body);
        let found: Vec<_> = problems.iter().map(|problem| (problem.code, &*problem.field)).collect();
        assert_eq!(found, [(Code::InvalidType, "")], "{body}");
    }
}

#[test]
fn numbers_of_any_size_are_numbers() {
    let pyxis = schema("pyxis/order.schema.json");
    for literal in ["1e400", "1e-400", "9007199254740993", "-0", &"7".repeat(5000)] {
        let body = order().to_string().replace("\"quantity\":1,", &format!("\"quantity\":{literal},"));
        assert!(body.contains(literal));
        assert_eq!(check(&pyxis, &body), [], "{literal}");
    }
}

#[test]
fn messages_say_what_was_expected_and_never_the_value() {
    let pyxis = schema("pyxis/order.schema.json");
    let payload = patched(&[
        ("/order_id", json!(["secret"])),
        ("/line_items", json!([{"line_number": "secret", "product_code": {"secret": 1}}])),
        ("/customer", json!({"secret": "secret"})),
        ("/total_amount/value", json!({"secret": "secret"})),
    ]);

    let problems = check(&pyxis, &payload.to_string());

    let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "expected text, found an array",
            "is required",
            "`first_name` or `last_name` is required",
            "`email` or `phone` is required",
            "expected a number, found text",
            "expected text, found an object",
            "is required",
            "is required",
            "expected a number or text, found an object",
        ]
    );
}

#[test]
fn names_are_escaped_in_pointers() {
    let validator = Validator::parse(
        "x.json",
        r#"{"type": "object", "required": ["a/b"],
        "properties": {"a/b": {"type": "string"}, "c~d": {"type": "object", "required": ["e"],
            "properties": {"e": {"type": "string"}}}}}"#,
    )
    .expect("a schema");

    assert_eq!(found(&validator, &json!({"c~d": {}})), ["FIELD_REQUIRED /a~1b", "FIELD_REQUIRED /c~0d/e"]);
    assert_eq!(found(&validator, &json!({"a/b": 1, "c~d": 1})), ["INVALID_TYPE /a~1b", "INVALID_TYPE /c~0d"]);
}

#[test]
fn the_kind_is_that_of_a_valid_payload() {
    let validator = Validator::parse(
        "x.json",
        r#"{"type": "object", "required": ["a", "n"], "properties": {
        "a": {"type": "array", "items": {"type": "boolean"}}, "n": {"type": ["number", "string"]},
        "t": {"type": "string"}}}"#,
    )
    .expect("a schema");
    let payload = decode::decode(&Bytes::from(r#"{"a": [true], "n": 1.50}"#)).expect("JSON");

    let kind = validator.schema_kind();

    assert!(kind.is_superset(&Kind::from(&payload)).is_ok(), "{kind:?}");
    let members = kind.as_object().expect("an object").known();
    assert_eq!(members.get(&"t".into()), Some(&Kind::bytes().or_undefined()));
    assert!(members.get(&"n".into()).is_some_and(|number| number.contains_bytes() && number.contains_object()));
    assert!(!kind.as_object().expect("an object").unknown_kind().contains_any_defined());
    assert!(validator.fields().member("a").and_then(Field::element).is_some());
    assert_eq!(validator.fields().member_names().collect::<Vec<_>>(), ["a", "n", "t"]);
    assert!(validator.fields().member("b").is_none());
}

#[test]
fn a_schema_that_says_more_than_it_may_is_refused_with_its_lines() {
    let text = r#"{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "type": "object",
  "required": ["a", "z", "a"],
  "additionalProperties": false,
  "properties": {
    "a": {"type": "string", "pattern": "^x$"},
    "b": {"type": "integer"},
    "c": {"type": "array"},
    "d": {"type": "string", "maxItems": 1},
    "e": {"enum": ["x"], "type": "string"},
    "f": {"type": ["object", "string"]},
    "g": true,
    "$number": {"type": "string"},
    "h": {"type": "object"},
    "i": {"type": "array", "maxItems": -1, "items": {"type": "string"}},
    "a": {"type": "string"}
  },
  "x-any-of-required": [
    {"members": ["a", "b"], "at": ""},
    {"members": ["d", "e"]}
  ],
  "x-required-if": [
    {"member": "/y", "when": "/c", "is": "x"}
  ]
}"#;

    let report = Validator::parse("bad.schema.json", text).expect_err("many mistakes");

    let lines: Vec<_> = report.findings().iter().map(|finding| (finding.line, finding.message.clone())).collect();
    for (line, part) in [
        (2, "draft/2020-12"),
        (4, "`z` is not declared"),
        (4, "`a` is named twice"),
        (5, "unknown keyword `additionalProperties`"),
        (8, "integer function"),
        (9, "schema of an element"),
        (10, "`maxItems` says nothing"),
        (11, "`enum`: formats and codes belong to the value functions"),
        (12, "`type`: expected"),
        (13, "expected a schema object"),
        (14, "`$number`"),
        (15, "object of schemas"),
        (16, "`maxItems`: expected a number"),
        (17, "is given twice"),
        (20, "not `required`"),
        (21, "expected {\"members\""),
        (24, "`member`: expected"),
        (24, "`when`: expected"),
    ] {
        assert!(lines.iter().any(|(at, message)| *at == line && message.contains(part)), "{line} {part}: {lines:#?}");
    }
}

#[test]
fn a_file_that_is_no_schema_is_reported() {
    for (text, line) in
        [("{\n  \"type\": \"object\",\n}", 3), ("", 1), ("[]", 1), ("true", 1), ("{\"type\":\"string\"}", 1)]
    {
        let report = Validator::parse("bad.json", text).expect_err(text);
        assert_eq!(report.findings()[0].line, line, "{text}: {report}");
    }
    let report = Validator::load("no-such-file.json").expect_err("no file");
    assert!(report.to_string().starts_with("no-such-file.json: cannot be read"), "{report}");
}
