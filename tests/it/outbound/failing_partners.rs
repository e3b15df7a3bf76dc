//! A partner that fails in every way at once.

use std::time::Duration;

use crossdock::cli::partner::receiver::script::{Manner, Reply, Rule};

use super::partners::{assert_in_order, until_told};
use super::platform::{Order, say_statuses};
use super::{World, balance};

/// Second rounds soon enough for a test, and enough of them for whoever is unlucky.
pub const STUBBORN: &str = "courier.sales.timeout = \"300ms\"\n\
                            courier.sales.retry_delays = [\"100ms\", \"200ms\", \"300ms\"]\n\
                            courier.sales.breaker_failures = 5\n\
                            courier.sales.breaker_open_for = \"1s\"\n\
                            courier.sales.second_rounds = [\"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\"]\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_fails_in_every_way_is_told_everything_in_order() {
    let World { gateway, partners } = World::start_with(STUBBORN).await;
    let client = gateway.client();
    let mut orders = Order::many(&client, "PYX", 20).await;
    partners.pyxis.follow(every_failure(5));
    let watch = balance::Watch::start(client.clone());

    say_statuses(&client, &mut orders, 8).await;

    until_told(&partners.pyxis, &orders).await;
    assert_in_order(&partners.pyxis, &orders);
    assert_eq!(partners.pyxis.look(|received| received.made_twice()), Vec::<String>::new());
    watch.stop().await;
    balance::until(&client, "crossdock.out.pyxis-north", "applied", 160).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flapping_partner_is_told_everything_in_order() {
    let World { gateway, partners } = World::start_with(STUBBORN).await;
    let client = gateway.client();
    let mut orders = Order::many(&client, "PYX", 20).await;
    let (period, down) = (Duration::from_secs(2), Duration::from_secs(1));
    partners.pyxis.follow(vec![Rule::always(Manner::Answer(Reply::status(503))).flapping(period, down)]);

    say_statuses(&client, &mut orders, 8).await;

    until_told(&partners.pyxis, &orders).await;
    assert_in_order(&partners.pyxis, &orders);
    balance::until(&client, "crossdock.out.pyxis-north", "applied", 160).await;
}

/// Each way to fail in `percent` of the attempts.
pub fn every_failure(percent: u64) -> Vec<Rule> {
    let manners = [
        Manner::Answer(Reply::status(500)),
        Manner::Answer(Reply::status(503)),
        Manner::Answer(Reply::retry_after(429, Duration::from_secs(1))),
        Manner::Answer(Reply::already_applied()),
        Manner::ResetRead { applies: false },
        Manner::ResetRead { applies: true },
        Manner::HalfAnswer,
        Manner::NeverAnswer { applies: true },
    ];
    manners.into_iter().zip(0..).map(|(manner, seed)| Rule::always(manner).share(seed, percent)).collect()
}
