//! The cases of an adapter: what it must make of given payloads, as data beside its mappings.
//!
//! `cases/<name>/case.toml` names the route; `input.json` is the payload, byte for byte, and `expected.json` what `map`
//! prints for it. A case with `base` starts from another one: `input.patch.json` and `expected.patch.json` (RFC 6902)
//! say what is different, so that a case shows its point and nothing else. The input of a route that only records reach
//! is the record as JSON. A case of native JSON is run for each topic that maps it the same way, too.

mod patch;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::config::binding::{Binding, Parameter, ParameterKind};
use crate::config::reader::{Document, Section};
use crate::config::report::Report;
use crate::normalize::adapter::Adapter;
use crate::normalize::call::{self, preview::Facts};
use crate::normalize::preview::preview_all;
use crate::normalize::sample::{self, Sample};
use crate::normalize::webhook::{Message, Messages};
use crate::verify::Context;

/// The folder of cases in an adapter's folder.
pub const FOLDER: &str = "cases";
/// The binding the cases are mapped for.
const BINDING: &str = "binding.toml";
/// When the payloads of the cases are received: 2026-03-04T08:15:31.210Z.
const RECEIVED_AT: i64 = 1_772_612_131_210;
/// Differences named for one case.
const MAX_DIFFERENCES: usize = 5;

/// Runs every case of `adapter`. An adapter without the folder has none.
///
/// # Errors
/// Each case that cannot be read, or whose result is not the expected one, with the places where they differ.
pub fn check(adapter: &Adapter) -> Result<(), Report> {
    let mut report = Report::default();
    for name in names(adapter) {
        if let Err(mistakes) = check_one(adapter, &name) {
            report.merge(mistakes);
        }
    }
    report.into_result()
}

/// The names of the cases, in alphabetical order.
pub fn names(adapter: &Adapter) -> Vec<String> {
    let Ok(entries) = fs::read_dir(adapter.folder().join(FOLDER)) else { return Vec::new() };
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The binding the cases are mapped for.
///
/// # Errors
/// `binding.toml` is missing or incomplete.
pub fn binding(adapter: &Adapter) -> Result<Binding, Report> {
    let report = RefCell::default();
    let file = adapter.folder().join(FOLDER).join(BINDING);
    let document = Document::read(&file)?;
    let binding = read_binding(adapter, &document.root(&report), None);
    report.into_inner().into_result()?;
    binding.ok_or_else(|| mistake(&file, "expected a complete binding"))
}

/// Runs the case `name`.
///
/// # Errors
/// As [`check`].
pub fn check_one(adapter: &Adapter, name: &str) -> Result<(), Report> {
    let case = Case::read(adapter, name)?;
    let file = case.folder.join("case.toml");
    if let Some(found) =
        call::preview::preview(adapter, &case.route, &Arc::new(case.binding.clone()), &case.input, case.facts)
    {
        let found = found.map_err(|error| mistake(&file, error.to_string()))?;
        return match differences(&case.expected, &found) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(different(&case.folder, name, None, &differences)),
        };
    }
    let sample = Sample { input: case.input, binding: Arc::new(case.binding), context: case.context };
    let refused = |error: sample::Error| mistake(&file, error.to_string());
    let natively = adapter.route(&case.route).map(|route| sample.normalize_natively(adapter, route));
    let natively = natively.transpose().map_err(refused)?.unwrap_or_default();
    let mut mapped: Vec<_> = natively.into_iter().map(|draft| Messages::One(Message::Draft(Box::new(draft)))).collect();
    let messages = sample.map(adapter, &case.route).ok_or_else(|| {
        let routes = adapter.route_names().join(", ");
        mistake(&file, format!("`route`: no route `{}`, expected one of: {routes}", case.route))
    })?;
    mapped.push(messages.map_err(refused)?);
    let mut expected = case.expected;
    leave_out_of_all(&mut expected, case.is_patched);
    for messages in &mapped {
        let mut found = preview_all(messages, 0);
        leave_out_of_all(&mut found, case.is_patched);
        let differences = differences(&expected, &found);
        if !differences.is_empty() {
            return Err(different(&case.folder, name, Some(messages), &differences));
        }
    }
    Ok(())
}

/// The same for a document and, of a batch, for each of its items.
fn leave_out_of_all(document: &mut Value, is_patched: bool) {
    leave_out(document, is_patched);
    let items = document.get_mut("items").and_then(Value::as_array_mut);
    items.into_iter().flatten().for_each(|item| leave_out(item, is_patched));
}

/// `messages`: what was made of the input; `None`: it is no delivery.
fn different(folder: &Path, name: &str, messages: Option<&Messages>, differences: &[String]) -> Report {
    let from = match messages {
        Some(Messages::One(Message::Draft(draft))) => format!(", received from `{}`", draft.head.received_from),
        Some(_) => ", received from `http`".to_owned(),
        None => String::new(),
    };
    let shown = differences.iter().take(MAX_DIFFERENCES).cloned().collect::<Vec<_>>().join("; ");
    let rest = differences.len().saturating_sub(MAX_DIFFERENCES);
    let rest = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    mistake(folder, format!("case `{name}`{from}: {shown}{rest}"))
}

struct Case {
    folder: PathBuf,
    route: String,
    input: Bytes,
    expected: Value,
    /// Made from a base: what depends on the exact bytes is not compared.
    is_patched: bool,
    binding: Binding,
    context: Context,
    /// Of the order of an event that is told.
    facts: Facts,
}

impl Case {
    fn read(adapter: &Adapter, name: &str) -> Result<Self, Report> {
        let cases = adapter.folder().join(FOLDER);
        let folder = cases.join(name);
        let report = RefCell::default();
        let document = Document::read(folder.join("case.toml"))?;
        let defaults = Document::read(cases.join(BINDING))?;
        let root = document.root(&report);
        let route = root.required::<String>("route");
        let base = root.optional::<String>("base");
        let texts = |key| -> Vec<(String, String)> {
            let Some(section) = root.section(key) else { return Vec::new() };
            section.keys().into_iter().filter_map(|name| Some((name.clone(), section.required(&name)?))).collect()
        };
        let (path, headers) = (texts("path"), texts("headers"));
        let facts = root.section("order").map(|order| {
            let facts = Facts {
                topic: order.optional("topic"),
                country_code: order.optional("country_code"),
                cancelled_by_source: order.optional("cancelled_by_source").unwrap_or(false),
            };
            order.finish();
            facts
        });
        let own = root.section("binding");
        let binding = read_binding(adapter, &defaults.root(&report), own.as_ref());
        root.finish();
        report.into_inner().into_result()?;
        let (Some(route), Some(binding)) = (route, binding) else {
            return Err(mistake(&folder.join("case.toml"), "expected a route and a complete binding"));
        };
        let base = base.map(|base| cases.join(base));
        let is_patched = base.is_some();
        let input = match base.as_deref() {
            Some(base) => Bytes::from(patched(base, &folder, "input")?.to_string()),
            None => Bytes::from(read(&folder.join("input.json"))?),
        };
        let expected = match base.as_deref() {
            Some(base) if !folder.join("expected.json").is_file() => patched(base, &folder, "expected")?,
            _ => parse(&folder.join("expected.json"))?,
        };
        let context = Context { received_at: RECEIVED_AT, path, headers, ..Context::default() };
        Ok(Self { folder, route, input, expected, is_patched, binding, context, facts: facts.unwrap_or_default() })
    }
}

// A parameter of the case itself stands in place of the one all cases share.
fn read_binding(adapter: &Adapter, shared: &Section<'_>, own: Option<&Section<'_>>) -> Option<Binding> {
    let list = |key: &str| match own.filter(|own| own.has(key)) {
        Some(own) => own.required::<Vec<String>>(key),
        None => shared.optional::<Vec<String>>(key),
    };
    let mut parameters = std::collections::BTreeMap::new();
    for (name, spec) in &adapter.manifest().parameters {
        let parameter = match spec.kind {
            ParameterKind::List => list(name).map(Parameter::List),
            ParameterKind::Text | ParameterKind::Url => shared.optional(name).map(Parameter::Text),
            ParameterKind::Table => {
                let section = own.and_then(|own| own.section(name)).or_else(|| shared.section(name));
                section.map(|rows| Parameter::Table(read_rows(&rows)))
            }
            // No mapping reads a secret.
            ParameterKind::Secrets => None,
        };
        parameters.extend(parameter.map(|parameter| (name.clone(), parameter)));
    }
    Some(Binding {
        name: shared.required("name")?,
        adapter: adapter.manifest().name.clone(),
        tenant_id: shared.required("tenant_id")?,
        countries: list("countries")?,
        source_id: shared.optional("source_id"),
        parameters,
        ..Binding::default()
    })
}

fn read_rows(rows: &Section<'_>) -> crate::normalize::tables::Rows {
    let row = |code: &String| {
        let row = rows.section(code)?;
        let cells = row.keys().into_iter().filter_map(|column| Some((column.clone(), row.required(&column)?)));
        Some((code.clone(), cells.collect()))
    };
    rows.keys().iter().filter_map(row).collect()
}

/// `<base>/<kind>.json` changed by `<folder>/<kind>.patch.json`, if that is there.
fn patched(base: &Path, folder: &Path, kind: &str) -> Result<Value, Report> {
    let mut document = parse(&base.join(format!("{kind}.json")))?;
    let file = folder.join(format!("{kind}.patch.json"));
    if file.is_file() {
        patch::apply(&mut document, &parse(&file)?).map_err(|message| mistake(&file, message))?;
    }
    Ok(document)
}

fn read(file: &Path) -> Result<Vec<u8>, Report> {
    fs::read(file).map_err(|error| mistake(file, format!("cannot be read: {error}")))
}

fn parse(file: &Path) -> Result<Value, Report> {
    serde_json::from_slice(&read(file)?).map_err(|error| {
        let mut report = Report::default();
        report.add(file, error.line(), error.column(), format!("is not JSON: {error}"));
        report
    })
}

fn mistake(file: &Path, message: impl Into<String>) -> Report {
    let mut report = Report::default();
    report.add(file, 0, 0, message);
    report
}

// The time of publication is that of the run; the version is the manifest's, and a new one is no reason to touch every
// case; the digest of a patched payload is that of our way to write JSON.
fn leave_out(document: &mut Value, is_patched: bool) {
    // `map` adds it; it follows from the rest.
    if let Some(members) = document.as_object_mut() {
        members.shift_remove("digest");
    }
    let events = document.get_mut("events").and_then(Value::as_array_mut);
    for value in events.into_iter().flatten().filter_map(|event| event.get_mut("value")?.as_object_mut()) {
        value.shift_remove("event_timestamp");
        value.shift_remove("transformation_version");
    }
    if is_patched && let Some(canonical) = document.get_mut("canonical").and_then(Value::as_object_mut) {
        canonical.shift_remove("raw_sha256");
    }
}

fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare("", expected, found, &mut differences);
    differences
}

/// Collects the places where `found` is not what was `expected`.
fn compare(path: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (name, expected) in expected {
                compare(&format!("{path}/{name}"), expected, found.get(name).unwrap_or(&Value::Null), differences);
            }
            for (name, found) in found.iter().filter(|(name, _)| !expected.contains_key(*name)) {
                differences.push(format!("at `{path}/{name}`: expected nothing, found {found}"));
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{path}/{index}"), expected, found, differences);
            }
        }
        _ if expected == found => {}
        _ => differences.push(format!("at `{path}`: expected {expected}, found {found}")),
    }
}
