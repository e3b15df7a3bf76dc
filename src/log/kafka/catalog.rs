//! What is known of topics: how many partitions, how large a record may be.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminOptions, ConfigSource, ResourceSpecifier};
use rdkafka::error::RDKafkaErrorCode;

use super::options::{BATCH_BYTES, Options};
use super::probe::Probe;
use super::{Admin, unavailable};
use crate::log::{Error, murmur2};

/// Broker and record framing around key, value and headers: what a topic's `max.message.bytes` has on top of the
/// limit of its records. 61 bytes of a batch, some 20 of a record, up to 10 for each header.
pub const FRAMING_BYTES: usize = 1024;
/// After so long an operator's change of a topic is seen.
const FRESH: Duration = Duration::from_secs(300);
/// Kafka's own rule.
const MAX_NAME_BYTES: usize = 249;

#[derive(Debug)]
pub struct Topic {
    pub name: Arc<str>,
    pub partitions: u32,
    /// Key, value and headers together; what cannot be found out does not limit.
    pub max_record_bytes: usize,
    seen: Instant,
}

pub struct Catalog {
    probe: Arc<Probe>,
    admin: Admin,
    timeout: Duration,
    topics: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
    /// One asks, the others wait for the answer.
    asking: tokio::sync::Mutex<()>,
}

impl Catalog {
    pub fn new(options: &Options, probe: Arc<Probe>, admin: Admin) -> Self {
        Self {
            probe,
            admin,
            timeout: options.request_timeout,
            topics: RwLock::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    pub async fn topic(&self, name: &str) -> Result<Arc<Topic>, Error> {
        if let Some(topic) = self.known(name) {
            return Ok(topic);
        }
        let _asking = self.asking.lock().await;
        match self.known(name) {
            Some(topic) => Ok(topic),
            None => self.load(name).await,
        }
    }

    /// As [`Self::topic`], if the partition exists.
    pub async fn partition(&self, name: &str, partition: u32) -> Result<Arc<Topic>, Error> {
        let topic = self.topic(name).await?;
        topic.check(partition)?;
        Ok(topic)
    }

    /// Asks the cluster, whatever is known.
    pub async fn load(&self, name: &str) -> Result<Arc<Topic>, Error> {
        if !is_legal(name) {
            return Err(Error::UnknownTopic { topic: name.to_owned() });
        }
        let (partitions, _) = self.probe.topic(name).await?;
        let settings = self.settings(name).await?;
        let max = settings.and_then(|settings| settings.number("max.message.bytes"));
        let max_record_bytes = max.map_or(usize::MAX, |bytes| bytes.saturating_sub(FRAMING_BYTES));
        let topic = Arc::new(Topic { name: name.into(), partitions, max_record_bytes, seen: Instant::now() });
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.insert(topic.name.clone(), topic.clone());
        Ok(topic)
    }

    /// The settings of a topic; `None` if this user may not see them.
    pub async fn settings(&self, name: &str) -> Result<Option<Settings>, Error> {
        let described = self.admin.describe_configs([&ResourceSpecifier::Topic(name)], &self.options()).await;
        match described.map_err(unavailable)?.into_iter().next() {
            Some(Ok(resource)) => {
                let values = resource.entries.into_iter().filter_map(|entry| {
                    let own = entry.source == ConfigSource::DynamicTopic;
                    Some((entry.name, (entry.value?, own)))
                });
                Ok(Some(Settings(values.collect())))
            }
            Some(Err(RDKafkaErrorCode::UnknownTopicOrPartition)) => Err(Error::UnknownTopic { topic: name.to_owned() }),
            Some(Err(RDKafkaErrorCode::TopicAuthorizationFailed)) | None => Ok(None),
            Some(Err(code)) => Err(unavailable(format!("settings of topic `{name}`: {code}"))),
        }
    }

    pub fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    fn known(&self, name: &str) -> Option<Arc<Topic>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(name).filter(|topic| topic.seen.elapsed() < FRESH).cloned()
    }
}

impl Topic {
    /// The partition of a record with that key.
    pub fn place(&self, partition: Option<u32>, key: Option<&[u8]>) -> Result<u32, Error> {
        let partition = partition.unwrap_or_else(|| murmur2::partition(key, self.partitions));
        self.check(partition).map(|()| partition)
    }

    /// Whether a batch of records, each within the limit, can be too large for the topic: then its records go alone.
    pub fn is_narrow(&self) -> bool {
        self.max_record_bytes < BATCH_BYTES
    }

    pub fn check(&self, partition: u32) -> Result<(), Error> {
        if partition < self.partitions {
            return Ok(());
        }
        let topic = self.name.to_string();
        Err(Error::UnknownPartition { topic, partition, partitions: self.partitions })
    }
}

/// Value of each setting of a topic, and whether it is the topic's own.
#[derive(Debug)]
pub struct Settings(HashMap<String, (String, bool)>);

impl Settings {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(value, _)| value.as_str())
    }

    /// Those that are not a default of the cluster.
    pub fn own(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(|(_, (_, own))| *own).map(|(name, (value, _))| (name.as_str(), value.as_str()))
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }
}

/// Whether Kafka allows a topic of that name.
pub fn is_legal(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name != "." && name != ".." && name.bytes().all(legal)
}
