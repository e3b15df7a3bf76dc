//! How long a target asks to be left alone.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

/// Source: `contracts/canonical-events.md` section 9.
pub const LONGEST: Duration = Duration::from_secs(300);

static PARSER: DateTimeParser = DateTimeParser::new();

/// Seconds, or an HTTP date; at most [`LONGEST`]. A date is held against the answer's own `Date` if there is one, so that
/// it does not matter whose clock is wrong, else against `now_ms`. `None`: not asked for, over already, or no value of
/// the two forms (of dates only the one form that may be sent).
///
/// Source: RFC 9110 section 10.2.3.
pub(super) fn retry_after(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let delay = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are more than the longest.
        value.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let now_ms = headers.get(DATE).and_then(date_ms).unwrap_or(now_ms);
        let delay_ms = date_ms(headers.get(RETRY_AFTER)?)?.saturating_sub(now_ms);
        Duration::from_millis(u64::try_from(delay_ms).unwrap_or(0))
    };
    (!delay.is_zero()).then_some(delay.min(LONGEST))
}

fn date_ms(value: &HeaderValue) -> Option<i64> {
    PARSER.parse_timestamp(value.to_str().ok()?.trim()).ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wed, 04 Mar 2026 08:15:30 GMT.
    const NOW_MS: i64 = 1_772_612_130_000;

    #[test]
    fn seconds_and_dates_are_read_and_everything_else_is_not_there() {
        for (value, date, expected) in [
            ("1", None, Some(1)),
            ("300", None, Some(300)),
            ("301", None, Some(300)),
            ("99999999999999999999999", None, Some(300)),
            ("0", None, None),
            ("-1", None, None),
            ("1.5", None, None),
            ("soon", None, None),
            ("", None, None),
            ("Wed, 04 Mar 2026 08:16:30 GMT", None, Some(60)),
            ("Wed, 04 Mar 2026 09:15:30 GMT", None, Some(300)),
            ("Wed, 04 Mar 2026 08:15:29 GMT", None, None),
            // The target's clock is an hour ahead: what counts is the difference it meant.
            ("Wed, 04 Mar 2026 09:15:40 GMT", Some("Wed, 04 Mar 2026 09:15:30 GMT"), Some(10)),
            ("7", Some("Wed, 04 Mar 2026 09:15:30 GMT"), Some(7)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }

            assert_eq!(retry_after(&headers, NOW_MS), expected.map(Duration::from_secs), "{value} {date:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), NOW_MS), None);
    }
}
