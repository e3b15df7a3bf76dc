//! A call that finally failed holds its key, and nothing else; an operator or a second round lets it go on.

use crossdock::cli::partner::receiver::script::{Manner, Reply, Rule};
use serde_json::{Value, json};

use super::partners::{assert_in_order, until_told};
use super::platform::{Order, say_statuses};
use super::{QUICK, World, balance, in_time};
use crate::support::Gateway;

const PYXIS: &str = "crossdock.out.pyxis-north";
const DEAD: &str = "dlq.crossdock.out.pyxis-north";
const FAILED: &str = "integration.sales.status.failed";

async fn held() -> (World, Order, Order) {
    let world = World::start().await;
    let (held, free) = hold(&world).await;
    (world, held, free)
}

/// An order whose first of three calls was answered 404, and one that is as it should be.
pub async fn hold(world: &World) -> (Order, Order) {
    let client = world.gateway.client();
    let mut held = Order::accepted(&client, "PYX-HELD").await;
    let mut free = Order::accepted(&client, "PYX-FREE").await;
    world.partners.pyxis.follow(vec![Rule::always(Manner::Answer(Reply::status(404))).of_order("PYX-HELD")]);
    say_statuses(&client, std::slice::from_mut(&mut held), 3).await;
    say_statuses(&client, std::slice::from_mut(&mut free), 3).await;
    until_told(&world.partners.pyxis, std::slice::from_ref(&free)).await;
    balance::until_all(&client, PYXIS, &[("held", 3), ("applied", 3)]).await;
    (held, free)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_cannot_succeed_is_a_dead_letter_and_its_successors_wait() {
    let (World { gateway, partners }, held, _) = held().await;
    let client = gateway.client();

    partners.pyxis.look(|received| assert_eq!(received.of_order("PYX-HELD").count(), 1, "404 is not tried again"));
    let dead = client.first_events(DEAD, 1).await.remove(0);
    let source = client.events(PYXIS).await;
    let source = source.iter().find(|event| event["key"] == dead["key"]).expect("the record that failed");
    assert_eq!((&dead["key"], &dead["value"]), (&source["key"], &source["value"]));
    for (name, value) in source["headers"].as_object().expect("headers") {
        assert_eq!(&dead["headers"][name], value, "{name}");
    }
    let failed = client.first_events(FAILED, 1).await.remove(0);
    assert_eq!(failed["key"], "PYXIS_PYX-HELD");
    let value = &failed["value"];
    assert_eq!((&value["external_order_id"], &value["notification"]), (&json!("PYX-HELD"), &json!("status")));
    assert_eq!((&value["http_status"], &value["retry_count"]), (&json!(404), &json!(0)));
    assert_eq!(value["fsm_service_order_id"], held.service_order_id);
    balance::until_all(&client, PYXIS, &[("held", 3), ("applied", 3)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_released_key_is_told_in_order() {
    let (world, held, free) = held().await;

    release(&world, held, free).await;
}

/// Looks at the held key, releases it in vain, and then for good.
pub async fn release(World { gateway, partners }: &World, held: Order, free: Order) {
    let listed = run(gateway, &["keys", "list", "--held"]);
    assert_eq!(listed["keys"][0]["key"], "north|pyxis|PYX-HELD", "{listed}");
    assert_eq!(listed["keys"][0]["records"], 3, "{listed}");

    let again = run_failing(gateway, &["keys", "release", "north|pyxis|PYX-HELD", "--reason", "is it there now?"]);
    assert_eq!(again["record"], "held", "{again}");
    partners.pyxis.follow(Vec::new());
    let released = run(gateway, &["keys", "release", "north|pyxis|PYX-HELD", "--reason", "Pyxis knows it now"]);

    assert_eq!((&released["outcome"], &released["record"]), (&json!("done"), &json!("ended")), "{released}");
    until_told(&partners.pyxis, std::slice::from_ref(&held)).await;
    assert_in_order(&partners.pyxis, &[held, free]);
    balance::until_all(&gateway.client(), PYXIS, &[("held", 0), ("applied", 6)]).await;
    assert_eq!(run(gateway, &["keys", "list"])["keys"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skipped_head_is_never_told_and_its_successors_are() {
    let (World { gateway, partners }, mut held, free) = held().await;
    let listed = run(&gateway, &["keys", "list", "--held"]);
    let seq = listed["keys"][0]["head"]["seq"].to_string();
    partners.pyxis.follow(Vec::new());

    run(&gateway, &["keys", "skip", "north|pyxis|PYX-HELD", &seq, "--reason", "told by telephone"]);

    let skipped = held.keys.remove(0);
    until_told(&partners.pyxis, std::slice::from_ref(&held)).await;
    partners.pyxis.look(|received| assert_eq!(received.attempts(&skipped).count(), 1, "the 404"));
    held.keys.insert(0, skipped);
    assert_in_order(&partners.pyxis, &[held, free]);
    balance::until_all(&gateway.client(), PYXIS, &[("skipped", 1), ("applied", 5)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purged_key_is_told_nothing_of_what_was_purged_and_goes_on() {
    let (World { gateway, partners }, mut held, free) = held().await;
    let listed = run(&gateway, &["keys", "list", "--held"]);
    let last = listed["keys"][0]["last_seq"].to_string();
    partners.pyxis.follow(Vec::new());

    let wish = ["--through", &last, "--reason", "the order was a test"];
    run(&gateway, &[&["keys", "purge", "north|pyxis|PYX-HELD"], &wish[..]].concat());

    let client = gateway.client();
    balance::until(&client, PYXIS, "skipped", 3).await;
    let purged = std::mem::take(&mut held.keys);
    say_statuses(&client, std::slice::from_mut(&mut held), 1).await;
    until_told(&partners.pyxis, std::slice::from_ref(&held)).await;
    partners.pyxis.look(|received| {
        let attempts: Vec<_> = purged.iter().map(|key| received.attempts(key).count()).collect();
        assert_eq!(attempts, [1, 0, 0]);
    });
    held.keys.splice(0..0, purged);
    assert_in_order(&partners.pyxis, &[held, free]);
    balance::until_all(&client, PYXIS, &[("skipped", 3), ("applied", 4)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_call_is_made_under_a_key_of_its_own_and_in_its_turn() {
    let (World { gateway, partners }, mut held, free) = held().await;
    let client = gateway.client();
    let mut edited = client.first_events(DEAD, 1).await.remove(0)["value"].clone();
    edited["event"]["scheduled_date"] = json!("2028-02-29");
    let file = gateway.directory().join("edited.json");
    std::fs::write(&file, edited.to_string()).expect("written");
    let failure = failure(&gateway, "PYX-HELD").await;
    partners.pyxis.follow(Vec::new());

    let file = file.display().to_string();
    let wish = ["--payload", &file, "--reason", "the day was wrong"];
    let replayed = run(&gateway, &[&["failures", "replay", &failure], &wish[..]].concat());

    assert_eq!(replayed["outcome"], "done", "{replayed}");
    let first = held.keys.remove(0);
    until_told(&partners.pyxis, std::slice::from_ref(&held)).await;
    let (key, body) = partners.pyxis.look(|received| {
        let call = received.applied("PYX-HELD").next().expect("the edited call");
        (call.idempotency_key.clone(), serde_json::from_slice::<Value>(&call.body).expect("JSON"))
    });
    assert_eq!(body["scheduled_date"], "2028-02-29");
    assert_ne!(key, first);
    held.keys.splice(0..0, [first, key]);
    assert_in_order(&partners.pyxis, &[held, free]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_stays_held_through_a_kill() {
    let (World { gateway, partners }, held, free) = held().await;

    let gateway = crate::topics_in::again(gateway.kill());

    let client = gateway.client();
    balance::until_all(&client, PYXIS, &[("held", 3), ("applied", 3)]).await;
    partners.pyxis.look(|received| assert_eq!(received.of_order("PYX-HELD").count(), 1));
    partners.pyxis.follow(Vec::new());
    run(&gateway, &["keys", "release", "north|pyxis|PYX-HELD", "--reason", "Pyxis knows it now"]);
    until_told(&partners.pyxis, std::slice::from_ref(&held)).await;
    assert_in_order(&partners.pyxis, &[held, free]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_for_a_passing_cause_gets_a_second_round_by_itself() {
    let world = World::start_with(&QUICK.replace("second_rounds = []", "second_rounds = [\"1s\"]")).await;
    let World { gateway, partners } = world;
    let client = gateway.client();
    let mut orders = vec![Order::accepted(&client, "PYX-1").await];
    partners.pyxis.follow(vec![Rule::always(Manner::Answer(Reply::status(500))).attempts(0..4)]);

    say_statuses(&client, &mut orders, 3).await;

    until_told(&partners.pyxis, &orders).await;
    assert_in_order(&partners.pyxis, &orders);
    let dead = client.first_events(DEAD, 1).await;
    assert_eq!(dead[0]["key"], "north|pyxis|PYX-1", "it was a dead letter before");
    let failed = client.first_events(FAILED, 1).await;
    assert_eq!(failed[0]["value"]["retry_count"], 3, "{failed:?}");
}

/// The id of the open failure of a call about that order; waits for the index.
async fn failure(gateway: &Gateway, order: &str) -> String {
    let wait = async {
        loop {
            let listed = run(gateway, &["failures", "list", "--kind", "call", "--order", order]);
            if let Some(id) = listed["failures"][0]["failure_id"].as_str() {
                return id.to_owned();
            }
        }
    };
    in_time("the failure is in the index", wait).await
}

/// The answer of a command that succeeds.
pub fn run(gateway: &Gateway, words: &[&str]) -> Value {
    let run = gateway.command(words).args(["--output", "json"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{words:?}: {} {said} {}", run.status, String::from_utf8_lossy(&run.stdout));
    serde_json::from_slice(&run.stdout).expect("JSON")
}

/// The answer of a command that was refused, or came to nothing.
fn run_failing(gateway: &Gateway, words: &[&str]) -> Value {
    let run = gateway.command(words).args(["--output", "json"]).output().expect("it runs");
    assert_eq!(run.status.code(), Some(65), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).expect("JSON")
}
