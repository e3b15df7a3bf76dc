//! Which partitions a subscription has, and what of them has arrived.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::Notify;

use super::{Consumer, Offset, Offsets, SubscriberContext};
use crate::log::kafka::cursor::stored;
use crate::log::kafka::probe::native;
use crate::log::kafka::unavailable;
use crate::log::{Error, ReadLimit, Stored};

/// Records taken of one partition before the next one has its turn.
const TURN: usize = 16;

pub struct Shares {
    consumer: OnceLock<Weak<Consumer>>,
    state: Mutex<State>,
    /// Apart from the state: it is said while a queue is emptied.
    word: Mutex<Word>,
    /// Told when records arrive, and when there is something to say.
    pub arrived: Arc<Notify>,
    /// Told when a commit has ended, and when partitions come or go.
    changed: Condvar,
    /// How long a partition to be given up waits for a commit under way.
    patience: Duration,
    /// No broker could be reached, and nothing has come since.
    doubtful: AtomicBool,
}

#[derive(Default)]
struct State {
    shares: Vec<Share>,
    /// Whose turn it is.
    turn: usize,
    /// Commits under way, by the partitions they carry.
    in_flight: HashMap<(Arc<str>, u32), usize>,
}

/// What the polls have to tell.
#[derive(Default)]
struct Word {
    /// By the next one.
    trouble: Option<String>,
    /// By every one: the member is none any more, and will not be one again.
    ended: Option<String>,
}

struct Share {
    topic: Arc<str>,
    partition: u32,
    queue: PartitionQueue<SubscriberContext>,
    /// Whether something may be in the queue.
    ready: Arc<AtomicBool>,
    /// Taken from the queue, and too large for the poll that took it.
    waiting: Option<Stored>,
}

impl Shares {
    pub fn new(patience: Duration) -> Self {
        Self {
            consumer: OnceLock::new(),
            state: Mutex::default(),
            word: Mutex::default(),
            arrived: Arc::default(),
            changed: Condvar::new(),
            patience,
            doubtful: AtomicBool::new(false),
        }
    }

    /// Said once, before the consumer subscribes.
    pub fn attend(&self, consumer: &Arc<Consumer>) {
        let _ = self.consumer.set(Arc::downgrade(consumer));
    }

    /// Takes up partitions; to be called before the consumer does.
    pub fn open(&self, places: Vec<(Arc<str>, u32)>) {
        // A consumer that is being closed gets no partitions.
        let Some(consumer) = self.consumer.get().and_then(Weak::upgrade) else { return };
        let mut state = self.state();
        for (topic, partition) in places {
            let Some(mut queue) = consumer.split_partition_queue(&topic, native(partition)) else { continue };
            // What is left in the queue of a partition that comes back is in the way of the sign of new records.
            let ready = Arc::new(AtomicBool::new(true));
            let (is_ready, arrived) = (ready.clone(), self.arrived.clone());
            queue.set_nonempty_callback(move || {
                is_ready.store(true, Ordering::Release);
                arrived.notify_one();
            });
            state.shares.push(Share { topic, partition, queue, ready, waiting: None });
        }
        self.changed.notify_all();
        self.arrived.notify_one();
    }

    /// Returns when no commit under way carries any of the partitions, and none will: one that came later would put
    /// the next member's offset back. A commit that hangs is not waited for without end.
    pub fn give_up(&self, places: &[(Arc<str>, u32)]) {
        let mut state = self.state();
        let (leaving, staying): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.shares).into_iter().partition(|share| places.iter().any(|place| share.is(place)));
        state.shares = staying;
        let busy = |state: &mut State| places.iter().any(|place| state.in_flight.contains_key(place));
        let waited = self.changed.wait_timeout_while(state, self.patience, busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        drop(leaving);
        self.changed.notify_all();
    }

    /// The queues must be gone before the consumer is closed.
    pub fn give_up_all(&self) {
        let places: Vec<_> = self.state().shares.iter().map(|share| (share.topic.clone(), share.partition)).collect();
        self.give_up(&places);
    }

    /// What the member has of the offsets; they are in flight from here on.
    pub fn enter<'a>(&self, offsets: &'a Offsets) -> Vec<&'a Offset> {
        let mut state = self.state();
        let mut held = Vec::with_capacity(offsets.len());
        for offset in offsets {
            let place = (offset.0.clone(), offset.1);
            if state.shares.iter().any(|share| share.is(&place)) {
                *state.in_flight.entry(place).or_default() += 1;
                held.push(offset);
            }
        }
        held
    }

    /// The commit of these offsets has ended.
    pub fn leave(&self, held: &[&Offset]) {
        let mut state = self.state();
        for (topic, partition, _) in held {
            let place = (topic.clone(), *partition);
            match state.in_flight.get_mut(&place) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(state.in_flight.remove(&place)),
            }
        }
        self.changed.notify_all();
    }

    /// Until partitions came or went, at most for `timeout`. Blocks.
    pub fn await_change(&self, timeout: Duration) {
        drop(self.changed.wait_timeout(self.state(), timeout).unwrap_or_else(PoisonError::into_inner));
    }

    /// Records that have arrived, the partitions taking turns.
    pub fn take(&self, limit: ReadLimit) -> Result<Vec<Stored>, Error> {
        if let Some(reason) = self.word().tell() {
            return Err(unavailable(reason));
        }
        let mut state = self.state();
        let mut page = Page { records: Vec::new(), bytes: 0, limit, full: false };
        let mut idle = 0;
        while idle < state.shares.len() && !page.full {
            let nth = state.turn % state.shares.len();
            let Some(share) = state.shares.get_mut(nth) else { break };
            let before = page.records.len();
            share.take(&mut page);
            idle = if page.records.len() > before { 0 } else { idle + 1 };
            state.turn = nth + 1;
        }
        if !page.records.is_empty() {
            self.trust();
        }
        Ok(page.records)
    }

    /// An error of the group, of a topic or of a connection, as the client tells of it.
    pub fn report(&self, code: Option<RDKafkaErrorCode>, reason: &str) {
        match code {
            // The others are read, and this one is when it can be.
            Some(
                RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::TopicAuthorizationFailed,
            ) => {}
            Some(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::SSL
                | RDKafkaErrorCode::Authentication,
            ) => self.doubtful.store(true, Ordering::Release),
            _ => {
                self.word().trouble = Some(reason.to_owned());
                self.arrived.notify_one();
            }
        }
    }

    pub fn end(&self, reason: String) {
        self.word().ended = Some(reason);
        self.arrived.notify_one();
    }

    pub fn trust(&self) {
        self.doubtful.store(false, Ordering::Release);
    }

    pub fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Acquire)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn word(&self) -> MutexGuard<'_, Word> {
        self.word.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Word {
    fn tell(&mut self) -> Option<String> {
        self.ended.clone().or_else(|| self.trouble.take())
    }
}

impl Share {
    fn is(&self, (topic, partition): &(Arc<str>, u32)) -> bool {
        (&self.topic, &self.partition) == (topic, partition)
    }

    fn take(&mut self, page: &mut Page) {
        for _ in 0..TURN {
            let Some(stored) = self.waiting.take().or_else(|| self.arrived()) else { return };
            if page.fits(&stored) {
                page.push(stored);
            } else {
                self.waiting = Some(stored);
                page.full = true;
            }
            if page.full {
                return;
            }
        }
    }

    fn arrived(&self) -> Option<Stored> {
        // Before the look into the queue, so that what comes then is not missed.
        while self.ready.swap(false, Ordering::AcqRel) {
            // An error has been told to the client's context; there may be records behind it.
            let arrived = self.queue.poll(Duration::ZERO)?;
            self.ready.store(true, Ordering::Release);
            if let Ok(message) = arrived {
                return Some(stored(&self.topic, self.partition, &message));
            }
        }
        None
    }
}

/// Records as they are collected under a limit; the first one always fits.
struct Page {
    records: Vec<Stored>,
    bytes: usize,
    limit: ReadLimit,
    full: bool,
}

impl Page {
    fn fits(&self, stored: &Stored) -> bool {
        self.records.is_empty() || self.bytes.saturating_add(stored.record.size()) <= self.limit.bytes
    }

    fn push(&mut self, stored: Stored) {
        self.bytes = self.bytes.saturating_add(stored.record.size());
        self.records.push(stored);
        self.full = self.records.len() >= self.limit.records || self.bytes >= self.limit.bytes;
    }
}
