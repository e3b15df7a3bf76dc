//! `crossdock check`: every mistake of every file, at once.

use clap::Args;
use serde_json::json;

use crate::cli::{Common, Exit, Failure, Output};
use crate::config::developer;
use crate::config::environment::Environment;
use crate::config::layers::Layers;
use crate::config::report::Report;
use crate::normalize::{AdapterSet, cases};
use crate::schema::Catalogue;

/// Check configuration, mappings, schemas and cases
///
/// Prints every mistake of every file with its place, one a line, and exits with 78 if there are any. Nothing is
/// started and nothing is changed.
#[derive(Debug, Args)]
pub struct Check {}

impl Check {
    pub(super) fn run(&self, common: &Common, environment: Environment, mut out: Output) -> Result<Exit, Failure> {
        let mut report = Report::default();
        let found = look(common, environment, &mut report);
        if let Err(mistakes) = found {
            report.merge(mistakes);
        }
        let findings = report.findings();
        out.print(
            || match findings.len() {
                0 => "no mistakes".to_owned(),
                count => {
                    let lines: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
                    format!("{lines}{count} {}", if count == 1 { "mistake" } else { "mistakes" })
                }
            },
            || {
                let finding = |finding: &&crate::config::report::Finding| {
                    json!({
                        "file": finding.file.display().to_string(),
                        "line": finding.line,
                        "column": finding.column,
                        "message": finding.message,
                    })
                };
                json!({ "mistakes": findings.iter().map(finding).collect::<Vec<_>>() })
            },
        )?;
        Ok(if findings.is_empty() { Exit::Done } else { Exit::BadConfiguration })
    }
}

/// Adds what is wrong to `report`. Goes on behind a mistake wherever the rest can still be judged.
///
/// # Errors
/// What keeps it from going on: the configuration is no TOML, or does not say where the folders are.
fn look(common: &Common, environment: Environment, report: &mut Report) -> Result<(), Report> {
    let mut layers = Layers::open(common.sources(environment, Vec::new()))?;
    let folders = layers.folders()?;
    let loaded = AdapterSet::load_sound(&folders.mappings_dir, &folders.schemas_dir);
    report.merge(loaded.report);
    if let Err(mistakes) = Catalogue::load(&folders.schemas_dir) {
        report.merge(mistakes);
    }
    for adapter in loaded.adapters.iter() {
        if let Err(mistakes) = cases::check(adapter) {
            report.merge(mistakes);
        }
    }
    if layers.is_developer()
        && let Err(mistake) = developer::attach(&mut layers, &folders.data_dir)
    {
        report.add(folders.data_dir.join(developer::FILE), 0, 0, mistake.to_string());
    }
    match layers.settings(&loaded.parameters) {
        Ok(settings) => {
            let file = layers.file();
            for mistake in loaded.adapters.check_bindings(&settings.bindings) {
                report.add(file.unwrap_or("configuration".as_ref()), 0, 0, mistake);
            }
        }
        Err(mistakes) => report.merge(mistakes),
    }
    Ok(())
}
