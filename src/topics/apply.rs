//! Makes a cluster's topics as they should be.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::log::Error;
use crate::log::kafka::admin::{Change, Creation, Run, TopicAdmin};
use crate::topics::plan::{self, Comparison, State};
use crate::topics::{Topic, expected};

/// Between two looks at what was just done: it is there for one broker before it is there for all.
const PROPAGATION: Duration = Duration::from_millis(50);

/// A plan in which nothing is refused; no other can be applied.
#[derive(Debug, Clone, Copy)]
pub struct Approved<'a>(&'a [Comparison]);

/// What a person has to settle first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .reasons.join("; "))]
pub struct Refused {
    /// How many.
    pub topics: usize,
    pub reasons: Vec<String>,
}

impl<'a> Approved<'a> {
    /// # Errors
    /// What is refused.
    pub fn new(plan: &'a [Comparison]) -> Result<Self, Refused> {
        let refused: Vec<_> = plan.iter().filter(|comparison| comparison.state() == State::Refused).collect();
        if refused.is_empty() {
            return Ok(Self(plan));
        }
        let of = |comparison: &&Comparison| {
            let name = comparison.topic.name.clone();
            comparison.refusals.iter().map(move |refusal| format!("topic `{name}`: {refusal}")).collect::<Vec<_>>()
        };
        Err(Refused { topics: refused.len(), reasons: refused.iter().flat_map(of).collect() })
    }

    fn of(self, state: State) -> impl Iterator<Item = &'a Comparison> {
        self.0.iter().filter(move |comparison| comparison.state() == state)
    }
}

/// Compares `topics` with the cluster's.
///
/// # Errors
/// [`Error::Unavailable`] if the cluster does not answer in time, [`Error::Unusable`] if it does not let this user in.
pub async fn compare(admin: &TopicAdmin, topics: &[Topic]) -> Result<Vec<Comparison>, Error> {
    let cluster = admin.cluster().await?;
    let found = admin.describe(topics.iter().map(|topic| topic.name.clone()).collect()).await?;
    Ok(plan::compare(topics, &found, cluster))
}

/// Does what `plan` says, and returns when the cluster shows it. Topics of others are made if `creates_foreign`; they
/// are never changed.
///
/// The cluster checks everything before anything is done, so what it does not allow leaves all topics as they were.
///
/// # Errors
/// [`Error::Unusable`] if the cluster does not allow something; [`Error::Unavailable`] if it does not answer in time,
/// or another hand changed the topics meanwhile. Then some of it may be done; applying again does the rest.
pub async fn apply(admin: &TopicAdmin, plan: Approved<'_>, creates_foreign: bool) -> Result<(), Error> {
    let missing = plan.of(State::Missing).filter(|missing| missing.topic.role.is_own() || creates_foreign);
    run(admin, missing.collect(), plan.of(State::Change).collect()).await
}

/// As [`apply`], but changes nothing that is there and makes nothing for others.
///
/// # Errors
/// As [`apply`].
pub async fn make_missing(admin: &TopicAdmin, plan: Approved<'_>) -> Result<(), Error> {
    run(admin, plan.of(State::Missing).filter(|missing| missing.topic.role.is_own()).collect(), Vec::new()).await
}

async fn run(admin: &TopicAdmin, missing: Vec<&Comparison>, wrong: Vec<&Comparison>) -> Result<(), Error> {
    let touched: Vec<_> = missing.iter().chain(&wrong).map(|comparison| comparison.topic.clone()).collect();
    if touched.is_empty() {
        return Ok(());
    }
    let creations: Vec<_> = missing.into_iter().map(creation).collect();
    let changes: Vec<_> = wrong.into_iter().map(change).collect();
    for run in [Run::Check, Run::Do] {
        admin.create(&creations, run).await?;
        admin.change(&changes, run).await?;
    }
    let shown = tokio::time::timeout(admin.timeout(), shown(admin, &touched)).await;
    shown.unwrap_or_else(|_| {
        let reason = "the topics are made and changed, and the cluster does not show it";
        Err(Error::Unavailable { reason: reason.to_owned() })
    })
}

async fn shown(admin: &TopicAdmin, topics: &[Topic]) -> Result<(), Error> {
    let cluster = admin.cluster().await?;
    loop {
        let found = admin.describe(topics.iter().map(|topic| topic.name.clone()).collect()).await?;
        let is_same = plan::compare(topics, &found, cluster).iter().all(|topic| topic.state() == State::Same);
        if is_same && found.values().all(|topic| topic.has_leaders) {
            return Ok(());
        }
        tokio::time::sleep(PROPAGATION).await;
    }
}

fn creation(missing: &Comparison) -> Creation {
    let Topic { name, partitions, replication, .. } = &missing.topic;
    let settings = expected::values(&missing.expected);
    Creation { topic: name.clone(), partitions: *partitions, replication: *replication, settings }
}

fn change(comparison: &Comparison) -> Change {
    let settings: BTreeMap<_, _> =
        comparison.changes.iter().map(|change| (change.setting.to_owned(), change.expected.clone())).collect();
    Change { topic: comparison.topic.name.clone(), settings }
}
