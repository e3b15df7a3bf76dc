//! Puts the parts together, starts them in the order in which they need each other, and stops them in the reverse.

mod engines;
mod janitor;
mod reload;
mod topics;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};
use uuid::Uuid;

use crate::canonical::draft::INTAKE;
use crate::clock::{Clock, SystemClock};
use crate::config::layers::Layers;
use crate::config::report::Report;
use crate::config::settings::Settings;
use crate::door::server::{Limits, Server};
use crate::door::{self, Door, Installation};
use crate::gateway::engines::Engines;
pub(crate) use crate::gateway::engines::kafka_options;
use crate::gateway::janitor::Janitor;
use crate::gateway::reload::Reloader;
use crate::log;
use crate::normalize::AdapterSet;
use crate::ops::{self, Ops, Readiness};
use crate::schema::registry::Registry;
use crate::schema::{self, Catalogue};
use crate::sequence::{self, Pace, Sequencer};
use crate::store;
use crate::telemetry::metrics::Metrics;
use crate::topics::apply::Refused;

/// How often the state of the parts is looked at for readiness and metrics.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A running gateway.
pub struct Gateway {
    pub door: SocketAddr,
    pub ops: SocketAddr,
    shutdown_timeout: Duration,
    stop_door: watch::Sender<bool>,
    stop_rest: watch::Sender<bool>,
    door_task: JoinHandle<usize>,
    ops_task: JoinHandle<usize>,
    tasks: Vec<JoinHandle<()>>,
    reloader: Arc<Reloader>,
    sequencer: Arc<Sequencer>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Configuration(Report),
    #[error("data folder `{path}` cannot be used: {cause}")]
    DataDir { path: PathBuf, cause: std::io::Error },
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error("a person has to settle what `crossdock topics plan` refuses: {0}")]
    Topics(#[from] Refused),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Schemas(#[from] schema::Error),
    #[error("`{name}` cannot listen on {address}: {cause}")]
    Listen { name: &'static str, address: SocketAddr, cause: std::io::Error },
    #[error(transparent)]
    Routes(#[from] door::Error),
    #[error("metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl Gateway {
    /// Opens the engines in `settings.data_dir` and starts every part. When it returns, the door takes orders and
    /// lanes are starting. `layers`: where `settings` came from, to hold changed mappings against at a reload.
    /// `accept_skip`: an operator's word for this start that a lane may go on behind records nobody decided.
    ///
    /// # Errors
    /// What cannot be opened, created or listened on. Nothing is left running.
    pub async fn start(
        settings: &Settings,
        layers: Layers,
        adapters: &AdapterSet,
        accept_skip: bool,
    ) -> Result<Self, Error> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let metrics = Arc::new(Metrics::new()?);
        let readiness = Arc::new(Readiness::default());
        let catalogue = Arc::new(catalogue(settings, &clock).await?);
        let Engines { log, store } = engines::open(settings, &clock).await?;
        topics::prepare(&settings.log, log.as_ref()).await?;
        let (stop_door, door_stopping) = watch::channel(false);
        let (stop_rest, rest_stopping) = watch::channel(false);

        let door = Arc::new(Door::new(
            door::Deps {
                log: Arc::clone(&log),
                store: Arc::clone(&store),
                catalogue: Arc::clone(&catalogue),
                metrics: Arc::clone(&metrics),
                clock: Arc::clone(&clock),
                new_id: Arc::new(Uuid::new_v4),
            },
            &settings.door,
        ));
        let bindings: Vec<_> = settings.bindings.iter().cloned().map(Arc::new).collect();
        door.install(Installation::of(adapters, &bindings)?)?;
        let reloader = Arc::new(Reloader::new(layers, Arc::clone(&door)));
        let ops = Ops::new(ops::Deps {
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            catalogue: Arc::clone(&catalogue),
            metrics: Arc::clone(&metrics),
            readiness: Arc::clone(&readiness),
            operators: settings.operators.clone(),
            tenants: settings.bindings.iter().map(|binding| binding.tenant_id.clone()).collect(),
            reload: {
                let reloader = Arc::clone(&reloader);
                Arc::new(move || reloader.reload())
            },
            stop: rest_stopping.clone(),
        });
        let limits = Limits {
            max_connections: settings.door.max_connections,
            head_timeout: settings.door.read_timeout,
            connections: metrics.door_connections.clone(),
        };
        let door_server = bind("door.listen", settings.door.listen, limits.clone()).await?;
        let uncounted = prometheus::IntGauge::new("ops_connections", "not exported")?;
        let ops_server = bind("ops.listen", settings.ops.listen, Limits { connections: uncounted, ..limits }).await?;
        let (door_address, ops_address) = (address(&door_server, "door")?, address(&ops_server, "ops")?);

        let sequencer = Arc::new(
            Sequencer::start(sequence::Deps {
                log: Arc::clone(&log),
                store: Arc::clone(&store),
                catalogue,
                clock: Arc::clone(&clock),
                metrics: Arc::clone(&metrics),
                settings: settings.sequence.clone(),
                accept_skip,
                pace: Pace::default(),
            })
            .await?,
        );
        let janitor = Janitor {
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            clock,
            log_settings: settings.log.clone(),
            store_settings: settings.store.clone(),
        };
        let tasks = vec![
            tokio::spawn(keep_tidy(janitor, rest_stopping.clone())),
            tokio::spawn(watch_parts(Arc::clone(&sequencer), Arc::clone(&readiness), rest_stopping.clone())),
        ];
        let grace = settings.shutdown_timeout;
        let door_task = tokio::spawn(async move {
            door_server.serve(Arc::new(move |request| door.handle(request)), door_stopping, grace).await
        });
        let ops_task = tokio::spawn(async move {
            ops_server.serve(Arc::new(move |request| ops.handle(request)), rest_stopping, grace).await
        });
        readiness.ready("door");
        Ok(Self {
            door: door_address,
            ops: ops_address,
            shutdown_timeout: settings.shutdown_timeout,
            stop_door,
            stop_rest,
            door_task,
            ops_task,
            tasks,
            reloader,
            sequencer,
        })
    }

    /// Takes changed mappings and schemas over; says in the log what became of it.
    pub async fn reload(&self) {
        let reloader = Arc::clone(&self.reloader);
        match tokio::task::spawn_blocking(move || reloader.reload()).await {
            Ok(Ok(adapters)) => info!(adapters = adapters.len(), "mappings reloaded"),
            Ok(Err(report)) => warn!("new mappings are refused, the old ones stay:\n{}", report.to_string().trim_end()),
            Err(error) => warn!(%error, "mappings cannot be reloaded"),
        }
    }

    /// Stops taking orders, answers what is under way, lets the lanes finish their batches, and closes the engines.
    /// What was answered is on disk at every moment, so a stop that runs out of time loses nothing either.
    pub async fn stop(self) {
        let deadline = tokio::time::Instant::now() + self.shutdown_timeout;
        // A receiver that is gone has stopped by itself.
        let _ = self.stop_door.send(true);
        let _ = self.door_task.await;
        let _ = self.stop_rest.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
        if let Ok(sequencer) = Arc::try_unwrap(self.sequencer)
            && tokio::time::timeout_at(deadline, sequencer.stop()).await.is_err()
        {
            warn!("lanes did not finish their batches in time; they are taken up again at the next start");
        }
        let _ = self.ops_task.await;
        info!("gateway stopped");
    }
}

/// The schemas, with the ids of the registry if there is one. Waits for a registry that does not answer: without its
/// ids nothing can be published.
async fn catalogue(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Catalogue, Error> {
    let catalogue = Catalogue::load(&settings.schemas_dir).map_err(Error::Configuration)?;
    let Some(registry) = &settings.registry else { return Ok(catalogue) };
    let registry = Registry::new(registry, Arc::clone(clock)).map_err(schema::Error::Registry)?;
    let catalogue = catalogue.with_registry(registry, Arc::clone(clock));
    let written: Vec<&str> = sequence::PUBLISHED.into_iter().chain([INTAKE]).collect();
    catalogue.resolve_when_up(&written).await?;
    Ok(catalogue)
}

async fn bind(name: &'static str, address: SocketAddr, limits: Limits) -> Result<Server, Error> {
    Server::bind(address, limits).await.map_err(|cause| Error::Listen { name, address, cause })
}

fn address(server: &Server, name: &'static str) -> Result<SocketAddr, Error> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    server.local_addr().map_err(|cause| Error::Listen { name, address: unknown, cause })
}

async fn keep_tidy(janitor: Janitor, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(janitor::EVERY) => {}
        }
        match janitor.tidy().await {
            Ok(0) => {}
            Ok(rows) => info!(rows, "deleted what is past its time"),
            Err(error) => warn!(%error, "what is past its time cannot be deleted now"),
        }
    }
}

/// Carries what the lanes say of themselves to the readiness.
async fn watch_parts(sequencer: Arc<Sequencer>, readiness: Arc<Readiness>, mut stopping: watch::Receiver<bool>) {
    loop {
        match sequencer.problems().as_slice() {
            [] => readiness.ready(INTAKE),
            problems => readiness.not_ready(INTAKE, problems.join("; ")),
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
