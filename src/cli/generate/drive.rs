//! Sends a plan at a rate: when a message is due does not depend on how fast the ones before it were answered.
//!
//! Each connection has its own orders, so that the messages of one order go one after another, each after the answer
//! to the one before. A message whose connection is still busy is late; its latency counts from when it was due.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::cli::generate::plan::{Plan, Planned};
use crate::cli::generate::tally::Tally;
use crate::cli::partner::{Answer, Delivery, Expected, Observer, Sample, Sender};

/// Where the messages go.
pub enum Target {
    Door(Sender),
    Topics(Observer),
}

/// How fast, and over how many connections.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Messages per second.
    pub rate: f64,
    pub connections: usize,
}

/// How far the run is; cheap to look at.
#[derive(Debug, Default)]
pub struct Progress {
    pub sent: AtomicU64,
    pub differences: AtomicU64,
}

/// More than this behind its time, a message is late.
const LATE: Duration = Duration::from_millis(10);
/// Messages made ahead for one connection.
const AHEAD: usize = 64;

struct Worker {
    sample: Arc<Sample>,
    target: Arc<Target>,
    progress: Arc<Progress>,
    stop: watch::Receiver<bool>,
    queue: mpsc::Receiver<(Instant, Planned)>,
}

/// Sends all of `plan`, or as much as there is time for until `stop`. What was sent is always answered or given up.
pub async fn drive(
    mut plan: Plan,
    sample: &Arc<Sample>,
    target: &Arc<Target>,
    pace: Pace,
    progress: &Arc<Progress>,
    stop: &watch::Receiver<bool>,
) -> Tally {
    let (mut workers, mut queues) = (JoinSet::new(), Vec::new());
    for _ in 0..pace.connections {
        let (queue, received) = mpsc::channel(AHEAD);
        queues.push(queue);
        let worker = Worker {
            sample: Arc::clone(sample),
            target: Arc::clone(target),
            progress: Arc::clone(progress),
            stop: stop.clone(),
            queue: received,
        };
        workers.spawn(worker.run());
    }
    let started = Instant::now();
    let mut number: u64 = 0;
    while let Some(planned) = plan.next(sample) {
        let due = started + Duration::from_secs_f64(number as f64 / pace.rate);
        number += 1;
        let Some(queue) = queues.get(planned.order as usize % queues.len().max(1)) else { break };
        // A worker that is gone was stopped.
        if queue.send((due, planned)).await.is_err() {
            break;
        }
    }
    drop(queues);
    let mut tally = Tally::default();
    while let Some(done) = workers.join_next().await {
        // A worker ends with its tally; it is neither aborted nor panics.
        if let Ok(done) = done {
            tally.merge(done);
        }
    }
    tally
}

impl Worker {
    async fn run(mut self) -> Tally {
        let mut tally = Tally::default();
        loop {
            let next = tokio::select! {
                _ = self.stop.wait_for(|stop| *stop) => None,
                next = self.queue.recv() => next,
            };
            let Some((due, planned)) = next else { return tally };
            tokio::select! {
                _ = self.stop.wait_for(|stop| *stop) => return tally,
                () = sleep_until(due) => {}
            }
            let was_late = Instant::now() > due + LATE;
            let delivery = self.sample.delivery(&planned.message);
            let answer = self.target.send(&delivery, &planned.expected).await;
            let before = tally.differences;
            tally.count(&planned, &answer, due.elapsed(), was_late);
            self.progress.sent.fetch_add(1, Ordering::Relaxed);
            self.progress.differences.fetch_add(tally.differences - before, Ordering::Relaxed);
        }
    }
}

impl Target {
    async fn send(&self, delivery: &Delivery, expected: &Expected) -> Result<Answer, String> {
        match self {
            Self::Door(sender) => sender.send(delivery).await,
            Self::Topics(observer) => {
                let Some((topic, key)) = &delivery.record else { return Err("the sample names no topic".to_owned()) };
                observer.append(topic, key, &delivery.body).await.map_err(|error| error.to_string())?;
                // A topic has no answers: what becomes of the record shows in its outcome.
                let problem = expected.problem.as_ref().map(|(code, field)| (code.to_string(), field.clone()));
                Ok(Answer { status: expected.status, problem })
            }
        }
    }
}
