//! Where the reading of one partition stands.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::Message as _;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::watch;

use super::context::Context;
use super::native::record;
use super::probe::{list, native};
use super::unavailable;
use crate::log::{Bounds, Error, ReadLimit, Record, Stored};

/// How long the consumer may take to move to another offset: local work, unless its thread is stuck.
const MOVE: Duration = Duration::from_secs(5);

pub struct Cursor {
    topic: Arc<str>,
    partition: u32,
    queue: PartitionQueue<Context>,
    /// The list of this one partition, for the calls that want a list.
    list: TopicPartitionList,
    consumer: Arc<BaseConsumer<Context>>,
    /// Whether the consumer has the partition.
    assigned: bool,
    /// Whether the consumer reads on from here; not before the first use, nor after an offset was found gone.
    placed: bool,
    /// Every record at or after this one, and before `reached`, is in `waiting`.
    next: i64,
    reached: i64,
    /// Fetched and not yet given out.
    waiting: VecDeque<Stored>,
    /// The consumer was at the end of what can be read, and nothing has come since.
    at_end: bool,
}

/// Where a cursor was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// At the offset or, if that is no longer kept, at the first one kept.
    There,
    /// The partition ends before the offset; there is nothing to read.
    Beyond,
}

impl Cursor {
    /// `arrivals` counts up whenever the empty queue is given records. The queue is taken before the consumer has the
    /// partition, or the first records would go elsewhere.
    pub fn open(
        consumer: &Arc<BaseConsumer<Context>>,
        topic: Arc<str>,
        partition: u32,
        arrivals: watch::Sender<u64>,
    ) -> Result<Self, Error> {
        let queue = consumer.split_partition_queue(&topic, native(partition));
        let mut queue = queue.ok_or_else(|| unavailable(format!("no queue for `{topic}`/{partition}")))?;
        queue.set_nonempty_callback(move || arrivals.send_modify(|count| *count = count.wrapping_add(1)));
        Ok(Self {
            queue,
            list: list(&[(topic.clone(), partition)]),
            topic,
            partition,
            consumer: consumer.clone(),
            assigned: false,
            placed: false,
            next: 0,
            reached: 0,
            waiting: VecDeque::new(),
            at_end: false,
        })
    }

    /// Whether reading from `from` goes on where the last one ended.
    pub fn follows(&self, from: i64) -> bool {
        self.placed && (self.next..=self.reached).contains(&from)
    }

    /// Everything before this offset has been fetched.
    pub fn reached(&self) -> i64 {
        self.reached
    }

    pub fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Makes `from` the next record. Blocks.
    pub fn place(&mut self, from: i64, bounds: Bounds) -> Result<Placed, Error> {
        self.placed = false;
        self.at_end = false;
        self.waiting.clear();
        if from > bounds.end {
            return Ok(Placed::Beyond);
        }
        let start = from.max(bounds.start);
        if !self.assigned || !self.seek(start) {
            self.close();
            self.assign(start).map_err(unavailable)?;
            self.assigned = true;
        }
        (self.next, self.reached, self.placed) = (from, start, true);
        Ok(Placed::There)
    }

    /// Gives the partition back to the consumer. Blocks.
    pub fn close(&mut self) {
        if !self.assigned {
            return;
        }
        (self.assigned, self.placed) = (false, false);
        self.waiting.clear();
        // Fails only if the consumer does not have it.
        let _ = self.consumer.incremental_unassign(&self.list);
        // It is given back in the background. Until then the position is the old one, which would be taken for that of
        // the next assignment.
        let given_up = Instant::now() + MOVE;
        while self.position().is_some() && Instant::now() < given_up {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Records from `from` on that have arrived. The cursor must [follow](Self::follows) it, else there are none.
    pub fn take(&mut self, from: i64, limit: ReadLimit) -> Result<Vec<Stored>, Error> {
        let (mut page, mut bytes) = (Vec::new(), 0_usize);
        if !self.follows(from) {
            return Ok(page);
        }
        self.next = from;
        while let Some(stored) = self.arrived()? {
            if stored.offset < from {
                continue;
            }
            let size = stored.record.size();
            if !page.is_empty() && (page.len() >= limit.records || bytes.saturating_add(size) > limit.bytes) {
                self.waiting.push_front(stored);
                break;
            }
            bytes = bytes.saturating_add(size);
            self.next = stored.offset + 1;
            page.push(stored);
            if page.len() >= limit.records || bytes >= limit.bytes {
                break;
            }
        }
        Ok(page)
    }

    /// Whether a record at or after `from` has arrived.
    pub fn has(&mut self, from: i64) -> Result<bool, Error> {
        if !self.follows(from) {
            return Ok(false);
        }
        while let Some(stored) = self.arrived()? {
            if stored.offset >= from {
                self.waiting.push_front(stored);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn arrived(&mut self) -> Result<Option<Stored>, Error> {
        if let Some(stored) = self.waiting.pop_front() {
            return Ok(Some(stored));
        }
        loop {
            match self.queue.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let stored = stored(&self.topic, self.partition, &message);
                    (self.reached, self.at_end) = (stored.offset + 1, false);
                    return Ok(Some(stored));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => self.at_end = true,
                Some(Err(error)) => {
                    // Whatever it was, the consumer may have stopped fetching.
                    self.placed = false;
                    return self.explain(&error);
                }
                None => {
                    // Commit markers are passed without being seen, and only this tells.
                    self.reached = self.position().map_or(self.reached, |position| position.max(self.reached));
                    return Ok(None);
                }
            }
        }
    }

    fn explain(&self, error: &KafkaError) -> Result<Option<Stored>, Error> {
        match error.rdkafka_error_code() {
            // Trimmed or made anew: it will be placed again.
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => Ok(None),
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                Err(Error::UnknownTopic { topic: self.topic.to_string() })
            }
            _ => Err(unavailable(format!("`{}`/{} cannot be read: {error}", self.topic, self.partition))),
        }
    }

    fn position(&mut self) -> Option<i64> {
        record::position(self.consumer.client(), &mut self.list)
    }

    /// Unlike giving the partition back and taking it again, a seek is done when it returns.
    fn seek(&self, offset: i64) -> bool {
        self.consumer.seek(&self.topic, native(self.partition), Offset::Offset(offset), MOVE).is_ok()
    }

    fn assign(&mut self, offset: i64) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&self.topic, native(self.partition), Offset::Offset(offset))?;
        self.consumer.incremental_assign(&list)
    }
}

pub fn stored(topic: &Arc<str>, partition: u32, message: &BorrowedMessage<'_>) -> Stored {
    let bytes = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
    Stored {
        topic: topic.clone(),
        partition,
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
        record: Record {
            key: bytes(message.key()),
            value: bytes(message.payload()),
            headers: record::headers(message),
        },
    }
}
