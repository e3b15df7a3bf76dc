//! What is asked of the writer, in order, and how much of it may wait.
//!
//! Back-pressure: a write takes room for its bytes before it enters the queue and gives it back once it is
//! answered. When [`Limits::queue_bytes`] are taken, further writes wait for room, in the order they came.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::catalog::Partition;
use super::limits::Limits;
use crate::log::{Error, Lane, Position, Record, TopicSpec};

/// Room is counted in units of this many bytes.
const ROOM_UNIT: usize = 1024;
/// What a record or an offset takes beside its own bytes.
const OVERHEAD_BYTES: usize = 256;

pub type Reply<T> = oneshot::Sender<Result<T, Error>>;

#[derive(Debug)]
pub enum Job {
    Write(Write),
    CreateTopic {
        spec: TopicSpec,
        reply: Reply<()>,
    },
    Join {
        group: String,
        revoked: watch::Sender<bool>,
        reply: Reply<Seat>,
    },
    /// With each topic the sign that a newer subscription has taken it over.
    Subscribe {
        group: String,
        topics: Vec<(Arc<str>, watch::Sender<bool>)>,
        reply: Reply<Seat>,
    },
    Trim {
        partition: Arc<Partition>,
        before: i64,
        reply: Reply<Trimmed>,
    },
    Stop,
}

/// Records and offsets that become visible together, or not at all.
#[derive(Debug)]
pub struct Write {
    pub effects: Effects,
    pub reply: Reply<Vec<Position>>,
    /// Given back when the write is dropped.
    pub room: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
pub struct Effects {
    pub rows: Vec<Row>,
    pub cursors: Vec<Cursor>,
    /// `None`: an append outside any lane.
    pub claim: Option<Claim>,
}

/// A record whose topic, partition and size were found right.
#[derive(Debug)]
pub struct Row {
    pub partition: Arc<Partition>,
    pub record: Record,
    /// Set by the writer.
    pub offset: i64,
    /// Set by the writer.
    pub timestamp_ms: i64,
}

/// An offset of the claim's group.
#[derive(Debug)]
pub struct Cursor {
    pub partition: Arc<Partition>,
    pub offset: i64,
    pub metadata: String,
}

/// Who commits.
#[derive(Debug)]
pub enum Claim {
    /// Refused unless it is the group's newest member; the lane is named in the refusal.
    Lane { seat: Seat, lane: Lane },
    /// Offsets of topics that a newer subscription has taken over are left out.
    Subscription(Seat),
}

/// One membership of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    pub group_id: i64,
    pub generation: u64,
}

/// What one run of a trim reached; `done` when there is nothing more to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trimmed {
    pub start: i64,
    pub done: bool,
}

/// The way to the writer. Dropping it waits until the writer has finished what is queued.
#[derive(Debug)]
pub struct Queue {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    units: u32,
    writer: Option<JoinHandle<()>>,
}

impl Queue {
    pub fn new(limits: &Limits, jobs: mpsc::Sender<Job>, writer: JoinHandle<()>) -> Self {
        let units = u32::try_from(limits.queue_bytes / ROOM_UNIT).unwrap_or(u32::MAX >> 4).max(1);
        Self { jobs, room: Arc::new(Semaphore::new(units as usize)), units, writer: Some(writer) }
    }

    /// Durable when it returns. Once it has entered the queue a write is done even if nobody waits for the answer.
    pub async fn write(&self, effects: Effects) -> Result<Vec<Position>, Error> {
        // A write larger than the whole queue waits until it has the queue for itself.
        let units = u32::try_from(effects.bytes().div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX).clamp(1, self.units);
        let room = self.room.clone().acquire_many_owned(units).await.map_err(|_| stopped())?;
        self.ask(|reply| Job::Write(Write { effects, reply, room })).await
    }

    /// Bytes taken by what waits or is being written, in whole units.
    #[cfg(test)]
    pub fn queued_bytes(&self) -> usize {
        (self.units as usize - self.room.available_permits()) * ROOM_UNIT
    }

    pub async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // Fails only if the writer is gone, and then there is nothing to wait for.
        let _ = self.jobs.send(Job::Stop);
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Claim {
    pub fn seat(&self) -> Seat {
        match self {
            Self::Lane { seat, .. } | Self::Subscription(seat) => *seat,
        }
    }
}

impl Effects {
    /// Memory taken, roughly: what the queue and a batch are bounded by.
    pub fn bytes(&self) -> usize {
        let records: usize = self.rows.iter().map(|row| row.record.size()).sum();
        let metadata: usize = self.cursors.iter().map(|cursor| cursor.metadata.len()).sum();
        records + metadata + (self.rows.len() + self.cursors.len()) * OVERHEAD_BYTES
    }
}

/// The writer is gone, which only a fault of its own can bring about while somebody asks.
pub fn stopped() -> Error {
    Error::Unavailable { reason: "the writer has stopped".to_owned() }
}
