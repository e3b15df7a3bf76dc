//! Integers, however the source writes them.

use std::ops::RangeInclusive;

use crate::normalize::value::decimal::Decimal;
use crate::normalize::value::{Invalid, Number, Numeric};

/// The integer: `3`, `3.0` and `3e0` are three.
///
/// # Errors
/// `InvalidFormat` if it has a fraction, is outside `bounds`, or is text that is no number.
pub fn integer(raw: Numeric<'_>, bounds: RangeInclusive<i64>) -> Result<i64, Invalid> {
    let integer = match plain(raw) {
        Some(integer) => Some(integer),
        None => any(raw)?,
    };
    integer
        .filter(|integer| bounds.contains(integer))
        .ok_or_else(|| Invalid::format(format!("expected an integer from {} to {}", bounds.start(), bounds.end())))
}

/// Digits alone, as nearly every integer is written: read without an allocation.
fn plain(raw: Numeric<'_>) -> Option<i64> {
    let (Numeric::Number(Number(digits)) | Numeric::Text(digits)) = raw;
    let fits = digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if fits { digits.parse().ok() } else { None }
}

/// In whatever way it is written; `None` if it is too large for an `i64`.
fn any(raw: Numeric<'_>) -> Result<Option<i64>, Invalid> {
    let decimal = Decimal::parse(raw).ok_or_else(|| Invalid::format("expected an integer"))?;
    if decimal.fraction_digits() > 0 {
        return Err(Invalid::format("expected an integer, found a fraction"));
    }
    Ok(decimal.to_i64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_may_be_written_with_point_and_exponent() {
        for (literal, expected) in [
            ("3", Some(3)),
            ("3.0", Some(3)),
            ("3e0", Some(3)),
            ("30e-1", Some(3)),
            ("0.3E+1", Some(3)),
            ("1e5", Some(100_000)),
            ("100001", None),
            ("1.5", None),
            ("1e-400", None),
            ("1e400", None),
            ("0", None),
            ("-1", None),
            ("9223372036854775808", None),
        ] {
            assert_eq!(integer(Numeric::Number(Number(literal)), 1..=100_000).ok(), expected, "{literal}");
        }
    }

    #[test]
    fn the_whole_range_of_64_bits_can_be_read() {
        for value in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(integer(Numeric::Text(&value.to_string()), i64::MIN..=i64::MAX), Ok(value));
        }
        assert_eq!(integer(Numeric::Text("000007"), 1..=9), Ok(7));
        for text in ["9223372036854775808", "7e0", "", "seven"] {
            assert!(integer(Numeric::Text(text), i64::MIN..=i64::MAX).is_err(), "{text:?}");
        }
    }
}
