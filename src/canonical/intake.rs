//! A draft as it lies on `crossdock.intake`: framed Avro, record `Intake`.
//!
//! What is known of every message is a field of its own, for people and their tools; what its kind says is JSON text
//! in `document`; the payload travels as bytes, so that two mebibytes of it cost one copy.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::canonical::draft::{Draft, DraftBody, DraftHead};
use crate::canonical::headers;
use crate::canonical::ids::Sha256Digest;
use crate::canonical::order::SourceSystem;
use crate::log::{Header, Record};
use crate::schema::{self, Catalogue};

/// Name of the record in the schema.
pub const RECORD: &str = "Intake";

/// Room for the fields beside `document` and `raw`, of ordinary length.
const HEAD_BYTES: usize = 512;

/// Why a record of `crossdock.intake` is not a draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Schema(#[from] schema::Error),
    /// The place is in the JSON text of the field `document`.
    #[error("`document` of an intake record: expected {kind}, found another text at line {line} column {column}")]
    Document { kind: &'static str, line: usize, column: usize },
}

/// The framed value of `draft`.
///
/// # Errors
/// [`schema::Error::UnknownRecord`] or [`schema::Error::Write`] if `catalogue` is not of the schemas this was built
/// with.
pub fn encode(catalogue: &Catalogue, draft: &Draft) -> Result<Bytes, schema::Error> {
    // What was made of a payload is about as long as the payload.
    let room = draft.raw.len() + draft.raw.len() / 2 + 512;
    let (kind, document) = match &draft.body {
        DraftBody::Order(order) => (Kind::Order, write(order, room)),
        DraftBody::Cancellation(cancellation) => (Kind::Cancellation, write(cancellation, room)),
        DraftBody::Rejection(rejection) => (Kind::Rejection, write(rejection, room)),
    };
    let document = document.ok_or_else(|| schema::Error::Write {
        record: RECORD.to_owned(),
        path: "/document".to_owned(),
        problem: "the body of the draft is not JSON".to_owned(),
    })?;
    let room = document.len() + draft.raw.len() + HEAD_BYTES;
    let head = &draft.head;
    let intake = Intake {
        tenant_id: Cow::Borrowed(&head.tenant_id),
        source_system: head.source_system,
        source_key: Cow::Borrowed(&head.source_key),
        external_order_id: head.external_order_id.as_deref().map(Cow::Borrowed),
        kind,
        binding: Cow::Borrowed(&head.binding),
        received_from: Cow::Borrowed(&head.received_from),
        received_at: head.received_at,
        correlation_id: Cow::Borrowed(&head.correlation_id),
        raw_sha256: head.raw_sha256,
        retry_count: head.retry_count,
        transformation_version: Cow::Borrowed(&head.transformation_version),
        delivery_id: head.delivery_id.as_deref().map(Cow::Borrowed),
        document: Cow::Owned(document),
        raw: Cow::Borrowed(&draft.raw),
        route: head.route.as_deref().map(Cow::Borrowed),
        path: Cow::Borrowed(&head.path),
        replay_of: head.replay_of.map(|id| id.to_string()),
    };
    catalogue.encode_about(RECORD, &intake, room)
}

/// The draft of a record [`encode`] wrote.
///
/// # Errors
/// [`Error::Schema`] as [`Catalogue::decode_as`]; [`Error::Document`] if the body is of another version.
pub fn decode(catalogue: &Catalogue, framed: &[u8]) -> Result<Draft, Error> {
    let intake: Intake<'static> = catalogue.decode_as(RECORD, framed)?;
    let body = match intake.kind {
        Kind::Order => DraftBody::Order(read(&intake.document, "an order")?),
        Kind::Cancellation => DraftBody::Cancellation(read(&intake.document, "a cancellation")?),
        Kind::Rejection => DraftBody::Rejection(read(&intake.document, "a rejection")?),
    };
    let head = DraftHead {
        tenant_id: intake.tenant_id.into_owned(),
        source_system: intake.source_system,
        source_key: intake.source_key.into_owned(),
        external_order_id: intake.external_order_id.map(Cow::into_owned),
        binding: intake.binding.into_owned(),
        received_from: intake.received_from.into_owned(),
        received_at: intake.received_at,
        correlation_id: intake.correlation_id.into_owned(),
        raw_sha256: intake.raw_sha256,
        retry_count: intake.retry_count,
        transformation_version: intake.transformation_version.into_owned(),
        route: intake.route.map(Cow::into_owned),
        path: intake.path.into_owned(),
        replay_of: intake.replay_of.and_then(|id| Uuid::parse_str(&id).ok()),
        delivery_id: intake.delivery_id.map(Cow::into_owned),
    };
    Ok(Draft { head, body, raw: intake.raw.into_owned().into() })
}

/// The record of a draft with that head, whose framed value is `value`.
pub fn record(head: &DraftHead, value: Bytes, traceparent: Option<&str>) -> Record {
    let mut fields = Vec::with_capacity(6);
    fields.push(Header::text(headers::CORRELATION_ID, head.correlation_id.as_str()));
    fields.push(Header::text(headers::TENANT_ID, head.tenant_id.as_str()));
    fields.push(Header::text(headers::SOURCE_SYSTEM, head.source_system.as_str()));
    fields.push(Header::text(headers::EVENT_TYPE, RECORD));
    if let Some(traceparent) = traceparent {
        fields.push(Header::text(headers::TRACEPARENT, traceparent));
    }
    Record { key: Some(Bytes::from(head.partition_key())), value: Some(value), headers: fields }
}

/// The fields of the schema, in its order; borrowed when written, owned when read.
#[derive(Serialize, Deserialize)]
struct Intake<'a> {
    tenant_id: Cow<'a, str>,
    source_system: SourceSystem,
    source_key: Cow<'a, str>,
    external_order_id: Option<Cow<'a, str>>,
    kind: Kind,
    binding: Cow<'a, str>,
    received_from: Cow<'a, str>,
    received_at: i64,
    correlation_id: Cow<'a, str>,
    raw_sha256: Sha256Digest,
    retry_count: u32,
    transformation_version: Cow<'a, str>,
    delivery_id: Option<Cow<'a, str>>,
    document: Cow<'a, str>,
    #[serde(with = "payload")]
    raw: Cow<'a, [u8]>,
    #[serde(default)]
    route: Option<Cow<'a, str>>,
    #[serde(default)]
    path: Cow<'a, BTreeMap<String, String>>,
    #[serde(default)]
    replay_of: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Kind {
    Order,
    Cancellation,
    Rejection,
}

/// Bytes as bytes: serde takes a slice for a sequence of numbers otherwise.
mod payload {
    use std::borrow::Cow;

    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'static, [u8]>, D::Error> {
        apache_avro::serde::bytes::deserialize(deserializer).map(Cow::Owned)
    }
}

/// The JSON text of a draft's body; with `room` for it, it is not moved while it grows.
fn write(body: &impl Serialize, room: usize) -> Option<String> {
    let mut json = Vec::with_capacity(room);
    serde_json::to_writer(&mut json, body).ok()?;
    String::from_utf8(json).ok()
}

/// The error keeps only the place: serde's text may repeat a value of the document.
fn read<T: DeserializeOwned>(document: &str, kind: &'static str) -> Result<T, Error> {
    serde_json::from_str(document).map_err(|error| Error::Document { kind, line: error.line(), column: error.column() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::draft::{CancellationDraft, Intent, OrderDraft};
    use crate::canonical::order::tests::example;
    use crate::canonical::order::{Line, Warning};
    use crate::canonical::rejection::{Code, Problem, Rejection};
    use crate::schema::tests::catalogue;

    fn draft(external_order_id: Option<&str>, body: DraftBody, raw: &[u8]) -> Draft {
        let head = DraftHead {
            tenant_id: "north".into(),
            source_system: SourceSystem::Pyxis,
            source_key: "pyxis".into(),
            external_order_id: external_order_id.map(str::to_owned),
            binding: "pyxis-north".into(),
            received_from: "sales.pyxis.order.created".into(),
            received_at: 1_772_612_131_210,
            correlation_id: "c-1".into(),
            raw_sha256: Sha256Digest::of(raw),
            retry_count: u32::MAX,
            transformation_version: "pyxis/1.0.0".into(),
            route: Some("pyxis/order-created".into()),
            path: [("order_id".to_owned(), "A.1".to_owned())].into(),
            replay_of: Some(Uuid::from_u128(7)),
            delivery_id: external_order_id.map(|id| format!("msg_{id}")),
        };
        Draft { head, body, raw: Bytes::copy_from_slice(raw) }
    }

    fn order_draft(lines: usize, raw: &[u8]) -> Draft {
        let mut order = example();
        let line = order.lines[0].clone();
        order.lines = (1..=lines).map(|id| Line { line_id: id.to_string(), ..line.clone() }).collect();
        let digest = order.business_digest();
        let (id_field, revision_field) = ("/order_id".into(), "/updated_at".into());
        let body = OrderDraft { intent: Intent::Upsert, order, digest, id_field, revision_field };
        draft(Some("PYX-FR-20260304-7731"), DraftBody::Order(Box::new(body)), raw)
    }

    #[test]
    fn every_kind_of_draft_comes_back_as_it_went() {
        let catalogue = catalogue();
        let cancellation = CancellationDraft {
            cancelled_at: 1_772_612_130_000,
            country_code: Some("FR".into()),
            reason_code: "OTHER".into(),
            reason: None,
            warnings: vec![Warning::ReasonCodeUnknown],
            id_field: "/order_id".into(),
        };
        let problems = (0..130).map(|n| Problem::new(Code::InvalidFormat, format!("/{n}"), "bad \"é\"")).collect();
        let rejection = Rejection::of(problems).expect("there are problems");
        for (name, draft) in [
            ("order", order_draft(1, br#"{"order_id": "PYX-FR-20260304-7731"}"#)),
            ("cancellation", draft(Some("A.1"), DraftBody::Cancellation(cancellation), b"{}")),
            ("rejection", draft(None, DraftBody::Rejection(rejection), b"\xff\x00not text")),
            ("largest order", order_draft(10_000, &vec![0xfe; 2 << 20])),
        ] {
            let framed = encode(&catalogue, &draft).expect("a draft fits its schema");

            assert!(decode(&catalogue, &framed).as_ref() == Ok(&draft), "{name}");
        }
    }

    #[test]
    fn a_record_of_the_former_schema_is_read_without_what_it_did_not_say() {
        let schemas = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("events")).expect("a folder");
        let former = std::fs::read(schemas.join("events/com.ahs.crossdock/Intake.1.avsc")).expect("it is kept");
        std::fs::write(folder.path().join("events/Intake.avsc"), former).expect("written");
        let ids = "schema = [{ id = 20, record = \"Intake\", file = \"events/Intake.avsc\" }]\n";
        std::fs::write(folder.path().join("ids.toml"), ids).expect("written");
        let before = Catalogue::load(folder.path()).expect("the schema as it was");
        let mut draft = order_draft(1, b"{}");
        let mut record =
            catalogue().decode(&encode(&catalogue(), &draft).expect("it fits")).expect("just written").value;
        for added in ["delivery_id", "route", "path", "replay_of"] {
            record.as_object_mut().expect("a record").shift_remove(added);
        }
        let framed = before.encode_json(RECORD, &record).expect("it fits the former schema");

        let read = decode(&catalogue(), &framed);

        let (route, path) = (None, Default::default());
        draft.head = DraftHead { delivery_id: None, route, path, replay_of: None, ..draft.head };
        assert_eq!(read, Ok(draft));
    }

    #[test]
    fn what_is_known_of_every_message_can_be_read_by_any_tool() {
        let catalogue = catalogue();
        let framed = encode(&catalogue, &order_draft(1, b"{}")).expect("a draft fits its schema");

        let decoded = catalogue.decode(&framed).expect("it was just written");

        assert_eq!(decoded.record, RECORD);
        for (field, expected) in [
            ("tenant_id", "north"),
            ("source_system", "PYXIS"),
            ("external_order_id", "PYX-FR-20260304-7731"),
            ("kind", "ORDER"),
            ("binding", "pyxis-north"),
            ("raw", "e30="),
        ] {
            assert_eq!(decoded.value[field], expected, "{field}");
        }
        let document: OrderDraft = serde_json::from_str(decoded.value["document"].as_str().expect("text"))
            .expect("the document is the order draft");
        assert_eq!(document.order, example());
    }

    #[test]
    fn a_record_that_is_no_draft_is_refused_without_repeating_it() {
        let catalogue = catalogue();
        let framed = encode(&catalogue, &order_draft(1, b"{}")).expect("a draft fits its schema");
        let mut value = catalogue.decode(&framed).expect("it was just written").value;
        value["document"] = r#"{"intent": "secret"}"#.into();
        let other_version = catalogue.encode_json(RECORD, &value).expect("text fits");
        value["raw_sha256"] = "not hex".into();
        let other_digest = catalogue.encode_json(RECORD, &value).expect("text fits");
        let cancelled = serde_json::json!({"event_id": "e", "event_timestamp": 1, "service_order_id": "s"});
        let other_record = catalogue.encode_json("ServiceOrderCancelled", &cancelled).expect("it fits");

        for (bytes, expected) in [
            (
                &other_version,
                "`document` of an intake record: expected an order, found another text at line 1 column 19",
            ),
            (&other_digest, "record `Intake` cannot be read, at ``: the bytes are not what the schema says"),
            (&other_record, "value is a `ServiceOrderCancelled`, expected a `Intake`"),
            (&framed.slice(..framed.len() - 1), "record `Intake` cannot be read, at ``: the value is cut off"),
            (&Bytes::from([&framed[..], b"x"].concat()), "record `Intake` ends 1 bytes before its value does"),
            (&Bytes::new(), "value of 0 bytes is not framed Avro: expected 0x00 and a schema id of 4 bytes"),
        ] {
            assert_eq!(decode(&catalogue, bytes).map_err(|error| error.to_string()), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_damaged_record_is_refused_wherever_the_damage_is() {
        let catalogue = catalogue();
        let framed = encode(&catalogue, &order_draft(1, b"")).expect("a draft fits its schema");
        for place in 0..framed.len() {
            let mut damaged = framed.to_vec();
            damaged[place] ^= 0x80;

            let answer = decode(&catalogue, &damaged);

            assert!(answer.is_err(), "the highest bit of byte {place}");
        }
    }
}
