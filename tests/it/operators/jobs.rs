//! Replay jobs over dead letters, from the plan to the audit.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Job, Outage, PYXIS, REASON, asked, attempts, done, refuse_all};
use crate::outbound::balance;
use crate::outbound::partners::{assert_in_order, until_told};
use crate::support::Gateway;

const AT_ONCE: [&str; 4] = ["--rate", "1000", "--canary", "5"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_tells_every_held_order_in_order_and_the_same_job_again_tells_nothing() {
    replay_an_outage(&Outage::of(20, 3).await).await;
}

pub async fn replay_an_outage(Outage { gateway, partners, orders }: &Outage) {
    let (client, pyxis, count) = (gateway.client(), &partners.pyxis, orders.len());
    let first: Vec<_> = orders.iter().map(|order| order.keys[0].as_str()).collect();
    let later: Vec<_> = orders.iter().flat_map(|order| order.keys[1..].iter().map(String::as_str)).collect();
    let (job, planned) = Job::planned(gateway);
    assert_eq!((&planned["items"], &planned["keys"]), (&json!(count), &json!(count)), "heads alone: {planned}");
    assert_eq!((&planned["keys_left_behind"], &planned["state"]), (&json!(0), &json!("planned")), "{planned}");
    let (second, _) = Job::planned(gateway);
    pyxis.follow(Vec::new());

    let outlook = job.run(gateway, &["--dry-run"]);
    assert_eq!(outlook["outlook"], json!({"attempted at its held key": count}), "{outlook}");
    assert_eq!(job.now(&client).await["state"], "planned", "a dry run changes nothing");
    job.run(gateway, &AT_ONCE);
    let ended = job.until_ended(&client).await;

    assert_eq!((&ended["state"], Job::counts(&ended)), (&json!("done"), [0, 0, count as u64, 0, 0]), "{ended}");
    until_told(pyxis, orders).await;
    assert_in_order(pyxis, orders);
    assert_eq!(attempts(pyxis, &first), vec![2; first.len()], "one that was refused, one that was not");
    assert_eq!(attempts(pyxis, &later), vec![1; later.len()]);
    let applied = i64::try_from(first.len() + later.len()).expect("few");
    balance::until_all(&client, PYXIS, &[("held", 0), ("dead", 0), ("skipped", 0), ("applied", applied)]).await;

    // Twice is once.
    let calls = pyxis.look(|received| received.count());
    let again = asked(gateway, &["replay", "run", &job.0]);
    assert_eq!(again, (Some(65), Value::Null), "a job that has ended does not run again");
    second.run(gateway, &AT_ONCE);
    let second_ended = second.until_ended(&client).await;
    assert_eq!(Job::counts(&second_ended), [0, 0, 0, 0, count as u64], "{second_ended}");
    assert_eq!(pyxis.look(|received| received.count()), calls, "no call is made for what is settled");

    let items = job.items(&client).await;
    let outcomes = items.iter().map(|item| (&item["state"], &item["outcome"], &item["kind"]));
    assert!(outcomes.clone().all(|item| item == (&json!("succeeded"), &json!("ended"), &json!("call"))), "{items:?}");
    let refused = second.items(&client).await;
    assert!(refused.iter().all(|item| item["outcome"] == "the failure is resolved already"), "{refused:?}");
    let status = done(gateway, &["replay", "status", &job.0, "--items", "--state", "succeeded", "--limit", "500"]);
    assert_eq!(status["page"]["items"].as_array().map(Vec::len), Some(count), "{status}");
    assert_in_audit(gateway, &job, &items);
}

/// Who, when and why: of the job, and of each item.
fn assert_in_audit(gateway: &Gateway, job: &Job, items: &[Value]) {
    let rows = |subject: &str| {
        let audit = done(gateway, &["audit", "list", "--subject", subject]);
        audit["rows"].as_array().expect("rows").clone()
    };
    let of_job = rows(&job.0);
    let deeds: Vec<_> = of_job.iter().map(|row| row["action"].as_str().expect("text")).collect();
    // The second `run` was refused; that it was asked for is written down all the same.
    assert_eq!(deeds, ["replay.run", "replay.end", "replay.run", "replay.plan"], "{of_job:?}");
    assert!(of_job.iter().all(|row| row["operator"] == "tests" && row["at"].is_string()), "{of_job:?}");
    assert_eq!(of_job[3]["detail"]["reason"], REASON);
    let why = format!("replay job {}: {REASON}", job.0);
    for item in items {
        let of_item = rows(item["failure_id"].as_str().expect("an id"));
        assert_eq!(of_item.len(), 1, "{of_item:?}");
        let row = &of_item[0];
        assert_eq!((&row["operator"], &row["action"]), (&json!("tests"), &json!("failure.replay")), "{row}");
        let asked = (&row["detail"]["reason"], &row["detail"]["command_id"], &row["tenant_id"]);
        assert_eq!(asked, (&json!(why), &item["command_id"], &json!("north")), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_jobs_over_the_same_failures_at_once_make_no_call_twice() {
    let outage = Outage::of(20, 2).await;
    let (gateway, pyxis) = (&outage.gateway, &outage.partners.pyxis);
    let client = gateway.client();
    let ((one, _), (other, _)) = (Job::planned(gateway), Job::planned(gateway));
    pyxis.follow(Vec::new());

    one.run(gateway, &["--rate", "1000", "--canary", "0"]);
    other.run(gateway, &["--rate", "1000", "--canary", "0"]);
    let (one, other) = (one.until_ended(&client).await, other.until_ended(&client).await);

    until_told(pyxis, &outage.orders).await;
    assert_in_order(pyxis, &outage.orders);
    assert_eq!(attempts(pyxis, &outage.first_calls()), vec![2; 20]);
    for job in [&one, &other] {
        let [pending, requested, succeeded, failed, refused] = Job::counts(job);
        assert_eq!((&job["state"], pending, requested, failed), (&json!("done"), 0, 0, 0), "{job}");
        assert_eq!(succeeded + refused, 20, "{job}");
    }
    assert_eq!(Job::counts(&one)[2] + Job::counts(&other)[2], 20, "one of the two has told each: {one} {other}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_fails_too_often_stops_and_tells_what_became_of_each_item() {
    let outage = Outage::of(20, 2).await;
    let (gateway, pyxis) = (&outage.gateway, &outage.partners.pyxis);
    let client = gateway.client();
    let (job, _) = Job::planned(gateway);

    job.run(gateway, &["--rate", "1000", "--canary", "5", "--most-failed", "20"]);
    let stopped = job.until_ended(&client).await;

    let [pending, requested, succeeded, failed, refused] = Job::counts(&stopped);
    assert_eq!((&stopped["state"], succeeded, refused), (&json!("stopped"), 0, 0), "{stopped}");
    assert!(pending >= 15 && failed >= 2 && pending + requested + failed == 20, "{stopped}");
    let note = stopped["note"].as_str().expect("a note");
    assert!(note.ends_with("of the first 5 items failed"), "{note}");
    assert_eq!(asked(gateway, &["replay", "status", &job.0]).0, Some(65), "scripts see that it was stopped");
    for item in job.items(&client).await {
        match item["state"].as_str().expect("text") {
            "failed" => {
                let outcome = item["outcome"].as_str().expect("text");
                assert!(outcome.starts_with("failed again, in held: "), "{outcome}");
            }
            "requested" | "pending" => assert_eq!(item["outcome"], Value::Null, "{item}"),
            other => panic!("{other}: {item}"),
        }
    }
    let listed = done(gateway, &["failures", "list", "--kind", "call", "--limit", "500"]);
    assert_eq!(listed["failures"].as_array().map(Vec::len), Some(20), "the failures stay open");

    pyxis.follow(Vec::new());
    let (next, _) = Job::planned(gateway);
    next.run(gateway, &AT_ONCE);
    let ended = next.until_ended(&client).await;
    assert_eq!(Job::counts(&ended), [0, 0, 20, 0, 0], "{ended}");
    until_told(pyxis, &outage.orders).await;
    assert_in_order(pyxis, &outage.orders);
    let made: usize = attempts(pyxis, &outage.first_calls()).iter().sum();
    assert_eq!(made as u64, 20 + (20 - pending) + 20, "once before, once for each item begun, once at last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_job_begins_no_more_calls_and_the_rest_can_be_planned_anew() {
    let outage = Outage::of(20, 2).await;
    let (gateway, pyxis) = (&outage.gateway, &outage.partners.pyxis);
    let client = gateway.client();
    let (job, _) = Job::planned(gateway);
    pyxis.follow(Vec::new());
    // One at once, and the second one after five seconds.
    job.run(gateway, &["--rate", "1", "--canary", "0"]);
    job.until(&client, "the first item has its outcome", |job| Job::counts(job)[2] > 0).await;

    let cancelled = job.cancel(gateway);

    let counts = Job::counts(&cancelled);
    let [pending, _, _, failed, refused] = counts;
    assert_eq!((&cancelled["state"], failed, refused), (&json!("cancelled"), 0, 0), "{cancelled}");
    assert!(pending > 0, "{cancelled}");
    let begun = 20 - pending;
    let (rest, planned) = Job::planned(gateway);
    assert!(planned["items"].as_u64() >= Some(pending), "{planned}");
    rest.run(gateway, &AT_ONCE);
    rest.until_ended(&client).await;
    until_told(pyxis, &outage.orders).await;
    assert_in_order(pyxis, &outage.orders);
    assert_eq!(attempts(pyxis, &outage.first_calls()), vec![2; 20], "each was told by one of the two");
    let now = job.now(&client).await;
    assert_eq!((Job::counts(&now)[0], &now["note"]), (pending, &json!("enough for today")), "{now}");
    let rows = done(gateway, &["audit", "list", "--subject", &job.0, "--action", "replay.cancel"]);
    assert_eq!(rows["rows"][0]["detail"]["reason"], "enough for today", "{rows}");
    let audit = done(gateway, &["audit", "list", "--action", "failure.replay", "--limit", "500"]);
    let of_job = |row: &&Value| row["detail"]["reason"].as_str().is_some_and(|why| why.contains(&job.0));
    let given = audit["rows"].as_array().expect("rows").iter().filter(of_job).count();
    assert_eq!(given as u64, begun, "no command was given for what was pending");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_over_orders_that_are_refused_still_keeps_each_at_its_first_call() {
    let outage = Outage::of(6, 3).await;
    let (gateway, pyxis) = (&outage.gateway, &outage.partners.pyxis);
    let client = gateway.client();
    let (job, _) = Job::planned(gateway);
    refuse_all(pyxis);

    job.run(gateway, &["--rate", "1000", "--canary", "0", "--most-failed", "100"]);
    let ended = job.until_ended(&client).await;

    assert_eq!((&ended["state"], Job::counts(&ended)), (&json!("done"), [0, 0, 0, 6, 0]), "{ended}");
    let later: Vec<_> = outage.orders.iter().flat_map(|order| order.keys[1..].iter().map(String::as_str)).collect();
    assert_eq!(attempts(pyxis, &outage.first_calls()), vec![2; 6]);
    assert_eq!(attempts(pyxis, &later), vec![0; later.len()], "nothing overtakes what failed");
    balance::until_all(&client, PYXIS, &[("held", 18), ("dead", 0), ("applied", 0)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_goes_no_faster_than_its_pace() {
    let outage = Outage::of(6, 1).await;
    let (gateway, pyxis) = (&outage.gateway, &outage.partners.pyxis);
    let (job, _) = Job::planned(gateway);
    pyxis.follow(Vec::new());
    let begun = Instant::now();

    job.run(gateway, &["--rate", "4", "--canary", "6"]);
    job.until_ended(&gateway.client()).await;

    let mut calls: Vec<_> =
        pyxis.look(|received| received.calls().filter(|call| call.applied).map(|call| call.at).collect());
    calls.sort();
    assert_eq!(calls.len(), 6);
    for (call, number) in calls.into_iter().zip(0..) {
        let earliest = Duration::from_millis(250) * number;
        assert!(
            call.into_std() >= begun + earliest,
            "call {number} came {:?} after the begin",
            call.into_std() - begun
        );
    }
}
