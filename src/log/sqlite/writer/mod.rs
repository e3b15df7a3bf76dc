//! The one thread that writes. It takes all that is queued into one transaction, for the sync at its end is what a
//! commit costs, and shows nothing to anybody before that transaction is on disk.

mod batch;
mod deletion;
mod subscriptions;
mod tails;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tokio::sync::watch;

use self::subscriptions::Subscriptions;
use self::tails::Tails;
use super::catalog::{Catalog, Partition, Slot, Topic};
use super::files::{self, Files, Loaded};
use super::limits::Limits;
use super::queue::{Job, Seat, Write};
use super::recent::Recent;
use super::records;
use crate::clock::Clock;
use crate::log::{Bounds, Error, TopicSpec};

/// How often an idle writer looks for records past their retention.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

pub struct Writer {
    path: PathBuf,
    files: Files,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    group_commit_delay: Duration,
    tails: Tails,
    /// By group id.
    owners: HashMap<i64, Owner>,
    subscriptions: Subscriptions,
    recent: Recent,
    /// Slots with a retention that are still to be looked at, with its milliseconds.
    expiring: Vec<(Slot, i64)>,
    swept_ms: i64,
}

/// The newest member of a group.
#[derive(Debug)]
struct Owner {
    generation: u64,
    revoked: watch::Sender<bool>,
}

impl Writer {
    /// A writer over the files, and the catalog it keeps.
    pub fn new(
        (path, files): (PathBuf, Files),
        loaded: Loaded,
        clock: Arc<dyn Clock>,
        group_commit_delay: Duration,
        limits: Limits,
    ) -> Self {
        let catalog = Arc::new(Catalog::default());
        for topic in loaded.topics {
            catalog.insert(topic);
        }
        Self {
            path,
            files,
            catalog,
            limits,
            group_commit_delay,
            tails: Tails::new(loaded.marks),
            owners: HashMap::new(),
            subscriptions: Subscriptions::default(),
            recent: Recent::new(limits.recent_bytes),
            expiring: Vec::new(),
            swept_ms: clock.now_ms(),
            clock,
        }
    }

    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.clone()
    }

    /// Works until it is told to stop.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        let mut next = None;
        loop {
            let job = match next.take() {
                Some(job) => Ok(job),
                None if self.expiring.is_empty() => jobs.recv_timeout(SWEEP_EVERY),
                None => jobs.recv_timeout(Duration::ZERO),
            };
            match job {
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(job) => next = self.perform(job, jobs),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.sweep();
        }
    }

    /// Does one job, and with a write all others that wait behind it. Returns the job that ended the batch.
    fn perform(&mut self, job: Job, jobs: &Receiver<Job>) -> Option<Job> {
        match job {
            Job::Write(first) => {
                let (batch, next) = self.gather(first, jobs);
                self.write(batch);
                return next;
            }
            // Whoever asked may have gone; what was done stays done.
            Job::CreateTopic { spec, reply } => drop(reply.send(self.create_topic(&spec))),
            Job::Join { group, revoked, reply } => drop(reply.send(self.join(&group, revoked))),
            Job::Subscribe { group, topics, reply } => drop(reply.send(self.subscribe(&group, topics))),
            Job::Trim { partition, before, reply } => {
                let trimmed = self.trim(partition.slot, before);
                drop(reply.send(trimmed.map_err(|error| files::failed(&self.path, &error))));
            }
            Job::Stop => return Some(Job::Stop),
        }
        None
    }

    /// Everything that is queued up to a job of another kind, after waiting the group commit delay for more.
    fn gather(&self, first: Write, jobs: &Receiver<Job>) -> (Vec<Write>, Option<Job>) {
        let mut bytes = first.effects.bytes();
        let mut batch = vec![first];
        let started = Instant::now();
        while bytes < self.limits.batch_bytes {
            let job = match jobs.try_recv() {
                Ok(job) => job,
                Err(_) if self.group_commit_delay.is_zero() => break,
                Err(_) => match jobs.recv_timeout(self.group_commit_delay.saturating_sub(started.elapsed())) {
                    Ok(job) => job,
                    Err(_) => break,
                },
            };
            match job {
                Job::Write(write) => {
                    bytes += write.effects.bytes();
                    batch.push(write);
                }
                other => return (batch, Some(other)),
            }
        }
        (batch, None)
    }

    fn create_topic(&mut self, spec: &TopicSpec) -> Result<(), Error> {
        let retention_ms = spec.retention.map(|retention| i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
        let known = self.catalog.topic(&spec.name).ok();
        let partitions = match &known {
            Some(topic) if topic.partition_count() != spec.partitions => {
                let (topic, found, expected) = (spec.name.clone(), topic.partition_count(), spec.partitions);
                return Err(Error::PartitionCount { topic, found, expected });
            }
            Some(topic) => topic.partitions.clone(),
            None if spec.partitions == 0 => {
                return Err(Error::UnknownPartition { topic: spec.name.clone(), partition: 0, partitions: 0 });
            }
            None => self.new_partitions(spec),
        };
        // The settings may change; they are those of the last configuration.
        let topic = Topic::new(spec.name.as_str().into(), partitions, spec.max_record_bytes, retention_ms);
        let stored = match &known {
            Some(known) if known.has_settings_of(&topic) => return Ok(()),
            Some(_) => update_topic(&self.files.connection, &topic),
            None => insert_topic(&self.files.connection, &topic, self.tails.count()),
        };
        stored.map_err(|error| files::failed(&self.path, &error))?;
        if known.is_none() {
            self.tails.add(&topic.partitions);
        }
        self.catalog.insert(topic);
        Ok(())
    }

    fn new_partitions(&self, spec: &TopicSpec) -> Vec<Arc<Partition>> {
        let name = Arc::<str>::from(spec.name.as_str());
        let slots = (0..spec.partitions).zip(self.tails.count()..);
        let new = |(number, slot)| Arc::new(Partition::new(name.clone(), number, slot, Bounds { start: 0, end: 0 }));
        slots.map(new).collect()
    }

    /// Makes a new member the group's owner. What the older one committed is on disk; what it commits from now on
    /// is refused.
    fn join(&mut self, group: &str, revoked: watch::Sender<bool>) -> Result<Seat, Error> {
        let seat = next_seat(&self.files.connection, group).map_err(|error| files::failed(&self.path, &error))?;
        let owner = Owner { generation: seat.generation, revoked };
        if let Some(older) = self.owners.insert(seat.group_id, owner) {
            older.revoked.send_replace(true);
        }
        Ok(seat)
    }

    /// Gives a new subscription every topic it asks for. What the older ones committed is on disk.
    fn subscribe(&mut self, group: &str, topics: Vec<(Arc<str>, watch::Sender<bool>)>) -> Result<Seat, Error> {
        let seat = next_seat(&self.files.connection, group).map_err(|error| files::failed(&self.path, &error))?;
        topics.into_iter().for_each(|(topic, taken)| self.subscriptions.take_over(seat, topic, taken));
        Ok(seat)
    }
}

/// One transaction around `work`; nothing of it stays if it fails.
fn transaction<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    // Left over if an earlier rollback failed.
    roll_back(connection)?;
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let result = work(connection).and_then(|value| {
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(value)
    });
    if result.is_err() {
        // Its own failure adds nothing to the first one, and the next transaction tries again.
        let _ = roll_back(connection);
    }
    result
}

fn roll_back(connection: &Connection) -> rusqlite::Result<()> {
    // SQLite has rolled back by itself after some errors.
    if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("ROLLBACK") }
}

fn update_topic(connection: &Connection, topic: &Topic) -> rusqlite::Result<()> {
    let update = "UPDATE topics SET max_record_bytes = ?2, retention_ms = ?3 WHERE name = ?1";
    let settings = params![topic.name, topic.max_record_bytes as i64, topic.retention_ms];
    transaction(connection, |connection| connection.execute(update, settings).map(drop))
}

fn insert_topic(connection: &Connection, topic: &Topic, first_slot: Slot) -> rusqlite::Result<()> {
    let insert = "INSERT INTO topics (name, partitions, first_slot, max_record_bytes, retention_ms)
                  VALUES (?1, ?2, ?3, ?4, ?5)";
    let max_record_bytes = topic.max_record_bytes as i64;
    transaction(connection, |connection| {
        let row = params![topic.name, topic.partition_count(), first_slot, max_record_bytes, topic.retention_ms];
        connection.execute(insert, row)?;
        for partition in &topic.partitions {
            connection.execute(&records::create_sql(partition.slot), [])?;
            let slots = "INSERT INTO slots (slot, start, trimmed_ms) VALUES (?1, 0, 0)";
            connection.execute(slots, [partition.slot])?;
        }
        Ok(())
    })
}

fn next_seat(connection: &Connection, group: &str) -> rusqlite::Result<Seat> {
    let sql = "INSERT INTO groups (name, generation) VALUES (?1, 1)
               ON CONFLICT (name) DO UPDATE SET generation = generation + 1 RETURNING id, generation";
    transaction(connection, |connection| {
        connection.query_row(sql, [group], |row| {
            Ok(Seat { group_id: row.get(0)?, generation: row.get::<_, i64>(1)?.cast_unsigned() })
        })
    })
}
