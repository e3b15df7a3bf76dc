//! The records a bare loop moves: taken from the topics the gateway has just written.

use crossdock::log::kafka::{KafkaLog, Options};
use crossdock::log::{EventLog as _, ReadLimit, TopicSpec};

use crate::Settings;
use crate::bare::{self, Job, Kind, Sample, TOPICS};
use crate::servers::Servers;

const PARTITIONS: u32 = 6;

pub async fn create_bare_topics(servers: &Servers) {
    let log = open(servers).await;
    for topic in TOPICS {
        let name = bare::bare(topic);
        let spec = TopicSpec { name, partitions: PARTITIONS, max_record_bytes: 16 << 20, retention: None };
        // An existing one stays as it is.
        log.create_topic(&spec).await.expect("the topic can be made");
    }
}

/// The first record of `topic`.
pub async fn read(servers: &Servers, topic: &str) -> Sample {
    let log = open(servers).await;
    for partition in 0..PARTITIONS {
        let limit = ReadLimit { records: 1, bytes: 1 << 20 };
        let Some(stored) = log.read(topic, partition, 0, limit).await.expect("the topic can be read").pop() else {
            continue;
        };
        let record = stored.record;
        return Sample {
            topic: topic.to_owned(),
            key: record.key.unwrap_or_default().to_vec(),
            value: record.value.unwrap_or_default().to_vec(),
            headers: record.headers.into_iter().map(|header| (header.name, header.value.to_vec())).collect(),
        };
    }
    panic!("`{topic}` is empty");
}

/// A bare loop as long as a round.
pub fn job(settings: Settings, servers: &Servers, kind: Kind, intake: Sample, events: Vec<Sample>) -> Job {
    let (bootstrap, records, concurrency) = (servers.kafka().to_owned(), settings.orders, settings.connections);
    Job { kind, bootstrap, records, concurrency, intake, events }
}

async fn open(servers: &Servers) -> std::sync::Arc<KafkaLog> {
    KafkaLog::open(Options::new(servers.kafka(), "crossdock-bench-samples")).await.expect("the broker answers")
}
