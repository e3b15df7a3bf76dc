//! What every engine of the [`Store`] promises. Each promise is one function, run unchanged on each engine:
//! `conformance_suite!(open)`, where `open` is an `async fn` that gives a [`Harness`] over a fresh, empty store.

mod audit;
mod decisions;
mod due;
mod events;
mod failures;
mod history;
mod lanes;
mod orders;
mod retention;
pub(crate) mod samples;

pub use audit::*;
pub use decisions::*;
pub use due::*;
pub use events::*;
pub use failures::*;
pub use history::*;
pub use lanes::*;
pub use orders::*;
pub use retention::*;

use std::future::Future;

use crate::store::Store;

/// One store under test.
pub trait Harness: Send + Sync + Sized {
    fn store(&self) -> &dyn Store;

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
            failures_are_kept_until_they_are_older_than_the_limit,
            the_audit_is_read_newest_first_page_by_page,
            every_filter_of_the_audit_filters,
        );
    };
}

#[cfg(test)]
pub(crate) use conformance_suite;
