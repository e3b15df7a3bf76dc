//! The way out: the platform says what became of orders, and the partner systems are called, each in its own form. One
//! of them fails every first time, the other does not know one of its orders.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::canonical::ids::OrderKey;
use crate::cli::client;
use crate::cli::demo::stage::{Partner, Stage};
use crate::cli::demo::told::{self, Ink};
use crate::cli::partner::receiver::received::{Answered, Call, Received};
use crate::cli::partner::receiver::script::{Manner, Reply, Rule};

/// Orders whose calls go well in the end.
pub const KNOWN: u32 = 50;
/// The one the first partner does not know at first.
pub const UNKNOWN: u32 = 51;

const TOPIC: &str = "fsm.order.status_updated";
const SCHEMA: &str = "FsmOrderStatusUpdated";

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longer than a retry, on any machine.
const TOLD_WITHIN: Duration = Duration::from_secs(20);

/// A status the platform says, and what is to come of it.
#[derive(Debug)]
pub struct Saying {
    /// Which of the partners is told.
    pub partner: usize,
    order: u32,
    status: &'static str,
    /// What the partner answers, call by call.
    answers: &'static [u16],
    /// Where the record is in the end.
    state: &'static str,
    because: &'static str,
}

/// What came of it.
#[derive(Debug)]
pub struct Told {
    pub calls: Vec<Call>,
    pub surprise: Option<String>,
}

/// How a partner behaves; `order`: its order of that number.
pub fn manners(partner: usize, order: impl Fn(u32) -> String) -> Vec<Rule> {
    let always = |status| Rule::always(Manner::Answer(Reply::status(status)));
    if partner == 0 { vec![always(404).of_order(&order(UNKNOWN)).nth(0..1)] } else { vec![always(503).attempts(0..1)] }
}

pub fn sayings() -> Vec<Saying> {
    let saying =
        |(partner, order), status, answers, state, because| Saying { partner, order, status, answers, state, because };
    let (known, unknown, failing) = ((0, KNOWN), (0, UNKNOWN), (1, KNOWN));
    vec![
        saying(
            known,
            "SCHEDULED",
            &[204],
            "applied",
            "Told in the partner's own form, signed, with an idempotency key.",
        ),
        saying(known, "SCHEDULED", &[], "applied", "What a partner was told last is not told again."),
        saying(
            failing,
            "SCHEDULED",
            &[503, 204],
            "applied",
            "Once more after a second, with the same idempotency key.",
        ),
        saying(
            unknown,
            "SCHEDULED",
            &[404],
            "held",
            "No retry helps: a dead letter, and the order is held for a person.",
        ),
        saying(unknown, "ASSIGNED", &[], "held", "It waits behind the one before: an order is never told out of turn."),
        saying(known, "COMPLETED", &[204], "applied", "The partner's other orders go on."),
    ]
}

impl Stage {
    /// Says it on the platform's topic, and waits until the gateway has done with it.
    ///
    /// # Errors
    /// The operations API does not answer.
    pub async fn say(&self, saying: &Saying) -> Result<Told, client::Error> {
        let Some(partner) = self.partners.get(saying.partner) else {
            return Ok(Told { calls: Vec::new(), surprise: Some("no such partner".to_owned()) });
        };
        let id = partner.order_id(saying.order);
        let calls = || partner.receiver.look(|received| received.of_order(&id).cloned().collect::<Vec<_>>());
        let (before, called) = (self.records(partner, saying.state).await?, calls().len());

        let (key, event) = self.event(partner, &id, saying);
        self.observer.append_avro(TOPIC, &key, SCHEMA, &event).await?;

        let deadline = Instant::now() + TOLD_WITHIN;
        while self.records(partner, saying.state).await? <= before && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let calls: Vec<_> = calls().into_iter().skip(called).collect();
        let wanted: Vec<_> = saying.answers.iter().map(|status| Answered::Status(*status)).collect();
        let found: Vec<_> = calls.iter().map(|call| call.answered).collect();
        let surprise = (found != wanted).then(|| format!("expected {wanted:?}, found {found:?}"));
        Ok(Told { calls, surprise })
    }

    /// Records for the partner in that state.
    async fn records(&self, partner: &Partner, state: &str) -> Result<u64, client::Error> {
        let topic = format!("crossdock.out.{}", partner.binding);
        let metrics = self.observer.metrics().await?;
        Ok(metrics.sum("crossdock_lane_records", &[("topic", &topic), ("state", state)]))
    }

    /// Key and value.
    fn event(&self, partner: &Partner, id: &str, saying: &Saying) -> (String, Value) {
        let order = OrderKey {
            tenant_id: self.tenant.clone(),
            source_key: partner.source_key.clone(),
            external_order_id: id.to_owned(),
        };
        let system = partner.sample.adapter.to_uppercase();
        let event = json!({
            "event_id": Uuid::new_v4(),
            "event_timestamp": self.now_ms(),
            "source_system": system,
            "external_order_id": id,
            "fsm_service_order_id": order.service_order_id(),
            "status": saying.status,
            "scheduled_date": (saying.status == "SCHEDULED").then_some("2026-03-19"),
            "provider_name": (saying.status == "ASSIGNED").then_some("Pose & Co"),
        });
        (format!("{system}_{id}"), event)
    }
}

/// What the columns are.
pub fn header(ink: Ink) -> String {
    ink.bold(&told::row("FROM", "SAYS", "CALL, ANSWER", "CALLED AT"))
}

/// One line a call, and the reason below.
pub fn lines(saying: &Saying, stage: &Stage, told: &Told, ink: Ink) -> String {
    let Some(partner) = stage.partners.get(saying.partner) else { return String::new() };
    let mut says = format!("{} {}", partner.order_id(saying.order), saying.status);
    let mut text = String::new();
    if told.calls.is_empty() {
        let outcome = if saying.state == "held" { "no call: held" } else { "no call: known" };
        text += &(told::row("fsm", &says, &format!("to {}, {outcome}", partner.sample.adapter), "-") + "\n");
    }
    for call in &told.calls {
        let from = if says.is_empty() { "" } else { "fsm" };
        text += &line(from, &says, &partner.sample.adapter, call, ink);
        says.clear();
    }
    if let Some(surprise) = &told.surprise {
        text += &(ink.red(&format!("       otherwise than it should be: {surprise}")) + "\n");
    }
    text + &ink.dim(&format!("       {}", saying.because)) + "\n"
}

/// Calls from that number on that are over.
pub fn answered(received: &Received, next: u64) -> impl Iterator<Item = &Call> {
    let newest = received.calls().rev().take_while(move |call| call.number >= next).count();
    let older = received.calls().count() - newest;
    received.calls().skip(older).filter(|call| call.ended.is_some())
}

/// A call nobody waited for, as it comes.
pub fn later(partner: &str, call: &Call, ink: Ink) -> String {
    line("", call.order.as_deref().unwrap_or("?"), partner, call, ink)
}

/// The same for machines, on one line.
pub fn document(saying: &Saying, stage: &Stage, told: &Told) -> Value {
    let partner = stage.partners.get(saying.partner);
    let to = partner.map_or("?", |partner| &partner.sample.adapter);
    json!({
        "from": "fsm",
        "order": partner.map(|partner| partner.order_id(saying.order)),
        "says": saying.status,
        "to": to,
        "calls": told.calls.iter().map(|one| call(to, one)).collect::<Vec<_>>(),
        "state": saying.state,
        "surprise": told.surprise,
    })
}

pub fn call(partner: &str, call: &Call) -> Value {
    json!({
        "to": partner,
        "path": call.path,
        "order": call.order,
        "attempt": call.attempt + 1,
        "status": status(call),
        "applied": call.applied,
        "idempotency_key": call.idempotency_key,
    })
}

fn line(from: &str, says: &str, partner: &str, call: &Call, ink: Ink) -> String {
    let answer = status(call).map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let outcome = match call.attempt {
        0 => format!("to {partner}: {answer}"),
        again => format!("to {partner}, attempt {}: {answer}", again + 1),
    };
    let line = told::row(from, says, &outcome, &call.path);
    (if call.applied { line } else { ink.yellow(&line) }) + "\n"
}

fn status(call: &Call) -> Option<u16> {
    match call.answered {
        Answered::Status(status) => Some(status),
        Answered::Nothing | Answered::Half | Answered::Reset => None,
    }
}
