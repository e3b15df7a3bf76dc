//! A call that failed for a passing cause is made again, in time and in its turn, until it succeeds.

use std::time::Duration;

use crossdock::cli::partner::receiver::script::{Manner, Reply, Rule};

use super::World;
use super::partners::{assert_in_order, until_told};
use super::platform::{Order, say_statuses};

/// As configured.
const DELAYS: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];
const SHORT_TIMEOUT: &str = "courier.sales.timeout = \"300ms\"\n\
                             courier.sales.retry_delays = [\"100ms\", \"200ms\", \"400ms\"]\n\
                             courier.sales.breaker_failures = 1000\n\
                             courier.sales.second_rounds = []\n";
/// Times of the log are whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_passes_is_tried_again_never_early_with_the_same_key_and_before_its_successors() {
    let World { gateway, partners } = World::start_with(SHORT_TIMEOUT).await;
    let client = gateway.client();
    let second = Duration::from_secs(1);
    for (name, manner, at_least) in [
        ("500", Manner::Answer(Reply::status(500)), Duration::ZERO),
        ("502", Manner::Answer(Reply::status(502)), Duration::ZERO),
        ("503", Manner::Answer(Reply::status(503)), Duration::ZERO),
        ("408", Manner::Answer(Reply::status(408)), Duration::ZERO),
        ("425", Manner::Answer(Reply::status(425)), Duration::ZERO),
        ("429", Manner::Answer(Reply::retry_after(429, second)), second),
        ("reset", Manner::ResetRead { applies: false }, Duration::ZERO),
        ("reset-applied", Manner::ResetRead { applies: true }, Duration::ZERO),
        ("half", Manner::HalfAnswer, Duration::ZERO),
        ("silent", Manner::NeverAnswer { applies: false }, Duration::ZERO),
        ("silent-applied", Manner::NeverAnswer { applies: true }, Duration::ZERO),
        ("slow", Manner::SlowBody { bytes: 1_000, pause: Duration::from_millis(20) }, Duration::ZERO),
    ] {
        partners.pyxis.follow(vec![Rule::always(manner).attempts(0..2)]);
        let before = partners.pyxis.look(|received| received.count());
        let mut orders = Order::many(&client, &format!("PYX-{name}"), 2).await;

        say_statuses(&client, &mut orders, 2).await;

        until_told(&partners.pyxis, &orders).await;
        partners.pyxis.until(|received| received.count() >= before + 12).await;
        partners.pyxis.look(|received| {
            for key in orders.iter().flat_map(|order| &order.keys) {
                let gaps = received.gaps(key);
                assert_eq!(gaps.len(), 2, "{name}: three attempts with one key");
                for (gap, delay) in gaps.iter().zip(DELAYS) {
                    assert!(*gap + ROUNDING >= delay.max(at_least), "{name}: after {gap:?} instead of {delay:?}");
                }
            }
            assert!(received.made_twice().is_empty(), "{name}");
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_409_that_says_it_is_applied_already_is_a_success() {
    let World { gateway, partners } = World::start().await;
    let client = gateway.client();
    partners.pyxis.follow(vec![Rule::always(Manner::Answer(Reply::already_applied()))]);
    let mut orders = vec![Order::accepted(&client, "PYX-1").await];

    say_statuses(&client, &mut orders, 3).await;

    until_told(&partners.pyxis, &orders).await;
    assert_in_order(&partners.pyxis, &orders);
    partners.pyxis.look(|received| assert_eq!(received.count(), 3));
}
