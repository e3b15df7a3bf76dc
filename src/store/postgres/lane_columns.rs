//! What a batch of the lane engine inserts, turned into one array a column: each kind of row goes by one statement.
//!
//! Links, which another lane may write too, come by ascending key. Of what is named twice, the last counts: one
//! statement cannot change a row twice.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::lane::batch::{Decision, Role, Ruling};
use crate::lane::place::{Place, Seq, Topic};
use crate::store::lanes::{BatchWrite, Link, Parked, Released, encoding, order_id_of, tenant_of};
use crate::store::postgres::failure::Failure;
use crate::store::postgres::rows;
use crate::store::{LaneId, effects};

/// Decisions the store does not have, in the order given.
#[derive(Default)]
pub(super) struct Decisions {
    pub topics: Vec<i16>,
    offsets: Vec<i64>,
    seqs: Vec<Seq>,
    batches: Vec<i64>,
    decisions: Vec<Vec<u8>>,
    effects: Vec<Vec<u8>>,
}

impl Decisions {
    pub(super) fn of(write: &BatchWrite) -> Result<Self, Failure> {
        let mut columns = Self::default();
        let mut given = write.effects.iter();
        for decision in &write.batch.decisions {
            let given = given.next().map_or(&[][..], Vec::as_slice);
            if decision.is_known {
                continue;
            }
            columns.topics.push(i16::from(encoding::topic(decision.origin.topic)));
            columns.offsets.push(decision.origin.offset);
            columns.seqs.push(decision.seq);
            columns.batches.push(rows::signed(decision.batch)?);
            columns.decisions.push(encoding::decision(decision));
            columns.effects.push(effects::encode(given));
        }
        Ok(columns)
    }

    /// As `sql/insert_lane_decisions.sql` numbers them.
    pub(super) fn params<'p>(
        &'p self,
        topic: &'p &str,
        partition: &'p i64,
        epoch: &'p i64,
        number: &'p i64,
    ) -> [&'p (dyn ToSql + Sync); 10] {
        let Self { topics, offsets, seqs, batches, decisions, effects } = self;
        [topic, partition, epoch, number, topics, offsets, seqs, batches, decisions, effects]
    }
}

/// Where the records of new decisions are from now on.
#[derive(Default)]
pub(super) struct Places<'a> {
    pub ended: Ends,
    pub moved: Outstanding<'a>,
    /// W, as far as this batch knows.
    pub decided: i64,
}

#[derive(Default)]
pub(super) struct Ends {
    pub seqs: Vec<Seq>,
    pub hops: Vec<i64>,
    pub died_at: Vec<Option<i64>>,
}

#[derive(Default)]
pub(super) struct Outstanding<'a> {
    pub seqs: Vec<Seq>,
    key_ids: Vec<Uuid>,
    keys: Vec<&'a [u8]>,
    tenants: Vec<Option<&'a [u8]>>,
    topics: Vec<i16>,
    hops: Vec<i64>,
    attempts: Vec<i32>,
    rounds: Vec<i16>,
    roles: Vec<i16>,
    are_passing: Vec<bool>,
    failures: Vec<Option<Vec<u8>>>,
}

impl<'a> Places<'a> {
    /// `new`: the origins that had no decision.
    pub(super) fn of(write: &'a BatchWrite, new: &HashSet<Place>) -> Self {
        let mut places = Self::default();
        let mut last: BTreeMap<Seq, &Decision> = BTreeMap::new();
        for decision in &write.batch.decisions {
            if decision.origin.topic == Topic::Source {
                places.decided = places.decided.max(decision.origin.offset.saturating_add(1));
            }
            if !decision.is_known && new.contains(&decision.origin) {
                last.insert(decision.seq, decision);
            }
        }
        last.into_values().for_each(|decision| places.push(decision, write.now_ms));
        places
    }

    fn push(&mut self, decision: &'a Decision, now_ms: i64) {
        let Ruling::Moved(to) = decision.ruling else {
            self.ended.seqs.push(decision.seq);
            self.ended.hops.push(i64::from(decision.hop));
            self.ended.died_at.push(matches!(decision.ruling, Ruling::Dead(_)).then_some(now_ms));
            return;
        };
        let key = decision.key.as_bytes();
        let moved = &mut self.moved;
        moved.seqs.push(decision.seq);
        moved.key_ids.push(rows::hashed(&[key]));
        moved.keys.push(key);
        moved.tenants.push(tenant_of(key));
        moved.topics.push(i16::from(encoding::topic(to.to)));
        moved.hops.push(i64::from(decision.hop.saturating_add(1)));
        moved.attempts.push(i32::from(to.attempts));
        moved.rounds.push(i16::from(to.round));
        moved.roles.push(i16::from(encoding::role(to.role)));
        moved.are_passing.push(to.is_passing);
        let failure = decision.failure.as_ref().filter(|_| to.role == Role::Head);
        moved.failures.push(failure.map(encoding::failure));
    }
}

impl Outstanding<'_> {
    /// As `sql/upsert_outstanding.sql` numbers them.
    pub(super) fn params<'p>(&'p self, lane: &'p i32, now_ms: &'p i64) -> [&'p (dyn ToSql + Sync); 13] {
        [
            lane,
            now_ms,
            &self.seqs,
            &self.key_ids,
            &self.keys,
            &self.tenants,
            &self.topics,
            &self.hops,
            &self.attempts,
            &self.rounds,
            &self.roles,
            &self.are_passing,
            &self.failures,
        ]
    }
}

/// Executed commands.
#[derive(Default)]
pub(super) struct Commands<'a> {
    pub ids: Vec<&'a [u8]>,
    pub outcomes: Vec<i16>,
}

impl<'a> Commands<'a> {
    pub(super) fn of(write: &'a BatchWrite) -> Self {
        let mut columns = Self::default();
        for executed in &write.batch.commands {
            if let Some(outcome) = encoding::outcome(executed.outcome) {
                columns.ids.push(executed.id.as_bytes());
                columns.outcomes.push(i16::from(outcome));
            }
        }
        columns
    }
}

/// Records that wait for a link.
#[derive(Default)]
pub(super) struct ParkedRecords<'a> {
    pub seqs: Vec<Seq>,
    expires_at: Vec<i64>,
    keys: Vec<&'a [u8]>,
    headers: Vec<Vec<u8>>,
    values: Vec<Option<&'a [u8]>>,
    pub wanted: Wanted<'a>,
}

#[derive(Default)]
pub(super) struct Wanted<'a> {
    pub seqs: Vec<Seq>,
    places: Vec<i32>,
    ids: Vec<Uuid>,
    orders: Vec<Option<Uuid>>,
    platform_ids: Vec<&'a [u8]>,
}

impl<'a> ParkedRecords<'a> {
    pub(super) fn of(write: &'a BatchWrite) -> Self {
        let mut columns = Self::default();
        let last: BTreeMap<Seq, &Parked> = write.parked.iter().map(|parked| (parked.seq, parked)).collect();
        for (seq, Parked { wanted, expires_at, key, value, headers, .. }) in last {
            columns.seqs.push(seq);
            columns.expires_at.push(*expires_at);
            columns.keys.push(key);
            columns.headers.push(encoding::headers(headers));
            columns.values.push(value.as_deref());
            for (place, platform_id) in (0..).zip(wanted) {
                columns.wanted.seqs.push(seq);
                columns.wanted.places.push(place);
                columns.wanted.ids.push(rows::hashed(&[platform_id.as_bytes()]));
                columns.wanted.orders.push(order_id_of(platform_id));
                columns.wanted.platform_ids.push(platform_id.as_bytes());
            }
        }
        columns
    }

    /// As `sql/upsert_parked_records.sql` numbers them.
    pub(super) fn params<'p>(&'p self, lane: &'p i32) -> [&'p (dyn ToSql + Sync); 6] {
        [lane, &self.seqs, &self.expires_at, &self.keys, &self.headers, &self.values]
    }
}

impl Wanted<'_> {
    /// As `sql/insert_wanted_ids.sql` numbers them.
    pub(super) fn params<'p>(&'p self, lane: &'p i32) -> [&'p (dyn ToSql + Sync); 6] {
        [lane, &self.seqs, &self.places, &self.ids, &self.orders, &self.platform_ids]
    }
}

/// Parked records that are so no more.
#[derive(Default)]
pub(super) struct ReleasedRecords {
    pub seqs: Vec<Seq>,
    pub batches: Vec<i64>,
    pub effects: Vec<Vec<u8>>,
}

impl ReleasedRecords {
    pub(super) fn of(write: &BatchWrite) -> Result<Self, Failure> {
        let mut columns = Self::default();
        for Released { seq, batch, effects } in &write.released {
            columns.seqs.push(*seq);
            columns.batches.push(rows::signed(*batch)?);
            columns.effects.push(effects::encode(effects));
        }
        Ok(columns)
    }
}

#[derive(Default)]
pub(super) struct Links<'a> {
    pub ids: Vec<Uuid>,
    tenants: Vec<&'a [u8]>,
    sources: Vec<&'a [u8]>,
    external_ids: Vec<&'a [u8]>,
    countries: Vec<&'a [u8]>,
}

impl<'a> Links<'a> {
    pub(super) fn of(write: &'a BatchWrite) -> Self {
        let by_id = |link: &'a Link| (rows::hashed(&[link.platform_id.as_bytes()]), link);
        let last: BTreeMap<Uuid, &Link> = write.links.iter().map(by_id).collect();
        let mut columns = Self::default();
        for (id, Link { order, country_code, .. }) in last {
            columns.ids.push(id);
            columns.tenants.push(order.tenant_id.as_bytes());
            columns.sources.push(order.source_key.as_bytes());
            columns.external_ids.push(order.external_order_id.as_bytes());
            columns.countries.push(country_code.as_bytes());
        }
        columns
    }

    /// As `sql/upsert_links.sql` numbers them.
    pub(super) fn params<'p>(&'p self, now_ms: &'p i64) -> [&'p (dyn ToSql + Sync); 6] {
        [now_ms, &self.ids, &self.tenants, &self.sources, &self.external_ids, &self.countries]
    }
}

/// Topic and partition as parameters.
pub(super) fn of_lane(lane: &LaneId) -> (&str, i64) {
    (&lane.topic, i64::from(lane.partition))
}

/// Every sequence in either, once.
pub(super) fn either(one: &[Seq], other: &[Seq]) -> Vec<Seq> {
    one.iter().chain(other).copied().collect::<BTreeSet<_>>().into_iter().collect()
}
