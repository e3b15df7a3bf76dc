//! Things to store, and short ways to store them.

use bytes::Bytes;
use uuid::Uuid;

use crate::canonical::ids::{OrderKey, Sha256Digest};
use crate::log::{Append, Header, Record};
use crate::store::{
    Accepted, Balance, Decision, Error, Keep, LaneId, LaneRow, LaneWrite, LedgerEntry, OrderState, Origin, Outcome,
    ParkedUpdate, Payload, Phase, PublishedEvent, Store, Tombstone,
};

pub fn lane(partition: u32) -> LaneId {
    LaneId { topic: "crossdock.intake".into(), partition }
}

pub fn key(external_order_id: &str) -> OrderKey {
    OrderKey { tenant_id: "north".into(), source_key: "pyxis".into(), external_order_id: external_order_id.to_owned() }
}

pub fn order(external_order_id: &str, phase: Phase) -> OrderState {
    OrderState { key: key(external_order_id), phase, parked: Vec::new(), changed_at: 1_772_612_130_000 }
}

pub fn accepted(canonical: &str) -> Accepted {
    Accepted {
        revision: 1_772_612_130_000,
        digest: Sha256Digest::of(canonical.as_bytes()),
        canonical: Bytes::copy_from_slice(canonical.as_bytes()),
        transformation_version: "pyxis/3".to_owned(),
    }
}

pub fn received(external_order_id: &str) -> OrderState {
    order(external_order_id, Phase::Received(accepted(&format!(r#"{{"external_order_id":"{external_order_id}"}}"#))))
}

pub fn tombstone(offset: i64, expires_at: i64) -> Tombstone {
    Tombstone { offset, cancelled_at: 40, reason_code: "CUSTOMER".to_owned(), reason: None, expires_at }
}

pub fn parked(offset: i64, revision: i64, expires_at: i64) -> ParkedUpdate {
    ParkedUpdate { offset, revision, expires_at, value: Bytes::from(format!("update {offset}")), traceparent: None }
}

pub fn append(topic: &str, value: &[u8]) -> Append {
    let headers = vec![Header::text("tenant-id", "north")];
    let record = Record { key: Some(Bytes::from_static(b"k")), value: Some(Bytes::copy_from_slice(value)), headers };
    Append { topic: topic.into(), partition: None, record }
}

pub fn decision(origin: Origin) -> Decision {
    let effects = vec![append("integration.sales.order_received", format!("{origin:?}").as_bytes())];
    Decision { origin, outcome: Outcome::Accepted, effects, decided_at: 1_772_612_131_000 }
}

pub fn record(offset: i64) -> Decision {
    decision(Origin::Record { offset })
}

pub fn release(offset: i64, parked: i64) -> Decision {
    decision(Origin::Release { offset, parked })
}

pub fn timer(number: u64, offset: i64) -> Decision {
    decision(Origin::Timer { number, offset })
}

pub fn payload(bytes: &[u8], received_at: i64) -> Payload {
    Payload { digest: Sha256Digest::of(bytes), bytes: Bytes::copy_from_slice(bytes), received_at }
}

/// The `number`-th of some events.
pub fn event(number: u64, published_at: i64) -> PublishedEvent {
    PublishedEvent { id: Uuid::from_u64_pair(number.reverse_bits(), number), published_at }
}

/// A ledger row of a record of `lane`.
pub fn entry(order: &OrderKey, lane: &LaneId, offset: i64, at: i64) -> LedgerEntry {
    LedgerEntry {
        order: order.service_order_id(),
        lane: lane.clone(),
        origin: Origin::Record { offset },
        at,
        detail: format!(r#"{{"outcome":"accepted","at":{at}}}"#),
    }
}

/// A write by whoever took `row` that changes nothing yet.
pub fn write(lane: &LaneId, row: &LaneRow) -> LaneWrite {
    LaneWrite {
        lane: lane.clone(),
        epoch: row.epoch,
        decided: row.decided,
        confirmed: row.confirmed,
        timers: row.timers,
        balance: row.balance,
        decisions: Vec::new(),
        orders: Vec::new(),
        payloads: Vec::new(),
        events: Vec::new(),
        ledger: Vec::new(),
    }
}

/// A write that decides the record at `offset` and leaves something of every kind.
pub fn full_write(lane: &LaneId, row: &LaneRow, offset: i64) -> LaneWrite {
    let name = format!("PYX-{}-{offset}", lane.partition);
    LaneWrite {
        decided: offset + 1,
        confirmed: offset,
        balance: Balance { taken: offset as u64 + 1, applied: offset as u64 + 1, parked: 0 },
        decisions: vec![record(offset)],
        payloads: vec![payload(name.as_bytes(), offset)],
        events: vec![event(offset as u64, offset)],
        ledger: vec![entry(&key(&name), lane, offset, offset)],
        orders: vec![received(&name)],
        ..write(lane, row)
    }
}

/// Takes the lane and writes what `fill` puts into the write.
pub async fn stored(store: &dyn Store, lane: &LaneId, fill: impl FnOnce(&mut LaneWrite)) -> LaneRow {
    let row = store.take_lane(lane).await.unwrap();
    let mut write = write(lane, &row);
    fill(&mut write);
    store.write(write).await.unwrap();
    row
}

pub async fn state(store: &dyn Store, external_order_id: &str) -> Option<OrderState> {
    let mut states = store.orders(vec![key(external_order_id).service_order_id()]).await.unwrap();
    assert_eq!(states.len(), 1);
    states.remove(0)
}

pub async fn all_decisions(store: &dyn Store, lane: &LaneId) -> Vec<Decision> {
    store.decisions(lane, 0, i64::MAX).await.unwrap()
}

/// Keeps everything.
pub fn keep() -> Keep {
    Keep {
        payloads_since: 0,
        events_since: 0,
        ledger_since: 0,
        orders_since: 0,
        failures_since: 0,
        decisions_from: Vec::new(),
    }
}

/// Prunes until nothing is left to do; the number of rows deleted.
pub async fn prune(store: &dyn Store, keep: Keep) -> u64 {
    let mut deleted = 0;
    loop {
        match store.prune(keep.clone()).await.unwrap() {
            0 => return deleted,
            rows => deleted += rows,
        }
    }
}

pub fn is_fenced(result: &Result<(), Error>) -> bool {
    matches!(result, Err(Error::Fenced { .. }))
}
