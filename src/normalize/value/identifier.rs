//! Identifiers of external orders, and codes of a fixed alphabet.

use crate::normalize::value::Invalid;

/// Most characters of an identifier or code.
pub const MAX_CHARS: usize = 64;

/// The identifier of an external order: 1–64 of `A-Z a-z 0-9 . _ -`, case-sensitive, taken as sent.
///
/// # Errors
/// `InvalidFormat` otherwise.
pub fn order_id(raw: &str) -> Result<&str, Invalid> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match (1..=MAX_CHARS).contains(&raw.len()) && raw.bytes().all(allowed) {
        true => Ok(raw),
        false => Err(Invalid::format("expected 1 to 64 characters of `A-Z a-z 0-9 . _ -`")),
    }
}

/// A code that is not checked against a list but has a fixed alphabet: 2–64 of `A-Z 0-9 _`.
///
/// # Errors
/// `InvalidFormat` otherwise.
///
/// Source: `contracts/tempo.md`, field 13.
pub fn upper_code(raw: &str) -> Result<&str, Invalid> {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    match (2..=MAX_CHARS).contains(&raw.len()) && raw.bytes().all(allowed) {
        true => Ok(raw),
        false => Err(Invalid::format("expected 2 to 64 characters of `A-Z 0-9 _`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_identifier_has_64_characters_of_a_small_alphabet() {
        let (longest, too_long) = ("x".repeat(64), "x".repeat(65));
        for (raw, valid) in [
            ("PYX-FR-20260304-7731", true),
            ("a", true),
            ("A.b_c-9", true),
            ("-", true),
            (&longest, true),
            (&too_long, false),
            ("", false),
            (" PYX-1", false),
            ("PYX 1", false),
            ("PYX/1", false),
            ("PYX-é", false),
            ("PYX-１", false), // a full-width digit
            ("PYX\0", false),
            ("PYX|1", false),
        ] {
            assert_eq!(order_id(raw).is_ok(), valid, "{raw:?}");
        }
    }

    #[test]
    fn an_upper_code_has_two_to_64_characters() {
        for (raw, valid) in [
            ("BOILER_REPAIR", true),
            ("A1", true),
            ("A", false),
            ("boiler", false),
            ("A-B", false),
            (&"A".repeat(64), true),
            (&"A".repeat(65), false),
        ] {
            assert_eq!(upper_code(raw).is_ok(), valid, "{raw:?}");
        }
    }
}
