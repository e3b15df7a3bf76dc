//! `mappings/<adapter>/sample/sample.toml`: which payloads there are, and where each goes.

use std::cell::RefCell;
use std::path::Path;

use serde_json::Value;

use crate::canonical::rejection::Code;
use crate::cli::partner::sample::{Fault, Record, Sample, Template};
use crate::config::reader::{Document, Section};
use crate::config::report::Report;
use crate::normalize::Adapter;

/// In the adapter's folder.
const FOLDER: &str = "sample";
const FILE: &str = "sample.toml";

/// Reads the sample of `adapter`.
///
/// # Errors
/// Every mistake of the file, with its line; an adapter without the file has no sample.
pub(super) fn load(adapter: &Adapter) -> Result<Sample, Report> {
    let folder = adapter.folder().join(FOLDER);
    let document = Document::read(folder.join(FILE))?;
    let report = RefCell::default();
    let root = document.root(&report);
    let created = template(&root, "created", adapter, &folder);
    let updated = template(&root, "updated", adapter, &folder);
    let cancelled = template(&root, "cancelled", adapter, &folder);
    let faults = root.sections("bad").iter().filter_map(fault).collect();
    root.finish();
    report.into_inner().into_result()?;
    match (created, updated, cancelled) {
        (Some(created), Some(updated), Some(cancelled)) => {
            let max_body_bytes = adapter.manifest().body_bytes;
            Ok(Sample { adapter: adapter.manifest().name.clone(), created, updated, cancelled, faults, max_body_bytes })
        }
        // Each that is missing was reported.
        _ => Err(mistake(&folder.join(FILE), "incomplete")),
    }
}

fn template(root: &Section<'_>, name: &str, adapter: &Adapter, folder: &Path) -> Option<Template> {
    let Some(section) = root.section(name) else {
        root.error(None, format!("`{name}` is missing: expected a table with `body` and `route`"));
        return None;
    };
    let body = section.required::<String>("body").and_then(|file| match std::fs::read_to_string(folder.join(&file)) {
        Ok(text) => Some(text),
        Err(cause) => {
            section.error(Some("body"), format!("`{file}` cannot be read: {cause}"));
            None
        }
    });
    let http = section.required::<String>("route").and_then(|route| {
        let http = adapter.manifest().routes.iter().find(|spec| spec.name == route).and_then(|spec| spec.http.clone());
        if http.is_none() {
            section.error(Some("route"), format!("the manifest has no route `{route}` with an HTTP path"));
        }
        http
    });
    let record = section.optional::<String>("topic").and_then(|topic| {
        let key = section.required::<String>("key")?;
        Some(Record { topic, key })
    });
    section.finish();
    Some(Template { body: body?, http: http?, record })
}

fn fault(section: &Section<'_>) -> Option<Fault> {
    let what = section.required::<String>("what");
    let at = section.required::<String>("at");
    if at.as_ref().is_some_and(|at| !at.starts_with('/')) {
        section.error(Some("at"), "`at`: expected a JSON pointer such as `/order_id`");
    }
    let value = section.optional::<String>("value").and_then(|text| match serde_json::from_str::<Value>(&text) {
        Ok(value) => Some(value),
        Err(cause) => {
            section.error(Some("value"), format!("`value`: expected JSON as text: {cause}"));
            None
        }
    });
    let code = section.required::<String>("code").and_then(|name| {
        let code = serde_json::from_value::<Code>(Value::from(name.as_str())).ok();
        if code.is_none() {
            section.error(Some("code"), format!("`code`: expected a class of rejection, found `{name}`"));
        }
        code
    });
    Some(Fault { what: what?, at: at?, value, code: code? })
}

fn mistake(file: &Path, message: &str) -> Report {
    let mut report = Report::default();
    report.add(file, 0, 0, message);
    report
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::normalize::AdapterSet;

    /// The mistakes of `text` as the sample of Pyxis, with the payload files in `payloads`.
    fn mistakes(text: &str, payloads: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let adapter = folder.path().join("pyxis");
        for part in ["tables", "calls", FOLDER] {
            fs::create_dir_all(adapter.join(part)).expect("a folder");
        }
        for part in ["", "tables", "calls"] {
            for entry in fs::read_dir(Path::new("mappings/pyxis").join(part)).expect("a folder") {
                let entry = entry.expect("an entry");
                if entry.path().is_file() {
                    fs::copy(entry.path(), adapter.join(part).join(entry.file_name())).expect("copied");
                }
            }
        }
        for payload in payloads {
            fs::write(adapter.join(FOLDER).join(payload), "{}").expect("written");
        }
        fs::write(adapter.join(FOLDER).join(FILE), text).expect("written");
        let adapters =
            AdapterSet::load(folder.path(), Path::new("schemas")).unwrap_or_else(|report| panic!("{report}"));
        let report = load(adapters.adapter("pyxis").expect("loaded")).expect_err("mistakes");
        let file_name = |finding: &crate::config::report::Finding| {
            finding.to_string().replace(&format!("{}/", adapter.join(FOLDER).display()), "")
        };
        report.findings().into_iter().map(file_name).collect()
    }

    #[test]
    fn every_mistake_of_a_sample_is_reported_with_its_line() {
        let text = "[created]\nbody = \"there.json\"\nroute = \"orders\"\ntopic = \"t\"\n[updated]\nbody = \"gone.json\"\n\
                    route = \"order\"\nfile = 1\n[[bad]]\nwhat = \"w\"\nat = \"channel\"\nvalue = \"{\"\ncode = \"WRONG\"\n";

        let found = mistakes(text, &["there.json"]);

        let expected = [
            "sample.toml: `cancelled` is missing: expected a table with `body` and `route`",
            "sample.toml:1:1: `created.key` is missing: expected text",
            "sample.toml:3:9: the manifest has no route `orders` with an HTTP path",
            "sample.toml:6:8: `gone.json` cannot be read: No such file or directory (os error 2)",
            "sample.toml:8:1: unknown key `updated.file`, expected one of: body, route, topic",
            "sample.toml:11:6: `at`: expected a JSON pointer such as `/order_id`",
            "sample.toml:12:9: `value`: expected JSON as text: EOF while parsing an object at line 1 column 1",
            "sample.toml:13:8: `code`: expected a class of rejection, found `WRONG`",
        ];
        assert_eq!(found, expected);
    }
}
