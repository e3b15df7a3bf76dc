//! Tests of the sequencer, from the pure table to lanes on real engines; the fixtures they share.

mod deliveries;
mod disagreement;
mod faults;
mod gateway;
mod group;
mod lanes;
mod message;
mod repeats;
mod sources;
mod table;
mod time;
mod unanswered;

use bytes::Bytes;

use crate::canonical::draft::{CancellationDraft, Draft, DraftBody, DraftHead, Intent, OrderDraft};
use crate::canonical::ids::Sha256Digest;
use crate::canonical::order::{CanonicalOrder, SourceSystem, Warning, tests::example};
use crate::canonical::rejection::{Code, Rejection};

/// A message about the contract's example order. `revision` and `notes` tell one content from another.
pub(super) fn order(intent: Intent, revision: i64, notes: &str) -> Draft {
    order_named("PYX-FR-20260304-7731", intent, revision, notes)
}

pub(super) fn order_named(external_order_id: &str, intent: Intent, revision: i64, notes: &str) -> Draft {
    let raw = Bytes::from(format!("{external_order_id} {intent:?} {revision} {notes}"));
    let head = head(external_order_id, &raw);
    let id = head.service_order_id().expect("the order has an id");
    let order = CanonicalOrder {
        external_order_id: external_order_id.to_owned(),
        fsm_service_order_id: id.to_string(),
        revision: revision.to_string(),
        updated_at: (intent == Intent::Updated).then(|| format!("time {revision}")),
        notes: Some(notes.to_owned()),
        raw_sha256: head.raw_sha256,
        ..example()
    };
    let digest = order.business_digest();
    let draft =
        OrderDraft { intent, order, digest, id_field: "/order_id".into(), revision_field: "/updated_at".into() };
    Draft { head, body: DraftBody::Order(Box::new(draft)), raw }
}

pub(super) fn created(revision: i64, notes: &str) -> Draft {
    order(Intent::Created, revision, notes)
}

pub(super) fn updated(revision: i64, notes: &str) -> Draft {
    order(Intent::Updated, revision, notes)
}

pub(super) fn upsert(revision: i64, notes: &str) -> Draft {
    order(Intent::Upsert, revision, notes)
}

pub(super) fn cancelled(cancelled_at: i64) -> Draft {
    let raw = Bytes::from(format!("cancelled {cancelled_at}"));
    let draft = CancellationDraft {
        cancelled_at,
        country_code: None,
        reason_code: "CUSTOMER_REQUEST".into(),
        reason: Some("no longer wanted".into()),
        warnings: vec![Warning::ReasonCodeUnknown],
        id_field: "/order_id".into(),
    };
    Draft { head: head("PYX-FR-20260304-7731", &raw), body: DraftBody::Cancellation(draft), raw }
}

pub(super) fn rejected(external_order_id: Option<&str>, code: Code) -> Draft {
    let raw = Bytes::from(format!("rejected {external_order_id:?} {code}"));
    let mut head = head("", &raw);
    head.external_order_id = external_order_id.map(str::to_owned);
    Draft { head, body: DraftBody::Rejection(Rejection::one(code, "/channel", "not a channel")), raw }
}

fn head(external_order_id: &str, raw: &Bytes) -> DraftHead {
    DraftHead {
        tenant_id: "north".into(),
        source_system: SourceSystem::Pyxis,
        source_key: "pyxis".into(),
        external_order_id: Some(external_order_id.to_owned()),
        binding: "pyxis-north".into(),
        received_from: "http".into(),
        received_at: 1_772_612_131_000,
        correlation_id: format!("correlation {}", String::from_utf8_lossy(raw)),
        raw_sha256: Sha256Digest::of(raw),
        retry_count: 0,
        transformation_version: "pyxis/1.0.0".into(),
        route: Some("pyxis/order".into()),
        path: Default::default(),
        replay_of: None,
        delivery_id: None,
    }
}
