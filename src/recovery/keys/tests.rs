use serde_json::Value;

use super::*;
use crate::lane::batch::Ruling;
use crate::lane::{command, header, moved};
use crate::recovery::testing::{TestLane, call, ended, held};
use crate::store::recovery::{AuditFilter, FailureRow, FailureState, MAX_PAGE};

const KEY: &str = "north|pyxis|PYX-1";

fn request() -> Request {
    Request { operator: "anna".into(), reason: "ticket 4711".into(), request_id: None, command_id: None }
}

async fn row(lane: &TestLane) -> KeyRow {
    let filter = KeyFilter { key: Some(Bytes::from_static(KEY.as_bytes())), ..KeyFilter::default() };
    lane.keys.list(filter, None, MAX_PAGE).await.unwrap().remove(0)
}

async fn state(lane: &TestLane, row: &FailureRow) -> FailureState {
    lane.failure(row.failure.event_id).await.state
}

/// Action, phase and outcome of the audit's rows, the first one first.
async fn audit(lane: &TestLane) -> Vec<(String, String, String)> {
    let rows = lane.store.audit_rows(AuditFilter::default(), None, MAX_PAGE).await.unwrap();
    let told = |row: &store::recovery::AuditRow| {
        let detail: Value = serde_json::from_str(&row.entry.detail).unwrap();
        let text = |name: &str| detail[name].as_str().unwrap_or("-").to_owned();
        (row.entry.action.clone(), text("phase"), text("outcome"))
    };
    rows.iter().rev().map(told).collect()
}

fn told(action: &str, phase: &str, outcome: &str) -> (String, String, String) {
    (action.to_owned(), phase.to_owned(), outcome.to_owned())
}

#[tokio::test]
async fn a_released_key_is_attempted_and_its_failure_resolved() {
    let lane = TestLane::new().await;
    let failure = lane.dies(7, KEY, true).await;
    let row = row(&lane).await;

    let end = vec![ended(7, KEY, 1, Ruling::Applied)];
    let (released, (command, _)) =
        tokio::join!(lane.keys.release(&row, request()), lane.executes(CommandOutcome::Done, end));

    let released = released.unwrap();
    assert_eq!((released.outcome, released.standing), (Some(CommandOutcome::Done), Some(Standing::Ended)));
    assert_eq!((command.verb, command.key.as_bytes()), (Verb::Retry, KEY.as_bytes()));
    assert_eq!(state(&lane, &failure).await, FailureState::Resolved);
    let expected = [told("key.release", "requested", "-"), told("key.release", "done", "done")];
    assert_eq!(audit(&lane).await, expected);
}

#[tokio::test]
async fn one_that_fails_again_stays_the_open_failure_it_is_and_says_of_what() {
    let lane = TestLane::new().await;
    let failure = lane.dies(7, KEY, true).await;
    let row = row(&lane).await;

    let again = vec![held(7, KEY, 1)];
    let (released, _) = tokio::join!(lane.keys.release(&row, request()), lane.executes(CommandOutcome::Done, again));

    let Some(Standing::Waits(Topic::Held, Some(cause))) = released.unwrap().standing else { panic!("not held") };
    assert_eq!((cause.class.as_str(), cause.http_status), ("timeout", Some(504)));
    assert_eq!(state(&lane, &failure).await, FailureState::Open);
}

#[tokio::test]
async fn pressing_twice_is_pressing_once_until_the_record_has_moved() {
    let lane = TestLane::new().await;
    lane.dies(7, KEY, true).await;
    let hasty = lane.hasty();
    let before = row(&lane).await;

    let first = hasty.release(&before, request()).await.unwrap();
    let second = hasty.release(&before, request()).await.unwrap();
    assert_eq!((first.outcome, &first), (None, &second), "not executed yet, and one command");
    lane.executes(CommandOutcome::Done, vec![held(7, KEY, 1)]).await;
    let third = lane.keys.release(&before, request()).await.unwrap();
    assert_eq!((third.command_id, third.outcome), (first.command_id, Some(CommandOutcome::Done)));
    let commands = lane.commands().await;

    let after = hasty.release(&row(&lane).await, request()).await.unwrap();

    assert_ne!(after.command_id, first.command_id, "it failed again: this is another wish");
    assert_eq!(lane.commands().await, commands + 1);
}

#[tokio::test]
async fn one_request_is_one_command_whatever_happened_in_between() {
    let lane = TestLane::new().await;
    lane.dies(7, KEY, true).await;
    let hasty = lane.hasty();
    let mut ids = Vec::new();
    for (name, hop) in [("r-1", 1), ("r-1", 2), ("r-2", 3)] {
        let request = Request { request_id: Some(name.into()), ..request() };
        ids.push(hasty.release(&row(&lane).await, request).await.unwrap().command_id);
        lane.decide(vec![held(7, KEY, hop)], None).await;
    }

    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
}

#[tokio::test]
async fn what_came_to_nothing_may_be_asked_for_again() {
    let lane = TestLane::new().await;
    let failure = lane.dies(7, KEY, false).await;

    for outcome in [CommandOutcome::NotHead, CommandOutcome::Overtaken, CommandOutcome::NotHead] {
        let (replayed, _) =
            tokio::join!(lane.keys.replay(&failure, None, false, request()), lane.executes(outcome, Vec::new()));
        assert_eq!(replayed.unwrap().outcome, Some(outcome));
        assert_eq!(state(&lane, &failure).await, FailureState::Open);
    }
    let end = vec![ended(7, KEY, 1, Ruling::Applied)];
    let (replayed, _) =
        tokio::join!(lane.keys.replay(&failure, None, false, request()), lane.executes(CommandOutcome::Done, end));
    let again = lane.keys.replay(&failure, None, false, request()).await.unwrap();

    assert_eq!(again, replayed.unwrap());
    assert_eq!(lane.commands().await, 4, "the last one was done: it is not written again");
    assert_eq!(state(&lane, &failure).await, FailureState::Replayed);
}

#[tokio::test]
async fn a_dead_record_comes_back_byte_for_byte() {
    let lane = TestLane::new().await;
    let failure = lane.dies(7, KEY, false).await;

    let (_, (command, record)) = tokio::join!(
        lane.keys.replay(&failure, None, true, request()),
        lane.executes(CommandOutcome::Done, vec![ended(7, KEY, 1, Ruling::Applied)])
    );

    assert_eq!(command.verb, Verb::Replay { seq: 7, hop: 1, attempts: 4, is_forced: true });
    assert_eq!(record.key.as_deref(), Some(command.id.as_bytes()));
    let carried = command::carried(&record);
    assert_eq!(moved::restore(&carried), call(KEY));
    assert_eq!(carried.header(header::FIRST_FAILED_AT), Some("1772612130000"), "the trail is kept");
    assert_eq!(carried.header(header::EDIT), None);
}

#[tokio::test]
async fn a_held_record_is_edited_where_it_is_and_keeps_everything_but_its_value() {
    let lane = TestLane::new().await;
    let failure = lane.dies(7, KEY, true).await;
    let edited =
        Bytes::from(String::from_utf8(call(KEY).value.unwrap().to_vec()).unwrap().replace("COMPLETED", "CANCELLED"));

    let (replayed, (command, record)) = tokio::join!(
        lane.keys.replay(&failure, Some(edited.clone()), false, request()),
        lane.executes(CommandOutcome::Done, vec![ended(7, KEY, 1, Ruling::Applied)])
    );

    assert_eq!(command.verb, Verb::Edit { seq: 7 });
    let carried = command::carried(&record);
    assert_eq!(moved::restore(&carried), crate::log::Record { value: Some(edited), ..call(KEY) });
    assert_eq!(carried.header(header::EDIT), Some(replayed.unwrap().command_id.to_string().as_str()));
    assert_eq!(state(&lane, &failure).await, FailureState::Resolved);
}

#[tokio::test]
async fn an_edit_may_not_make_it_another_order() {
    let lane = TestLane::new().await;
    let failure = lane.dies(7, KEY, true).await;
    let strange = call("south|pyxis|PYX-2").value;

    let refused = lane.keys.replay(&failure, strange, false, request()).await.unwrap_err();

    assert!(matches!(refused, Error::Edit(edit::Error::Identity { .. })), "{refused}");
    assert_eq!((lane.commands().await, audit(&lane).await.len()), (0, 0));
}

#[tokio::test]
async fn a_record_behind_a_held_one_is_refused_before_a_command_is_written() {
    let lane = TestLane::new().await;
    lane.dies(7, KEY, true).await;
    let behind = lane.dies(9, KEY, true).await;

    let refused = lane.keys.replay(&behind, None, false, request()).await.unwrap_err();

    assert_eq!(refused.to_string(), "record 7 of the key is held before this one: release or skip that one first");
    assert_eq!(lane.commands().await, 0);
}

#[tokio::test]
async fn skipping_and_purging_dismiss_the_failure() {
    for is_purge in [false, true] {
        let lane = TestLane::new().await;
        let failure = lane.dies(7, KEY, true).await;
        lane.follows(8, KEY).await;
        let row = row(&lane).await;
        assert_eq!((row.records, row.last), (2, 8));
        let end = || vec![ended(7, KEY, 1, Ruling::Skipped)];

        let (done, command) = if is_purge {
            let (done, (command, _)) =
                tokio::join!(lane.keys.purge(&row, 8, request()), lane.executes(CommandOutcome::Done, end()));
            (done, command)
        } else {
            let (done, (command, _)) = tokio::join!(
                lane.keys.skip(&row.lane, &row.head, request()),
                lane.executes(CommandOutcome::Done, end())
            );
            (done, command)
        };

        assert_eq!(done.unwrap().standing, Some(Standing::Ended));
        let expected = if is_purge { Verb::Purge { through: 8 } } else { Verb::Skip { seq: 7 } };
        assert_eq!(command.verb, expected);
        assert_eq!(state(&lane, &failure).await, FailureState::Dismissed);
    }
}

#[tokio::test]
async fn a_lane_without_a_topic_for_commands_says_so_and_the_audit_too() {
    let lane = TestLane::new().await;
    lane.dies(7, KEY, true).await;
    let row = row(&lane).await;
    let gone = LaneId { topic: "crossdock.out.gone".into(), ..row.lane.clone() };

    let refused = lane.keys.skip(&gone, &row.head, request()).await.unwrap_err();

    assert!(matches!(&refused, Error::NoControl { topic } if topic == "crossdock.out.gone"), "{refused}");
    assert_eq!(audit(&lane).await, [told("key.skip", "requested", "-"), told("key.skip", "failed", "-")]);
}

#[tokio::test]
async fn a_letter_that_is_not_there_any_more_cannot_come_back() {
    let lane = TestLane::new().await;
    let mut failure = lane.dies(7, KEY, false).await;
    failure.failure.place.2 = 99;

    let refused = lane.keys.replay(&failure, None, false, request()).await.unwrap_err();

    assert!(matches!(refused, Error::LetterGone { .. }), "{refused}");
}
