//! Telephone numbers: `+`, country calling code, subscriber.

use crate::normalize::value::country::SellingCountry;
use crate::normalize::value::{Invalid, Text, text};

/// The number as `+` and 7 to 15 digits, the first not zero.
///
/// A `(0)` behind an international prefix is dropped, then white space and `( ) - . /`; a leading `00` is `+`; without
/// either the calling code of `country` is put in front (for FR instead of the trunk zero, IT keeps its zero). With
/// `country` `None` (it could not be read) a national number is only judged by its shape and returned as digits, for
/// an order that will be rejected anyway.
///
/// # Errors
/// `InvalidFormat` if the result does not match `\+[1-9][0-9]{6,14}`.
pub fn phone<'a>(raw: &'a str, country: Option<SellingCountry>) -> Result<Text<'a>, Invalid> {
    let cleaned = text::clean(raw)?;
    let compact = without_trunk_hint(&cleaned.text);
    let number = match (compact.strip_prefix("00"), country) {
        (Some(international), _) => format!("+{international}"),
        _ if compact.starts_with('+') => compact,
        (None, Some(country)) => {
            let national = match country.drops_trunk_zero() {
                true => compact.strip_prefix('0').unwrap_or(&compact),
                false => &compact,
            };
            format!("+{}{national}", country.calling_code())
        }
        (None, None) => compact,
    };
    let digits = number.strip_prefix('+').unwrap_or(&number);
    let leading_zero_allowed = !number.starts_with('+');
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (7..=15).contains(&digits.len())
        && (leading_zero_allowed || !digits.starts_with('0'));
    match is_number {
        true => Ok(Text { text: number.into(), sanitized: cleaned.sanitized }),
        false => Err(Invalid::format("expected a telephone number of 7 to 15 digits with its country calling code")),
    }
}

/// Without separators, and without the `(0)` that follows an international prefix.
fn without_trunk_hint(text: &str) -> String {
    if let Some((before, behind)) = text.split_once("(0)") {
        let prefix = without_separators(before);
        let calling_code = prefix.strip_prefix('+').or_else(|| prefix.strip_prefix("00"));
        if calling_code.is_some_and(|code| (1..=3).contains(&code.len())) {
            return prefix + &without_separators(behind);
        }
    }
    without_separators(text)
}

fn without_separators(text: &str) -> String {
    // "Spaces" are all there are: people paste numbers with no-break and thin ones.
    text.chars().filter(|&c| !c.is_whitespace() && !matches!(c, '(' | ')' | '-' | '.' | '/')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use SellingCountry::{Es, Fr, It, Pl, Pt};

    #[test]
    fn a_number_becomes_international() {
        for (country, raw, expected) in [
            (Fr, "06 55 51 23 40", "+33655512340"),
            (Fr, "06.55.51.23.40", "+33655512340"),
            (Fr, "06/55-51 (23) 40", "+33655512340"),
            (Fr, "6 55 51 23 40", "+33655512340"),
            (Fr, "+33 (0)6 55 51 23 40", "+33655512340"),
            (Fr, "0033 (0) 6 55 51 23 40", "+33655512340"),
            (Fr, "(+33) (0)6 55 51 23 40", "+33655512340"),
            (Fr, "+33\u{a0}6\u{202f}55\u{2009}51 23 40", "+33655512340"),
            (Fr, "0033655512340", "+33655512340"),
            (Fr, "+34 655 010 203", "+34655010203"),
            (Fr, "(0)6 55 51 23 40", "+33655512340"),
            (Es, "655 010 203", "+34655010203"),
            (Es, "+34 655 010 203", "+34655010203"),
            (It, "06 4512 0099", "+390645120099"), // a landline keeps its zero
            (It, "+39 06 4512 0099", "+390645120099"),
            (It, "347 123 4567", "+393471234567"),
            (Pl, "512-345-678", "+48512345678"),
            (Pt, "912 345 678", "+351912345678"),
            (Pt, "00351 912 345 678", "+351912345678"),
            (Es, "0655 010 203", "+340655010203"), // only FR drops a trunk zero
        ] {
            let found = phone(raw, Some(country)).unwrap_or_else(|invalid| panic!("{raw:?}: {invalid:?}"));
            assert_eq!((&*found.text, found.sanitized), (expected, false), "{country:?} {raw:?}");
        }
        let pasted = phone("\u{202a}+33 6 55 51 23 40\u{202c}", Some(Fr)).expect("a number");
        assert_eq!((&*pasted.text, pasted.sanitized), ("+33655512340", true));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for raw in [
            "",
            "+",
            "00",
            "12",
            "+33",
            "+0655512340",
            "000655512340",
            "call me",
            "06 55 51 23 4o",
            "+33+655512340",
            "0655512340 ext 2",
            "+3365551234012345",
            "０６５５５１２３４０",
            "(0)",
            "+33 (0)",
            "0655512340\0",
        ] {
            assert!(phone(raw, Some(Fr)).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn without_a_country_a_national_number_is_judged_by_its_shape() {
        for (raw, valid) in
            [("06 55 51 23 40", true), ("+33 6 55 51 23 40", true), ("call me", false), ("+0123456789", false)]
        {
            assert_eq!(phone(raw, None).is_ok(), valid, "{raw:?}");
        }
    }
}
