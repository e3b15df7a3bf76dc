//! Lanes on real engines, stepped by hand; one partition.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::script::{Script, Scripted};
use crate::clock::ManualClock;
use crate::driver::owner::Owner;
use crate::driver::{Deps, GROUP, Reach, Stage, Topics};
use crate::lane::command::{Command, Verb};
use crate::lane::{Key, Policy, Tier, Topic};
use crate::log::{self, Append, EventLog, Header, Membership, Ownership, ReadLimit, Record, Stored, TopicSpec};
use crate::ownership::faults::{FaultyMembership, Script as Faults};
use crate::ownership::{Board, Calls, End, Pace};
use crate::store::{LaneId, LaneStore};
use crate::telemetry::metrics::Metrics;

/// When the tests begin, epoch milliseconds.
pub const START: i64 = 1_772_612_131_000;

/// Log and store of one test, and what is to go when it is over.
pub struct Engines {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn LaneStore>,
    /// Before every name.
    pub prefix: String,
    pub clock: Arc<ManualClock>,
    pub guard: Box<dyn Any + Send + Sync>,
}

pub struct World {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn LaneStore>,
    pub clock: Arc<ManualClock>,
    pub metrics: Arc<Metrics>,
    pub board: Arc<Board>,
    pub policy: Policy,
    pub script: Arc<Script>,
    pub topic: Arc<str>,
    pub commits: Arc<Faults<log::Error>>,
    pub asks: Arc<Faults<log::Error>>,
    group: String,
    learned: watch::Sender<u64>,
    stops: Mutex<Vec<watch::Sender<bool>>>,
    _guard: Box<dyn Any + Send + Sync>,
}

/// Two retries, after one and ten minutes, to the millisecond: longer than any test takes by a clock of its own.
pub fn policy() -> Policy {
    let tier = |minutes| Tier { delay: Duration::from_mins(minutes), retired: false };
    Policy { tiers: vec![tier(1), tier(10)], attempts: 3, jitter_permille: 0, ..Policy::default() }
}

impl World {
    pub async fn new(engines: Engines, reach: Reach, policy: Policy) -> Self {
        let Engines { log, store, prefix, clock, guard } = engines;
        let topic: Arc<str> = Arc::from(format!("{prefix}crossdock.out.north"));
        let published = format!("{prefix}published");
        let metrics = Arc::new(Metrics::new().unwrap());
        let world = Self {
            board: Arc::new(Board::new(metrics.clone(), vec![topic.clone()])),
            script: Arc::new(Script::new(reach, &published)),
            group: format!("{prefix}{GROUP}"),
            learned: watch::Sender::new(0),
            commits: Arc::default(),
            asks: Arc::default(),
            stops: Mutex::default(),
            _guard: guard,
            log,
            store,
            clock,
            metrics,
            policy,
            topic,
        };
        let names = world.topics().await.all().into_iter().map(|(name, _)| name.to_string());
        for name in names.chain([published]) {
            let spec = TopicSpec { name, partitions: 1, max_record_bytes: 1 << 20, retention: None };
            world.log.create_topic(&spec).await.unwrap();
        }
        world
    }

    pub async fn topics(&self) -> Topics {
        let existing = self.log.topics().await.unwrap();
        let delays = self.policy.tiers.iter().map(|tier| tier.delay);
        Topics::of(&self.topic, delays, existing.keys().map(String::as_str)).unwrap()
    }

    /// Appends records of the lane's own topic, by key and value.
    pub async fn append(&self, records: &[(&str, &str)]) {
        let headers = || vec![Header::text("theirs", "1"), Header { name: "raw".into(), value: vec![0xff, 0].into() }];
        let record = |(key, value): &(&str, &str)| Record {
            key: Some(key.to_string().into()),
            value: Some(value.to_string().into()),
            headers: headers(),
        };
        self.append_to(&self.topic.clone(), records.iter().map(record).collect()).await;
    }

    pub async fn append_to(&self, topic: &str, records: Vec<Record>) {
        let append = |record| Append { topic: Arc::from(topic), partition: Some(0), record };
        self.log.append(records.into_iter().map(append).collect()).await.unwrap();
    }

    /// Writes an operator's command; `record` is what it carries.
    pub async fn command(&self, id: &str, key: &str, verb: Verb, record: Record) {
        let command = Command { id: id.to_owned(), key: Key::new(key.as_bytes()).unwrap(), verb };
        let mut headers = command.headers();
        headers.extend(record.headers);
        let control = self.topics().await.control;
        self.append_to(&control, vec![Record { headers, ..record }]).await;
    }

    /// Every record of a topic.
    pub async fn records(&self, topic: &str) -> Vec<Stored> {
        let mut records = Vec::new();
        loop {
            let from = records.last().map_or(0, |last: &Stored| last.offset + 1);
            let page = self.log.read(topic, 0, from, ReadLimit { records: 500, bytes: 1 << 20 }).await.unwrap();
            if page.is_empty() {
                return records;
            }
            records.extend(page);
        }
    }

    /// The values in a topic.
    pub async fn values(&self, topic: &str) -> Vec<String> {
        self.records(topic).await.iter().map(|stored| super::script::text(&stored.record)).collect()
    }

    pub async fn published(&self) -> Vec<String> {
        self.values(&self.script.published.clone()).await
    }

    pub fn deps(&self) -> Deps {
        let zero = Duration::ZERO;
        Deps {
            log: self.log.clone(),
            store: self.store.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            pace: Pace { poll: zero, check_every: zero, backoff_first: zero, backoff_cap: zero },
            accept_skip: false,
            drain: Duration::from_secs(60),
            learned: self.learned.clone(),
        }
    }

    pub fn stage(&self) -> Stage {
        let work = Arc::new(Scripted(self.script.clone()));
        Stage { topic: self.topic.clone(), policy: self.policy.clone(), work }
    }

    /// A new owner of the lane; the former one is fenced.
    pub(in crate::driver) async fn owner(&self) -> Result<Owner, End> {
        let calls = self.calls().await;
        Owner::take_over(Arc::new(self.deps()), Arc::new(self.stage()), calls).await
    }

    /// A new member of the group, which owns the lane.
    pub async fn calls(&self) -> Calls {
        let inner = self.log.join(&self.group, &[&self.topic]).await.unwrap();
        let membership = FaultyMembership { inner, commits: self.commits.clone(), asks: self.asks.clone() };
        let lane = loop {
            if let Ownership::Assigned(lanes) = membership.next().await.unwrap()
                && let Some(lane) = lanes.into_iter().next()
            {
                break lane;
            }
        };
        let (stop, stopping) = watch::channel(false);
        self.stops.lock().unwrap().push(stop);
        let deps = self.deps();
        Calls {
            log: deps.log.clone(),
            membership: Arc::new(membership),
            board: self.board.clone(),
            metrics: deps.metrics.clone(),
            pace: deps.pace,
            id: self.lane_id(),
            lane,
            stop: stopping,
        }
    }

    pub fn lane_id(&self) -> LaneId {
        LaneId { topic: self.topic.clone(), partition: 0 }
    }

    /// Tells every owner to stop.
    pub fn stop(&self) {
        for stop in self.stops.lock().unwrap().iter() {
            stop.send_replace(true);
        }
    }

    /// Lets `owner` do all that can be done now.
    pub(in crate::driver) async fn settle(&self, owner: &mut Owner) -> Result<(), End> {
        (owner.is_source_dry, owner.is_control_dry) = (false, false);
        loop {
            let is_busy = owner.round().await?;
            assert!(owner.lane.balance().is_even(), "{:?}", owner.lane.balance());
            if is_busy {
                continue;
            }
            match owner.flights.join_next().await {
                Some(flown) => owner.land(flown)?,
                None if self.has_more(owner).await => tokio::task::yield_now().await,
                None => return Ok(()),
            }
        }
    }

    /// Whether the lane would take a record that has not arrived yet: a poll does not wait for those of Kafka.
    pub(in crate::driver) async fn has_more(&self, owner: &mut Owner) -> bool {
        owner.is_source_dry = false;
        let end = self.log.bounds(&self.topic, 0).await.unwrap().end;
        owner.lane.wanted() > 0 && owner.lane.position(Topic::Source) < end
    }

    /// As [`Self::settle`], by one owner after the other until none is fenced, `passes` times with ten minutes between.
    /// Each owner begins with the time the log shows: what waits for a delay needs one that lives.
    pub async fn run(&self, passes: usize) -> Result<(), End> {
        loop {
            let ran = match self.owner().await {
                Ok(mut owner) => {
                    let ran = self.run_owner(&mut owner, passes).await;
                    // It dies with its answers written down, and nothing more.
                    while owner.flights.join_next().await.is_some() {}
                    ran
                }
                Err(end) => Err(end),
            };
            match ran {
                Err(End::Fenced) => {}
                ran => return ran,
            }
        }
    }

    async fn run_owner(&self, owner: &mut Owner, passes: usize) -> Result<(), End> {
        for _ in 0..passes {
            self.settle(owner).await?;
            self.pass(600_000);
        }
        self.settle(owner).await
    }

    /// Time passes, by every clock.
    pub fn pass(&self, by_ms: i64) {
        self.clock.advance(by_ms);
    }
}
