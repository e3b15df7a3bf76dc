//! `kill -9` at every step of an operator's verb: asked for again, it takes effect once, and what waits follows in order.

use crossdock::cli::partner::receiver::script::{Manner, Reply, Rule};
use serde_json::{Value, json};

use super::{Outage, PYXIS, asked, attempts, done, until_indexed};
use crate::outbound::partners::{assert_in_order, until_told};
use crate::outbound::platform::Order;
use crate::outbound::{balance, in_time};
use crate::support::Gateway;

/// See `docs/fail-points.md`. Those of attempts last: nothing of a purged key is attempted.
const POINTS: [&str; 6] = [
    "recovery.command.requested",
    "driver.decided",
    "driver.stored",
    "driver.committed",
    "driver.attempted",
    "driver.settled",
];
const CALLS: usize = 3;
/// A lane that is taken over may pass a point before the verb does.
const MOST_PASSES: u32 = 8;

/// Words of a command line about an order whose first call is held.
type Verb = fn(&Gateway, &Order) -> Vec<String>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_released_under_kills_is_told_all_in_order() {
    let outage = killed_at_each_step(&POINTS, release).await;

    let (pyxis, orders) = (&outage.partners.pyxis, &outage.orders);
    until_told(pyxis, orders).await;
    assert_in_order(pyxis, orders);
    assert_settled(&outage, &[("applied", POINTS.len() * CALLS), ("skipped", 0)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_skipped_under_kills_is_never_told_and_what_waits_is() {
    let mut outage = killed_at_each_step(&POINTS, skip).await;

    let skipped: Vec<_> = outage.orders.iter_mut().map(|order| order.keys.remove(0)).collect();
    until_told(&outage.partners.pyxis, &outage.orders).await;
    let skipped: Vec<_> = skipped.iter().map(String::as_str).collect();
    assert_eq!(attempts(&outage.partners.pyxis, &skipped), vec![1; POINTS.len()], "the refusal alone");
    for (order, key) in outage.orders.iter_mut().zip(skipped) {
        order.keys.insert(0, key.to_owned());
    }
    assert_in_order(&outage.partners.pyxis, &outage.orders);
    assert_settled(&outage, &[("applied", POINTS.len() * (CALLS - 1)), ("skipped", POINTS.len())]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_purged_under_kills_is_told_nothing_more() {
    let points = &POINTS[..4];

    let outage = killed_at_each_step(points, purge).await;

    assert_settled(&outage, &[("applied", 0), ("skipped", points.len() * CALLS)]).await;
    let later: Vec<_> = outage.orders.iter().flat_map(|order| order.keys[1..].iter().map(String::as_str)).collect();
    assert_eq!(attempts(&outage.partners.pyxis, &outage.first_calls()), vec![1; points.len()]);
    assert_eq!(attempts(&outage.partners.pyxis, &later), vec![0; later.len()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_edited_under_kills_is_made_once_with_one_key_of_its_own() {
    let mut outage = killed_at_each_step(&POINTS, edit).await;

    for order in &mut outage.orders {
        let first = order.keys.remove(0);
        until_told(&outage.partners.pyxis, std::slice::from_ref(order)).await;
        let edited = outage.partners.pyxis.look(|received| {
            let others = received.of_order(&order.id).filter(|call| !order.keys.contains(&call.idempotency_key));
            let edited: Vec<_> = others.filter(|call| call.idempotency_key != first).cloned().collect();
            assert_eq!(received.attempts(&first).count(), 1, "{}: the refusal alone", order.id);
            edited
        });
        let key = edited.first().unwrap_or_else(|| panic!("{}: the edited call", order.id)).idempotency_key.clone();
        for call in &edited {
            let body: Value = serde_json::from_slice(&call.body).expect("JSON");
            assert_eq!((&call.idempotency_key, &body["scheduled_date"]), (&key, &json!("2028-02-29")), "{}", order.id);
        }
        order.keys.splice(0..0, [first, key]);
    }
    assert_in_order(&outage.partners.pyxis, &outage.orders);
    assert_settled(&outage, &[("applied", POINTS.len() * CALLS), ("skipped", 0)]).await;
}

/// Gives the verb to an order for each point, kills the gateway there, starts it, and gives the verb once more.
async fn killed_at_each_step(points: &[&str], verb: Verb) -> Outage {
    let Outage { gateway, partners, orders } = Outage::of(points.len(), CALLS).await;
    let waiting = i64::try_from(points.len() * CALLS).expect("few");
    balance::until_all(&gateway.client(), PYXIS, &[("held", waiting)]).await;
    let verbs: Vec<_> = orders.iter().map(|order| verb(&gateway, order)).collect();
    let mut directory = gateway.kill();
    for (number, (point, words)) in points.iter().zip(verbs).enumerate() {
        let (order, refused) = (&orders[number], &orders[number + 1..]);
        let refusal = |order: &Order| Rule::always(Manner::Answer(Reply::status(404))).of_order(&order.id);
        partners.pyxis.follow(refused.iter().map(refusal).collect());
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut gateway = None;
        for pass in 1..=MOST_PASSES {
            let crash = [("CROSSDOCK_CRASH", format!("{point}:{pass}"))];
            directory = match Gateway::spawn(directory, &crash) {
                Err((directory, _)) => directory,
                Ok(mut gateway) => {
                    // It may die of it.
                    let _ = asked(&gateway, &words);
                    in_time("the fail point", async {
                        while !gateway.has_ended() {
                            tokio::task::yield_now().await;
                        }
                    })
                    .await;
                    gateway.kill()
                }
            };
            let next = crate::topics_in::again(directory);
            if was_asked(&next, &words, order) {
                gateway = Some(next);
                break;
            }
            directory = next.kill();
        }
        let gateway = gateway.unwrap_or_else(|| panic!("{point}: the verb never came to it"));
        let (_, again) = asked(&gateway, &words);
        let outcome = again["outcome"].as_str();
        // Null: the key is free, or the failure is closed already.
        assert!(matches!(outcome, None | Some("done" | "nothing_to_do" | "overtaken")), "{point}: {again}");
        directory = gateway.kill();
    }
    Outage { gateway: crate::topics_in::again(directory), partners, orders }
}

/// Whether the gateway that died had written down what it was asked.
fn was_asked(gateway: &Gateway, words: &[&str], order: &Order) -> bool {
    let subject = if words[0] == "failures" { words[2].to_owned() } else { key(order) };
    let audit = done(gateway, &["audit", "list", "--subject", &subject]);
    audit["rows"].as_array().expect("rows").iter().any(|row| row["detail"]["phase"] == "requested")
}

/// Every record is in one of these states, and no failure is open.
async fn assert_settled(outage: &Outage, states: &[(&str, usize)]) {
    let client = outage.gateway.client();
    let states: Vec<_> = states.iter().map(|(state, count)| (*state, i64::try_from(*count).expect("few"))).collect();
    balance::until_all(&client, PYXIS, &[&states[..], &[("held", 0), ("dead", 0)]].concat()).await;
    until_indexed(&client, 0).await;
    assert_eq!(done(&outage.gateway, &["keys", "list"])["keys"], json!([]));
}

fn key(order: &Order) -> String {
    format!("north|pyxis|{}", order.id)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn release(_: &Gateway, order: &Order) -> Vec<String> {
    words(&["keys", "release", &key(order), "--reason", "Pyxis knows it now"])
}

fn skip(gateway: &Gateway, order: &Order) -> Vec<String> {
    let shown = done(gateway, &["keys", "show", &key(order)]);
    words(&["keys", "skip", &key(order), &shown["key"]["head"]["seq"].to_string(), "--reason", "told by telephone"])
}

fn purge(gateway: &Gateway, order: &Order) -> Vec<String> {
    let shown = done(gateway, &["keys", "show", &key(order)]);
    let last = shown["key"]["last_seq"].to_string();
    words(&["keys", "purge", &key(order), "--through", &last, "--reason", "the order was a test"])
}

/// The day of the first call was wrong.
fn edit(gateway: &Gateway, order: &Order) -> Vec<String> {
    let listed = done(gateway, &["failures", "list", "--kind", "call", "--order", &order.id]);
    let failure = listed["failures"][0]["failure_id"].as_str().expect("an id").to_owned();
    let shown = done(gateway, &["failures", "show", &failure]);
    let mut call: Value = serde_json::from_str(shown["payload"]["text"].as_str().expect("text")).expect("JSON");
    call["event"]["scheduled_date"] = json!("2028-02-29");
    let file = gateway.directory().join(format!("{}.json", order.id));
    std::fs::write(&file, call.to_string()).expect("written");
    words(&["failures", "replay", &failure, "--payload", &file.display().to_string(), "--reason", "the day was wrong"])
}
