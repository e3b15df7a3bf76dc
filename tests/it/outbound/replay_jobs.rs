//! Many held orders are let go on together, by a job that goes on after a kill.

use crossdock::cli::partner::receiver::script::{Manner, Reply, Rule};

use super::held_keys::run;
use super::partners::{assert_in_order, until_told};
use super::platform::{Order, say_statuses};
use super::{World, balance, in_time};

const PYXIS: &str = "crossdock.out.pyxis-north";
const ORDERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_lets_every_held_order_go_on_in_order_also_through_a_kill() {
    let World { gateway, partners } = World::start().await;
    let client = gateway.client();
    let mut orders = Order::many(&client, "PYX", ORDERS).await;
    partners.pyxis.follow(vec![Rule::always(Manner::Answer(Reply::status(404)))]);
    say_statuses(&client, &mut orders, 2).await;
    balance::until(&client, PYXIS, "held", 2 * ORDERS as i64).await;
    let selection = ["--binding", "pyxis-north", "--kind", "call"];
    let listed = async {
        let list = [&["failures", "list"], &selection[..]].concat();
        while run(&gateway, &list)["failures"].as_array().is_none_or(|failures| failures.len() < ORDERS) {}
    };
    in_time("every failure is in the index", listed).await;
    partners.pyxis.follow(Vec::new());

    let planned = run(&gateway, &[&["replay", "plan", "--reason", "Pyxis knows them now"], &selection[..]].concat());
    assert_eq!((planned["items"].as_u64(), planned["keys"].as_u64()), (Some(8), Some(8)), "{planned}");
    let job = planned["job_id"].as_str().expect("an id").to_owned();
    run(&gateway, &["replay", "run", &job, "--rate", "5", "--canary", "2"]);
    partners.pyxis.until(|received| received.applied_count() >= 2).await;
    let gateway = crate::topics_in::again(gateway.kill());

    until_told(&partners.pyxis, &orders).await;
    assert_in_order(&partners.pyxis, &orders);
    let done = async {
        loop {
            let status = run(&gateway, &["replay", "status", &job]);
            if status["state"] != "running" {
                return status;
            }
        }
    };
    let status = in_time("the job ends", done).await;
    let succeeded = &status["counts"]["succeeded"];
    assert_eq!((status["state"].as_str(), succeeded.as_u64()), (Some("done"), Some(8)), "{status}");
    balance::until_all(&gateway.client(), PYXIS, &[("held", 0)]).await;
}
