//! One partner's outage is nobody else's.

use std::time::{Duration, Instant};

use crossdock::cli::partner::receiver::script::{Manner, Reply, Rule};

use super::partners::{assert_in_order, until_told};
use super::platform::{Order, say_statuses};
use super::{World, balance};

const BREAKER: &str = "courier.sales.timeout = \"2s\"\n\
                       courier.sales.retry_delays = [\"100ms\", \"200ms\", \"400ms\"]\n\
                       courier.sales.breaker_failures = 5\n\
                       courier.sales.breaker_open_for = \"1s\"\n\
                       courier.sales.breaker_successes = 2\n\
                       courier.sales.second_rounds = [\"1s\"]\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pyxis_being_away_leaves_tempo_untouched_and_is_made_up_for_in_order() {
    let World { gateway, mut partners } = World::start_with(BREAKER).await;
    let client = gateway.client();
    let mut kitchens = Order::many(&client, "PYX", 10).await;
    let mut repair = Order::requested(&client, "TEMPO-1").await;
    partners.pyxis.refuse().await;
    say_statuses(&client, &mut kitchens, 5).await;

    let begun = Instant::now();
    for _ in 0..10 {
        let event = repair.scheduled();
        client.say(&event).await;
    }
    until_told(&partners.tempo, std::slice::from_ref(&repair)).await;

    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_in_order(&partners.tempo, &[repair]);
    assert_eq!(partners.pyxis.look(|received| received.count()), 0);
    partners.pyxis.listen_again().await.expect("the port is free");
    until_told(&partners.pyxis, &kitchens).await;
    assert_in_order(&partners.pyxis, &kitchens);
    balance::until(&client, "crossdock.out.pyxis-north", "applied", 50).await;
    balance::until(&client, "crossdock.out.tempo-north", "applied", 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_only_fails_is_left_alone_and_nothing_is_given_up() {
    let World { gateway, partners } = World::start_with(BREAKER).await;
    let client = gateway.client();
    let mut kitchens = Order::many(&client, "PYX", 30).await;
    partners.pyxis.follow(vec![Rule::always(Manner::Answer(Reply::status(503)))]);
    say_statuses(&client, &mut kitchens, 2).await;

    // Three probes and what was under way when the breaker opened: a small part of 60 records and their retries.
    partners.pyxis.until(|received| received.count() >= 8).await;
    let called = partners.pyxis.look(|received| received.count());
    assert!(called < 60, "{called}");
    partners.pyxis.follow(Vec::new());

    until_told(&partners.pyxis, &kitchens).await;
    assert_in_order(&partners.pyxis, &kitchens);
}
