//! Postal codes, by the country of the address.

use std::borrow::Cow;

use crate::normalize::value::Invalid;

/// The postal code in the form of `country` (ISO 3166-1 alpha-2; `None` if it could not be read), trimmed.
///
/// FR, ES, IT: 5 digits. PL `NN-NNN` and PT `NNNN-NNN`: a missing hyphen is put in. Elsewhere, and if the country is
/// not known: 2–10 letters, digits, spaces, hyphens.
///
/// # Errors
/// `InvalidFormat` otherwise.
pub fn postal_code<'a>(raw: &'a str, country: Option<&str>) -> Result<Cow<'a, str>, Invalid> {
    let code = raw.trim();
    match country {
        Some("FR" | "ES" | "IT") if is_digits(code, 5) => Ok(Cow::Borrowed(code)),
        Some("FR" | "ES" | "IT") => Err(Invalid::format("expected a postal code of 5 digits")),
        Some("PL") => {
            hyphenated(code, 2, 3).ok_or_else(|| Invalid::format("expected a postal code of the form `NN-NNN`"))
        }
        Some("PT") => {
            hyphenated(code, 4, 3).ok_or_else(|| Invalid::format("expected a postal code of the form `NNNN-NNN`"))
        }
        _ if (2..=10).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-')) =>
        {
            Ok(Cow::Borrowed(code))
        }
        _ => Err(Invalid::format("expected a postal code of 2 to 10 letters, digits, spaces and hyphens")),
    }
}

fn hyphenated(code: &str, before: usize, behind: usize) -> Option<Cow<'_, str>> {
    if let Some((first, second)) = code.split_once('-') {
        return (is_digits(first, before) && is_digits(second, behind)).then_some(Cow::Borrowed(code));
    }
    let (first, second) = code.split_at_checked(before)?;
    (is_digits(first, before) && is_digits(second, behind)).then(|| Cow::Owned(format!("{first}-{second}")))
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postal_code_has_the_form_of_its_country() {
        for (country, raw, expected) in [
            ("FR", "69007", Some("69007")),
            ("FR", " 01000 ", Some("01000")),
            ("FR", "6900", None),
            ("FR", "690070", None),
            ("FR", "69 007", None),
            ("FR", "2A004", None),
            ("FR", "６９００７", None),
            ("ES", "48001", Some("48001")),
            ("IT", "00184", Some("00184")),
            ("IT", "I-00184", None),
            ("PL", "00-950", Some("00-950")),
            ("PL", "00950", Some("00-950")),
            ("PL", "00 950", None),
            ("PL", "009-50", None),
            ("PL", "0é950", None),
            ("PT", "1000-205", Some("1000-205")),
            ("PT", "1000205", Some("1000-205")),
            ("PT", "1000", None),
            ("GB", "SW1A 1AA", Some("SW1A 1AA")),
            ("NL", "1012-AB", Some("1012-AB")),
            ("BE", "1000", Some("1000")),
            ("BE", "1", None),
            ("BE", "12345678901", None),
            ("BE", "10_00", None),
            ("BE", "", None),
        ] {
            assert_eq!(postal_code(raw, Some(country)).ok().as_deref(), expected, "{country} {raw:?}");
        }
    }

    #[test]
    fn without_a_country_any_countrys_code_passes() {
        for raw in ["69007", "00-950", "1000205", "SW1A 1AA"] {
            assert_eq!(postal_code(raw, None).as_deref(), Ok(raw));
        }
    }
}
