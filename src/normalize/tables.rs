//! Code tables: what a partner's code means, from `mappings/<adapter>/tables/<name>.toml`.
//!
//! A row is exact (`INSTALL_KITCHEN`) or a prefix (`INSTALL_*`, which needs at least one character after it). Exact
//! wins over prefix, a longer prefix over a shorter one, and a binding's own rows over the adapter's of equal length.

mod domain;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use vrl::value::kind::Collection;
use vrl::value::{KeyString, Kind, ObjectMap, Value};

use crate::config::reader::{Document, Section};
use crate::config::report::Report;
use crate::normalize::functions::as_text;
use domain::Domain;

/// Rows a binding adds: code to columns.
pub type Rows = BTreeMap<String, BTreeMap<String, String>>;

/// The tables of an adapter, by name.
#[derive(Debug, Default)]
pub struct Tables(BTreeMap<String, Arc<Table>>);

#[derive(Debug)]
pub struct Table {
    name: String,
    columns: Columns,
    extended_by: Option<String>,
    exact: HashMap<String, Value>,
    /// Longest first.
    prefixes: Vec<(String, Value)>,
}

#[derive(Debug)]
enum Columns {
    /// A row is one value.
    One(Domain),
    /// A row is an object.
    Named(Vec<(KeyString, Domain)>),
}

impl Tables {
    /// Reads every `*.toml` of `folder`; a folder that is not there holds no tables. Mistakes go to `report`.
    pub fn load(folder: &Path, report: &mut Report) -> Self {
        let mut tables = BTreeMap::new();
        let Ok(entries) = std::fs::read_dir(folder) else { return Self::default() };
        let files = entries.flatten().map(|entry| entry.path());
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "toml")) {
            let Some(name) = file.file_stem().and_then(|stem| stem.to_str()) else { continue };
            match Table::load(name, &file) {
                Ok(table) => {
                    tables.insert(name.to_owned(), Arc::new(table));
                }
                Err(mistakes) => report.merge(mistakes),
            }
        }
        Self(tables)
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Table>> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.0.values()
    }

    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

impl FromIterator<Table> for Tables {
    fn from_iter<T: IntoIterator<Item = Table>>(tables: T) -> Self {
        Self(tables.into_iter().map(|table| (table.name.clone(), Arc::new(table))).collect())
    }
}

impl Table {
    fn load(name: &str, file: &Path) -> Result<Self, Report> {
        Self::read(name, &Document::read(file)?)
    }

    /// # Errors
    /// Every mistake of the file: unknown column types, rows that lack a column or hold a value outside its type.
    pub fn read(name: &str, document: &Document) -> Result<Self, Report> {
        let report = RefCell::default();
        let root = document.root(&report);
        let mut table = Self {
            name: name.to_owned(),
            columns: read_columns(&root),
            extended_by: root.optional("extended_by"),
            exact: HashMap::new(),
            prefixes: Vec::new(),
        };
        match root.section("rows") {
            Some(rows) => table.read_rows(&rows),
            None => root.error(None, "`rows` is missing: expected a table of codes"),
        }
        root.finish();
        report.into_inner().into_result().map(|()| table)
    }

    fn read_rows(&mut self, rows: &Section<'_>) {
        for code in rows.keys() {
            let row = match &self.columns {
                Columns::One(domain) => domain.read(rows, &code),
                Columns::Named(columns) => rows.section(&code).and_then(|row| {
                    let cells =
                        columns.iter().map(|(column, domain)| Some((column.clone(), domain.read(&row, column)?)));
                    let object = cells.collect::<Option<ObjectMap>>().map(Value::Object);
                    row.finish();
                    object
                }),
            };
            let Some(row) = row else { continue };
            match code.strip_suffix('*') {
                Some("") => rows.error(Some(&code), "a row `*` would match every code: expected a prefix before `*`"),
                Some(prefix) => self.prefixes.push((prefix.to_owned(), row)),
                None => {
                    self.exact.insert(code, row);
                }
            }
        }
        self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The binding parameter whose rows extend this table.
    pub fn extended_by(&self) -> Option<&str> {
        self.extended_by.as_deref()
    }

    /// The row of `code`, from the adapter's rows and those `added` by the binding.
    pub fn find(&self, code: &str, added: Option<&Rows>) -> Option<Value> {
        if let Some(added) = added.filter(|added| !added.is_empty()) {
            return self.find_extended(code, added);
        }
        self.exact.get(code).or_else(|| self.longest_prefix(code).map(|(_, row)| row)).cloned()
    }

    fn find_extended(&self, code: &str, added: &Rows) -> Option<Value> {
        if let Some(row) = added.get(code).filter(|_| !code.ends_with('*')) {
            return self.row(row).ok();
        }
        if let Some(row) = self.exact.get(code) {
            return Some(row.clone());
        }
        let own = self.longest_prefix(code);
        let adds = added.iter().filter_map(|(key, row)| Some((key.strip_suffix('*')?, row)));
        let adds = adds.filter(|(prefix, _)| is_prefix(prefix, code)).max_by_key(|(prefix, _)| prefix.len());
        match (own, adds) {
            (own, Some((prefix, row))) if own.is_none_or(|(own, _)| own.len() <= prefix.len()) => self.row(row).ok(),
            (own, _) => own.map(|(_, row)| row.clone()),
        }
    }

    fn longest_prefix(&self, code: &str) -> Option<(&str, &Value)> {
        let mut prefixes = self.prefixes.iter().map(|(prefix, row)| (prefix.as_str(), row));
        prefixes.find(|(prefix, _)| is_prefix(prefix, code))
    }

    /// What a row looks like to a mapping.
    pub fn kind(&self) -> Kind {
        match &self.columns {
            Columns::One(domain) => domain.kind(),
            Columns::Named(columns) => {
                let known = columns.iter().map(|(name, domain)| (name.as_str().into(), domain.kind()));
                Kind::object(Collection::from(known.collect::<BTreeMap<_, _>>()))
            }
        }
    }

    /// A row that stands for a code without one: of the right type, meaning nothing.
    pub fn placeholder(&self) -> Value {
        match &self.columns {
            Columns::One(domain) => domain.placeholder(),
            Columns::Named(columns) => {
                columns.iter().map(|(name, domain)| (name.clone(), domain.placeholder())).collect()
            }
        }
    }

    /// Whether a row of this table could be `value`.
    pub fn holds(&self, value: &Value) -> bool {
        match (&self.columns, as_text(value)) {
            (Columns::One(domain), Some(text)) => domain.parse(text).as_ref() == Some(value),
            _ => false,
        }
    }

    /// What is wrong with the rows a binding adds; empty if nothing is.
    pub fn check(&self, added: &Rows) -> Vec<String> {
        let mistakes = added.iter().filter_map(|(code, row)| Some((code, self.row(row).err()?)));
        mistakes.map(|(code, mistake)| format!("row `{code}`: {mistake}")).collect()
    }

    /// A row a binding gives as text; the column of a table with one value is `value`.
    fn row(&self, cells: &BTreeMap<String, String>) -> Result<Value, String> {
        let cell = |column: &str, domain: &Domain| {
            let text =
                cells.get(column).ok_or_else(|| format!("`{column}` is missing: expected {}", domain.expected()))?;
            domain.parse(text).ok_or_else(|| format!("`{column}`: expected {}", domain.expected()))
        };
        let known: Vec<&str> = match &self.columns {
            Columns::One(_) => vec!["value"],
            Columns::Named(columns) => columns.iter().map(|(name, _)| name.as_str()).collect(),
        };
        if let Some(unknown) = cells.keys().find(|column| !known.contains(&column.as_str())) {
            return Err(format!("unknown column `{unknown}`, expected one of: {}", known.join(", ")));
        }
        match &self.columns {
            Columns::One(domain) => cell("value", domain),
            Columns::Named(columns) => {
                let cells = columns.iter().map(|(name, domain)| Ok((name.clone(), cell(name, domain)?)));
                cells.collect::<Result<ObjectMap, String>>().map(Value::Object)
            }
        }
    }
}

// Without `columns` a row is one value, of the type `values` names.
fn read_columns(root: &Section<'_>) -> Columns {
    let read = |section: &Section<'_>, key: &str| -> Option<Domain> {
        let domain = Domain::from_name(&section.optional::<String>(key)?);
        if domain.is_none() {
            section.error(Some(key), format!("`{key}`: expected one of: {}", Domain::NAMES));
        }
        domain
    };
    let Some(columns) = root.section("columns") else {
        return Columns::One(read(root, "values").unwrap_or(Domain::Text));
    };
    let named = columns.keys().into_iter().filter_map(|name| Some((name.as_str().into(), read(&columns, &name)?)));
    Columns::Named(named.collect())
}

fn is_prefix(prefix: &str, code: &str) -> bool {
    code.len() > prefix.len() && code.starts_with(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<Table, Report> {
        Table::read("services", &Document::parse("services.toml", text).expect("valid TOML"))
    }

    const SERVICES: &str = "extended_by = \"service_codes\"\n[columns]\nminutes = \"integer\"\n[rows]\n\
        \"INSTALL_*\" = { minutes = 2 }\n\"INSTALL_BIG_*\" = { minutes = 3 }\nINSTALL_KITCHEN = { minutes = 1 }\n";

    fn minutes(row: Option<Value>) -> Option<i64> {
        row?.as_object()?.get("minutes")?.as_integer()
    }

    #[test]
    fn exact_wins_over_prefix_and_the_longest_prefix_wins() {
        let table = table(SERVICES).expect("a correct table");

        for (code, expected) in [
            ("INSTALL_KITCHEN", Some(1)),
            ("INSTALL_KITCHENS", Some(2)),
            ("INSTALL_BIG_", Some(2)), // nothing follows the longer prefix
            ("INSTALL_BIG_ONE", Some(3)),
            ("INSTALL_", None),
            ("INSTALL", None),
            ("install_kitchen", None),
            ("INSTALL_*", Some(2)),
            ("", None),
        ] {
            assert_eq!(minutes(table.find(code, None)), expected, "{code}");
        }
    }

    #[test]
    fn a_bindings_rows_extend_the_table() {
        let table = table(SERVICES).expect("a correct table");
        let row = |minutes: &str| BTreeMap::from([("minutes".to_owned(), minutes.to_owned())]);
        let added = Rows::from([
            ("INSTALL_KITCHEN".into(), row("10")),
            ("INSTALL_*".into(), row("20")),
            ("POOL_*".into(), row("30")),
        ]);

        for (code, expected) in [
            ("INSTALL_KITCHEN", Some(10)),
            ("INSTALL_SHED", Some(20)),
            ("INSTALL_BIG_ONE", Some(3)),
            ("POOL_LINER", Some(30)),
            ("POOL_", None),
        ] {
            assert_eq!(minutes(table.find(code, Some(&added))), expected, "{code}");
        }
        assert_eq!(
            table.check(&Rows::from([("A".into(), row("soon")), ("B".into(), BTreeMap::new())])),
            ["row `A`: `minutes`: expected a number from 0", "row `B`: `minutes` is missing: expected a number from 0"]
        );
    }

    #[test]
    fn every_mistake_of_a_table_is_reported_with_its_line() {
        let text = "[columns]\nkind = \"service_type\"\nsize = \"long\"\n[rows]\nA = { kind = \"fitting\" }\n\
            B = { kind = \"repair\", color = \"red\" }\n\"*\" = { kind = \"repair\" }\n";

        let report = table(text).expect_err("a table with mistakes");

        let lines: Vec<_> = report.findings().iter().map(|finding| (finding.line, finding.message.clone())).collect();
        assert_eq!(lines.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5, 6, 7], "{lines:?}");
    }
}
