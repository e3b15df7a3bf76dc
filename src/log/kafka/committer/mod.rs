//! The thread of transactions: commits that wait together share one, and their failures stay apart.
//!
//! One transactional producer a process (KIP-447): the group's coordinator fences by member, not by producer. What
//! is found wrong with one commit, it alone is told; the others are staged again at once.

mod job;
mod transaction;
mod verdict;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

pub use self::job::{Job, Staged};
pub use self::transaction::{Entry, Failure, Transactor};
use super::options::Options;
use super::probe::Probe;
use super::unavailable;
use crate::log::Error;

/// Of one transaction, so that a large backlog does not hold up what comes after it; a larger commit goes alone.
const MAX_EFFECTS: usize = 1000;
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Between attempts of a member whose generation has changed: its new one is known within a round trip.
const BETWEEN_GENERATIONS: Duration = Duration::from_millis(20);

/// The way to the thread, which ends when this is dropped.
pub struct Committer {
    jobs: mpsc::Sender<Job>,
}

impl Committer {
    pub fn start(options: &Options, probe: Arc<Probe>) -> Result<Self, Error> {
        let (jobs, queued) = mpsc::channel();
        // A member that has not got its new generation after a session is none any more.
        let patience = options.session_timeout;
        let transactor = Transactor::new(options.clone(), probe);
        let mut worker = Worker { queued, waiting: VecDeque::new(), patience, transactor };
        std::thread::Builder::new()
            .name("kafka-commits".to_owned())
            .spawn(move || worker.run())
            .map_err(|error| unavailable(format!("no thread for transactions: {error}")))?;
        Ok(Self { jobs })
    }

    pub fn submit(&self, job: Job) -> Result<(), Error> {
        self.jobs.send(job).map_err(|_| unavailable("the thread of transactions has stopped"))
    }
}

struct Worker {
    queued: mpsc::Receiver<Job>,
    /// Taken from the queue and not yet tried, or to be tried again at its time.
    waiting: VecDeque<(Instant, Job)>,
    patience: Duration,
    transactor: Transactor,
}

impl Worker {
    fn run(&mut self) {
        self.transactor.prepare();
        while let Some(batch) = self.next_batch() {
            self.settle(batch);
        }
    }

    /// What waits, in the order it came, as much as one transaction takes. `None` when nobody can send any more.
    fn next_batch(&mut self) -> Option<Vec<Job>> {
        let first = match self.due() {
            Some(job) => job,
            None => self.wait()?,
        };
        let (mut effects, mut bytes) = (first.effects, first.bytes);
        let mut batch = vec![first];
        while let Some(job) = self.due().or_else(|| self.arrived()) {
            if effects + job.effects > MAX_EFFECTS || bytes + job.bytes > MAX_BYTES {
                self.waiting.push_front((Instant::now(), job));
                break;
            }
            (effects, bytes) = (effects + job.effects, bytes + job.bytes);
            batch.push(job);
        }
        Some(batch)
    }

    fn due(&mut self) -> Option<Job> {
        let now = Instant::now();
        let due = self.waiting.iter().position(|(at, _)| *at <= now)?;
        self.waiting.remove(due).map(|(_, job)| job)
    }

    fn arrived(&mut self) -> Option<Job> {
        loop {
            let job = self.queued.try_recv().ok()?;
            if let Some(job) = self.in_turn(job) {
                return Some(job);
            }
        }
    }

    fn wait(&mut self) -> Option<Job> {
        loop {
            let Some(next) = self.waiting.iter().map(|(at, _)| *at).min() else { return self.queued.recv().ok() };
            match self.queued.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(job) => {
                    if let Some(job) = self.in_turn(job) {
                        return Some(job);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody is left to be told.
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            if let Some(job) = self.due() {
                return Some(job);
            }
        }
    }

    /// The job, unless an earlier one of its member still waits: then it waits behind it.
    fn in_turn(&mut self, job: Job) -> Option<Job> {
        let earlier = self.waiting.iter().rfind(|(_, waiting)| Arc::ptr_eq(&waiting.member, &job.member));
        let Some(at) = earlier.map(|(at, _)| *at) else { return Some(job) };
        self.waiting.push_back((at, job));
        None
    }

    /// Answers every job of the batch, or puts it back to wait for its member's new generation.
    fn settle(&mut self, batch: Vec<Job>) {
        let mut groups = vec![batch];
        while let Some(group) = groups.pop() {
            let entry = Entry::of(group);
            let (jobs, outcome) = match entry {
                Entry { admitted, refused, .. } if admitted.is_empty() => {
                    self.answer_refused(refused);
                    continue;
                }
                mut entry => {
                    self.answer_refused(std::mem::take(&mut entry.refused));
                    let outcome = self.transactor.run(&entry);
                    (entry.leave(), outcome)
                }
            };
            match outcome {
                Ok(()) => jobs.into_iter().for_each(Job::done),
                Err(Failure::Named(errors)) => groups.push(self.leave_out(jobs, errors)),
                Err(Failure::NotAMember { member, gone }) => {
                    let of_member = |job: &Job| Arc::ptr_eq(&job.member, &member);
                    let (theirs, others): (Vec<_>, _) = jobs.into_iter().partition(of_member);
                    for job in theirs {
                        if gone { job.fence() } else { self.postpone(job) }
                    }
                    groups.push(others);
                }
                Err(Failure::Unnamed(reason)) => groups.extend(halves(jobs, &reason)),
                Err(Failure::Unknown(reason)) => {
                    jobs.into_iter().for_each(|job| job.answer(Err(unavailable(&reason))));
                }
            }
            groups.retain(|group| !group.is_empty());
        }
    }

    fn leave_out(&self, jobs: Vec<Job>, mut errors: Vec<(usize, Error)>) -> Vec<Job> {
        let mut others = Vec::with_capacity(jobs.len());
        for (index, job) in jobs.into_iter().enumerate() {
            match errors.iter().position(|(named, _)| *named == index) {
                Some(at) => job.answer(Err(errors.swap_remove(at).1)),
                None => others.push(job),
            }
        }
        others
    }

    fn answer_refused(&mut self, refused: Vec<(Job, Option<Error>)>) {
        for (job, error) in refused {
            match error {
                Some(error) => job.answer(Err(error)),
                None => self.postpone(job),
            }
        }
    }

    fn postpone(&mut self, job: Job) {
        if job.since.elapsed() > self.patience {
            return job.answer(Err(unavailable("the group's coordinator has no generation for this member")));
        }
        self.waiting.push_back((Instant::now() + BETWEEN_GENERATIONS, job));
    }
}

/// Something in a transaction fails it and nothing says what: each half is tried alone.
fn halves(mut jobs: Vec<Job>, reason: &str) -> Vec<Vec<Job>> {
    if jobs.len() <= 1 {
        jobs.into_iter().for_each(|job| job.answer(Err(unavailable(reason))));
        return Vec::new();
    }
    let second = jobs.split_off(jobs.len() / 2);
    // The last is taken first.
    vec![second, jobs]
}
