//! The platform: events about orders, in a known order, and the calls they are to cause.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::support::{Client, pyxis, tempo};

pub const STATUS_UPDATED: &str = "fsm.order.status_updated";
pub const VISIT: &str = "fsm.tv.outcome_recorded";

/// An event as it is put on a topic.
#[derive(Debug, Clone)]
pub struct Event {
    pub topic: &'static str,
    pub key: String,
    pub schema: &'static str,
    pub value: Value,
}

/// An order the gateway has accepted, and the calls its partner must have, in order.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: String,
    pub service_order_id: String,
    system: &'static System,
    /// Idempotency keys of the calls.
    pub keys: Vec<String>,
    /// Events said so far.
    said: u32,
}

#[derive(Debug)]
struct System {
    name: &'static str,
    binding: &'static str,
}

const PYXIS: System = System { name: "PYXIS", binding: "pyxis-north" };
const TEMPO: System = System { name: "TEMPO", binding: "tempo-north" };

impl Order {
    /// A Pyxis order, delivered and accepted.
    pub async fn accepted(client: &Client, id: &str) -> Self {
        let service_order_id = client.deliver(&pyxis::order(id)).await.assert_accepted();
        client.step_of(id, "accepted").await;
        Self::known(&PYXIS, id, service_order_id)
    }

    /// Many, delivered side by side.
    pub async fn many(client: &Client, name: &str, count: usize) -> Vec<Self> {
        let ids: Vec<_> = (0..count).map(|n| format!("{name}-{n}")).collect();
        let orders = ids.iter().map(|id| Self::accepted(client, id));
        futures_util::future::join_all(orders).await
    }

    /// A Tempo request, delivered and accepted.
    pub async fn requested(client: &Client, id: &str) -> Self {
        let service_order_id = client.tempo().request_service(&tempo::request(id)).await.assert_accepted();
        client.events_of("integration.sales.order.normalized", id, 1).await;
        Self::known(&TEMPO, id, service_order_id)
    }

    /// A Pyxis order nobody has delivered yet.
    pub fn to_come(id: &str) -> Self {
        let namespace = Uuid::try_parse("f9d5ecc7-f511-47f3-827a-87555558266a").expect("a UUID");
        let service_order_id = Uuid::new_v5(&namespace, format!("north:pyxis:{id}").as_bytes());
        Self::known(&PYXIS, id, service_order_id.to_string())
    }

    fn known(system: &'static System, id: &str, service_order_id: String) -> Self {
        Self { id: id.to_owned(), service_order_id, system, keys: Vec::new(), said: 0 }
    }

    /// The visit moves to another day each time: a value that was not told before, so a call of its own.
    pub fn scheduled(&mut self) -> Event {
        let day = self.said % 28 + 1;
        let month = self.said / 28 % 12 + 1;
        let year = 2027 + self.said / 336;
        let date = format!("{year}-{month:02}-{day:02}");
        self.status("SCHEDULED", &json!({"scheduled_date": date}))
    }

    /// A status that is told by one call.
    pub fn status(&mut self, status: &str, more: &Value) -> Event {
        let event = self.status_untold(status, more);
        self.expect("status", &event);
        event
    }

    /// A status that causes no call of kind `status`.
    pub fn status_untold(&mut self, status: &str, more: &Value) -> Event {
        let mut value = json!({
            "event_id": self.next_event_id(),
            "event_timestamp": 1_772_700_000_000_i64 + i64::from(self.said),
            "source_system": self.system.name,
            "external_order_id": self.id,
            "fsm_service_order_id": self.service_order_id,
            "status": status,
            "scheduled_date": null,
            "provider_name": null,
        });
        merge(&mut value, more);
        self.event(STATUS_UPDATED, "FsmOrderStatusUpdated", value)
    }

    /// The outcome of a technical visit; the caller says what call it causes.
    pub fn visit(&mut self, outcome: &str, more: &Value) -> Event {
        let mut value = json!({
            "event_id": self.next_event_id(),
            "event_timestamp": 1_772_700_000_000_i64 + i64::from(self.said),
            "source_system": self.system.name,
            "external_order_id": self.id,
            "tv_outcome": outcome,
            "modifications": null,
            "cancellation_reason": null,
        });
        merge(&mut value, more);
        self.event(VISIT, "FsmTvOutcomeRecorded", value)
    }

    /// `event` causes a call of that kind.
    pub fn expect(&mut self, kind: &str, event: &Event) {
        let event_id = event.value["event_id"].as_str().expect("an id");
        self.keys.push(self.idempotency_key(kind, event_id));
    }

    /// Source: `contracts/canonical-events.md` section 9.
    pub fn idempotency_key(&self, kind: &str, event_id: &str) -> String {
        let text = format!("north|{}|{}|{kind}|{event_id}", self.system.binding, self.id);
        hex::encode(Sha256::digest(text))
    }

    fn event(&self, topic: &'static str, schema: &'static str, value: Value) -> Event {
        Event { topic, key: format!("{}_{}", self.system.name, self.id), schema, value }
    }

    fn next_event_id(&mut self) -> String {
        self.said += 1;
        event_id(&format!("{}:{}", self.id, self.said))
    }
}

impl Client {
    /// Puts the event on its topic.
    pub async fn say(&self, event: &Event) {
        self.put_avro(event.topic, &event.key, event.schema, &event.value).await;
    }
}

/// Says `count` more statuses of each order: one order's one after another, different orders' side by side.
pub async fn say_statuses(client: &Client, orders: &mut [Order], count: usize) {
    let each = orders.iter_mut().map(|order| async move {
        for _ in 0..count {
            let event = order.scheduled();
            client.say(&event).await;
        }
    });
    futures_util::future::join_all(each).await;
}

/// The same for the same name.
pub fn event_id(name: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

fn merge(value: &mut Value, more: &Value) {
    for (name, member) in more.as_object().expect("an object") {
        value[name] = member.clone();
    }
}
