//! Questions to the cluster: topics, bounds, times, committed offsets. Asked on blocking threads.
//!
//! The client reads uncommitted: an end taken from it lies behind every transaction under way. A reader that has
//! come so far has seen everything that was committed before the question, also what a dead owner's transaction,
//! already decided but not yet marked on this partition, was about to show.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::client::Consumer;
use super::context::Context;
use super::native::CallError;
use super::native::groups::{self, GroupOffset};
use super::options::Options;
use super::{blocking, unavailable};
use crate::log::{Bounds, Error};

/// A new leader is known after some milliseconds.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(20);

pub struct Probe {
    consumer: Consumer,
    timeout: Duration,
}

impl Probe {
    pub fn new(options: &Options) -> Result<Self, Error> {
        let consumer = Consumer::new(&options.probe()).map_err(|error| options.refused(&error))?;
        Ok(Self { consumer, timeout: options.request_timeout })
    }

    /// Partition counts of all topics but the cluster's own, whose names begin with two underscores.
    pub async fn topics(&self) -> Result<BTreeMap<String, u32>, Error> {
        self.ask(|consumer, timeout| {
            let metadata = consumer.fetch_metadata(None, timeout).map_err(unavailable)?;
            let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
            let counts = topics.map(|topic| (topic.name().to_owned(), count(topic.partitions().len())));
            Ok(counts.filter(|(name, _)| !name.starts_with("__")).collect())
        })
        .await
    }

    /// Any broker of the cluster.
    pub async fn broker(&self) -> Result<Option<i32>, Error> {
        self.ask(|consumer, timeout| {
            let metadata = consumer.fetch_metadata(None, timeout).map_err(unavailable)?;
            Ok(metadata.brokers().first().map(|broker| broker.id()))
        })
        .await
    }

    /// Partition count of one topic, and whether each of its partitions can be written and read now.
    pub async fn topic(&self, name: &str) -> Result<(u32, bool), Error> {
        let name = name.to_owned();
        self.ask(move |consumer, timeout| {
            let metadata = consumer.fetch_metadata(Some(&name), timeout).map_err(unavailable)?;
            let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
                return Err(Error::UnknownTopic { topic: name });
            };
            match topic.error().map(RDKafkaErrorCode::from) {
                // Only without an error is there a list of partitions to look at.
                None => {
                    let partitions = topic.partitions();
                    let ready = partitions.iter().all(|partition| partition.leader() >= 0);
                    Ok((count(partitions.len()), ready))
                }
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::InvalidTopic) => {
                    Err(Error::UnknownTopic { topic: name })
                }
                Some(code) => Err(unavailable(format!("topic `{name}`: {code}"))),
            }
        })
        .await
    }

    /// First offset kept, and the end behind every transaction under way.
    pub async fn bounds(&self, topic: &Arc<str>, partition: u32) -> Result<Bounds, Error> {
        let topic = topic.clone();
        self.ask(move |consumer, timeout| {
            let ask = |timeout| consumer.fetch_watermarks(&topic, native(partition), timeout);
            let watermarks = of_leader(timeout, ask);
            let (start, end) = watermarks.map_err(|error| refused(&error, &topic))?;
            Ok(Bounds { start, end })
        })
        .await
    }

    /// The first offset whose append time is at or after `time_ms`; `None` if there is none.
    pub async fn offset_at(&self, topic: &Arc<str>, partition: u32, time_ms: i64) -> Result<Option<i64>, Error> {
        let topic = topic.clone();
        self.ask(move |consumer, timeout| {
            let mut times = TopicPartitionList::new();
            // Negative times have a meaning of their own there.
            let asked = times.add_partition_offset(&topic, native(partition), Offset::Offset(time_ms.max(0)));
            let ask = |timeout| consumer.offsets_for_times(times.clone(), timeout);
            let found = asked.and_then(|()| of_leader(timeout, ask));
            let found = found.map_err(|error| refused(&error, &topic))?;
            let first = found.elements().first().map(|element| element.error().map(|()| element.offset()));
            match first.transpose().map_err(|error| refused(&error, &topic))? {
                Some(Offset::Offset(offset)) => Ok(Some(offset)),
                _ => Ok(None),
            }
        })
        .await
    }

    /// What `group` has committed on `partitions`.
    pub async fn committed(&self, group: &str, partitions: Vec<(Arc<str>, u32)>) -> Result<Vec<GroupOffset>, Error> {
        let group = group.to_owned();
        self.ask(move |consumer, timeout| committed(consumer, &group, &partitions, timeout)).await
    }

    /// As [`Self::committed`], for a thread that may block.
    pub fn committed_now(&self, group: &str, partitions: &[(Arc<str>, u32)]) -> Result<Vec<GroupOffset>, Error> {
        committed(&self.consumer.share(), group, partitions, self.timeout)
    }

    pub async fn groups(&self) -> Result<Vec<String>, Error> {
        self.ask(|consumer, timeout| groups::names(consumer.client(), timeout).map_err(unavailable)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer<Context>, Duration) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (consumer, timeout) = (self.consumer.share(), self.timeout);
        let trouble = consumer.context().clone();
        let answer = blocking(move || question(&consumer, timeout)).await?;
        answer.map_err(|error| match (error, trouble.trouble()) {
            (Error::Unavailable { reason }, Some(trouble)) => unavailable(format!("{reason}: {trouble}")),
            (error, _) => error,
        })
    }
}

fn committed(
    consumer: &BaseConsumer<Context>,
    group: &str,
    partitions: &[(Arc<str>, u32)],
    timeout: Duration,
) -> Result<Vec<GroupOffset>, Error> {
    match groups::offsets(consumer.client(), group, &list(partitions), timeout) {
        // Brokers forget a group of the new protocol with its last member and offset.
        Err(CallError { code: RDKafkaErrorCode::GroupIdNotFound, .. }) => Ok(Vec::new()),
        offsets => offsets.map_err(unavailable),
    }
}

/// Asks again while the leader of a partition is only being chosen or has just changed: at the first such answer
/// librdkafka gives the question up, and learns who leads meanwhile. Blocks, at most for `timeout`.
pub fn of_leader<T>(
    timeout: Duration,
    mut ask: impl FnMut(Duration) -> Result<T, KafkaError>,
) -> Result<T, KafkaError> {
    let until = Instant::now() + timeout;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match ask(left) {
            Err(error) if is_about_leader(&error) && left > BETWEEN_QUESTIONS => {
                std::thread::sleep(BETWEEN_QUESTIONS);
            }
            answer => return answer,
        }
    }
}

fn is_about_leader(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{FencedLeaderEpoch, LeaderNotAvailable, NotLeaderForPartition, UnknownLeaderEpoch};
    let code = error.rdkafka_error_code();
    matches!(code, Some(NotLeaderForPartition | LeaderNotAvailable | FencedLeaderEpoch | UnknownLeaderEpoch))
}

/// A partition number as librdkafka counts them.
pub fn native(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

pub fn list(partitions: &[(Arc<str>, u32)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition(topic, native(*partition));
    }
    list
}

fn count(partitions: usize) -> u32 {
    u32::try_from(partitions).unwrap_or(u32::MAX)
}

fn refused(error: &KafkaError, topic: &str) -> Error {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
            Error::UnknownTopic { topic: topic.to_owned() }
        }
        _ => unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leader_that_is_not_known_yet_is_asked_for_again() {
        use RDKafkaErrorCode::{NotLeaderForPartition, UnknownTopicOrPartition};
        for (first, asked) in [(Some(NotLeaderForPartition), 2), (Some(UnknownTopicOrPartition), 1), (None, 1)] {
            let mut questions = 0;

            let answer = of_leader(Duration::from_secs(60), |_| {
                questions += 1;
                match first.filter(|_| questions == 1) {
                    Some(code) => Err(KafkaError::MetadataFetch(code)),
                    None => Ok(()),
                }
            });

            assert_eq!(questions, asked, "{first:?}");
            assert_eq!(answer.is_ok(), asked == 2 || first.is_none(), "{first:?}");
        }
        let never = of_leader(Duration::ZERO, |_| Err::<(), _>(KafkaError::MetadataFetch(NotLeaderForPartition)));
        assert!(never.is_err(), "the time is over");
    }
}
