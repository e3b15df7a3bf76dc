//! A gateway that is told to stop while calls are under way.

use std::time::{Duration, Instant};

use crossdock::cli::partner::receiver::script::{Manner, Rule};

use super::partners::{assert_in_order, until_told};
use super::platform::{Order, say_statuses};
use super::{QUICK, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_partner_that_never_answers_and_loses_nothing() {
    let top = QUICK.replace("timeout = \"2s\"", "timeout = \"10m\"") + "shutdown_timeout = \"5s\"\n";
    let World { gateway, partners } = World::start_with(&top).await;
    let client = gateway.client();
    let mut orders = Order::many(&client, "PYX", 5).await;
    partners.pyxis.follow(vec![Rule::always(Manner::NeverAnswer { applies: true })]);
    say_statuses(&client, &mut orders, 2).await;
    partners.pyxis.until(|received| received.count() == 5).await;

    let told = Instant::now();
    let (directory, status) = gateway.terminate();

    assert!(status.success(), "{status}");
    assert!(told.elapsed() < Duration::from_secs(15), "{:?}", told.elapsed());
    partners.pyxis.follow(Vec::new());
    let gateway = crate::topics_in::again(directory);
    until_told(&partners.pyxis, &orders).await;
    assert_in_order(&partners.pyxis, &orders);
    assert_eq!(partners.pyxis.look(|received| received.made_twice()), Vec::<String>::new());
    drop(gateway);
}
