//! A store that holds many orders: what the gateway kept of one, written again under other ids.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use crossdock::canonical::ids::{OrderKey, Sha256Digest};
use crossdock::store::sqlite::{Options, SqliteStore};
use crossdock::store::{Balance, Decision, LaneId, LaneWrite, LedgerEntry, OrderState, Origin, Payload, Store};

use crate::measured::load;

/// Orders in one write.
const BATCH: usize = 500;

/// Everything one accepted order left in a store.
pub struct Template {
    order: OrderState,
    decision: Decision,
    entry: LedgerEntry,
    payload: Bytes,
}

impl Template {
    /// Order 0 of the gateway that ran on a data folder in `directory`.
    pub async fn of(directory: &Path) -> Self {
        let store = open(directory);
        let (tenant_id, source_key) = ("north".to_owned(), "pyxis".to_owned());
        let key = OrderKey { tenant_id, source_key, external_order_id: load::order_id(0) };
        let id = key.service_order_id();
        let order = store.orders(vec![id]).await.expect("orders").pop().flatten().expect("the order");
        let entry = store.ledger(id).await.expect("a ledger").pop().expect("its row");
        let Origin::Record { offset } = entry.origin else { panic!("an order was decided as a record") };
        let decision = store.decisions(&entry.lane, offset, offset + 1).await.expect("decisions").pop();
        let digest = Sha256Digest::of(load::order(0).as_bytes());
        let payload = store.payload(digest).await.expect("payloads").expect("its payload");
        Self { order, decision: decision.expect("its decision"), entry, payload }
    }

    /// Writes `orders` of them to the store of a data folder in `directory`, through the store's own door, as the
    /// decisions of a lane no gateway runs: those of its own lanes begin where its log does.
    pub async fn fill(&self, directory: &Path, orders: usize) {
        let store = open(directory);
        let lane = LaneId { topic: Arc::from("bench.filled"), partition: 0 };
        let epoch = store.take_lane(&lane).await.expect("the lane").epoch;
        for from in (0..orders).step_by(BATCH) {
            let numbers = from..orders.min(from + BATCH);
            let decided = numbers.end as i64;
            let mut write = LaneWrite {
                lane: lane.clone(),
                epoch,
                decided,
                confirmed: decided,
                timers: 0,
                balance: Balance { taken: numbers.end as u64, applied: numbers.end as u64, parked: 0 },
                decisions: Vec::with_capacity(BATCH),
                orders: Vec::with_capacity(BATCH),
                payloads: Vec::with_capacity(BATCH),
                events: Vec::new(),
                ledger: Vec::with_capacity(BATCH),
            };
            numbers.for_each(|number| self.add(number, &mut write));
            store.write(write).await.expect("the batch is written");
        }
    }

    fn add(&self, number: usize, write: &mut LaneWrite) {
        let mut order = self.order.clone();
        // None of those that are sent.
        order.key.external_order_id = format!("FILLED-{number:09}");
        let digest = Sha256Digest::of(order.key.external_order_id.as_bytes());
        let origin = Origin::Record { offset: number as i64 };
        let (id, lane) = (order.id(), write.lane.clone());
        write.orders.push(order);
        write.decisions.push(Decision { origin, ..self.decision.clone() });
        write.ledger.push(LedgerEntry { order: id, lane, origin, ..self.entry.clone() });
        write.payloads.push(Payload { digest, bytes: self.payload.clone(), received_at: self.order.changed_at });
    }
}

fn open(directory: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(&directory.join("data").join("store.db"), Options::default()).expect("a store")
}
