//! Quantities: positive decimals with few decimals.

use crate::normalize::value::decimal::Decimal;
use crate::normalize::value::{Invalid, Numeric};

/// Most digits behind the point.
pub const MAX_DECIMALS: u64 = 3;
/// Most digits before the point: the contract names no bound, so that of money holds.
pub const MAX_INTEGER_DIGITS: u64 = 15;

/// The quantity as text without trailing zeros: `1.500` is `1.5`.
///
/// # Errors
/// `InvalidFormat` if it is not a decimal above zero with at most 3 decimals and 15 integer digits.
pub fn quantity(raw: Numeric<'_>) -> Result<String, Invalid> {
    written(Decimal::parse(raw))
}

/// The quantity of an event that carries it as a double, read by its shortest decimal form.
///
/// # Errors
/// As [`quantity`].
pub fn quantity_of_double(double: f64) -> Result<String, Invalid> {
    written(Decimal::shortest(double))
}

fn written(decimal: Option<Decimal>) -> Result<String, Invalid> {
    decimal
        .filter(|decimal| !decimal.is_negative() && !decimal.is_zero() && decimal.fraction_digits() <= MAX_DECIMALS)
        .and_then(|decimal| decimal.to_text(0, MAX_INTEGER_DIGITS))
        .ok_or_else(|| Invalid::format("expected a number above zero with at most 3 decimals"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalize::value::Number;

    #[test]
    fn a_quantity_is_positive_with_at_most_three_decimals() {
        for (literal, expected) in [
            ("1", Some("1")),
            ("1.500", Some("1.5")),
            ("0.001", Some("0.001")),
            ("100", Some("100")),
            ("1.0000", Some("1")),
            ("0.0001", None),
            ("0", None),
            ("-0", None),
            ("-1", None),
            ("1234567890123456", None),
        ] {
            assert_eq!(quantity(Numeric::Text(literal)).ok().as_deref(), expected, "{literal:?}");
            assert_eq!(quantity(Numeric::Number(Number(literal))).ok().as_deref(), expected, "{literal}");
        }
        assert_eq!(quantity(Numeric::Number(Number("25e-1"))).as_deref(), Ok("2.5"));
        for text in ["25e-1", "1,5", "", "one", "1e400"] {
            assert!(quantity(Numeric::Text(text)).is_err(), "{text:?}");
        }
        assert!(quantity(Numeric::Number(Number("1e999999999"))).is_err());
    }

    #[test]
    fn a_double_is_read_by_its_shortest_form() {
        for (double, expected) in
            [(2.0, Some("2")), (1.1, Some("1.1")), (0.1 + 0.2, None), (0.0, None), (-1.0, None), (f64::NAN, None)]
        {
            assert_eq!(quantity_of_double(double).ok().as_deref(), expected, "{double}");
        }
    }
}
