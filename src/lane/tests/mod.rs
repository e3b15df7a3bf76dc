//! Single rules of the lane, each alone. What they add up to is the model's to check.

mod bench;

use std::time::Duration;

use crate::lane::batch::{Answer, ClaimAnswer, CommandOutcome, Disposition, Failure, Ruling, Target};
use crate::lane::command::{Command, Verb};
use crate::lane::tests::bench::{Bench, key};
use crate::lane::{OnDead, Place, Policy, Tier, Topic};

fn policy() -> Policy {
    let tier = |seconds| Tier { delay: Duration::from_secs(seconds), retired: false };
    Policy { tiers: vec![tier(1), tier(10)], attempts: 3, jitter_permille: 0, ..Policy::default() }
}

fn failed() -> Answer {
    Answer::Failed(Failure::default())
}

fn rejected() -> Answer {
    Answer::Rejected(Failure::default())
}

#[test]
fn a_failed_record_holds_up_its_key_and_no_other() {
    let mut bench = Bench::new(policy());
    bench.records(&["a", "a", "b"]);
    assert_eq!(bench.running(), [0, 2].into());

    bench.answer(0, failed());
    bench.answer(2, Answer::Applied);
    bench.records(&["a", "b"]);

    assert_eq!(bench.running(), [4].into(), "the other key goes on");
    let tier = Topic::Tier(0);
    assert_eq!(bench.places(), [(0, tier), (1, tier), (3, tier), (4, Topic::Source)]);
}

#[test]
fn in_a_tier_one_keys_wait_does_not_delay_another() {
    let mut bench = Bench::new(policy());
    bench.records(&["a", "a", "b"]);
    bench.answer(0, failed());
    bench.answer(2, failed());

    bench.pass(1);
    bench.answer(0, failed());
    bench.answer(2, Answer::Applied);

    // The first record of the tier waits for its head, which is in the next tier; the one behind it is done.
    assert_eq!(bench.places(), [(0, Topic::Tier(1)), (1, Topic::Tier(0))]);
    assert_eq!(bench.lane.position(Topic::Tier(0)), 3);
}

#[test]
fn nothing_is_attempted_before_its_delay_by_the_logs_clock() {
    let mut bench = Bench::new(policy());
    bench.records(&["a"]);
    bench.answer(0, failed());
    assert_eq!(bench.lane.wakes_at(), Some(1_000));

    bench.lane.clock(999);
    bench.settle();
    assert_eq!(bench.running(), [].into());

    bench.pass(1);
    assert_eq!(bench.running(), [0].into());
}

#[test]
fn an_attempt_begins_only_when_its_claim_is_in_the_store() {
    let mut bench = Bench::new(policy());
    bench.lane.record(0, &key("a"), None, None);

    let batch = bench.lane.batch().unwrap();
    assert_eq!(batch.claims.iter().map(|claim| (claim.seq, claim.attempt)).collect::<Vec<_>>(), [(0, 1)]);
    assert_eq!(bench.lane.batch(), None, "one batch at a time");

    let attempts = bench.lane.stored(vec![ClaimAnswer::Granted]);
    assert_eq!(attempts.len(), 1);
}

#[test]
fn a_record_that_another_owner_may_be_at_is_left_alone_and_no_other() {
    let mut bench = Bench::new(policy());
    bench.lane.record(0, &key("a"), None, None);
    bench.lane.record(1, &key("b"), None, None);
    bench.lane.batch().unwrap();

    let begun = bench.lane.stored(vec![ClaimAnswer::Busy { until_ms: 5_000 }, ClaimAnswer::Granted]);
    bench.lane.committed();
    bench.pass(4);
    assert_eq!((begun.len(), bench.running()), (1, [].into()));

    bench.pass(1);
    assert_eq!(bench.running(), [0].into());
}

#[test]
fn a_target_that_fails_costs_no_attempt_and_stops_the_intake() {
    let mut bench = Bench::new(policy());
    bench.records(&["a", "b"]);

    bench.answer(0, Answer::TargetFailed);
    bench.answer(1, Answer::Applied);
    assert_eq!((bench.lane.wanted(), bench.running()), (0, [].into()));

    bench.lane.target(Target::Available);
    bench.settle();
    assert_eq!(bench.running.iter().map(|attempt| (attempt.seq, attempt.attempt)).collect::<Vec<_>>(), [(0, 1)]);
}

#[test]
fn a_target_on_probation_gets_one_attempt_at_a_time() {
    let mut bench = Bench::new(policy());
    bench.lane.target(Target::Probing);

    bench.records(&["a", "b"]);

    assert_eq!(bench.running(), [0].into());
}

#[test]
fn the_policy_says_what_a_dead_head_means_for_its_key() {
    let moved = |bench: &Bench, seq| bench.places().iter().any(|(other, topic)| *other == seq && *topic == Topic::Held);
    for (on_dead, head_ends, follower_ends, follower_runs) in [
        (OnDead::Hold, None, None, false),
        (OnDead::Continue, Some(Ruling::Dead(Disposition::Rejected)), None, true),
        (OnDead::Flush, None, Some(Ruling::Dead(Disposition::Flushed)), false),
        (OnDead::Supersede, Some(Ruling::Superseded), None, true),
    ] {
        let mut bench = Bench::new(Policy { on_dead, ..policy() });
        bench.records(&["a", "a"]);

        bench.answer(0, rejected());

        let end_of =
            |seq| bench.rulings.iter().find(|(other, ruling)| *other == seq && ruling.is_end()).map(|end| end.1);
        assert_eq!((end_of(0), end_of(1)), (head_ends, follower_ends), "{on_dead:?}");
        assert_eq!(moved(&bench, 0), head_ends.is_none(), "{on_dead:?}");
        assert_eq!(bench.running().contains(&1), follower_runs, "{on_dead:?}");
    }
}

#[test]
fn a_record_that_cannot_be_read_never_holds_its_key() {
    let mut bench = Bench::new(policy());
    bench.records(&["a", "a"]);

    bench.answer(0, Answer::Undecodable(Failure::default()));

    assert_eq!(bench.rulings, [(0, Ruling::Dead(Disposition::Undecodable))]);
    assert_eq!(bench.running(), [1].into());
}

#[test]
fn a_key_at_its_cap_loses_its_newest_records_to_the_dead_letters_and_stops_no_other() {
    let mut bench = Bench::new(Policy { key_cap: 2, ..policy() });
    bench.records(&["a", "a"]);
    bench.answer(0, rejected());

    bench.records(&["a", "b"]);

    assert_eq!(bench.rulings.last(), Some(&(2, Ruling::Dead(Disposition::KeyOverflow))));
    assert_eq!(bench.running(), [3].into());
}

#[test]
fn at_the_lanes_cap_nothing_is_taken_and_nothing_dropped() {
    let mut bench = Bench::new(Policy { lane_cap: 3, ..policy() });
    bench.records(&["a", "a", "a"]);
    bench.answer(0, rejected());
    assert_eq!((bench.lane.wanted(), bench.places().len()), (0, 3));

    bench.command("c", "a", Verb::Purge { through: 2 });

    assert_eq!((bench.lane.wanted(), bench.places().len()), (3, 0));
}

#[test]
fn a_held_head_gets_its_second_rounds_by_time_and_then_waits_for_an_operator() {
    let rounds = vec![Duration::from_secs(60), Duration::from_secs(600)];
    let mut bench = Bench::new(Policy { attempts: 1, second_rounds: rounds, ..policy() });
    bench.records(&["a", "a"]);
    bench.answer(0, failed());

    for wait in [60, 600] {
        bench.pass(wait - 1);
        assert_eq!(bench.running(), [].into());
        bench.pass(1);
        assert_eq!(bench.running(), [0].into(), "after {wait} s");
        bench.answer(0, failed());
    }
    bench.pass(1_000_000);
    assert_eq!(bench.running(), [].into());

    bench.command("c", "a", Verb::Retry);
    bench.answer(0, Answer::Applied);
    assert_eq!(bench.running(), [1].into(), "what waits behind the head follows");
    assert_eq!(bench.outcomes, [("c".to_owned(), CommandOutcome::Done)]);
}

#[test]
fn when_its_target_is_available_again_a_key_held_for_a_passing_cause_gets_its_round_at_once() {
    let mut bench = Bench::new(Policy { attempts: 1, ..policy() });
    bench.records(&["a", "b", "c"]);
    bench.answer(0, failed());
    bench.answer(1, rejected());
    bench.answer(2, failed());

    bench.lane.target(Target::Paused);
    bench.lane.target(Target::Available);
    bench.settle();

    assert_eq!(bench.running(), [0].into(), "one at a time, and not what was rejected");
    bench.answer(0, Answer::Applied);
    assert_eq!(bench.running(), [2].into());
}

#[test]
fn an_edited_value_is_attempted_from_the_command_and_is_for_the_head_alone() {
    let mut bench = Bench::new(policy());
    bench.records(&["a", "a"]);
    bench.answer(0, rejected());

    bench.command("c1", "a", Verb::Edit { seq: 1 });
    bench.command("c2", "a", Verb::Edit { seq: 0 });

    assert_eq!(bench.outcomes, [("c1".to_owned(), CommandOutcome::NotHead)]);
    let attempt = &bench.running[0];
    assert_eq!((attempt.payload, attempt.origin), (Place::new(Topic::Control, 1), Place::new(Topic::Held, 0)));
    assert_eq!(attempt.attempt, 2);
}

#[test]
fn a_command_on_a_record_under_way_waits_for_its_result() {
    let mut bench = Bench::new(policy());
    bench.records(&["a"]);

    bench.command("c", "a", Verb::Skip { seq: 0 });
    assert_eq!((bench.outcomes.len(), bench.running()), (0, [0].into()));

    bench.answer(0, failed());
    assert_eq!(bench.rulings.last(), Some(&(0, Ruling::Skipped)));
    assert_eq!(bench.outcomes, [("c".to_owned(), CommandOutcome::Done)]);
}

#[test]
fn the_head_of_a_key_is_skipped_only_when_no_other_owner_can_be_at_it() {
    let mut bench = Bench::new(policy());
    bench.lane.record(0, &key("a"), None, None);
    bench.lane.record(1, &key("a"), None, None);
    bench.lane.batch().unwrap();
    bench.lane.stored(vec![ClaimAnswer::Busy { until_ms: 5_000 }]);
    bench.lane.committed();

    bench.command("c", "a", Verb::Skip { seq: 0 });
    bench.pass(4);
    assert_eq!((bench.rulings.len(), bench.running()), (0, [].into()));

    bench.pass(1);
    assert_eq!(bench.rulings, [(0, Ruling::Skipped)]);
    assert_eq!(bench.running(), [1].into());
}

#[test]
fn a_skip_that_meets_an_open_claim_is_made_up_for() {
    let mut bench = Bench::new(policy());
    bench.lane.record(0, &key("a"), None, None);
    bench.lane.command(0, Command { id: "c".to_owned(), key: key("a"), verb: Verb::Skip { seq: 0 } }, false);
    bench.lane.batch().unwrap();
    bench.lane.stored(vec![ClaimAnswer::Busy { until_ms: 5_000 }]);
    bench.lane.committed();

    bench.pass(5);

    assert_eq!(bench.rulings, [(0, Ruling::Skipped)]);
}

#[test]
fn a_record_is_skipped_while_its_target_is_paused() {
    let mut bench = Bench::new(policy());
    bench.records(&["a"]);
    bench.answer(0, Answer::TargetFailed);

    bench.command("c", "a", Verb::Skip { seq: 0 });

    assert_eq!(bench.rulings, [(0, Ruling::Skipped)]);
    assert_eq!(bench.running(), [].into());
}

#[test]
fn a_command_is_executed_once_however_often_it_is_written() {
    let mut bench = Bench::new(policy());
    bench.records(&["a"]);
    bench.answer(0, rejected());

    bench.command("c", "a", Verb::Retry);
    bench.command("c", "a", Verb::Retry);
    bench.answer(0, rejected());

    assert_eq!(bench.running(), [].into());
    let expected = [CommandOutcome::Repeated, CommandOutcome::Done].map(|outcome| ("c".to_owned(), outcome));
    assert_eq!(bench.outcomes, expected);
}

#[test]
fn a_command_is_not_executed_again_while_its_end_is_on_the_way_to_the_store() {
    let mut bench = Bench::new(policy());
    let command = || Command { id: "c".to_owned(), key: key("a"), verb: Verb::Retry };

    bench.lane.command(0, command(), false);
    bench.lane.command(1, command(), false);
    bench.lane.batch().unwrap();
    bench.lane.command(2, command(), false);
    bench.lane.stored(Vec::new());
    bench.lane.committed();
    bench.settle();

    assert_eq!(bench.outcomes, [("c".to_owned(), CommandOutcome::Repeated)], "the third; the second was as well");
}

#[test]
fn a_replay_runs_before_what_waits_and_is_refused_behind_a_held_head() {
    let replay = |seq| Verb::Replay { seq, hop: 1, attempts: 1, is_forced: false };
    let mut bench = Bench::new(Policy { on_dead: OnDead::Continue, concurrency: 1, ..policy() });
    bench.records(&["a", "b", "a"]);
    bench.answer(0, rejected());
    bench.command("c1", "a", replay(0));
    bench.answer(1, Answer::Applied);
    assert_eq!(bench.running(), [0].into(), "and not its successor");
    assert_eq!(bench.running[0].attempt, 2, "attempts go on being counted");

    let mut bench = Bench::new(Policy { key_cap: 1, ..policy() });
    bench.records(&["a", "a"]);
    bench.answer(0, rejected());
    bench.command("c2", "a", Verb::Replay { seq: 1, hop: 1, attempts: 0, is_forced: true });
    assert_eq!(bench.outcomes, [("c2".to_owned(), CommandOutcome::NotHead)]);
}

#[test]
fn what_waits_behind_its_head_makes_room_for_a_head_above_the_span() {
    let mut bench = Bench::new(Policy { span: 4, ..policy() });
    bench.records(&["a", "a", "a", "a", "a", "b"]);
    bench.answer(0, failed());
    bench.pass(1);
    bench.answer(0, failed());
    bench.answer(5, failed());
    assert_eq!(bench.lane.position(Topic::Tier(0)), 6, "b is at 5, four records of a before it");

    bench.pass(1);

    assert_eq!(bench.running(), [5].into());
    let again = bench.places().into_iter().filter(|(seq, topic)| (1..5).contains(seq) && *topic == Topic::Tier(0));
    assert_eq!(again.count(), 4, "they wait in the same tier, further on");
}

#[test]
fn a_tier_out_of_use_is_emptied_and_not_written() {
    let mut bench = Bench::new(policy());
    bench.records(&["a", "b"]);
    bench.answer(0, failed());
    bench.lane.policy.tiers[0].retired = true;

    bench.answer(1, failed());
    bench.pass(1);

    assert_eq!(bench.running(), [0].into(), "what is in it runs");
    bench.answer(0, failed());
    assert_eq!(bench.places(), [(0, Topic::Tier(1)), (1, Topic::Tier(1))]);
}

#[test]
fn a_released_record_counts_as_applied_with_the_next_batch() {
    let mut bench = Bench::new(policy());
    bench.records(&["a", "b"]);
    bench.answer(0, Answer::Parked);
    bench.answer(1, Answer::Applied);
    assert_eq!((bench.lane.balance().parked, bench.lane.batch()), (1, None));

    bench.lane.released(1);
    let batch = bench.lane.batch().expect("the log is to be told");

    assert_eq!(batch.decisions, []);
    let balance = batch.checkpoint.balance;
    assert!(balance.is_even());
    assert_eq!((balance.parked, balance.applied, balance.taken), (0, 2, 2));
}

#[test]
fn what_does_not_fit_into_a_batch_is_in_the_next() {
    let mut bench = Bench::new(policy());
    for (offset, name) in ["a", "b", "c"].into_iter().enumerate() {
        bench.lane.record(i64::try_from(offset).expect("three"), &key(name), None, None);
    }
    let claims = bench.lane.batch().expect("three claims").claims.len();
    bench.lane.stored(vec![ClaimAnswer::Granted; claims]);
    bench.lane.committed();
    (0..3).for_each(|seq| bench.lane.answer(seq, 1, Answer::Applied));

    let mut room = 2;
    let batch = bench.lane.batch_within(|_| std::mem::replace(&mut room, 1) == 2).expect("there is room for one");
    assert_eq!(batch.decisions.iter().map(|decision| decision.seq).collect::<Vec<_>>(), [0]);
    assert_eq!(batch.checkpoint.of(Topic::Source).low, 1);
    bench.lane.stored(Vec::new());
    bench.lane.committed();

    let rest = bench.lane.batch().expect("the others are staged");
    assert_eq!(rest.decisions.iter().map(|decision| decision.seq).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_head_that_is_due_and_waits_for_its_target_wakes_nobody() {
    let mut bench = Bench::new(policy());
    bench.records(&["a"]);
    bench.answer(0, failed());
    bench.lane.target(Target::Paused);

    bench.pass(1);

    assert_eq!((bench.lane.wakes_at(), bench.running()), (None, [].into()));
}
