//! The value rules: what a payload's strings and numbers may be and what they become, each rule once.
//!
//! Pure functions from a payload's text or number literal to the canonical value, or to an [`Invalid`] that says what
//! was expected and never repeats the value. Who is asked for a value is decided elsewhere: nothing here knows fields,
//! pointers, presence or the mapping language.
//!
//! What people type (text, country, currency, e-mail, phone, postal code) is trimmed first; what machines write in a
//! fixed alphabet (order identifiers, codes, decimal text, time) is taken as sent.
//!
//! Source: `contracts/canonical-events.md` section 6.

use std::borrow::Cow;

use crate::canonical::rejection::Code;

pub mod code;
pub mod country;
pub mod currency;
pub mod decimal;
pub mod email;
pub mod identifier;
pub mod integer;
pub mod money;
pub mod phone;
pub mod postal_code;
pub mod quantity;
pub mod text;
pub mod time;
pub mod time_form;

/// Why a value is refused: `InvalidFormat` or `UnknownCode`, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    pub code: Code,
    /// Never contains the value.
    pub message: String,
}

impl Invalid {
    pub fn format(message: impl Into<String>) -> Self {
        Self { code: Code::InvalidFormat, message: message.into() }
    }

    pub fn unknown(message: impl Into<String>) -> Self {
        Self { code: Code::UnknownCode, message: message.into() }
    }
}

/// The literal of a JSON number as it stands in the payload, e.g. `1490.00` or `1e3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<'a>(pub &'a str);

/// A number as a source may write it: as a JSON number or, where its contract says so, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numeric<'a> {
    Number(Number<'a>),
    Text(&'a str),
}

/// Text made canonical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a> {
    /// Borrowed if nothing but outer white space had to change.
    pub text: Cow<'a, str>,
    /// Whether control characters were taken out: the warning `text_sanitized`.
    pub sanitized: bool,
}
