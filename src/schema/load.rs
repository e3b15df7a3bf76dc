//! Reads the folder of schemas, and finds every mistake in it at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use apache_avro::Schema;

use crate::config::reader::{Document, Section};
use crate::config::report::Report;
use crate::schema::plan::Plan;
use crate::schema::{Catalogue, Entry, Fault, write};

/// Names every schema and its id; below the folder of schemas.
const IDS: &str = "ids.toml";
/// Where the schemas are, below the folder of schemas.
const EVENTS: &str = "events";
/// Longest part of a library's message that is passed on.
const MAX_MESSAGE: usize = 200;
const MAX_FOLDERS: usize = 8;

impl Catalogue {
    /// The schemas of `ids.toml` in `schemas_dir`: `[[schema]]` with `id`, `record`, `file` and, for a former schema of
    /// the record, `is_superseded`.
    ///
    /// # Errors
    /// Every mistake: a file that is missing, is not JSON, is not a schema or has no id; an id, record or file named
    /// twice, former schemas of a record apart; a record whose name is not that of its file.
    pub fn load(schemas_dir: impl AsRef<Path>) -> Result<Self, Report> {
        let dir = schemas_dir.as_ref();
        let document = Document::read(dir.join(IDS))?;
        let report = RefCell::default();
        let root = document.root(&report);

        let mut seen = Seen::default();
        let listed: Vec<_> = root.sections("schema").into_iter().filter_map(|section| seen.listed(section)).collect();
        root.finish();
        let entries = listed.iter().filter_map(|listed| entry(dir, listed, &report)).collect();
        let mut found = Vec::new();
        find_schemas(&dir.join(EVENTS), MAX_FOLDERS, &mut found, &report);
        for file in found {
            if !file.strip_prefix(dir).is_ok_and(|file| seen.files.contains_key(file)) {
                report.borrow_mut().add(&file, 0, 0, format!("has no id: expected it in `{IDS}`"));
            }
        }
        report.into_inner().into_result()?;
        Ok(Self::of(entries))
    }
}

/// One table of `ids.toml`.
struct Listed {
    id: u32,
    record: String,
    file: PathBuf,
    is_superseded: bool,
}

/// What `ids.toml` has named so far, and in which line.
#[derive(Default)]
struct Seen {
    ids: HashMap<u32, usize>,
    records: HashMap<String, usize>,
    files: HashMap<PathBuf, usize>,
}

impl Seen {
    fn listed(&mut self, section: Section<'_>) -> Option<Listed> {
        let (id, record, file) = (section.required("id"), section.required("record"), section.required("file"));
        let (id, record, file): (u32, String, PathBuf) = match (id, record, file) {
            (Some(id), Some(record), Some(file)) => (id, record, file),
            _ => {
                section.finish();
                return None;
            }
        };
        let is_superseded = section.optional("is_superseded").unwrap_or(false);
        let line = section.place(None).1;
        if !file.components().all(|part| matches!(part, Component::Normal(_))) {
            section.error(Some("file"), "`file`: expected a path below the folder of schemas");
        }
        if let Some(first) = self.ids.insert(id, line) {
            section.error(Some("id"), format!("id {id} is taken in line {first}"));
        }
        if !is_superseded && let Some(first) = self.records.insert(record.clone(), line) {
            section.error(Some("record"), format!("record `{record}` has an id in line {first}"));
        }
        if let Some(first) = self.files.insert(file.clone(), line) {
            section.error(Some("file"), format!("file `{}` has an id in line {first}", file.display()));
        }
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let is_named = match is_superseded {
            true => stem.strip_prefix(&record).is_some_and(|version| version.starts_with('.')),
            false => stem == record,
        };
        if !is_named {
            let version = if is_superseded { ".<version>" } else { "" };
            section.error(Some("file"), format!("expected a file called `{record}{version}.avsc`"));
        }
        section.finish();
        Some(Listed { id, record, file, is_superseded })
    }
}

/// Reads one schema; a mistake is reported and gives nothing.
fn entry(dir: &Path, listed: &Listed, report: &RefCell<Report>) -> Option<Entry> {
    let path = dir.join(&listed.file);
    let fail = |line, column, message: String| {
        report.borrow_mut().add(&path, line, column, message);
        None
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return fail(0, 0, format!("cannot be read: {error}")),
    };
    // Read apart from the schema: its errors have a place, those of the schema do not.
    let json: serde_json::Value = match serde_json::from_str(&text) {
        Ok(json) => json,
        Err(error) => return fail(error.line(), error.column(), format!("is not JSON: {error}")),
    };
    let schema = match Schema::parse(&json) {
        Ok(schema) => schema,
        Err(error) => return fail(0, 0, format!("is not an Avro schema: {}", shortened(&error.to_string()))),
    };
    match &schema {
        Schema::Record(record) if record.name.name() == listed.record => {}
        Schema::Record(record) => {
            return fail(0, 0, format!("expected record `{}`, found `{}`", listed.record, record.name.name()));
        }
        _ => return fail(0, 0, "expected a record, found another type".into()),
    }
    let plan = match Plan::compile(&schema).and_then(checked) {
        Ok(plan) => plan,
        Err(fault) => return fail(0, 0, format!("field `{}`: {}", fault.pointer(), fault.problem)),
    };
    Some(Entry {
        id: listed.id,
        record: listed.record.clone(),
        file: listed.file.clone(),
        is_superseded: listed.is_superseded,
        text,
        registered: OnceLock::new(),
        schema,
        plan,
    })
}

/// Sees that every default can be written, so that none is found wrong by the first record that needs it.
fn checked(plan: Plan) -> Result<Plan, Fault> {
    let mut scratch = Vec::new();
    for field in plan.all_fields() {
        if let Some(default) = &field.default {
            scratch.clear();
            write::write_default(&plan, field, default, &mut scratch)?;
        }
    }
    Ok(plan)
}

/// The schema files below `dir`, hidden entries left out: a mounted folder may hold its older versions in them.
fn find_schemas(dir: &Path, folders_left: usize, found: &mut Vec<PathBuf>, report: &RefCell<Report>) {
    let mut entries: Vec<PathBuf> = match std::fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(error) => return report.borrow_mut().add(dir, 0, 0, format!("cannot be read: {error}")),
    };
    entries.sort();
    for path in entries {
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        if path.is_dir() {
            if folders_left > 0 {
                find_schemas(&path, folders_left - 1, found, report);
            }
        } else if path.extension().is_some_and(|extension| extension == "avsc") {
            found.push(path);
        }
    }
}

/// The library repeats whole schemas in its messages.
fn shortened(message: &str) -> String {
    let mut text: String = message.chars().take(MAX_MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.len() < message.len() {
        text.push('…');
    }
    text
}
