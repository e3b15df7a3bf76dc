//! The balance of the lanes, as the metrics tell it: *taken = applied + superseded + skipped + dead + held + parked + in
//! flight*, for each lane topic, whenever somebody looks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

use crate::support::{Client, PATIENCE};

const TAKEN: &str = "taken";
/// The other states, each once.
const STATES: [&str; 7] = ["applied", "superseded", "skipped", "dead", "held", "parked", "in_flight"];

/// Records by state, by lane topic.
pub type Balance = BTreeMap<String, BTreeMap<String, i64>>;

/// Looks all the time until it is told to stop.
pub struct Watch {
    looks: JoinHandle<u64>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    pub fn start(client: Client) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let looks = tokio::spawn(async move {
            let mut looks = 0;
            while !stopped.load(Ordering::Acquire) {
                assert_even(&balance(&client).await);
                looks += 1;
            }
            looks
        });
        Self { looks, stop }
    }

    /// Fails if one look was uneven.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Release);
        let looks = self.looks.await.expect("every look is even");
        assert!(looks > 0, "nobody looked");
    }
}

pub async fn balance(client: &Client) -> Balance {
    let mut balance = Balance::new();
    for line in client.metrics().await.lines() {
        let Some((labels, count)) = line.strip_prefix("crossdock_lane_records{").and_then(|rest| rest.split_once("} "))
        else {
            continue;
        };
        let label = |name: &str| {
            let value = labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\""));
            value.and_then(|value| value.strip_suffix('"')).expect("a label").to_owned()
        };
        let count = count.parse().expect("a number");
        balance.entry(label("topic")).or_default().insert(label("state"), count);
    }
    balance
}

#[track_caller]
pub fn assert_even(balance: &Balance) {
    for (topic, states) in balance {
        let others: i64 = states.iter().filter(|(state, _)| *state != TAKEN).map(|(_, count)| count).sum();
        assert_eq!(states.get(TAKEN).copied().unwrap_or_default(), others, "{topic}: {states:?}");
        let unknown: Vec<_> =
            states.keys().filter(|state| *state != TAKEN && !STATES.contains(&state.as_str())).collect();
        assert!(unknown.is_empty(), "{topic}: {unknown:?}");
    }
}

/// Waits until so many records of a lane topic are in that state.
pub async fn until(client: &Client, topic: &str, state: &str, count: i64) {
    until_all(client, topic, &[(state, count)]).await;
}

/// Waits until so many records of a lane topic are in each of these states at once, and none is in flight.
pub async fn until_all(client: &Client, topic: &str, counts: &[(&str, i64)]) {
    let is_so = |balance: &Balance| {
        let in_state = |state: &str| balance.get(topic).and_then(|states| states.get(state)).copied();
        in_state("in_flight") == Some(0) && counts.iter().all(|(state, count)| in_state(state) == Some(*count))
    };
    let wait = async {
        loop {
            let balance = balance(client).await;
            assert_even(&balance);
            if is_so(&balance) {
                return;
            }
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        panic!("{topic}: not {counts:?}: {:?}", balance(client).await.get(topic));
    }
}
