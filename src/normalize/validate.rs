//! Payload -> the payload, known to have what its JSON Schema asks for: presence, types and counts, nothing else.
//!
//! A [`Validator`] is a schema file, loaded once. The `jsonschema` crate decides; it reads the payload in place, as a
//! `payload::Payload`, and is asked for details only when a payload is wrong. The pointers, order and words of the
//! problems are ours, because the contract fixes them. Formats and codes belong to `normalize::value`.
//!
//! Source: `contracts/canonical-events.md` sections 6 and 7; the schema files: `docs/mapping-schemas.md`.

use std::path::Path;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::LocationSegment;
use vrl::value::{Kind, Value};

use crate::canonical::rejection::{Code, Problem};
use crate::config::report::Report;
use crate::normalize::decode;

mod field;
mod load;
mod payload;
mod presence;

pub use field::Field;

use payload::Payload;
use presence::{ANY_OF_REQUIRED, AnyOfRequired, PRESENT, REQUIRED_IF, RequiredIf};

/// One inbound payload's schema, compiled.
#[derive(Debug)]
pub struct Validator {
    compiled: jsonschema::Validator<Payload>,
    root: Field,
    kind: Kind,
}

impl Validator {
    /// The schema in `file`.
    ///
    /// # Errors
    /// The file cannot be read, is not JSON, or says something a payload schema must not say: every mistake with its
    /// line.
    pub fn load(file: impl AsRef<Path>) -> Result<Self, Report> {
        let file = file.as_ref();
        let text = std::fs::read_to_string(file).map_err(|error| {
            let mut report = Report::default();
            report.add(file, 0, 0, format!("cannot be read: {error}"));
            report
        })?;
        Self::parse(file, &text)
    }

    /// The schema `text`; `file` is only named in the report.
    ///
    /// # Errors
    /// As [`Validator::load`].
    pub fn parse(file: impl AsRef<Path>, text: &str) -> Result<Self, Report> {
        let file = file.as_ref();
        let (root, mut schema, mistakes) = load::read(file, text)?;
        mistakes.into_result()?;
        load::mark_elements(&mut schema);
        let compiled = jsonschema::options_for::<Payload>()
            .with_draft(jsonschema::Draft::Draft202012)
            .with_keyword(ANY_OF_REQUIRED, |_, rules, _| Ok(Box::new(AnyOfRequired::parse_all(rules))))
            .with_keyword(REQUIRED_IF, |_, rules, _| Ok(Box::new(RequiredIf::parse_all(rules))))
            .with_keyword(PRESENT, |_, _, _| Ok(Box::new(presence::Present)))
            .build(&schema)
            .map_err(|error| {
                let mut report = Report::default();
                report.add(file, 0, 0, format!("is no JSON Schema at `{}`: {error}", error.instance_path()));
                report
            })?;
        let kind = root.kind();
        Ok(Self { compiled, root, kind })
    }

    /// The type of a payload of the schema in `file` even if the schema has mistakes, so that mappings can be checked
    /// all the same; `None` if it cannot be read at all.
    pub fn declared_kind(file: impl AsRef<Path>) -> Option<Kind> {
        let file = file.as_ref();
        let (root, _, _) = load::read(file, &std::fs::read_to_string(file).ok()?).ok()?;
        Some(root.kind())
    }

    /// Everything the payload lacks, has of the wrong type or has too much of, in the order of the schema file; empty
    /// for a valid payload. Expects what [`decode::remove_empty`] has left.
    pub fn check(&self, payload: &Value) -> Vec<Problem> {
        if self.compiled.is_valid(payload) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for error in self.compiled.iter_errors(payload) {
            self.explain(&error, payload, &mut found);
        }
        found.sort_by(|one, other| one.rank.cmp(&other.rank));
        found.into_iter().map(|found| found.problem).collect()
    }

    /// The type of a payload that [`Validator::check`] finds nothing wrong with, for the mapping's compiler: objects
    /// have their declared members only, optional ones may be undefined, a number is `{"$number": <bytes>}`.
    pub fn schema_kind(&self) -> &Kind {
        &self.kind
    }

    /// The declared fields, from the document down.
    pub fn fields(&self) -> &Field {
        &self.root
    }

    /// Puts problems found later (by mapping) into the order of the schema file, elements by index. Those of one
    /// place keep their order; those at no declared field come last.
    pub fn sort(&self, problems: &mut [Problem]) {
        problems.sort_by_cached_key(|problem| self.root.rank(&problem.field));
    }

    fn explain(&self, error: &ValidationError<'_>, payload: &Value, found: &mut Vec<Found>) {
        let Some(place) = Place::find(&self.root, payload, error) else { return };
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                found.push(place.lacking(property.as_str().unwrap_or_default()));
            }
            // An element that counts as absent is reported as such, by `PRESENT`.
            ValidationErrorKind::Type { .. } if place.is_element && decode::is_empty(place.value) => {}
            ValidationErrorKind::Type { kind } => {
                let message = format!("expected {}, found {}", expected_types(kind), payload::type_name(place.value));
                found.push(place.problem(Code::InvalidType, message));
            }
            ValidationErrorKind::MaxItems { limit } => {
                found.push(place.problem(Code::LimitExceeded, format!("expected at most {limit} elements")));
            }
            ValidationErrorKind::Custom { keyword, .. } => match keyword.as_str() {
                ANY_OF_REQUIRED => found.extend(place.lacking_any_of()),
                REQUIRED_IF => found.extend(place.lacking_under_condition()),
                _ => found.push(place.problem(Code::FieldRequired, REQUIRED.to_owned())),
            },
            // No other keyword gets past `load`.
            _ => found.push(place.problem(Code::InvalidType, "does not match the schema".to_owned())),
        }
    }
}

const REQUIRED: &str = "is required";

/// A problem and where the schema file puts it.
struct Found {
    rank: Vec<usize>,
    problem: Problem,
}

/// Where a schema error stands, in the payload and in the schema.
struct Place<'a> {
    value: &'a Value,
    field: &'a Field,
    pointer: String,
    rank: Vec<usize>,
    is_element: bool,
}

impl<'a> Place<'a> {
    fn find(root: &'a Field, payload: &'a Value, error: &ValidationError<'_>) -> Option<Self> {
        let pointer = error.instance_path().as_str().to_owned();
        let mut place = Self { value: payload, field: root, pointer, rank: Vec::new(), is_element: false };
        for segment in error.instance_path().segments() {
            match segment {
                LocationSegment::Property(name) => {
                    let (rank, field) = place.field.ranked_member(&name)?;
                    place.rank.push(rank);
                    place.field = field;
                    place.value = payload::member(place.value, &name)?;
                    place.is_element = false;
                }
                LocationSegment::Index(index) => {
                    place.rank.push(index);
                    place.field = place.field.element()?;
                    place.value = payload::element(place.value, index)?;
                    place.is_element = true;
                }
            }
        }
        Some(place)
    }

    fn problem(&self, code: Code, message: String) -> Found {
        Found { rank: self.rank.clone(), problem: Problem::new(code, self.pointer.clone(), message) }
    }

    fn lacking(&self, member: &str) -> Found {
        let mut pointer = self.pointer.clone();
        decode::push_segment(&mut pointer, member);
        Found { rank: self.rank_below([member]), problem: Problem::new(Code::FieldRequired, pointer, REQUIRED) }
    }

    fn lacking_any_of(&self) -> impl Iterator<Item = Found> {
        let missing = self.field.any_of_required().iter().filter(|rule| rule.is_missing(self.value));
        missing.map(|rule| Found {
            // The row of the contract's table is that of the members, wherever the problem is said to be.
            rank: self.rank_below(rule.members.first().map(String::as_str)),
            problem: Problem::new(Code::FieldRequired, format!("{}{}", self.pointer, rule.at), rule.message()),
        })
    }

    fn lacking_under_condition(&self) -> impl Iterator<Item = Found> {
        let missing = self.field.required_if().iter().filter(|rule| rule.is_missing(self.value));
        missing.map(|rule| Found {
            rank: self.rank_below(rule.member.segments()),
            problem: Problem::new(Code::FieldRequired, format!("{}{}", self.pointer, rule.member), rule.message()),
        })
    }

    fn rank_below<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<usize> {
        let mut rank = self.rank.clone();
        let mut field = Some(self.field);
        for name in names {
            let member = field.and_then(|field| field.ranked_member(name));
            rank.push(member.map_or(usize::MAX, |(rank, _)| rank));
            field = member.map(|(_, field)| field);
        }
        rank
    }
}

fn expected_types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(single) => payload::json_type_name(*single).to_owned(),
        TypeKind::Multiple(several) => several.iter().map(payload::json_type_name).collect::<Vec<_>>().join(" or "),
    }
}

#[cfg(test)]
mod tests;
