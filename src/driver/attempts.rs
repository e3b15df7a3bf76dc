//! Attempts: begun when their claim is in the store, their answer written there before the lane sees it.

use tokio::time::Instant;

use crate::driver::owner::Owner;
use crate::driver::payloads::{Payload, Wanted};
use crate::driver::work::{self, Job, Reach};
use crate::lane::batch::{Answer, Attempt, Failure};
use crate::lane::place::{Seq, Topic};
use crate::ownership::LaneStatus;
use crate::store::lanes::Settle;

pub(super) use crate::driver::work::Done;

/// An attempt that is over.
#[derive(Debug)]
pub(super) struct Flown {
    pub seq: Seq,
    pub attempt: u16,
    pub done: Done,
}

/// Name of the cause in headers and ledger: there is nothing to be attempted.
const NO_KEY: &str = "no-key";
const NO_VALUE: &str = "no-value";

impl Owner {
    /// Begins `attempts`, whose claims end at `deadline`.
    pub(super) fn begin(&mut self, attempts: Vec<Attempt>, deadline: Instant) {
        for attempt in attempts {
            let wanted = Wanted { origin: attempt.origin, payload: attempt.payload };
            let kept = self.kept.get(wanted.origin).filter(|_| wanted.origin == wanted.payload);
            let kept = kept.map(|stored| Payload {
                record: stored.record.clone(),
                appended_at_ms: stored.timestamp_ms,
                edited_by: None,
            });
            let (source, deps, stage, epoch) = (self.source.clone(), self.deps.clone(), self.stage.clone(), self.epoch);
            self.flights.spawn(async move {
                let payload = match kept {
                    Some(payload) => payload,
                    None => source.one(wanted).await?,
                };
                let Attempt { seq, key, attempt, origin: place, .. } = attempt;
                let lane = source.calls.id.clone();
                let mut done = match unworkable(place.topic, &payload) {
                    Some(failure) => Done::of(Answer::Undecodable(failure)),
                    None => {
                        let (record, since, edit) = (payload.restored(), payload.since(), payload.edit());
                        let job = Job { lane: lane.clone(), seq, key, attempt, place, since, record, edit, deadline };
                        stage.work.attempt(job).await
                    }
                };
                let counted = source.calls.metrics.lane_attempts.with_label_values(&[&*lane.topic, name(&done.answer)]);
                counted.inc();
                fail::fail_point!("driver.attempted");
                if let Reach::Outside { .. } = stage.work.reach() {
                    let ledger = work::rows(std::mem::take(&mut done.ledger), &lane, seq, deps.clock.now_ms());
                    let (answer, delivered) = (done.answer.clone(), done.delivered.take());
                    let settle = Settle { lane, epoch, seq, attempt, answer, delivered, ledger };
                    let call = || deps.store.settle(settle.clone());
                    source.calls.patiently("store.settle", LaneStatus::Running, call).await?;
                    fail::fail_point!("driver.settled");
                }
                Ok(Flown { seq, attempt, done })
            });
        }
    }
}

/// Why nothing can be made of the record, if so: see `Owner::key_of`.
fn unworkable(topic: Topic, payload: &Payload) -> Option<Failure> {
    let cause = match (&payload.record.key, &payload.record.value) {
        (None, _) if topic != Topic::Held => NO_KEY,
        (Some(key), _) if key.is_empty() => NO_KEY,
        (_, None) => NO_VALUE,
        _ => return None,
    };
    Some(Failure { class: cause.to_owned(), http_status: None, message: String::new() })
}

fn name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Applied => "applied",
        Answer::Parked => "parked",
        Answer::Failed(_) => "failed",
        Answer::Rejected(_) => "rejected",
        Answer::Undecodable(_) => "undecodable",
        Answer::TargetFailed => "target_failed",
    }
}
