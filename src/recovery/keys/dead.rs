//! Brings a dead record back: by an attempt at its held key, or as the dead letter it lies in.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::canonical::ids::Sha256Digest;
use crate::lane::batch::{CommandOutcome, Role};
use crate::lane::command::{self, Verb};
use crate::lane::{Topic, header};
use crate::log::{ReadLimit, Record};
use crate::recovery::audit;
use crate::recovery::dead_letter::{self, DeadRecord};
use crate::recovery::edit;
use crate::recovery::failure::Detail;
use crate::recovery::keys::send::{self, Given, Order};
use crate::recovery::keys::{Commanded, Error, Keys, Request, Standing};
use crate::store::lanes::{KeyFilter, OutstandingRow};
use crate::store::recovery::{Failure, FailureChange, FailureFilter, FailureKind, FailureRow, FailureState, MAX_PAGE};
use crate::store::{self, LaneId};

/// A dead letter has the size of its record.
const ONE: ReadLimit = ReadLimit { records: 1, bytes: 1 };

/// A command that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Its outcome, if it was executed before.
    pub outcome: Option<CommandOutcome>,
    /// Its offset in the control topic, if it was written now.
    pub control: Option<i64>,
}

impl Keys {
    /// Attempts the record of a dead letter once more, with the value it has or an edited one. If its key is held,
    /// that is one attempt at the key's head; if not, the record comes back from its dead letter, and is refused if a
    /// later record of its key was attempted since, unless `force`.
    ///
    /// # Errors
    /// [`Error`]. After [`Error::Log`] and [`Error::Late`] the same may be asked for again.
    pub async fn replay(
        &self,
        row: &FailureRow,
        payload: Option<Bytes>,
        force: bool,
        request: Request,
    ) -> Result<Commanded, Error> {
        let order = self.order(&row.failure, payload, force, request).await?;
        let commanded = self.command(&order).await?;
        if let Some(standing) = &commanded.standing {
            let comes_back = matches!(order.verb, Verb::Replay { .. });
            self.close(&row.failure, closed(comes_back, standing)).await?;
        }
        Ok(commanded)
    }

    /// As [`Self::replay`], as it came and not forced, without waiting for the outcome.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn ask(&self, row: &FailureRow, request: Request) -> Result<Asked, Error> {
        let order = self.order(&row.failure, None, false, request).await?;
        let Given { known, control, .. } = self.give(&order).await?;
        Ok(Asked { outcome: known, control })
    }

    /// What [`Self::ask`] would do; nothing is written.
    ///
    /// # Errors
    /// [`Error`], as [`Self::ask`] would.
    pub async fn outlook(&self, row: &FailureRow, request: Request) -> Result<&'static str, Error> {
        Ok(send::name(self.order(&row.failure, None, false, request).await?.verb))
    }

    /// Outcomes of commands, in the order of `ids`; `None`: not executed yet.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn outcomes(&self, ids: &[Uuid]) -> Result<Vec<Option<CommandOutcome>>, store::Error> {
        let rows = self.deps.store.command_outcomes(ids.iter().map(Uuid::to_string).collect()).await?;
        Ok(rows.into_iter().map(|row| row.map(|row| row.outcome)).collect())
    }

    /// Where the record is after a command that was done, which closes its failure if it has ended. `control`: where the
    /// command was written, if that is known.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn conclude(&self, row: &FailureRow, control: Option<i64>) -> Result<Standing, Error> {
        let dead = Detail::of(&row.failure).record.ok_or(Error::NoDeadLetter)?;
        let key = dead.key().ok_or(Error::NoDeadLetter)?;
        let key = Bytes::copy_from_slice(key.as_bytes());
        let control = control.filter(|_| !dead.is_held);
        let mut standing = self.standing(&dead.lane(), &key, dead.seq, control).await?;
        let is_unsure = standing == Standing::Ended && control.is_none() && !dead.is_held;
        if is_unsure && self.has_died_since(&row.failure, &dead).await? {
            standing = Standing::DiedAgain(None);
        }
        self.close(&row.failure, closed(!dead.is_held, &standing)).await?;
        Ok(standing)
    }

    /// Whether the index has a later dead letter of the record: where nobody knows which command brought it back, that
    /// tells a death from a delivery.
    async fn has_died_since(&self, failure: &Failure, dead: &DeadRecord) -> Result<bool, store::Error> {
        let filter = FailureFilter {
            tenants: Some(vec![failure.tenant_id.clone()]),
            kinds: Some(vec![failure.kind]),
            source_key: Some(failure.source_key.clone()),
            external_order_id: Some(failure.external_order_id.clone()),
            ..FailureFilter::default()
        };
        let rows = self.deps.store.failures(filter, None, MAX_PAGE).await?;
        let is_later = |row: &FailureRow| {
            let later = Detail::of(&row.failure).record;
            later.is_some_and(|later| later.seq == dead.seq && later.hop > dead.hop && later.lane() == dead.lane())
        };
        Ok(rows.iter().any(is_later))
    }

    async fn order(
        &self,
        failure: &Failure,
        payload: Option<Bytes>,
        force: bool,
        request: Request,
    ) -> Result<Order, Error> {
        let dead = Detail::of(failure).record.ok_or(Error::NoDeadLetter)?;
        let (lane, key) = (dead.lane(), dead.key().ok_or(Error::NoDeadLetter)?);
        let key_bytes = Bytes::copy_from_slice(key.as_bytes());
        let rows = self.deps.store.key_records(&lane, key_bytes.clone(), dead.seq, 1).await?;
        let outstanding = rows.into_iter().find(|row| row.seq == dead.seq);
        let (verb, hop) = match outstanding {
            Some(OutstandingRow { topic: Topic::Held, role: Role::Head, hop, .. }) => {
                self.is_head(&lane, &key_bytes, &dead).await?;
                (if payload.is_some() { Verb::Edit { seq: dead.seq } } else { Verb::Retry }, hop)
            }
            Some(row) => return Err(Error::UnderWay { topic: row.topic }),
            None => {
                let DeadRecord { seq, hop, attempts, .. } = dead;
                (Verb::Replay { seq, hop, attempts, is_forced: force }, hop)
            }
        };
        let mut carried = None;
        let mut edited = None;
        if !matches!(verb, Verb::Retry) {
            let mut letter = self.letter(failure, &dead).await?;
            if let Some(payload) = payload {
                edit::check(&self.deps.catalogue, letter.value.as_ref(), &payload)?;
                edited = Some(Sha256Digest::of(&payload));
                letter.value = Some(payload);
            }
            carried = Some(letter);
        }
        Ok(Order {
            lane,
            key,
            verb,
            seq: dead.seq,
            hop,
            carried,
            edited,
            action: audit::REPLAY,
            subject: failure.event_id.to_string(),
            tenant_id: Some(failure.tenant_id.clone()),
            request,
        })
    }

    /// The record as its dead letter has it, headers of the lane included.
    ///
    /// # Errors
    /// [`Error::LetterGone`] if the topic does not have it any more.
    pub async fn letter(&self, failure: &Failure, dead: &DeadRecord) -> Result<Record, Error> {
        let (topic, partition, offset) = &failure.place;
        let gone = || Error::LetterGone { topic: topic.to_string() };
        let stored = self.deps.log.read(topic, *partition, *offset, ONE).await?;
        let stored = stored.into_iter().next().filter(|stored| stored.offset == *offset).ok_or_else(gone)?;
        let read = dead_letter::read(&stored).map_err(|_| gone())?;
        // Of a topic that was deleted and made again, another record has the same place.
        if read.event_id != failure.event_id || Detail::of(&read).record.map(|read| read.seq) != Some(dead.seq) {
            return Err(gone());
        }
        let mut record = command::carried(&stored.record);
        record.headers.retain(|header| header.name != header::KEY);
        Ok(record)
    }

    /// Closes the failure of a record that an operator ended.
    pub(super) async fn settle(&self, lane: &LaneId, record: &OutstandingRow, verb: Verb) -> Result<(), Error> {
        let state = match verb {
            Verb::Skip { .. } | Verb::Purge { .. } => FailureState::Dismissed,
            Verb::Retry | Verb::Edit { .. } | Verb::Replay { .. } => FailureState::Resolved,
        };
        if let Some(row) = self.failure_of(lane, record).await? {
            self.close(&row.failure, Some(state)).await?;
        }
        Ok(())
    }

    /// The open failure of an outstanding record, if it has one and the index has it already.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn failure_of(&self, lane: &LaneId, record: &OutstandingRow) -> Result<Option<FailureRow>, store::Error> {
        let (source_key, external_order_id) = dead_letter::order_of(&lane.topic, &record.key);
        let filter = FailureFilter {
            kinds: Some(vec![FailureKind::Call, FailureKind::Translation]),
            state: Some(FailureState::Open),
            source_key: Some(source_key),
            external_order_id: Some(external_order_id),
            ..FailureFilter::default()
        };
        let rows = self.deps.store.failures(filter, None, MAX_PAGE).await?;
        let is_of_record = |row: &FailureRow| {
            let dead = Detail::of(&row.failure).record;
            dead.is_some_and(|dead| dead.seq == record.seq && dead.lane() == *lane)
        };
        Ok(rows.into_iter().find(is_of_record))
    }

    async fn is_head(&self, lane: &LaneId, key: &Bytes, dead: &DeadRecord) -> Result<(), Error> {
        let filter = KeyFilter { topic: Some(Arc::clone(&lane.topic)), key: Some(key.clone()), ..KeyFilter::default() };
        let rows = self.deps.store.keys(filter, None, MAX_PAGE).await?;
        match rows.into_iter().find(|row| row.lane == *lane).map(|row| row.head.seq) {
            Some(head) if head < dead.seq => Err(Error::NotHead { head }),
            _ => Ok(()),
        }
    }

    async fn close(&self, failure: &Failure, state: Option<FailureState>) -> Result<(), Error> {
        let Some(state) = state else { return Ok(()) };
        let change = FailureChange { tenant_id: failure.tenant_id.clone(), event_id: failure.event_id, state };
        self.deps.store.close_failures(vec![change]).await?;
        Ok(())
    }
}

/// What a failure is from now on, after the command about it was done.
const fn closed(comes_back: bool, standing: &Standing) -> Option<FailureState> {
    match standing {
        // One that dies again has a failure of its own.
        _ if comes_back => Some(FailureState::Replayed),
        Standing::Ended => Some(FailureState::Resolved),
        Standing::Waits(..) | Standing::DiedAgain(_) => None,
    }
}
