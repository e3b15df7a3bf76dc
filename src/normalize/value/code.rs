//! Codes of partner systems: the shape any code has before it is looked up.

use crate::normalize::value::identifier::MAX_CHARS;
use crate::normalize::value::{Invalid, text};

/// A code fit to be looked up: at most 64 code points, without U+0000, taken as sent, since codes match exactly.
///
/// # Errors
/// `InvalidFormat` otherwise. That a code is in no table is for the table to say.
pub fn code(raw: &str) -> Result<&str, Invalid> {
    text::within(raw.trim(), MAX_CHARS)?;
    match raw.contains('\0') {
        true => Err(Invalid::format("expected a code without U+0000")),
        false => Ok(raw),
    }
}

/// The code, if it is one of `allowed`.
///
/// # Errors
/// As [`code`], and `UnknownCode` if it is not in the list.
pub fn listed<'a>(raw: &'a str, allowed: &[impl AsRef<str>]) -> Result<&'a str, Invalid> {
    let found = code(raw)?;
    match allowed.iter().any(|allowed| allowed.as_ref() == found) {
        true => Ok(found),
        false => Err(Invalid::unknown("expected a code of the binding's list")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::rejection::Code;

    #[test]
    fn a_code_matches_exactly_or_is_unknown() {
        let allowed = ["BU_FR_HOME".to_owned(), "BU_ES_HOME".to_owned()];
        for (raw, refused) in [
            ("BU_FR_HOME", None),
            ("bu_fr_home", Some(Code::UnknownCode)),
            (" BU_FR_HOME", Some(Code::UnknownCode)),
            ("BU_FR", Some(Code::UnknownCode)),
            ("BU\0", Some(Code::InvalidFormat)),
            (&"é".repeat(64), Some(Code::UnknownCode)),
            (&"é".repeat(65), Some(Code::InvalidFormat)),
        ] {
            assert_eq!(listed(raw, &allowed).err().map(|invalid| invalid.code), refused, "{raw:?}");
        }
    }
}
