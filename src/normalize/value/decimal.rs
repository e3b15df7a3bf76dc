//! Exact decimals of any written size: never binary floating point, never more work than the text is long.

use std::cmp::Ordering;

use crate::normalize::value::{Invalid, Numeric};

/// Most digits before the point of a number that is calculated with.
const MAX_INTEGER_DIGITS: u64 = 15;

/// The number as text without needless zeros, fit to be calculated with.
///
/// # Errors
/// `InvalidFormat` if it is no number, or has more than 15 integer digits or `max_decimals` decimals.
pub fn text(raw: Numeric<'_>, max_decimals: u64) -> Result<String, Invalid> {
    let decimal = Decimal::parse(raw).ok_or_else(|| Invalid::format("expected a decimal number such as `12.5`"))?;
    if decimal.integer_digits() > MAX_INTEGER_DIGITS || decimal.fraction_digits() > max_decimals {
        let message =
            format!("expected at most {MAX_INTEGER_DIGITS} digits before the point and {max_decimals} behind");
        return Err(Invalid::format(message));
    }
    Ok(decimal.to_exact_text())
}

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

    /// Plain text of every digit. As long as the number's size: for numbers whose size was judged.
    pub fn to_exact_text(&self) -> String {
        self.to_text(0, u64::MAX).unwrap_or_default()
    }

    /// The exact sum. As long as the larger of the two: for numbers whose size was judged.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let decimals = self.fraction_digits().max(other.fraction_digits());
        let (mut first, mut second) = (self.scaled(decimals), other.scaled(decimals));
        let negative = if self.negative == other.negative {
            add(&mut first, &second);
            self.negative
        } else {
            // The larger one less the smaller one, with the sign of the larger one.
            let is_larger = compare(&first, &second) != Ordering::Less;
            if !is_larger {
                std::mem::swap(&mut first, &mut second);
            }
            subtract(&mut first, &second);
            if is_larger { self.negative } else { other.negative }
        };
        Self::from_scaled(negative, first, decimals)
    }

    /// The exact product. As long as both together: for numbers whose size was judged.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        let (first, second) = (self.scaled(self.fraction_digits()), other.scaled(other.fraction_digits()));
        let mut digits = vec![0_u8; first.len() + second.len() + 1];
        for (at, a) in first.iter().enumerate() {
            let mut carry = 0;
            let places = digits.iter_mut().skip(at);
            for (place, b) in places.zip(second.iter().chain(std::iter::repeat(&0))) {
                let value = *place + a * b + carry;
                (*place, carry) = (value % 10, value / 10);
            }
        }
        let decimals = self.fraction_digits() + other.fraction_digits();
        Self::from_scaled(self.negative != other.negative, digits, decimals)
    }

    /// The digits of the integer this is, times ten to `decimals`; the lowest first.
    fn scaled(&self, decimals: u64) -> Vec<u8> {
        let zeros = i64::try_from(decimals).unwrap_or(i64::MAX).saturating_add(self.point);
        let zeros = usize::try_from(zeros).unwrap_or(0).saturating_sub(self.digits.len());
        let digits = self.digits.bytes().rev().map(|digit| digit - b'0');
        std::iter::repeat_n(0, zeros).chain(digits).collect()
    }

    fn from_scaled(negative: bool, digits: Vec<u8>, decimals: u64) -> Self {
        let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let point = length.saturating_sub(i64::try_from(decimals).unwrap_or(i64::MAX));
        let digits = digits.into_iter().rev().map(|digit| char::from(b'0' + digit)).collect();
        Self::from_digits(negative, digits, point)
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

/// Adds `second` to `first`, both with the lowest digit first.
fn add(first: &mut Vec<u8>, second: &[u8]) {
    first.resize(first.len().max(second.len()) + 1, 0);
    let mut carry = 0;
    for (place, digit) in first.iter_mut().zip(second.iter().chain(std::iter::repeat(&0))) {
        let value = *place + digit + carry;
        (*place, carry) = (value % 10, value / 10);
    }
}

/// Subtracts `second`, which is not larger, from `first`.
fn subtract(first: &mut [u8], second: &[u8]) {
    let mut borrow = 0;
    for (place, digit) in first.iter_mut().zip(second.iter().chain(std::iter::repeat(&0))) {
        let value = *place + 10 - digit - borrow;
        (*place, borrow) = (value % 10, u8::from(value < 10));
    }
}

fn compare(first: &[u8], second: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| digits.iter().rposition(|digit| *digit > 0).map_or(0, |highest| highest + 1);
    let (a, b) = (significant(first), significant(second));
    a.cmp(&b).then_with(|| first.iter().take(a).rev().cmp(second.iter().take(b).rev()))
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
mod tests;
