//! The process environment, taken once and handed in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::config::reader::Document;
use crate::config::report::Report;

/// Variables that set a key begin with this; two underscores part the key's names.
const PREFIX: &str = "CROSSDOCK__";

/// Names and values of environment variables; values may be any bytes.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// One document for each `CROSSDOCK__…` variable, by name: `CROSSDOCK__DOOR__LISTEN` sets `door.listen`.
    pub(super) fn assignments(&self, report: &mut Report) -> Vec<Document> {
        let mut documents = Vec::new();
        for (name, value) in &self.0 {
            let name = name.to_string_lossy();
            let Some(path) = name.strip_prefix(PREFIX) else { continue };
            let key: Vec<_> = path.split("__").map(str::to_ascii_lowercase).collect();
            let read = match value.to_str() {
                Some(value) => Document::assignment(&name, &key, value),
                None => {
                    report.add(name.as_ref(), 0, 0, "expected UTF-8, found other bytes");
                    continue;
                }
            };
            match read {
                Ok(document) => documents.push(document),
                Err(wrong) => report.merge(wrong),
            }
        }
        documents
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
