//! Appends outside lanes: an idempotent producer without transactions.
//!
//! Not a transactional one: the transaction of a process that was killed hides every record behind it until it times
//! out, also what others were told is durable.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer as _;

use super::delivery::{self, Deliverer, Deliveries, Producer, Row};
use super::options::Options;
use super::{Elsewhere, unavailable};
use crate::log::{Error, Position};

type Shared = Arc<Elsewhere<Producer>>;

pub struct Appender {
    options: Options,
    /// Replaced when librdkafka declares it unusable.
    producer: Mutex<Option<Shared>>,
    /// For topics that take less than a batch: one record of theirs at a time is on its way.
    narrow: tokio::sync::Mutex<()>,
}

impl Appender {
    pub fn new(options: Options) -> Self {
        Self { options, producer: Mutex::default(), narrow: tokio::sync::Mutex::new(()) }
    }

    /// Positions in the order of `rows`.
    pub async fn append(&self, rows: &[Row]) -> Result<Vec<Position>, Error> {
        let producer = self.producer()?;
        let outcome = if rows.iter().any(|row| row.topic.is_narrow()) {
            let _alone = self.narrow.lock().await;
            let mut positions = Vec::with_capacity(rows.len());
            for row in rows {
                positions.extend(deliver(&producer, std::slice::from_ref(row)).await?);
            }
            Ok(positions)
        } else {
            deliver(&producer, rows).await
        };
        if outcome.is_err() {
            self.replace_if_unusable(&producer);
        }
        outcome
    }

    fn producer(&self) -> Result<Shared, Error> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = &*producer {
            return Ok(producer.clone());
        }
        let new: Producer = self
            .options
            .appender()
            .create_with_context(Deliverer::default())
            .map_err(|error| self.options.refused(&error))?;
        Ok(producer.insert(Arc::new(Elsewhere::new(new))).clone())
    }

    fn replace_if_unusable(&self, failed: &Shared) {
        let Some((code, reason)) = failed.client().fatal_error() else { return };
        tracing::error!(kafka.error = %code, kafka.reason = reason, "replacing the producer of appends");
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        producer.take_if(|producer| Arc::ptr_eq(producer, failed));
    }
}

async fn deliver(producer: &Producer, rows: &[Row]) -> Result<Vec<Position>, Error> {
    let deliveries = Deliveries::new(rows.len());
    for (index, row) in rows.iter().enumerate() {
        if let Err(code) = send(producer, row, deliveries.slot(index)).await {
            // What follows is not sent: a prefix may be written, but nothing behind a gap.
            for index in index..rows.len() {
                deliveries.slot(index).settle(Err(code));
            }
            break;
        }
    }
    deliveries.settled().await;
    let outcomes = deliveries.outcomes();
    let position = |(row, outcome): (&Row, &Option<delivery::Outcome>)| match outcome {
        Some(Ok(position)) => Ok(*position),
        Some(Err(code)) => Err(delivery::failed(*code, row)),
        None => Err(unavailable("a record's delivery is unknown")),
    };
    rows.iter().zip(outcomes.iter()).map(position).collect()
}

/// Waits while the producer's queue is full.
async fn send(producer: &Producer, row: &Row, mut slot: Box<delivery::Slot>) -> Result<(), RDKafkaErrorCode> {
    let context = producer.context();
    loop {
        let freed = context.freed.notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        match delivery::send(producer, row, slot) {
            Ok(()) => return Ok(()),
            Err((RDKafkaErrorCode::QueueFull, unsent)) => slot = unsent,
            Err((code, _)) => return Err(code),
        }
        freed.await;
    }
}
