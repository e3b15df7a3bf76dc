//! E-mail addresses.

use crate::normalize::value::{Invalid, Text, text, text::within};

/// Most characters of an address.
pub const MAX_CHARS: usize = 254;

/// The address with its domain in lower case; the local part stays as it is. Internationalised addresses are allowed.
///
/// # Errors
/// `InvalidFormat` unless it has one `@`, a non-empty local part, a dot in the domain, no white space and at most 254
/// characters.
pub fn email(raw: &str) -> Result<Text<'_>, Invalid> {
    let mut address = text::clean(raw)?;
    let expected = || Invalid::format("expected an e-mail address such as `name@example.org`");
    within(&address.text, MAX_CHARS)?;
    let (local, domain) = address.text.split_once('@').ok_or_else(expected)?;
    if local.is_empty() || domain.contains('@') || !domain.contains('.') || address.text.contains(char::is_whitespace) {
        return Err(expected());
    }
    if domain.chars().any(char::is_uppercase) {
        address.text = format!("{local}@{}", domain.to_lowercase()).into();
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_at_sign_and_a_dot_in_its_domain() {
        let longest = format!("{}@example.org", "x".repeat(254 - 12));
        let too_long = format!("x{longest}");
        for (raw, expected) in [
            ("maelle.tessier@example.org", Some("maelle.tessier@example.org")),
            (" Maelle@Example.ORG ", Some("Maelle@example.org")),
            ("íñigo@müller.example", Some("íñigo@müller.example")),
            ("用户@例子.广告", Some("用户@例子.广告")),
            ("a@ÉCOLE.FR", Some("a@école.fr")),
            ("e\u{301}@x.fr", Some("é@x.fr")),
            ("a+b'c@x.y", Some("a+b'c@x.y")),
            ("\u{202a}a@x.y\u{202c}", Some("a@x.y")),
            (&longest, Some(&*longest)),
            (&too_long, None),
            ("@example.org", None),
            ("a@example", None),
            ("a@b@example.org", None),
            ("a.example.org", None),
            ("a b@example.org", None),
            ("a\u{a0}b@example.org", None),
            ("a@example\t.org", None),
            ("a@example.org\0", None),
            ("", None),
        ] {
            assert_eq!(email(raw).ok().map(|address| address.text).as_deref(), expected, "{raw:?}");
        }
    }
}
