//! Writes a command into its lane's control topic, once, and waits for what comes of it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::{error, info};
use uuid::Uuid;

use crate::canonical::ids::{NAMESPACE, Sha256Digest};
use crate::lane::batch::CommandOutcome;
use crate::lane::command::{Command, Verb};
use crate::lane::{Key, Seq, header};
use crate::log::{self, Append, Header, Record};
use crate::recovery::audit::{self, Deed, Phase};
use crate::recovery::keys::{Commanded, Error, Keys, Request, outcome_name};
use crate::store::LaneId;

/// How often the outcome is asked for: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Ids that are asked for at once: as many times in a row a command has to have come to nothing for a second question.
const TRIES: u32 = 16;

/// A command in the making.
pub(super) struct Order {
    pub lane: LaneId,
    pub key: Key,
    pub verb: Verb,
    /// The record it is about, and the moves behind it when the operator looked: with these it is told from another.
    pub seq: Seq,
    pub hop: u32,
    /// The record the command brings along, as it came.
    pub carried: Option<Record>,
    /// Digest of its value, if that was edited.
    pub edited: Option<Sha256Digest>,
    pub action: &'static str,
    pub subject: String,
    pub tenant_id: Option<String>,
    pub request: Request,
}

/// A command that is in the control topic, or was executed before.
pub(super) struct Given {
    pub id: Uuid,
    /// Its outcome, if it was executed before.
    pub known: Option<CommandOutcome>,
    /// Where it was written now.
    pub control: Option<i64>,
}

impl Keys {
    pub(super) async fn command(&self, order: &Order) -> Result<Commanded, Error> {
        let Given { id, known, control } = self.give(order).await?;
        let outcome = match known {
            Some(outcome) => Some(outcome),
            None => {
                let outcome = self.outcome(id).await?;
                self.note(order, id, Phase::Done, outcome, None).await?;
                outcome
            }
        };
        info!(operator = order.request.operator, command = %id, verb = name(order.verb), topic = %order.lane.topic,
            partition = order.lane.partition, seq = order.seq, outcome = outcome.map(outcome_name), "command given");
        let standing = match outcome {
            Some(CommandOutcome::Done) => {
                let key = Bytes::copy_from_slice(order.key.as_bytes());
                // Where another copy of the command was the one executed, nothing was decided about this one.
                Some(self.standing(&order.lane, &key, order.seq, control).await?)
            }
            _ => None,
        };
        Ok(Commanded { command_id: id, outcome, standing })
    }

    /// Writes the command, unless it was executed before.
    pub(super) async fn give(&self, order: &Order) -> Result<Given, Error> {
        let (id, known) = self.identify(order).await?;
        let control = if known.is_none() { self.write(order, id).await? } else { None };
        Ok(Given { id, known, control })
    }

    /// The command's id, and its outcome if it was executed before. Of commands that came to nothing the next one is
    /// another, unless the caller says that it is the same request.
    async fn identify(&self, order: &Order) -> Result<(Uuid, Option<CommandOutcome>), Error> {
        let is_named = order.request.request_id.is_some() || order.request.command_id.is_some();
        let tries = if is_named { 1 } else { TRIES };
        let mut first = 0;
        loop {
            let ids: Vec<_> = (first..first + tries).map(|number| order.id(number)).collect();
            let asked = ids.iter().map(Uuid::to_string).collect();
            let outcomes = self.deps.store.command_outcomes(asked).await?;
            for (id, row) in ids.into_iter().zip(outcomes) {
                let outcome = row.map(|row| row.outcome);
                let is_spent = outcome.is_some_and(|outcome| outcome != CommandOutcome::Done);
                if !is_spent || is_named {
                    return Ok((id, outcome));
                }
            }
            first = first.saturating_add(tries);
        }
    }

    async fn write(&self, order: &Order, id: Uuid) -> Result<Option<i64>, Error> {
        self.note(order, id, Phase::Requested, None, None).await?;
        fail::fail_point!("recovery.command.requested");
        let error = match self.append(order, id).await {
            Ok(offset) => return Ok(offset),
            Err(error) => error,
        };
        if let Err(unwritten) = self.note(order, id, Phase::Failed, None, Some(error.to_string())).await {
            error!(command = %id, error = %unwritten, "audit cannot be written");
        }
        Err(error)
    }

    async fn append(&self, order: &Order, id: Uuid) -> Result<Option<i64>, Error> {
        let topic = format!("{}.control", order.lane.topic);
        let append =
            Append { topic: topic.as_str().into(), partition: Some(order.lane.partition), record: order.record(id) };
        let limit = self.deps.append_timeout;
        match tokio::time::timeout(limit, self.deps.log.append(vec![append])).await {
            Ok(Ok(positions)) => Ok(positions.first().map(|position| position.offset)),
            Ok(Err(log::Error::UnknownTopic { .. } | log::Error::UnknownPartition { .. })) => {
                Err(Error::NoControl { topic: order.lane.topic.to_string() })
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Error::Late { limit }),
        }
    }

    async fn outcome(&self, id: Uuid) -> Result<Option<CommandOutcome>, Error> {
        let until = Instant::now() + self.deps.outcome_timeout;
        let mut pause = FIRST_PAUSE;
        loop {
            let outcomes = self.deps.store.command_outcomes(vec![id.to_string()]).await?;
            let outcome = outcomes.into_iter().next().flatten().map(|row| row.outcome);
            if outcome.is_some() || Instant::now() >= until {
                return Ok(outcome);
            }
            tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn note(
        &self,
        order: &Order,
        id: Uuid,
        phase: Phase,
        outcome: Option<CommandOutcome>,
        error: Option<String>,
    ) -> Result<(), Error> {
        let Order { lane, request, action, subject, .. } = order;
        let detail = audit::Command {
            phase,
            command_id: id,
            verb: name(order.verb).to_owned(),
            lane: format!("{}/{}", lane.topic, lane.partition),
            seq: if let Verb::Purge { through } = order.verb { through } else { order.seq },
            reason: request.reason.clone(),
            edited_sha256: order.edited,
            outcome: outcome.map(|outcome| outcome_name(outcome).to_owned()),
            error,
        };
        let deed = Deed { operator: &request.operator, action, tenant_id: order.tenant_id.as_deref(), subject };
        Ok(self.audit.write(deed, &detail, None).await?)
    }
}

impl Order {
    /// Derived, so that the same wish has the same id on every gateway.
    fn id(&self, number: u32) -> Uuid {
        let Self { lane, verb, seq, hop, edited, request, .. } = self;
        if let Some(id) = request.command_id {
            return id;
        }
        let (argument, is_forced) = match verb {
            Verb::Purge { through } => (*through, false),
            Verb::Replay { is_forced, .. } => (*seq, *is_forced),
            Verb::Retry | Verb::Edit { .. } | Verb::Skip { .. } => (*seq, false),
        };
        let edited = edited.map(|digest| digest.to_string()).unwrap_or_default();
        let wish = match &request.request_id {
            Some(request) => format!("request:{request}"),
            None => format!("{seq}:{hop}:{edited}:{is_forced}:{number}"),
        };
        let name = format!("command:{}:{}/{}:{argument}:{wish}\u{1f}", name(*verb), lane.topic, lane.partition);
        Uuid::new_v5(&NAMESPACE, &[name.as_bytes(), self.key.as_bytes()].concat())
    }

    /// The control record: the command's headers before the carried record's, whose key is in a header of its own.
    fn record(&self, id: Uuid) -> Record {
        let mut headers = Command { id: id.to_string(), key: self.key.clone(), verb: self.verb }.headers();
        // Empty, not absent: to a log that compacts, no value would be a deletion.
        let mut value = Some(Bytes::new());
        if let Some(carried) = &self.carried {
            headers.extend(carried.headers.iter().cloned());
            headers.push(Header { name: header::KEY.to_owned(), value: Bytes::copy_from_slice(self.key.as_bytes()) });
            if self.edited.is_some() {
                headers.push(Header::text(header::EDIT, id.to_string()));
            }
            value.clone_from(&carried.value);
        }
        Record { key: Some(Bytes::from(id.to_string())), value, headers }
    }
}

pub(super) const fn name(verb: Verb) -> &'static str {
    match verb {
        Verb::Retry => "retry",
        Verb::Edit { .. } => "edit",
        Verb::Skip { .. } => "skip",
        Verb::Purge { .. } => "purge",
        Verb::Replay { .. } => "replay",
    }
}
