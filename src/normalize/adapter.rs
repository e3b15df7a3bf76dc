//! The adapters of a folder: all of them loaded together, or every mistake of every one.

mod calls;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vrl::value::Kind;

use crate::config::binding::{Binding, Parameter, ParameterKind};
use crate::config::layers::AdapterParameters;
use crate::config::report::Report;
use crate::normalize::call::Call;
use crate::normalize::functions::Known;
use crate::normalize::manifest::webhook::ROUTE;
use crate::normalize::manifest::{AvroSpec, Embedded, FILE, Manifest, Pointer, RouteSpec, Target, TopicSpec};
use crate::normalize::program::Program;
use crate::normalize::route::Route;
use crate::normalize::shape;
use crate::normalize::tables::Tables;
use crate::normalize::topic::TopicRoute;
use crate::normalize::validate::Validator;
use crate::normalize::webhook::{self, Webhook};
use crate::schema::Catalogue;
use crate::verify::Source;

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
    topics: Vec<Arc<TopicRoute>>,
    /// The schemas of events, if it has records.
    records: Option<Arc<Catalogue>>,
    webhook: Option<Arc<Webhook>>,
    calls: Vec<Arc<Call>>,
}

/// The schemas of events, read when the first adapter asks.
struct Records<'a> {
    schemas: &'a Path,
    catalogue: OnceCell<Result<Arc<Catalogue>, Report>>,
}

/// What loading a folder of adapters gives.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Those without a mistake.
    pub adapters: AdapterSet,
    /// What bindings must or may say, also of adapters with mistakes.
    pub parameters: AdapterParameters,
    pub report: Report,
}

impl<'a> Records<'a> {
    fn of(schemas: &'a Path) -> Self {
        Self { schemas, catalogue: OnceCell::new() }
    }

    /// # Errors
    /// Their mistakes.
    fn catalogue(&self) -> Result<&Arc<Catalogue>, &Report> {
        self.catalogue.get_or_init(|| Catalogue::load(self.schemas).map(Arc::new)).as_ref()
    }
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
        let records = Records::of(schemas);
        for folder in adapter_folders(mappings, &mut loaded.report) {
            match Adapter::load(&folder, schemas, &records) {
                Ok(adapter) => {
                    let name = adapter.manifest.name.clone();
                    loaded.parameters.insert(name.clone(), adapter.manifest.binding_spec());
                    loaded.adapters.adapters.insert(name, Arc::new(adapter));
                }
                Err(mistakes) => {
                    loaded.report.merge(mistakes);
                    // Its bindings can be judged all the same if its manifest can be read.
                    if let (Some(manifest), _) = Manifest::load_sound(&folder) {
                        loaded.parameters.insert(manifest.name.clone(), manifest.binding_spec());
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
    pub fn parameters(&self) -> AdapterParameters {
        self.adapters.iter().map(|(name, adapter)| (name.clone(), adapter.manifest.binding_spec())).collect()
    }
}

impl Adapter {
    /// Loads the adapter in `folder`.
    ///
    /// # Errors
    /// Every mistake of its files.
    fn load(folder: &Path, schemas: &Path, records: &Records<'_>) -> Result<Self, Report> {
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
        let routes: Vec<_> = manifest.routes.iter().filter_map(|spec| loading.route(spec)).map(Arc::new).collect();
        let has_records = manifest.topics.iter().any(|topic| !topic.avro.is_empty()) || !manifest.calls.is_empty();
        let mut calls = Vec::new();
        let records = match has_records.then(|| records.catalogue()) {
            Some(Ok(catalogue)) => {
                loading.check_records(catalogue);
                let specs = manifest.calls.iter();
                calls.extend(specs.filter_map(|spec| loading.call(spec, catalogue)).map(Arc::new));
                Some(Arc::clone(catalogue))
            }
            Some(Err(mistakes)) => {
                loading.report.merge(mistakes.clone());
                None
            }
            None => None,
        };
        let mut report = loading.report;
        let webhook = manifest.webhook.as_ref().map(|spec| {
            webhook::check_conditions(spec, &routes, &file, &mut report);
            Arc::new(Webhook::new(Arc::clone(&manifest), spec.clone(), &routes))
        });
        report.into_result()?;
        let topics = manifest.topics.iter().map(|spec| Arc::new(topic_route(&manifest, spec, &routes))).collect();
        Ok(Self { manifest, folder: folder.to_owned(), tables, routes, topics, records, webhook, calls })
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

    /// The topics it reads, in the order of the manifest.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicRoute>> {
        self.topics.iter()
    }

    /// The schemas of events its records have, as they are in the folder of schemas; `None` if it has no records.
    pub fn records(&self) -> Option<&Catalogue> {
        self.records.as_deref()
    }

    /// What a file can be mapped by: its routes, its webhook and its calls.
    pub fn route_names(&self) -> Vec<&str> {
        let webhook = self.webhook.as_ref().map(|_| ROUTE);
        let calls = self.calls.iter().map(|call| call.name());
        self.routes.iter().map(|route| route.name()).chain(webhook).chain(calls).collect()
    }

    /// What its partner is told, in the order of the manifest.
    pub fn calls(&self) -> &[Arc<Call>] {
        &self.calls
    }

    pub fn call(&self, name: &str) -> Option<&Arc<Call>> {
        self.calls.iter().find(|call| call.name() == name)
    }

    /// What its sources send, if it has any.
    pub fn webhook(&self) -> Option<&Arc<Webhook>> {
        self.webhook.as_ref()
    }

    /// What is wrong with the parameters of `binding` that their types do not tell: rows added to a table that the
    /// table cannot hold, secrets of another form than the webhook's scheme wants. Empty if nothing is.
    pub fn check_binding(&self, binding: &Binding) -> Vec<String> {
        let mut mistakes = Vec::new();
        if let Some(webhook) = &self.manifest.webhook
            && let Err(wrong) = Source::new(Arc::new(binding.clone()), webhook.auth.clone())
        {
            mistakes.push(format!("`{}`: {wrong}", webhook.auth.secrets_key()));
        }
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

    fn unknown_record(&mut self, record: &str, line: usize) {
        let message = format!("`record`: no schema of record `{record}` among the schemas of events");
        self.report.add(self.folder.join(FILE), line, 0, message);
    }

    /// Every record of the topics has a schema.
    fn check_records(&mut self, catalogue: &Catalogue) {
        for AvroSpec { record, line, .. } in self.manifest.topics.iter().flat_map(|topic| &topic.avro) {
            if catalogue.records().all(|entry| entry.full_name() != *record) {
                self.unknown_record(record, *line);
            }
        }
    }

    /// The member of an embedded document is declared as the object it is opened to, and may be absent.
    fn check_embedded(&mut self, spec: &RouteSpec, kind: &Kind) {
        let Some(Embedded { at, id }) = &spec.embedded else { return };
        let document = kind.at_path(&at.path);
        let mut mistake = |message: String| {
            let message = format!("route `{}`: `embedded`: {message} in the schema `{}`", spec.name, spec.schema);
            self.report.add(self.folder.join(FILE), spec.line, 0, message);
        };
        if document.as_object().is_none() || !document.contains_undefined() {
            mistake(format!("expected `{}` to be an object that is not required", at.text));
        } else if !document.at_path(&id.path).contains_bytes() {
            mistake(format!("expected `{}{}` to be text", at.text, id.text));
        }
    }

    fn check_pointers(&mut self, spec: &RouteSpec, kind: &Kind) {
        self.check_embedded(spec, kind);
        let pointers = [&spec.id].into_iter().chain(&spec.revision).chain(&spec.lines).chain(&spec.requires);
        for Pointer { text, path } in pointers {
            if kind.at_path(path).is_undefined() {
                let message = format!("route `{}`: no field `{text}` in the schema `{}`", spec.name, spec.schema);
                self.report.add(self.folder.join(FILE), spec.line, 0, message);
            }
        }
    }
}

/// A manifest without a mistake names routes it declares.
fn topic_route(manifest: &Arc<Manifest>, spec: &TopicSpec, routes: &[Arc<Route>]) -> TopicRoute {
    let route = |name: &String| routes.iter().find(|route| route.name() == name).cloned();
    let native = spec.route.as_ref().and_then(route);
    let records = spec.avro.iter().filter_map(|avro| Some((avro.record.clone(), route(&avro.route)?)));
    TopicRoute::new(Arc::clone(manifest), spec.clone(), native, records.collect())
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
mod tests;
