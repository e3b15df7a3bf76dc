//! The answers of the door, in the form of the contract.
//!
//! Source: `contracts/canonical-events.md` sections 7 and 11.

use axum::body::Body;
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::canonical::rejection::{Code, Problem, Rejection};
use crate::door::exchange::{CORRELATION_ID, Exchange};

/// When to come again after an outage of ours, in seconds.
pub(crate) const RETRY_AFTER_S: u32 = 5;

#[derive(Debug)]
pub(super) enum Answer {
    /// Stored durably.
    Received {
        order_id: Uuid,
        external_order_id: String,
    },
    /// Decoding alone showed that there is nothing to do; nothing is stored.
    Ignored,
    /// A batch whose items are stored, or ignored.
    Batch(Vec<ItemAnswer>),
    /// An answer of [`super::orders`]: a document.
    Document(Bytes),
    Rejected(Rejection),
    RateLimited {
        retry_after_s: u32,
    },
    /// Log or store down or slow, or a defect of ours.
    Unavailable {
        retry_after_s: u32,
    },
    /// The body did not arrive in time.
    TooSlow,
    /// The body ended early: the payload was never seen, so nothing is published.
    Truncated,
    NotFound {
        retry_after_s: Option<u32>,
    },
    MethodNotAllowed {
        allow: String,
    },
    Panicked,
}

/// What became of one item of a batch.
#[derive(Debug)]
pub(super) enum ItemAnswer {
    Received,
    Ignored,
    Rejected(Rejection),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Receipt<'a> {
    order_id: Uuid,
    external_order_id: &'a str,
    status: &'static str,
    correlation_id: &'a str,
    received_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ignored<'a> {
    status: &'static str,
    correlation_id: &'a str,
    received_at: String,
}

#[derive(Serialize)]
struct Batch<'a> {
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    index: usize,
    status: &'static str,
    errors: Vec<Listed<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refused<'a> {
    status: &'static str,
    correlation_id: &'a str,
    errors: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    code: &'a str,
    field: &'a str,
    message: &'a str,
}

impl Answer {
    /// The one sentence every sender we do not know is told, whatever failed.
    pub fn unauthenticated() -> Self {
        let message = "credentials, signature or time of signing not accepted";
        Self::Rejected(Rejection::one(Code::AuthenticationFailed, "", message))
    }

    pub fn unavailable() -> Self {
        Self::Unavailable { retry_after_s: RETRY_AFTER_S }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::Received { .. } => StatusCode::ACCEPTED,
            Self::Document(_) | Self::Ignored | Self::Batch(_) => StatusCode::OK,
            Self::Rejected(rejection) => {
                StatusCode::from_u16(rejection.code().http_status()).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY)
            }
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Truncated => StatusCode::BAD_REQUEST,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub fn into_response(self, exchange: &Exchange) -> Response {
        let mut response = Response::new(self.body(exchange));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(&exchange.correlation_id) {
            headers.insert(CORRELATION_ID, id);
        }
        match &self {
            Self::Received { order_id, .. } => {
                if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/orders/{order_id}")) {
                    headers.insert(LOCATION, location);
                }
            }
            Self::RateLimited { retry_after_s }
            | Self::Unavailable { retry_after_s }
            | Self::NotFound { retry_after_s: Some(retry_after_s) } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(*retry_after_s));
            }
            Self::MethodNotAllowed { allow } => {
                if let Ok(allow) = HeaderValue::from_str(allow) {
                    headers.insert(ALLOW, allow);
                }
            }
            Self::Rejected(rejection) if rejection.code() == Code::AuthenticationFailed => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        if self.leaves_body_unread() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// What is left of the body would be read as the next request.
    fn leaves_body_unread(&self) -> bool {
        match self {
            Self::Rejected(rejection) => rejection.code() == Code::PayloadTooLarge,
            Self::TooSlow | Self::Truncated => true,
            _ => false,
        }
    }

    fn body(&self, exchange: &Exchange) -> Body {
        let refusal = |status, code, message| {
            json(&Refused {
                status,
                correlation_id: &exchange.correlation_id,
                errors: vec![Listed { code, field: "", message }],
            })
        };
        match self {
            Self::Received { order_id, external_order_id } => json(&Receipt {
                order_id: *order_id,
                external_order_id,
                status: "RECEIVED",
                correlation_id: &exchange.correlation_id,
                received_at: rfc3339(exchange.received_at),
            }),
            Self::Ignored => json(&Ignored {
                status: "IGNORED",
                correlation_id: &exchange.correlation_id,
                received_at: rfc3339(exchange.received_at),
            }),
            Self::Batch(items) => {
                let items = items.iter().enumerate().map(|(index, item)| item.listed(index));
                json(&Batch { items: items.collect() })
            }
            Self::Document(document) => Body::from(document.clone()),
            Self::Rejected(rejection) => json(&Refused {
                status: "REJECTED",
                correlation_id: &exchange.correlation_id,
                errors: listed(rejection),
            }),
            Self::RateLimited { .. } => {
                refusal("RATE_LIMITED", "RATE_LIMITED", "too many requests of this tenant, see `Retry-After`")
            }
            Self::Unavailable { .. } => {
                refusal("UNAVAILABLE", "UNAVAILABLE", "nothing was stored, send the same request again later")
            }
            Self::TooSlow => refusal("TIMEOUT", "REQUEST_TIMEOUT", "the body did not arrive in time"),
            Self::Truncated => refusal("REJECTED", Code::MalformedPayload.as_str(), "the body ended early"),
            Self::NotFound { .. } => refusal("NOT_FOUND", "NOT_FOUND", "no such resource"),
            Self::MethodNotAllowed { .. } => {
                refusal("METHOD_NOT_ALLOWED", "METHOD_NOT_ALLOWED", "the resource does not take this method")
            }
            Self::Panicked => refusal("UNAVAILABLE", "INTERNAL", "the gateway failed at this request"),
        }
    }
}

impl ItemAnswer {
    fn listed(&self, index: usize) -> Item<'_> {
        let (status, errors) = match self {
            Self::Received => ("RECEIVED", Vec::new()),
            Self::Ignored => ("IGNORED", Vec::new()),
            Self::Rejected(rejection) => ("REJECTED", listed(rejection)),
        };
        Item { index, status, errors }
    }
}

impl From<Answer> for ItemAnswer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Rejected(rejection) => Self::Rejected(rejection),
            Answer::Ignored => Self::Ignored,
            _ => Self::Received,
        }
    }
}

fn listed(rejection: &Rejection) -> Vec<Listed<'_>> {
    let problems = rejection.problems().iter();
    problems.map(|Problem { code, field, message }| Listed { code: code.as_str(), field, message }).collect()
}

/// UTC with milliseconds. `epoch_ms` beyond what a calendar holds is shown as the number it is.
pub(crate) fn rfc3339(epoch_ms: i64) -> String {
    Timestamp::from_millisecond(epoch_ms).map_or_else(|_| epoch_ms.to_string(), |time| format!("{time:.3}"))
}

fn json(document: &impl Serialize) -> Body {
    // Plain structs of text: serialization cannot fail.
    Body::from(serde_json::to_vec(document).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        for (epoch_ms, expected) in [
            (1_772_612_131_210, "2026-03-04T08:15:31.210Z"),
            (0, "1970-01-01T00:00:00.000Z"),
            (i64::MAX, "9223372036854775807"),
        ] {
            assert_eq!(rfc3339(epoch_ms), expected);
        }
    }
}
