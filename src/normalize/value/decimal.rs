//! Exact decimals of any written size: never binary floating point, never more work than the text is long.

use crate::normalize::value::Numeric;

/// A decimal, read exactly. Its value is `0.<digits> × 10^point`, negated if `negative`.
///
/// `1e400` is three fields, not four hundred digits: sizes are asked for before anything is written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Without leading and trailing zeros; empty for zero.
    digits: String,
    point: i64,
}

impl Decimal {
    /// The number, or `None` if it is not written as one: a JSON number literal may have an exponent, text matches
    /// `-?[0-9]+(\.[0-9]+)?`.
    pub fn parse(numeric: Numeric<'_>) -> Option<Self> {
        match numeric {
            Numeric::Number(literal) => match literal.0.split_once(['e', 'E']) {
                Some((mantissa, exponent)) => Self::plain(mantissa, read_exponent(exponent)?),
                None => Self::plain(literal.0, 0),
            },
            Numeric::Text(text) => Self::plain(text, 0),
        }
    }

    /// The shortest decimal that reads back as `double`; `None` if it is not finite.
    pub fn shortest(double: f64) -> Option<Self> {
        // `{:e}` writes the shortest digits that read back, at most 17, and the exponent apart.
        let text = double.is_finite().then(|| format!("{double:e}"))?;
        let (mantissa, exponent) = text.split_once('e')?;
        Self::plain(mantissa, read_exponent(exponent)?)
    }

    /// Below zero; `-0` is not.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Digits before the point, without leading zeros.
    pub fn integer_digits(&self) -> u64 {
        u64::try_from(self.point).unwrap_or(0)
    }

    /// Digits behind the point, without trailing zeros.
    pub fn fraction_digits(&self) -> u64 {
        let digits = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        u64::try_from(digits.saturating_sub(self.point)).unwrap_or(0)
    }

    /// Rounded half to even to `decimals` digits behind the point.
    #[must_use]
    pub fn rounded_half_even(&self, decimals: u32) -> Self {
        if self.fraction_digits() <= u64::from(decimals) {
            return self.clone();
        }
        let zero = Self { negative: false, digits: String::new(), point: 0 };
        let Ok(kept_len) = usize::try_from(self.point.saturating_add(i64::from(decimals))) else { return zero };
        let (kept, dropped) = self.digits.split_at_checked(kept_len).unwrap_or((&self.digits, ""));
        let last_is_odd = kept.bytes().last().is_some_and(|digit| digit % 2 == 1);
        let up = match dropped.as_bytes() {
            [b'5'] => last_is_odd,
            [first, ..] => *first >= b'5',
            [] => false,
        };
        // A zero in front takes the carry of 9.99 -> 10.
        let mut rounded: Vec<u8> = std::iter::once(b'0').chain(kept.bytes()).collect();
        if up {
            for digit in rounded.iter_mut().rev() {
                if *digit < b'9' {
                    *digit += 1;
                    break;
                }
                *digit = b'0';
            }
        }
        let significand = rounded.into_iter().map(char::from).collect();
        Self::from_digits(self.negative, significand, self.point.saturating_add(1))
    }

    /// Plain text with at least `min_decimals` decimals: `149 × 10` with 2 is `1490.00`.
    ///
    /// `None` if it would have more than `max_digits` digits before or behind the point.
    pub fn to_text(&self, min_decimals: usize, max_digits: u64) -> Option<String> {
        if self.integer_digits() > max_digits || self.fraction_digits() > max_digits {
            return None;
        }
        let before = usize::try_from(self.integer_digits()).ok()?;
        let behind = usize::try_from(self.fraction_digits()).ok()?;
        let mut text = String::with_capacity(before + behind.max(min_decimals) + 3);
        if self.negative {
            text.push('-');
        }
        let (integer, fraction) = self.digits.split_at_checked(before).unwrap_or((&self.digits, ""));
        text.push_str(if before == 0 { "0" } else { integer });
        text.extend(std::iter::repeat_n('0', before.saturating_sub(self.digits.len())));
        if behind.max(min_decimals) > 0 {
            text.push('.');
            text.extend(std::iter::repeat_n('0', behind.saturating_sub(fraction.len())));
            text.push_str(fraction);
            text.extend(std::iter::repeat_n('0', min_decimals.saturating_sub(behind)));
        }
        Some(text)
    }

    /// The integer, if it is one and fits.
    pub fn to_i64(&self) -> Option<i64> {
        match self.fraction_digits() {
            0 => self.to_text(0, 19)?.parse().ok(),
            _ => None,
        }
    }

    /// `-?[0-9]+(\.[0-9]+)?`, times ten to `exponent`.
    fn plain(text: &str, exponent: i64) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, text),
        };
        let (integer, fraction) = match unsigned.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (unsigned, ""),
        };
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if integer.is_empty() || !is_digits(integer) || !is_digits(fraction) {
            return None;
        }
        let point = i64::try_from(integer.len()).ok()?.saturating_add(exponent);
        let mut digits = String::with_capacity(integer.len() + fraction.len());
        digits.push_str(integer);
        digits.push_str(fraction);
        Some(Self::from_digits(negative, digits, point))
    }

    fn from_digits(negative: bool, mut digits: String, point: i64) -> Self {
        digits.truncate(digits.trim_end_matches('0').len());
        let leading = digits.len() - digits.trim_start_matches('0').len();
        digits.drain(..leading);
        if digits.is_empty() {
            return Self { negative: false, digits, point: 0 };
        }
        let leading = i64::try_from(leading).unwrap_or(i64::MAX);
        Self { negative, digits, point: point.saturating_sub(leading) }
    }
}

/// An exponent of any length. Beyond the size of any payload its exact value no longer matters: no mantissa that fits
/// in memory brings such a number back into a range that is accepted.
fn read_exponent(text: &str) -> Option<i64> {
    const FAR: i64 = 1 << 60;
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let magnitude = digits.iter().try_fold(0_i64, |sum, digit| {
        digit.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(FAR))
    })?;
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
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
    fn a_double_has_its_shortest_form() {
        for (double, text) in [
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.5, "1.5"),
            (-0.0, "0"),
            (1e21, "1000000000000000000000"),
        ] {
            assert_eq!(Decimal::shortest(double).and_then(|d| d.to_text(0, 30)).as_deref(), Some(text));
        }
        assert_eq!(Decimal::shortest(f64::NAN), None);
        assert_eq!(Decimal::shortest(f64::INFINITY), None);
        assert_eq!(Decimal::shortest(5e-324).map(|d| d.fraction_digits()), Some(324));
    }
}
