//! What a draft would do to an order nobody has heard of: the answer of `map`, and of an adapter's cases.

use serde_json::{Value, json};

use crate::canonical::draft::{Draft, DraftBody, Intent};
use crate::canonical::event::{self, Event};
use crate::canonical::order::CanonicalOrder;
use crate::canonical::rejection::Rejection;
use crate::normalize::{Message, Messages};

/// The draft's outcome on an empty state, as JSON. `published_at`: epoch milliseconds.
///
/// `{"outcome": "accepted"|"parked", "key", "canonical", "events": [{"topic","key","schema","value"}], "warnings"}`,
/// or `{"outcome": "rejected", "error_code", "errors": [{"code","field","message"}]}`.
pub fn preview(draft: &Draft, published_at: i64) -> Value {
    match &draft.body {
        DraftBody::Order(body) => {
            // An update waits for the creation; what REST sends is as good as one.
            let (outcome, events) = match body.intent {
                Intent::Updated => ("parked", Vec::new()),
                Intent::Created | Intent::Upsert => ("accepted", accepted(draft, &body.order, published_at)),
            };
            json!({
                "outcome": outcome,
                "key": draft.head.partition_key(),
                "canonical": body.order,
                "events": events.iter().map(shown).collect::<Vec<_>>(),
                "warnings": body.order.warnings,
            })
        }
        // The cancellation of an unknown order is kept as a tombstone.
        DraftBody::Cancellation(cancellation) => json!({
            "outcome": "parked",
            "key": draft.head.partition_key(),
            "canonical": null,
            "cancellation": {
                "cancelled_at": cancellation.cancelled_at,
                "country_code": cancellation.country_code,
                "reason_code": cancellation.reason_code,
                "reason": cancellation.reason,
            },
            "events": [],
            "warnings": cancellation.warnings,
        }),
        DraftBody::Rejection(rejection) => rejected(rejection),
    }
}

/// The outcome of each message of a delivery: as [`preview`], `{"outcome": "ignored"}`, or `{"items": […]}` of a batch.
pub fn preview_all(messages: &Messages, published_at: i64) -> Value {
    let one = |message: &Message| match message {
        Message::Draft(draft) => preview(draft, published_at),
        Message::Ignored => json!({ "outcome": "ignored" }),
    };
    match messages {
        Messages::One(message) => one(message),
        Messages::Many(messages) => json!({ "items": messages.iter().map(one).collect::<Vec<_>>() }),
    }
}

fn rejected(rejection: &Rejection) -> Value {
    let mut shown = json!({
        "outcome": "rejected",
        "error_code": rejection.code(),
        "errors": rejection.problems(),
    });
    if rejection.omitted() > 0 {
        shown["omitted"] = json!(rejection.omitted());
    }
    shown
}

fn accepted(draft: &Draft, order: &CanonicalOrder, published_at: i64) -> Vec<Event> {
    // A draft's revision is always a number of milliseconds as text.
    let revision = order.revision.parse().unwrap_or_default();
    let version = &draft.head.transformation_version;
    vec![event::received(order, revision, published_at), event::normalized(order, revision, version, published_at)]
}

fn shown(event: &Event) -> Value {
    json!({
        "topic": event.topic,
        "key": event.key,
        "schema": event.body.record(),
        "value": event.value_json(),
    })
}
