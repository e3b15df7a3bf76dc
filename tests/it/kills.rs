//! `kill -9` at random under load, by HTTP and by topic, and at every fail point: nothing that was answered, and no record
//! of a topic, is lost; nothing is published twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{ORDERS, answer};
use crate::support::{Client, Gateway, Options, PATIENCE, pyxis};
use crate::topics_in::{CREATED, UPDATED, base64};

/// Where the process kills itself, see `docs/fail-points.md`.
pub const FAIL_POINTS: [&str; 12] = [
    "log.append.before_commit",
    "log.append.after_commit",
    "store.write.before_commit",
    "store.write.after_commit",
    "log.commit.before",
    "log.commit.after",
    "sequence.decided",
    "sequence.stored",
    "sequence.committed",
    "reader.prepared",
    "reader.appended",
    "reader.committed",
];
const SENDERS: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_lose_nothing_and_repeat_nothing() {
    lose_nothing_and_repeat_nothing(&Options::default(), &FAIL_POINTS, &Lives { kills: 200, answers: 60, passes: 12 })
        .await;
}

/// How often the process is killed, and when at the latest.
pub struct Lives {
    pub kills: u64,
    /// Messages answered in one life, at most.
    pub answers: usize,
    /// Passes of a fail point before it kills, at most.
    pub passes: u64,
}

/// Kills a gateway with `options` so many times, at each of `points` in turn and at random, and then checks every order
/// that was answered 202.
pub async fn lose_nothing_and_repeat_nothing(options: &Options, points: &[&str], lives: &Lives) {
    let Lives { kills, answers: answers_a_life, passes } = *lives;
    let mut random = Random(0x5eed);
    let work = Arc::new(Mutex::new(Work::default()));
    let mut directory = Gateway::start_with(options).kill();
    let mut killed_at: BTreeMap<String, u32> = BTreeMap::new();

    for kill in 0..kills {
        // Two lives a round end at a random moment instead of a fail point.
        let point = points.get((kill % (points.len() as u64 + 2)) as usize);
        let answers = 1 + random.below(answers_a_life as u64) as usize;
        let crash = point.map(|point| ("CROSSDOCK_CRASH", format!("{point}:{}", 1 + random.below(passes))));
        directory = match Gateway::spawn(directory, crash.as_slice()) {
            Ok(mut gateway) => {
                let limit = if crash.is_some() { answers_a_life } else { answers };
                if crash.is_some() {
                    until_its_lanes_run(&mut gateway).await;
                }
                deliver_until_the_end(&gateway, &work, limit).await;
                let place = if gateway.has_ended() { point.map_or("?", |point| *point) } else { "at random" };
                *killed_at.entry(place.to_owned()).or_default() += 1;
                gateway.kill()
            }
            Err((directory, said)) => {
                let point = point.unwrap_or_else(|| panic!("the gateway does not start:\n{}", said.join("\n")));
                *killed_at.entry(format!("{point} while starting")).or_default() += 1;
                directory
            }
        };
    }

    println!("killed: {killed_at:#?}");
    for point in points {
        assert!(killed_at.keys().any(|place| place.starts_with(point)), "{point} was never reached: {killed_at:?}");
    }
    let gateway = Gateway::spawn(directory, &[]).unwrap_or_else(|(_, said)| panic!("{}", said.join("\n")));
    let client = gateway.client();
    deliver_until_the_end(&gateway, &work, usize::MAX).await;
    wait_for_every_lane(&client).await;
    let scripts = std::mem::take(&mut work.lock().expect("no panic while locked").finished);
    println!("{} orders were answered 202 through {kills} kills", scripts.len());
    assert!(scripts.len() as u64 > 2 * kills, "too little load to mean anything");
    check_events(&client, &scripts).await;
    check_outcomes(&client, &scripts).await;
}

/// What is sent about one order, step by step; the next step goes out when the one before was answered.
#[derive(Debug, Clone)]
pub struct Script {
    pub order_id: String,
    way: Way,
    updates: u32,
    cancelled: bool,
    next: usize,
}

/// How the messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Http,
    /// Creation and updates: those wait in the lane if their topic is read first.
    Topic,
    /// By topic, one message that cannot be mapped.
    Rejected,
}

/// One message on its way.
enum Message {
    Request { path: String, body: Value },
    Record { topic: &'static str, key: String, body: Value },
}

impl Script {
    fn new(number: usize) -> Self {
        let way = match number % 4 {
            0 if number.is_multiple_of(8) => Way::Rejected,
            0 | 1 => Way::Topic,
            _ => Way::Http,
        };
        Self {
            order_id: format!("PYX-{number}"),
            way,
            updates: if way == Way::Rejected { 0 } else { (number % 3) as u32 },
            cancelled: way == Way::Http && number.is_multiple_of(5),
            next: 0,
        }
    }

    fn steps(&self) -> usize {
        1 + self.updates as usize + usize::from(self.cancelled)
    }

    /// Steps that are accepted in the end.
    pub fn accepted(&self) -> usize {
        if self.way == Way::Rejected { 0 } else { self.steps() }
    }

    /// The next step.
    fn message(&self) -> Message {
        let n = self.next as u32;
        let mut body = if n == 0 { pyxis::order(&self.order_id) } else { pyxis::update(&self.order_id, n) };
        match self.way {
            Way::Http if n <= self.updates => Message::Request { path: ORDERS.to_owned(), body },
            Way::Http => Message::Request {
                path: format!("{ORDERS}/{}/cancellation", self.order_id),
                body: pyxis::cancellation(&self.order_id),
            },
            Way::Topic | Way::Rejected => {
                if self.way == Way::Rejected {
                    body["channel"] = "FAX".into();
                }
                let topic = if n == 0 { CREATED } else { UPDATED };
                Message::Record { topic, key: format!("FR_{}", self.order_id), body }
            }
        }
    }
}

#[derive(Debug, Default)]
pub struct Work {
    started: usize,
    /// Scripts whose next step was sent and not answered: senders repeat those first.
    pub waiting: VecDeque<Script>,
    pub finished: Vec<Script>,
    answers_left: usize,
}

/// Until the gateway is ready, or gone. Without lanes that run, a life can be over before anything was decided in it.
async fn until_its_lanes_run(gateway: &mut Gateway) {
    let client = gateway.client();
    let ready = async {
        while !gateway.has_ended() {
            if answer(client.ops(Method::GET, "/readyz")).await.is_ok_and(|answer| answer.status == 200) {
                return;
            }
        }
    };
    // It is killed all the same where it takes longer.
    let _ = tokio::time::timeout(PATIENCE, ready).await;
}

/// Sends from many connections until `limit` messages were answered or the gateway is gone. With no limit, until
/// everything begun is finished.
pub async fn deliver_until_the_end(gateway: &Gateway, work: &Arc<Mutex<Work>>, limit: usize) {
    work.lock().expect("no panic while locked").answers_left = limit;
    let senders: Vec<_> =
        (0..SENDERS).map(|_| tokio::spawn(send(gateway.client(), Arc::clone(work), limit == usize::MAX))).collect();
    for sender in senders {
        sender.await.expect("a sender does not panic");
    }
}

async fn send(client: Client, work: Arc<Mutex<Work>>, only_finish: bool) {
    loop {
        let mut script = {
            let mut work = work.lock().expect("no panic while locked");
            if work.answers_left == 0 {
                return;
            }
            match work.waiting.pop_front() {
                Some(script) => script,
                None if only_finish => return,
                None => {
                    work.started += 1;
                    Script::new(work.started)
                }
            }
        };
        while script.next < script.steps() {
            let answer = match script.message() {
                Message::Request { path, body } => client.try_deliver(&path, body.to_string().into_bytes()).await,
                Message::Record { topic, key, body } => {
                    let value = base64(body.to_string().as_bytes());
                    client.try_put(topic, &json!({"key": key, "value_base64": value})).await
                }
            };
            let accepted = answer.as_ref().is_some_and(|answer| answer.status == 202 || answer.status == 201);
            let mut work = work.lock().expect("no panic while locked");
            if !accepted {
                if let Some(answer) = answer {
                    assert_eq!(answer.status, 503, "{}", answer.body);
                }
                work.waiting.push_back(script);
                return;
            }
            script.next += 1;
            work.answers_left = work.answers_left.saturating_sub(1);
            if work.answers_left == 0 && script.next < script.steps() {
                work.waiting.push_back(script);
                return;
            }
        }
        work.lock().expect("no panic while locked").finished.push(script);
    }
}

/// Every partition and every lane works in order: once a last order of each has been published, everything before it is
/// decided.
pub async fn wait_for_every_lane(client: &Client) {
    let mut last: Vec<String> = (0..64).map(|n| format!("END-{n}")).collect();
    for order_id in &last {
        client.put(CREATED, order_id, pyxis::order(order_id).to_string().as_bytes()).await;
        client.put(UPDATED, order_id, pyxis::update(order_id, 1).to_string().as_bytes()).await;
    }
    client
        .follow_events("integration.sales.order_updated", |event| {
            last.retain(|order_id| event["value"]["sales_order_id"] != order_id.as_str());
            !last.is_empty()
        })
        .await;
    let mut last: Vec<String> = (0..64).map(|n| format!("VERY-END-{n}")).collect();
    for order_id in &last {
        client.deliver(&pyxis::order(order_id)).await.assert_accepted();
    }
    client
        .follow_events("integration.sales.order.normalized", |event| {
            last.retain(|order_id| event["value"]["external_order_id"] != order_id.as_str());
            !last.is_empty()
        })
        .await;
}

pub async fn check_events(client: &Client, scripts: &[Script]) {
    for (topic, id_field, expected) in [
        ("integration.sales.order_received", "sales_order_id", created as fn(&Script) -> u32),
        ("integration.sales.order_updated", "sales_order_id", |script| script.updates),
        ("integration.sales.order.normalized", "external_order_id", |script| created(script) + script.updates),
        ("integration.sales.order_cancelled", "sales_order_id", |script| u32::from(script.cancelled)),
        ("integration.sales.order.failed", "external_order_id", |script| 1 - created(script)),
    ] {
        let events = client.events(topic).await;
        let mut of_order: BTreeMap<&str, u32> = BTreeMap::new();
        let mut ids = std::collections::BTreeSet::new();
        for event in &events {
            *of_order.entry(event["value"][id_field].as_str().expect("an id")).or_default() += 1;
            let id = event["value"]["event_id"].as_str().expect("an event id");
            assert!(ids.insert(id), "{topic}: event {id} was published twice");
        }
        for script in scripts {
            let found = of_order.get(script.order_id.as_str()).copied().unwrap_or_default();
            assert_eq!(found, expected(script), "{topic}: events of {script:?}");
        }
    }
}

/// Whether anything is published of the order but a rejection, as a number.
fn created(script: &Script) -> u32 {
    u32::from(script.way != Way::Rejected)
}

pub async fn check_outcomes(client: &Client, scripts: &[Script]) {
    let mut records = records_by_key(client).await;
    for script in scripts {
        let order = client.order(&script.order_id).await;
        let journey = order["journey"].as_array().unwrap_or_else(|| panic!("{script:?}: {order}"));
        let accepted = journey.iter().filter(|step| step["outcome"] == "accepted").count();
        let allowed: &[&str] = match script.way {
            Way::Http => &["accepted", "duplicate"],
            // A creation that its writer had to repeat may be behind the update.
            Way::Topic => &["accepted", "duplicate", "parked", "stale"],
            Way::Rejected => &["rejected", "duplicate"],
        };
        let is_other = |step: &&Value| !allowed.iter().any(|outcome| step["outcome"] == *outcome);
        let others: Vec<_> = journey.iter().filter(is_other).collect();
        assert_eq!(accepted, script.accepted(), "{script:?}: {journey:?}");
        assert!(others.is_empty(), "{script:?}: a repeat can only be a duplicate: {others:?}");
        // Each record of a topic is decided once, however often it was appended to its lane.
        let decided = journey.iter().filter(|step| step["repeat"] != true);
        let mut decided: Vec<_> = decided.filter_map(|step| step["source"].as_str()).collect();
        decided.sort_unstable();
        let mut written = records.remove(&format!("FR_{}", script.order_id)).unwrap_or_default();
        written.sort_unstable();
        assert_eq!(decided, written, "{script:?}: {journey:?}");
        let repeats = journey.iter().filter(|step| step["repeat"] == true);
        assert!(repeats.clone().all(|step| step["outcome"] == "duplicate"), "{script:?}: {journey:?}");
    }
}

/// Places of the records of the inbound topics, by key.
async fn records_by_key(client: &Client) -> BTreeMap<String, Vec<String>> {
    let mut records: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for topic in [CREATED, UPDATED] {
        for record in client.events(topic).await {
            let key = record["key"].as_str().expect("a key").to_owned();
            records.entry(key).or_default().push(format!("{topic}/{}/{}", record["partition"], record["offset"]));
        }
    }
    records
}

/// SplitMix64: the same kills in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }
}
