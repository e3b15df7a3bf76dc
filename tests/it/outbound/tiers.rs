//! Retry delays that are taken out of the configuration while records wait for them.

use crossdock::cli::partner::receiver::script::{Manner, Reply, Rule};

use super::partners::{Partners, assert_in_order, until_told};
use super::platform::{Order, say_statuses};
use super::{QUICK, balance};
use crate::support::{Gateway, Options};

const PYXIS: &str = "crossdock.out.pyxis-north";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_delay_that_is_configured_no_more_is_told_all_the_same() {
    let partners = Partners::start().await;
    let with = |delays: &str| {
        let top = QUICK.replace("[\"100ms\", \"200ms\", \"400ms\"]", delays);
        partners.options(&Options { top, ..Options::default() })
    };
    let gateway = Gateway::start_with(&with("[\"100ms\", \"2s\"]"));
    let client = gateway.client();
    let mut orders = Order::many(&client, "PYX", 5).await;
    partners.pyxis.follow(vec![Rule::always(Manner::Answer(Reply::status(500))).attempts(0..2)]);
    say_statuses(&client, &mut orders, 2).await;
    // Both attempts of each head are made: it waits for the second delay, its successor behind it.
    let heads: Vec<_> = orders.iter().map(|order| order.keys[0].clone()).collect();
    partners.pyxis.until(|received| heads.iter().all(|key| received.attempts(key).count() == 2)).await;
    partners.pyxis.follow(Vec::new());

    let (directory, status) = gateway.terminate();
    assert!(status.success(), "{status}");
    let configuration = directory.path().join("crossdock.toml");
    let text = std::fs::read_to_string(&configuration).expect("it is there");
    let changed = text.replace("[\"100ms\", \"2s\"]", "[\"100ms\"]");
    assert_ne!(text, changed);
    std::fs::write(&configuration, changed).expect("written");
    let gateway = crate::topics_in::again(directory);

    until_told(&partners.pyxis, &orders).await;
    assert_in_order(&partners.pyxis, &orders);
    balance::until(&gateway.client(), PYXIS, "applied", 10).await;
}
