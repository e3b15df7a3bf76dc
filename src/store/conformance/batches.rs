//! Batches of the lane engine to store, and short ways to store them.

use bytes::Bytes;

use super::samples::key;
use crate::lane::batch::{
    Answer, Batch, Claim, ClaimAnswer, CommandOutcome, Decision, Executed, Failure, Guard, Move, Role, Ruling,
};
use crate::lane::checkpoint::Checkpoint;
use crate::lane::place::{Key, Place, Seq, Topic};
use crate::log::{Append, Header, Record};
use crate::store::lanes::{BatchWrite, Decided, Delivered, DeliveredOf, Link, Parked, Released, Settle};
use crate::store::{LaneId, Store};

/// Epoch milliseconds.
pub const NOW: i64 = 1_772_612_130_000;
pub const CLAIM_MS: i64 = 65_000;

pub fn engine_lane(partition: u32) -> LaneId {
    LaneId { topic: "integration.sales.order_canonical".into(), partition }
}

pub fn lane_key(name: &str) -> Key {
    Key::new(format!("north|{name}").as_bytes()).unwrap()
}

/// One lane in the hands of one owner.
pub struct Owner<'a> {
    pub store: &'a dyn Store,
    pub lane: LaneId,
    pub epoch: u64,
    /// Of the last batch.
    pub number: u64,
    pub now_ms: i64,
    pub claim_ms: i64,
}

impl<'a> Owner<'a> {
    pub async fn take_over(store: &'a dyn Store, lane: LaneId) -> Self {
        let taken = store.take_over(&lane).await.unwrap();
        Self { store, lane, epoch: taken.epoch, number: taken.number, now_ms: NOW, claim_ms: CLAIM_MS }
    }

    /// The next batch, with nothing in it.
    pub fn next(&self) -> BatchWrite {
        let checkpoint = |number| Checkpoint { number, ..Checkpoint::default() };
        BatchWrite {
            lane: self.lane.clone(),
            epoch: self.epoch,
            now_ms: self.now_ms,
            claim_ms: self.claim_ms,
            batch: Batch {
                decisions: Vec::new(),
                tombstones: Vec::new(),
                claims: Vec::new(),
                commands: Vec::new(),
                checkpoint: checkpoint(self.number + 1),
                confirmed: checkpoint(self.number),
            },
            effects: Vec::new(),
            parked: Vec::new(),
            released: Vec::new(),
            links: Vec::new(),
            events: Vec::new(),
            ledger: Vec::new(),
        }
    }

    /// Writes the next batch as `fill` makes it.
    pub async fn write(&mut self, fill: impl FnOnce(&mut BatchWrite)) -> Vec<ClaimAnswer> {
        let mut write = self.next();
        fill(&mut write);
        self.number += 1;
        self.store.write_batch(write).await.unwrap()
    }

    pub async fn claim(&mut self, claim: Claim) -> ClaimAnswer {
        let mut answers = self.write(|write| write.batch.claims = vec![claim]).await;
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }

    /// Writes a batch of decisions without effects.
    pub async fn decide(&mut self, decisions: impl IntoIterator<Item = Decision>) {
        self.write(|write| decisions.into_iter().for_each(|decision| put(write, decision, Vec::new()))).await;
    }

    pub fn settled(&self, seq: Seq, attempt: u16, answer: Answer) -> Settle {
        let (lane, epoch) = (self.lane.clone(), self.epoch);
        Settle { lane, epoch, seq, attempt, answer, delivered: None, ledger: Vec::new() }
    }

    pub async fn settle(&self, seq: Seq, attempt: u16, answer: Answer) {
        self.store.settle(self.settled(seq, attempt, answer)).await.unwrap();
    }

    pub async fn decided_in(&self, topic: Topic) -> Vec<Decided> {
        self.store.decided_in(&self.lane, topic, 0, i64::MAX).await.unwrap()
    }
}

pub fn put(write: &mut BatchWrite, mut decision: Decision, effects: Vec<Append>) {
    decision.batch = write.batch.checkpoint.number;
    write.batch.decisions.push(decision);
    write.effects.push(effects);
}

/// The record `seq` of the key `name` as read from the lane's own topic.
pub fn ruled(seq: Seq, name: &str, ruling: Ruling) -> Decision {
    let origin = Place::new(Topic::Source, seq);
    Decision {
        batch: 0,
        origin,
        seq,
        key: lane_key(name),
        hop: 0,
        attempts: 1,
        payload: origin,
        ruling,
        failure: None,
        is_known: false,
    }
}

pub fn moved(to: Topic, role: Role) -> Ruling {
    Ruling::Moved(Move { to, role, attempts: 1, round: 0, is_passing: false, disposition: None })
}

/// `decision` about the copy that is `hop` moves on, at `offset` of `topic`.
pub fn at(decision: Decision, topic: Topic, offset: i64, hop: u32) -> Decision {
    let origin = Place::new(topic, offset);
    Decision { origin, payload: origin, hop, ..decision }
}

/// What [`Owner::decided_in`] says of a decision that was written with `effects` in batch `batch`.
pub fn known(decision: Decision, batch: u64, effects: Vec<Append>) -> Decided {
    Decided { decision: Decision { batch, is_known: true, ..decision }, effects }
}

pub fn claim(seq: Seq, name: &str, attempt: u16) -> Claim {
    Claim { seq, key: lane_key(name), attempt, guard: None }
}

pub fn guarded(seq: Seq, name: &str, attempt: u16, hop: u32, is_forced: bool) -> Claim {
    Claim { guard: Some(Guard { hop, is_forced }), ..claim(seq, name, attempt) }
}

pub fn failed(message: &str) -> Failure {
    Failure { class: "http".to_owned(), http_status: Some(503), message: message.to_owned() }
}

/// A copy, a tombstone and a dead letter: headers with any bytes, no value, an empty one.
pub fn awkward_effects() -> Vec<Append> {
    let headers = vec![
        Header { name: "cd-key".to_owned(), value: Bytes::from_static(&[0xff, 0x00, 0xfe]) },
        Header { name: "cd-key".to_owned(), value: Bytes::new() }, // repeated, empty
        Header::text("", "no name"),
    ];
    let value = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
    [
        ("crossdock.retry.1", Some(3), value(b"\0\0\0\0\x07avro\xf0"), headers.clone()),
        ("crossdock.held", Some(3), None, headers),
        ("dlq.crossdock", None, value(b""), Vec::new()),
    ]
    .map(|(topic, partition, value, headers)| {
        let record = Record { key: Some(Bytes::from_static(b"north|\xff")), value, headers };
        Append { topic: topic.into(), partition, record }
    })
    .to_vec()
}

pub fn command(id: &str, outcome: CommandOutcome) -> Executed {
    Executed { offset: 0, id: id.to_owned(), outcome }
}

pub fn waiting(seq: Seq, wanted: &[&str], expires_at: i64) -> Parked {
    Parked {
        seq,
        wanted: wanted.iter().map(|id| (*id).to_owned()).collect(),
        expires_at,
        key: Bytes::from(format!("north|{seq}")),
        value: Some(Bytes::from_static(&[0xff, 0x00])),
        headers: vec![Header { name: "h".to_owned(), value: Bytes::from_static(&[0xfe, 0x00]) }],
    }
}

pub fn released(seq: Seq, batch: u64, effects: Vec<Append>) -> Released {
    Released { seq, batch, effects }
}

pub fn link(platform_id: &str, external_order_id: &str) -> Link {
    Link { platform_id: platform_id.to_owned(), order: key(external_order_id), country_code: "FR".to_owned() }
}

pub fn delivered_of(external_order_id: &str, kind: &str) -> DeliveredOf {
    DeliveredOf {
        tenant_id: "north".to_owned(),
        target: "pyxis-north".to_owned(),
        external_order_id: external_order_id.to_owned(),
        kind: kind.to_owned(),
    }
}

pub fn delivered(external_order_id: &str, kind: &str, value: &str, at: i64) -> Delivered {
    Delivered { of: delivered_of(external_order_id, kind), value: value.to_owned(), at }
}
