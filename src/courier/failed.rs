//! What others are told of a call that was given up, in the owner's formats. The record itself is in the lane's dead
//! letters.
//!
//! Source: `contracts/canonical-events.md` sections 2.2, 7 and 9.

use crate::canonical::event::{Event, FailedEvent, Meta, SalesStatusFailed, status_failed};
use crate::canonical::notification::{Kind, Notification};
use crate::canonical::{headers, ids};
use crate::driver::Decided;
use crate::lane::batch::{Disposition, Failure};
use crate::lane::header;
use crate::log::{Append, Header};
use crate::schema::Catalogue;

/// Calls that were given up, by their `error_code`.
const CODE: &str = "DELIVERY_FAILED";

/// What a decision publishes: one event if it ends in a dead letter, else nothing. `notification`: the record's, if it is
/// one.
pub(super) fn published(
    catalogue: &Catalogue,
    decided: &Decided<'_>,
    notification: Option<&Notification>,
) -> Vec<Append> {
    let Some(disposition) = decided.decision.dead_letter().and_then(|moved| moved.disposition) else {
        return Vec::new();
    };
    let Failure { class, http_status, message } = cause(decided, disposition);
    let cause = http_status.map_or(class, |status| status.to_string());
    let of_sales = notification.filter(|notification| is_of_sales(notification.kind));
    let event = of_sales.and_then(|notification| {
        let event = event(decided, notification, http_status, format!("{cause}: {message}"));
        let meta = Meta {
            correlation_id: decided.record.header(headers::CORRELATION_ID).unwrap_or(&notification.event_id),
            tenant_id: &notification.tenant_id,
            source_system: notification.source_system,
            traceparent: decided.record.header(headers::TRACEPARENT),
        };
        event.to_append(catalogue, &meta).inspect_err(|error| tracing::error!(%error, "failure cannot be written")).ok()
    });
    // Others, what cannot be read, and what the schema in force has no room for.
    let general = || {
        let error = format!("{CODE} {cause}: {message}");
        let topic = notification.map_or(&*decided.lane.topic, |notification| &notification.topic);
        FailedEvent { topic, record: decided.record, error: &error, failed_at: decided.now_ms }.to_append(catalogue)
    };
    vec![event.unwrap_or_else(general)]
}

fn event(decided: &Decided<'_>, notification: &Notification, http_status: Option<u16>, error_message: String) -> Event {
    let decision = decided.decision;
    let origin = origin(decided);
    let event_id = ids::dead_letter_id(&origin, decision.hop.saturating_add(1));
    let body = SalesStatusFailed {
        event_id: event_id.to_string(),
        event_timestamp: decided.now_ms,
        source_system: notification.source_system,
        external_order_id: notification.external_order_id.clone(),
        fsm_service_order_id: notification.fsm_service_order_id.clone(),
        notification: notification.kind.as_str().to_owned(),
        http_status: http_status.map(i32::from),
        error_code: CODE.to_owned(),
        error_message,
        retry_count: i32::from(decision.attempts.saturating_sub(1)),
    };
    status_failed(event_id, body, vec![Header::text(header::ORIGIN, origin)])
}

/// Which record it is, as the dead letter says it: the failure index knows by it that both are one.
fn origin(decided: &Decided<'_>) -> String {
    headers::source(&decided.lane.topic, decided.lane.partition, decided.decision.seq)
}

fn cause(decided: &Decided<'_>, disposition: Disposition) -> Failure {
    let of_disposition = || Failure {
        class: disposition.name().to_owned(),
        http_status: None,
        message: "no attempt was made".to_owned(),
    };
    decided.decision.failure.clone().unwrap_or_else(of_disposition)
}

fn is_of_sales(kind: Kind) -> bool {
    matches!(kind, Kind::Status | Kind::TvOutcome | Kind::Cancellation)
}
