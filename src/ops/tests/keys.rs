//! Keys that are not free, dead records, and the verbs on them.

use serde_json::json;

use super::*;
use crate::lane::batch::{CommandOutcome, Ruling};
use crate::lane::command::Verb;
use crate::recovery::testing::{TOPIC, ended, held};

const KEY: &str = "north|pyxis|PYX/1";
/// As it stands in a path.
const PATH: &str = "/api/v1/ops/keys/north%7Cpyxis%7CPYX%2F1";

fn because() -> Body {
    Body::from(json!({"reason": "ticket 4711"}).to_string())
}

#[tokio::test]
async fn every_role_has_its_rights_and_every_tenant_its_keys() {
    let lane = TestLane::new().await;
    lane.dies(7, KEY, true).await;
    let ops = TestOps::of(&lane);
    let verb = |verb: &str| format!("{PATH}/{verb}");
    let skip = json!({"reason": "r", "seq": 99}).to_string();
    let purge = json!({"reason": "r"}).to_string();
    for (method, uri, body, statuses) in [
        // no token, viewer, writer, operator, editor, south's operator, admin, client
        ("GET", "/api/v1/ops/keys".to_owned(), "", [401, 200, 403, 200, 200, 200, 200, 403]),
        ("GET", PATH.to_owned(), "", [401, 200, 403, 200, 200, 404, 200, 403]),
        ("POST", verb("release"), r#"{"reason":" "}"#, [401, 403, 403, 422, 422, 422, 422, 403]),
        ("POST", verb("skip"), &skip, [401, 403, 403, 404, 404, 404, 404, 403]),
        ("POST", verb("purge"), &purge, [401, 403, 403, 403, 403, 403, 422, 403]),
        ("POST", "/api/v1/ops/replays".to_owned(), r#"{"reason":" "}"#, [401, 403, 403, 422, 422, 422, 422, 403]),
    ] {
        let tokens = ["", "viewer", "writer", "operator", "editor", "south", "admin", "client"];
        for (token, expected) in tokens.into_iter().zip(statuses) {
            let answered = ops.ask(method, &uri, token, body.to_owned()).await;

            assert_eq!(answered.status, expected, "{method} {uri} as `{token}`");
        }
    }
    let of_south = ops.get("/api/v1/ops/keys", "south").await.json().await;
    assert_eq!(of_south, json!({"keys": [], "next": null}));
    assert_eq!(lane.commands().await, 0);
}

#[tokio::test]
async fn a_key_is_shown_with_its_failure_and_what_waits() {
    let lane = TestLane::new().await;
    let failure = lane.dies(7, KEY, true).await;
    lane.follows(8, KEY).await;
    let ops = TestOps::of(&lane);

    let whole = ops.get(PATH, "viewer").await.json().await;

    assert_eq!(whole["key"]["key"], KEY);
    assert_eq!(whole["key"]["state"], "held");
    assert_eq!((&whole["key"]["tenant_id"], &whole["key"]["binding"]), (&json!("north"), &json!("pyxis-north")));
    assert_eq!(whole["failure_id"], failure.failure.event_id.to_string());
    let records = whole["records"].as_array().unwrap();
    let told: Vec<_> = records.iter().map(|record| (&record["seq"], &record["role"], &record["place"])).collect();
    let (held, head, follower) = (json!("held"), json!("head"), json!("follower"));
    assert_eq!(told, [(&json!(7), &head, &held), (&json!(8), &follower, &held)]);
    let cause = json!({"class": "timeout", "http_status": 504, "message": "no answer"});
    assert_eq!(records[0]["failure"], cause);
    assert_eq!((&records[1]["failure"], &whole["next"]), (&Value::Null, &Value::Null));
    let page = ops.get(&format!("{PATH}?from=8&limit=1"), "viewer").await.json().await;
    assert_eq!((&page["records"][0]["seq"], &page["next"]), (&json!(8), &json!(9)));
}

#[tokio::test]
async fn keys_are_listed_page_by_page_and_by_what_is_asked() {
    let lane = TestLane::new().await;
    for number in 0..3 {
        lane.dies(number, &format!("north|pyxis|{number}"), true).await;
        lane.clock.advance(1);
    }
    let ops = TestOps::of(&lane);
    let (mut after, mut keys) = (String::new(), Vec::new());
    loop {
        let page = ops.get(&format!("/api/v1/ops/keys?held=true&limit=2{after}"), "viewer").await.json().await;
        keys.extend(page["keys"].as_array().unwrap().iter().map(|key| key["key"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(keys, ["north|pyxis|0", "north|pyxis|1", "north|pyxis|2"]);
    for (query, expected) in [
        ("held=false", 0),
        ("binding=pyxis-north", 3),
        ("binding=tempo-north", 0),
        (&format!("topic={TOPIC}&tenant=north"), 3),
        ("tenant=south", 0),
    ] {
        let page = ops.get(&format!("/api/v1/ops/keys?{query}"), "viewer").await.json().await;
        assert_eq!(page["keys"].as_array().unwrap().len(), expected, "{query}");
    }
    for query in ["after=1", "limit=501", "topic=a&binding=b", "colour=red"] {
        assert_eq!(ops.get(&format!("/api/v1/ops/keys?{query}"), "viewer").await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_verb_is_answered_with_what_came_of_it() {
    let lane = TestLane::new().await;
    lane.dies(7, KEY, true).await;
    let ops = TestOps::of(&lane);

    let (release, skip) = (format!("{PATH}/release"), format!("{PATH}/skip"));
    let (again, _) = tokio::join!(
        ops.ask("POST", &release, "operator", because()),
        lane.executes(CommandOutcome::Done, vec![held(7, KEY, 1)])
    );
    let (skipped, (command, _)) = tokio::join!(
        ops.ask("POST", &skip, "operator", json!({"reason": "gone", "seq": 7}).to_string()),
        lane.executes(CommandOutcome::Done, vec![ended(7, KEY, 2, Ruling::Skipped)])
    );
    let free = ops.ask("POST", &release, "operator", because()).await;

    assert_eq!(again.status, 200);
    let again = again.json().await;
    assert_eq!((&again["outcome"], &again["record"]), (&json!("done"), &json!("held")));
    assert_eq!(again["failure"]["http_status"], 504);
    let skipped = skipped.json().await;
    assert_eq!(skipped, json!({"command_id": command.id, "outcome": "done", "record": "ended", "failure": null}));
    assert_eq!(free.status, 404);
    assert_eq!(free.json().await["detail"], "the key is free: nothing of it waits");
}

#[tokio::test]
async fn a_dead_call_is_shown_with_its_payload_and_replayed_edited_by_editors_alone() {
    let lane = TestLane::new().await;
    let failure = lane.dies(7, KEY, true).await.failure.event_id;
    let ops = TestOps::of(&lane);
    let uri = format!("/api/v1/ops/failures/{failure}");

    let shown = ops.get(&uri, "operator").await.json().await;
    let hidden = ops.get(&uri, "viewer").await.json().await;
    assert_eq!((&shown["failure"]["kind"], &shown["record"]["key"]), (&json!("call"), &json!(KEY)));
    assert_eq!((&shown["record"]["seq"], &shown["http_status"]), (&json!(7), &json!(504)));
    let payload = shown["payload"]["text"].as_str().unwrap().to_owned();
    assert_eq!((&shown["payload"]["state"], &hidden["payload"]["state"]), (&json!("kept"), &json!("hidden")));

    let edited = payload.replace("COMPLETED", "CANCELLED");
    let wish = json!({"reason": "typo", "payload": edited}).to_string();
    let uri = format!("{uri}/replay");
    assert_eq!(ops.ask("POST", &uri, "operator", wish.clone()).await.status, 403);
    let dry = json!({"dry_run": true}).to_string();
    assert_eq!(ops.ask("POST", &uri, "operator", dry).await.status, 422);
    let strange = json!({"reason": "typo", "payload": payload.replace("north", "south")}).to_string();
    assert_eq!(ops.ask("POST", &uri, "editor", strange).await.status, 422);
    let (replayed, (command, record)) = tokio::join!(
        ops.ask("POST", &uri, "editor", wish),
        lane.executes(CommandOutcome::Done, vec![ended(7, KEY, 1, Ruling::Applied)])
    );

    assert_eq!(replayed.json().await["record"], "ended");
    assert_eq!((command.verb, record.value.as_deref()), (Verb::Edit { seq: 7 }, Some(edited.as_bytes())));
    let page = ops.get("/api/v1/ops/failures?kind=call&state=resolved", "viewer").await.json().await;
    assert_eq!(page["failures"][0]["failure_id"], failure.to_string());
    assert_eq!(ops.get("/api/v1/ops/failures?kind=phone", "viewer").await.status, 400);
}
