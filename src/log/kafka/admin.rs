//! Topics as an administrator sees, makes and changes them.
//!
//! Judges nothing: [`crate::topics`] says how topics should be. Changes are asked for in two runs, the first of which
//! only lets the cluster check them, so that what it does not allow is found before anything is done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;

use super::client::Consumer;
use super::context::Context;
use super::options::Options;
use super::probe::native;
use super::{Admin, Elsewhere, blocking, unavailable};
use crate::log::Error;

/// What a topic's `max.message.bytes` has on top of the limit of its records.
pub use super::catalog::FRAMING_BYTES;

/// A connection to a cluster for looking after its topics; it reads and writes no record.
pub struct TopicAdmin {
    admin: Admin,
    /// Asks for metadata: unlike the other client it learns why no broker can be reached.
    consumer: Consumer,
    options: Options,
}

/// What a cluster says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster {
    pub brokers: usize,
    /// `default.replication.factor`; `None` if this user may not see it.
    pub replication: Option<u16>,
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub partitions: u32,
    /// Of the partition that has the fewest replicas.
    pub replication: u16,
    /// Whether every partition can be written and read now.
    pub has_leaders: bool,
    /// By Kafka's names; `None` if this user may not see them.
    pub settings: Option<BTreeMap<String, Setting>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `None` if the cluster does not show it.
    pub value: Option<String>,
    /// Set for this topic, not a default of the cluster.
    pub is_own: bool,
}

/// A topic to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    pub topic: String,
    pub partitions: u32,
    /// `None`: the cluster's default.
    pub replication: Option<u16>,
    pub settings: BTreeMap<String, String>,
}

/// Settings to be changed; all others of the topic stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub topic: String,
    pub settings: BTreeMap<String, String>,
}

/// Whether the cluster does what it is asked to, or only says whether it would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    Check,
    Do,
}

impl TopicAdmin {
    /// Reaches nobody yet.
    ///
    /// # Errors
    /// [`Error::Unusable`] if the options contradict this build or librdkafka.
    pub fn new(options: Options) -> Result<Self, Error> {
        options.check()?;
        let admin: AdminClient<Context> =
            options.admin().create_with_context(Context::default()).map_err(|error| options.refused(&error))?;
        let consumer = Consumer::new(&options.probe()).map_err(|error| options.refused(&error))?;
        Ok(Self { admin: Arc::new(Elsewhere::new(admin)), consumer, options })
    }

    /// How long one question to the cluster may take.
    pub fn timeout(&self) -> Duration {
        self.options.request_timeout
    }

    /// # Errors
    /// [`Error::Unavailable`] if no broker answers in time.
    pub async fn cluster(&self) -> Result<Cluster, Error> {
        let brokers: Vec<i32> = self
            .ask(|consumer, timeout| {
                let metadata = consumer.fetch_metadata(None, timeout).map_err(unavailable)?;
                Ok(metadata.brokers().iter().map(|broker| broker.id()).collect())
            })
            .await?;
        let Some(&first) = brokers.first() else { return Err(unavailable("the cluster names no broker")) };
        let asked = [&ResourceSpecifier::Broker(first)];
        let described = self.admin.describe_configs(asked, &self.run(Run::Do)).await.map_err(unavailable)?;
        // A user who may not see the broker's settings is not kept out.
        let broker = described.into_iter().find_map(Result::ok);
        let setting = broker.as_ref().and_then(|broker| broker.get("default.replication.factor"));
        let replication = setting.and_then(|entry| entry.value.as_deref()?.parse().ok());
        Ok(Cluster { brokers: brokers.len(), replication })
    }

    /// Names of all topics this user may see.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no broker answers in time.
    pub async fn names(&self) -> Result<BTreeSet<String>, Error> {
        self.ask(|consumer, timeout| {
            let metadata = consumer.fetch_metadata(None, timeout).map_err(unavailable)?;
            let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
            Ok(topics.map(|topic| topic.name().to_owned()).collect())
        })
        .await
    }

    /// Those of `names` that exist and that this user may see.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no broker answers in time.
    pub async fn describe(&self, names: BTreeSet<String>) -> Result<BTreeMap<String, Described>, Error> {
        // All topics: a question for one that is missing can make it, where the cluster does so.
        let mut found: BTreeMap<String, Described> = self
            .ask(move |consumer, timeout| {
                let metadata = consumer.fetch_metadata(None, timeout).map_err(unavailable)?;
                // Only without an error is there a list of partitions to look at.
                let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
                let wanted = topics.filter(|topic| names.contains(topic.name()));
                let described = wanted.map(|topic| {
                    let partitions = topic.partitions();
                    let replicas = partitions.iter().map(|partition| partition.replicas().len()).min();
                    let described = Described {
                        partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
                        replication: replicas.map_or(0, |count| u16::try_from(count).unwrap_or(u16::MAX)),
                        has_leaders: partitions.iter().all(|partition| partition.leader() >= 0),
                        settings: None,
                    };
                    (topic.name().to_owned(), described)
                });
                Ok(described.collect())
            })
            .await?;
        let names: Vec<_> = found.keys().cloned().collect();
        for (name, settings) in self.settings(&names).await? {
            if let Some(described) = found.get_mut(&name) {
                described.settings = settings;
            }
        }
        Ok(found)
    }

    /// One that is there already, which another hand may have made meanwhile, stays as it is.
    ///
    /// # Errors
    /// [`Error::Unusable`] if the cluster does not allow one of them, [`Error::Unavailable`] if it cannot now; those
    /// before and behind it may have been made.
    pub async fn create(&self, creations: &[Creation], run: Run) -> Result<(), Error> {
        if creations.is_empty() {
            return Ok(());
        }
        let topics: Vec<_> = creations
            .iter()
            .map(|creation| {
                let replication = TopicReplication::Fixed(creation.replication.map_or(-1, i32::from));
                let topic = NewTopic::new(&creation.topic, native(creation.partitions), replication);
                creation.settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
            })
            .collect();
        let created = self.admin.create_topics(&topics, &self.run(run)).await.map_err(unavailable)?;
        let refused = created.into_iter().filter_map(Result::err);
        let refused = refused.into_iter().find(|(_, code)| *code != RDKafkaErrorCode::TopicAlreadyExists);
        refused.map_or(Ok(()), |(topic, code)| Err(self.refused(&topic, "made", code)))
    }

    /// Sends each topic's own settings together with the changed ones: the only way to change a setting sends them
    /// all, and one left out would fall back to the cluster's default.
    ///
    /// # Errors
    /// As [`Self::create`]; also [`Error::Unusable`] if a setting that has to be sent along is not shown.
    pub async fn change(&self, changes: &[Change], run: Run) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = changes.iter().map(|change| change.topic.clone()).collect();
        let current = self.settings(&names).await?;
        let mut all = Vec::with_capacity(changes.len());
        for (change, (topic, settings)) in changes.iter().zip(current) {
            let mut merged = BTreeMap::new();
            let settings = settings.ok_or_else(|| self.refused(&topic, "changed", NOT_ALLOWED))?;
            for (name, setting) in settings.into_iter().filter(|(_, setting)| setting.is_own) {
                let value = setting.value.ok_or_else(|| {
                    let reason = format!("topic `{topic}` cannot be changed: its setting `{name}` is not shown");
                    self.options.unusable(reason)
                })?;
                merged.insert(name, value);
            }
            merged.extend(change.settings.clone());
            all.push((topic, merged));
        }
        let requests: Vec<_> = all
            .iter()
            .map(|(topic, settings)| {
                let request = AlterConfig::new(ResourceSpecifier::Topic(topic));
                settings.iter().fold(request, |request, (name, value)| request.set(name, value))
            })
            .collect();
        let changed = self.admin.alter_configs(&requests, &self.run(run)).await.map_err(unavailable)?;
        // The answers are in the order of the requests.
        let refused = changed.into_iter().zip(&all).find_map(|(answer, (topic, _))| Some((topic, answer.err()?.1)));
        refused.map_or(Ok(()), |(topic, code)| Err(self.refused(topic, "changed", code)))
    }

    /// The settings of each of `names`, in their order; `None` if this user may not see them.
    async fn settings(&self, names: &[String]) -> Result<Vec<(String, Option<BTreeMap<String, Setting>>)>, Error> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let answers = self.admin.describe_configs(&asked, &self.run(Run::Do)).await.map_err(unavailable)?;
        // The answers are in the order of the questions.
        let answers = names.iter().zip(answers).map(|(name, answer)| match answer {
            Ok(resource) => Ok((name.clone(), Some(settings_of(resource)))),
            Err(NOT_ALLOWED) => Ok((name.clone(), None)),
            Err(code) => Err(unavailable(format!("settings of topic `{name}`: {code}"))),
        });
        answers.collect()
    }

    fn run(&self, run: Run) -> AdminOptions {
        let timeout = Some(self.options.request_timeout);
        AdminOptions::new().request_timeout(timeout).operation_timeout(timeout).validate_only(run == Run::Check)
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer<Context>, Duration) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (consumer, timeout) = (self.consumer.share(), self.options.request_timeout);
        let trouble = consumer.context().clone();
        let answer = blocking(move || question(&consumer, timeout)).await?;
        answer.map_err(|error| match (error, trouble.trouble()) {
            (Error::Unavailable { reason }, Some(trouble)) => unavailable(format!("{reason}: {trouble}")),
            (error, _) => error,
        })
    }

    /// What the cluster will not do at the next try either is not a matter of waiting.
    fn refused(&self, topic: &str, what: &str, code: RDKafkaErrorCode) -> Error {
        let reason = format!("topic `{topic}` cannot be {what}: {code}");
        match code {
            NOT_ALLOWED
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::InvalidConfig
            | RDKafkaErrorCode::InvalidPartitions
            | RDKafkaErrorCode::InvalidReplicationFactor
            | RDKafkaErrorCode::InvalidTopic => self.options.unusable(reason),
            _ => unavailable(reason),
        }
    }
}

const NOT_ALLOWED: RDKafkaErrorCode = RDKafkaErrorCode::TopicAuthorizationFailed;

fn settings_of(resource: ConfigResource) -> BTreeMap<String, Setting> {
    let setting = |entry: rdkafka::admin::ConfigEntry| {
        let is_own = entry.source == ConfigSource::DynamicTopic;
        (entry.name, Setting { value: entry.value, is_own })
    };
    resource.entries.into_iter().map(setting).collect()
}
