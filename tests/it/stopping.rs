//! A graceful stop loses nothing and ends in time.

use crate::support::client::ORDERS;
use crate::support::{Gateway, pyxis};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_a_stop_is_published_after_it() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut accepted = Vec::new();
                for n in 0..1_000 {
                    let order_id = format!("PYX-{sender}-{n}");
                    let body = pyxis::order(&order_id).to_string().into_bytes();
                    match client.try_deliver(ORDERS, body).await {
                        Some(answer) if answer.status == 202 => accepted.push(order_id),
                        _ => break, // the gateway is stopping
                    }
                }
                accepted
            })
        })
        .collect();
    client.first_events("integration.sales.order.normalized", 50).await;

    let (directory, status) = gateway.terminate();

    assert!(status.success(), "{status}");
    let mut accepted = Vec::new();
    for sender in senders {
        accepted.extend(sender.await.expect("a sender does not panic"));
    }
    assert!(accepted.len() >= 50, "{} orders were accepted", accepted.len());
    let gateway = Gateway::spawn(directory, &[]).unwrap_or_else(|(_, said)| panic!("{}", said.join("\n")));
    let client = gateway.client();
    let mut missing: std::collections::BTreeSet<_> = accepted.into_iter().collect();
    client
        .follow_events("integration.sales.order.normalized", |event| {
            missing.remove(event["value"]["external_order_id"].as_str().expect("an id"));
            !missing.is_empty()
        })
        .await;
}
