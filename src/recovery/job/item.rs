//! One item of a job: begun, and what came of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use crate::canonical::ids::NAMESPACE;
use crate::lane::batch::CommandOutcome;
use crate::recovery::failure::Detail;
use crate::recovery::job::pace::Pace;
use crate::recovery::job::{Error, Jobs};
use crate::recovery::keys::{self, Request, Standing, outcome_name};
use crate::recovery::replay::{self, Verdict};
use crate::store;
use crate::store::jobs::{ItemChange, ItemRow, ItemState, JobRow};
use crate::store::recovery::{FailureFilter, FailureRow, FailureState};

/// Orders whose items are seen to at once: each item is a few writes, of the audit, the log and the index, and each of
/// these waits for a disk.
const SIDE_BY_SIDE: usize = 16;
/// Longest outcome, in bytes.
const MAX_OUTCOME_BYTES: usize = 1 << 10;

/// Commands this runner has given: where each was written, if it was.
pub(super) type Given = HashMap<Uuid, Option<i64>>;

/// An item that was begun, and what is known of it.
struct Begun {
    number: i64,
    id: Uuid,
    /// `None`: the failure is not kept any more.
    row: Option<FailureRow>,
    /// Of its command, if that was executed.
    outcome: Option<CommandOutcome>,
    /// As [`Given`] has it.
    given: Option<Option<i64>>,
}

/// What was found out about the items of one order.
#[derive(Default)]
struct Seen {
    came: Vec<(Uuid, ItemChange)>,
    /// Commands that were given meanwhile.
    commands: Vec<(Uuid, Option<i64>)>,
    /// Why the rest was not looked at.
    error: Option<Error>,
}

/// What became of an item.
struct Came {
    state: ItemState,
    outcome: String,
}

impl Jobs {
    /// What becomes of items that were begun: those that have an outcome now. Commands that this runner has not given
    /// are given. Items of one order are seen to one after the other, in their order; those of different orders side by
    /// side.
    pub(super) async fn collect(
        &self,
        job: &JobRow,
        items: Vec<ItemRow>,
        given: &mut Given,
    ) -> Result<Vec<ItemChange>, Error> {
        let ids: Vec<_> = items.iter().map(|item| command_id(job, item)).collect();
        let outcomes = self.deps.keys.outcomes(&ids).await?;
        let rows: Vec<_> = items.iter().map(|item| self.failure(item)).collect();
        let rows: Vec<_> = stream::iter(rows).buffered(SIDE_BY_SIDE).try_collect().await?;
        let mut orders = BTreeMap::<_, Vec<_>>::new();
        for (((item, id), outcome), row) in items.into_iter().zip(ids).zip(outcomes).zip(rows) {
            let order = row.as_ref().map(|FailureRow { failure, .. }| {
                (failure.tenant_id.clone(), failure.source_key.clone(), failure.external_order_id.clone())
            });
            let command = given.get(&id).copied();
            orders.entry(order).or_default().push(Begun { number: item.number, id, row, outcome, given: command });
        }
        let has_failed = AtomicBool::new(false);
        let seen: Vec<_> = orders.into_values().map(|begun| self.collect_order(job, begun, &has_failed)).collect();
        let seen: Vec<_> = stream::iter(seen).buffer_unordered(SIDE_BY_SIDE).collect().await;
        let mut changes = Vec::new();
        let mut failed = None;
        for Seen { came, commands, error } in seen {
            given.extend(commands);
            for (id, change) in came {
                given.remove(&id);
                changes.push(change);
            }
            // What has come so far is written down; the rest is asked for again at the next round.
            failed = failed.or(error.filter(|error| !matches!(error, Error::Unavailable)));
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(changes),
        }
    }

    /// Goes no further once one of all orders has failed: neither log nor store is better for the next one.
    async fn collect_order(&self, job: &JobRow, begun: Vec<Begun>, has_failed: &AtomicBool) -> Seen {
        let mut seen = Seen::default();
        for mut item in begun {
            if has_failed.load(Ordering::Relaxed) {
                break;
            }
            let was_given = item.given.is_some();
            let came = match &item.row {
                None => Ok(Some(Came::refused("the failure is not kept any more"))),
                Some(row) => self.came(job, row, item.id, item.outcome, &mut item.given).await,
            };
            seen.commands.extend(item.given.filter(|_| !was_given).map(|control| (item.id, control)));
            match came {
                Ok(None) => {}
                Ok(Some(Came { state, mut outcome })) => {
                    outcome.truncate(outcome.floor_char_boundary(MAX_OUTCOME_BYTES));
                    let (number, at) = (item.number, self.deps.clock.now_ms());
                    let change = ItemChange { number, state, command_id: None, outcome: Some(outcome), at };
                    seen.came.push((item.id, change));
                }
                Err(error) => {
                    has_failed.store(true, Ordering::Relaxed);
                    seen.error = Some(error);
                    break;
                }
            }
        }
        seen
    }

    /// What an item becomes when it is its turn: begun, or refused because somebody else has seen to it.
    pub(super) async fn begin(&self, job: &JobRow, item: &ItemRow) -> Result<ItemChange, Error> {
        let (state, outcome) = match self.failure(item).await? {
            None => (ItemState::Refused, Some("the failure is not kept any more".to_owned())),
            Some(row) if row.state != FailureState::Open => {
                (ItemState::Refused, Some(format!("the failure is {} already", row.state.as_str())))
            }
            Some(_) => (ItemState::Requested, None),
        };
        let at = self.deps.clock.now_ms();
        let command_id = item.kind.is_dead_letter().then(|| command_id(job, item));
        Ok(ItemChange { number: item.number, state, command_id, outcome, at })
    }

    /// What replaying an item would come to, in a few words.
    pub(super) async fn outlook_of(&self, job: &JobRow, item: &ItemRow) -> Result<String, store::Error> {
        let Some(row) = self.failure(item).await? else { return Ok("not kept any more".to_owned()) };
        if row.state != FailureState::Open {
            return Ok(format!("{} already", row.state.as_str()));
        }
        if row.failure.kind.is_dead_letter() {
            let request = request(job, "outlook", command_id(job, item));
            return Ok(match self.deps.keys.outlook(&row, request).await {
                Ok("retry") => "attempted at its held key".to_owned(),
                Ok(_) => "comes back from its dead letter, unless it was overtaken".to_owned(),
                Err(keys::Error::Store(error)) => return Err(error),
                Err(error) => format!("refused: {}", class(&error)),
            });
        }
        Ok(match self.deps.replays.try_out(&row, None).await {
            Ok(draft) => match replay::Outcome::of(&draft) {
                outcome if outcome.verdict == Verdict::Accepted => "accepted".to_owned(),
                outcome => {
                    let code = outcome.problems.first().map(|problem| problem.code.as_str()).unwrap_or("unknown");
                    format!("rejected again: {code}")
                }
            },
            Err(replay::Error::Store(error)) => return Err(error),
            Err(error) => format!("refused: {error}"),
        })
    }

    /// `None`: its lane has not come to it yet.
    async fn came(
        &self,
        job: &JobRow,
        row: &FailureRow,
        id: Uuid,
        outcome: Option<CommandOutcome>,
        given: &mut Option<Option<i64>>,
    ) -> Result<Option<Came>, Error> {
        if row.failure.kind.is_dead_letter() {
            self.collect_record(job, row, id, outcome, given).await
        } else {
            self.replay_payload(job, row).await.map(Some)
        }
    }

    async fn collect_record(
        &self,
        job: &JobRow,
        row: &FailureRow,
        id: Uuid,
        outcome: Option<CommandOutcome>,
        given: &mut Option<Option<i64>>,
    ) -> Result<Option<Came>, Error> {
        let outcome = match outcome {
            Some(outcome) => Some(outcome),
            None if given.is_some() => None,
            None => match self.deps.keys.ask(row, request(job, &job.reason, id)).await {
                Ok(asked) => {
                    *given = Some(asked.control);
                    asked.outcome
                }
                Err(keys::Error::Store(error)) => return Err(error.into()),
                Err(error) if error.is_transient() => return Err(Error::Unavailable),
                Err(error) => return Ok(Some(Came::refused(error.to_string()))),
            },
        };
        match outcome {
            None => Ok(None),
            Some(CommandOutcome::Done) => {
                let control = given.flatten();
                Ok(Some(match self.deps.keys.conclude(row, control).await {
                    Ok(standing) => Came::stands(standing),
                    Err(keys::Error::Store(error)) => return Err(error.into()),
                    Err(error) => Came::refused(error.to_string()),
                }))
            }
            // Nothing overtakes a held record: it has come to its end since its failure was seen.
            Some(CommandOutcome::Overtaken) if Detail::of(&row.failure).record.is_some_and(|record| record.is_held) => {
                Ok(Some(Came::refused("the record has ended already")))
            }
            Some(outcome) => Ok(Some(Came::refused(outcome_name(outcome)))),
        }
    }

    async fn replay_payload(&self, job: &JobRow, row: &FailureRow) -> Result<Came, Error> {
        let request =
            replay::Request { operator: operator(job), reason: reason(job, &job.reason), payload: None, force: false };
        match self.deps.replays.replay(row, request).await {
            Ok(replayed) if replayed.outcome.verdict == Verdict::Accepted => {
                Ok(Came { state: ItemState::Succeeded, outcome: "accepted".to_owned() })
            }
            Ok(replayed) => {
                let problem = replayed.outcome.problems.into_iter().next();
                let told = problem.map(|problem| format!(": {} at {}", problem.code.as_str(), problem.field));
                let outcome = format!("rejected again{}", told.unwrap_or_default());
                Ok(Came { state: ItemState::Failed, outcome })
            }
            Err(replay::Error::Store(error)) => Err(error.into()),
            Err(replay::Error::Log(_) | replay::Error::Late { .. }) => Err(Error::Unavailable),
            Err(error) => Ok(Came::refused(error.to_string())),
        }
    }

    async fn failure(&self, item: &ItemRow) -> Result<Option<FailureRow>, store::Error> {
        let filter = FailureFilter {
            tenants: Some(vec![item.tenant_id.clone()]),
            event_id: Some(item.event_id),
            ..FailureFilter::default()
        };
        Ok(self.deps.store.failures(filter, None, 1).await?.pop())
    }
}

impl Came {
    fn refused(outcome: impl Into<String>) -> Self {
        Self { state: ItemState::Refused, outcome: outcome.into() }
    }

    fn stands(standing: Standing) -> Self {
        let cause = |failure: Option<crate::lane::batch::Failure>| {
            failure.map(|failure| format!(": {}: {}", failure.class, failure.message)).unwrap_or_default()
        };
        match standing {
            Standing::Ended => Self { state: ItemState::Succeeded, outcome: "ended".to_owned() },
            Standing::DiedAgain(failure) => {
                Self { state: ItemState::Failed, outcome: format!("died again{}", cause(failure)) }
            }
            Standing::Waits(topic, failure) => {
                Self { state: ItemState::Failed, outcome: format!("failed again, in {topic}{}", cause(failure)) }
            }
        }
    }
}

/// The same for the same item, whoever begins it.
fn command_id(job: &JobRow, item: &ItemRow) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("replay-job:{}:{}", job.id, item.number).as_bytes())
}

fn request(job: &JobRow, why: &str, command_id: Uuid) -> Request {
    Request { operator: operator(job), reason: reason(job, why), request_id: None, command_id: Some(command_id) }
}

fn reason(job: &JobRow, why: &str) -> String {
    format!("replay job {}: {why}", job.id)
}

/// Who began it; before that, who planned it.
fn operator(job: &JobRow) -> String {
    let begun_by = Pace::of_json(job.pace.as_deref()).operator;
    if begun_by.is_empty() { job.operator.clone() } else { begun_by }
}

/// Without what tells one record from another.
fn class(error: &keys::Error) -> &'static str {
    match error {
        keys::Error::NotHead { .. } => "an earlier record of its key is held",
        keys::Error::UnderWay { .. } => "it is being retried already",
        keys::Error::LetterGone { .. } => "its dead letter is gone",
        keys::Error::NoControl { .. } => "its lane is gone",
        keys::Error::NoDeadLetter | keys::Error::Edit(_) => "it is no dead letter",
        keys::Error::Log(_) | keys::Error::Late { .. } | keys::Error::Store(_) => "log or store cannot be read now",
    }
}
