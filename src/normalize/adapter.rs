//! The adapters of a folder: all of them loaded together, or every mistake of every one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vrl::value::Kind;

use crate::config::binding::{Binding, Parameter, ParameterKind, ParameterSpec};
use crate::config::report::Report;
use crate::normalize::functions::Known;
use crate::normalize::manifest::{FILE, Manifest, Pointer, RouteSpec, Target};
use crate::normalize::program::Program;
use crate::normalize::route::Route;
use crate::normalize::shape;
use crate::normalize::tables::Tables;
use crate::normalize::validate::Validator;

/// Every adapter, by name.
#[derive(Debug, Default)]
pub struct AdapterSet {
    adapters: BTreeMap<String, Arc<Adapter>>,
}

/// One partner system.
#[derive(Debug)]
pub struct Adapter {
    manifest: Arc<Manifest>,
    folder: PathBuf,
    tables: Arc<Tables>,
    routes: Vec<Arc<Route>>,
}

/// What loading a folder of adapters gives.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Those without a mistake.
    pub adapters: AdapterSet,
    /// What bindings must or may say, also of adapters with mistakes.
    pub parameters: BTreeMap<String, BTreeMap<String, ParameterSpec>>,
    pub report: Report,
}

impl AdapterSet {
    /// Loads each folder of `mappings` that holds an `adapter.toml`, with the schemas it names under `schemas`.
    ///
    /// # Errors
    /// Every mistake of every adapter: manifests, tables, schemas, mappings, each with its file and line.
    pub fn load(mappings: &Path, schemas: &Path) -> Result<Self, Report> {
        let Loaded { adapters, report, .. } = Self::load_sound(mappings, schemas);
        report.into_result().map(|()| adapters)
    }

    /// As [`Self::load`], but gives the adapters without a mistake also when others have some: for `check`, which goes
    /// on to look at what builds on them.
    pub fn load_sound(mappings: &Path, schemas: &Path) -> Loaded {
        let mut loaded = Loaded::default();
        for folder in adapter_folders(mappings, &mut loaded.report) {
            match Adapter::load(&folder, schemas) {
                Ok(adapter) => {
                    let name = adapter.manifest.name.clone();
                    loaded.parameters.insert(name.clone(), adapter.manifest.parameters.clone());
                    loaded.adapters.adapters.insert(name, Arc::new(adapter));
                }
                Err(mistakes) => {
                    loaded.report.merge(mistakes);
                    // Its bindings can be judged all the same if its manifest can be read.
                    if let (Some(manifest), _) = Manifest::load_sound(&folder) {
                        loaded.parameters.insert(manifest.name, manifest.parameters);
                    }
                }
            }
        }
        loaded
    }

    pub fn adapter(&self, name: &str) -> Option<&Arc<Adapter>> {
        self.adapters.get(name)
    }

    /// What is wrong with `bindings` that their types do not tell, each with the binding's name.
    pub fn check_bindings<'a>(&'a self, bindings: &'a [Binding]) -> impl Iterator<Item = String> + 'a {
        bindings.iter().filter_map(|binding| Some((self.adapter(&binding.adapter)?, binding))).flat_map(
            |(adapter, binding)| {
                let name = &binding.name;
                adapter.check_binding(binding).into_iter().map(move |mistake| format!("binding `{name}`: {mistake}"))
            },
        )
    }

    /// By name, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Adapter>> {
        self.adapters.values()
    }

    /// What the bindings of each adapter must or may say.
    pub fn parameters(&self) -> BTreeMap<String, BTreeMap<String, ParameterSpec>> {
        let parameters = |adapter: &Arc<Adapter>| adapter.manifest.parameters.clone();
        self.adapters.iter().map(|(name, adapter)| (name.clone(), parameters(adapter))).collect()
    }
}

impl Adapter {
    /// Loads the adapter in `folder`.
    ///
    /// # Errors
    /// Every mistake of its files.
    pub fn load(folder: &Path, schemas: &Path) -> Result<Self, Report> {
        let (manifest, mut report) = Manifest::load_sound(folder);
        let Some(manifest) = manifest.map(Arc::new) else { return Err(report) };
        let file = folder.join(FILE);
        if folder.file_name().is_none_or(|name| name != manifest.name.as_str()) {
            let message = format!("`name`: expected that of the folder, found `{}`", manifest.name);
            report.add(&file, 0, 0, message);
        }
        let tables = Arc::new(Tables::load(&folder.join("tables"), &mut report));
        check_tables(&tables, &manifest, folder, &mut report);
        let lists = manifest.parameters.iter().filter(|(_, spec)| spec.kind == ParameterKind::List);
        let lists = lists.map(|(name, _)| name.clone()).collect();
        let known = Known { tables: Arc::clone(&tables), lists: Arc::new(lists) };
        let mut loading = Loading { folder, schemas, known, manifest: &manifest, done: Done::default(), report };
        let routes = manifest.routes.iter().filter_map(|spec| loading.route(spec)).map(Arc::new).collect();
        loading.report.into_result().map(|()| Self { manifest, folder: folder.to_owned(), tables, routes })
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    pub fn route(&self, name: &str) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.name() == name)
    }

    /// What is wrong with the parameters of `binding` that their types do not tell: rows added to a table that the
    /// table cannot hold. Empty if nothing is.
    pub fn check_binding(&self, binding: &Binding) -> Vec<String> {
        let mut mistakes = Vec::new();
        for table in self.tables.iter() {
            let Some(parameter) = table.extended_by() else { continue };
            if let Some(Parameter::Table(rows)) = binding.parameters.get(parameter) {
                mistakes.extend(table.check(rows).into_iter().map(|mistake| format!("`{parameter}`: {mistake}")));
            }
        }
        mistakes
    }
}

/// Loads the routes of one adapter; a schema or a mapping that several routes share is loaded once.
struct Loading<'a> {
    folder: &'a Path,
    schemas: &'a Path,
    known: Known,
    manifest: &'a Arc<Manifest>,
    done: Done,
    report: Report,
}

#[derive(Default)]
struct Done {
    /// `None`: it has mistakes, already reported.
    validators: BTreeMap<String, Option<Arc<Validator>>>,
    programs: BTreeMap<(String, String, bool), Option<Arc<Program>>>,
}

impl Loading<'_> {
    fn route(&mut self, spec: &RouteSpec) -> Option<Route> {
        let Some(validator) = self.validator(&spec.schema) else {
            // The mistakes of the mapping are worth knowing as well.
            if let Some(kind) = Validator::declared_kind(self.schemas.join(&spec.schema)) {
                self.check_pointers(spec, &kind);
                self.program(spec, &kind);
            }
            return None;
        };
        self.check_pointers(spec, validator.schema_kind());
        let program = self.program(spec, validator.schema_kind())?;
        Some(Route::new(Arc::clone(self.manifest), spec.clone(), validator, program))
    }

    fn validator(&mut self, schema: &str) -> Option<Arc<Validator>> {
        if let Some(done) = self.done.validators.get(schema) {
            return done.clone();
        }
        let validator = match Validator::load(self.schemas.join(schema)) {
            Ok(validator) => Some(Arc::new(validator)),
            Err(mistakes) => {
                self.report.merge(mistakes);
                None
            }
        };
        self.done.validators.insert(schema.to_owned(), validator.clone());
        validator
    }

    fn program(&mut self, spec: &RouteSpec, kind: &Kind) -> Option<Arc<Program>> {
        let cancels = spec.target == Target::OrderCancelled;
        let key = (spec.program.clone(), spec.schema.clone(), cancels);
        if let Some(done) = self.done.programs.get(&key) {
            return done.clone();
        }
        let shape = if cancels { shape::CANCELLATION } else { shape::ORDER };
        let file = self.folder.join(&spec.program);
        let program = match Program::load(&file, kind, &shape, &self.known) {
            Ok(program) => Some(Arc::new(program)),
            Err(mistakes) => {
                self.report.merge(mistakes);
                None
            }
        };
        self.done.programs.insert(key, program.clone());
        program
    }

    fn check_pointers(&mut self, spec: &RouteSpec, kind: &Kind) {
        let pointers = [&spec.id].into_iter().chain(&spec.revision).chain(&spec.lines).chain(&spec.requires);
        for Pointer { text, path } in pointers {
            if kind.at_path(path).is_undefined() {
                let message = format!("route `{}`: no field `{text}` in the schema `{}`", spec.name, spec.schema);
                self.report.add(self.folder.join(FILE), spec.line, 0, message);
            }
        }
    }
}

fn check_tables(tables: &Tables, manifest: &Manifest, folder: &Path, report: &mut Report) {
    for table in tables.iter() {
        let Some(parameter) = table.extended_by() else { continue };
        if manifest.parameters.get(parameter).is_none_or(|spec| spec.kind != ParameterKind::Table) {
            let file = folder.join("tables").join(format!("{}.toml", table.name()));
            report.add(file, 0, 0, format!("`extended_by`: no binding parameter `{parameter}` of type table"));
        }
    }
}

fn adapter_folders(mappings: &Path, report: &mut Report) -> Vec<PathBuf> {
    match std::fs::read_dir(mappings) {
        Ok(entries) => {
            let folders = entries.flatten().map(|entry| entry.path()).filter(|folder| folder.join(FILE).is_file());
            let mut folders: Vec<PathBuf> = folders.collect();
            folders.sort();
            folders
        }
        Err(error) => {
            report.add(mappings, 0, 0, format!("the folder of mappings cannot be read: {error}"));
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::normalize::tests::{adapters, binding};

    const MANIFEST: &str = "name = \"acme\"\nversion = \"1.0.0\"\nsource_system = \"CUSTOM\"\n\
        source_key = \"custom.acme\"\n[limits]\nbody_bytes = 1000\n[[route]]\nname = \"order\"\n\
        target = \"order_cancelled\"\nprogram = \"cancellation.vrl\"\nschema = \"acme/cancellation.schema.json\"\n\
        id = \"/ordre\"\nrevision = [\"/at\"]\n";
    const SCHEMA: &str = r#"{"type": "object", "required": ["order", "at", "why"], "properties":
        {"order": {"type": "string"}, "at": {"type": "string"}, "why": {"type": "string"}}}"#;

    #[test]
    fn the_mistakes_of_all_files_of_all_adapters_are_reported_together() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, text: &str| {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().expect("files are in folders")).expect("a folder");
            fs::write(file, text).expect("a file");
        };
        write("mappings/acme/adapter.toml", MANIFEST);
        write("mappings/acme/cancellation.vrl", "{ \"external_order_id\": order_id(.order),\n\"reason_code\": .wyh }");
        write("mappings/acme/tables/reasons.toml", "extended_by = \"more\"\n[rows]\nA = \"B\"\n");
        write("mappings/broken/adapter.toml", "name = 1\n");
        write("schemas/acme/cancellation.schema.json", SCHEMA);

        let report = AdapterSet::load(&folder.path().join("mappings"), &folder.path().join("schemas"))
            .expect_err("adapters with mistakes");

        let text = report.to_string();
        for expected in [
            "acme/adapter.toml:7: route `order`: no field `/ordre` in the schema `acme/cancellation.schema.json`",
            "acme/cancellation.vrl:2:16: no field `wyh` in the schema, did you mean `why`?",
            "acme/tables/reasons.toml: `extended_by`: no binding parameter `more` of type table",
            "broken/adapter.toml:1:8: `name`: expected text, found integer",
            "broken/adapter.toml: `version` is missing: expected text",
        ] {
            assert!(text.contains(expected), "expected {expected}\nfound {text}");
        }
    }

    #[test]
    fn rows_a_table_cannot_hold_are_a_mistake_of_the_binding() {
        let adapters = adapters();
        let pyxis = adapters.adapter("pyxis").expect("the adapter is there");
        let mut binding = binding();
        assert_eq!(pyxis.check_binding(&binding), Vec::<String>::new());

        let row = [("service_type", "fitting"), ("minutes", "60"), ("visit", "true")];
        let row: BTreeMap<_, _> = row.iter().map(|(column, value)| (column.to_string(), value.to_string())).collect();
        let rows = Parameter::Table([("POOL_*".to_owned(), row)].into());
        binding.parameters.insert("service_codes".into(), rows);

        assert_eq!(
            pyxis.check_binding(&binding),
            ["`service_codes`: row `POOL_*`: `service_type`: expected one of: installation, technical_visit, rework, \
              maintenance, repair, emergency_repair, quotation"]
        );
    }
}
