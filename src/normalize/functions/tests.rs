//! What each function makes of a value, as a mapping calls it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::{Findings, Known, reference};
use crate::config::reader::Document;
use crate::normalize::decode::{decode, remove_empty, to_json};
use crate::normalize::program::Program;
use crate::normalize::shape::{Member, Shape};
use crate::normalize::tables::{Table, Tables};
use crate::normalize::tests::binding;
use crate::normalize::validate::Validator;

const SCHEMA: &str = r#"{"type": "object", "required": ["id"], "properties": {
    "id": {"type": "string"}, "a": {"type": "string"}, "b": {"type": "string"}, "time": {"type": "string"},
    "n": {"type": "number"}, "flag": {"type": "boolean"},
    "total": {"type": "object", "properties": {"value": {"type": ["string", "number"]}, "unit": {"type": "string"}}},
    "rooms": {"type": "array", "items": {"type": "object", "properties": {
        "name": {"type": "string"},
        "doors": {"type": "array", "items": {"type": "object", "properties": {"width": {"type": "number"}}}}}}},
    "items": {"type": "array", "items": {"type": "object", "properties": {
        "qty": {"type": "number"}, "price": {"type": ["string", "number"]}, "kind": {"type": "string"}}}},
    "tags": {"type": "array", "items": {"type": "string"}}}}"#;
/// What a line costs, exactly.
const LINES: &str = "each(.items) -> |_i, item| { product(decimal(item.qty), decimal(item.price)) }";

const TEXT: Shape = Shape::Text;
const INTEGER: Shape = Shape::Integer;
const BOOLEAN: Shape = Shape::Boolean;
const MONEY: Shape = Shape::Object(&[
    Member { name: "amount", shape: Shape::Text, required: true },
    Member { name: "currency", shape: Shape::Text, required: true },
]);
const TEXTS: Shape = Shape::List(&Shape::Text);
const ROOMS: Shape = Shape::List(&Shape::List(&Shape::Integer));

fn known() -> Known {
    let text = "[rows]\nA = \"first\"\n\"B_*\" = \"second\"\n";
    let table = Table::read("letters", &Document::parse("letters.toml", text).expect("valid TOML"));
    let tables = Tables::from_iter([table.expect("a correct table")]);
    Known { tables: Arc::new(tables), lists: Arc::new(vec!["bu_codes".to_owned()]) }
}

/// The value of `expression` for `payload`, and what was found.
fn run(expression: &str, shape: Shape, payload: &Json) -> (Json, Findings) {
    let members: &'static [Member] = Box::leak(Box::new([Member { name: "it", shape, required: false }]));
    let validator = Validator::parse("test.schema.json", SCHEMA).unwrap_or_else(|report| panic!("{report}"));
    let source = match expression.rsplit_once('\n') {
        Some((before, last)) => format!("{before}\n{{ \"it\": {last} }}"),
        None => format!("{{ \"it\": {expression} }}"),
    };
    let shape = Shape::Object(members);
    let program = Program::compile(Path::new("test.vrl"), &source, validator.schema_kind(), &shape, &known());
    let program = program.unwrap_or_else(|report| panic!("{expression}: {report}"));
    let mut payload = decode(&Bytes::from(payload.to_string())).expect("a JSON payload");
    remove_empty(&mut payload);
    assert_eq!(validator.check(&payload), [], "{expression}");
    let (result, found) = program.run(payload, &Arc::new(binding())).expect("a mapping without defect");
    let result = result.as_object().and_then(|result| result.get("it")).map_or(Json::Null, shown);
    (result, found)
}

fn shown(value: &vrl::value::Value) -> Json {
    use vrl::value::Value;
    match value {
        Value::Integer(integer) => json!(integer),
        Value::Array(elements) => elements.iter().map(shown).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.to_string(), shown(value))).collect(),
        value => to_json(value),
    }
}

#[test]
fn functions_give_the_canonical_value() {
    for (expression, shape, payload, expected) in [
        ("order_id(.id)", TEXT, json!({"id": "A.b_c-9"}), json!("A.b_c-9")),
        ("text(.a, \"name\")", TEXT, json!({"id": "x", "a": " M  \u{7} n "}), json!("M n")),
        ("text(.a, \"notes\")", TEXT, json!({"id": "x"}), json!(null)),
        ("text(.a, \"notes\")", TEXT, json!({"id": "x", "a": "\u{7}"}), json!(null)),
        ("lookup(.a, \"letters\", otherwise: null)", TEXT, json!({"id": "x", "a": "A"}), json!("first")),
        ("lookup(.a, \"letters\", otherwise: null)", TEXT, json!({"id": "x", "a": "C"}), json!(null)),
        ("epoch(.n, \"ms\")", INTEGER, json!({"id": "x", "n": 1_772_612_130_000_i64}), json!(1_772_612_130_000_i64)),
        ("epoch(.n, \"ms\")", INTEGER, json!({"id": "x"}), json!(null)),
        ("pattern(.a, r'^[A-Z0-9_]{2,64}$')", TEXT, json!({"id": "x", "a": "BOILER_1"}), json!("BOILER_1")),
        ("lookup(.a, \"letters\")", TEXT, json!({"id": "x", "a": "B_9"}), json!("second")),
        ("lookup(.a, \"letters\", otherwise: \"none\")", TEXT, json!({"id": "x", "a": "C"}), json!("none")),
        ("lookup(.a, \"letters\", otherwise: \"none\")", TEXT, json!({"id": "x"}), json!(null)),
        ("first_of([lookup(.a, \"letters\"), \"zero\"])", TEXT, json!({"id": "x"}), json!("zero")),
        ("listed(.a, \"bu_codes\")", TEXT, json!({"id": "x", "a": "BU_FR_HOME"}), json!("BU_FR_HOME")),
        ("address_country(.a, \"FR\")", TEXT, json!({"id": "x", "a": "be"}), json!("BE")),
        ("postal_code(.a, \"PT\")", TEXT, json!({"id": "x", "a": "1000001"}), json!("1000-001")),
        ("phone(.a, \"IT\")", TEXT, json!({"id": "x", "a": "06 4512 0099"}), json!("+390645120099")),
        (
            "timestamp(.time, \"ES\")",
            INTEGER,
            json!({"id": "x", "time": "2026-07-01T00:00:00"}),
            json!(1_782_856_800_000_i64),
        ),
        ("date(.time, \"ES\")", TEXT, json!({"id": "x", "time": "2026-06-30T22:00:00Z"}), json!("2026-07-01")),
        ("integer(.n, min: 1)", INTEGER, json!({"id": "x", "n": 3}), json!(3)),
        ("integer(.a, min: 1)", INTEGER, json!({"id": "x", "a": "3.0"}), json!(3)),
        ("quantity(.n)", TEXT, json!({"id": "x", "n": 1.5}), json!("1.5")),
        ("boolean(.flag)", BOOLEAN, json!({"id": "x", "flag": false}), json!(false)),
        ("first_of([boolean(.flag), true])", BOOLEAN, json!({"id": "x", "flag": false}), json!(false)),
        (
            "money(.total.value, .total.unit, \"FR\")",
            MONEY,
            json!({"id": "x", "total": {"value": "85", "unit": "eur"}}),
            json!({"amount": "85.00", "currency": "EUR"}),
        ),
        (
            "money(.total.value, \"PLN\", \"PL\")",
            MONEY,
            json!({"id": "x", "total": {"value": 85}}),
            json!({"amount": "85.00", "currency": "PLN"}),
        ),
        ("money(.total.value, \"PLN\", \"PL\")", MONEY, json!({"id": "x", "total": {}}), json!(null)),
        (
            "join([text(.a, \"name\"), null, text(.b, \"name\")], \", \")",
            TEXT,
            json!({"id": "x", "a": "1", "b": "2"}),
            json!("1, 2"),
        ),
        ("join([text(.a, \"name\"), text(.b, \"name\")], \", \")", TEXT, json!({"id": "x"}), json!(null)),
        ("upper(text(.a, \"code\"))", TEXT, json!({"id": "x", "a": "straße"}), json!("STRASSE")),
        ("lower(text(.a, \"code\"))", TEXT, json!({"id": "x", "a": "ÀB"}), json!("àb")),
        ("part(text(.a, \"code\"), \"-\", 1)", TEXT, json!({"id": "x", "a": "DE-77-9"}), json!("77")),
        ("part(text(.a, \"code\"), \"-\", 3)", TEXT, json!({"id": "x", "a": "DE-77-9"}), json!(null)),
        ("strip_zeros(text(.a, \"code\"))", TEXT, json!({"id": "x", "a": "0042"}), json!("42")),
        ("to_text(integer(.n))", TEXT, json!({"id": "x", "n": 42}), json!("42")),
        ("is_before(timestamp(.time, \"FR\"), 5)", BOOLEAN, json!({"id": "x"}), json!(false)),
        ("is_in(.a, [\"x\", \"y\"])", BOOLEAN, json!({"id": "x", "a": "y"}), json!(true)),
        ("text(upper(.a), \"code\", at: .a)", TEXT, json!({"id": "x", "a": "ab"}), json!("AB")),
        (
            "each(.tags) -> |_i, tag| { text(tag, \"code\") }",
            TEXTS,
            json!({"id": "x", "tags": ["a", "b"]}),
            json!(["a", "b"]),
        ),
        (
            "each(.tags) -> |_i, tag| { if tag != \"a\" { text(tag, \"code\") } }",
            TEXTS,
            json!({"id": "x", "tags": ["a", "b"]}),
            json!(["b"]),
        ),
        ("each(.tags) -> |_i, tag| { text(tag, \"code\") }", TEXTS, json!({"id": "x"}), json!([])),
        (
            "each_pair(.tags, .rooms) -> |i, tag, room| { join([to_text(i), text(tag, \"code\"), text(room.name, \"name\")], \" \") }",
            TEXTS,
            json!({"id": "x", "tags": ["a", "b", "c"], "rooms": [{"name": "hall"}, {}]}),
            json!(["0 a hall", "1 b", "2 c"]),
        ),
        (
            "each_pair(.tags, .rooms) -> |_i, tag, room| { join([text(tag, \"code\"), text(room.name, \"name\")], \" \") }",
            TEXTS,
            json!({"id": "x", "tags": ["a"], "rooms": [{"name": "hall"}, {"name": "attic"}]}),
            json!(["a hall"]),
        ),
        (
            "each_pair(.tags, .rooms) -> |_i, tag, room| { join([text(tag, \"code\"), text(room.name, \"name\")], \" \") }",
            TEXTS,
            json!({"id": "x", "tags": ["a"]}),
            json!(["a"]),
        ),
        (
            "each(.rooms) -> |_i, room| { each_pair(room.doors, .rooms) -> |_j, door, _other| { integer(door.width) } }",
            ROOMS,
            json!({"id": "x", "rooms": [{"doors": [{"width": 1}]}, {"doors": [{"width": 2}, {"width": 3}]}]}),
            json!([[1], [2, 3]]),
        ),
    ] {
        let (found, findings) = run(expression, shape, &payload);

        assert_eq!((found, findings.problems), (expected, vec![]), "{expression} of {payload}");
    }
}

#[test]
fn conversions_give_the_canonical_value() {
    for (expression, shape, payload, expected) in [
        ("decimal(.n)", TEXT, json!({"id": "x", "n": 12.50}), json!("12.5")),
        ("decimal(.a, decimals: 2)", TEXT, json!({"id": "x", "a": "0012.50"}), json!("12.5")),
        ("decimal(.n)", TEXT, json!({"id": "x"}), json!(null)),
        ("boolean(.a, yes: [\"Y\", \"1\"], no: [\"N\"])", BOOLEAN, json!({"id": "x", "a": "1"}), json!(true)),
        ("boolean(.a, yes: [\"Y\", \"1\"], no: [\"N\"])", BOOLEAN, json!({"id": "x", "a": "N"}), json!(false)),
        ("one_of(.a, values: [\"A\", \"B\"])", TEXT, json!({"id": "x", "a": "B"}), json!("B")),
        (
            "timestamp(.time, \"ES\", format: \"%d/%m/%Y %H:%M\")",
            INTEGER,
            json!({"id": "x", "time": "01/07/2026 00:00"}),
            json!(1_782_856_800_000_i64),
        ),
        (
            "timestamp(.time, \"ES\", zone: \"Europe/Lisbon\")",
            INTEGER,
            json!({"id": "x", "time": "2026-06-30T23:00:00"}),
            json!(1_782_856_800_000_i64),
        ),
        (
            "timestamp(.time, null, format: \"%d/%m/%Y %H:%M %z\")",
            INTEGER,
            json!({"id": "x", "time": "01/07/2026 00:00 +0200"}),
            json!(1_782_856_800_000_i64),
        ),
        (
            "date(.time, \"ES\", format: \"%d.%m.%y\")",
            TEXT,
            json!({"id": "x", "time": "01.07.26"}),
            json!("2026-07-01"),
        ),
        ("epoch(.n, \"s\")", INTEGER, json!({"id": "x", "n": 1_782_856_800}), json!(1_782_856_800_000_i64)),
        ("epoch(.a, \"ms\")", INTEGER, json!({"id": "x", "a": "1782856800000"}), json!(1_782_856_800_000_i64)),
        ("is_present(.a)", BOOLEAN, json!({"id": "x", "a": "y"}), json!(true)),
        ("is_present(.a)", BOOLEAN, json!({"id": "x", "a": " "}), json!(false)),
        ("is_present(.items)", BOOLEAN, json!({"id": "x", "items": []}), json!(false)),
        (
            "code = if .a == \"big\" || is_in(.b, [\"x\"]) { text(.a, \"code\") } else { text(.b, \"code\") }\ncode",
            TEXT,
            json!({"id": "x", "a": "small", "b": "z"}),
            json!("z"),
        ),
    ] {
        let (found, findings) = run(expression, shape, &payload);

        assert_eq!((found, findings.problems), (expected, vec![]), "{expression} of {payload}");
    }
}

#[test]
fn a_total_is_calculated_exactly() {
    let items = |items: Json| json!({"id": "x", "items": items});
    for (payload, expected) in [
        (items(json!([{"qty": 3, "price": "0.10"}, {"qty": 0.5, "price": 89.90}])), json!("45.25")),
        (items(json!([{"qty": 3, "price": "0.1"}])), json!("0.3")),
        (items(json!([{"qty": 3}, {"qty": 2, "price": "-1.5"}])), json!("-3")),
        (items(json!([{"qty": 3}])), json!(null)),
        (json!({"id": "x"}), json!(null)),
    ] {
        let (found, findings) = run(&format!("sum({LINES})"), TEXT, &payload);

        assert_eq!((found, findings.problems), (expected, vec![]), "{payload}");
    }
    let total = format!("money(sum({LINES}), \"EUR\", \"FR\", at: .items)");
    for (payload, expected) in [
        (items(json!([{"qty": 3, "price": "29.95"}])), Ok(json!({"amount": "89.85", "currency": "EUR"}))),
        (items(json!([{"qty": 3}])), Ok(json!(null))),
        (
            items(json!([{"qty": 0.333, "price": "29.95"}])),
            Err("INVALID_FORMAT /items: expected at most 2 decimals for EUR"),
        ),
        (
            items(json!([{"qty": 1, "price": "1"}, {"qty": 1, "price": "1,5"}])),
            Err("INVALID_FORMAT /items/1/price: expected a decimal number such as `12.5`"),
        ),
    ] {
        let (found, findings) = run(&total, MONEY, &payload);

        let problems: Vec<_> = findings.problems.iter().map(|problem| format!("{} {problem}", problem.code)).collect();
        match expected {
            Ok(expected) => assert_eq!((found, problems), (expected, vec![]), "{payload}"),
            Err(problem) => assert_eq!(problems, [problem], "{payload}"),
        }
    }
}

#[test]
fn arguments_that_make_no_sense_do_not_compile() {
    for (expression, expected) in [
        ("timestamp(.time, \"FR\", zone: \"Mars/Base\")", "`zone`: no time zone `Mars/Base`"),
        ("date(.time, \"FR\", format: \"%H:%M\")", "`format`: expected directives that give a date"),
        ("epoch(.n, \"h\")", "`unit`: expected \"s\" or \"ms\""),
        ("decimal(.n, decimals: 13)", "`decimals`: expected 0 to 12"),
        ("boolean(.a, yes: [\"Y\"])", "`yes` and `no`: expected both or neither"),
        ("boolean(.a, yes: [\"Y\"], no: [\"Y\"])", "a word is both `yes` and `no`"),
        ("one_of(.a, values: [])", "`values`: expected an array of one or more constant texts"),
        ("one_of(.a, values: [.b])", "`values`: expected an array of one or more constant texts"),
        ("money(sum([]), \"EUR\", \"FR\")", "`amount` is computed: name the field to blame with `at:`"),
        ("boolean(.n)", "`boolean` takes true or false, the field is"),
    ] {
        let validator = Validator::parse("test.schema.json", SCHEMA).unwrap_or_else(|report| panic!("{report}"));
        const MEMBERS: &[Member] = &[Member { name: "it", shape: Shape::Text, required: false }];
        let source = format!("{{ \"it\": {expression} }}");
        let (kind, shape) = (validator.schema_kind(), Shape::Object(MEMBERS));

        let report = Program::compile(Path::new("test.vrl"), &source, kind, &shape, &known()).expect_err(expression);

        assert!(report.to_string().contains(expected), "{expression}: {report}");
    }
}

#[test]
fn problems_name_the_field_they_were_found_at() {
    for (expression, shape, payload, expected) in [
        (
            "text(upper(.a), \"code\", at: .b)",
            TEXT,
            json!({"id": "x", "a": "x".repeat(65)}),
            "INVALID_FORMAT /b: expected at most 64 characters",
        ),
        (
            "lookup(.a, \"letters\")",
            TEXT,
            json!({"id": "x", "a": "B_"}),
            "UNKNOWN_CODE /a: expected a code of the table `letters`",
        ),
        (
            "one_of(.a, values: [\"A\", \"B\"])",
            TEXT,
            json!({"id": "x", "a": "a"}),
            "UNKNOWN_CODE /a: expected one of: A, B",
        ),
        (
            "boolean(.a, yes: [\"Y\"], no: [\"N\"])",
            BOOLEAN,
            json!({"id": "x", "a": "yes"}),
            "UNKNOWN_CODE /a: expected one of: Y, N",
        ),
        (
            "lookup(upper(\"c\"), \"letters\", at: .b)",
            TEXT,
            json!({"id": "x"}),
            "UNKNOWN_CODE /b: expected a code of the table `letters`",
        ),
        (
            "date(.time, \"FR\", format: \"%d/%m/%Y\")",
            TEXT,
            json!({"id": "x", "time": "2026-07-01"}),
            "INVALID_FORMAT /time: expected a time of the form `%d/%m/%Y`",
        ),
        (
            "timestamp(.time, null, format: \"%d/%m/%Y\")",
            INTEGER,
            json!({"id": "x", "time": "01/07/2026"}),
            "INVALID_FORMAT /time: expected a time with its offset: no selling country is given",
        ),
        (
            "epoch(.n, \"s\")",
            INTEGER,
            json!({"id": "x", "n": 5}),
            "INVALID_FORMAT /n: expected a time from 2000-01-01 to 2100-01-01",
        ),
        ("required(text(.a, \"name\"), at: .b)", TEXT, json!({"id": "x"}), "FIELD_REQUIRED /b: is required"),
        (
            "assert(.a == \"y\", at: .a, message: \"expected y\")\ntext(.id, \"code\")",
            TEXT,
            json!({"id": "x", "a": "z"}),
            "BUSINESS_RULE /a: expected y",
        ),
        (
            "money(.total.value, .total.unit, \"FR\")",
            MONEY,
            json!({"id": "x", "total": {"value": 1}}),
            "FIELD_REQUIRED /total/unit: is required",
        ),
        (
            "money(.total.value, .total.unit, \"FR\")",
            MONEY,
            json!({"id": "x", "total": {"unit": "EUR"}}),
            "FIELD_REQUIRED /total/value: is required",
        ),
        (
            "money(.total.value, \"JPY\", \"FR\")",
            MONEY,
            json!({"id": "x", "total": {"value": 1.5}}),
            "INVALID_FORMAT /total/value: expected at most 0 decimals for JPY",
        ),
        (
            "each(.rooms) -> |_i, room| { each(room.doors) -> |_j, door| { integer(door.width, min: 0, max: 9) } }",
            ROOMS,
            json!({"id": "x", "rooms": [{"doors": [{"width": 1}]}, {"doors": [{"width": 2}, {"width": 10}]}]}),
            "INVALID_FORMAT /rooms/1/doors/1/width: expected an integer from 0 to 9",
        ),
        (
            "each_pair(.tags, .rooms) -> |_i, tag, room| { join([text(tag, \"code\"), pattern(room.name, r'^x$')], \"\") }",
            TEXTS,
            json!({"id": "x", "tags": ["a", "b"], "rooms": [{"name": "x"}, {"name": "y"}]}),
            "INVALID_FORMAT /rooms/1/name: expected text that matches `^x$`",
        ),
        (
            "each_pair(.tags, .rooms) -> |_i, _tag, room| { unique(first_of([text(room.name, \"name\"), \"x\"]), at: room.name) }",
            TEXTS,
            json!({"id": "x", "tags": ["a", "b"], "rooms": [{"name": "x"}]}),
            "BUSINESS_RULE /rooms/1/name: expected a value no earlier element has",
        ),
        (
            "epoch(.n, \"ms\")",
            INTEGER,
            json!({"id": "x", "n": 1_772_612_130}),
            "INVALID_FORMAT /n: expected a time from 2000-01-01 to 2100-01-01",
        ),
        (
            "epoch(.n, \"ms\")",
            INTEGER,
            json!({"id": "x", "n": 1.5}),
            "INVALID_FORMAT /n: expected an integer, found a fraction",
        ),
        (
            "each(.tags) -> |_i, tag| { unique(text(tag, \"code\"), at: tag) }",
            TEXTS,
            json!({"id": "x", "tags": ["a", "b", "a"]}),
            "BUSINESS_RULE /tags/2: expected a value no earlier element has",
        ),
    ] {
        let (_, found) = run(expression, shape, &payload);

        let problems: Vec<_> = found.problems.iter().map(|problem| format!("{} {problem}", problem.code)).collect();
        assert_eq!(problems, [expected], "{expression} of {payload}");
    }
}

#[test]
fn what_is_unique_in_one_loop_may_occur_in_the_next() {
    let payload = json!({"id": "x", "rooms": [{"doors": [{"width": 1}]}, {"doors": [{"width": 1}, {"width": 2}]}]});
    let expression =
        "each(.rooms) -> |_i, room| { each(room.doors) -> |_j, door| { unique(integer(door.width), at: door.width) } }";

    let (result, found) = run(expression, ROOMS, &payload);

    assert_eq!((result, found.problems), (json!([[1], [1, 2]]), vec![]));
}

#[test]
fn a_refused_value_is_one_problem_however_often_it_is_used() {
    let payload = json!({"id": "a b", "a": "x".repeat(65)});
    let expression =
        "id = order_id(.id)\nname = join([id, text(.a, \"code\")], \"-\")\ntext(upper(name), \"city\", at: .b)";

    let (_, found) = run(expression, TEXT, &payload);

    let fields: Vec<_> = found.problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["/id", "/a"]);
}

#[test]
fn a_null_character_is_found_beside_other_problems() {
    let payload = json!({"id": "a b", "a": "x\u{0}"});

    let (_, found) = run("join([order_id(.id), text(.a, \"notes\")], \"\")", TEXT, &payload);

    let fields: Vec<_> = found.problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["/id", "/a"]);
}

#[test]
fn remarks_name_their_field() {
    for (expression, shape, payload, expected) in [
        ("email(.a)", TEXT, json!({"id": "x"}), "/a CustomerEmailMissing"),
        ("phone(.b, \"FR\")", TEXT, json!({"id": "x"}), "/b CustomerPhoneMissing"),
        ("text(.a, \"notes\")", TEXT, json!({"id": "x", "a": "a\u{202e}b"}), "/a TextSanitized"),
        ("address_country(.a, \"FR\")", TEXT, json!({"id": "x", "a": "ES"}), "/a CrossBorderAddress"),
        (
            "money(.total.value, .total.unit, \"PL\")",
            MONEY,
            json!({"id": "x", "total": {"value": 1, "unit": "EUR"}}),
            "/total/unit CurrencyMismatch",
        ),
        (
            "lookup(.a, \"letters\", otherwise: \"?\", warning: \"reason_code_unknown\")",
            TEXT,
            json!({"id": "x", "a": "C"}),
            "/a ReasonCodeUnknown",
        ),
        (
            "if .a == \"y\" { warn(\"total_mismatch\", at: .a) }\ntext(.id, \"code\")",
            TEXT,
            json!({"id": "x", "a": "y"}),
            "/a TotalMismatch",
        ),
    ] {
        let (_, found) = run(expression, shape, &payload);

        let warnings: Vec<_> = found.warnings.iter().map(|(field, warning)| format!("{field} {warning:?}")).collect();
        assert_eq!((warnings, found.problems), (vec![expected.to_owned()], vec![]), "{expression} of {payload}");
    }
}

#[test]
fn the_documentation_lists_every_function() {
    let documented = include_str!("../../../docs/mappings.md");

    assert!(documented.contains(&reference()), "docs/mappings.md should contain:\n{}", reference());
}
