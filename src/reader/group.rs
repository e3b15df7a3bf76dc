//! One consumer group: polls, makes drafts, appends, commits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::watch;

use crate::log::{self, OffsetCommit, ReadLimit, Stored, Subscription};
use crate::reader::board::Board;
use crate::reader::paused::{Cause, Pause, Paused, Place};
use crate::reader::prepare::{Done, Halt, Prepared, prepare};
use crate::reader::topic::{Groups, Topics};
use crate::reader::{Deps, Inbound};

/// The task of one group.
pub(super) struct GroupReader {
    pub(super) group: Arc<str>,
    pub(super) deps: Arc<Deps>,
    pub(super) board: Arc<Board>,
    installed: watch::Receiver<Arc<Groups>>,
    pub(super) stop: watch::Receiver<bool>,
    paused: Paused,
}

/// Why reading from one subscription ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Stopped,
    /// Other topics are to be read, or none.
    Outdated,
}

/// How far one partition came.
#[derive(Debug)]
struct Progress {
    place: Place,
    /// First offset that was tried.
    from: i64,
    /// First offset that is not in the intake; `None`: a stop came first.
    next: Option<i64>,
    /// Where the subscription is in the partition.
    seen: i64,
    pause: Option<Pause>,
}

/// Records of one partition to be worked off.
struct Run {
    place: Place,
    inbound: Inbound,
    records: Vec<Stored>,
    seen: i64,
}

impl GroupReader {
    pub fn new(
        group: Arc<str>,
        deps: Arc<Deps>,
        board: Arc<Board>,
        installed: watch::Receiver<Arc<Groups>>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self { group, deps, board, installed, stop, paused: Paused::default() }
    }

    /// Reads until it is told to stop.
    pub async fn run(mut self) {
        loop {
            let Some(topics) = self.wanted() else {
                // The group is gone, and this task will be told to stop; unless the group comes back before.
                let mut installed = self.installed.clone();
                if matches!(self.unless_stopped(installed.changed()).await, None | Some(Err(_))) {
                    return;
                }
                continue;
            };
            let names: Vec<&str> = topics.keys().map(|topic| &**topic).collect();
            let subscribe = || self.deps.log.subscribe(&self.group, &names);
            let subscribed = self.patiently("reader.subscribe", |_| false, subscribe).await;
            let Some(Ok(subscription)) = subscribed else { return };
            tracing::info!(group = %self.group, topics = names.join(" "), "reading");
            let end = self.read(subscription.as_ref(), Arc::clone(&topics)).await;
            drop(subscription);
            for place in self.paused.clear() {
                self.board.resume(&self.group, &place);
            }
            if end == End::Stopped {
                tracing::info!(group = %self.group, "group left");
                return;
            }
        }
    }

    /// The topics to read; `None`: the group is gone.
    fn wanted(&mut self) -> Option<Arc<Topics>> {
        self.installed.borrow_and_update().get(&self.group).cloned()
    }

    async fn read(&mut self, subscription: &dyn Subscription, mut topics: Arc<Topics>) -> End {
        loop {
            if *self.stop.borrow() {
                return End::Stopped;
            }
            let records = self.poll(subscription).await;
            // A reload while it waited is in force for what it waited for.
            if !self.renew(&mut topics) {
                return End::Outdated;
            }
            let mut runs = self.runs_of(records, &topics);
            runs.extend(self.due_runs(&topics).await);
            if !runs.is_empty() {
                self.work_off(subscription, runs).await;
            }
        }
    }

    /// Takes changed routes over; `false` if the topics are others.
    fn renew(&mut self, topics: &mut Arc<Topics>) -> bool {
        let Some(wanted) = self.wanted().filter(|wanted| wanted.keys().eq(topics.keys())) else { return false };
        if !Arc::ptr_eq(&wanted, topics) {
            *topics = wanted;
            self.paused.all_are_due();
        }
        true
    }

    /// The next records; none if there are none, or if something else has to be looked at first.
    async fn poll(&self, subscription: &dyn Subscription) -> Vec<Stored> {
        let Deps { settings, pace, .. } = &*self.deps;
        let limit = ReadLimit { records: settings.batch_records.max(1), bytes: settings.batch_bytes };
        let timeout = self.paused.next_due().map_or(pace.poll, |due| due.min(pace.poll));
        let mut installed = self.installed.clone();
        let poll = || subscription.poll(limit, timeout);
        // Nothing is lost by giving a poll up.
        let polled = self.unless_stopped(async {
            tokio::select! {
                biased;
                _ = installed.changed() => None,
                records = self.patiently("reader.poll", |_| false, poll) => records,
            }
        });
        polled.await.flatten().and_then(Result::ok).unwrap_or_default()
    }

    /// What was polled, by partition; without those that stand still.
    fn runs_of(&mut self, records: Vec<Stored>, topics: &Topics) -> Vec<Run> {
        let mut partitions: BTreeMap<Place, Vec<Stored>> = BTreeMap::new();
        for stored in records {
            partitions.entry((Arc::clone(&stored.topic), stored.partition)).or_default().push(stored);
        }
        let mut runs = Vec::with_capacity(partitions.len());
        for (place, records) in partitions {
            // A topic that is not asked for has no offset to be committed either.
            let Some(inbound) = topics.get(&place.0).cloned() else { continue };
            if !self.paused.lets_go(&place, &records) {
                let seen = records.last().map_or(0, |last| last.offset.saturating_add(1));
                runs.push(Run { place, inbound, records, seen });
            }
        }
        runs
    }

    /// The next records of the partitions that stood still and are to be tried now.
    async fn due_runs(&mut self, topics: &Topics) -> Vec<Run> {
        let mut runs = Vec::new();
        for (place, from, seen) in self.paused.due() {
            let Some(inbound) = topics.get(&place.0).cloned() else { continue };
            let Deps { log, settings, .. } = &*self.deps;
            let limit = ReadLimit { records: settings.batch_records.max(1), bytes: settings.batch_bytes };
            match log.read(&place.0, place.1, from, limit).await {
                Ok(mut records) => {
                    // What follows comes from the subscription.
                    records.truncate(records.partition_point(|stored| stored.offset < seen));
                    if records.is_empty() {
                        self.go_on(&place, seen);
                    } else {
                        runs.push(Run { place, inbound, records, seen });
                    }
                }
                Err(error) => {
                    let (topic, partition) = &place;
                    tracing::warn!(group = %self.group, %topic, partition, %error, "partition cannot be read again now");
                    self.paused.stop_at(place, from, seen, self.deps.pace.paused);
                }
            }
        }
        runs
    }

    /// Takes all `runs` as far as they can be taken, side by side, and commits how far they came.
    async fn work_off(&mut self, subscription: &dyn Subscription, runs: Vec<Run>) {
        let done = join_all(runs.into_iter().map(|run| self.advance(run))).await;
        let offsets: Vec<_> = done.iter().filter_map(Progress::offset).collect();
        fail::fail_point!("reader.appended");
        if !offsets.is_empty() {
            let commit = || subscription.commit(offsets.clone());
            let is_final = |error: &log::Error| !error.is_transient();
            if let Some(Err(error)) = self.patiently("reader.commit", is_final, commit).await {
                tracing::warn!(group = %self.group, %error, "offsets cannot be committed, their records come again");
            }
        }
        fail::fail_point!("reader.committed");
        for Progress { place, next, seen, pause, .. } in done {
            match (pause, next) {
                (Some(pause), next) => self.stop_at(place, next, seen, pause),
                (None, Some(next)) => self.go_on(&place, next),
                // Cut short by a stop.
                (None, None) => {}
            }
        }
    }

    fn stop_at(&mut self, place: Place, next: Option<i64>, seen: i64, pause: Pause) {
        let Some(at) = next else { return };
        let delay = self.paused.stop_at(place.clone(), at, seen, self.deps.pace.paused);
        let ((topic, partition), delay_ms) = (&place, delay.as_millis() as u64);
        let Pause { cause, reason } = &pause;
        tracing::error!(
            group = %self.group, %topic, partition, offset = at, cause = cause.as_str(), reason, delay_ms,
            "partition stands still"
        );
        self.board.pause(&self.group, &place, at, pause);
    }

    fn go_on(&mut self, place: &Place, next: i64) {
        self.paused.goes_on(place, next);
        self.board.resume(&self.group, place);
    }

    /// Appends what can be made of `run`, in order.
    async fn advance(&self, run: Run) -> Progress {
        let Run { place, inbound, mut records, seen } = run;
        let started = Instant::now();
        let from = records.first().map_or(seen, |stored| stored.offset);
        let mut progress = Progress { place, from, next: Some(from), seen, pause: None };
        let mut asked_at = None;
        while !records.is_empty() {
            let Prepared { appends, done, rest, halt } = self.prepare(&inbound, records).await;
            fail::fail_point!("reader.prepared");
            let written = match self.append(appends).await {
                Ok(written) => written,
                // The stop came first: what is not in the intake is read again.
                Err(None) => return Progress { next: None, ..progress },
                Err(Some((written, error))) => {
                    progress.pause = Some(Pause { cause: Cause::Append, reason: error.to_string() });
                    written
                }
            };
            self.count(&inbound, &done[..written.min(done.len())], started);
            if let Some(last) = written.checked_sub(1).and_then(|last| done.get(last)) {
                progress.next = Some(last.offset.saturating_add(1));
            }
            if progress.pause.is_some() {
                break;
            }
            progress.pause = match (halt, rest.first()) {
                (None, _) | (_, None) => None,
                (Some(Halt::Defect { reason }), _) => Some(Pause { cause: Cause::Mapping, reason }),
                (Some(Halt::Unlearned), Some(stored)) => {
                    let again = asked_at.replace(stored.offset) == Some(stored.offset);
                    self.learn(stored, again).await
                }
            };
            if progress.pause.is_some() {
                break;
            }
            records = rest;
        }
        if progress.pause.is_some() {
            let labels = [inbound.route.topic(), "error"];
            self.deps.metrics.kafka_events_processed.with_label_values(&labels).inc();
        }
        progress
    }

    /// On a thread of its own: a batch of large payloads takes longer than a task may hold its thread.
    async fn prepare(&self, inbound: &Inbound, records: Vec<Stored>) -> Prepared {
        let (deps, inbound) = (Arc::clone(&self.deps), inbound.clone());
        let rest = records.first().cloned();
        let prepared = tokio::task::spawn_blocking(move || prepare(&deps, &inbound, records)).await;
        prepared.unwrap_or_else(|_| Prepared {
            rest: rest.into_iter().collect(),
            halt: Some(Halt::Defect { reason: "mapping panicked".to_owned() }),
            ..Prepared::default()
        })
    }

    fn count(&self, inbound: &Inbound, done: &[Done], started: Instant) {
        let metrics = &self.deps.metrics;
        let (topic, binding) = (inbound.route.topic(), inbound.binding.name.as_str());
        let seconds = metrics.kafka_event_processing_seconds.with_label_values(&[topic]);
        let each = started.elapsed().as_secs_f64() / done.len().max(1) as f64;
        for Done { offset, code } in done {
            let (outcome, status) = if code.is_some() { ("rejected", "error") } else { ("appended", "success") };
            metrics.reader_records.with_label_values(&[&self.group, topic, outcome]).inc();
            metrics.kafka_events_processed.with_label_values(&[topic, status]).inc();
            seconds.observe(each);
            if let Some(code) = code {
                metrics.rejections.with_label_values(&[binding, code.as_str()]).inc();
                tracing::debug!(%topic, offset, binding, %code, "payload rejected");
            }
        }
    }
}

impl Progress {
    /// What is to be committed, if it moved.
    fn offset(&self) -> Option<(Arc<str>, u32, OffsetCommit)> {
        let (topic, partition) = &self.place;
        let offset = self.next.filter(|next| *next > self.from)?;
        Some((Arc::clone(topic), *partition, OffsetCommit { offset, metadata: String::new() }))
    }
}
