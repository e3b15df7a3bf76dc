//! Takes changed mappings and schemas over without a restart: all of them, or none.
//!
//! The set in force stays until the new one has passed everything `crossdock check` asks of it: manifests, tables,
//! schemas, mappings, cases, and the bindings of the running configuration. Requests under way end on the set they
//! began with.

use std::sync::{Arc, Mutex, PoisonError};

use crate::config::layers::Layers;
use crate::config::report::Report;
use crate::door::{Door, Installation};
use crate::normalize::manifest::Manifest;
use crate::normalize::{AdapterSet, cases};
use crate::ops::InForce;

/// Loads adapters from the folders of the configuration and installs them at the door.
pub struct Reloader {
    layers: Layers,
    door: Arc<Door>,
    /// One reload at a time: the last one asked for is the one that stands.
    turn: Mutex<()>,
}

impl Reloader {
    pub(super) fn new(layers: Layers, door: Arc<Door>) -> Self {
        Self { layers, door, turn: Mutex::default() }
    }

    /// Blocks while it reads and compiles: tens of milliseconds for an adapter.
    ///
    /// # Errors
    /// Every mistake of the new set; the old one stays in force.
    pub fn reload(&self) -> Result<Vec<InForce>, Report> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let folders = self.layers.folders()?;
        let adapters = AdapterSet::load(&folders.mappings_dir, &folders.schemas_dir)?;
        let settings = self.layers.settings(&adapters.parameters())?;
        let mut report = Report::default();
        for mistake in adapters.check_bindings(&settings.bindings) {
            report.add(self.layers.file().unwrap_or("configuration".as_ref()), 0, 0, mistake);
        }
        for adapter in adapters.iter() {
            if let Err(mistakes) = cases::check(adapter) {
                report.merge(mistakes);
            }
        }
        report.into_result()?;
        let bindings: Vec<_> = settings.bindings.into_iter().map(Arc::new).collect();
        let installed = Installation::of(&adapters, &bindings).and_then(|set| self.door.install(set));
        installed.map_err(|mistake| {
            let mut report = Report::default();
            report.add(&folders.mappings_dir, 0, 0, mistake.to_string());
            report
        })?;
        let in_force = |manifest: &Manifest| InForce { name: manifest.name.clone(), version: manifest.version.clone() };
        Ok(adapters.iter().map(|adapter| in_force(adapter.manifest())).collect())
    }
}
