//! The schema keywords of ours: presence that JSON Schema cannot say with the pointer the contract wants named.

use std::fmt;

use jsonschema::{Keyword, ValidationError};
use serde_json::Value as Json;
use vrl::value::Value;

use crate::normalize::decode;
use crate::normalize::validate::payload::{self, Payload};

pub const ANY_OF_REQUIRED: &str = "x-any-of-required";
pub const REQUIRED_IF: &str = "x-required-if";
/// Put on every array's elements when a schema is loaded; files do not write it.
pub const PRESENT: &str = "x-present";

/// At least one of `members` of the object is present; if none is, that is reported at `at` below the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyOfRequired {
    pub members: Vec<String>,
    /// Pointer relative to the object; empty for the object itself.
    pub at: Pointer,
}

/// `member` is present if the text at `when` is `is`. Where the object around it is absent only that is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredIf {
    /// Pointers relative to the object that carries the rule.
    pub member: Pointer,
    pub when: Pointer,
    pub is: String,
}

/// Whether an element counts as present.
#[derive(Debug)]
pub struct Present;

/// An RFC 6901 pointer, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl AnyOfRequired {
    /// The rules of the keyword; a rule that is not written as one is left out, and reported by `load`.
    pub fn parse_all(rules: &Json) -> Vec<Self> {
        rules.as_array().into_iter().flatten().filter_map(Self::parse).collect()
    }

    pub fn parse(rule: &Json) -> Option<Self> {
        let rule = rule.as_object().filter(|rule| rule.keys().all(|key| ["members", "at"].contains(&key.as_str())))?;
        let members = rule.get("members")?.as_array()?.iter().map(|name| name.as_str().map(str::to_owned));
        let members: Vec<_> = members.collect::<Option<_>>()?;
        Some(Self { members, at: Pointer::parse(rule.get("at")?.as_str()?)? })
    }

    pub fn is_missing(&self, object: &Value) -> bool {
        payload::members(object).is_some() && self.members.iter().all(|name| payload::member(object, name).is_none())
    }

    pub fn message(&self) -> String {
        let names: Vec<_> = self.members.iter().map(|name| format!("`{name}`")).collect();
        format!("{} is required", names.join(" or "))
    }
}

impl RequiredIf {
    /// As [`AnyOfRequired::parse_all`].
    pub fn parse_all(rules: &Json) -> Vec<Self> {
        rules.as_array().into_iter().flatten().filter_map(Self::parse).collect()
    }

    pub fn parse(rule: &Json) -> Option<Self> {
        let rule = rule.as_object()?;
        let known = rule.keys().all(|key| ["member", "when", "is"].contains(&key.as_str()));
        let pointer = |key| Pointer::parse(rule.get(key)?.as_str()?);
        let is = rule.get("is")?.as_str()?.to_owned();
        known.then_some(Self { member: pointer("member")?, when: pointer("when")?, is })
    }

    pub fn is_missing(&self, object: &Value) -> bool {
        let Some((name, parents)) = self.member.0.split_last() else { return false };
        let applies = lookup(object, &self.when.0).and_then(Value::as_string).is_some_and(|text| **text == *self.is);
        applies
            && lookup(object, parents)
                .is_some_and(|parent| payload::members(parent).is_some() && payload::member(parent, name).is_none())
    }

    pub fn message(&self) -> String {
        format!("is required if `{}` is `{}`", self.when, self.is)
    }
}

impl Pointer {
    /// The pointer; `None` if it is neither empty nor begins with `/`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut segments = text.split('/');
        segments.next().filter(|before| before.is_empty())?;
        Some(Self(segments.map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect()))
    }

    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.0.iter().for_each(|segment| decode::push_segment(&mut text, segment));
        f.write_str(&text)
    }
}

impl<'i> Keyword<'i, Payload> for Vec<AnyOfRequired> {
    fn validate(&self, object: &'i Value) -> Result<(), ValidationError<'i>> {
        verdict(!self.iter().any(|rule| rule.is_missing(object)))
    }

    fn is_valid(&self, object: &'i Value) -> bool {
        !self.iter().any(|rule| rule.is_missing(object))
    }
}

impl<'i> Keyword<'i, Payload> for Vec<RequiredIf> {
    fn validate(&self, object: &'i Value) -> Result<(), ValidationError<'i>> {
        verdict(!self.iter().any(|rule| rule.is_missing(object)))
    }

    fn is_valid(&self, object: &'i Value) -> bool {
        !self.iter().any(|rule| rule.is_missing(object))
    }
}

impl<'i> Keyword<'i, Payload> for Present {
    fn validate(&self, element: &'i Value) -> Result<(), ValidationError<'i>> {
        verdict(!decode::is_empty(element))
    }

    fn is_valid(&self, element: &'i Value) -> bool {
        !decode::is_empty(element)
    }
}

/// What is missing is worked out by `Validator::check`, which knows the pointer and the order.
fn verdict(valid: bool) -> Result<(), ValidationError<'static>> {
    if valid { Ok(()) } else { Err(ValidationError::custom("")) }
}

fn lookup<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, name| payload::member(value, name))
}
