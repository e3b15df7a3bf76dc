//! `kill -9` at every fail point of the way out and at random, under load, with partners that fail: nothing is lost, the
//! order is kept, and what is told again is told with the same idempotency key.

use std::collections::{BTreeMap, HashSet, VecDeque};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::json;

use super::failing_partners::{STUBBORN, every_failure};
use super::partners::{Partners, assert_in_order, until_told};
use super::platform::{Event, Order};
use super::{balance, in_time};
use crate::support::{Client, Gateway, Options};
use crate::topics_in::base64;

/// See `docs/fail-points.md`.
pub const FAIL_POINTS: [&str; 10] = [
    "relay.appended",
    "driver.decided",
    "driver.stored",
    "driver.committed",
    "driver.attempted",
    "driver.settled",
    "store.write.before_commit",
    "store.write.after_commit",
    "log.commit.before",
    "log.commit.after",
];
/// Passes of a fail point before it kills, at most.
const PASSES: usize = 7;
const ORDERS: usize = 24;
/// Statuses of one order said side by side with those of others, in one life.
const SAID_A_LIFE: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_under_load_lose_no_call_and_keep_the_order() {
    let options = Options { top: STUBBORN.to_owned(), ..Options::default() };
    lose_no_call_and_keep_the_order(&options, &FAIL_POINTS, 200).await;
}

pub async fn lose_no_call_and_keep_the_order(options: &Options, points: &[&'static str], kills: usize) {
    let partners = Partners::start().await;
    let gateway = Gateway::start_with(&partners.options(options));
    let mut orders = Order::many(&gateway.client(), "PYX", ORDERS).await;
    partners.pyxis.follow(every_failure(3));
    let mut directory = gateway.kill();
    let mut killed_at: BTreeMap<&str, u32> = BTreeMap::new();
    let mut unsure = VecDeque::new();

    for kill in 0..kills {
        // Two lives a round end at a random moment instead of a fail point.
        let point = points.get(kill % (points.len() + 2)).copied();
        let crash = point.map(|point| ("CROSSDOCK_CRASH", format!("{point}:{}", 1 + kill * 5 % PASSES)));
        directory = match Gateway::spawn(directory, crash.as_slice()) {
            Ok(mut gateway) => {
                let called = partners.pyxis.look(|received| received.count());
                say_until_the_end(&gateway.client(), &mut orders, &mut unsure).await;
                // What was said is on its way: the kill falls into it.
                let some = called + 1 + (kill as u64 * 13) % 40;
                let wait = async {
                    tokio::select! {
                        () = partners.pyxis.until(|received| received.count() >= some) => {}
                        () = async { while !gateway.has_ended() { tokio::task::yield_now().await } } => {}
                    }
                };
                in_time("calls, or the end", wait).await;
                *killed_at.entry(if gateway.has_ended() { point.unwrap_or("?") } else { "at random" }).or_default() +=
                    1;
                gateway.kill()
            }
            Err((directory, said)) => {
                let point = point.unwrap_or_else(|| panic!("the gateway does not start:\n{}", said.join("\n")));
                *killed_at.entry(point).or_default() += 1;
                directory
            }
        };
    }

    println!("killed: {killed_at:#?}");
    let gateway = Gateway::spawn(directory, &[]).unwrap_or_else(|(_, said)| panic!("{}", said.join("\n")));
    let client = gateway.client();
    partners.pyxis.follow(Vec::new());
    say_until_the_end(&client, &mut orders, &mut unsure).await;
    assert!(unsure.is_empty());
    until_told(&partners.pyxis, &orders).await;
    assert_in_order(&partners.pyxis, &orders);
    assert_eq!(partners.pyxis.look(|received| received.made_twice()), Vec::<String>::new());
    let calls: usize = orders.iter().map(|order| order.keys.len()).sum();
    println!("{calls} calls were made through {kills} kills");
    balance::until_all(&client, "crossdock.out.pyxis-north", &[("held", 0), ("dead", 0), ("skipped", 0)]).await;
    for point in points {
        assert!(killed_at.contains_key(point), "{point} was never reached: {killed_at:?}");
    }
}

/// Says what an earlier life did not acknowledge, then more, until enough is acknowledged or the gateway is gone. One
/// order's events go out one after the other.
async fn say_until_the_end(client: &Client, orders: &mut [Order], unsure: &mut VecDeque<Event>) {
    let mut queue = std::mem::take(unsure);
    let waiting: HashSet<_> = queue.iter().map(|event| event.key.clone()).collect();
    let mut left = SAID_A_LIFE;
    for order in orders.iter_mut() {
        if left > 0 && !waiting.contains(&format!("PYXIS_{}", order.id)) {
            // Two of each order side by side would be in no order.
            queue.push_back(order.scheduled());
            left -= 1;
        }
    }
    let mut under_way: FuturesUnordered<_> = queue.into_iter().map(|event| say(client, event)).collect();
    while let Some((event, is_durable)) = under_way.next().await {
        if !is_durable {
            unsure.push_back(event);
            continue;
        }
        let order = orders.iter_mut().find(|order| event.key == format!("PYXIS_{}", order.id)).expect("it said it");
        if left > 0 {
            left -= 1;
            under_way.push(say(client, order.scheduled()));
        }
    }
}

async fn say(client: &Client, event: Event) -> (Event, bool) {
    let value = base64(event.value.to_string().as_bytes());
    let record = json!({"key": event.key, "encoding": "avro", "schema": event.schema, "value_base64": value});
    let answer = client.try_put(event.topic, &record).await;
    if let Some(answer) = &answer {
        assert!(answer.status == 201 || answer.status == 503, "{} {}", answer.status, answer.body);
    }
    let is_durable = answer.is_some_and(|answer| answer.status == 201);
    (event, is_durable)
}
