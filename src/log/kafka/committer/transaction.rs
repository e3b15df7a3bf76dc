//! One transaction, from entering the lanes to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer as _;
use rdkafka::topic_partition_list::Offset;

use super::job::Job;
use super::verdict::{self, Verdict};
use crate::log::kafka::delivery::{self, Deliverer, Deliveries, Outcome, Producer, Row};
use crate::log::kafka::native::CallError;
use crate::log::kafka::native::transaction::{self, GroupMetadata};
use crate::log::kafka::options::Options;
use crate::log::kafka::probe::{Probe, native};
use crate::log::kafka::roster::{Refusal, Roster};
use crate::log::{Error, Lane, OffsetCommit};

/// Most calls wait by themselves before they ask to be repeated.
const BETWEEN_CALLS: Duration = Duration::from_millis(10);

/// Commits whose lanes are held fast until [`Entry::leave`], and the identities taken when they were.
pub struct Entry {
    pub admitted: Vec<Job>,
    /// `None`: not now.
    pub refused: Vec<(Job, Option<Error>)>,
    members: Vec<(Arc<Roster>, GroupMetadata)>,
}

/// Why nothing of a transaction is visible or, for [`Failure::Unknown`], why that cannot be said.
#[derive(Debug)]
pub enum Failure {
    /// By index of the commit: what can never succeed in it, or cannot now.
    Named(Vec<(usize, Error)>),
    /// The group's coordinator refused the member: `gone`, or of an older generation.
    NotAMember {
        member: Arc<Roster>,
        gone: bool,
    },
    Unnamed(String),
    Unknown(String),
}

/// The transactional producer, made anew whenever what became of a transaction cannot be told.
pub struct Transactor {
    options: Options,
    probe: Arc<Probe>,
    producer: Option<Producer>,
}

impl Entry {
    /// Takes every member's identity before anything is produced: one taken later could belong to a generation in
    /// which the lane is another member's, and the broker would accept it.
    pub fn of(jobs: Vec<Job>) -> Self {
        let mut entry = Self { admitted: Vec::with_capacity(jobs.len()), refused: Vec::new(), members: Vec::new() };
        let mut rest = jobs;
        while let Some(first) = rest.first() {
            let member = first.member.clone();
            let (theirs, others): (Vec<_>, _) = rest.into_iter().partition(|job| Arc::ptr_eq(&job.member, &member));
            rest = others;
            let lanes: Vec<Vec<&Lane>> = theirs.iter().map(|job| job.owned().collect()).collect();
            let (outcomes, identity) = member.enter(&lanes);
            for (job, outcome) in theirs.into_iter().zip(outcomes) {
                match outcome {
                    Ok(()) => entry.admitted.push(job),
                    Err(Refusal::Fenced(error)) => entry.refused.push((job, Some(error))),
                    Err(Refusal::NotNow) => entry.refused.push((job, None)),
                }
            }
            entry.members.extend(identity.map(|identity| (member, identity)));
        }
        entry
    }

    /// The transaction has ended: lanes may be given up.
    pub fn leave(self) -> Vec<Job> {
        for (member, _) in &self.members {
            let theirs = self.admitted.iter().filter(|job| Arc::ptr_eq(&job.member, member));
            member.leave(theirs.flat_map(Job::owned));
        }
        self.admitted
    }

    fn rows(&self) -> impl Iterator<Item = (usize, &Row)> {
        let staged =
            self.admitted.iter().enumerate().flat_map(|(job, of)| of.lanes.iter().map(move |lane| (job, lane)));
        staged.flat_map(|(job, staged)| staged.rows.iter().map(move |row| (job, row)))
    }

    /// Offsets of the member's own topics, and of the others. Of two commits of one lane the later counts.
    fn offsets(&self, member: &Arc<Roster>) -> Result<(TopicPartitionList, TopicPartitionList), Failure> {
        let (mut own, mut others) = (BTreeMap::new(), BTreeMap::new());
        let theirs = self.admitted.iter().filter(|job| Arc::ptr_eq(&job.member, member));
        for staged in theirs.flat_map(|job| &job.lanes) {
            let partition = staged.lane.partition;
            own.insert((&*staged.lane.topic, partition), &staged.offset);
            others.extend(staged.others.iter().map(|(topic, offset)| ((topic.as_str(), partition), offset)));
        }
        Ok((list(own)?, list(others)?))
    }
}

impl Transactor {
    pub fn new(options: Options, probe: Arc<Probe>) -> Self {
        Self { options, probe, producer: None }
    }

    /// Becomes the only producer of its id, before anybody waits for it.
    pub fn prepare(&mut self) {
        // What is wrong is told to the first commit, which tries again.
        self.producer = self.open().ok();
    }

    /// Makes everything of the admitted commits visible together. Blocks.
    pub fn run(&mut self, entry: &Entry) -> Result<(), Failure> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.open()?,
        };
        let deadline = Deadline::after(self.options.transaction_timeout * 2);
        let deliveries = Deliveries::new(entry.rows().count());
        let outcome = attempt(&producer, entry, &deliveries, &deadline);
        match outcome {
            Ok(()) => {
                self.producer = Some(producer);
                Ok(())
            }
            Err(Step::Undecided(error)) => {
                tracing::warn!(kafka.error = %error, "a commit was not answered");
                drop(producer);
                self.decide(entry, &error)
            }
            Err(Step::Failed(failure)) => {
                let deadline = Deadline::after(self.options.transaction_timeout * 2);
                match deadline.repeat(|timeout| transaction::abort(producer.client(), timeout)) {
                    Ok(()) => self.producer = Some(producer),
                    // It was never committed; the next producer ends it before it does anything else.
                    Err(error) => tracing::warn!(kafka.error = %error, "a transaction was not aborted"),
                }
                Err(explain(failure, entry, &deliveries.outcomes()))
            }
        }
    }

    /// The next producer ends what this one left, and then the offsets tell how.
    pub fn decide(&mut self, entry: &Entry, error: &CallError) -> Result<(), Failure> {
        self.producer = Some(self.open()?);
        match verdict::ask(&self.probe, entry) {
            Verdict::Committed => Ok(()),
            Verdict::NotCommitted => Err(Failure::Unnamed(error.to_string())),
            Verdict::Open => Err(Failure::Unknown(format!("the outcome of a transaction is not known: {error}"))),
        }
    }

    fn open(&self) -> Result<Producer, Failure> {
        let config = self.options.committer();
        let producer: Producer =
            config.create_with_context(Deliverer::default()).map_err(|error| Failure::Unknown(error.to_string()))?;
        // It waits until what an earlier producer of this id left open has ended.
        let deadline = Deadline::after(self.options.transaction_timeout * 2);
        let opened = deadline.repeat(|timeout| transaction::init(producer.client(), timeout));
        opened.map_err(|error| Failure::Unknown(format!("no transactions: {error}")))?;
        Ok(producer)
    }
}

/// How an attempt ended early.
enum Step {
    /// Before the commit was asked for: an abort is all it needs.
    Failed(Failure),
    /// The commit was asked for and was not answered.
    Undecided(CallError),
}

impl From<Failure> for Step {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

fn attempt(producer: &Producer, entry: &Entry, deliveries: &Arc<Deliveries>, deadline: &Deadline) -> Result<(), Step> {
    let unnamed = |error: CallError| Failure::Unnamed(error.to_string());
    transaction::begin(producer.client()).map_err(unnamed)?;
    // Before the records: librdkafka asks again every few milliseconds until the transaction before this one is marked
    // everywhere, and every 20 ms for the partitions of records.
    for (member, identity) in &entry.members {
        let (own, others) = entry.offsets(member)?;
        if own.count() == 0 {
            continue;
        }
        send_offsets(producer, &own, identity, deadline).map_err(|error| refused(member, &error))?;
        if others.count() > 0 {
            let nobody = GroupMetadata::memberless(&member.companion);
            let nobody = nobody.ok_or_else(|| Failure::Unnamed(format!("no group `{}`", member.companion)))?;
            send_offsets(producer, &others, &nobody, deadline).map_err(unnamed)?;
        }
    }
    for (index, (job, row)) in entry.rows().enumerate() {
        produce(producer, row, deliveries, index, deadline)
            .map_err(|code| Failure::Named(vec![(job, delivery::failed(code, row))]))?;
    }
    // The commit would flush too, in steps of 100 ms.
    transaction::flush(producer.client(), deadline.left()).map_err(unnamed)?;
    if deliveries.outcomes().iter().any(|outcome| matches!(outcome, Some(Err(_)))) {
        return Err(Failure::Unnamed("a record was not written".to_owned()).into());
    }
    match deadline.repeat(|timeout| transaction::commit(producer.client(), timeout)) {
        Ok(()) => Ok(()),
        Err(error) if error.abort => Err(unnamed(error).into()),
        Err(error) => Err(Step::Undecided(error)),
    }
}

fn produce(
    producer: &Producer,
    row: &Row,
    deliveries: &Arc<Deliveries>,
    index: usize,
    deadline: &Deadline,
) -> Result<(), RDKafkaErrorCode> {
    let mut slot = deliveries.slot(index);
    loop {
        match delivery::send(producer, row, slot) {
            Ok(()) => break,
            Err((RDKafkaErrorCode::QueueFull, unsent)) if !deadline.left().is_zero() => {
                slot = unsent;
                // Fails on the deadline, and then so does the next attempt.
                let _ = transaction::flush(producer.client(), deadline.left());
            }
            Err((code, unsent)) => {
                unsent.settle(Err(code));
                return Err(code);
            }
        }
    }
    if row.topic.is_narrow() {
        let _ = transaction::flush(producer.client(), deadline.left());
    }
    Ok(())
}

fn send_offsets(
    producer: &Producer,
    offsets: &TopicPartitionList,
    identity: &GroupMetadata,
    deadline: &Deadline,
) -> Result<(), CallError> {
    deadline.repeat(|timeout| transaction::send_offsets(producer.client(), offsets, identity, timeout))
}

/// What the group's coordinator has against the member.
fn refused(member: &Arc<Roster>, error: &CallError) -> Failure {
    let not_a_member = |gone| Failure::NotAMember { member: member.clone(), gone };
    match error.code {
        RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::FencedInstanceId => not_a_member(true),
        RDKafkaErrorCode::IllegalGeneration
        | RDKafkaErrorCode::RebalanceInProgress
        | RDKafkaErrorCode::StaleMemberEpoch
        | RDKafkaErrorCode::FencedMemberEpoch => not_a_member(false),
        _ => Failure::Unnamed(format!("offsets of group `{}`: {error}", member.group)),
    }
}

/// The delivery reports may say whose record failed the transaction.
fn explain(failure: Failure, entry: &Entry, outcomes: &[Option<Outcome>]) -> Failure {
    let Failure::Unnamed(_) = &failure else { return failure };
    let mut named: Vec<(usize, Error)> = Vec::new();
    for ((job, row), outcome) in entry.rows().zip(outcomes) {
        let Some(Err(code)) = outcome else { continue };
        // Records that were well, and went down with the others.
        let innocent = matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight);
        if !innocent && named.iter().all(|(known, _)| *known != job) {
            named.push((job, delivery::failed(*code, row)));
        }
    }
    if named.is_empty() { failure } else { Failure::Named(named) }
}

fn list(offsets: BTreeMap<(&str, u32), &OffsetCommit>) -> Result<TopicPartitionList, Failure> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for ((topic, partition), OffsetCommit { offset, metadata }) in offsets {
        let mut element = list.add_partition(topic, native(partition));
        element.set_offset(Offset::Offset(*offset)).map_err(|error| Failure::Unnamed(error.to_string()))?;
        // Once only: the wrapper does not free what it replaces.
        element.set_metadata(metadata);
    }
    Ok(list)
}

struct Deadline(Instant);

impl Deadline {
    fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    fn left(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Calls again while that goes on where the last call stopped.
    fn repeat(&self, mut call: impl FnMut(Duration) -> Result<(), CallError>) -> Result<(), CallError> {
        loop {
            match call(self.left()) {
                Err(error) if error.retriable && !error.abort && !error.fatal && !self.left().is_zero() => {
                    tracing::debug!(kafka.error = %error, "a call of a transaction is repeated");
                    std::thread::sleep(BETWEEN_CALLS);
                }
                done => return done,
            }
        }
    }
}
