//! A decoded Avro record -> payload, so that one mapping language serves both.
//!
//! The record comes as [`Catalogue::decode_meaning`](crate::schema::Catalogue::decode_meaning) spells it. Numbers are kept as the
//! digits it has written them with: a double by its shortest decimal form.

use bytes::Bytes;
use serde_json::Value as Json;
use vrl::value::Value;

use crate::canonical::rejection::Rejection;
use crate::normalize::decode::{Failure, MAX_VALUES, number_value};

/// The payload of a record.
///
/// # Errors
/// `LIMIT_EXCEEDED` at the empty pointer if there are more than [`MAX_VALUES`].
pub fn from_record(record: Json) -> Result<Value, Rejection> {
    let mut left = MAX_VALUES;
    value(record, &mut left).ok_or_else(|| Failure::TooMany.into_rejection(&[]))
}

/// `None` if more than `left` values are met. The record's own reader bounds its depth.
fn value(json: Json, left: &mut usize) -> Option<Value> {
    *left = left.checked_sub(1)?;
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(boolean) => Value::Boolean(boolean),
        Json::Number(number) => number_value(Bytes::from(number.to_string())),
        Json::String(text) => Value::from(text),
        Json::Array(elements) => {
            Value::Array(elements.into_iter().map(|element| value(element, left)).collect::<Option<_>>()?)
        }
        Json::Object(members) => {
            let members = members.into_iter().map(|(name, member)| Some((name.into(), value(member, left)?)));
            Value::Object(members.collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::canonical::rejection::Code;
    use crate::normalize::decode::to_json;

    #[test]
    fn a_record_becomes_the_payload_its_json_would_be() {
        let record = json!({
            "id": "A-1", "quantity": -3, "at": 1_772_612_130_000_i64, "price": 0.1, "gift": true, "note": null,
            "lines": [{"code": "X"}, {}], "bytes": "AQI=", "ratio": "NaN",
        });

        let payload = from_record(record.clone()).expect("few values");

        let document = Bytes::from(record.to_string());
        assert_eq!(payload, crate::normalize::decode::decode(&document).expect("JSON"));
    }

    #[test]
    fn a_double_is_written_by_its_shortest_form() {
        for (double, expected) in
            [(1490.0, "1490.0"), (0.1, "0.1"), (0.1 + 0.2, "0.30000000000000004"), (1e300, "1e300")]
        {
            let payload = from_record(json!({ "amount": double })).expect("few values");

            assert_eq!(to_json(&payload)["amount"].to_string(), expected.replace("1e300", "1e+300"), "{double}");
        }
    }

    #[test]
    fn a_record_of_too_many_values_is_refused() {
        let record = json!({ "lines": vec![Json::Null; MAX_VALUES] });

        let rejection = from_record(record).expect_err("too many values");

        assert_eq!(rejection.code(), Code::LimitExceeded);
    }
}
