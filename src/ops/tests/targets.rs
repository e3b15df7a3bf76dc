//! What is told of the partners that are called.

use serde_json::json;

use super::*;
use crate::config::binding::Binding;
use crate::courier::{Condition, State};
use crate::lane::checkpoint::Balance;
use crate::ownership::LaneStatus;

fn told(targets: Targets) -> Ops {
    let (_, stopped) = watch::channel(false);
    let log = MemoryLog::with_topics(&[]);
    let deps = deps(log, Arc::new(MemoryStore::default()), Arc::default(), stopped);
    Ops::new(Deps { targets, ..deps })
}

fn target(name: &str, tenant: &str, condition: Condition, lanes: Vec<(u32, Lane)>) -> Target {
    let binding = Binding { name: name.into(), tenant_id: tenant.into(), ..crate::normalize::tests::binding() };
    let topic = format!("crossdock.out.{name}");
    Target { binding: Arc::new(binding), topic, condition, lanes: lanes.into_iter().collect() }
}

async fn ask(ops: Ops, token: &str) -> Answered {
    TestOps { ops, ..TestOps::new(MemoryStore::default()) }.get("/api/v1/ops/targets", token).await
}

#[tokio::test]
async fn a_target_is_told_with_its_breaker_and_its_lanes_to_those_who_see_its_tenant() {
    let open = Condition {
        state: State::Open,
        open_until_ms: Some(NOW_S * 1_000),
        paused_until_ms: Some(NOW_S * 1_000 + 1),
        is_probing: false,
    };
    let closed = Condition { state: State::Closed, open_until_ms: None, paused_until_ms: None, is_probing: false };
    let balance = Balance { taken: 3, applied: 2, held: 1, ..Balance::default() };
    let lanes = vec![
        (0, Lane { status: LaneStatus::Running, balance: Some(balance) }),
        (4, Lane { status: LaneStatus::Waiting { reason: "log is away".into() }, balance: None }),
    ];
    let targets = vec![target("tempo-south", "south", closed, Vec::new()), target("pyxis-north", "north", open, lanes)];
    let ops = told(Arc::new(move || Some(targets.clone())));

    let all = ask(ops.clone(), "viewer").await.json().await;
    let north = ask(ops.clone(), "north").await.json().await;

    let names =
        |page: &Value| page["targets"].as_array().unwrap().iter().map(|row| row["binding"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&all), vec!["pyxis-north", "tempo-south"]);
    assert_eq!(names(&north), vec!["pyxis-north"]);
    let expected = json!({
        "binding": "pyxis-north", "adapter": "pyxis", "tenant_id": "north", "topic": "crossdock.out.pyxis-north",
        "breaker": {"state": "open", "open_until": "2026-03-04T08:15:30.000Z",
            "paused_until": "2026-03-04T08:15:30.001Z", "is_probing": false},
        "lanes": [
            {"partition": 0, "status": "running", "reason": null, "records": {"applied": 2, "dead": 0, "held": 1,
                "in_flight": 0, "parked": 0, "skipped": 0, "superseded": 0, "taken": 3}},
            {"partition": 4, "status": "waiting", "reason": "log is away", "records": null},
        ],
    });
    assert_eq!(all["targets"][0], expected);
    for (token, status) in [("", 401), ("writer", 403), ("operator", 200)] {
        assert_eq!(ask(ops.clone(), token).await.status, status, "as `{token}`");
    }
}

#[tokio::test]
async fn lanes_that_are_taken_again_have_no_targets_to_tell() {
    assert_eq!(ask(told(Arc::new(|| None)), "viewer").await.status, StatusCode::SERVICE_UNAVAILABLE);
}
