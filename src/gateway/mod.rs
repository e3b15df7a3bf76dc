//! Puts the parts together, starts them in the order in which they need each other, and stops them in the reverse.

mod engines;
mod janitor;
mod lanes;
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
use crate::canonical::event::STATUS_FAILED;
use crate::clock::{Clock, SystemClock};
use crate::config::layers::Layers;
use crate::config::report::Report;
use crate::config::settings::Settings;
use crate::door::server::{Limits, Server};
use crate::door::{self, Door, Installation};
use crate::gateway::engines::Engines;
pub(crate) use crate::gateway::engines::kafka_options;
use crate::gateway::janitor::Janitor;
use crate::gateway::lanes::Lanes;
pub(crate) use crate::gateway::lanes::lane_topics;
use crate::gateway::reload::{Parts, Reloader};
use crate::hop;
use crate::log;
use crate::normalize::AdapterSet;
use crate::ops::{self, Ops, Readiness, Traffic};
use crate::reader::{self, Reader};
use crate::recovery;
use crate::recovery::job::{self, Jobs};
use crate::recovery::keys::{self, Keys};
use crate::recovery::mappings::Mappings;
use crate::recovery::replay::{self, Replays};
use crate::relay;
use crate::schema::registry::Registry;
use crate::schema::{self, Catalogue};
use crate::sequence::{self, Pace, Sequencer};
use crate::store;
use crate::telemetry::metrics::Metrics;
use crate::topics::apply::Refused;
use crate::translate;

/// How long an answer waits for the outcome of an operator's command.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the state of the parts is looked at for readiness and metrics.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The part of the readiness that reads topics.
const READER: &str = "reader";

/// The part of the readiness that runs the platform's events and the calls to partners.
const LANES: &str = "lanes";

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
    reader: Arc<Reader>,
    sequencer: Arc<Sequencer>,
    lanes: Arc<Lanes>,
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
    #[error(transparent)]
    Inbound(#[from] reader::Error),
    #[error(transparent)]
    Lanes(#[from] lanes::Error),
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
        adapters: &Arc<AdapterSet>,
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
        let mappings = Arc::new(Mappings::default());
        mappings.install(adapters, &bindings);
        let replays = Arc::new(Replays::new(replay::Deps {
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            catalogue: Arc::clone(&catalogue),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            mappings: Arc::clone(&mappings),
            append_timeout: settings.door.append_timeout,
        }));
        let keys = Arc::new(Keys::new(keys::Deps {
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            catalogue: Arc::clone(&catalogue),
            clock: Arc::clone(&clock),
            append_timeout: settings.door.append_timeout,
            outcome_timeout: OUTCOME_TIMEOUT,
        }));
        let jobs = Arc::new(Jobs::new(job::Deps {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            replays: Arc::clone(&replays),
            keys: Arc::clone(&keys),
            new_id: Arc::new(Uuid::new_v4),
        }));
        let traffic = Arc::new(Traffic::new(Arc::clone(&metrics)));
        let inbound = reader::Installation::of(adapters, &bindings)?;
        topics::prepare_inbound(&settings.log, log.as_ref(), inbound.topics()).await?;
        let reader = Arc::new(Reader::start(reader::Deps {
            log: Arc::clone(&log),
            catalogue: Arc::clone(&catalogue),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            new_id: Arc::new(Uuid::new_v4),
            settings: settings.reader.clone(),
            retention: settings.log.retention,
            pace: reader::Pace::default(),
        }));
        let relayed = relay::topics();
        topics::prepare_inbound(&settings.log, log.as_ref(), relayed).await?;
        let lanes = lanes::Deps {
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            catalogue: Arc::clone(&catalogue),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            settings: settings.log.clone(),
            parked_for: settings.sequence.parked_for,
            drain: settings.shutdown_timeout / 2,
            accept_skip,
        };
        let lanes = Arc::new(Lanes::start(lanes, adapters, &bindings).await?);
        let parts = Parts {
            door: Arc::clone(&door),
            reader: Arc::clone(&reader),
            log: Arc::clone(&log),
            log_settings: settings.log.clone(),
            catalogue: Arc::clone(&catalogue),
            mappings,
            lanes: Arc::clone(&lanes),
        };
        let reloader = Arc::new(Reloader::new(layers, settings, parts));
        let ops = Ops::new(ops::Deps {
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            catalogue: Arc::clone(&catalogue),
            metrics: Arc::clone(&metrics),
            readiness: Arc::clone(&readiness),
            operators: settings.operators.clone(),
            tenants: reloader.tenants(),
            reload: {
                let reloader = Arc::clone(&reloader);
                Arc::new(move || reloader.reload())
            },
            clock: Arc::clone(&clock),
            replays,
            keys,
            jobs: Arc::clone(&jobs),
            traffic: Arc::clone(&traffic),
            targets: {
                let lanes = Arc::clone(&lanes);
                Arc::new(move || lanes.targets())
            },
            stop: rest_stopping.clone(),
        });
        let failures = recovery::index::Deps {
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            catalogue: Arc::clone(&catalogue),
            metrics: Arc::clone(&metrics),
            readiness: Arc::clone(&readiness),
        };
        let hops =
            hop::Deps { log: Arc::clone(&log), metrics: Arc::clone(&metrics), readiness: Arc::clone(&readiness) };
        let relays = relay::start(&hops, &catalogue, &rest_stopping);
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
            clock: Arc::clone(&clock),
            lanes: lanes.named(),
            log_settings: settings.log.clone(),
            store_settings: settings.store.clone(),
        };
        let mut tasks = vec![
            tokio::spawn(keep_tidy(janitor, rest_stopping.clone())),
            tokio::spawn(watch_parts(
                Arc::clone(&sequencer),
                Arc::clone(&reader),
                Arc::clone(&lanes),
                Arc::clone(&readiness),
                rest_stopping.clone(),
            )),
            tokio::spawn(watch_traffic(traffic, clock, rest_stopping.clone())),
            recovery::index::start(failures.clone(), rest_stopping.clone()),
            recovery::index::start_dead_letters(failures, lanes.named(), rest_stopping.clone()),
            job::start(jobs, rest_stopping.clone()),
        ];
        tasks.extend(relays);
        reader.install(inbound);
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
            reader,
            sequencer,
            lanes,
        })
    }

    /// Takes changed mappings, schemas and bindings over; says in the log what became of it.
    pub async fn reload(&self) {
        let reloader = Arc::clone(&self.reloader);
        match tokio::task::spawn_blocking(move || reloader.reload()).await {
            Ok(Ok(reloaded)) => {
                info!(adapters = reloaded.adapters.len(), bindings = reloaded.bindings.len(), "mappings reloaded");
                if !reloaded.needs_restart.is_empty() {
                    let keys = reloaded.needs_restart.join(", ");
                    warn!(keys, "settings have changed that only a restart takes over");
                }
            }
            Ok(Err(report)) => warn!("new mappings are refused, the old ones stay:\n{}", report.to_string().trim_end()),
            Err(error) => warn!(%error, "mappings cannot be reloaded"),
        }
    }

    /// Stops taking orders and reading topics, answers what is under way, lets reader and lanes finish their batches, and
    /// closes the engines.
    /// What was answered is on disk at every moment, so a stop that runs out of time loses nothing either.
    pub async fn stop(self) {
        let deadline = tokio::time::Instant::now() + self.shutdown_timeout;
        // A receiver that is gone has stopped by itself.
        let _ = self.stop_door.send(true);
        let _ = self.door_task.await;
        if tokio::time::timeout_at(deadline, self.reader.stop()).await.is_err() {
            warn!("topics were not left in time; what was not committed is read again");
        }
        let _ = self.stop_rest.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
        if tokio::time::timeout_at(deadline, self.lanes.stop()).await.is_err() {
            warn!("calls did not end in time; they are made again at the next start");
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
    let published = sequence::PUBLISHED.into_iter().chain(translate::PUBLISHED);
    let written: Vec<&str> = published.chain([STATUS_FAILED, INTAKE]).collect();
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

/// Lets the counters be looked at, as often as they are wanted.
async fn watch_traffic(traffic: Arc<Traffic>, clock: Arc<dyn Clock>, mut stopping: watch::Receiver<bool>) {
    loop {
        traffic.look(clock.now_ms());
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Carries what the lanes and the reader say of themselves to the readiness.
async fn watch_parts(
    sequencer: Arc<Sequencer>,
    reader: Arc<Reader>,
    lanes: Arc<Lanes>,
    readiness: Arc<Readiness>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        for (part, problems) in [(INTAKE, sequencer.problems()), (READER, reader.problems()), (LANES, lanes.problems())]
        {
            match problems.as_slice() {
                [] => readiness.ready(part),
                problems => readiness.not_ready(part, problems.join("; ")),
            }
        }
        readiness.remark(READER, reader.remarks());
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
