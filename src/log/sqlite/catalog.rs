//! What is known of topics in memory: where a record goes, where a partition starts and ends, and who waits for it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::watch;

use crate::log::{Bounds, Error, Stored};

/// SQLite refuses rows of more than 1 000 000 000 bytes.
const MAX_RECORD_BYTES: usize = 512 * 1024 * 1024;

/// A number for each partition of each topic, dense from 0: the name of its table of records.
pub type Slot = u32;

/// All topics by name. A topic is replaced whole when its settings change; its partitions stay the same objects.
#[derive(Debug, Default)]
pub struct Catalog {
    topics: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
pub struct Topic {
    pub name: Arc<str>,
    pub partitions: Vec<Arc<Partition>>,
    pub max_record_bytes: usize,
    /// `None`: kept until trimmed.
    pub retention_ms: Option<i64>,
}

/// One partition as readers see it: only what is committed.
#[derive(Debug)]
pub struct Partition {
    pub topic: Arc<str>,
    pub number: u32,
    pub slot: Slot,
    start: AtomicI64,
    end: watch::Sender<i64>,
    recent: Mutex<VecDeque<Stored>>,
}

impl Catalog {
    pub fn topic(&self, name: &str) -> Result<Arc<Topic>, Error> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(name).cloned().ok_or_else(|| Error::UnknownTopic { topic: name.to_owned() })
    }

    pub fn partition(&self, topic: &str, number: u32) -> Result<Arc<Partition>, Error> {
        self.topic(topic)?.partition(number).cloned()
    }

    pub fn partition_counts(&self) -> BTreeMap<String, u32> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.values().map(|topic| (topic.name.to_string(), topic.partition_count())).collect()
    }

    pub fn insert(&self, topic: Topic) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.insert(topic.name.clone(), Arc::new(topic));
        drop(topics);
        self.changed.send_replace(());
    }

    /// Wakes at every topic that is made or changed.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Every partition of a topic with a retention, with its milliseconds.
    pub fn retained(&self) -> Vec<(Slot, i64)> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let with_retention = topics.values().filter_map(|topic| Some((topic, topic.retention_ms?)));
        with_retention.flat_map(|(topic, ms)| topic.partitions.iter().map(move |part| (part.slot, ms))).collect()
    }
}

impl Topic {
    pub fn new(
        name: Arc<str>,
        partitions: Vec<Arc<Partition>>,
        max_record_bytes: usize,
        retention_ms: Option<i64>,
    ) -> Self {
        Self { name, partitions, max_record_bytes: max_record_bytes.min(MAX_RECORD_BYTES), retention_ms }
    }

    pub fn has_settings_of(&self, other: &Self) -> bool {
        (self.max_record_bytes, self.retention_ms) == (other.max_record_bytes, other.retention_ms)
    }

    pub fn partition(&self, number: u32) -> Result<&Arc<Partition>, Error> {
        self.partitions.get(number as usize).ok_or_else(|| Error::UnknownPartition {
            topic: self.name.to_string(),
            partition: number,
            partitions: self.partition_count(),
        })
    }

    pub fn partition_count(&self) -> u32 {
        // Created from a `u32`, one entry each.
        self.partitions.len() as u32
    }
}

impl Partition {
    pub fn new(topic: Arc<str>, number: u32, slot: Slot, bounds: Bounds) -> Self {
        let (start, end) = (AtomicI64::new(bounds.start), watch::Sender::new(bounds.end));
        Self { topic, number, slot, start, end, recent: Mutex::default() }
    }

    pub fn bounds(&self) -> Bounds {
        Bounds { start: self.start(), end: *self.end.borrow() }
    }

    pub fn start(&self) -> i64 {
        self.start.load(Ordering::Acquire)
    }

    /// Wakes at every commit that touches the partition.
    pub fn watch_end(&self) -> watch::Receiver<i64> {
        self.end.subscribe()
    }

    pub fn publish_start(&self, start: i64) {
        self.start.store(start, Ordering::Release);
    }

    pub fn publish_end(&self, end: i64) {
        self.end.send_replace(end);
    }

    /// The newest committed records, without a gap between them.
    pub fn recent(&self) -> MutexGuard<'_, VecDeque<Stored>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
