//! Reads a schema file: only what a payload schema may say, every mistake with its line.

use std::collections::BTreeMap;
use std::path::Path;

use jiter::{Jiter, JiterResult, Peek};
use serde_json::{Map, Value as Json};

use crate::config::report::{Report, line_and_column};
use crate::normalize::decode::{NUMBER, push_segment};
use crate::normalize::validate::field::{Field, Member, Shape};
use crate::normalize::validate::presence::{ANY_OF_REQUIRED, AnyOfRequired, PRESENT, Pointer, REQUIRED_IF, RequiredIf};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

const KEYWORDS: [&str; 12] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "type",
    "properties",
    "required",
    "items",
    "maxItems",
    ANY_OF_REQUIRED,
    REQUIRED_IF,
];

/// Keywords of JSON Schema that would judge what the value functions judge.
const OF_VALUES: [&str; 13] = [
    "pattern",
    "format",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "contentEncoding",
    "contentMediaType",
];

/// The declared fields and the schema as JSON, and every mistake in it.
///
/// # Errors
/// The text is no JSON.
pub fn read(file: &Path, text: &str) -> Result<(Field, Json, Report), Report> {
    let mut report = Report::default();
    let schema: Json = serde_json::from_str(text).map_err(|error| {
        report.add(file, error.line(), error.column(), format!("is no JSON: {error}"));
        std::mem::take(&mut report)
    })?;
    let mut loader = Loader { file, text, places: Places::default(), report };
    // The text is JSON, so this can only stop at what the other parser does not take, with places missing.
    let mut jiter = Jiter::new(text.as_bytes());
    let _ = jiter.peek().and_then(|first| loader.places.walk(&mut jiter, first, String::new()));
    for pointer in std::mem::take(&mut loader.places.repeated) {
        loader.report(&pointer, "is given twice");
    }
    let root = loader.field(&schema, "");
    if !matches!(root.shape, Shape::Object(_)) {
        loader.report("", "expected `type` `object` for the document");
    }
    Ok((root, schema, loader.report))
}

/// Puts [`PRESENT`] on the elements of every array.
pub fn mark_elements(schema: &mut Json) {
    if let Some(items) = schema.get_mut("items") {
        mark_elements(items);
        if let Some(items) = items.as_object_mut() {
            items.insert(PRESENT.to_owned(), Json::Bool(true));
        }
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) {
        properties.values_mut().for_each(mark_elements);
    }
}

struct Loader<'a> {
    file: &'a Path,
    text: &'a str,
    places: Places,
    report: Report,
}

impl Loader<'_> {
    fn field(&mut self, schema: &Json, at: &str) -> Field {
        let Some(schema) = schema.as_object() else {
            self.report(at, "expected a schema object");
            return Field::default();
        };
        for keyword in schema.keys().map(String::as_str) {
            if OF_VALUES.contains(&keyword) {
                let message = format!("`{keyword}`: formats and codes belong to the value functions of the mapping");
                self.report_below(at, keyword, &message);
            } else if !KEYWORDS.contains(&keyword) {
                let message = format!("unknown keyword `{keyword}`, expected one of: {}", KEYWORDS.join(", "));
                self.report_below(at, keyword, &message);
            }
        }
        if schema.get("$schema").is_some_and(|draft| draft != DRAFT) {
            self.report_below(at, "$schema", &format!("expected `{DRAFT}`"));
        }
        let shape = self.shape(schema, at);
        let mut field = Field { shape, ..Field::default() };
        self.presence(&mut field, schema, at);
        field
    }

    fn shape(&mut self, schema: &Map<String, Json>, at: &str) -> Shape {
        let names: Vec<&str> = match schema.get("type") {
            Some(Json::String(name)) => vec![name],
            Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        let shape = match names.as_slice() {
            ["object"] => Shape::Object(self.members(schema, at)),
            ["array"] => Shape::Array(Box::new(self.element(schema, at))),
            names if !names.is_empty() && names.iter().all(|name| ["string", "number", "boolean"].contains(name)) => {
                Shape::Scalar {
                    text: names.contains(&"string"),
                    number: names.contains(&"number"),
                    boolean: names.contains(&"boolean"),
                }
            }
            names => {
                let message = match names.contains(&"integer") {
                    true => "`type`: expected `number` (the integer function tells 1.0 from 1.5), found `integer`",
                    false => "`type`: expected `object`, `array`, or one or more of `string`, `number`, `boolean`",
                };
                self.report_below(at, "type", message);
                return Shape::default();
            }
        };
        let misplaced: &[&str] = match &shape {
            Shape::Object(_) => &["items", "maxItems"],
            Shape::Array(_) => &["properties", "required", ANY_OF_REQUIRED, REQUIRED_IF],
            Shape::Scalar { .. } => &["items", "maxItems", "properties", "required", ANY_OF_REQUIRED, REQUIRED_IF],
        };
        for keyword in misplaced.iter().filter(|keyword| schema.contains_key(**keyword)) {
            self.report_below(at, keyword, &format!("`{keyword}` says nothing about this `type`"));
        }
        shape
    }

    fn members(&mut self, schema: &Map<String, Json>, at: &str) -> Vec<Member> {
        let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
            self.report_below(at, "properties", "`properties`: expected an object of schemas");
            return Vec::new();
        };
        let required: Vec<&str> = match schema.get("required") {
            None => Vec::new(),
            Some(Json::Array(names)) if names.iter().all(Json::is_string) => {
                names.iter().filter_map(Json::as_str).collect()
            }
            Some(_) => {
                self.report_below(at, "required", "`required`: expected an array of names");
                Vec::new()
            }
        };
        for (index, name) in required.iter().enumerate() {
            if !properties.contains_key(*name) {
                self.report_below(at, "required", &format!("`required`: `{name}` is not declared in `properties`"));
            }
            if required.iter().take(index).any(|earlier| earlier == name) {
                self.report_below(at, "required", &format!("`required`: `{name}` is named twice"));
            }
        }
        let below = child(at, "properties");
        let mut members = Vec::with_capacity(properties.len());
        for (name, property) in properties {
            if name == NUMBER {
                self.report_below(&below, name, "`$number` is how a number is kept, no member can have that name");
            }
            let field = self.field(property, &child(&below, name));
            members.push(Member { name: name.clone(), required: required.contains(&name.as_str()), field });
        }
        members
    }

    fn element(&mut self, schema: &Map<String, Json>, at: &str) -> Field {
        if schema.get("maxItems").is_some_and(|limit| limit.as_u64().is_none()) {
            self.report_below(at, "maxItems", "`maxItems`: expected a number of elements");
        }
        match schema.get("items") {
            Some(items) => self.field(items, &child(at, "items")),
            None => {
                self.report_below(at, "items", "`items`: expected the schema of an element");
                Field::default()
            }
        }
    }

    fn presence(&mut self, field: &mut Field, schema: &Map<String, Json>, at: &str) {
        for (rule, place) in self.rules(schema, at, ANY_OF_REQUIRED) {
            match AnyOfRequired::parse(&rule).filter(|rule| !rule.members.is_empty()) {
                Some(rule) => {
                    let declared = rule.members.iter().all(|name| is_optional(field, std::iter::once(name.as_str())));
                    let named = rule.at.segments().next().is_none() || is_optional(field, rule.at.segments());
                    if !declared || !named {
                        self.report(&place, "`members` and `at`: expected declared members that are not `required`");
                    }
                    field.any_of_required.push(rule);
                }
                None => self.report(&place, r#"expected {"members": [<names>], "at": <pointer below this object>}"#),
            }
        }
        for (rule, place) in self.rules(schema, at, REQUIRED_IF) {
            match RequiredIf::parse(&rule) {
                Some(rule) => {
                    if !is_optional(field, rule.member.segments()) {
                        self.report(&place, "`member`: expected a declared member that is not `required`");
                    }
                    if !is_text(field, &rule.when) {
                        self.report(&place, "`when`: expected a declared member of `type` `string`");
                    }
                    field.required_if.push(rule);
                }
                None => self.report(&place, r#"expected {"member": <pointer>, "when": <pointer>, "is": <text>}"#),
            }
        }
    }

    /// The rules of a keyword of ours, each with its place.
    fn rules(&mut self, schema: &Map<String, Json>, at: &str, keyword: &str) -> Vec<(Json, String)> {
        let place = child(at, keyword);
        match schema.get(keyword) {
            None => Vec::new(),
            Some(Json::Array(rules)) => {
                let place_of = |index: usize| child(&place, &index.to_string());
                rules.iter().enumerate().map(|(index, rule)| (rule.clone(), place_of(index))).collect()
            }
            Some(_) => {
                self.report(&place, &format!("`{keyword}`: expected an array of rules"));
                Vec::new()
            }
        }
    }

    /// Reports at the member `keyword` of the schema at `at`, or at that schema if it has none.
    fn report_below(&mut self, at: &str, keyword: &str, message: &str) {
        let below = child(at, keyword);
        let place = if self.places.offsets.contains_key(&below) { below.as_str() } else { at };
        self.report_at(place, at, message);
    }

    fn report(&mut self, place: &str, message: &str) {
        self.report_at(place, place, message);
    }

    fn report_at(&mut self, place: &str, named: &str, message: &str) {
        let offset = self.places.offsets.get(place).copied().unwrap_or_default();
        let (line, column) = line_and_column(self.text, offset);
        let message = if named.is_empty() { message.to_owned() } else { format!("`{named}`: {message}") };
        self.report.add(self.file, line, column, message);
    }
}

/// Where every value of the file begins, by its pointer.
#[derive(Default)]
struct Places {
    offsets: BTreeMap<String, usize>,
    repeated: Vec<String>,
}

impl Places {
    fn walk(&mut self, jiter: &mut Jiter<'_>, first: Peek, at: String) -> JiterResult<()> {
        let offset = jiter.current_index();
        match first {
            Peek::Object => {
                let mut name = jiter.known_object()?.map(str::to_owned);
                while let Some(key) = name {
                    let first = jiter.peek()?;
                    self.walk(jiter, first, child(&at, &key))?;
                    name = jiter.next_key()?.map(str::to_owned);
                }
            }
            Peek::Array => {
                let mut next = jiter.known_array()?;
                for index in 0_usize.. {
                    let Some(first) = next else { break };
                    self.walk(jiter, first, child(&at, &index.to_string()))?;
                    next = jiter.array_step()?;
                }
            }
            _ => jiter.known_skip(first)?,
        }
        if self.offsets.insert(at.clone(), offset).is_some() {
            self.repeated.push(at);
        }
        Ok(())
    }
}

fn child(parent: &str, segment: &str) -> String {
    let mut pointer = parent.to_owned();
    push_segment(&mut pointer, segment);
    pointer
}

fn is_text(field: &Field, path: &Pointer) -> bool {
    let found = path.segments().try_fold(field, |field, name| field.member(name));
    found.is_some_and(|field| matches!(field.shape, Shape::Scalar { text: true, .. }))
}

/// Whether the path leads to a declared member that its object does not require.
fn is_optional<'a>(mut field: &Field, mut path: impl Iterator<Item = &'a str>) -> bool {
    let Some(mut name) = path.next() else { return false };
    loop {
        let Some(member) = field.members().iter().find(|member| member.name == name) else { return false };
        match path.next() {
            Some(next) => (field, name) = (&member.field, next),
            None => return !member.required,
        }
    }
}
