//! Reads TOML so that every mistake is reported, each with file and line: wrong types, missing keys, unknown keys.
//!
//! A [`Section`] is a table; each key is asked for once, by name and type, and [`Section::finish`] reports those
//! nobody asked for. Values of several layers (defaults, file, environment) are found in the last one that has them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use toml_edit::{Item, TableLike};

use crate::config::report::{Report, line_and_column};
use crate::config::value::{Bounded, found};
pub use crate::config::value::{ByteSize, FromItem};

/// One parsed file, or one assignment from outside any file.
#[derive(Debug)]
pub struct Document {
    file: PathBuf,
    text: String,
    toml: toml_edit::Document<String>,
    /// Whether lines mean anything to the reader of a finding; not in an assignment.
    has_lines: bool,
}

impl Document {
    /// # Errors
    /// The one syntax error TOML stops at, with its place.
    pub fn parse(file: impl AsRef<Path>, text: impl Into<String>) -> Result<Self, Report> {
        let (file, text) = (file.as_ref().to_owned(), text.into());
        match toml_edit::Document::parse(text.clone()) {
            Ok(toml) => Ok(Self { file, text, toml, has_lines: true }),
            Err(error) => {
                let mut report = Report::default();
                let (line, column) = error.span().map_or((0, 0), |span| line_and_column(&text, span.start));
                report.add(&file, line, column, error.message().trim());
                Err(report)
            }
        }
    }

    /// # Errors
    /// The file cannot be read, or [`Document::parse`] fails.
    pub fn read(file: impl AsRef<Path>) -> Result<Self, Report> {
        let file = file.as_ref();
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(file, text),
            Err(error) => {
                let mut report = Report::default();
                report.add(file, 0, 0, format!("cannot be read: {error}"));
                Err(report)
            }
        }
    }

    /// One key set from outside any file: `origin` (a variable, a flag) stands where a file's name would, and no
    /// line is reported. `value` is a TOML value; what does not read as one is text.
    ///
    /// # Errors
    /// The name or value has a character TOML has no way to write.
    pub fn assignment(origin: &str, key: &[String], value: &str) -> Result<Self, Report> {
        let is_toml = value.parse::<toml_edit::Value>().is_ok();
        let value = if is_toml { value.trim().to_owned() } else { quoted(value) };
        let key: Vec<_> = key.iter().map(|part| quoted(part)).collect();
        match toml_edit::Document::parse(format!("{} = {value}", key.join("."))) {
            Ok(toml) => Ok(Self { file: origin.into(), text: String::new(), toml, has_lines: false }),
            Err(_) => {
                let mut report = Report::default();
                report.add(origin, 0, 0, "expected a TOML value or text, found neither");
                Err(report)
            }
        }
    }

    /// As [`Document::assignment`], for a value that is text whatever it looks like.
    ///
    /// # Errors
    /// As [`Document::assignment`].
    pub fn text_assignment(origin: &str, key: &[String], value: &str) -> Result<Self, Report> {
        Self::assignment(origin, key, &quoted(value))
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The top-level table, as it was parsed.
    pub(super) fn table(&self) -> &dyn TableLike {
        self.toml.as_table()
    }

    /// Line and column, both 0 where lines mean nothing.
    fn position(&self, span: Option<Range<usize>>) -> (usize, usize) {
        match span {
            Some(span) if self.has_lines => line_and_column(&self.text, span.start),
            _ => (0, 0),
        }
    }

    /// The top-level table.
    pub fn root<'a>(&'a self, report: &'a RefCell<Report>) -> Section<'a> {
        Section::layered(&[self], report)
    }
}

/// A table being read.
pub struct Section<'a> {
    /// Later layers win.
    layers: Vec<Layer<'a>>,
    /// `door.` for the table `door`, empty for the top level.
    prefix: String,
    asked: RefCell<BTreeSet<String>>,
    report: &'a RefCell<Report>,
}

#[derive(Clone)]
struct Layer<'a> {
    document: &'a Document,
    table: &'a dyn TableLike,
    span: Option<Range<usize>>,
}

impl<'a> Section<'a> {
    /// The top level of several documents; keys of a later one win.
    pub fn layered(documents: &[&'a Document], report: &'a RefCell<Report>) -> Self {
        let layers =
            documents.iter().map(|document| Layer { document, table: document.toml.as_table(), span: None }).collect();
        Self { layers, prefix: String::new(), asked: RefCell::default(), report }
    }

    /// The value of `key`, or `None` if it is absent or wrong (a wrong one is reported).
    pub fn optional<T: FromItem>(&self, key: &str) -> Option<T> {
        let (layer, item) = self.find(key)?;
        let value = T::from_item(item);
        if value.is_none() {
            let message = format!("`{}{key}`: expected {}, found {}", self.prefix, T::EXPECTED, found(item));
            self.report_at(layer, item.span(), message);
        }
        value
    }

    /// The value of `key`; if it is absent that is reported at the table.
    pub fn required<T: FromItem>(&self, key: &str) -> Option<T> {
        if self.find(key).is_none() {
            self.error(None, format!("`{}{key}` is missing: expected {}", self.prefix, T::EXPECTED));
            return None;
        }
        self.optional(key)
    }

    /// The value of `key`, which must lie in `range`; `None` if it is absent or wrong (which is reported).
    pub fn within<T: Bounded>(&self, key: &str, range: RangeInclusive<T>) -> Option<T> {
        let value = self.required(key)?;
        self.bounded(key, value, range)
    }

    /// As [`Section::within`], but absent is not wrong.
    pub fn optional_within<T: Bounded>(&self, key: &str, range: RangeInclusive<T>) -> Option<T> {
        let value = self.optional(key)?;
        self.bounded(key, value, range)
    }

    /// The value of `key`, which must be one of the words of `choices`; `None` if it is absent or wrong (which is
    /// reported).
    pub fn one_of<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let word: String = self.required(key)?;
        let chosen = choices.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let words: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            self.refuse(key, &words.join(" or "), "other text");
        }
        chosen
    }

    /// Reports what stands at `key`.
    pub fn refuse(&self, key: &str, expected: &str, found: &str) {
        self.error(Some(key), format!("`{}{key}`: expected {expected}, found {found}", self.prefix));
    }

    /// The full name of `key`, for a mistake that is about another key.
    pub fn name_of(&self, key: &str) -> String {
        format!("`{}{key}`", self.prefix)
    }

    /// The table `key` in every layer that has it.
    pub fn section(&self, key: &str) -> Option<Section<'a>> {
        self.find(key)?;
        let mut layers = Vec::new();
        for layer in &self.layers {
            let Some(item) = layer.table.get(key) else { continue };
            match item.as_table_like() {
                Some(table) => layers.push(Layer { document: layer.document, table, span: item.span() }),
                None => {
                    let message = format!("`{}{key}`: expected a table, found {}", self.prefix, found(item));
                    self.report_at(layer, item.span(), message);
                }
            }
        }
        let prefix = format!("{}{key}.", self.prefix);
        (!layers.is_empty()).then_some(Section { layers, prefix, asked: RefCell::default(), report: self.report })
    }

    /// The tables of the array of tables `key`, in the order of the file; of the last layer that has it.
    pub fn sections(&self, key: &str) -> Vec<Section<'a>> {
        let Some((layer, item)) = self.find(key) else { return Vec::new() };
        let (document, prefix) = (layer.document, format!("{}{key}.", self.prefix));
        let one = |table: &'a dyn TableLike, span| Section {
            layers: vec![Layer { document, table, span }],
            prefix: prefix.clone(),
            asked: RefCell::default(),
            report: self.report,
        };
        if let Some(tables) = item.as_array_of_tables() {
            return tables.iter().map(|table| one(table, table.span())).collect();
        }
        let inline: Option<Vec<_>> = item
            .as_array()
            .and_then(|array| array.iter().map(|value| Some((value.as_inline_table()?, value.span()))).collect());
        match inline {
            Some(values) => values.into_iter().map(|(table, span)| one(table, span)).collect(),
            _ => {
                let message = format!("`{}{key}`: expected an array of tables, found {}", self.prefix, found(item));
                self.report_at(layer, item.span(), message);
                Vec::new()
            }
        }
    }

    /// Whether any layer has `key`.
    pub fn has(&self, key: &str) -> bool {
        self.layers.iter().any(|layer| layer.table.contains_key(key))
    }

    /// Whether `key` is this text.
    pub fn is(&self, key: &str, text: &str) -> bool {
        self.peek(key).is_some_and(|(_, item)| item.as_str() == Some(text))
    }

    /// The text at `key`, looked at without asking for it: a key nobody asks for is unknown all the same.
    pub fn peek_text(&self, key: &str) -> Option<&'a str> {
        self.peek(key).and_then(|(_, item)| item.as_str())
    }

    /// The keys of all layers, in the order of the files, without repeats.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for layer in &self.layers {
            for (key, _) in layer.table.iter() {
                if !keys.iter().any(|known| known == key) {
                    keys.push(key.to_owned());
                }
            }
        }
        keys
    }

    /// Reports a mistake at `key`, or at the table itself.
    pub fn error(&self, key: Option<&str>, message: impl Into<String>) {
        let at_key = key.and_then(|key| self.peek(key)).map(|(layer, item)| (layer, item.span()));
        if let Some((layer, span)) = at_key.or_else(|| self.layers.last().map(|layer| (layer, layer.span.clone()))) {
            self.report_at(layer, span, message.into());
        }
    }

    /// File and line of `key`, or of the table.
    pub fn place(&self, key: Option<&str>) -> (PathBuf, usize) {
        let at_key = key.and_then(|key| self.peek(key)).map(|(layer, item)| (layer, item.span()));
        match at_key.or_else(|| self.layers.last().map(|layer| (layer, layer.span.clone()))) {
            Some((layer, span)) => (layer.document.file.clone(), layer.document.position(span).0),
            None => (PathBuf::new(), 0),
        }
    }

    /// Reports the keys nobody asked for.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for layer in &self.layers {
            for (key, item) in layer.table.iter() {
                if !asked.contains(key) {
                    let mut known: Vec<&str> = asked.iter().map(String::as_str).collect();
                    known.sort_unstable();
                    let message = format!("unknown key `{}{key}`, expected one of: {}", self.prefix, known.join(", "));
                    let span = layer.table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
                    self.report_at(layer, span, message);
                }
            }
        }
    }

    fn bounded<T: Bounded>(&self, key: &str, value: T, range: RangeInclusive<T>) -> Option<T> {
        if range.contains(&value) {
            return Some(value);
        }
        let (least, most) = (range.start().shown(), range.end().shown());
        self.refuse(key, &format!("{least} to {most}"), &value.shown());
        None
    }

    fn find(&self, key: &str) -> Option<(&Layer<'a>, &'a Item)> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.peek(key)
    }

    fn peek(&self, key: &str) -> Option<(&Layer<'a>, &'a Item)> {
        self.layers.iter().rev().find_map(|layer| Some((layer, layer.table.get(key)?)))
    }

    fn report_at(&self, layer: &Layer<'_>, span: Option<Range<usize>>, message: String) {
        let (line, column) = layer.document.position(span);
        self.report.borrow_mut().add(&layer.document.file, line, column, message);
    }
}

/// A TOML basic string: JSON's escapes are a subset of its own.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let text = "size = \"2MiB\"\nwait = \"soon\"\nspare = 1\n\n[door]\nopen = 1\n";
        let document = Document::parse("a.toml", text).expect("valid TOML");
        let report = RefCell::default();
        let root = document.root(&report);

        assert_eq!(root.optional("size"), Some(ByteSize(2 << 20)));
        assert_eq!(root.optional::<Duration>("wait"), None);
        assert_eq!(root.required::<String>("name"), None);
        let door = root.section("door").expect("the table is there");
        assert_eq!(door.optional::<bool>("open"), None);
        door.finish();
        root.finish();

        let lines: Vec<_> = report.borrow().findings().iter().map(|finding| finding.to_string()).collect();
        assert_eq!(
            lines,
            [
                "a.toml: `name` is missing: expected text",
                "a.toml:2:8: `wait`: expected a duration such as \"500ms\", \"30s\", \"15m\", \"72h\" or \"30d\", \
                 found other text",
                "a.toml:3:1: unknown key `spare`, expected one of: door, name, size, wait",
                "a.toml:6:8: `door.open`: expected true or false, found integer",
            ]
        );
    }

    #[test]
    fn a_later_layer_wins_key_by_key() {
        let base = Document::parse("base.toml", "[door]\na = 1\nb = 2\n").expect("valid TOML");
        let over = Document::parse("over.toml", "[door]\nb = 3\n").expect("valid TOML");
        let report = RefCell::default();
        let root = Section::layered(&[&base, &over], &report);

        let door = root.section("door").expect("the table is there");

        assert_eq!((door.optional::<u32>("a"), door.optional::<u32>("b")), (Some(1), Some(3)));
    }
}
