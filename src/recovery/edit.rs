//! What an edited record may not change: whose it is.
//!
//! A record's key is not edited, but its value says again which order it is about. One that named another order would
//! be told to the partner under this one's turn, so whatever the original says of identity the edited value says too.

use bytes::Bytes;
use serde_json::Value;

use crate::schema::{self, Catalogue};

/// Members that say whose a record is, at whatever depth.
const IDENTITY: [&str; 8] = [
    "tenant_id",
    "source_key",
    "source_system",
    "external_order_id",
    "fsm_service_order_id",
    "service_order_id",
    "order_id",
    "event_id",
];
/// First byte of Confluent framing.
const AVRO: u8 = 0;
/// Documents that are nested deeper were never ours.
const MAX_DEPTH: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the record has no value that could be edited")]
    NoValue,
    #[error("expected the edited value to be {expected}, as the original is")]
    Form { expected: &'static str },
    #[error("expected the edited value to be a `{expected}`, found a `{found}`")]
    Record { expected: String, found: String },
    #[error("the edited value has another `{path}` than the original: that would be another order's turn")]
    Identity { path: String },
    #[error(transparent)]
    Schema(#[from] schema::Error),
}

/// Whether `edited` may take the place of `original`.
///
/// # Errors
/// [`Error`] says what differs. A value that is neither JSON nor Avro cannot be edited.
pub fn check(catalogue: &Catalogue, original: Option<&Bytes>, edited: &Bytes) -> Result<(), Error> {
    let original = original.ok_or(Error::NoValue)?;
    let (before, after) = match original.first() {
        Some(&AVRO) => {
            if edited.first() != Some(&AVRO) {
                return Err(Error::Form { expected: "Avro" });
            }
            let (before, after) = (catalogue.decode(original)?, catalogue.decode(edited)?);
            if before.record != after.record {
                return Err(Error::Record { expected: before.record, found: after.record });
            }
            (before.value, after.value)
        }
        _ => {
            let document = |bytes: &[u8]| {
                let value = serde_json::from_slice::<Value>(bytes).ok().filter(Value::is_object);
                value.ok_or(Error::Form { expected: "a JSON object" })
            };
            (document(original)?, document(edited)?)
        }
    };
    match difference(&before, &after, &mut String::new(), 0) {
        Some(path) => Err(Error::Identity { path }),
        None => Ok(()),
    }
}

/// Path of the first member of identity that is not the same in both.
fn difference(before: &Value, after: &Value, path: &mut String, depth: usize) -> Option<String> {
    if depth > MAX_DEPTH {
        return Some(path.clone());
    }
    let (Value::Object(before), after) = (before, after) else { return None };
    for (name, value) in before {
        let length = path.len();
        path.push('/');
        path.push_str(name);
        let found = if IDENTITY.contains(&name.as_str()) {
            (after.get(name) != Some(value)).then(|| path.clone())
        } else {
            difference(value, after.get(name).unwrap_or(&Value::Null), path, depth + 1)
        };
        if found.is_some() {
            return found;
        }
        path.truncate(length);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::catalogue;

    #[test]
    fn only_what_does_not_say_whose_it_is_may_differ() {
        let original =
            br#"{"order":{"tenant_id":"north","external_order_id":"P-1"},"event_id":"e","status":"A","n":1.0}"#;
        for (edited, expected) in [
            (&br#"{"order":{"tenant_id":"north","external_order_id":"P-1"},"event_id":"e","status":"B"}"#[..], None),
            (
                br#"{"order":{"tenant_id":"south","external_order_id":"P-1"},"event_id":"e"}"#,
                Some(
                    "the edited value has another `/order/tenant_id` than the original: that would be another order's turn",
                ),
            ),
            (
                br#"{"event_id":"e"}"#,
                Some(
                    "the edited value has another `/order/tenant_id` than the original: that would be another order's turn",
                ),
            ),
            (b"[]", Some("expected the edited value to be a JSON object, as the original is")),
            (b"", Some("expected the edited value to be a JSON object, as the original is")),
        ] {
            let checked = check(&catalogue(), Some(&Bytes::from_static(original)), &Bytes::copy_from_slice(edited));

            assert_eq!(checked.err().map(|error| error.to_string()).as_deref(), expected);
        }
    }

    #[test]
    fn what_is_avro_stays_the_same_record() {
        let catalogue = catalogue();
        let failed = |order: &str, code: &str| {
            let event = serde_json::json!({"event_id": "7b0c7dbb-5d4e-5c0c-9d4b-111111111111", "event_timestamp": 1,
                "source_system": "PYXIS", "external_order_id": order, "error_code": code, "error_message": "m",
                "raw_payload": "{}"});
            catalogue.encode_json("SalesOrderFailed", &event).expect("it fits its schema")
        };
        let check = |edited: &Bytes| check(&catalogue, Some(&failed("P-1", "A")), edited).map_err(|e| e.to_string());

        assert_eq!(check(&failed("P-1", "B")), Ok(()));
        assert!(check(&failed("P-2", "A")).is_err_and(|error| error.contains("`/external_order_id`")));
        assert!(check(&Bytes::from_static(b"{}")).is_err_and(|error| error.contains("to be Avro")));
    }
}
