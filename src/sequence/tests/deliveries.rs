//! Deliveries that name themselves: of those with one id, the first that was not rejected counts.

use super::faults::Fault;
use super::gateway::{Gateway, START};
use super::*;
use crate::canonical::draft::INTAKE;
use crate::log;
use crate::store::Outcome::{Accepted, Duplicate, Rejected};
use crate::store::conformance::samples::keep;
use crate::store::{Keep, Outcome};

fn delivered(id: &str, mut draft: Draft) -> Draft {
    draft.head.delivery_id = Some(id.to_owned());
    draft
}

async fn outcomes(gateway: &Gateway, of: &Draft) -> Vec<Outcome> {
    let journey = gateway.journey(of.head.service_order_id().expect("the order has an id")).await;
    journey.iter().filter_map(|detail| detail.outcome).collect()
}

#[tokio::test]
async fn a_second_delivery_of_one_id_is_a_duplicate_whatever_it_holds() {
    for (name, batch_records) in [("in one batch", 100), ("in a batch each", 1)] {
        let mut gateway = Gateway::open().await;
        gateway.batch_records = batch_records;
        let first = delivered("msg_1", created(100, "a"));
        gateway
            .append([first.clone(), delivered("msg_1", updated(200, "b")), delivered("msg_1", cancelled(300))])
            .await;
        gateway.append([delivered("msg_1", order_named("B", Intent::Created, 100, "x"))]).await;
        gateway.append([delivered("msg_2", updated(300, "c"))]).await;

        gateway.run().await.expect("the lane runs");

        assert_eq!(outcomes(&gateway, &first).await, [Accepted, Duplicate, Duplicate, Accepted], "{name}");
        assert_eq!(outcomes(&gateway, &order_named("B", Intent::Created, 100, "x")).await, [Duplicate], "{name}");
        assert_eq!(gateway.published().await.len(), 4, "{name}");
    }
}

#[tokio::test]
async fn the_same_id_of_another_tenant_or_source_is_another_delivery() {
    let gateway = Gateway::open().await;
    let mut of_another_tenant = delivered("msg_1", rejected(Some("A"), Code::UnknownCode));
    of_another_tenant.head.tenant_id = "south".into();
    let mut of_another_source = delivered("msg_1", rejected(Some("A"), Code::UnknownCode));
    of_another_source.head.source_key = "custom.acme".into();
    gateway.append([delivered("msg_1", created(100, "a")), of_another_tenant.clone(), of_another_source.clone()]).await;

    gateway.run().await.expect("the lane runs");

    for other in [of_another_tenant, of_another_source] {
        assert_eq!(outcomes(&gateway, &other).await, [Rejected]);
    }
}

#[tokio::test]
async fn what_was_rejected_may_come_again_under_its_id() {
    let gateway = Gateway::open().await;
    let id = Some("PYX-FR-20260304-7731");
    gateway.append([delivered("msg_1", rejected(id, Code::UnknownCode)), delivered("msg_1", created(100, "a"))]).await;
    gateway.append([delivered("msg_1", rejected(id, Code::UnknownCode))]).await;

    gateway.run().await.expect("the lane runs");

    assert_eq!(outcomes(&gateway, &created(100, "a")).await, [Rejected, Accepted, Duplicate]);
}

#[tokio::test]
async fn an_id_counts_again_once_it_is_forgotten() {
    let gateway = Gateway::open().await;
    gateway.append([delivered("msg_1", created(100, "a"))]).await;
    gateway.run().await.expect("the lane runs");
    gateway.store.prune(Keep { events_since: START + 1, ..keep() }).await.expect("the store is there");
    gateway.append([delivered("msg_1", updated(200, "b"))]).await;

    gateway.run().await.expect("the lane runs");

    assert_eq!(outcomes(&gateway, &created(100, "a")).await, [Accepted, Accepted]);
}

#[tokio::test]
async fn a_crash_at_any_commit_keeps_the_first_deliverys_events() {
    let fenced = || log::Error::Fenced { topic: INTAKE.into(), partition: 0 };
    for (name, fault) in [("before", Fault::Before(fenced())), ("after", Fault::After(fenced()))] {
        for calls in 0..4 {
            let mut gateway = Gateway::open().await;
            gateway.batch_records = 1;
            gateway.append([delivered("msg_1", created(100, "a")), delivered("msg_1", updated(200, "b"))]).await;
            gateway.commits.after(calls, [fault.clone()]);

            gateway.run().await.expect("the last owner runs");

            let outcomes = outcomes(&gateway, &created(100, "a")).await;
            assert_eq!(outcomes, [Accepted, Duplicate], "crash {name} commit {calls}");
            assert_eq!(gateway.published().await.len(), 2, "crash {name} commit {calls}");
        }
    }
}
