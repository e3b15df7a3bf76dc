//! What the partner is to be told: statuses of many orders, in a known order.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use crossdock::canonical::notification::{Kind, Notification, STATUS_UPDATED};
use crossdock::canonical::order::SourceSystem;
use crossdock::clock::SystemClock;
use crossdock::log::sqlite::{Options, SqliteLog};
use crossdock::log::{Append, EventLog as _, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The lanes' topic of the binding.
pub const TOPIC: &str = "crossdock.out.pyxis-north";

/// `event_timestamp` of the first notification of a key; the others count on.
pub const FIRST: i64 = 1_772_700_000_000;

/// Appends of one transaction.
const BATCH: usize = 1_000;

/// The keys take turns: number `n` is of key `n % keys`, and is its `n / keys`-th.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notifications {
    /// In front of the orders' ids. The partner goes by it: see [`crate::partner`].
    pub prefix: String,
    pub keys: usize,
}

impl Notifications {
    pub fn new(prefix: &str, keys: usize) -> Self {
        Self { prefix: prefix.to_owned(), keys }
    }

    pub fn key(&self, number: usize) -> String {
        format!("north|pyxis|{}", self.order(number))
    }

    /// The value on the log. `sent_us`: when it was sent, in microseconds since 1970; it comes to the partner in the
    /// event's id.
    pub fn value(&self, number: usize, sent_us: u64) -> Bytes {
        let order = self.order(number);
        let event = json!({
            "event_id": self.event_id(number, sent_us),
            "event_timestamp": self.at(number),
            "source_system": "PYXIS",
            "external_order_id": order,
            "fsm_service_order_id": SERVICE_ORDER,
            "status": "SCHEDULED",
            "scheduled_date": self.date(number),
            "provider_name": null,
        });
        let notification = Notification {
            kind: Kind::Status,
            topic: "fsm.order.status_updated".to_owned(),
            record: STATUS_UPDATED.to_owned(),
            event_id: self.event_id(number, sent_us),
            tenant_id: "north".to_owned(),
            source_system: SourceSystem::Pyxis,
            source_key: "pyxis".to_owned(),
            external_order_id: order,
            fsm_service_order_id: SERVICE_ORDER.to_owned(),
            country_code: Some("FR".to_owned()),
            cancelled_by_source: false,
            event,
        };
        notification.to_bytes().expect("JSON")
    }

    /// What the partner is sent: the body the mapping makes of [`Self::value`].
    pub fn body(&self, number: usize) -> Value {
        json!({
            "event_id": self.event_id(number, 0),
            "event_timestamp": self.at(number),
            "event_type": "SERVICE_ORDER_SCHEDULED",
            "external_sales_order_id": self.order(number),
            "fsm_service_order_id": SERVICE_ORDER,
            "new_status": "SCHEDULED",
            "scheduled_date": self.date(number),
        })
    }

    /// Appends the first `count` of them to the log of a data folder in `directory`, which no gateway has open.
    pub async fn fill(&self, directory: &Path, count: usize) {
        let options = Options { group_commit_delay: Duration::ZERO, clock: Arc::new(SystemClock) };
        let log = SqliteLog::open(&directory.join("data").join("log.db"), options).expect("the log");
        let topic: Arc<str> = Arc::from(TOPIC);
        for from in (0..count).step_by(BATCH) {
            let record = |number| Record {
                key: Some(self.key(number).into()),
                value: Some(self.value(number, 0)),
                headers: Vec::new(),
            };
            let append = |number| Append { topic: Arc::clone(&topic), partition: None, record: record(number) };
            let appends = (from..count.min(from + BATCH)).map(append).collect();
            log.append(appends).await.expect("the records are appended");
        }
    }

    fn order(&self, number: usize) -> String {
        format!("{}-{:06}", self.prefix, number % self.keys)
    }

    fn at(&self, number: usize) -> i64 {
        FIRST + (number / self.keys) as i64
    }

    /// Another for each of a key: a value that was told before is not told again.
    fn date(&self, number: usize) -> String {
        let nth = number / self.keys;
        format!("{}-{:02}-{:02}", 2027 + nth / 336, nth / 28 % 12 + 1, nth % 28 + 1)
    }

    fn event_id(&self, number: usize, sent_us: u64) -> String {
        format!("{sent_us}-{}-{number}", self.prefix)
    }
}

pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock past 1970");
    u64::try_from(since.as_micros()).expect("a clock before the end of time")
}

const SERVICE_ORDER: &str = "8fc78ce8-6c4a-55d8-aaaa-f149200431d2";
