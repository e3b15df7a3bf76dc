//! Who may attempt a record.

use super::Harness;
use super::batches::{CLAIM_MS, Owner, at, claim, engine_lane, failed, guarded, put, ruled};
use crate::lane::batch::{Answer, ClaimAnswer, Disposition, Ruling};
use crate::lane::place::Topic;

pub async fn a_claim_is_granted_once_and_then_has_its_answer(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    let answers = [
        Answer::Applied,
        Answer::Parked,
        Answer::Failed(failed("later")),
        Answer::Rejected(failed("é\0")),
        Answer::Undecodable(failed("")),
    ];
    for (seq, answer) in (0..).zip(answers) {
        let name = format!("K{seq}");
        assert_eq!(owner.claim(claim(seq, &name, 1)).await, ClaimAnswer::Granted);
        assert_eq!(owner.claim(claim(seq, &name, 1)).await, ClaimAnswer::Granted, "its own, without an answer");
        owner.settle(seq, 1, answer.clone()).await;
        owner.settle(seq, 1, Answer::Parked).await; // what was answered stays

        assert_eq!(owner.claim(claim(seq, &name, 1)).await, ClaimAnswer::Settled(answer.clone()));
        let mut next = Owner::take_over(harness.store(), engine_lane(0)).await;
        assert_eq!(next.claim(claim(seq, &name, 1)).await, ClaimAnswer::Settled(answer));
        assert_eq!(next.claim(claim(seq, &name, 2)).await, ClaimAnswer::Granted, "the next attempt is another claim");
        owner = next;
    }
    let mut other = Owner::take_over(harness.store(), engine_lane(1)).await;
    assert_eq!(other.claim(claim(0, "K0", 1)).await, ClaimAnswer::Granted, "of another lane");
}

pub async fn an_attempt_the_target_failed_was_none(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    owner.claim(claim(1, "A", 1)).await;
    owner.settle(1, 1, Answer::TargetFailed).await;
    owner.settle(1, 1, Answer::TargetFailed).await;
    owner.settle(1, 1, Answer::Applied).await; // of no claim

    let mut next = Owner::take_over(harness.store(), engine_lane(0)).await;

    assert_eq!(next.claim(claim(1, "A", 1)).await, ClaimAnswer::Granted);
    next.settle(1, 1, Answer::TargetFailed).await;
    assert_eq!(next.claim(claim(1, "A", 1)).await, ClaimAnswer::Granted);
}

pub async fn an_open_claim_bars_a_later_owner_if_its_own_may_still_live(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    owner.claim(claim(1, "A", 1)).await;
    let mut next = Owner::take_over(harness.store(), engine_lane(0)).await;
    next.now_ms = 5_000; // no matter how the owners' clocks differ

    let answer = next.claim(claim(1, "A", 1)).await;

    match answer {
        ClaimAnswer::Busy { until_ms } if harness.is_shared() => {
            let left = until_ms - next.now_ms;
            assert!((CLAIM_MS - 60_000..=CLAIM_MS).contains(&left), "{left} ms are left of {CLAIM_MS}");
        }
        answer => assert_eq!((answer, harness.is_shared()), (ClaimAnswer::Granted, false)),
    }
}

pub async fn a_claim_that_expired_bars_nobody(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    owner.claim_ms = 0;
    owner.now_ms = i64::MAX / 2; // an owner whose clock is wrong
    owner.claim(claim(1, "A", 1)).await;
    let mut next = Owner::take_over(harness.store(), engine_lane(0)).await;

    assert_eq!(next.claim(claim(1, "A", 1)).await, ClaimAnswer::Granted);
    next.settle(1, 1, Answer::Applied).await;
    assert_eq!(next.claim(claim(1, "A", 1)).await, ClaimAnswer::Settled(Answer::Applied));
}

pub async fn a_record_that_comes_back_behind_a_later_one_is_overtaken_unless_forced(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    owner.decide([ruled(3, "A", Ruling::Dead(Disposition::Rejected))]).await;
    assert_eq!(owner.claim(claim(8, "A", 1)).await, ClaimAnswer::Granted);
    owner.settle(8, 1, Answer::TargetFailed).await; // attempted or not: it may have arrived

    assert_eq!(owner.claim(guarded(3, "A", 2, 1, false)).await, ClaimAnswer::Overtaken);
    assert_eq!(owner.claim(guarded(3, "A", 2, 1, true)).await, ClaimAnswer::Granted);
    assert_eq!(owner.claim(guarded(8, "A", 2, 0, false)).await, ClaimAnswer::Granted, "itself is no later one");
    assert_eq!(owner.claim(guarded(9, "A", 1, 0, false)).await, ClaimAnswer::Granted);
    assert_eq!(owner.claim(guarded(3, "B", 3, 1, false)).await, ClaimAnswer::Granted, "of another key");
    assert_eq!(owner.claim(guarded(8, "A", 3, 0, false)).await, ClaimAnswer::Overtaken);
    assert_eq!(owner.claim(claim(3, "A", 4)).await, ClaimAnswer::Granted, "without a guard");
}

pub async fn a_record_that_has_come_back_is_overtaken_even_if_forced(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;
    owner.decide([ruled(3, "A", Ruling::Dead(Disposition::Rejected))]).await;
    assert_eq!(owner.claim(guarded(3, "A", 2, 1, false)).await, ClaimAnswer::Granted);
    owner.settle(3, 2, Answer::Applied).await;
    assert_eq!(owner.claim(guarded(3, "A", 2, 1, false)).await, ClaimAnswer::Settled(Answer::Applied));

    owner.decide([at(ruled(3, "A", Ruling::Applied), Topic::Control, 0, 1)]).await;

    assert_eq!(owner.claim(guarded(3, "A", 2, 1, true)).await, ClaimAnswer::Overtaken);
    assert_eq!(owner.claim(guarded(3, "A", 3, 1, true)).await, ClaimAnswer::Overtaken);
    assert_eq!(owner.claim(guarded(3, "A", 3, 2, true)).await, ClaimAnswer::Granted);
}

/// The end of a record counts for the claims of the same batch: it is written before them.
pub async fn what_a_batch_ends_is_over_for_its_own_claims(harness: impl Harness) {
    let mut owner = Owner::take_over(harness.store(), engine_lane(0)).await;

    let answers = owner
        .write(|write| {
            put(write, ruled(3, "A", Ruling::Dead(Disposition::Rejected)), Vec::new());
            write.batch.claims = vec![
                guarded(3, "A", 2, 0, true),
                guarded(3, "A", 2, 1, true),
                claim(9, "B", 1),
                guarded(4, "B", 1, 0, false),
            ];
        })
        .await;

    let expected = [ClaimAnswer::Overtaken, ClaimAnswer::Granted, ClaimAnswer::Granted, ClaimAnswer::Overtaken];
    assert_eq!(answers, expected);
}
