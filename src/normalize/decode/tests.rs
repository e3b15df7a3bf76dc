use serde_json::json;
use vrl::path;

use super::*;

fn read(body: &[u8]) -> Result<Value, Rejection> {
    decode(&Bytes::copy_from_slice(body))
}

fn shown(body: &str) -> String {
    to_json(&read(body.as_bytes()).unwrap_or_else(|rejection| panic!("{body}: {rejection}"))).to_string()
}

#[test]
fn a_document_is_decoded_with_its_number_literals() {
    for (body, expected) in [
        (r#"{"b":1490.00,"a":[1e400,-0,9007199254740993]}"#, r#"{"a":[1e+400,-0,9007199254740993],"b":1490.00}"#),
        (" \t\r\n[true , false,null,\"\"] ", r#"[true,false,null,""]"#),
        ("\u{feff}{}", "{}"),
        (r#""\u00e9\ud83d\ude00\n\/\u0000""#, r#""é😀\n/\u0000""#),
        (r#"{"":{"":1}}"#, r#"{"":{"":1}}"#),
        (r#"{"caf\u00e9":1}"#, r#"{"café":1}"#),
        ("0.5", "0.5"),
        ("-1E+2", "-1e+2"),
        ("\"\u{7f}\"", "\"\u{7f}\""),
    ] {
        assert_eq!(shown(body), expected, "{body}");
    }
}

#[test]
fn a_number_of_any_length_keeps_its_literal() {
    for digits in [400, 4299, 4300, 4301, 100_000] {
        let digits = "7".repeat(digits);
        for literal in [
            digits.clone(),
            format!("-{digits}"),
            format!("0.{digits}"),
            format!("{digits}.5e-3"),
            format!("1e{digits}"),
        ] {
            let decoded = read(format!(r#"{{"a":[{literal}],"b":"x"}}"#).as_bytes()).expect("valid JSON");

            assert_eq!(decoded.get(path!("a", 0)).and_then(number_literal), Some(Number(&literal)));
            assert_eq!(decoded.get(path!("b")), Some(&Value::from("x")));
        }
        for malformed in [format!("{digits}."), format!("{digits}e"), format!("{digits}x"), format!("-{digits}.e1")] {
            assert!(read(malformed.as_bytes()).is_err());
        }
    }
    let repeated = format!("{{\"a\":{},\n\"b\":+}}", "7".repeat(5000));
    let message = read(repeated.as_bytes()).expect_err("malformed").message();
    assert!(message.ends_with("at line 2 column 5"), "{message}");
}

#[test]
fn what_is_not_one_json_document_is_malformed() {
    for body in [
        &b""[..],
        b" ",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
        b"{\0}\0",
        b"\"\xff\"",
        b"\"\xc3\"",
        b"\"\xed\xa0\x80\"", // a surrogate as UTF-8
        b"\"\xc0\x80\"",     // U+0000 in two bytes
        b"{\"a\":\"\xe9\"}", // Latin-1
        br#""\ud800""#,
        br#""\udc00""#,
        br#""\ud800\u0041""#,
        br#""\ud800x""#,
        br#""\ud83d\ud83d""#,
        br#"{"\ud800":1}"#,
        br#""\u12""#,
        br#""\x41""#,
        b"\"a\nb\"",
        b"\"a\tb\"",
        b"\"\x01\"",
        b"\"\0\"",
        b"{\"a\x1f\":1}",
        b"01",
        b"-01",
        b"1.",
        b".5",
        b"+1",
        b"-",
        b"1e",
        b"1e+",
        b"0x10",
        b"1_000",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"nan",
        b"True",
        b"nul",
        b"nulll",
        b"truefalse",
        b"{}{}",
        b"{} x",
        b"[] ,",
        b"1 2",
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b"[1,,2]",
        b"{\"a\":1,}",
        b"{,}",
        b"{\"a\" 1}",
        b"{\"a\":}",
        b"{\"a\"}",
        b"{a:1}",
        b"{'a':1}",
        b"{1:1}",
        b"{\"a\":1",
        b"[1",
        b"[",
        b"\"abc",
        b"\"abc\\",
        b"tru",
        b"// x\n{}",
        b"{} // x",
        b"/**/{}",
        b"\x0b{}",
        "\u{a0}{}".as_bytes(),
        b"order_id=1",
        b"<order/>",
    ] {
        let rejection = read(body).expect_err(&String::from_utf8_lossy(body));
        let fields: Vec<_> = rejection.problems().iter().map(|problem| (problem.code, &*problem.field)).collect();
        assert_eq!(fields, [(Code::MalformedPayload, "")], "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn every_cut_of_a_document_is_malformed() {
    let body = r#"{"a":[1.5e3,"x\u00e9é",true,null],"b":{"c":-0}}"#;
    for end in 0..body.len() {
        assert!(read(&body.as_bytes()[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_repeated_member_is_named_by_its_pointer() {
    for (body, pointer) in [
        (r#"{"a":1,"a":1}"#, "/a"),
        (r#"{"a":1,"\u0061":2}"#, "/a"),
        (r#"{"x":[{},{"y":{"a/b~":1,"a/b~":null}}]}"#, "/x/1/y/a~1b~0"),
        (r#"{"":1,"":2}"#, "/"),
        (r#"{"a":{"b":1,"b":2},"a":1}"#, "/a/b"),
    ] {
        let rejection = read(body.as_bytes()).expect_err(body);
        assert_eq!((rejection.code(), &*rejection.problems()[0].field), (Code::MalformedPayload, pointer), "{body}");
    }
    assert!(read(br#"{"a":{"b":1},"c":{"b":1},"B":2,"b":3}"#).is_ok());
}

#[test]
fn nesting_ends_at_64() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(read(nested(64).as_bytes()).is_ok());
        for body in [nested(65), nested(100_000), open.repeat(100_000)] {
            let rejection = read(body.as_bytes()).expect_err("too deep");
            assert_eq!((rejection.code(), &*rejection.problems()[0].field), (Code::LimitExceeded, ""));
        }
    }
    let wide = format!("[{}1]", "[[]],".repeat(10_000));
    assert!(read(wide.as_bytes()).is_ok());
}

#[test]
fn values_end_at_two_hundred_thousand() {
    // The array itself is a value, too.
    assert!(read(format!("[{}1]", "1,".repeat(MAX_VALUES - 2)).as_bytes()).is_ok());
    for element in ["1", "{}", "[]", "\"\"", "null", "{\"a\":1}"] {
        let body = format!("[{}{element}]", format!("{element},").repeat(MAX_VALUES - 1));
        let rejection = read(body.as_bytes()).expect_err("too many");
        assert_eq!((rejection.code(), &*rejection.problems()[0].field), (Code::LimitExceeded, ""), "{element}");
    }
}

#[test]
fn an_object_that_looks_like_a_number_stays_an_object() {
    let decoded = read(br#"{"a":{"$number":"1"},"b":1,"c":{"$number":1}}"#).expect("valid JSON");

    assert_eq!(decoded.get(path!("a")).and_then(number_literal), None);
    assert_eq!(decoded.get(path!("b")).and_then(number_literal), Some(Number("1")));
    assert_eq!(to_json(&decoded), json!({"a": {"$number": "1"}, "b": 1, "c": {"$number": 1}}));
}

#[test]
fn empty_members_are_taken_out_and_elements_stay() {
    for (body, expected) in [
        (r#"{"a":null,"b":"","c":" \u00a0\t","d":[],"e":0,"f":false}"#, r#"{"e":0,"f":false}"#),
        (r#"{"a":[null,""," ",[],{},{"b":null}]}"#, r#"{"a":[null,""," ",[],{},{}]}"#),
        (r#"{"a":{"b":{"c":null}}}"#, r#"{"a":{"b":{}}}"#),
        (r#"{"a":"\u0007","b":"\u0000"}"#, r#"{"b":"\u0000"}"#),
        ("null", "null"),
        ("\" \"", "\" \""),
        ("[]", "[]"),
    ] {
        let mut value = read(body.as_bytes()).expect("valid JSON");
        remove_empty(&mut value);
        assert_eq!(to_json(&value).to_string(), expected, "{body}");
    }
}

#[test]
fn no_message_repeats_the_payload() {
    for body in ["{\"secret\":\"secret\",\"b\":secret}", "{\"a\":1}secret", "secret", "[\"secret"] {
        let rejection = read(body.as_bytes()).expect_err("malformed");
        assert!(!rejection.message().contains("secret"), "{rejection}");
    }
}
