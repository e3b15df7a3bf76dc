//! What a run of records, or of timers that ran out, makes of the orders it touches: one store write and the
//! records to publish. Pure; several records of one order see each other's result.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::canonical::draft::DraftHead;
use crate::canonical::event::{Event, Meta};
use crate::canonical::headers;
use crate::canonical::order::Warning;
use crate::canonical::rejection::Code;
use crate::log::{Append, Header, Stored};
use crate::ownership::chain;
use crate::schema::{self, Catalogue};
use crate::sequence::decide::{self, Carrier, Ending, Moment, Rules, Verdict};
use crate::sequence::ledger::Detail;
use crate::sequence::message::{Body, Message, Subject, Unreadable};
use crate::sequence::source::Source;
use crate::sequence::tally::Tally;
use crate::sequence::{state, timer};
use crate::store::{Balance, Decision, Due, LaneId, LedgerEntry, OrderState, Origin, Outcome, Payload, PublishedEvent};

/// Where a batch is decided.
pub struct Frame<'a> {
    pub lane: &'a LaneId,
    pub catalogue: &'a Catalogue,
    pub rules: Rules<'a>,
    /// Topic of records that are no message.
    pub dead_letters: &'a Arc<str>,
    /// Epoch milliseconds.
    pub now: i64,
}

/// A batch under way.
pub struct Batch<'a> {
    frame: Frame<'a>,
    /// By order, so that a batch always writes in the same order.
    slots: BTreeMap<Uuid, Slot>,
    /// [Sources](Source) of the records a hop read, and guards of deliveries that counted: those of the store, and those
    /// of this batch.
    known: HashSet<Uuid>,
    entries: Vec<Entry>,
    taken: u64,
    /// Change of the number of records that wait.
    parked: i64,
    outcome: Decided,
}

/// What a batch decided.
#[derive(Debug, Default)]
pub struct Decided {
    pub decisions: Vec<Decision>,
    /// States that changed.
    pub orders: Vec<OrderState>,
    pub payloads: Vec<Payload>,
    pub events: Vec<PublishedEvent>,
    pub ledger: Vec<LedgerEntry>,
    pub balance: Balance,
    pub tally: Tally,
}

/// Nothing can be decided: the store's data or the catalogue is at fault, not a message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Decide(#[from] decide::Error),
    #[error("event for topic `{topic}` cannot be written")]
    Event {
        topic: &'static str,
        #[source]
        cause: schema::Error,
    },
}

struct Slot {
    state: OrderState,
    changed: bool,
}

/// What is to be written of one origin.
struct Entry {
    origin: Origin,
    outcome: Outcome,
    effects: Vec<Append>,
    /// Guards the effects, if the order's state does not: those of a rejection, which are one event.
    guard: Option<Uuid>,
    order: Uuid,
    detail: Detail,
}

/// What is known of the message a verdict is about.
#[derive(Clone, Copy, Default)]
struct About<'a> {
    order: Uuid,
    head: Option<&'a DraftHead>,
    warnings: &'a [Warning],
    traceparent: Option<&'a str>,
    released_by: Option<i64>,
    source: Option<&'a str>,
    repeat: bool,
}

impl<'a> Batch<'a> {
    /// `states`: those of every order the batch may touch, each once.
    pub fn new(frame: Frame<'a>, balance: Balance, states: Vec<OrderState>) -> Self {
        let slots = states.into_iter().map(|state| (state.id(), Slot { state, changed: false })).collect();
        let outcome = Decided { balance, ..Decided::default() };
        Self { frame, slots, known: HashSet::new(), entries: Vec::new(), taken: 0, parked: 0, outcome }
    }

    /// The same batch, told which of its messages' [sources](Source) and delivery guards the store knows.
    pub fn knowing(self, known: HashSet<Uuid>) -> Self {
        Self { known, ..self }
    }

    /// Decides about one record. A record that is no message becomes a dead letter: the lane goes on.
    ///
    /// # Errors
    /// [`Error`]; the batch must then be thrown away.
    pub fn take(&mut self, stored: &Stored, read: Result<Message, Unreadable>) -> Result<(), Error> {
        self.taken += 1;
        match read {
            Ok(message) => self.take_message(stored, message),
            Err(unreadable) => {
                self.take_unreadable(stored, &unreadable);
                Ok(())
            }
        }
    }

    /// Ends what `due` names, if it still waits; `false` if it does not.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn expire(&mut self, number: u64, due: &Due) -> Result<bool, Error> {
        let Some(slot) = self.slots.get_mut(&due.order) else { return Ok(false) };
        let ended = timer::expire(&mut slot.state, due, self.frame.now, &self.frame.rules)?;
        let Some(ending) = ended else { return Ok(false) };
        slot.changed = true;
        self.parked -= 1;
        self.end(due.order, Origin::Timer { number, offset: due.offset }, &ending, None)?;
        Ok(true)
    }

    /// Ids under which events of this batch may be known as published; [`Self::finish`] wants to know which.
    pub fn guards(&self) -> Vec<Uuid> {
        self.entries.iter().filter_map(|entry| entry.guard).collect()
    }

    /// An event whose id is in `published`, or twice in the batch, is left out: its origin ends as it would, with a
    /// ledger row that says so.
    pub fn finish(mut self, published: &HashSet<Uuid>) -> Decided {
        let at = self.frame.now;
        let mut own = HashSet::new();
        for Entry { origin, outcome, mut effects, guard, order, mut detail } in std::mem::take(&mut self.entries) {
            if let Some(id) = guard {
                if published.contains(&id) || !own.insert(id) {
                    effects.clear();
                    detail.publish_nothing_again();
                } else {
                    self.outcome.events.push(PublishedEvent { id, published_at: at });
                }
            }
            let lane = self.frame.lane.clone();
            self.outcome.ledger.push(LedgerEntry { order, lane, origin, at, detail: detail.to_text() });
            self.outcome.decisions.push(Decision { origin, outcome, effects, decided_at: at });
        }
        let changed = self.slots.into_values().filter(|slot| slot.changed);
        self.outcome.orders = changed.map(|slot| slot.state).collect();
        let balance = &mut self.outcome.balance;
        balance.taken += self.taken;
        balance.parked = balance.parked.saturating_add_signed(self.parked);
        balance.applied = balance.taken.saturating_sub(balance.parked);
        self.outcome
    }

    fn take_message(&mut self, stored: &Stored, message: Message) -> Result<(), Error> {
        let offset = stored.offset;
        let traceparent = stored.record.header(headers::TRACEPARENT);
        let order = message.subject().map(|subject| subject.id).unwrap_or_default();
        let source = Source::of(&stored.record, &message.head);
        let read_before = source.is_some_and(|source| !self.known.insert(source.id));
        let guard = message.head.delivery_guard();
        let repeat = read_before || guard.is_some_and(|guard| self.known.contains(&guard));
        let step = match &message.body {
            _ if repeat => decide::repeat(&message),
            Body::Order { subject, .. } | Body::Cancellation { subject, .. } => {
                self.decide(stored, &message, subject, traceparent)?
            }
            Body::Rejection { rejection, .. } => decide::refuse(&message, rejection, self.frame.now),
        };
        // What was rejected may come again under the same id once it, or the mapping, was mended.
        if let Some(id) = guard.filter(|_| step.verdict.outcome != Outcome::Rejected)
            && self.known.insert(id)
        {
            self.outcome.events.push(PublishedEvent { id, published_at: self.frame.now });
        }
        let Message { head, raw, .. } = &message;
        if message.carries_payload() {
            let (digest, bytes, received_at) = (head.raw_sha256, raw.clone(), head.received_at);
            self.outcome.payloads.push(Payload { digest, bytes, received_at });
        }
        if let Some(Source { id, .. }) = source.filter(|_| !read_before) {
            self.outcome.events.push(PublishedEvent { id, published_at: self.frame.now });
        }
        let source = source.map(|source| source.place);
        let warnings = message.warnings();
        let about = About { order, head: Some(head), warnings, traceparent, source, repeat, ..About::default() };
        self.record(Origin::Record { offset }, &step.verdict, about)?;
        for ending in &step.endings {
            self.end(order, Origin::Release { offset, parked: ending.offset }, ending, Some(offset))?;
        }
        Ok(())
    }

    fn decide(
        &mut self,
        stored: &Stored,
        message: &Message,
        subject: &Subject,
        traceparent: Option<&str>,
    ) -> Result<decide::Step, Error> {
        let unknown = || Slot { state: state::unknown(subject.key.clone()), changed: false };
        let slot = self.slots.entry(subject.id).or_insert_with(unknown);
        let before = state::waiting(&slot.state);
        let value = stored.record.value.clone().unwrap_or_default();
        let carrier = Carrier { value: &value, traceparent };
        let moment = Moment { offset: stored.offset, appended_at: stored.timestamp_ms, now: self.frame.now };
        let step = decide::decide(&mut slot.state, message, carrier, moment, &self.frame.rules)?;
        slot.changed |= step.changed;
        self.parked += state::waiting(&slot.state) - before;
        Ok(step)
    }

    fn end(&mut self, order: Uuid, origin: Origin, ending: &Ending, released_by: Option<i64>) -> Result<(), Error> {
        let update = ending.update.as_ref();
        let about = About {
            order,
            head: update.map(|update| &update.head),
            warnings: update.map_or(&[], |update| &update.warnings),
            traceparent: update.and_then(|update| update.traceparent.as_deref()),
            released_by,
            ..About::default()
        };
        self.record(origin, &ending.verdict, about)
    }

    fn record(&mut self, origin: Origin, verdict: &Verdict, about: About<'_>) -> Result<(), Error> {
        let (effects, guard) = match about.head {
            Some(head) => (
                self.appends(&verdict.events, head, about.traceparent)?,
                verdict.events.iter().find_map(|event| event.guard(&head.tenant_id)),
            ),
            None => (Vec::new(), None),
        };
        let binding = about.head.map(|head| head.binding.as_str());
        let outcome = verdict.outcome;
        self.outcome.tally.count(binding, outcome);
        let detail = Detail::of_verdict(verdict, about.head, about.warnings, about.released_by);
        let detail = Detail { source: about.source.map(str::to_owned), repeat: about.repeat, ..detail };
        self.entries.push(Entry { origin, outcome, effects, guard, order: about.order, detail });
        Ok(())
    }

    fn appends(&self, events: &[Event], head: &DraftHead, traceparent: Option<&str>) -> Result<Vec<Append>, Error> {
        let meta = Meta {
            correlation_id: &head.correlation_id,
            tenant_id: &head.tenant_id,
            source_system: head.source_system,
            traceparent,
        };
        let append = |event: &Event| {
            let written = event.to_append(self.frame.catalogue, &meta);
            written.map_err(|cause| Error::Event { topic: event.topic, cause })
        };
        events.iter().map(append).collect()
    }

    /// Key, value and headers stay as they are; `cd-src` says where the record stood.
    fn take_unreadable(&mut self, stored: &Stored, unreadable: &Unreadable) {
        let Stored { topic, partition, offset, .. } = stored;
        let reason = chain(unreadable);
        tracing::warn!(%topic, partition, offset, reason, "record is no message, moved to the dead letters");
        let mut record = stored.record.clone();
        record.headers.retain(|header| header.name != headers::SOURCE);
        record.headers.push(Header::text(headers::SOURCE, headers::source(topic, *partition, *offset)));
        let topic = Arc::clone(self.frame.dead_letters);
        let effects = vec![Append { topic, partition: Some(*partition), record }];
        let outcome = Outcome::Rejected;
        self.outcome.tally.count(None, outcome);
        let origin = Origin::Record { offset: *offset };
        let detail = Detail::of_unreadable(Code::SchemaMismatch, reason);
        self.entries.push(Entry { origin, outcome, effects, guard: None, order: Uuid::nil(), detail });
    }
}
