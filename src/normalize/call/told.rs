//! What a request tells, by which a repeat is known.
//!
//! Source: `contracts/canonical-events.md` section 9, "Repeats".

use serde_json::Value as Json;

use crate::canonical::ids::Sha256Digest;
use crate::canonical::notification::{Kind, Notification, STATUS_UPDATED, TV_OUTCOME_RECORDED};
use crate::normalize::manifest::call::CallSpec;
use crate::normalize::value::text::is_blank;

/// Of every cancellation: a refund is asked for once.
const CANCELLED: &str = "CANCELLED";

/// Longest value in bytes: a longer one is kept as its digest, which tells it apart as well.
const MAX_BYTES: usize = 256;

/// The value of a request:
///
/// * a cancellation: `CANCELLED`;
/// * a status: the mapped one, `SCHEDULED` with its date, `ASSIGNED` with its provider's name;
/// * the outcome of a visit: `YES_BUT <SHA-256 of its modifications>`, or the outcome alone if it has none;
/// * anything else: what the manifest points to, or the event's id, so that no two are alike.
pub(super) fn value(spec: &CallSpec, notification: &Notification, body: &Json) -> String {
    let value = whole(spec, notification, body);
    if value.len() > MAX_BYTES { Sha256Digest::of(value.as_bytes()).to_string() } else { value }
}

fn whole(spec: &CallSpec, notification: &Notification, body: &Json) -> String {
    let event = |name: &str| notification.event.get(name).and_then(Json::as_str).filter(|text| !is_blank(text));
    let pointed = spec.value.as_ref().and_then(|pointer| body.pointer(&pointer.text)).and_then(as_value);
    if spec.kind == Kind::Cancellation {
        return CANCELLED.to_owned();
    }
    match notification.record.as_str() {
        STATUS_UPDATED => {
            let status = event("status").unwrap_or_default();
            let mapped = pointed.unwrap_or_else(|| status.to_owned());
            let detail = match status {
                "SCHEDULED" => event("scheduled_date"),
                "ASSIGNED" => event("provider_name"),
                _ => None,
            };
            detail.map_or_else(|| mapped.clone(), |detail| format!("{mapped} {detail}"))
        }
        TV_OUTCOME_RECORDED => {
            let outcome = pointed.or_else(|| event("tv_outcome").map(str::to_owned)).unwrap_or_default();
            match notification.event.get("modifications") {
                Some(Json::Array(modifications)) if !modifications.is_empty() => {
                    format!("{outcome} {}", digest(modifications))
                }
                _ => outcome,
            }
        }
        _ => pointed.unwrap_or_else(|| notification.event_id.clone()),
    }
}

fn as_value(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

// Members in schema order, which is the alphabetical one: the digest of the RFC 8785 form.
fn digest(modifications: &[Json]) -> Sha256Digest {
    let modifications = modifications.iter().map(|modification| {
        let member = |name: &str| modification.get(name).cloned().unwrap_or_default();
        serde_json::json!({
            "description": member("description"),
            "requires_repricing": member("requires_repricing"),
        })
    });
    Sha256Digest::of(Json::Array(modifications.collect()).to_string().as_bytes())
}
