//! What every engine of the [`Store`] promises. Each promise is one function, run unchanged on each engine:
//! `conformance_suite!(open)`, where `open` is an `async fn` that gives a [`Harness`] over a fresh, empty store.

mod audit;
pub(crate) mod batches;
mod claims;
mod decisions;
mod due;
mod engine_lanes;
mod engine_retention;
mod events;
mod failures;
mod history;
mod jobs;
mod lanes;
mod links;
mod orders;
mod outstanding;
mod retention;
pub(crate) mod samples;

pub use audit::*;
pub use claims::*;
pub use decisions::*;
pub use due::*;
pub use engine_lanes::*;
pub use engine_retention::*;
pub use events::*;
pub use failures::*;
pub use history::*;
pub use jobs::*;
pub use lanes::*;
pub use links::*;
pub use orders::*;
pub use outstanding::*;
pub use retention::*;

use std::future::Future;

use crate::store::Store;

/// One store under test.
pub trait Harness: Send + Sync + Sized {
    fn store(&self) -> &dyn Store;

    /// Whether several processes may have it open at once: an earlier owner of a lane may then still live.
    fn is_shared(&self) -> bool;

    /// Closes the store and opens it again over the same data.
    fn reopen(self) -> impl Future<Output = Self> + Send;
}

/// Runs every promise as a test of its own.
#[cfg(test)]
macro_rules! conformance_suite {
    (@ $open:path; $($promise:ident),+ $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            $crate::store::conformance::$promise($open().await).await;
        }
    )+ };
    ($open:path) => {
        $crate::store::conformance::conformance_suite!(@ $open;
            an_unknown_order_is_none,
            a_written_state_comes_back_equal,
            a_state_of_two_mebibytes_comes_back_equal,
            answers_follow_the_ids_asked_repeats_included,
            the_last_state_of_an_order_named_twice_wins,
            a_later_state_replaces_the_earlier_one_whole,
            parked_updates_come_by_revision_then_offset,
            parked_updates_are_replaced_as_a_set,
            orders_and_what_waits_are_counted,
            a_decision_comes_back_byte_for_byte,
            a_record_comes_before_its_releases_in_the_order_they_were_written,
            releases_written_later_follow_those_before,
            the_range_of_decisions_is_half_open,
            timer_decisions_come_by_number_after_the_one_given,
            a_known_origin_keeps_its_first_decision,
            the_same_write_again_changes_nothing,
            a_lane_begins_with_the_first_epoch_and_nothing_decided,
            taking_a_lane_returns_what_its_owner_wrote_last,
            an_older_epoch_is_refused_and_nothing_of_its_write_is_there,
            a_lane_never_taken_refuses_every_write,
            a_write_racing_a_takeover_is_wholly_before_or_refused,
            two_lanes_are_independent,
            writers_of_six_lanes_at_once_lose_nothing,
            everything_survives_a_reopening,
            due_comes_by_deadline_at_most_as_many_as_asked,
            due_of_one_deadline_comes_by_offset,
            due_is_per_lane,
            what_was_released_or_has_expired_is_not_due_again,
            published_events_are_found_among_those_asked,
            an_event_is_found_whatever_lane_published_it,
            a_payload_is_found_by_its_digest,
            the_same_payload_twice_is_one,
            the_ledger_of_an_order_is_in_the_order_of_writing,
            the_ledger_keeps_each_origin,
            an_order_without_a_state_has_a_ledger,
            decisions_are_kept_from_the_border_on,
            timer_decisions_are_kept_until_their_place_is_below_the_border,
            payloads_are_kept_until_they_are_older_than_the_limit,
            published_events_are_kept_until_they_are_older_than_the_limit,
            ledger_rows_are_kept_until_they_are_older_than_the_limit,
            orders_are_kept_until_they_are_older_than_the_limit,
            an_order_with_something_parked_is_never_pruned,
            a_pruned_order_may_come_again,
            pruning_is_bounded_and_comes_to_an_end,
            an_indexed_failure_comes_back_equal,
            a_failure_indexed_again_changes_nothing,
            one_event_of_two_tenants_is_two_failures,
            failures_come_newest_first_page_by_page,
            every_filter_of_failures_filters,
            failures_are_grouped_with_the_most_frequent_first,
            open_failures_are_counted_by_binding_and_code,
            a_change_and_its_audit_row_are_written_together,
            a_failure_of_a_replay_marks_the_one_replayed,
            only_open_failures_are_closed,
            failures_are_kept_until_they_are_older_than_the_limit,
            the_audit_is_read_newest_first_page_by_page,
            every_filter_of_the_audit_filters,
            a_job_freezes_the_failures_its_filter_names_oldest_first,
            a_plan_written_again_is_the_job_that_is_there,
            keys_with_an_older_failure_that_is_no_item_are_counted,
            jobs_come_newest_first_and_by_their_state,
            a_job_changes_only_from_the_states_named,
            items_change_and_are_counted,
            an_older_lease_is_refused,
            a_job_of_ten_thousand_items_is_read_page_by_page,
            jobs_are_kept_until_they_are_older_than_the_limit,
            a_lane_of_the_engine_begins_with_the_first_epoch_and_nothing_known,
            a_new_owner_finds_the_last_batch_and_the_checkpoint_seen_confirmed,
            a_decision_of_a_lane_comes_back_byte_for_byte_by_topic_and_offset,
            a_decided_origin_of_a_lane_keeps_its_first_decision,
            an_older_epoch_of_the_engine_is_refused_and_nothing_of_its_batch_is_there,
            a_lane_never_taken_over_refuses_batch_and_answer,
            the_same_batch_again_changes_nothing,
            an_answer_and_what_it_delivered_are_written_once,
            a_batch_of_a_thousand_decisions_and_claims_is_one_write,
            the_moves_a_record_ended_with_are_those_of_its_last_copy,
            an_executed_command_is_known_by_its_lane_and_its_outcome_to_everybody,
            a_claim_is_granted_once_and_then_has_its_answer,
            an_attempt_the_target_failed_was_none,
            an_open_claim_bars_a_later_owner_if_its_own_may_still_live,
            a_claim_that_expired_bars_nobody,
            a_record_that_comes_back_behind_a_later_one_is_overtaken_unless_forced,
            a_record_that_has_come_back_is_overtaken_even_if_forced,
            what_a_batch_ends_is_over_for_its_own_claims,
            a_newer_link_takes_the_place_of_the_older,
            an_accepted_order_is_known_by_its_own_id_without_a_link,
            orders_are_found_by_what_their_source_calls_them,
            a_delivered_value_is_replaced_by_the_next_of_its_kind,
            a_parked_record_is_releasable_once_its_link_is_known,
            a_parked_record_is_releasable_at_its_deadline,
            a_released_record_is_parked_no_more_and_its_effects_are_kept,
            a_moved_record_is_outstanding_where_its_newest_copy_lies,
            records_of_a_key_come_by_sequence_from_the_one_asked,
            keys_come_by_how_long_their_head_waits_page_by_page,
            every_filter_of_keys_filters,
            a_page_of_keys_is_bounded,
            what_is_decided_is_kept_from_the_border_on_and_until_it_is_confirmed,
            nothing_of_an_outstanding_or_parked_record_is_pruned,
            that_a_dead_record_came_back_is_kept_as_long_as_orders,
            links_delivered_values_and_commands_go_by_their_age,
        );
    };
}

#[cfg(test)]
pub(crate) use conformance_suite;
