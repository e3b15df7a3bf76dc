//! The order state machine: what a message means in the state its order is in.
//!
//! Pure: state, message and moment in; outcome, new state and events out. No clock, no I/O. Running it twice on one
//! message is an error of the caller's ("duplicate" the second time, and the events lost); the lane records each
//! decision with its effects and never comes back here for a known origin.
//!
//! Source: `contracts/canonical-events.md` section 8.

use std::mem;

use uuid::Uuid;

use crate::canonical::draft::{CancellationDraft, DraftHead, Intent, OrderDraft};
use crate::canonical::event::{self, Event};
use crate::canonical::order::Warning;
use crate::canonical::rejection::{Code, Rejection};
use crate::sequence::ledger::What;
use crate::sequence::message::{Body, Message, Unreadable};
use crate::sequence::state::{self, Damaged, Lapsed};
use crate::store::{Accepted, OrderState, Outcome, ParkedUpdate, Phase, Tombstone};

/// How long and how many things wait, and how a parked value is read again.
pub struct Rules<'a> {
    pub parked_for_ms: i64,
    pub max_parked_per_order: usize,
    pub tombstone_for_ms: i64,
    pub read_parked: &'a (dyn Fn(&[u8]) -> Result<Message, Unreadable> + Sync),
}

/// Where and when a message is decided. Times are epoch milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Offset of the record in the lane.
    pub offset: i64,
    /// The log's append time of the record: all deadlines are measured by it, so that a late lane expires nothing
    /// its creation was in time for.
    pub appended_at: i64,
    /// `event_timestamp` of what is published.
    pub now: i64,
}

/// What the record itself is kept for if it has to wait.
#[derive(Debug, Clone, Copy)]
pub struct Carrier<'a> {
    pub value: &'a bytes::Bytes,
    pub traceparent: Option<&'a str>,
}

/// What one record means.
#[derive(Debug)]
pub struct Step {
    pub verdict: Verdict,
    /// Records that waited and that this one ended, in order.
    pub endings: Vec<Ending>,
    /// Whether the state is another than before.
    pub changed: bool,
}

/// How one message ended, or that it waits.
#[derive(Debug)]
pub struct Verdict {
    pub outcome: Outcome,
    pub what: What,
    /// Epoch milliseconds.
    pub revision: Option<i64>,
    /// In the order of publication.
    pub events: Vec<Event>,
    /// With [`Outcome::Rejected`].
    pub rejection: Option<Rejection>,
}

/// The end of a record that waited.
#[derive(Debug)]
pub struct Ending {
    /// Its offset in the lane.
    pub offset: i64,
    pub verdict: Verdict,
    /// The parked update itself; a tombstone keeps no message.
    pub update: Option<EndedUpdate>,
}

#[derive(Debug)]
pub struct EndedUpdate {
    pub head: DraftHead,
    pub warnings: Vec<Warning>,
    pub traceparent: Option<String>,
}

/// The store's own data cannot be understood: no message is to blame, and no decision may be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Order(#[from] Damaged),
    #[error("update parked at offset {offset} cannot be read")]
    ParkedUpdate {
        offset: i64,
        #[source]
        cause: Unreadable,
    },
    #[error("record parked at offset {offset} is not an update")]
    NotAnUpdate { offset: i64 },
}

/// Decides about `message` in `state`, which becomes the new state.
///
/// What is past its deadline at the append time ends first, whether its timer has run or not. A creation then
/// releases what waits for it, in revision order, each through the table in turn. A rejection meets no state.
///
/// # Errors
/// [`Error`]; `state` must then be thrown away.
pub fn decide(
    state: &mut OrderState,
    message: &Message,
    carrier: Carrier<'_>,
    moment: Moment,
    rules: &Rules<'_>,
) -> Result<Step, Error> {
    let mut table = Table { state, moment, rules, endings: Vec::new(), changed: false };
    let verdict = match &message.body {
        Body::Order { subject, draft, revision } => {
            table.end_lapsed()?;
            let verdict = table.order(&Change { message, id: subject.id, draft, revision: *revision }, carrier)?;
            table.release(subject.id)?;
            verdict
        }
        Body::Cancellation { subject, draft } => {
            table.end_lapsed()?;
            table.cancellation(subject.id, draft)?
        }
        Body::Rejection { rejection, .. } => return Ok(refuse(message, rejection, moment.now)),
    };
    let Table { endings, changed, state, .. } = table;
    if changed {
        state.changed_at = moment.appended_at;
    }
    Ok(Step { verdict, endings, changed })
}

/// What a hop refused: published as it is, whatever state the order is in.
pub fn refuse(message: &Message, rejection: &Rejection, now: i64) -> Step {
    let verdict = Verdict::rejected(What::Rejection, None, message, rejection.clone(), now);
    Step { verdict, endings: Vec::new(), changed: false }
}

/// A message that was decided before, as the place it was read at or its sender's id for the delivery tells: it ended
/// then, and meets no state now, whatever it holds.
pub fn repeat(message: &Message) -> Step {
    let (what, revision) = match &message.body {
        Body::Order { draft, revision, .. } => {
            let what = if draft.intent == Intent::Created { What::Created } else { What::Updated };
            (what, Some(*revision))
        }
        Body::Cancellation { draft, .. } => (What::Cancelled, Some(draft.cancelled_at)),
        Body::Rejection { .. } => (What::Rejection, None),
    };
    let verdict = Verdict { outcome: Outcome::Duplicate, what, revision, events: Vec::new(), rejection: None };
    Step { verdict, endings: Vec::new(), changed: false }
}

/// The end of an update whose order was never created in time.
pub fn expire_update(parked: ParkedUpdate, now: i64, rules: &Rules<'_>) -> Result<Ending, Error> {
    let message = read_parked(&parked, rules)?;
    let Body::Order { draft, .. } = &message.body else {
        return Err(Error::NotAnUpdate { offset: parked.offset });
    };
    let reason = "expected an order that was created, none was in time";
    let rejection = Rejection::one(Code::UnknownReference, draft.id_field.clone(), reason);
    let verdict = Verdict::rejected(What::Updated, Some(parked.revision), &message, rejection, now);
    Ok(Ending::of_update(parked, message, verdict))
}

/// The end of a cancellation whose order never came.
pub fn expire_tombstone(tombstone: &Tombstone) -> Ending {
    let verdict = Verdict::silent(Outcome::Expired, What::Cancelled, tombstone.cancelled_at);
    Ending { offset: tombstone.offset, verdict, update: None }
}

/// One run through the table.
struct Table<'a> {
    state: &'a mut OrderState,
    moment: Moment,
    rules: &'a Rules<'a>,
    endings: Vec<Ending>,
    changed: bool,
}

/// A creation or an update on its way through the table.
struct Change<'a> {
    message: &'a Message,
    id: Uuid,
    draft: &'a OrderDraft,
    revision: i64,
}

impl Table<'_> {
    fn end_lapsed(&mut self) -> Result<(), Error> {
        let Lapsed { updates, tombstone } = state::lapse(self.state, self.moment.appended_at);
        for update in updates {
            self.endings.push(expire_update(update, self.moment.now, self.rules)?);
            self.changed = true;
        }
        if let Some(tombstone) = tombstone {
            self.endings.push(expire_tombstone(&tombstone));
            self.changed = true;
        }
        Ok(())
    }

    fn order(&mut self, change: &Change<'_>, carrier: Carrier<'_>) -> Result<Verdict, Error> {
        match (&mut self.state.phase, change.draft.intent) {
            (Phase::Unknown | Phase::Tombstone(_), Intent::Updated) => Ok(self.wait(change, carrier)),
            (Phase::Unknown, Intent::Created | Intent::Upsert) => self.create(change),
            (Phase::Tombstone(tombstone), Intent::Created | Intent::Upsert) => {
                let tombstone = tombstone.clone();
                self.suppress(change, &tombstone)
            }
            (Phase::Received(_) | Phase::Cancelled(_), _) => self.change_known(change),
        }
    }

    fn change_known(&mut self, change: &Change<'_>) -> Result<Verdict, Error> {
        let Change { draft, revision, .. } = *change;
        let what = change.what_when_known();
        let Phase::Received(accepted) = &mut self.state.phase else {
            return Ok(Verdict::silent(Outcome::Stale, what, revision));
        };
        let same = accepted.digest == draft.digest;
        let created_again = draft.intent == Intent::Created && same;
        if created_again || (same && revision >= accepted.revision) {
            let updated_at = draft.order.updated_at.as_deref();
            self.changed |= state::move_forward(accepted, change.id, revision, updated_at)?;
            return Ok(Verdict::silent(Outcome::Duplicate, what, revision));
        }
        if revision < accepted.revision {
            return Ok(Verdict::silent(Outcome::Stale, what, revision));
        }
        if revision == accepted.revision {
            let reason = "expected a newer revision than the one known, found the same one with other content";
            let rejection = Rejection::one(Code::BusinessRule, draft.revision_field.clone(), reason);
            return Ok(Verdict::rejected(what, Some(revision), change.message, rejection, self.moment.now));
        }
        let known = state::read(accepted, change.id)?;
        let changed_fields = event::changed_fields(&known, &draft.order);
        let version = &change.message.head.transformation_version;
        *accepted = state::accept(&draft.order, change.id, revision, draft.digest, version)?;
        self.changed = true;
        let now = self.moment.now;
        let events = vec![
            event::updated(&draft.order, revision, changed_fields, now),
            event::normalized(&draft.order, revision, version, now),
        ];
        Ok(Verdict { outcome: Outcome::Accepted, what, revision: Some(revision), events, rejection: None })
    }

    fn create(&mut self, change: &Change<'_>) -> Result<Verdict, Error> {
        let Change { draft, revision, .. } = *change;
        let version = &change.message.head.transformation_version;
        let accepted = state::accept(&draft.order, change.id, revision, draft.digest, version)?;
        self.state.phase = Phase::Received(accepted);
        self.changed = true;
        let now = self.moment.now;
        let events =
            vec![event::received(&draft.order, revision, now), event::normalized(&draft.order, revision, version, now)];
        let what = What::Created;
        Ok(Verdict { outcome: Outcome::Accepted, what, revision: Some(revision), events, rejection: None })
    }

    /// The order was cancelled before it was created: only the cancellation is published, with its own revision.
    fn suppress(&mut self, change: &Change<'_>, tombstone: &Tombstone) -> Result<Verdict, Error> {
        let Change { draft, .. } = *change;
        let Tombstone { cancelled_at, reason_code, reason, .. } = tombstone;
        let cancelled_at = *cancelled_at;
        let canonical = state::cancel(draft.order.clone(), change.id, cancelled_at)?;
        let event =
            event::cancelled(&draft.order, cancelled_at, reason_code, reason.as_deref(), cancelled_at, self.moment.now);
        self.state.phase = Phase::Cancelled(Accepted {
            revision: cancelled_at,
            digest: draft.digest,
            canonical,
            transformation_version: change.message.head.transformation_version.clone(),
        });
        self.changed = true;
        let revision = Some(change.revision);
        let what = What::Created;
        Ok(Verdict { outcome: Outcome::Suppressed, what, revision, events: vec![event], rejection: None })
    }

    /// Parks the update, unless as many wait already as may: each is held with its payload, and all are in memory
    /// whenever one message of the order is decided.
    fn wait(&mut self, change: &Change<'_>, carrier: Carrier<'_>) -> Verdict {
        let most = self.rules.max_parked_per_order;
        if self.state.parked.len() >= most {
            let reason = format!("expected at most {most} updates that wait for the order's creation, found more");
            let rejection = Rejection::one(Code::LimitExceeded, change.draft.id_field.clone(), reason);
            let revision = Some(change.revision);
            return Verdict::rejected(What::Updated, revision, change.message, rejection, self.moment.now);
        }
        let update = ParkedUpdate {
            offset: self.moment.offset,
            revision: change.revision,
            expires_at: self.moment.appended_at.saturating_add(self.rules.parked_for_ms),
            value: carrier.value.clone(),
            traceparent: carrier.traceparent.map(str::to_owned),
        };
        state::park(self.state, update);
        self.changed = true;
        Verdict::silent(Outcome::Parked, What::Updated, change.revision)
    }

    fn cancellation(&mut self, id: Uuid, draft: &CancellationDraft) -> Result<Verdict, Error> {
        let what = What::Cancelled;
        let revision = draft.cancelled_at;
        match &mut self.state.phase {
            Phase::Unknown => {
                self.state.phase = Phase::Tombstone(Tombstone {
                    offset: self.moment.offset,
                    cancelled_at: draft.cancelled_at,
                    reason_code: draft.reason_code.clone(),
                    reason: draft.reason.clone(),
                    expires_at: self.moment.appended_at.saturating_add(self.rules.tombstone_for_ms),
                });
                self.changed = true;
                Ok(Verdict::silent(Outcome::Parked, what, revision))
            }
            Phase::Received(accepted) => {
                let order = state::read(accepted, id)?;
                let event = event::cancelled(
                    &order,
                    revision,
                    &draft.reason_code,
                    draft.reason.as_deref(),
                    draft.cancelled_at,
                    self.moment.now,
                );
                let canonical = state::cancel(order, id, draft.cancelled_at)?;
                let transformation_version = mem::take(&mut accepted.transformation_version);
                let cancelled = Accepted { revision, digest: accepted.digest, canonical, transformation_version };
                self.state.phase = Phase::Cancelled(cancelled);
                self.changed = true;
                let events = vec![event];
                Ok(Verdict { outcome: Outcome::Accepted, what, revision: Some(revision), events, rejection: None })
            }
            Phase::Cancelled(_) | Phase::Tombstone(_) => Ok(Verdict::silent(Outcome::Duplicate, what, revision)),
        }
    }

    /// Runs what waited for the creation, if there is one now.
    fn release(&mut self, id: Uuid) -> Result<(), Error> {
        if !matches!(self.state.phase, Phase::Received(_) | Phase::Cancelled(_)) {
            return Ok(());
        }
        for parked in mem::take(&mut self.state.parked) {
            let message = read_parked(&parked, self.rules)?;
            let Body::Order { draft, revision, .. } = &message.body else {
                return Err(Error::NotAnUpdate { offset: parked.offset });
            };
            let verdict = self.change_known(&Change { message: &message, id, draft, revision: *revision })?;
            self.endings.push(Ending::of_update(parked, message, verdict));
            self.changed = true;
        }
        Ok(())
    }
}

impl Change<'_> {
    /// A REST order counts as an update of a known order.
    fn what_when_known(&self) -> What {
        match self.draft.intent {
            Intent::Created => What::Created,
            Intent::Updated | Intent::Upsert => What::Updated,
        }
    }
}

impl Verdict {
    fn silent(outcome: Outcome, what: What, revision: i64) -> Self {
        Self { outcome, what, revision: Some(revision), events: Vec::new(), rejection: None }
    }

    fn rejected(what: What, revision: Option<i64>, message: &Message, rejection: Rejection, now: i64) -> Self {
        let mut events = Vec::new();
        if rejection.code().is_published() {
            events.push(event::failed(&message.head, &rejection, &message.raw, now));
        }
        Self { outcome: Outcome::Rejected, what, revision, events, rejection: Some(rejection) }
    }
}

impl Ending {
    fn of_update(parked: ParkedUpdate, message: Message, verdict: Verdict) -> Self {
        let warnings = message.warnings().to_vec();
        let update = EndedUpdate { head: message.head, warnings, traceparent: parked.traceparent };
        Self { offset: parked.offset, verdict, update: Some(update) }
    }
}

fn read_parked(parked: &ParkedUpdate, rules: &Rules<'_>) -> Result<Message, Error> {
    (rules.read_parked)(&parked.value).map_err(|cause| Error::ParkedUpdate { offset: parked.offset, cause })
}
