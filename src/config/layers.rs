//! What says something about the configuration, in the order in which it is overruled: the default file, the
//! configuration file (or developer mode's), environment variables, flags.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::binding::Binding;
use crate::config::binding::BindingSpec;
use crate::config::changes::changed_keys;
use crate::config::environment::Environment;
use crate::config::load;
use crate::config::reader::{Document, Section};
use crate::config::report::Report;
use crate::config::resolve::{self, Credentials};
use crate::config::secret::Resolver;
use crate::config::settings::{LogSettings, RegistrySettings, Settings};

/// The default file: every key that has a default, commented. It is the manual.
pub const DEFAULT: &str = include_str!("default.toml");

/// What the bindings of each adapter may say, as its manifest declares it.
pub type AdapterParameters = BTreeMap<String, BindingSpec>;

/// Where the configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `None`: developer mode.
    pub file: Option<PathBuf>,
    pub environment: Environment,
    pub flags: Vec<Flag>,
}

/// A key set on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// As the user wrote it, `--listen`; a finding names it.
    pub name: String,
    /// `["door", "listen"]`.
    pub key: Vec<String>,
    pub value: String,
    /// Whether `value` is text whatever it looks like. Else it is a TOML value if it reads as one.
    pub is_text: bool,
}

/// The folders the other parts of a start are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    pub data_dir: PathBuf,
    pub mappings_dir: PathBuf,
    pub schemas_dir: PathBuf,
}

/// The opened sources: syntax is checked, nothing else yet.
#[derive(Debug)]
pub struct Layers {
    /// Later ones win.
    documents: Vec<Document>,
    sources: Sources,
}

impl Layers {
    /// # Errors
    /// Every file that cannot be read or is no TOML, every variable or flag that is neither TOML nor text.
    pub fn open(sources: Sources) -> Result<Self, Report> {
        let mut report = Report::default();
        let mut documents = Vec::new();
        let mut add = |opened: Result<Document, Report>, report: &mut Report| match opened {
            Ok(document) => documents.push(document),
            Err(wrong) => report.merge(wrong),
        };
        add(Document::parse("default configuration", DEFAULT), &mut report);
        if let Some(file) = &sources.file {
            add(Document::read(file), &mut report);
        }
        for document in sources.environment.assignments(&mut report) {
            add(Ok(document), &mut report);
        }
        for Flag { name, key, value, is_text } in &sources.flags {
            let assign = if *is_text { Document::text_assignment } else { Document::assignment };
            add(assign(name, key, value), &mut report);
        }
        report.into_result()?;
        Ok(Self { documents, sources })
    }

    /// The same sources, read again: the file as it is now, the environment and the flags as they were.
    ///
    /// # Errors
    /// As [`Layers::open`].
    pub fn reopen(&self) -> Result<Self, Report> {
        Self::open(self.sources.clone())
    }

    /// The keys, bindings apart, that have another value in `other`: what only a restart takes over.
    pub fn changed_settings(&self, other: &Self) -> Vec<String> {
        let mut changed = changed_keys(&self.documents, &other.documents);
        changed.retain(|key| key != "binding");
        changed
    }

    /// The configuration file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.sources.file.as_deref()
    }

    /// Whether there is no configuration file.
    pub fn is_developer(&self) -> bool {
        self.sources.file.is_none()
    }

    /// The folders alone: adapters are read from them before the rest can be checked.
    ///
    /// # Errors
    /// One of the three keys is wrong.
    pub fn folders(&self) -> Result<Folders, Report> {
        self.read(|root| {
            let (data_dir, mappings_dir) = (root.required("data_dir"), root.required("mappings_dir"));
            let schemas_dir = root.required("schemas_dir");
            Some(Folders { data_dir: data_dir?, mappings_dir: mappings_dir?, schemas_dir: schemas_dir? })
        })
    }

    /// Everything, checked: types, unknown keys, ranges, bindings against `adapters`, references to secrets.
    ///
    /// # Errors
    /// Every mistake at once, each with its file and line, or the variable or flag it is in.
    pub fn settings(&self, adapters: &AdapterParameters) -> Result<Settings, Report> {
        self.read(|root| load::settings(root, adapters, &self.resolver(), self.is_developer()))
    }

    /// What a sender needs to be known as `binding`. Looks at nothing else: the secrets of other bindings need not
    /// be at hand, nor the adapters.
    ///
    /// # Errors
    /// There is no such binding, or one of its references names no secret.
    pub fn credentials(&self, binding: &str) -> Result<Credentials, Report> {
        match self.read(|root| Some(resolve::credentials(&root, binding, &self.resolver())))? {
            Ok(credentials) => Ok(credentials),
            Err(known) => {
                let known = resolve::listed(known.iter().map(String::as_str));
                let mut report = Report::default();
                let message = format!("no binding `{binding}`, there is: {known}");
                match &self.sources.file {
                    Some(file) => report.add(file, 0, 0, message),
                    None => report.add("developer mode", 0, 0, message + "; the first `crossdock serve` makes them"),
                }
                Err(report)
            }
        }
    }

    /// How the schema registry is reached, `None` if there is none. Looks at nothing else, as [`Layers::credentials`].
    ///
    /// # Errors
    /// Every mistake in `[registry]`.
    pub fn registry(&self) -> Result<Option<RegistrySettings>, Report> {
        self.read(|root| load::registry(&root, &self.resolver()))
    }

    /// Where the event log is and how its topics are made. Looks at nothing else, as [`Layers::credentials`].
    ///
    /// # Errors
    /// Every mistake in `[log]`.
    pub fn log(&self) -> Result<LogSettings, Report> {
        self.read(|root| root.section("log").and_then(|section| load::log(section, &self.resolver())))
    }

    /// The bindings as they are configured. Looks at nothing else, as [`Layers::credentials`], and at no secret either:
    /// each is its own reference.
    ///
    /// # Errors
    /// Every mistake in `[[binding]]` and `[courier]`.
    pub fn bindings(&self, adapters: &AdapterParameters) -> Result<Vec<Binding>, Report> {
        let blind = Resolver { is_blind: true, ..self.resolver() };
        self.read(|root| load::bindings(&root, adapters, &blind))
    }

    /// Puts `document` between the default file and everything else.
    pub(super) fn insert(&mut self, document: Document) {
        self.documents.insert(1, document);
    }

    fn resolver(&self) -> Resolver<'_> {
        Resolver { environment: &self.sources.environment, accept_literals: self.is_developer(), is_blind: false }
    }

    fn read<T>(&self, read: impl FnOnce(Section<'_>) -> Option<T>) -> Result<T, Report> {
        let report = RefCell::default();
        let documents: Vec<_> = self.documents.iter().collect();
        let value = read(Section::layered(&documents, &report));
        report.into_inner().into_result()?;
        value.ok_or_else(|| {
            // Every key that yields nothing reports why; this is for the one that forgot to.
            let mut report = Report::default();
            report.add("default configuration", 0, 0, "incomplete");
            report
        })
    }
}
