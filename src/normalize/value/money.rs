//! Amounts of money: exact decimal text, padded to the currency's minor unit.

use crate::normalize::value::currency::Currency;
use crate::normalize::value::decimal::Decimal;
use crate::normalize::value::{Invalid, Numeric};

/// Most digits before the point.
pub const MAX_INTEGER_DIGITS: u64 = 15;

/// The amount as text: `85` EUR is `85.00`, `-0` JPY is `0`. Neither rounded nor converted.
///
/// `currency` is `None` if it could not be read: then the decimals cannot be judged and the result, which no order
/// will carry, is not padded.
///
/// # Errors
/// `InvalidFormat` if it is not a decimal number (text: `-?[0-9]+(\.[0-9]+)?`), has more than 15 integer digits, or
/// non-zero decimals beyond the minor unit.
pub fn amount(raw: Numeric<'_>, currency: Option<Currency>) -> Result<String, Invalid> {
    let expected = "expected a decimal amount such as `1490.00`, without grouping or decimal comma";
    written(&Decimal::parse(raw).ok_or_else(|| Invalid::format(expected))?, currency)
}

/// An [`amount`] that is not negative. `-0` is zero.
///
/// # Errors
/// As [`amount`], and `InvalidFormat` below zero.
pub fn total(raw: Numeric<'_>, currency: Option<Currency>) -> Result<String, Invalid> {
    let text = amount(raw, currency)?;
    match text.starts_with('-') {
        true => Err(Invalid::format("expected an amount of zero or more")),
        false => Ok(text),
    }
}

/// The amount of an event that carries it as a double: its shortest decimal form, rounded half to even to the minor
/// unit. The shortest form, because 2.675 was a decimal before it became the double below it.
///
/// # Errors
/// `InvalidFormat` if it is not finite or has more than 15 integer digits.
pub fn amount_of_double(double: f64, currency: Currency) -> Result<String, Invalid> {
    let decimal = Decimal::shortest(double).ok_or_else(|| Invalid::format("expected a finite amount"))?;
    written(&decimal.rounded_half_even(u32::from(currency.minor_unit())), Some(currency))
}

fn written(decimal: &Decimal, currency: Option<Currency>) -> Result<String, Invalid> {
    if decimal.integer_digits() > MAX_INTEGER_DIGITS {
        return Err(Invalid::format(format!("expected at most {MAX_INTEGER_DIGITS} digits before the point")));
    }
    let Some(currency) = currency else {
        return Ok(decimal.to_text(0, MAX_INTEGER_DIGITS).unwrap_or_default());
    };
    let minor_unit = currency.minor_unit();
    if decimal.fraction_digits() > u64::from(minor_unit) {
        return Err(Invalid::format(format!("expected at most {minor_unit} decimals for {}", currency.code())));
    }
    decimal.to_text(minor_unit.into(), MAX_INTEGER_DIGITS).ok_or_else(|| Invalid::format("expected a decimal amount"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalize::value::Number;
    use crate::normalize::value::currency::currency;

    fn read(raw: Numeric<'_>, code: &str) -> Option<String> {
        total(raw, Some(currency(code).expect("an active currency"))).ok()
    }

    #[test]
    fn an_amount_is_padded_to_the_minor_unit() {
        let longest = "123456789012345";
        for (literal, code, expected) in [
            ("1490.00", "EUR", Some("1490.00")),
            ("1490", "EUR", Some("1490.00")),
            ("1490.000", "EUR", Some("1490.00")),
            ("85", "EUR", Some("85.00")),
            ("119.5", "EUR", Some("119.50")),
            ("0", "EUR", Some("0.00")),
            ("-0.00", "EUR", Some("0.00")),
            ("0.005", "EUR", None),
            ("0.1234", "KWD", None),
            ("0.123", "KWD", Some("0.123")),
            ("1", "KWD", Some("1.000")),
            ("100", "JPY", Some("100")),
            ("100.0", "JPY", Some("100")),
            ("100.5", "JPY", None),
            ("-1", "EUR", None),
            ("-0.01", "EUR", None),
            (longest, "EUR", Some("123456789012345.00")),
            ("1234567890123456", "EUR", None),
            ("9007199254740993", "EUR", None),
            ("900719925474099.31", "EUR", Some("900719925474099.31")), // beyond a double
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(read(Numeric::Text(literal), code), expected, "{literal:?} as text");
            assert_eq!(read(Numeric::Number(Number(literal)), code), expected, "{literal} as a number");
        }
    }

    #[test]
    fn exponents_are_for_numbers_only() {
        for (literal, expected) in [
            ("1e3", Some("1000.00")),
            ("1E3", Some("1000.00")),
            ("1.49e3", Some("1490.00")),
            ("149000e-2", Some("1490.00")),
            ("0e400", Some("0.00")),
            ("1e14", Some("100000000000000.00")),
            ("1e15", None),
            ("1e400", None),
            ("1e-400", None),
            ("1e-3", None),
        ] {
            assert_eq!(read(Numeric::Number(Number(literal)), "EUR").as_deref(), expected, "{literal}");
            assert_eq!(read(Numeric::Text(literal), "EUR"), None, "{literal:?} as text");
        }
        for text in ["85,00", "1.490,00", "1,490.00", "1 490", "+85", "85.", ".85", "85 EUR", "€85", "", " 85", "٨٥"]
        {
            assert_eq!(read(Numeric::Text(text), "EUR"), None, "{text:?}");
        }
    }

    #[test]
    fn zeros_of_any_number_change_nothing() {
        let zeros = "0".repeat(400);

        assert_eq!(read(Numeric::Text(&format!("{zeros}85.{zeros}")), "EUR").as_deref(), Some("85.00"));
        assert_eq!(read(Numeric::Number(Number(&format!("1{zeros}e-400"))), "EUR").as_deref(), Some("1.00"));
        assert_eq!(read(Numeric::Number(Number(&format!("1{zeros}"))), "EUR"), None);
    }

    #[test]
    fn an_amount_that_is_no_total_may_be_negative() {
        let eur = currency("EUR").expect("active");

        assert_eq!(amount(Numeric::Text("-12.5"), Some(eur)).as_deref(), Ok("-12.50"));
    }

    #[test]
    fn without_a_currency_only_the_shape_is_judged() {
        for (text, valid) in [("1.2345", true), ("1,2", false), ("-1", false), ("1234567890123456", false)] {
            assert_eq!(total(Numeric::Text(text), None).is_ok(), valid, "{text:?}");
        }
    }

    #[test]
    fn a_double_is_rounded_half_to_even() {
        for (double, code, expected) in [
            (1490.0, "EUR", Some("1490.00")),
            (0.1 + 0.2, "EUR", Some("0.30")),
            (0.125, "EUR", Some("0.12")),
            (2.675, "EUR", Some("2.68")),
            (-2.5, "JPY", Some("-2")),
            (0.0005, "KWD", Some("0.000")),
            (-0.0, "EUR", Some("0.00")),
            (1e15, "EUR", None),
            (f64::NAN, "EUR", None),
            (f64::NEG_INFINITY, "EUR", None),
            (f64::MIN_POSITIVE, "EUR", Some("0.00")),
        ] {
            let found = amount_of_double(double, currency(code).expect("active")).ok();
            assert_eq!(found.as_deref(), expected, "{double}");
        }
    }
}
