//! What a write inserts, turned into one array a column: each kind of row goes by one statement, however many.
//!
//! Rows that another lane may insert too, orders and payloads, come by ascending key: two lanes then wait for each
//! other in one direction only. A key is given once, since one statement cannot change a row twice.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::store::postgres::failure::Failure;
use crate::store::postgres::rows;
use crate::store::{
    Accepted, LaneId, LaneWrite, LedgerEntry, OrderState, Origin, ParkedUpdate, Payload, Phase, PublishedEvent, effects,
};

/// Published events, by ascending id: another lane may insert the same ones.
#[derive(Default)]
pub(super) struct Events {
    pub ids: Vec<Uuid>,
    pub published_at: Vec<i64>,
}

impl Events {
    pub(super) fn of(events: &[PublishedEvent]) -> Self {
        let mut first: BTreeMap<Uuid, i64> = BTreeMap::new();
        for event in events {
            first.entry(event.id).or_insert(event.published_at);
        }
        let (ids, published_at) = first.into_iter().unzip();
        Self { ids, published_at }
    }
}

/// Decisions about records and releases, in the order given.
#[derive(Default)]
pub(super) struct Decisions {
    pub offsets: Vec<i64>,
    pub released: Vec<i64>,
    pub outcomes: Vec<i16>,
    pub decided_at: Vec<i64>,
    pub effects: Vec<Vec<u8>>,
}

impl Decisions {
    pub(super) fn of(write: &LaneWrite) -> Self {
        let mut columns = Self::default();
        for decision in &write.decisions {
            let (offset, released) = match decision.origin {
                Origin::Record { offset } => (offset, rows::RECORD_ITSELF),
                Origin::Release { offset, parked } => (offset, parked),
                Origin::Timer { .. } => continue,
            };
            columns.offsets.push(offset);
            columns.released.push(released);
            columns.outcomes.push(rows::outcome_code(decision.outcome));
            columns.decided_at.push(decision.decided_at);
            columns.effects.push(effects::encode(&decision.effects));
        }
        columns
    }
}

/// Decisions about timers.
#[derive(Default)]
pub(super) struct TimerDecisions {
    pub numbers: Vec<i64>,
    pub offsets: Vec<i64>,
    pub outcomes: Vec<i16>,
    pub decided_at: Vec<i64>,
    pub effects: Vec<Vec<u8>>,
}

impl TimerDecisions {
    pub(super) fn of(write: &LaneWrite) -> Result<Self, Failure> {
        let mut columns = Self::default();
        for decision in &write.decisions {
            if let Origin::Timer { number, offset } = decision.origin {
                columns.numbers.push(rows::signed(number)?);
                columns.offsets.push(offset);
                columns.outcomes.push(rows::outcome_code(decision.outcome));
                columns.decided_at.push(decision.decided_at);
                columns.effects.push(effects::encode(&decision.effects));
            }
        }
        Ok(columns)
    }
}

/// States of orders; of those named twice the last.
#[derive(Default)]
pub(super) struct Orders<'a> {
    pub ids: Vec<Uuid>,
    pub phases: Vec<i16>,
    /// How many updates wait.
    pub parked: Vec<i32>,
    /// Those updates by offset, in the order of `ids`.
    updates: Vec<BTreeMap<i64, &'a ParkedUpdate>>,
    changed_at: Vec<i64>,
    tenant_ids: Vec<&'a [u8]>,
    source_keys: Vec<&'a [u8]>,
    external_order_ids: Vec<&'a [u8]>,
    revisions: Vec<Option<i64>>,
    digests: Vec<Option<&'a [u8]>>,
    transformation_versions: Vec<Option<&'a [u8]>>,
    canonicals: Vec<Option<&'a [u8]>>,
    tombstone_offsets: Vec<Option<i64>>,
    cancelled_at: Vec<Option<i64>>,
    expires_at: Vec<Option<i64>>,
    reason_codes: Vec<Option<&'a [u8]>>,
    reasons: Vec<Option<&'a [u8]>>,
}

impl<'a> Orders<'a> {
    pub(super) fn of(write: &'a LaneWrite) -> Self {
        let states: BTreeMap<Uuid, &OrderState> = write.orders.iter().map(|order| (order.id(), order)).collect();
        let mut columns = Self::default();
        for (id, state) in states {
            let updates: BTreeMap<i64, _> = state.parked.iter().map(|update| (update.offset, update)).collect();
            columns.ids.push(id);
            columns.phases.push(rows::phase_code(&state.phase));
            columns.parked.push(i32::try_from(updates.len()).unwrap_or(i32::MAX));
            columns.updates.push(updates);
            columns.changed_at.push(state.changed_at);
            columns.tenant_ids.push(state.key.tenant_id.as_bytes());
            columns.source_keys.push(state.key.source_key.as_bytes());
            columns.external_order_ids.push(state.key.external_order_id.as_bytes());
            columns.phase(&state.phase);
        }
        columns
    }

    /// The columns that depend on the phase.
    fn phase(&mut self, phase: &'a Phase) {
        let accepted: Option<&Accepted> = match phase {
            Phase::Received(accepted) | Phase::Cancelled(accepted) => Some(accepted),
            Phase::Unknown | Phase::Tombstone(_) => None,
        };
        self.revisions.push(accepted.map(|accepted| accepted.revision));
        self.digests.push(accepted.map(|accepted| accepted.digest.0.as_slice()));
        self.transformation_versions.push(accepted.map(|accepted| accepted.transformation_version.as_bytes()));
        self.canonicals.push(accepted.map(|accepted| &*accepted.canonical));

        let tombstone = if let Phase::Tombstone(tombstone) = phase { Some(tombstone) } else { None };
        self.tombstone_offsets.push(tombstone.map(|tombstone| tombstone.offset));
        self.cancelled_at.push(tombstone.map(|tombstone| tombstone.cancelled_at));
        self.expires_at.push(tombstone.map(|tombstone| tombstone.expires_at));
        self.reason_codes.push(tombstone.map(|tombstone| tombstone.reason_code.as_bytes()));
        self.reasons.push(tombstone.and_then(|tombstone| tombstone.reason.as_deref()).map(str::as_bytes));
    }

    /// As `sql/upsert_orders.sql` numbers them.
    pub(super) fn params<'p>(&'p self, lane: &'p i32) -> [&'p (dyn ToSql + Sync); 17] {
        [
            lane,
            &self.ids,
            &self.phases,
            &self.parked,
            &self.changed_at,
            &self.tenant_ids,
            &self.source_keys,
            &self.external_order_ids,
            &self.revisions,
            &self.digests,
            &self.transformation_versions,
            &self.canonicals,
            &self.tombstone_offsets,
            &self.cancelled_at,
            &self.expires_at,
            &self.reason_codes,
            &self.reasons,
        ]
    }
}

/// All updates that wait for the orders of a write.
#[derive(Default)]
pub(super) struct ParkedUpdates<'a> {
    pub orders: Vec<Uuid>,
    pub offsets: Vec<i64>,
    revisions: Vec<i64>,
    expires_at: Vec<i64>,
    traceparents: Vec<Option<&'a [u8]>>,
    values: Vec<&'a [u8]>,
}

impl<'a> ParkedUpdates<'a> {
    pub(super) fn of(orders: &Orders<'a>) -> Self {
        let mut columns = Self::default();
        for (id, updates) in orders.ids.iter().zip(&orders.updates) {
            for (offset, update) in updates {
                columns.orders.push(*id);
                columns.offsets.push(*offset);
                columns.revisions.push(update.revision);
                columns.expires_at.push(update.expires_at);
                columns.traceparents.push(update.traceparent.as_deref().map(str::as_bytes));
                columns.values.push(&update.value);
            }
        }
        columns
    }

    /// As `sql/upsert_parked_updates.sql` numbers them.
    pub(super) fn params<'p>(&'p self, lane: &'p i32) -> [&'p (dyn ToSql + Sync); 7] {
        [lane, &self.orders, &self.offsets, &self.revisions, &self.expires_at, &self.traceparents, &self.values]
    }
}

/// Payloads; of those given twice the one received last.
#[derive(Default)]
pub(super) struct Payloads<'a> {
    pub digests: Vec<&'a [u8]>,
    pub received_at: Vec<i64>,
    pub bytes: Vec<&'a [u8]>,
}

impl<'a> Payloads<'a> {
    pub(super) fn of(write: &'a LaneWrite) -> Self {
        let mut latest: BTreeMap<[u8; 32], &Payload> = BTreeMap::new();
        for payload in &write.payloads {
            let known = latest.entry(payload.digest.0).or_insert(payload);
            if known.received_at < payload.received_at {
                *known = payload;
            }
        }
        let mut columns = Self::default();
        for payload in latest.into_values() {
            columns.digests.push(&payload.digest.0);
            columns.received_at.push(payload.received_at);
            columns.bytes.push(&payload.bytes);
        }
        columns
    }
}

/// Ledger rows, in the order given.
#[derive(Default)]
pub(super) struct Ledger<'a> {
    pub orders: Vec<Uuid>,
    at: Vec<i64>,
    lanes: Vec<i32>,
    offsets: Vec<i64>,
    released: Vec<Option<i64>>,
    timers: Vec<Option<i64>>,
    details: Vec<&'a [u8]>,
}

impl<'a> Ledger<'a> {
    /// `lanes`: the number of each lane named.
    pub(super) fn of(
        entries: impl Iterator<Item = &'a LedgerEntry>,
        lanes: &HashMap<&LaneId, i32>,
    ) -> Result<Self, Failure> {
        let mut columns = Self::default();
        for entry in entries {
            let lane = lanes.get(&entry.lane).ok_or_else(|| Failure::Value("a lane has no number".to_owned()))?;
            let (offset, released, timer) = match entry.origin {
                Origin::Record { offset } => (offset, None, None),
                Origin::Release { offset, parked } => (offset, Some(parked), None),
                Origin::Timer { number, offset } => (offset, None, Some(rows::signed(number)?)),
            };
            columns.orders.push(entry.order);
            columns.at.push(entry.at);
            columns.lanes.push(*lane);
            columns.offsets.push(offset);
            columns.released.push(released);
            columns.timers.push(timer);
            columns.details.push(entry.detail.as_bytes());
        }
        Ok(columns)
    }

    /// As `sql/insert_ledger.sql` numbers them.
    pub(super) fn params(&self) -> [&(dyn ToSql + Sync); 7] {
        [&self.orders, &self.at, &self.lanes, &self.offsets, &self.released, &self.timers, &self.details]
    }
}
