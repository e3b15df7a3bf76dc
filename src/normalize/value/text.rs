//! Free text: NFC, trimmed, without control characters, of bounded length.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use crate::normalize::value::{Invalid, Text};

/// What a text is, which decides its greatest length in code points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An identifier of the source other than the order's own, e.g. a customer id.
    Identifier,
    Code,
    /// Inner runs of spaces become one.
    Name,
    Street,
    City,
    Description,
    Notes,
}

impl Kind {
    /// The kind called `name`, e.g. `description`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "identifier" => Self::Identifier,
            "code" => Self::Code,
            "name" => Self::Name,
            "street" => Self::Street,
            "city" => Self::City,
            "description" => Self::Description,
            "notes" => Self::Notes,
            _ => return None,
        })
    }

    /// Greatest length, in code points after cleaning.
    pub const fn max_chars(self) -> usize {
        match self {
            Self::Identifier | Self::Code => 64,
            Self::Name | Self::Street => 200,
            Self::City => 100,
            Self::Description => 500,
            Self::Notes => 4000,
        }
    }
}

/// The text in canonical form; empty if nothing was left of it.
///
/// # Errors
/// `InvalidFormat` if it holds U+0000 or is longer than its kind allows.
pub fn text(raw: &str, kind: Kind) -> Result<Text<'_>, Invalid> {
    let mut cleaned = clean(raw)?;
    if kind == Kind::Name && cleaned.text.contains("  ") {
        cleaned.text = Cow::Owned(single_spaces(&cleaned.text));
    }
    within(&cleaned.text, kind.max_chars())?;
    Ok(cleaned)
}

/// NFC, trimmed, without control characters and bidirectional controls; of any length.
///
/// # Errors
/// `InvalidFormat` if the text holds U+0000.
pub fn clean(raw: &str) -> Result<Text<'_>, Invalid> {
    let trimmed = raw.trim();
    if trimmed.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n')) {
        return Ok(Text { text: Cow::Borrowed(trimmed), sanitized: false });
    }
    if trimmed.contains('\0') {
        return Err(Invalid::format("expected text without U+0000"));
    }
    let sanitized = trimmed.contains(is_removed);
    // Controls go before normalization: one between a letter and its accent would keep them apart.
    let visible = match sanitized {
        true => Cow::Owned(trimmed.replace(is_removed, "")),
        false => Cow::Borrowed(trimmed),
    };
    let composed = match is_nfc_quick(visible.chars()) {
        IsNormalized::Yes => visible,
        _ => Cow::Owned(visible.nfc().collect()),
    };
    let text = match composed {
        Cow::Borrowed(text) => Cow::Borrowed(text),
        // What was inside may be outside now.
        Cow::Owned(text) if text.trim().len() < text.len() => Cow::Owned(text.trim().to_owned()),
        Cow::Owned(text) => Cow::Owned(text),
    };
    Ok(Text { text, sanitized })
}

/// Whether nothing would be left of the text: such a member counts as absent.
pub fn is_blank(raw: &str) -> bool {
    raw.chars().all(|c| c.is_whitespace() || is_removed(c))
}

/// # Errors
/// `InvalidFormat` if the text has more than `max_chars` code points.
pub(super) fn within(text: &str, max_chars: usize) -> Result<(), Invalid> {
    // A text of few bytes has few characters; only a longer one is counted.
    if text.len() > max_chars && text.chars().count() > max_chars {
        return Err(Invalid::format(format!("expected at most {max_chars} characters")));
    }
    Ok(())
}

/// C0 and C1 controls except tab and line feed, and bidirectional controls. U+0000 is refused instead; DEL, between
/// the two blocks, counts as C0's.
fn is_removed(c: char) -> bool {
    matches!(c, '\u{1}'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn single_spaces(text: &str) -> String {
    let mut single = String::with_capacity(text.len());
    for c in text.chars() {
        if c != ' ' || !single.ends_with(' ') {
            single.push(c);
        }
    }
    single
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_composed_trimmed_and_freed_of_controls() {
        for (raw, kind, expected, sanitized) in [
            ("Lyon", Kind::City, "Lyon", false),
            ("  8 quai\u{a0}", Kind::Street, "8 quai", false),
            ("Mae\u{308}lle", Kind::Name, "Maëlle", false),
            ("A\u{30a}", Kind::Name, "Å", false),
            ("\u{212b}", Kind::Name, "Å", false), // the Ångström sign is not NFC
            ("e\u{7}\u{301}", Kind::Name, "é", true),
            ("one  two   three", Kind::Name, "one two three", false),
            ("one  two", Kind::Street, "one  two", false),
            ("one \u{7} two", Kind::Name, "one two", true),
            ("line\nbreak\ttab", Kind::Notes, "line\nbreak\ttab", false),
            ("line\r\nbreak", Kind::Notes, "line\nbreak", true),
            ("end of line\r\n", Kind::Notes, "end of line", false),
            ("\u{202e}live\u{202c}", Kind::Name, "live", true),
            ("\u{2067}a\u{2069}", Kind::Name, "a", true),
            ("a\u{85}b\u{7f}c", Kind::Name, "abc", true),
            ("\u{7} a \u{7}", Kind::Name, "a", true),
            ("👩\u{200d}🔧", Kind::Name, "👩\u{200d}🔧", false), // the joiner stays
            ("می\u{200c}خواهم", Kind::Notes, "می\u{200c}خواهم", false),
            ("\u{200f}שלום", Kind::Notes, "\u{200f}שלום", false), // a mark, not a control
            ("\u{7}", Kind::Name, "", true),
        ] {
            let cleaned = text(raw, kind).unwrap_or_else(|invalid| panic!("{raw:?}: {invalid:?}"));

            assert_eq!((&*cleaned.text, cleaned.sanitized), (expected, sanitized), "{raw:?}");
            assert_eq!(text(expected, kind).expect("valid").text, expected, "{raw:?} cleaned twice");
        }
    }

    #[test]
    fn length_is_counted_in_code_points_after_cleaning() {
        for (kind, max) in [
            (Kind::Identifier, 64),
            (Kind::Code, 64),
            (Kind::Name, 200),
            (Kind::Street, 200),
            (Kind::City, 100),
            (Kind::Description, 500),
            (Kind::Notes, 4000),
        ] {
            for letter in ["a", "é", "e\u{301}", "😀", "\u{7}a"] {
                assert!(text(&format!(" {} ", letter.repeat(max)), kind).is_ok(), "{kind:?} {letter:?}");
                let invalid = text(&letter.repeat(max + 1), kind).expect_err("too long");
                assert_eq!(invalid, Invalid::format(format!("expected at most {max} characters")));
            }
        }
    }

    #[test]
    fn the_null_character_is_refused_everywhere() {
        for raw in ["\0", "a\0b", "é\0", "\0a"] {
            assert_eq!(text(raw, Kind::Notes), Err(Invalid::format("expected text without U+0000")), "{raw:?}");
        }
    }

    #[test]
    fn white_space_and_controls_alone_are_blank() {
        for (raw, blank) in
            [("", true), (" \t\n\u{a0}\u{3000}", true), (" \u{7}\u{202e}", true), ("\0", false), ("\u{200d}", false)]
        {
            assert_eq!(is_blank(raw), blank, "{raw:?}");
        }
    }
}
