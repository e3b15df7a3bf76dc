//! What became of the records given to a producer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::Message as _;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as NativeHeader, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use tokio::sync::Notify;

use super::catalog::Topic;
use super::context;
use crate::log::{Error, Position, Record};

pub type Producer = ThreadedProducer<Deliverer>;

/// A checked record on its way to a partition.
#[derive(Debug, Clone)]
pub struct Row {
    pub topic: Arc<Topic>,
    pub partition: u32,
    pub record: Record,
}

/// Takes the delivery reports of a producer, on that producer's thread.
#[derive(Debug, Default)]
pub struct Deliverer {
    /// Told whenever a record has left the producer's queue.
    pub freed: Notify,
}

/// The outcomes of records sent together, in their order.
#[derive(Debug)]
pub struct Deliveries {
    outcomes: Mutex<Vec<Option<Outcome>>>,
    left: AtomicUsize,
    done: Notify,
}

pub type Outcome = Result<Position, RDKafkaErrorCode>;

/// One record's place in its [`Deliveries`].
#[derive(Debug)]
pub struct Slot {
    deliveries: Arc<Deliveries>,
    index: usize,
}

impl Deliveries {
    pub fn new(records: usize) -> Arc<Self> {
        let outcomes = Mutex::new(vec![None; records]);
        Arc::new(Self { outcomes, left: AtomicUsize::new(records), done: Notify::new() })
    }

    pub fn slot(self: &Arc<Self>, index: usize) -> Box<Slot> {
        Box::new(Slot { deliveries: self.clone(), index })
    }

    /// Waits for every outcome; each comes, at the latest when the producer gives the record up.
    pub async fn settled(&self) {
        while self.left.load(Ordering::Acquire) > 0 {
            self.done.notified().await;
        }
    }

    /// The outcomes so far; `None` is one not known yet.
    pub fn outcomes(&self) -> MutexGuard<'_, Vec<Option<Outcome>>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    pub fn settle(self, outcome: Outcome) {
        if let Some(slot) = self.deliveries.outcomes().get_mut(self.index) {
            *slot = Some(outcome);
        }
        if self.deliveries.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.deliveries.done.notify_one();
        }
    }
}

impl ClientContext for Deliverer {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::report(&error, reason);
    }
}

impl ProducerContext for Deliverer {
    type DeliveryOpaque = Box<Slot>;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: Box<Slot>) {
        slot.settle(match result {
            Ok(message) => Ok(Position {
                partition: u32::try_from(message.partition()).unwrap_or_default(),
                offset: message.offset(),
            }),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        });
        self.freed.notify_waiters();
    }
}

/// Gives a record to the producer, which copies it. On an error the slot comes back unsettled.
pub fn send(producer: &Producer, row: &Row, slot: Box<Slot>) -> Result<(), (RDKafkaErrorCode, Box<Slot>)> {
    let Row { topic, partition, record } = row;
    let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
    let mut native = BaseRecord::<[u8], [u8], _>::with_opaque_to(&topic.name, slot).partition(partition);
    native.key = record.key.as_deref();
    native.payload = record.value.as_deref();
    if !record.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        let insert = |headers: OwnedHeaders, header: &crate::log::Header| {
            headers.insert(NativeHeader { key: &header.name, value: Some(&*header.value) })
        };
        native.headers = Some(record.headers.iter().fold(headers, insert));
    }
    producer.send(native).map_err(|(error, native)| {
        (error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail), native.delivery_opaque)
    })
}

/// What a failed delivery means for whoever sent the record.
pub fn failed(code: RDKafkaErrorCode, row: &Row) -> Error {
    let topic = row.topic.name.to_string();
    match code {
        RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize => {
            Error::TooLarge { topic, bytes: row.record.size(), max: row.topic.max_record_bytes }
        }
        RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition => Error::UnknownTopic { topic },
        RDKafkaErrorCode::UnknownPartition => {
            Error::UnknownPartition { topic, partition: row.partition, partitions: row.topic.partitions }
        }
        code => Error::Unavailable { reason: format!("a record for topic `{topic}` was not written: {code}") },
    }
}
