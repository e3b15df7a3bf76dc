//! Takes changed mappings, schemas and bindings over without a restart: all of them, or none.
//!
//! The set in force stays until the new one has passed everything `crossdock check` asks of it: manifests, tables,
//! schemas (those of events too), mappings, cases, and the configuration file as it is now, whose bindings are taken over. Every other
//! setting needs a restart; those that have changed are named. Requests and batches under way end on the set they began
//! with. The topics that bindings read change with it: groups are joined and left.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::binding::Binding;
use crate::config::developer;
use crate::config::layers::Layers;
use crate::config::report::Report;
use crate::config::settings::{LogSettings, Settings};
use crate::door::{Door, Installation};
use crate::gateway::lanes::Lanes;
use crate::gateway::topics;
use crate::log::EventLog;
use crate::normalize::manifest::Manifest;
use crate::normalize::{AdapterSet, cases};
use crate::ops::{InForce, Reloaded};
use crate::reader::{self, Reader};
use crate::recovery::mappings::Mappings;
use crate::schema::Catalogue;

/// Loads adapters and bindings and puts them in force.
pub struct Reloader {
    /// Those of the start: what is not a binding is in force as they say it.
    layers: Layers,
    parts: Parts,
    tenants: watch::Sender<Vec<String>>,
    /// One reload at a time: the last one asked for is the one that stands.
    turn: Mutex<()>,
}

/// Where adapters and bindings are in force.
pub(super) struct Parts {
    pub door: Arc<Door>,
    pub reader: Arc<Reader>,
    pub log: Arc<dyn EventLog>,
    pub log_settings: LogSettings,
    pub catalogue: Arc<Catalogue>,
    /// For payloads that are mapped again.
    pub mappings: Arc<Mappings>,
    pub lanes: Arc<Lanes>,
}

impl Reloader {
    /// `settings`: what `layers` gave.
    pub(super) fn new(layers: Layers, settings: &Settings, parts: Parts) -> Self {
        Self { layers, parts, tenants: watch::Sender::new(tenants(settings)), turn: Mutex::default() }
    }

    /// The tenants of the bindings in force, each once.
    pub(super) fn tenants(&self) -> watch::Receiver<Vec<String>> {
        self.tenants.subscribe()
    }

    /// Blocks while it reads and compiles: tens of milliseconds for an adapter. On a thread of a runtime that may block.
    ///
    /// # Errors
    /// Every mistake of the new set; the old one stays in force.
    pub fn reload(&self) -> Result<Reloaded, Report> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let folders = self.layers.folders()?;
        let layers = self.reopened()?;
        let adapters = AdapterSet::load(&folders.mappings_dir, &folders.schemas_dir)?;
        let schemas = Catalogue::load(&folders.schemas_dir)?;
        let settings = layers.settings(&adapters.parameters())?;
        let mut report = Report::default();
        for mistake in adapters.check_bindings(&settings.bindings) {
            report.add(layers.file().unwrap_or("configuration".as_ref()), 0, 0, mistake);
        }
        for adapter in adapters.iter() {
            if let Err(mistakes) = cases::check(adapter) {
                report.merge(mistakes);
            }
        }
        report.into_result()?;
        // Before the mappings that read them; unused if those are refused.
        self.parts.catalogue.extend(schemas).map_err(|replaced| {
            let mut report = Report::default();
            for schema in replaced {
                report.add(folders.schemas_dir.join(&schema.file), 0, 0, schema.to_string());
            }
            report
        })?;
        let tenants = tenants(&settings);
        let bindings: Vec<_> = settings.bindings.into_iter().map(Arc::new).collect();
        let adapters = Arc::new(adapters);
        self.parts.install(&adapters, &bindings).map_err(|mistake| {
            let mut report = Report::default();
            report.add(&folders.mappings_dir, 0, 0, mistake);
            report
        })?;
        self.tenants.send_replace(tenants);
        let in_force = |manifest: &Manifest| InForce { name: manifest.name.clone(), version: manifest.version.clone() };
        Ok(Reloaded {
            adapters: adapters.iter().map(|adapter| in_force(adapter.manifest())).collect(),
            bindings: bindings.iter().map(|binding| binding.name.clone()).collect(),
            needs_restart: self.layers.changed_settings(&layers),
        })
    }

    /// The configuration as it is now.
    fn reopened(&self) -> Result<Layers, Report> {
        let mut layers = self.layers.reopen()?;
        if layers.is_developer() {
            let data_dir = self.layers.folders()?.data_dir;
            developer::attach(&mut layers, &data_dir).map_err(|mistake| {
                let mut report = Report::default();
                report.add(data_dir.join(developer::FILE), 0, 0, mistake.to_string());
                report
            })?;
        }
        Ok(layers)
    }
}

impl Parts {
    /// What may refuse comes first: reader and mappings cannot.
    fn install(&self, adapters: &Arc<AdapterSet>, bindings: &[Arc<Binding>]) -> Result<(), String> {
        let text = |mistake: &dyn fmt::Display| mistake.to_string();
        let inbound = reader::Installation::of(adapters, bindings).map_err(|mistake| text(&mistake))?;
        let prepare = topics::prepare_inbound(&self.log_settings, self.log.as_ref(), inbound.topics());
        Handle::current().block_on(prepare).map_err(|mistake| text(&mistake))?;
        let routes = Installation::of(adapters, bindings).map_err(|mistake| text(&mistake))?;
        // The lanes may refuse a target, and change nothing then.
        Handle::current().block_on(self.lanes.install(adapters, bindings)).map_err(|mistake| text(&mistake))?;
        self.door.install(routes).map_err(|mistake| text(&mistake))?;
        self.reader.install(inbound);
        self.mappings.install(adapters, bindings);
        Ok(())
    }
}

fn tenants(settings: &Settings) -> Vec<String> {
    let mut tenants: Vec<_> = settings.bindings.iter().map(|binding| binding.tenant_id.clone()).collect();
    tenants.sort();
    tenants.dedup();
    tenants
}
