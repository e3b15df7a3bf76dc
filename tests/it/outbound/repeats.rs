//! A value equal to the last one a partner was told is not told again.

use serde_json::json;

use super::partners::{assert_in_order, until_told};
use super::platform::{Order, STATUS_UPDATED};
use super::{World, balance};

const PYXIS: &str = "crossdock.out.pyxis-north";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_is_said_twice_is_told_once() {
    let World { gateway, partners } = World::start().await;
    let client = gateway.client();
    let mut order = Order::accepted(&client, "PYX-1").await;
    client.say(&order.status("COMPLETED", &json!({}))).await;
    until_told(&partners.pyxis, &[order.clone()]).await;

    let again = order.status_untold("COMPLETED", &json!({}));
    client.say(&again).await;
    let mut completed = order.status_untold("COMPLETED", &json!({}));
    completed.topic = "fsm.order.completed";
    client.say(&completed).await;

    balance::until(&client, PYXIS, "applied", 3).await;
    partners.pyxis.look(|received| assert_eq!(received.count(), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_event_twice_is_told_once() {
    let World { gateway, partners } = World::start().await;
    let client = gateway.client();
    let mut order = Order::accepted(&client, "PYX-1").await;
    let event = order.scheduled();
    client.say(&event).await;
    client.say(&event).await;
    let last = order.scheduled();
    client.say(&last).await;

    until_told(&partners.pyxis, &[order.clone()]).await;

    assert_eq!(event.topic, STATUS_UPDATED);
    partners.pyxis.look(|received| assert_eq!(received.count(), 2));
    assert_in_order(&partners.pyxis, &[order]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_moved_from_monday_to_tuesday_and_back_is_told_three_times() {
    let World { gateway, partners } = World::start().await;
    let client = gateway.client();
    let mut order = Order::accepted(&client, "PYX-1").await;

    for day in ["2026-03-16", "2026-03-17", "2026-03-16"] {
        client.say(&order.status("SCHEDULED", &json!({"scheduled_date": day}))).await;
    }

    until_told(&partners.pyxis, &[order.clone()]).await;
    assert_in_order(&partners.pyxis, &[order]);
    partners.pyxis.look(|received| assert_eq!(received.count(), 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_is_asked_for_once_and_not_if_pyxis_cancelled_itself() {
    let World { gateway, partners } = World::start().await;
    let client = gateway.client();
    let mut order = Order::accepted(&client, "PYX-1").await;
    let no = order.visit("NO", &json!({"cancellation_reason": "Load-bearing wall"}));
    order.expect("cancellation", &no);
    client.say(&no).await;
    until_told(&partners.pyxis, &[order.clone()]).await;
    client.say(&order.status_untold("CANCELLED", &json!({}))).await;
    balance::until(&client, PYXIS, "applied", 2).await;

    let mut cancelled = Order::accepted(&client, "PYX-2").await;
    client.cancel("PYX-2", &crate::support::pyxis::cancellation("PYX-2")).await.assert_accepted();
    client.steps_of("PYX-2", 2).await;
    client.say(&cancelled.status_untold("CANCELLED", &json!({}))).await;
    balance::until(&client, "crossdock.platform", "applied", 3).await;
    balance::until(&client, PYXIS, "applied", 3).await;

    partners.pyxis.look(|received| assert_eq!(received.count(), 1, "{:#?}", received.calls().collect::<Vec<_>>()));
}
