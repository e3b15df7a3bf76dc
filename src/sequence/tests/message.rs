//! What is a message, of whatever an operator may append.

use super::*;
use crate::sequence::message::{Body, Message};

#[test]
fn a_draft_no_hop_would_write_is_no_message() {
    let broken = |change: fn(&mut Draft)| {
        let mut draft = created(100, "a");
        change(&mut draft);
        Message::of_draft(draft).err().map(|unreadable| unreadable.to_string())
    };
    fn body(draft: &mut Draft) -> &mut OrderDraft {
        let DraftBody::Order(order) = &mut draft.body else { panic!("a creation is an order") };
        order
    }
    assert_eq!(broken(|_| ()), None);
    for (name, change) in [
        ("no order id", (|draft| draft.head.external_order_id = None) as fn(&mut Draft)),
        ("another tenant", |draft| draft.head.tenant_id = "south".into()),
        ("another source", |draft| draft.head.source_key = "tempo".into()),
        ("another order", |draft| body(draft).order.external_order_id = "PYX-1".into()),
        ("another derived id", |draft| body(draft).order.fsm_service_order_id = "8fc7".into()),
        ("revision of text", |draft| body(draft).order.revision = "soon".into()),
    ] {
        assert!(broken(change).is_some(), "{name}");
    }
    let rejection = Message::of_draft(rejected(None, Code::MalformedPayload)).expect("a rejection needs no order");
    assert!(matches!(rejection.body, Body::Rejection { subject: None, .. }));
}
