//! The table of failures: what an answer, or the lack of one, means for the record and for the target.
//!
//! Pure: status, headers, body and time in, a [`Ruling`] out. `docs/courier.md` shows the same table.
//!
//! Source: `contracts/canonical-events.md` section 9.

use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::courier::already_applied::says_already_applied;
use crate::courier::answer::{Cause, Verdict};
use crate::courier::breaker::Effect;
use crate::courier::retry_after::retry_after;

/// What a request came to.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    Answered {
        status: u16,
        headers: &'a HeaderMap,
        /// At most its first 64 KiB.
        body: &'a [u8],
    },
    /// No answer, or not the whole of one.
    Failed(Cause),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling {
    pub verdict: Verdict,
    pub effect: Effect,
    /// How long the target wants to be left alone, at most 300 s.
    pub pause: Option<Duration>,
    /// The credential was refused: worth one more request with a refreshed one, and this ruling after that.
    pub refresh: bool,
}

/// `now_ms`: epoch milliseconds, for a `Retry-After` that is a date.
pub fn judge(outcome: Outcome<'_>, now_ms: i64) -> Ruling {
    match outcome {
        Outcome::Failed(cause) => failed(cause),
        Outcome::Answered { status, headers, body } => answered(status, headers, body, now_ms),
    }
}

fn failed(cause: Cause) -> Ruling {
    match cause {
        // Nothing of the request was sent.
        Cause::Refused | Cause::Dns | Cause::Tls => ruling(Verdict::TargetFailed(cause), Effect::Opens),
        Cause::ForeignOrigin => ruling(Verdict::Permanent(cause), Effect::Nothing),
        _ => ruling(Verdict::Retry(cause), Effect::Counts),
    }
}

fn answered(status: u16, headers: &HeaderMap, body: &[u8], now_ms: i64) -> Ruling {
    let cause = Cause::Status(status);
    match status {
        200..=299 => ruling(Verdict::Success, Effect::Success),
        409 if says_already_applied(body) => ruling(Verdict::Success, Effect::Success),
        429 | 503 => Ruling { pause: retry_after(headers, now_ms), ..ruling(Verdict::Retry(cause), Effect::Counts) },
        408 | 425 => ruling(Verdict::Retry(cause), Effect::Counts),
        401 => Ruling { refresh: true, ..ruling(Verdict::Permanent(cause), Effect::Unauthorized) },
        300..=499 => ruling(Verdict::Permanent(cause), Effect::Nothing),
        // 5xx; and what is no status of an answer at all is the server's failure (RFC 9110 section 15).
        _ => ruling(Verdict::Retry(cause), Effect::Counts),
    }
}

fn ruling(verdict: Verdict, effect: Effect) -> Ruling {
    Ruling { verdict, effect, pause: None, refresh: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_772_612_130_000;

    enum Row {
        Success,
        NoAttempt,
        Retry,
        Refresh,
        Permanent,
    }

    fn expected(row: &Row, cause: Cause, pause: Option<u64>) -> Ruling {
        let base = match row {
            Row::Success => ruling(Verdict::Success, Effect::Success),
            Row::NoAttempt => ruling(Verdict::TargetFailed(cause), Effect::Opens),
            Row::Retry => ruling(Verdict::Retry(cause), Effect::Counts),
            Row::Refresh => Ruling { refresh: true, ..ruling(Verdict::Permanent(cause), Effect::Unauthorized) },
            Row::Permanent => ruling(Verdict::Permanent(cause), Effect::Nothing),
        };
        Ruling { pause: pause.map(Duration::from_secs), ..base }
    }

    #[test]
    fn every_answer_is_treated_by_its_row_of_the_table() {
        let applied = r#"{"error_code": "ALREADY_APPLIED"}"#;
        for (statuses, body, row, retry_after, pause) in [
            (vec![200, 201, 202, 204, 226], "", Row::Success, None, None),
            (vec![409], applied, Row::Success, None, None),
            (vec![409], r#"{"error_code": "CONFLICT"}"#, Row::Permanent, None, None),
            (vec![408, 425, 500, 502, 504], "", Row::Retry, None, None),
            (vec![501, 505, 507, 520, 599, 100, 199, 600, 999], "", Row::Retry, None, None),
            (vec![429, 503], "", Row::Retry, None, None),
            (vec![429, 503], "", Row::Retry, Some("7"), Some(7)),
            (vec![429, 503], "", Row::Retry, Some("86400"), Some(300)),
            (vec![500, 202, 404], "", Row::Success, Some("7"), None),
            (vec![401], applied, Row::Refresh, None, None),
            (vec![300, 301, 302, 303, 304, 307, 308], "", Row::Permanent, None, None),
            (
                vec![400, 402, 403, 404, 405, 406, 407, 410, 412, 413, 415, 418, 421, 422, 423, 428, 451, 499],
                applied,
                Row::Permanent,
                None,
                None,
            ),
        ] {
            for status in statuses {
                let mut headers = HeaderMap::new();
                if let Some(value) = retry_after {
                    headers.insert("retry-after", value.parse().unwrap());
                }
                let found = judge(Outcome::Answered { status, headers: &headers, body: body.as_bytes() }, NOW_MS);

                if status != 429 && status != 503 && retry_after.is_some() {
                    assert_eq!(found.pause, None, "only 429 and 503 pause, found {status}");
                    continue;
                }
                assert_eq!(found, expected(&row, Cause::Status(status), pause), "{status} {body} {retry_after:?}");
            }
        }
        for (causes, row) in [
            (vec![Cause::Refused, Cause::Dns, Cause::Tls], Row::NoAttempt),
            (vec![Cause::TimedOut, Cause::Reset, Cause::Incomplete, Cause::Malformed], Row::Retry),
            (vec![Cause::ForeignOrigin], Row::Permanent),
        ] {
            for cause in causes {
                assert_eq!(judge(Outcome::Failed(cause), NOW_MS), expected(&row, cause, None), "{cause:?}");
            }
        }
    }
}
