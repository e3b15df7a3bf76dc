//! The driver on real engines: order, failures, operators, crashes. Every fact is one function, run on each.

mod chaos;
mod crashes;
mod embedded;
mod operators;
mod order;
mod parked;
#[cfg(all(feature = "test-kafka", feature = "test-postgres"))]
mod scale_out;
pub mod script;
mod stages;
mod targets;
pub mod world;

/// One test for each fact, on the engines that `$open` opens.
macro_rules! suite {
    (@ $open:path; $($file:ident :: $fact:ident),+ $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $fact() { super::$file::$fact($open().await).await }
    )+ };
    ($open:path) => { crate::driver::tests::suite! { @ $open;
        chaos::every_invariant_holds_whatever_happens,
        order::records_of_one_key_stay_in_order_through_failures_and_others_go_on,
        order::a_retry_is_not_made_before_its_delay_is_over,
        order::a_record_that_is_dead_holds_its_key_and_its_letter_is_the_record,
        order::a_held_head_gets_its_second_round_and_its_followers_go_on,
        order::a_retry_topic_out_of_use_is_emptied,
        order::a_record_without_key_or_value_is_dead_and_alone,
        order::more_than_one_commit_takes_goes_in_several,
        operators::a_held_key_is_retried_edited_skipped_and_purged,
        operators::a_dead_record_is_replayed_once,
        crashes::effects_are_in_the_log_once_wherever_an_owner_dies,
        crashes::a_call_that_was_answered_is_not_made_again_wherever_an_owner_dies,
        crashes::a_commit_without_an_answer_is_not_made_twice,
        crashes::a_frozen_owner_does_nothing_once_another_has_the_lane,
        crashes::a_stop_lets_attempts_end_and_keeps_what_they_decided,
        crashes::an_effect_that_can_never_be_appended_faults_the_lane,
        parked::a_parked_record_is_released_by_its_link_and_another_by_time,
        parked::released_effects_are_in_the_log_once_wherever_an_owner_dies,
        targets::a_target_that_fails_costs_no_attempt_and_stops_its_lane_until_it_is_back,
        targets::a_lane_is_driven_by_its_own_clock_and_wakes_for_everything,
    } };
}
use suite;
