//! Makes topics, and deletes their oldest records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::admin::{AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;

use super::catalog::{Catalog, FRAMING_BYTES, Settings, Topic, is_legal};
use super::probe::{Probe, native};
use super::{Admin, unavailable};
use crate::log::{Error, TopicSpec};

/// Between two looks at a topic that was just made.
const PROPAGATION: Duration = Duration::from_millis(20);

pub struct Topics {
    pub admin: Admin,
    pub catalog: Arc<Catalog>,
    pub probe: Arc<Probe>,
    pub replication: Option<u16>,
    pub timeout: Duration,
}

impl Topics {
    /// Makes the topic, or gives an existing one the limits of `spec`.
    pub async fn create(&self, spec: &TopicSpec) -> Result<(), Error> {
        if !is_legal(&spec.name) {
            let reason = "Kafka allows 249 letters, digits, `.`, `_` and `-` in a topic's name";
            return Err(Error::Unusable { path: spec.name.clone(), reason: reason.to_owned() });
        }
        let settings = settings(spec);
        let replication = self.replication.map_or(-1, i32::from);
        let mut topic = NewTopic::new(&spec.name, native(spec.partitions), TopicReplication::Fixed(replication));
        for (name, value) in &settings {
            topic = topic.set(name, value);
        }
        let created = self.admin.create_topics([&topic], &self.catalog.options()).await.map_err(unavailable)?;
        match created.into_iter().next() {
            Some(Ok(_)) => self.await_leaders(&spec.name).await,
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => self.align(spec, &settings).await,
            Some(Err((_, code))) => Err(unavailable(format!("topic `{}` cannot be made: {code}", spec.name))),
            None => Err(unavailable(format!("topic `{}` cannot be made: no answer", spec.name))),
        }
    }

    /// Deletes records below `before`, but none that a group has still to read; the start that was reached.
    pub async fn trim(&self, topic: &Topic, partition: u32, before: i64) -> Result<i64, Error> {
        let bounds = self.probe.bounds(&topic.name, partition).await?;
        if before <= bounds.start {
            return Ok(bounds.start);
        }
        let mut before = before.min(bounds.end);
        for group in self.probe.groups().await? {
            let committed = self.probe.committed(&group, vec![(topic.name.clone(), partition)]).await?;
            before = committed.iter().map(|offset| offset.committed.offset).fold(before, i64::min);
        }
        if before <= bounds.start {
            return Ok(bounds.start);
        }
        let deleted = {
            let mut offsets = TopicPartitionList::new();
            offsets
                .add_partition_offset(&topic.name, native(partition), Offset::Offset(before))
                .map_err(unavailable)?;
            self.admin.delete_records(&offsets, &self.catalog.options())
        };
        let deleted = deleted.await.map_err(unavailable)?;
        let reached = deleted.elements().first().map(|element| element.error().map(|()| element.offset()));
        match reached.transpose() {
            Ok(Some(Offset::Offset(start))) => Ok(start),
            Ok(_) => Err(unavailable(format!("`{}`/{partition} cannot be trimmed: no answer", topic.name))),
            Err(error) => Err(unavailable(format!("`{}`/{partition} cannot be trimmed: {error}", topic.name))),
        }
    }

    /// A topic is there for the broker that made it before it is there for every client.
    async fn await_leaders(&self, name: &str) -> Result<(), Error> {
        let ready = async {
            loop {
                match self.probe.topic(name).await {
                    Ok((_, true)) => return self.catalog.load(name).await.map(drop),
                    Ok((_, false)) | Err(Error::UnknownTopic { .. }) => tokio::time::sleep(PROPAGATION).await,
                    Err(error) => return Err(error),
                }
            }
        };
        let ready = tokio::time::timeout(self.timeout, ready).await;
        ready.unwrap_or_else(|_| Err(unavailable(format!("topic `{name}` was made and has no leaders"))))
    }

    async fn align(&self, spec: &TopicSpec, wanted: &[(&'static str, String)]) -> Result<(), Error> {
        let topic = self.catalog.load(&spec.name).await?;
        if topic.partitions != spec.partitions {
            let (found, expected) = (topic.partitions, spec.partitions);
            return Err(Error::PartitionCount { topic: spec.name.clone(), found, expected });
        }
        let Some(found) = self.catalog.settings(&spec.name).await? else { return Ok(()) };
        if agrees(&found, wanted) {
            return Ok(());
        }
        // The only way to change a setting sends them all: one left out would fall back to the cluster's default.
        let mut all: BTreeMap<&str, &str> = found.own().collect();
        all.extend(wanted.iter().map(|(name, value)| (*name, value.as_str())));
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(&spec.name));
        for (name, value) in all {
            change = change.set(name, value);
        }
        let changed = self.admin.alter_configs([&change], &self.catalog.options()).await.map_err(unavailable)?;
        if let Some(Err((_, code))) = changed.into_iter().next() {
            return Err(unavailable(format!("topic `{}` cannot be changed: {code}", spec.name)));
        }
        self.await_settings(&spec.name, wanted).await
    }

    /// A change, too, is accepted before every broker knows of it.
    async fn await_settings(&self, name: &str, wanted: &[(&'static str, String)]) -> Result<(), Error> {
        let seen = async {
            while !self.catalog.settings(name).await?.is_none_or(|found| agrees(&found, wanted)) {
                tokio::time::sleep(PROPAGATION).await;
            }
            self.catalog.load(name).await.map(drop)
        };
        let seen = tokio::time::timeout(self.timeout, seen).await;
        seen.unwrap_or_else(|_| Err(unavailable(format!("topic `{name}` was changed and shows no change"))))
    }
}

fn agrees(found: &Settings, wanted: &[(&'static str, String)]) -> bool {
    wanted.iter().all(|(name, value)| found.get(name) == Some(value.as_str()))
}

/// Append times are the broker's: a record that carries an old time of its own would be deleted by retention within
/// minutes, and one from a clock ahead would fail its transaction.
fn settings(spec: &TopicSpec) -> Vec<(&'static str, String)> {
    let retention = spec.retention.map_or_else(|| "-1".to_owned(), |kept| kept.as_millis().to_string());
    let max = spec.max_record_bytes.saturating_add(FRAMING_BYTES).min(i32::MAX as usize);
    vec![
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("max.message.bytes", max.to_string()),
        ("retention.ms", retention),
    ]
}
