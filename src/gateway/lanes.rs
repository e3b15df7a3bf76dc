//! The way out: relay, translator and couriers, with the lanes that drive them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::canonical::notification::out_topic;
use crate::clock::Clock;
use crate::config::binding::Binding;
use crate::config::settings::LogSettings;
use crate::courier::lane::{Courier, policy};
use crate::courier::target;
use crate::driver::{self, Driver, Stage, Topics};
use crate::gateway::topics;
use crate::lane::Policy;
use crate::log::{self, EventLog};
use crate::normalize::AdapterSet;
use crate::ownership::Pace;
use crate::relay::PLATFORM;
use crate::schema::Catalogue;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::topics::apply::Refused;
use crate::translate::lane::{self as translator, Translator};
use crate::{courier, ops, store};

/// What the lanes need.
#[derive(Clone)]
pub(super) struct Deps {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub settings: LogSettings,
    /// How long an event waits for its order.
    pub parked_for: Duration,
    /// How long attempts under way may go on when the lanes stop.
    pub drain: Duration,
    pub accept_skip: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Target(#[from] target::Error),
    #[error(transparent)]
    Tiers(#[from] driver::topics::Error),
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("a person has to settle what `crossdock topics plan` refuses: {0}")]
    Topics(#[from] Refused),
}

/// The lanes of the platform's events and of every binding that is called.
pub(super) struct Lanes {
    deps: Deps,
    translator: Arc<Translator>,
    /// The lanes' own topics.
    named: watch::Sender<Vec<String>>,
    running: Mutex<Option<Running>>,
}

/// One set of lanes; another set is another driver.
struct Running {
    driver: Driver,
    /// By binding.
    couriers: BTreeMap<String, Arc<Courier>>,
    plans: BTreeMap<String, Plan>,
    stop: watch::Sender<bool>,
    watchers: Vec<JoinHandle<()>>,
}

/// What a lane keeps for as long as it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    policy: Policy,
    /// Of an attempt: claims are as long.
    timeout: Duration,
}

/// The lanes' topics and how they wait: that of the platform's events, and one for each binding that is called.
fn wanted(adapters: &AdapterSet, bindings: &[Arc<Binding>]) -> BTreeMap<String, Plan> {
    let is_called = |binding: &&Arc<Binding>| courier::lane::address(adapters, binding).is_some();
    let plan = |binding: &Arc<Binding>| Plan { policy: policy(binding), timeout: binding.courier.timeout };
    let outgoing = bindings.iter().filter(is_called).map(|binding| (out_topic(&binding.name), plan(binding)));
    // Nothing outside can fail there: what cannot be translated now is tried again in its place.
    let policy = Policy { tiers: Vec::new(), attempts: 1, second_rounds: Vec::new(), ..Policy::default() };
    outgoing.chain([(PLATFORM.to_owned(), Plan { policy, timeout: Duration::ZERO })]).collect()
}

/// All topics of the lanes, where the log has `existing`.
///
/// # Errors
/// A binding has had more delays than there are numbers for retry topics.
pub(crate) fn lane_topics(
    adapters: &AdapterSet,
    bindings: &[Arc<Binding>],
    existing: &BTreeSet<String>,
) -> Result<Vec<Topics>, driver::topics::Error> {
    let existing = || existing.iter().map(String::as_str);
    let of = |(topic, Plan { policy, .. }): (&String, &Plan)| {
        Topics::of(topic, policy.tiers.iter().map(|tier| tier.delay), existing())
    };
    wanted(adapters, bindings).iter().map(of).collect()
}

impl Lanes {
    /// Makes the topics that are missing, and runs the lanes.
    ///
    /// # Errors
    /// A target that cannot be called, a topic that cannot be made or used.
    pub async fn start(deps: Deps, adapters: &Arc<AdapterSet>, bindings: &[Arc<Binding>]) -> Result<Self, Error> {
        let translator = translator::Deps {
            store: Arc::clone(&deps.store),
            catalogue: Arc::clone(&deps.catalogue),
            clock: Arc::clone(&deps.clock),
            parked_for: deps.parked_for,
        };
        let lanes = Self {
            translator: Arc::new(Translator::new(translator, adapters, bindings)),
            deps,
            named: watch::Sender::new(Vec::new()),
            running: Mutex::new(None),
        };
        let couriers = lanes.couriers(adapters, bindings)?;
        let running = lanes.run(couriers, wanted(adapters, bindings), adapters, bindings).await?;
        *lanes.running.lock().await = Some(running);
        Ok(lanes)
    }

    /// The lanes' own topics, as they come and go.
    pub fn named(&self) -> watch::Receiver<Vec<String>> {
        self.named.subscribe()
    }

    /// Takes changed mappings and bindings over. Where the lanes are others now, or wait otherwise, all of them are left
    /// and taken again; what is under way ends first.
    ///
    /// # Errors
    /// As [`Self::start`]; if a target cannot be called, everything stays as it is.
    pub async fn install(&self, adapters: &Arc<AdapterSet>, bindings: &[Arc<Binding>]) -> Result<(), Error> {
        let wanted = wanted(adapters, bindings);
        let mut running = self.running.lock().await;
        // Looked at before anything changes.
        let couriers = self.couriers(adapters, bindings)?;
        if let Some(running) = running.as_ref().filter(|running| running.plans == wanted) {
            for binding in bindings {
                if let Some(courier) = running.couriers.get(&binding.name) {
                    courier.install(adapters, binding)?;
                }
            }
            self.translator.install(adapters, bindings);
            return Ok(());
        }
        self.prepare(adapters, bindings).await?;
        self.translator.install(adapters, bindings);
        if let Some(running) = running.take() {
            running.stop().await;
        }
        *running = Some(self.run(couriers, wanted, adapters, bindings).await?);
        Ok(())
    }

    /// Every reason why a lane does not run; empty if all do.
    pub fn problems(&self) -> Vec<String> {
        match self.running.try_lock() {
            Ok(running) => match &*running {
                Some(running) => running.driver.problems(),
                None => vec!["lanes are not running".to_owned()],
            },
            Err(_) => vec!["lanes are being taken again".to_owned()],
        }
    }

    /// The targets that are called, and their lanes owned here; `None` while the lanes are left and taken again.
    pub fn targets(&self) -> Option<Vec<ops::Target>> {
        self.running.try_lock().ok()?.as_ref().map(Running::targets)
    }

    /// Lets attempts end, makes durable what they decided, and leaves the lanes.
    pub async fn stop(&self) {
        if let Some(running) = self.running.lock().await.take() {
            running.stop().await;
        }
    }

    fn couriers(
        &self,
        adapters: &Arc<AdapterSet>,
        bindings: &[Arc<Binding>],
    ) -> Result<BTreeMap<String, Arc<Courier>>, Error> {
        let deps = courier::lane::Deps {
            store: Arc::clone(&self.deps.store),
            catalogue: Arc::clone(&self.deps.catalogue),
            clock: Arc::clone(&self.deps.clock),
            metrics: Arc::clone(&self.deps.metrics),
        };
        let mut couriers = BTreeMap::new();
        for binding in bindings {
            if let Some(courier) = Courier::new(&deps, adapters, binding)? {
                couriers.insert(binding.name.clone(), courier);
            }
        }
        Ok(couriers)
    }

    async fn prepare(&self, adapters: &AdapterSet, bindings: &[Arc<Binding>]) -> Result<(), Error> {
        let existing = self.deps.log.topics().await?.into_keys().collect();
        let lanes = lane_topics(adapters, bindings, &existing)?;
        topics::prepare_lanes(&self.deps.settings, self.deps.log.as_ref(), &lanes).await
    }

    async fn run(
        &self,
        couriers: BTreeMap<String, Arc<Courier>>,
        plans: BTreeMap<String, Plan>,
        adapters: &AdapterSet,
        bindings: &[Arc<Binding>],
    ) -> Result<Running, Error> {
        self.prepare(adapters, bindings).await?;
        let stage = |topic: &String, policy: &Policy| {
            let work: Arc<dyn driver::Work> = match couriers.values().find(|courier| courier.topic() == *topic) {
                Some(courier) => Arc::clone(courier) as _,
                None => Arc::clone(&self.translator) as _,
            };
            Stage { topic: Arc::from(topic.as_str()), policy: policy.clone(), work }
        };
        let stages = plans.iter().map(|(topic, plan)| stage(topic, &plan.policy)).collect();
        let deps = driver::Deps {
            log: Arc::clone(&self.deps.log),
            store: Arc::clone(&self.deps.store) as _,
            clock: Arc::clone(&self.deps.clock),
            metrics: Arc::clone(&self.deps.metrics),
            pace: Pace::default(),
            accept_skip: self.deps.accept_skip,
            drain: self.deps.drain,
            learned: watch::Sender::new(0),
        };
        let driver = Driver::start(deps, stages).await?;
        let (stop, stopping) = watch::channel(false);
        let watchers = couriers.values().map(|courier| courier.watch(stopping.clone())).collect();
        self.named.send_replace(plans.keys().cloned().collect());
        Ok(Running { driver, couriers, plans, stop, watchers })
    }
}

impl Running {
    fn targets(&self) -> Vec<ops::Target> {
        let (lanes, mut balances) = (self.driver.lanes(), self.driver.balances());
        let mut by_topic = BTreeMap::<_, BTreeMap<_, _>>::new();
        for (lane, status) in lanes {
            let balance = balances.remove(&lane);
            by_topic.entry(lane.topic.to_string()).or_default().insert(lane.partition, ops::Lane { status, balance });
        }
        let target = |courier: &Arc<Courier>| {
            let topic = courier.topic();
            let lanes = by_topic.remove(&topic).unwrap_or_default();
            ops::Target { binding: courier.binding(), topic, condition: courier.condition(), lanes }
        };
        self.couriers.values().map(target).collect()
    }

    async fn stop(self) {
        // The lanes first: what they have begun may end.
        self.driver.stop().await;
        // A receiver that is gone has stopped by itself.
        let _ = self.stop.send(true);
        for watcher in self.watchers {
            let _ = watcher.await;
        }
    }
}
