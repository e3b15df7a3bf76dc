//! What logical types mean, as text that a person and the value rules of a mapping read.
//!
//! Source: Avro specification 1.12, "Logical Types".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::{self, DateTime};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::schema::Fault;

/// Most bytes and most decimals of a decimal: 38 digits, what every system has.
const MAX_DECIMAL_BYTES: usize = 16;
const MAX_SCALE: usize = 38;

/// A meaning laid over a type of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logical {
    /// Days since 1970-01-01.
    Date,
    /// Since midnight.
    Time { per_second: i64 },
    /// Since 1970-01-01T00:00:00Z.
    Timestamp { per_second: i64 },
    /// Since 1970-01-01T00:00:00 of some local clock.
    LocalTimestamp { per_second: i64 },
    /// Two's complement, highest byte first.
    Decimal { scale: usize },
    /// 16 bytes.
    Uuid,
}

impl Logical {
    /// The meaning of a value, which is spelled as it is on the wire.
    ///
    /// # Errors
    /// The value means nothing: a time of day of 25 hours, a date beyond the year 9999.
    pub(super) fn spell(self, wire: &Value) -> Result<Value, Fault> {
        let text = match self {
            Self::Date => wire.as_i64().and_then(|days| {
                let midnight = days.checked_mul(86_400).and_then(|seconds| Timestamp::from_second(seconds).ok())?;
                Some(utc(midnight).date().to_string())
            }),
            Self::Time { per_second } => wire.as_i64().and_then(|time| time_of_day(time, per_second)),
            Self::Timestamp { per_second } => {
                wire.as_i64().and_then(|time| instant(time, per_second)).map(|instant| instant.to_string())
            }
            Self::LocalTimestamp { per_second } => {
                wire.as_i64().and_then(|time| instant(time, per_second)).map(|instant| utc(instant).to_string())
            }
            Self::Decimal { scale } => bytes(wire).and_then(|bytes| decimal(&bytes, scale)),
            Self::Uuid => bytes(wire).and_then(|bytes| Uuid::from_slice(&bytes).ok()).map(|uuid| uuid.to_string()),
        };
        text.map(Value::String).ok_or_else(|| Fault::expected(self.name(), "a value outside of what it can mean"))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Time { .. } => "time of day",
            Self::Timestamp { .. } => "timestamp",
            Self::LocalTimestamp { .. } => "local timestamp",
            Self::Decimal { .. } => "decimal of at most 38 digits",
            Self::Uuid => "uuid of 16 bytes",
        }
    }
}

fn utc(instant: Timestamp) -> DateTime {
    jiff::tz::Offset::UTC.to_datetime(instant)
}

fn instant(time: i64, per_second: i64) -> Option<Timestamp> {
    let (seconds, rest) = (time.div_euclid(per_second), time.rem_euclid(per_second));
    let nanoseconds = rest.checked_mul(1_000_000_000 / per_second).and_then(|nano| i32::try_from(nano).ok())?;
    Timestamp::new(seconds, nanoseconds).ok()
}

fn time_of_day(time: i64, per_second: i64) -> Option<String> {
    let nanoseconds = time.checked_mul(1_000_000_000 / per_second)?;
    let time = civil::Time::midnight().checked_add(SignedDuration::from_nanos(nanoseconds)).ok()?;
    (nanoseconds >= 0).then(|| time.to_string())
}

fn bytes(wire: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(wire.as_str()?).ok()
}

/// The number as text, with as many decimals as its schema says.
fn decimal(bytes: &[u8], scale: usize) -> Option<String> {
    if scale > MAX_SCALE {
        return None;
    }
    let first = *bytes.first()?;
    let mut number = [if first & 0x80 == 0 { 0 } else { 0xff }; MAX_DECIMAL_BYTES];
    let start = MAX_DECIMAL_BYTES.checked_sub(bytes.len())?;
    number.get_mut(start..)?.copy_from_slice(bytes);
    let number = i128::from_be_bytes(number);
    let sign = if number < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", number.unsigned_abs().to_string(), width = scale.checked_add(1)?);
    let (integer, fraction) = digits.split_at_checked(digits.len().checked_sub(scale)?)?;
    Some(if fraction.is_empty() { format!("{sign}{integer}") } else { format!("{sign}{integer}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_logical_type_is_spelled_as_what_it_means() {
        let (milli, micro, nano) = (1_000, 1_000_000, 1_000_000_000);
        for (logical, wire, expected) in [
            (Logical::Date, json!(20_531), Some("2026-03-19")),
            (Logical::Date, json!(-1), Some("1969-12-31")),
            (Logical::Date, json!(i32::MAX), None),
            (Logical::Time { per_second: milli }, json!(33_330_500), Some("09:15:30.5")),
            (Logical::Time { per_second: micro }, json!(0), Some("00:00:00")),
            (Logical::Time { per_second: milli }, json!(86_400_000), None),
            (Logical::Time { per_second: micro }, json!(-1), None),
            (Logical::Time { per_second: micro }, json!(i64::MAX), None),
            (Logical::Timestamp { per_second: milli }, json!(1_772_612_130_000_i64), Some("2026-03-04T08:15:30Z")),
            (Logical::Timestamp { per_second: micro }, json!(-1), Some("1969-12-31T23:59:59.999999Z")),
            (Logical::Timestamp { per_second: nano }, json!(1), Some("1970-01-01T00:00:00.000000001Z")),
            (Logical::Timestamp { per_second: milli }, json!(i64::MAX), None),
            (Logical::Timestamp { per_second: milli }, json!(i64::MIN), None),
            (
                Logical::LocalTimestamp { per_second: milli },
                json!(1_772_612_130_250_i64),
                Some("2026-03-04T08:15:30.25"),
            ),
            (Logical::Decimal { scale: 2 }, json!("AkYI"), Some("1490.00")),
            (Logical::Decimal { scale: 2 }, json!("/w=="), Some("-0.01")),
            (Logical::Decimal { scale: 0 }, json!("AA=="), Some("0")),
            (Logical::Decimal { scale: 3 }, json!("BQ=="), Some("0.005")),
            (Logical::Decimal { scale: 2 }, json!(""), None),
            (Logical::Decimal { scale: 2 }, json!(STANDARD.encode([1; 17])), None),
            (
                Logical::Decimal { scale: 38 },
                json!(STANDARD.encode(i128::MIN.to_be_bytes())),
                Some("-1.70141183460469231731687303715884105728"),
            ),
            (Logical::Uuid, json!(STANDARD.encode([0x11; 16])), Some("11111111-1111-1111-1111-111111111111")),
            (Logical::Uuid, json!("AA=="), None),
        ] {
            let found = logical.spell(&wire).ok();

            assert_eq!(found, expected.map(Value::from), "{logical:?} {wire}");
        }
    }
}
