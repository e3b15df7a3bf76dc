//! What is known of one request from its first line to its answer: its time, its correlation id, its trace.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::HeaderName;
use uuid::Uuid;

use crate::canonical::headers::{TRACEPARENT, is_correlation_id, is_traceparent};
use crate::clock::Clock;

/// Taken over from the sender or made here; echoed in every answer.
pub(super) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// A source of ids, given from outside so that tests know them.
pub type NewId = Arc<dyn Fn() -> Uuid + Send + Sync>;

#[derive(Debug, Clone)]
pub(super) struct Exchange {
    /// Epoch milliseconds at which the head had arrived.
    pub received_at: i64,
    pub correlation_id: String,
    /// Only if well formed: what we would have to guess at is not carried on.
    pub traceparent: Option<String>,
}

impl Exchange {
    pub fn begin(headers: &HeaderMap, clock: &dyn Clock, new_id: &NewId) -> Self {
        Self {
            received_at: clock.now_ms(),
            correlation_id: correlation_id(headers).map_or_else(|| new_id().to_string(), str::to_owned),
            traceparent: only(headers, TRACEPARENT).filter(|text| is_traceparent(text)).map(str::to_owned),
        }
    }
}

/// The sender's own id, if there is one that can be carried on.
fn correlation_id(headers: &HeaderMap) -> Option<&str> {
    only(headers, CORRELATION_ID.as_str()).filter(|id| is_correlation_id(id))
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn begin(name: &'static str, values: &[&str]) -> Exchange {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        Exchange::begin(&headers, &ManualClock::at(7), &(Arc::new(|| Uuid::from_u128(1)) as NewId))
    }

    #[test]
    fn a_correlation_id_is_taken_over_if_it_is_1_to_128_printable_ascii_characters() {
        let made = "00000000-0000-0000-0000-000000000001";
        let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
        for (values, expected) in [
            (&["order 7/retry~2"][..], "order 7/retry~2"),
            (&[&longest], &longest),
            (&[&too_long], made),
            (&["é"], made),
            (&["a\tb"], made),
            (&[""], made),
            (&["one", "two"], made),
            (&[], made),
        ] {
            assert_eq!(begin("x-correlation-id", values).correlation_id, expected, "{values:?}");
        }
    }

    #[test]
    fn a_trace_is_carried_only_if_it_is_well_formed() {
        for (value, carried) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("hello", false),
        ] {
            assert_eq!(begin("traceparent", &[value]).traceparent.is_some(), carried, "{value}");
        }
    }
}
