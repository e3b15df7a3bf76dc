//! The way out on a real Kafka broker and a real PostgreSQL server.

use std::process::Command;
use std::time::Duration;

use crossdock::cli::partner::receiver::script::{Manner, Reply, Rule};
use serde_json::json;

use super::failing_partners::{STUBBORN, every_failure};
use super::kills::{FAIL_POINTS, lose_no_call_and_keep_the_order};
use super::partners::{Partners, assert_in_order, until_told};
use super::platform::{Order, say_statuses};
use super::{QUICK, World, balance, held_keys, in_time, printed_calls};
use crate::scale_out::create_topics_of_others;
use crate::support::services::Services;
use crate::support::{Gateway, Options, is_long};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_calls_are_made_on_kafka_and_postgresql() {
    let services = Services::start("out-line");
    let partners = Partners::start().await;
    let gateway = Gateway::start_with(&partners.options(&with(&services, QUICK)));
    create_topics_of_others(&gateway);

    printed_calls::tell_pyxis(&gateway.client(), &partners.pyxis).await;

    balance::until(&gateway.client(), "crossdock.out.pyxis-north", "applied", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_key_is_found_and_released_on_kafka_and_postgresql() {
    let services = Services::start("out-held");
    let partners = Partners::start().await;
    let gateway = Gateway::start_with(&partners.options(&with(&services, QUICK)));
    create_topics_of_others(&gateway);
    let world = World { gateway, partners };

    let (held, free) = held_keys::hold(&world).await;

    held_keys::release(&world, held, free).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_on_kafka_and_postgresql_lose_no_call_and_keep_the_order() {
    let services = Services::start("out-kills");
    let options = with(&services, STUBBORN);
    create_topics_of_others(&Gateway::start_with(&options));

    // Between Kafka's own steps there is nowhere to stop the process; the random kills fall there.
    let points: Vec<_> = FAIL_POINTS.into_iter().filter(|point| point.starts_with("driver.")).collect();
    lose_no_call_and_keep_the_order(&options, &points, if is_long() { 200 } else { 20 }).await;
}

/// One key is held, another one has been released and is told its twelve calls one by one; meanwhile a second gateway
/// takes some of the lanes, and then all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_change_hands_while_one_key_is_held_and_another_drains() {
    let services = Services::start("out-hands");
    let partners = Partners::start().await;
    let options = partners.options(&with(&services, QUICK));
    let one = Gateway::start_with(&options);
    create_topics_of_others(&one);
    let client = one.client();
    let unknown = |id: &str| Rule::always(Manner::Answer(Reply::status(404))).of_order(id);
    let slow =
        |id: &str| Rule::always(Manner::AnswerAfter(Duration::from_millis(500), Reply::status(204))).of_order(id);
    partners.pyxis.follow(vec![unknown("PYX-HELD"), unknown("PYX-DRAINS")]);
    let mut orders = vec![Order::accepted(&client, "PYX-HELD").await, Order::accepted(&client, "PYX-DRAINS").await];
    say_statuses(&client, &mut orders, 12).await;
    balance::until_all(&client, "crossdock.out.pyxis-north", &[("held", 24)]).await;

    partners.pyxis.follow(vec![unknown("PYX-HELD"), slow("PYX-DRAINS")]);
    held_keys::run(&one, &["keys", "release", "north|pyxis|PYX-DRAINS", "--reason", "known now"]);
    in_time("two calls", partners.pyxis.until(|received| received.applied_count() >= 2)).await;
    let other = Gateway::start_with(&options);
    in_time("six calls", partners.pyxis.until(|received| received.applied_count() >= 6)).await;
    one.terminate();

    until_told(&partners.pyxis, &orders[1..]).await;
    let client = other.client();
    let listed = held_keys::run(&other, &["keys", "list", "--held"]);
    assert_eq!(
        (&listed["keys"][0]["key"], &listed["keys"][0]["records"]),
        (&json!("north|pyxis|PYX-HELD"), &json!(12))
    );
    partners.pyxis.follow(Vec::new());
    held_keys::run(&other, &["keys", "release", "north|pyxis|PYX-HELD", "--reason", "known now"]);
    until_told(&partners.pyxis, &orders).await;
    assert_in_order(&partners.pyxis, &orders);
    assert_eq!(partners.pyxis.look(|received| received.made_twice()), Vec::<String>::new());
    balance::until_all(&client, "crossdock.out.pyxis-north", &[("held", 0), ("applied", 24)]).await;
}

/// A frozen gateway loses its lanes to the other; thawed, it must do nothing with them any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_freezes_and_thaws_repeats_nothing_out_of_turn() {
    let services = Services::start("out-freeze");
    let partners = Partners::start().await;
    let options = partners.options(&with(&services, STUBBORN));
    let one = Gateway::start_with(&options);
    create_topics_of_others(&one);
    let other = Gateway::start_with(&options);
    let client = other.client();
    let mut orders = Order::many(&client, "PYX", 20).await;
    partners.pyxis.follow(every_failure(3));
    say_statuses(&client, &mut orders, 3).await;
    partners.pyxis.until(|received| received.applied_count() >= 20).await;

    signal(&one, "STOP");
    say_statuses(&client, &mut orders, 3).await;
    until_told(&partners.pyxis, &orders).await;
    signal(&one, "CONT");
    say_statuses(&client, &mut orders, 3).await;

    until_told(&partners.pyxis, &orders).await;
    assert_in_order(&partners.pyxis, &orders);
    assert_eq!(partners.pyxis.look(|received| received.made_twice()), Vec::<String>::new());
}

fn with(services: &Services, courier: &str) -> Options {
    let Options { mut top, .. } = services.options();
    top.push_str(courier);
    Options { top, ..Options::default() }
}

fn signal(gateway: &Gateway, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), gateway.process_id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the gateway can be signalled");
}
