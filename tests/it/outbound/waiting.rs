//! What the platform says about an order the gateway does not know yet waits for the order.

use serde_json::json;

use super::partners::{assert_in_order, until_told};
use super::platform::{Event, Order, event_id};
use super::{World, balance};
use crate::support::pyxis;

const PLATFORM: &str = "crossdock.platform";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_of_an_order_nobody_knows_waits_and_goes_out_when_the_order_is_accepted() {
    let World { gateway, partners } = World::start().await;
    let client = gateway.client();
    let mut order = Order::to_come("PYX-1");
    client.say(&order.scheduled()).await;
    client.say(&order.scheduled()).await;
    balance::until(&client, PLATFORM, "parked", 2).await;
    let mut known = Order::accepted(&client, "PYX-2").await;
    client.say(&known.scheduled()).await;
    until_told(&partners.pyxis, &[known.clone()]).await;
    partners.pyxis.look(|received| assert_eq!(received.count(), 1, "what waits holds nobody up"));

    let accepted = client.deliver(&pyxis::order("PYX-1")).await.assert_accepted();

    assert_eq!(accepted, order.service_order_id);
    until_told(&partners.pyxis, &[order.clone()]).await;
    assert_in_order(&partners.pyxis, &[order, known]);
    balance::until_all(&client, PLATFORM, &[("parked", 0), ("applied", 3)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assignment_of_an_order_nobody_knows_waits_through_a_kill() {
    let World { gateway, partners } = World::start().await;
    let client = gateway.client();
    let mut order = Order::to_come("PYX-1");
    let confirmed = Event {
        topic: "assignments.assignment.confirmed",
        key: format!("provider_{}", order.service_order_id),
        schema: "AssignmentConfirmed",
        value: json!({"event_id": event_id("confirmed"), "event_timestamp": 1_772_700_000_000_i64,
            "service_order_id": order.service_order_id, "provider_id": "provider", "team_id": "team",
            "confirmed_date": "2026-03-19", "confirmed_time_start": "08:00", "confirmed_time_end": "12:00"}),
    };
    client.say(&confirmed).await;
    balance::until(&client, PLATFORM, "parked", 1).await;

    let gateway = crate::topics_in::again(gateway.kill());
    let client = gateway.client();
    client.deliver(&pyxis::order("PYX-1")).await.assert_accepted();

    let scheduled = client.events_of("fsm.order.scheduled", "PYX-1", 1).await.remove(0);
    order.expect("status", &Event { value: scheduled["value"].clone(), ..confirmed });
    until_told(&partners.pyxis, &[order]).await;
}
