//! Replay jobs.

use serde_json::json;

use super::*;

async fn post(ops: &TestOps, uri: &str, token: &str, body: Value) -> Answered {
    ops.ask("POST", uri, token, body.to_string()).await
}

#[tokio::test]
async fn a_job_is_planned_looked_at_and_begun() {
    let lane = TestLane::new().await;
    lane.dies(7, "north|pyxis|1", true).await;
    lane.dies(8, "south|pyxis|2", false).await;
    let ops = TestOps::of(&lane);
    let selection = json!({"reason": "ticket 4711", "failures": {"kind": "call", "tenant": "north"}});

    let planned = post(&ops, "/api/v1/ops/replays", "operator", selection).await;

    assert_eq!(planned.status, 201);
    let job = planned.json().await;
    assert_eq!((&job["state"], &job["items"], &job["keys"]), (&json!("planned"), &json!(1), &json!(1)));
    assert_eq!((&job["failures"], &job["tenants"]), (&json!({"kind": "call", "tenant": "north"}), &json!(["north"])));
    let uri = format!("/api/v1/ops/replays/{}", job["job_id"].as_str().unwrap());
    let dry = post(&ops, &format!("{uri}/run"), "operator", json!({"dry_run": true})).await.json().await;
    assert_eq!(dry["outlook"], json!({"attempted at its held key": 1}));
    let slow = json!({"pace": {"per_second": 0}});
    assert_eq!(post(&ops, &format!("{uri}/run"), "operator", slow).await.status, 422);
    let begun = post(&ops, &format!("{uri}/run"), "operator", json!({"pace": {"per_second": 5}})).await;
    assert_eq!(begun.status, 202);
    let expected = json!({"per_second": 5, "canary": 10, "most_failed_percent": 20, "operator": "operator"});
    assert_eq!(begun.json().await["pace"], expected);
    let items = ops.get(&format!("{uri}/items?state=pending"), "viewer").await.json().await;
    assert_eq!((&items["items"][0]["number"], &items["items"][0]["kind"]), (&json!(1), &json!("call")));
    let cancelled = post(&ops, &format!("{uri}/cancel"), "operator", json!({"reason": "no"})).await.json().await;
    assert_eq!((&cancelled["state"], &cancelled["note"]), (&json!("cancelled"), &json!("no")));
    assert_eq!(post(&ops, &format!("{uri}/run"), "operator", json!({})).await.status, 409);
}

#[tokio::test]
async fn a_job_is_seen_by_those_who_see_all_its_tenants() {
    let lane = TestLane::new().await;
    lane.dies(7, "north|pyxis|1", true).await;
    lane.dies(8, "south|pyxis|2", true).await;
    let ops = TestOps::of(&lane);
    let plan = json!({"reason": "r"});
    let all = post(&ops, "/api/v1/ops/replays", "operator", plan.clone()).await.json().await;
    let souths = post(&ops, "/api/v1/ops/replays", "south", plan).await.json().await;
    assert_eq!((&all["items"], &souths["items"]), (&json!(2), &json!(1)));

    for (token, expected) in [("viewer", vec![&souths, &all]), ("south", vec![&souths]), ("north", vec![])] {
        let page = ops.get("/api/v1/ops/replays", token).await.json().await;
        let ids: Vec<_> = page["jobs"].as_array().unwrap().iter().map(|job| job["job_id"].clone()).collect();
        assert_eq!(ids, expected.iter().map(|job| job["job_id"].clone()).collect::<Vec<_>>(), "{token}");
        for job in [&all, &souths] {
            let uri = format!("/api/v1/ops/replays/{}", job["job_id"].as_str().unwrap());
            let status = if expected.contains(&job) { 200 } else { 404 };
            assert_eq!(ops.get(&uri, token).await.status, status, "{token}");
        }
    }
}

#[tokio::test]
async fn a_selection_that_is_no_job_is_refused() {
    let lane = TestLane::new().await;
    let ops = TestOps::of(&lane);
    for (selection, status) in [
        (json!({"reason": "r"}), 422), // nothing has failed
        (json!({"reason": "r", "failures": {"limit": 5}}), 400),
        (json!({"reason": "r", "failures": {"state": "dismissed"}}), 400),
        (json!({"reason": "r", "failures": {"colour": "red"}}), 422),
        (json!({}), 422),
    ] {
        assert_eq!(
            post(&ops, "/api/v1/ops/replays", "operator", selection.clone()).await.status,
            status,
            "{selection}"
        );
    }
    for query in ["state=open", "limit=0"] {
        assert_eq!(ops.get(&format!("/api/v1/ops/replays?{query}"), "viewer").await.status, 400, "{query}");
    }
    let unknown = format!("/api/v1/ops/replays/{}", uuid::Uuid::nil());
    assert_eq!(ops.get(&unknown, "viewer").await.status, 404);
}
