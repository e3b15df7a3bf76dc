//! An event told as if it had just been consumed: what `map` and an adapter's cases do.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value as Json, json};

use crate::canonical::ids::OrderKey;
use crate::canonical::notification::{Kind, Notification};
use crate::config::binding::Binding;
use crate::normalize::adapter::Adapter;
use crate::normalize::call::{Call, Composed, compose, url};
use crate::normalize::manifest::call::{CallAuth, UrlSpec};
use crate::normalize::sample::Error;
use crate::schema::{self, Catalogue, Decoded, topics};

/// What is known of an order beside its event. The default: nothing.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Where the event was consumed; `None`: by the first topic of its record.
    pub topic: Option<String>,
    pub country_code: Option<String>,
    pub cancelled_by_source: bool,
}

/// The request an event causes, asked for by the name of one of the adapter's calls; `None`: it has no such call.
///
/// The event is one of the call's records, as JSON or as framed Avro. All calls of the adapter are asked, as a running
/// gateway does: of a cancelled order, `status` gives the cancellation.
///
/// `{"outcome": "call", "call", "kind", "value", "method", "url", "headers", "headers_left_out", "body"}` or
/// `{"outcome": "skipped"}`. A binding without an address shows the parameter's name in braces in its place.
pub fn preview(
    adapter: &Adapter,
    name: &str,
    binding: &Arc<Binding>,
    input: &Bytes,
    facts: Facts,
) -> Option<Result<Json, Error>> {
    let (call, catalogue) = (adapter.call(name)?, adapter.records()?);
    let shown = decoded(call, input, catalogue).and_then(|event| {
        let notification = notification(adapter, binding, event, facts);
        let composed = compose(adapter.calls(), binding, &notification)?;
        Ok(composed.map_or_else(|| json!({ "outcome": "skipped" }), |composed| show(&composed, binding, &notification)))
    });
    Some(shown)
}

fn show(composed: &Composed<'_>, binding: &Binding, notification: &Notification) -> Json {
    let spec = composed.spec;
    let UrlSpec { parameter, path } = &spec.url;
    let mut headers = json!({
        "Content-Type": "application/json",
        "X-Idempotency-Key": notification.idempotency_key(&binding.name, spec.kind, None),
    });
    // These depend on a secret, on the time or on the event's own delivery.
    let left_out = match spec.auth {
        CallAuth::BearerAndSignature => {
            ["Authorization", "X-FSM-Timestamp", "X-FSM-Signature", "X-Correlation-ID"].as_slice()
        }
        CallAuth::Standard => {
            headers["webhook-id"] = json!(notification.event_id);
            ["webhook-timestamp", "webhook-signature", "X-Correlation-ID"].as_slice()
        }
    };
    json!({
        "outcome": "call",
        "call": spec.name,
        "kind": spec.kind,
        "value": composed.value,
        "method": spec.method,
        "url": url(spec, binding).unwrap_or_else(|| format!("{{{parameter}}}{path}")),
        "headers": headers,
        "headers_left_out": left_out,
        "body": composed.body,
    })
}

fn decoded(call: &Call, input: &Bytes, catalogue: &Catalogue) -> Result<Decoded, Error> {
    if input.first() == Some(&0) {
        let decoded = catalogue.decode(input).map_err(Error::Schema)?;
        return match call.records().any(|record| record == decoded.full_name) {
            true => Ok(decoded),
            false => Err(Error::Schema(schema::Error::WrongRecord {
                expected: call.records().collect::<Vec<_>>().join("` or `"),
                found: decoded.full_name,
            })),
        };
    }
    let document: Result<Json, _> = serde_json::from_slice(input);
    let document = document.map_err(|error| Error::NoJson {
        record: call.records().collect::<Vec<_>>().join("` or `"),
        problem: error.to_string(),
    })?;
    let mut refused = None;
    for record in call.records() {
        let name = record.rsplit('.').next().unwrap_or(record);
        match catalogue.encode_json(name, &document) {
            Ok(framed) => return catalogue.decode(&framed).map_err(Error::Schema),
            // Of several records the one whose fields the document has most of is meant.
            Err(error) => {
                let known = fields_of(catalogue, record, &document);
                if refused.as_ref().is_none_or(|(most, _)| known > *most) {
                    refused = Some((known, error));
                }
            }
        }
    }
    let unknown = || schema::Error::UnknownRecord { record: call.name().to_owned() };
    Err(Error::Schema(refused.map_or_else(unknown, |(_, error)| error)))
}

/// How many members of the document are fields of the record.
fn fields_of(catalogue: &Catalogue, record: &str, document: &Json) -> usize {
    let entry = catalogue.records().find(|entry| entry.full_name() == record);
    let is_field =
        |name: &&String| entry.is_some_and(|entry| entry.plan.all_fields().any(|field| field.name == **name));
    document.as_object().map_or(0, |members| members.keys().filter(is_field).count())
}

fn notification(adapter: &Adapter, binding: &Binding, event: Decoded, facts: Facts) -> Notification {
    let text = |name: &str| event.value.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let manifest = adapter.manifest();
    let order = OrderKey {
        tenant_id: binding.tenant_id.clone(),
        source_key: manifest.source_key(binding).into_owned(),
        external_order_id: text("external_order_id"),
    };
    let named = Some(text("fsm_service_order_id")).filter(|id| !id.is_empty());
    let topic = || topics::RECORDS.iter().find(|(_, record)| *record == event.record).map(|(topic, _)| *topic);
    Notification {
        kind: Kind::of_record(&event.full_name).unwrap_or(Kind::Callback),
        topic: facts.topic.unwrap_or_else(|| topic().unwrap_or_default().to_owned()),
        event_id: text("event_id"),
        source_system: manifest.source_system,
        fsm_service_order_id: named.unwrap_or_else(|| order.service_order_id().to_string()),
        tenant_id: order.tenant_id,
        source_key: order.source_key,
        external_order_id: order.external_order_id,
        country_code: facts.country_code,
        cancelled_by_source: facts.cancelled_by_source,
        record: event.full_name,
        event: event.value,
    }
}
