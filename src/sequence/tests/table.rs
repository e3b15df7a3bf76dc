//! The state table of the contract, cell by cell.

use super::*;
use crate::sequence::decide::{self, Carrier, Ending, Moment, Rules, Step};
use crate::sequence::message::{Message, Unreadable};
use crate::sequence::state;
use crate::store::{OrderState, Outcome, Phase};

const PARKED_FOR_MS: i64 = 24 * 3_600_000;
const TOMBSTONE_FOR_MS: i64 = 30 * PARKED_FOR_MS;
const MAX_PARKED: usize = 4;
/// Append time of the first record.
const START: i64 = 1_772_612_131_000;
const NOW: i64 = START + 210;

const RECEIVED: &str = "integration.sales.order_received";
const NORMALIZED: &str = "integration.sales.order.normalized";
const UPDATED: &str = "integration.sales.order_updated";
const CANCELLED: &str = "integration.sales.order_cancelled";
const FAILED: &str = "integration.sales.order.failed";

/// One order and the messages it has met.
struct Order {
    state: OrderState,
    /// By offset.
    met: Vec<Draft>,
    appended_at: i64,
    published: Vec<(&'static str, String)>,
}

impl Order {
    fn unknown() -> Self {
        let key = created(0, "").head.order_key().expect("the order has an id");
        Self { state: state::unknown(key), met: Vec::new(), appended_at: START, published: Vec::new() }
    }

    fn after(messages: impl IntoIterator<Item = Draft>) -> Self {
        let mut order = Self::unknown();
        for message in messages {
            order.meet(message);
        }
        order
    }

    fn meet(&mut self, draft: Draft) -> Step {
        let offset = self.met.len();
        self.met.push(draft.clone());
        let message = Message::of_draft(draft).expect("a draft is a message");
        let value = Bytes::from(offset.to_string());
        let step = with_rules(&self.met, |rules| {
            let moment = Moment { offset: offset as i64, appended_at: self.appended_at, now: NOW };
            decide::decide(&mut self.state, &message, Carrier { value: &value, traceparent: None }, moment, rules)
        });
        let step = step.expect("the state is whole");
        let verdicts = std::iter::once(&step.verdict).chain(step.endings.iter().map(|ending| &ending.verdict));
        for event in verdicts.flat_map(|verdict| &verdict.events) {
            self.published.push((event.topic, event.event_id.to_string()));
        }
        step
    }

    fn phase(&self) -> &'static str {
        match self.state.phase {
            Phase::Unknown => "unknown",
            Phase::Received(_) => "RECEIVED",
            Phase::Cancelled(_) => "CANCELLED",
            Phase::Tombstone(_) => "tombstone",
        }
    }

    /// The stored order; its revision is the state's.
    fn stored(&self) -> CanonicalOrder {
        let (Phase::Received(accepted) | Phase::Cancelled(accepted)) = &self.state.phase else {
            panic!("the order is {}", self.phase());
        };
        let order = state::read(accepted, self.state.id()).expect("a stored order is canonical");
        assert_eq!(order.revision, accepted.revision.to_string(), "revision of the state and in the order");
        assert_eq!(order.business_digest(), accepted.digest, "digest of the state and of the order");
        order
    }
}

/// A parked value is the offset of the message in `met`.
fn with_rules<T>(met: &[Draft], run: impl FnOnce(&Rules<'_>) -> T) -> T {
    let read_parked = |value: &[u8]| {
        let offset: usize = std::str::from_utf8(value).expect("text").parse().expect("a number");
        met.get(offset).cloned().ok_or(Unreadable::NoValue).and_then(Message::of_draft)
    };
    run(&Rules {
        parked_for_ms: PARKED_FOR_MS,
        max_parked_per_order: MAX_PARKED,
        tombstone_for_ms: TOMBSTONE_FOR_MS,
        read_parked: &read_parked,
    })
}

fn topics(step: &Step) -> Vec<&'static str> {
    step.verdict.events.iter().map(|event| event.topic).collect()
}

fn endings(step: &Step) -> Vec<(i64, Outcome)> {
    step.endings.iter().map(|Ending { offset, verdict, .. }| (*offset, verdict.outcome)).collect()
}

#[test]
fn every_cell_of_the_table() {
    use Outcome::{Accepted, Duplicate, Parked, Rejected, Stale, Suppressed};
    let unknown = Vec::new;
    let received = || vec![created(100, "a")];
    let cancelled_order = || vec![created(100, "a"), cancelled(200)];
    let tombstone = || vec![cancelled(200)];
    let first = [RECEIVED, NORMALIZED].as_slice();
    let change = [UPDATED, NORMALIZED].as_slice();
    let nothing = [].as_slice();
    for (name, before, message, outcome, published, phase) in [
        ("unknown, created", unknown(), created(100, "a"), Accepted, first, "RECEIVED"),
        ("unknown, updated by topic", unknown(), updated(100, "a"), Parked, nothing, "unknown"),
        ("unknown, by REST", unknown(), upsert(100, "a"), Accepted, first, "RECEIVED"),
        ("unknown, cancelled", unknown(), cancelled(200), Parked, nothing, "tombstone"),
        ("created again, same content", received(), created(100, "a"), Duplicate, nothing, "RECEIVED"),
        ("created again later, same content", received(), created(150, "a"), Duplicate, nothing, "RECEIVED"),
        ("created again earlier, same content", received(), created(50, "a"), Duplicate, nothing, "RECEIVED"),
        ("created again later, other content", received(), created(150, "b"), Accepted, change, "RECEIVED"),
        ("created again earlier, other content", received(), created(50, "b"), Stale, nothing, "RECEIVED"),
        ("created again, other content", received(), created(100, "b"), Rejected, &[FAILED], "RECEIVED"),
        ("newer update", received(), updated(150, "b"), Accepted, change, "RECEIVED"),
        ("newer update, same content", received(), updated(150, "a"), Duplicate, nothing, "RECEIVED"),
        ("older update", received(), updated(50, "b"), Stale, nothing, "RECEIVED"),
        ("older update, same content", received(), updated(50, "a"), Stale, nothing, "RECEIVED"),
        ("same revision, same content", received(), updated(100, "a"), Duplicate, nothing, "RECEIVED"),
        ("same revision, other content", received(), updated(100, "b"), Rejected, &[FAILED], "RECEIVED"),
        ("newer by REST", received(), upsert(150, "b"), Accepted, change, "RECEIVED"),
        ("newer by REST, same content", received(), upsert(150, "a"), Duplicate, nothing, "RECEIVED"),
        ("older by REST", received(), upsert(50, "b"), Stale, nothing, "RECEIVED"),
        ("older by REST, same content", received(), upsert(50, "a"), Stale, nothing, "RECEIVED"),
        ("same revision by REST, same content", received(), upsert(100, "a"), Duplicate, nothing, "RECEIVED"),
        ("same revision by REST, other content", received(), upsert(100, "b"), Rejected, &[FAILED], "RECEIVED"),
        ("cancelled", received(), cancelled(200), Accepted, &[CANCELLED], "CANCELLED"),
        ("cancelled before it was updated", received(), cancelled(50), Accepted, &[CANCELLED], "CANCELLED"),
        ("cancelled, created", cancelled_order(), created(300, "b"), Stale, nothing, "CANCELLED"),
        ("cancelled, created again", cancelled_order(), created(100, "a"), Stale, nothing, "CANCELLED"),
        ("cancelled, updated", cancelled_order(), updated(300, "b"), Stale, nothing, "CANCELLED"),
        ("cancelled, by REST", cancelled_order(), upsert(300, "b"), Stale, nothing, "CANCELLED"),
        ("cancelled twice", cancelled_order(), cancelled(300), Duplicate, nothing, "CANCELLED"),
        ("tombstone, created", tombstone(), created(100, "a"), Suppressed, &[CANCELLED], "CANCELLED"),
        ("tombstone, created later", tombstone(), created(300, "a"), Suppressed, &[CANCELLED], "CANCELLED"),
        ("tombstone, by REST", tombstone(), upsert(300, "a"), Suppressed, &[CANCELLED], "CANCELLED"),
        ("tombstone, updated", tombstone(), updated(300, "a"), Parked, nothing, "tombstone"),
        ("tombstone, cancelled", tombstone(), cancelled(300), Duplicate, nothing, "tombstone"),
    ] {
        let mut order = Order::after(before);

        let step = order.meet(message);

        assert_eq!(step.verdict.outcome, outcome, "{name}");
        assert_eq!(topics(&step), published, "{name}");
        assert_eq!(order.phase(), phase, "{name}");
    }
}

#[test]
fn the_same_message_twice_changes_and_publishes_nothing_the_second_time() {
    for (name, message) in [("created", created(100, "a")), ("upsert", upsert(100, "a")), ("cancelled", cancelled(200))]
    {
        let mut order = Order::after([created(90, "z"), message.clone()]);
        let before = order.state.clone();

        let step = order.meet(message);

        assert!(!step.changed && step.verdict.events.is_empty(), "{name}");
        assert_eq!(order.state, before, "{name}");
    }
}

#[test]
fn a_creation_publishes_the_ids_printed_in_the_contract() {
    let order = Order::after([created(1_772_612_130_000, "a")]);

    let published: Vec<_> = order.published.iter().map(|(_, id)| id.as_str()).collect();

    assert_eq!(published, ["9478506a-9d09-57c5-a89e-1f1c103e2680", "bbd48371-33e6-5a6b-956c-a94669e9595b"]);
}

#[test]
fn a_duplicate_with_a_newer_revision_moves_it_forward_silently() {
    for (name, message) in [("updated", updated(150, "a")), ("by REST", upsert(150, "a"))] {
        let mut order = Order::after([created(100, "a")]);

        let step = order.meet(message);

        assert!(step.changed, "{name}");
        assert_eq!(order.stored().revision, "150", "{name}");
        assert_eq!(order.meet(updated(120, "b")).verdict.outcome, Outcome::Stale, "{name}: older than the duplicate");
    }
    let mut order = Order::after([created(100, "a"), updated(150, "a")]);
    assert_eq!(order.stored().updated_at.as_deref(), Some("time 150"));

    order.meet(created(120, "a"));

    assert_eq!(order.stored().revision, "150", "never back");
    assert_eq!(order.stored().updated_at.as_deref(), Some("time 150"), "never back");
}

#[test]
fn the_same_revision_with_other_content_is_a_business_rule_at_the_revision_field() {
    let mut order = Order::after([created(100, "a")]);

    let step = order.meet(updated(100, "b"));

    let rejection = step.verdict.rejection.expect("the update is rejected");
    assert_eq!((rejection.code(), rejection.problems()[0].field.as_str()), (Code::BusinessRule, "/updated_at"));
    assert_eq!(order.stored().notes.as_deref(), Some("a"));
}

#[test]
fn a_cancellation_is_published_with_its_own_revision() {
    let id = Order::unknown().state.id();
    for before in [vec![created(100, "a"), cancelled(200)], vec![cancelled(200), created(100, "a")]] {
        let order = Order::after(before);

        let expected = crate::canonical::ids::order_event_id(CANCELLED, id, 200).to_string();
        assert_eq!(order.published.last(), Some(&(CANCELLED, expected)));
        let stored = order.stored();
        assert_eq!((stored.revision.as_str(), stored.updated_at.as_deref()), ("200", Some("1970-01-01T00:00:00.200Z")));
        assert_eq!(stored.status, crate::canonical::order::Status::Cancelled);
    }
}

#[test]
fn a_creation_releases_its_updates_by_revision() {
    let mut order = Order::after([updated(300, "c"), updated(200, "b"), updated(50, "old"), updated(200, "x")]);
    assert_eq!(state::waiting(&order.state), 4);

    let step = order.meet(created(100, "a"));

    use Outcome::{Accepted, Rejected, Stale};
    let expected = [(2, Stale), (1, Accepted), (3, Rejected), (0, Accepted)];
    assert_eq!(endings(&step), expected, "the second of two of one revision contradicts the first");
    assert_eq!(order.stored().notes.as_deref(), Some("c"));
    assert_eq!(state::waiting(&order.state), 0);
}

#[test]
fn updates_parked_behind_a_tombstone_are_stale_when_the_creation_is_suppressed() {
    let mut order = Order::after([updated(150, "b"), cancelled(200), updated(300, "c")]);
    assert_eq!(state::waiting(&order.state), 3);

    let step = order.meet(created(100, "a"));

    assert_eq!(step.verdict.outcome, Outcome::Suppressed);
    assert_eq!(endings(&step), [(0, Outcome::Stale), (2, Outcome::Stale)]);
    assert_eq!(order.published.len(), 1);
    assert_eq!(state::waiting(&order.state), 0);
}

#[test]
fn an_update_beyond_those_that_may_wait_is_rejected_and_the_others_go_on_waiting() {
    for (name, before) in [("unknown", vec![]), ("tombstone", vec![cancelled(500)])] {
        let waiting = (0..MAX_PARKED as i64).map(|n| updated(200 + n, "waits"));
        let mut order = Order::after(before.into_iter().chain(waiting));
        let state_before = order.state.clone();

        let step = order.meet(updated(300, "too many"));

        assert_eq!((step.verdict.outcome, topics(&step)), (Outcome::Rejected, vec![FAILED]), "{name}");
        let rejection = step.verdict.rejection.expect("the update is rejected");
        assert_eq!((rejection.code(), rejection.problems()[0].field.as_str()), (Code::LimitExceeded, "/order_id"));
        assert!(!step.changed && order.state == state_before, "{name}");
    }
}

#[test]
fn what_has_lapsed_makes_room_for_an_update_that_waits() {
    let mut order = Order::after((0..MAX_PARKED as i64).map(|n| updated(200 + n, "waits")));
    order.appended_at += PARKED_FOR_MS;

    let step = order.meet(updated(300, "in their place"));

    assert_eq!((step.verdict.outcome, step.endings.len()), (Outcome::Parked, MAX_PARKED));
    assert_eq!(state::waiting(&order.state), 1);
}

#[test]
fn a_rejection_meets_no_state() {
    for (name, draft, expected) in [
        ("readable id", rejected(Some("PYX-FR-20260304-7731"), Code::UnknownCode), vec![FAILED]),
        ("unreadable id", rejected(None, Code::MalformedPayload), vec![FAILED]),
        ("class that is not published", rejected(None, Code::AuthenticationFailed), vec![]),
    ] {
        let mut order = Order::after([cancelled(200)]);
        order.appended_at += TOMBSTONE_FOR_MS;

        let step = order.meet(draft);

        assert_eq!((step.verdict.outcome, topics(&step)), (Outcome::Rejected, expected), "{name}");
        assert!(!step.changed && step.endings.is_empty(), "{name}");
    }
}

#[test]
fn what_is_past_its_deadline_when_a_record_is_appended_has_expired() {
    for (name, late_ms, outcome, ended, phase) in [
        ("just in time", -1, Outcome::Suppressed, vec![], "CANCELLED"),
        ("late", 0, Outcome::Accepted, vec![(0, Outcome::Expired)], "RECEIVED"),
    ] {
        let mut order = Order::after([cancelled(200)]);
        order.appended_at += TOMBSTONE_FOR_MS + late_ms;

        let step = order.meet(created(100, "a"));

        assert_eq!((step.verdict.outcome, endings(&step)), (outcome, ended), "tombstone, {name}");
        assert_eq!(order.phase(), phase, "tombstone, {name}");
    }
    for (name, late_ms, ended, published) in [
        ("just in time", -1, Outcome::Accepted, vec![RECEIVED, NORMALIZED, UPDATED, NORMALIZED]),
        ("late", 0, Outcome::Rejected, vec![RECEIVED, NORMALIZED, FAILED]),
    ] {
        let mut order = Order::after([updated(200, "b")]);
        order.appended_at += PARKED_FOR_MS + late_ms;

        let step = order.meet(created(100, "a"));

        assert_eq!(endings(&step), [(0, ended)], "update, {name}");
        assert_eq!(order.published.iter().map(|(topic, _)| *topic).collect::<Vec<_>>(), published, "update, {name}");
    }
}

#[test]
fn an_expired_tombstone_gives_way_to_a_new_one_and_leaves_updates_parked() {
    let mut order = Order::after([cancelled(200)]);
    order.appended_at += TOMBSTONE_FOR_MS - 1;
    order.meet(updated(300, "b"));
    order.appended_at += 1;

    let step = order.meet(cancelled(400));

    assert_eq!((step.verdict.outcome, endings(&step)), (Outcome::Parked, vec![(0, Outcome::Expired)]));
    assert_eq!(state::waiting(&order.state), 2);
}

#[test]
fn an_expired_update_is_an_unknown_reference_at_the_order_id() {
    let mut order = Order::after([updated(200, "b")]);
    let parked = order.state.parked.remove(0);

    let ending = with_rules(&order.met, |rules| decide::expire_update(parked, NOW, rules));

    let Ending { offset, verdict, update } = ending.expect("the parked update is readable");
    let rejection = verdict.rejection.expect("the update is rejected");
    assert_eq!((rejection.code(), rejection.problems()[0].field.as_str()), (Code::UnknownReference, "/order_id"));
    assert_eq!((offset, verdict.events[0].topic), (0, FAILED));
    assert_eq!(update.expect("it was an update").head, order.met[0].head);
}

#[test]
fn the_order_of_arrival_does_not_change_where_an_order_ends() {
    let messages = [created(100, "a"), updated(200, "b"), updated(300, "c")];
    for arrival in permutations(&messages) {
        let order = Order::after(arrival.clone());

        let stored = order.stored();
        assert_eq!((order.phase(), stored.revision.as_str()), ("RECEIVED", "300"), "{arrival:?}");
        assert_eq!(stored.notes.as_deref(), Some("c"), "{arrival:?}");
        assert_eq!(state::waiting(&order.state), 0, "{arrival:?}");
        each_event_once(&order);
    }
    let [created, second, third] = messages;
    for arrival in permutations(&[created, second, third, cancelled(400)]) {
        let order = Order::after(arrival.clone());

        assert_eq!((order.phase(), order.stored().revision.as_str()), ("CANCELLED", "400"), "{arrival:?}");
        assert_eq!(state::waiting(&order.state), 0, "{arrival:?}");
        assert_eq!(order.published.iter().filter(|(topic, _)| *topic == CANCELLED).count(), 1, "{arrival:?}");
        each_event_once(&order);
    }
}

fn each_event_once(order: &Order) {
    let mut published = order.published.clone();
    published.sort();
    published.dedup();
    assert_eq!(published.len(), order.published.len(), "{:?}", order.published);
}

fn permutations(messages: &[Draft]) -> Vec<Vec<Draft>> {
    if messages.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for place in 0..messages.len() {
        let mut rest = messages.to_vec();
        let head = rest.remove(place);
        all.extend(permutations(&rest).into_iter().map(|mut tail| {
            tail.insert(0, head.clone());
            tail
        }));
    }
    all
}
