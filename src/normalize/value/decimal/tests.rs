//! Exactness, sizes and rounding.

use super::*;
use crate::normalize::value::Number;

fn number(literal: &str) -> Decimal {
    Decimal::parse(Numeric::Number(Number(literal))).unwrap_or_else(|| panic!("{literal:?} is a number"))
}

#[test]
fn a_number_is_written_out_exactly() {
    for (literal, text) in [
        ("0", "0"),
        ("-0.000", "0"),
        ("0e999999999999999999999", "0"),
        ("1490.00", "1490"),
        ("1e3", "1000"),
        ("1E+3", "1000"),
        ("12.5e1", "125"),
        ("12.5e0001", "125"),
        ("1e-3", "0.001"),
        ("120e-2", "1.2"),
        ("-0.5", "-0.5"),
        ("0.1", "0.1"),
        ("9007199254740993", "9007199254740993"), // 2^53 + 1
        ("0.30000000000000004", "0.30000000000000004"),
    ] {
        assert_eq!(number(literal).to_text(0, 20).as_deref(), Some(text), "{literal}");
    }
}

#[test]
fn sizes_are_known_without_writing_a_number_out() {
    let mut long = format!("0.{}1e1000001", "0".repeat(1_000_000));
    assert_eq!(number(&long).to_i64(), Some(1));
    long.push_str("000000000000");
    for (literal, integer_digits, fraction_digits) in [
        ("1e400", 401, 0),
        ("1e-400", 0, 400),
        ("1.5e400", 401, 0),
        (&"7".repeat(400), 400, 0),
        (&format!("0.{}", "7".repeat(400)), 0, 400),
    ] {
        let number = number(literal);
        assert_eq!((number.integer_digits(), number.fraction_digits()), (integer_digits, fraction_digits));
        assert_eq!(number.to_text(0, 20), None);
    }
    for literal in ["1e9223372036854775808", "1e-9223372036854775808", &long] {
        assert_eq!(number(literal).to_text(0, 1000), None);
    }
}

#[test]
fn text_is_stricter_than_a_literal() {
    for text in ["", "-", ".5", "1.", "+1", "1,5", "1 000", "1e3", " 1", "0x1", "１", "--1", "1.2.3", "NaN"] {
        assert_eq!(Decimal::parse(Numeric::Text(text)), None, "{text:?}");
    }
    for literal in ["1e", "1e+", "e3", "1e3e3", "1e3.5", "1e--3"] {
        assert_eq!(Decimal::parse(Numeric::Number(Number(literal))), None, "{literal:?}");
    }
}

#[test]
fn rounding_goes_half_to_even() {
    for (literal, decimals, text) in [
        ("0.125", 2, "0.12"),
        ("0.135", 2, "0.14"),
        ("0.1251", 2, "0.13"),
        ("2.675", 2, "2.68"),
        ("-2.665", 2, "-2.66"),
        ("9.995", 2, "10"),
        ("9.985", 2, "9.98"),
        ("999.5", 0, "1000"),
        ("0.5", 0, "0"),
        ("1.5", 0, "2"),
        ("0.05", 0, "0"),
        ("0.005", 2, "0"),
        ("0.0051", 2, "0.01"),
        ("-0.001", 2, "0"),
        ("1e-400", 2, "0"),
        ("119.5", 2, "119.5"),
    ] {
        assert_eq!(number(literal).rounded_half_even(decimals).to_text(0, 20).as_deref(), Some(text), "{literal}");
    }
}

#[test]
fn sums_and_products_are_exact() {
    for (a, b, sum, product) in [
        ("0.1", "0.2", "0.3", "0.02"),
        ("1", "0", "1", "0"),
        ("0", "0", "0", "0"),
        ("-1", "1", "0", "-1"),
        ("-0.5", "0.25", "-0.25", "-0.125"),
        ("0.25", "-0.5", "-0.25", "-0.125"),
        ("-2", "-3", "-5", "6"),
        ("99.99", "0.01", "100", "0.9999"),
        ("1000", "-0.001", "999.999", "-1"),
        ("1e3", "1e-3", "1000.001", "1"),
        ("120", "3", "123", "360"),
        (
            "999999999999999.999999999999",
            "999999999999999.999999999999",
            "1999999999999999.999999999998",
            "999999999999999999999999998000.000000000000000000000001",
        ),
        ("9007199254740993", "2", "9007199254740995", "18014398509481986"),
    ] {
        let (a, b) = (number(a), number(b));

        assert_eq!((a.plus(&b).to_exact_text(), b.plus(&a).to_exact_text()), (sum.into(), sum.into()), "{a:?} {b:?}");
        let products = (a.times(&b).to_exact_text(), b.times(&a).to_exact_text());
        assert_eq!(products, (product.into(), product.into()), "{a:?} {b:?}");
    }
}

#[test]
fn a_number_to_calculate_with_has_a_bounded_size() {
    for (literal, decimals, expected) in [
        ("12.50", 12, Some("12.5")),
        ("-1e3", 12, Some("-1000")),
        ("0.000000000001", 12, Some("0.000000000001")),
        ("0.0000000000001", 12, None),
        ("0.125", 2, None),
        ("999999999999999", 0, Some("999999999999999")),
        ("1e15", 12, None),
        ("1e400", 12, None),
    ] {
        let found = super::text(Numeric::Number(Number(literal)), decimals).ok();
        assert_eq!(found.as_deref(), expected, "{literal}");
    }
    assert!(super::text(Numeric::Text("1e3"), 12).is_err());
}

#[test]
fn a_double_has_its_shortest_form() {
    for (double, text) in
        [(0.1, "0.1"), (0.1 + 0.2, "0.30000000000000004"), (1.5, "1.5"), (-0.0, "0"), (1e21, "1000000000000000000000")]
    {
        assert_eq!(Decimal::shortest(double).and_then(|d| d.to_text(0, 30)).as_deref(), Some(text));
    }
    assert_eq!(Decimal::shortest(f64::NAN), None);
    assert_eq!(Decimal::shortest(f64::INFINITY), None);
    assert_eq!(Decimal::shortest(5e-324).map(|d| d.fraction_digits()), Some(324));
}
