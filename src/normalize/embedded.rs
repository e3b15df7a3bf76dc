//! A JSON document inside a payload: the text of one member, opened before the payload is validated, so that schema and
//! mapping see its members like any others (`/raw_payload/customer/first_name`).
//!
//! It is opened only if it is a JSON object about the same order. One that is not is left out with a warning: what
//! carries it is complete enough to go on without it.

use bytes::Bytes;
use vrl::value::Value;

use crate::normalize::decode::decode;
use crate::normalize::functions::as_text;
use crate::normalize::manifest::Embedded;

/// Puts the document in the place of its text, or nothing if it cannot be used; says whether it is there now.
/// `order_id`: as the payload has it.
pub fn open(payload: &mut Value, embedded: &Embedded, order_id: &str) -> bool {
    let Some(place) = payload.get_mut(&embedded.at.path) else { return false };
    let document = as_text(place).and_then(|text| decode(&Bytes::copy_from_slice(text.as_bytes())).ok());
    // A number is an object to VRL, but has no order id.
    let about = |document: &Value| document.get(&embedded.id.path).and_then(as_text).map(str::to_owned);
    match document.filter(|document| about(document).as_deref() == Some(order_id)) {
        Some(document) => {
            *place = document;
            true
        }
        None => {
            // As a member that was never there.
            *place = Value::Null;
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::normalize::decode::{from_record, to_json};
    use crate::normalize::manifest::Pointer;

    #[test]
    fn only_an_object_about_the_same_order_is_opened() {
        let pointer = |text| Pointer::parse(text).expect("a pointer");
        let embedded = Embedded { at: pointer("/raw"), id: pointer("/order/id") };
        let deep = format!(r#"{{"order": {{"id": "A"}}, "x": {}{}}}"#, "[".repeat(64), "]".repeat(64));
        let huge = format!(r#"{{"order": {{"id": "A"}}, "x": [{}0]}}"#, "0,".repeat(200_000));
        for (raw, opened) in [
            (r#"{"order": {"id": "A"}, "n": 1.50}"#, Some(r#"{"n":1.50,"order":{"id":"A"}}"#)),
            ("\u{feff} {\"order\": {\"id\": \"A\"}}\n", Some(r#"{"order":{"id":"A"}}"#)),
            (r#"{"order": {"id": "a"}}"#, None),
            (r#"{"order": {"id": " A"}}"#, None),
            (r#"{"order": {"id": 1}}"#, None),
            (r#"{"order": {}}"#, None),
            (r#"{"order": {"id": "A"}"#, None),
            (r#"{"order": {"id": "A"}} x"#, None),
            (r#"{"order": {"id": "A"}, "order": {"id": "A"}}"#, None),
            (r#"{"order": {"id": "A"}, "x": "\ud800"}"#, None),
            (r#"[{"order": {"id": "A"}}]"#, None),
            (r#""A""#, None),
            ("1", None),
            ("null", None),
            ("", None),
            ("order A", None),
            (&deep, None),
            (&huge, None),
        ] {
            let mut payload = from_record(json!({ "id": "A", "raw": raw })).expect("few values");

            assert_eq!(open(&mut payload, &embedded, "A"), opened.is_some(), "{raw:.80}");

            let found = to_json(&payload)["raw"].to_string();
            assert_eq!(found, opened.unwrap_or("null"), "{raw:.80}");
        }
    }

    #[test]
    fn a_member_that_is_no_text_is_not_opened() {
        let pointer = |text| Pointer::parse(text).expect("a pointer");
        let embedded = Embedded { at: pointer("/raw"), id: pointer("/id") };
        for raw in [json!(null), json!(1), json!({"id": "A"}), json!(["A"])] {
            let mut payload = from_record(json!({ "raw": raw })).expect("few values");

            assert!(!open(&mut payload, &embedded, "A"), "{raw}");
        }
        assert!(!open(&mut Value::Null, &embedded, "A"), "nothing to open it in");
    }
}
