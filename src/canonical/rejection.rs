//! Why a payload was refused: error classes, their stage in the order of checks, and the report.
//!
//! Source: `contracts/canonical-events.md` section 7.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most problems listed in one rejection; the rest are counted.
pub const MAX_PROBLEMS: usize = 100;

/// The class of a rejection, as written in `error_code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    PayloadTooLarge,
    AuthenticationFailed,
    UnsupportedMediaType,
    MalformedPayload,
    SchemaMismatch,
    ForbiddenConstruct,
    UnsupportedEvent,
    TenantMismatch,
    FieldRequired,
    InvalidType,
    LimitExceeded,
    InvalidFormat,
    UnknownCode,
    BusinessRule,
    UnknownReference,
}

/// The stages of checking, in the order in which they run. The first stage that finds a problem decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Size,
    Authentication,
    MediaType,
    Syntax,
    Tenant,
    Presence,
    Count,
    Format,
    Codes,
    Rules,
}

impl Code {
    /// The name on the wire, e.g. `FIELD_REQUIRED`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::AuthenticationFailed => "AUTHENTICATION_FAILED",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::MalformedPayload => "MALFORMED_PAYLOAD",
            Self::SchemaMismatch => "SCHEMA_MISMATCH",
            Self::ForbiddenConstruct => "FORBIDDEN_CONSTRUCT",
            Self::UnsupportedEvent => "UNSUPPORTED_EVENT",
            Self::TenantMismatch => "TENANT_MISMATCH",
            Self::FieldRequired => "FIELD_REQUIRED",
            Self::InvalidType => "INVALID_TYPE",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::InvalidFormat => "INVALID_FORMAT",
            Self::UnknownCode => "UNKNOWN_CODE",
            Self::BusinessRule => "BUSINESS_RULE",
            Self::UnknownReference => "UNKNOWN_REFERENCE",
        }
    }

    /// The HTTP status an inbound route answers with.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::MalformedPayload | Self::SchemaMismatch | Self::ForbiddenConstruct => 400,
            Self::AuthenticationFailed => 401,
            Self::TenantMismatch => 403,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            _ => 422,
        }
    }

    /// Where in the order of checks the class is found by mapping. `LIMIT_EXCEEDED` of nesting is found
    /// earlier, by syntax; the decoder reports that one alone, so the order does not matter there.
    pub const fn stage(self) -> Stage {
        match self {
            Self::PayloadTooLarge => Stage::Size,
            Self::AuthenticationFailed => Stage::Authentication,
            Self::UnsupportedMediaType => Stage::MediaType,
            Self::MalformedPayload | Self::SchemaMismatch | Self::ForbiddenConstruct | Self::UnsupportedEvent => {
                Stage::Syntax
            }
            Self::TenantMismatch => Stage::Tenant,
            Self::FieldRequired | Self::InvalidType => Stage::Presence,
            Self::LimitExceeded => Stage::Count,
            Self::InvalidFormat => Stage::Format,
            Self::UnknownCode => Stage::Codes,
            Self::BusinessRule | Self::UnknownReference => Stage::Rules,
        }
    }

    /// Whether a rejection of this class is published: one at size or authentication is not.
    pub const fn is_published(self) -> bool {
        !matches!(self, Self::PayloadTooLarge | Self::AuthenticationFailed)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing wrong with a payload.
///
/// `field` is an RFC 6901 pointer into the payload, empty for the whole document. `message` says what was
/// expected and never repeats the payload's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub code: Code,
    pub field: String,
    pub message: String,
}

impl Problem {
    pub fn new(code: Code, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.message),
            field => write!(f, "{field}: {}", self.message),
        }
    }
}

/// All problems of the first failing stage: at least one, at most [`MAX_PROBLEMS`], in the order of the
/// contract's field table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    problems: Vec<Problem>,
    /// Problems beyond [`MAX_PROBLEMS`].
    omitted: usize,
}

impl Rejection {
    pub fn one(code: Code, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { problems: vec![Problem::new(code, field, message)], omitted: 0 }
    }

    /// The rejection of `problems`, already in the order to report; `None` if there are none. Only those of
    /// the earliest stage are kept.
    pub fn of(problems: Vec<Problem>) -> Option<Self> {
        let stage = problems.iter().map(|problem| problem.code.stage()).min()?;
        let mut kept: Vec<_> = problems.into_iter().filter(|problem| problem.code.stage() == stage).collect();
        let omitted = kept.len().saturating_sub(MAX_PROBLEMS);
        kept.truncate(MAX_PROBLEMS);
        Some(Self { problems: kept, omitted })
    }

    /// The class of the first problem.
    pub fn code(&self) -> Code {
        self.problems.first().map_or(Code::MalformedPayload, |problem| problem.code)
    }

    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Problems found beyond those listed.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Changes where the problems are found, or how they are told.
    pub fn rename(&mut self, rename: impl FnMut(&mut Problem)) {
        self.problems.iter_mut().for_each(rename);
    }

    /// `error_message` of the published rejection: begins with the path of the first problem.
    pub fn message(&self) -> String {
        let mut text = self.problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ");
        if self.omitted > 0 {
            text.push_str(&format!("; and {} more", self.omitted));
        }
        text
    }
}

impl Rejection {
    /// `{"problems": [{"code", "field", "message"}], "omitted"}` in at most about `bytes` bytes: problems that have no
    /// room are counted as omitted; the first always is there, its texts cut at a quarter of that.
    pub fn to_json(&self, bytes: usize) -> String {
        let mut kept = Self { problems: Vec::new(), omitted: self.omitted };
        let mut room = bytes;
        for problem in &self.problems {
            let mut problem = problem.clone();
            if kept.problems.is_empty() {
                cut(&mut problem.field, bytes / 4);
                cut(&mut problem.message, bytes / 4);
            }
            let needed = serde_json::to_string(&problem).map_or(usize::MAX, |json| json.len() + 1);
            if kept.problems.is_empty() || (needed <= room && kept.omitted == self.omitted) {
                room = room.saturating_sub(needed);
                kept.problems.push(problem);
            } else {
                kept.omitted += 1;
            }
        }
        // Texts and a number are always JSON.
        serde_json::to_string(&kept).unwrap_or_default()
    }
}

fn cut(text: &mut String, bytes: usize) {
    text.truncate(text.floor_char_boundary(bytes));
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_failing_stage_is_reported() {
        let rejection = Rejection::of(vec![
            Problem::new(Code::UnknownCode, "/channel", "not a channel"),
            Problem::new(Code::InvalidFormat, "/created_at", "not a time"),
            Problem::new(Code::BusinessRule, "/updated_at", "before created_at"),
        ])
        .expect("there are problems");

        assert_eq!(rejection.code(), Code::InvalidFormat);
        assert_eq!(rejection.message(), "/created_at: not a time");
    }

    #[test]
    fn json_for_a_header_keeps_what_has_room_and_counts_the_rest() {
        let long = "é".repeat(10_000);
        let problems = vec![
            Problem::new(Code::InvalidFormat, long.clone(), "first"),
            Problem::new(Code::InvalidFormat, "/b", "second"),
            Problem::new(Code::InvalidFormat, "/c", long),
            Problem::new(Code::InvalidFormat, "/d", "behind one that has no room"),
        ];
        let rejection = Rejection::of(problems).expect("there are problems");

        let json = rejection.to_json(1 << 10);
        let read: Rejection = serde_json::from_str(&json).expect("it is a rejection");

        assert!(json.len() < 1 << 10, "{json}");
        assert_eq!((read.problems().len(), read.omitted()), (2, 2));
        assert_eq!((read.problems()[0].field.len(), read.problems()[1].field.as_str()), (256, "/b"));
        assert_eq!(serde_json::from_str::<Rejection>(&rejection.to_json(1 << 20)).expect("a rejection"), rejection);
    }

    #[test]
    fn at_most_a_hundred_problems_are_listed_and_the_rest_counted() {
        let problems = (0..130).map(|n| Problem::new(Code::InvalidFormat, format!("/{n}"), "bad")).collect();

        let rejection = Rejection::of(problems).expect("there are problems");

        assert_eq!((rejection.problems().len(), rejection.omitted()), (100, 30));
        assert!(rejection.message().ends_with("; and 30 more"));
    }
}
