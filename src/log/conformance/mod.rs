//! What every engine promises, one function a promise, run unchanged on each.
//!
//! An engine's test module implements [`Engine`], has an `async fn open() -> Harness` and says
//! `crate::log::conformance::conformance_suite!(open);`. A new promise is one function and one name in the list.
//! Offsets are taken from what the log returned, never counted: an engine may leave gaps between commits.

#![cfg(any(test, doc))]

mod appends;
mod commits;
mod deletion;
mod ownership;
mod reads;
mod subscriptions;
mod topics;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub use self::appends::*;
pub use self::commits::*;
pub use self::deletion::*;
pub use self::ownership::*;
pub use self::reads::*;
pub use self::subscriptions::*;
pub use self::topics::*;
use super::{
    Append, EventLog, Lane, LaneEffects, Membership, OffsetCommit, Ownership, Position, ReadLimit, Record, Stored,
    TopicSpec,
};

/// What a test needs of an engine besides the log.
pub trait Engine: Send + Sync {
    /// The log over the engine's lasting state: empty the first time, and from then on as the last one left it.
    fn open(&self) -> BoxFuture<'_, Arc<dyn EventLog>>;

    /// Returns when the clock of append times has moved on by `by_ms` or more.
    fn pass_time(&self, by_ms: i64) -> BoxFuture<'_, ()>;

    /// A member that owns every lane while the older one still believes it does.
    fn usurp<'a>(
        &'a self,
        log: &'a dyn EventLog,
        group: &'a str,
        topics: &'a [&'a str],
    ) -> BoxFuture<'a, Box<dyn Membership>> {
        Box::pin(async move { log.join(group, topics).await.unwrap() })
    }
}

/// One engine, its log, and names that no other test uses.
pub struct Harness {
    engine: Box<dyn Engine>,
    log: Arc<dyn EventLog>,
    prefix: String,
}

/// Names every promise once; `$open` is an `async fn() -> Harness`.
macro_rules! conformance_suite {
    (@ $open:path; $($promise:ident),+ $(,)?) => { $(
        #[tokio::test]
        async fn $promise() {
            $crate::log::conformance::$promise($open().await).await
        }
    )+ };
    ($open:path) => {
        $crate::log::conformance::conformance_suite! { @ $open;
            a_key_lands_on_its_murmur2_partition,
            a_named_partition_wins_over_the_key,
            a_record_without_a_key_lands_on_the_first_partition,
            records_of_a_partition_come_back_in_append_order,
            key_value_and_headers_come_back_exactly,
            a_tombstone_is_not_an_empty_value,
            returned_positions_are_where_the_records_are,
            an_acknowledged_append_survives_a_restart,
            a_record_of_sixteen_mebibytes_comes_back,
            a_record_over_the_limit_is_refused_by_name,
            nothing_of_a_refused_append_is_visible,
            concurrent_appenders_lose_and_reorder_nothing,
            append_times_never_go_back,
            offset_at_finds_the_first_record_at_or_after_a_time,

            creating_a_topic_again_changes_nothing,
            another_partition_count_is_refused,
            topics_survive_a_restart,
            an_unknown_topic_is_named_by_every_call,
            an_unknown_partition_is_named_by_every_call,

            a_read_at_the_end_is_empty,
            a_read_keeps_to_its_limits,
            a_read_returns_one_record_however_large,
            a_read_goes_on_where_the_last_one_ended,
            reads_of_a_partition_at_different_places_do_not_hold_each_other_up,
            poll_waits_for_an_append,
            poll_waits_for_a_commit,
            poll_ends_empty_when_the_time_is_up,
            wait_wakes_on_any_of_its_positions,
            wait_returns_at_once_if_a_record_is_there,

            a_commit_shows_its_appends_and_offsets,
            a_commit_without_appends_moves_the_offset,
            an_offset_may_be_committed_backwards,
            a_commit_over_several_lanes_is_all_or_nothing,
            an_impossible_effect_is_named,
            metadata_of_4096_bytes_is_kept_and_more_is_refused,
            an_offset_without_metadata_is_readable,
            an_offset_never_committed_is_absent,
            offsets_of_other_topics_are_kept_beside_the_lane,
            offsets_and_metadata_survive_a_restart,
            two_groups_are_independent,
            a_refused_commit_does_not_fail_its_companions,

            a_member_owns_every_lane_of_its_topics,
            a_newer_member_takes_every_lane_over,
            a_fenced_members_effects_never_become_visible,
            one_fenced_lane_refuses_the_whole_commit,
            a_lane_that_was_not_joined_is_refused,
            members_of_other_groups_are_not_fenced,
            generations_grow_over_a_restart,

            a_subscription_starts_at_the_start,
            a_subscription_goes_on_behind_its_commit,
            a_subscription_reads_all_its_topics,
            a_subscription_reads_each_partition_in_order,
            a_subscription_keeps_to_its_limits,
            a_subscription_waits_for_an_append,
            a_subscription_ends_its_poll_empty_when_the_time_is_up,
            records_that_were_not_committed_come_again,
            a_subscription_sees_no_refused_commit,
            subscriptions_of_several_groups_are_independent,
            a_topic_is_read_once_it_is_there,
            a_newer_subscription_takes_the_partitions_over,
            committed_tells_what_a_subscription_committed,
            offsets_of_a_partition_it_does_not_have_are_left_out,
            an_offset_that_is_gone_is_read_from_the_start,

            trim_deletes_below_its_offset,
            trim_never_passes_a_cursor,
            trim_never_passes_the_end,
            a_long_trim_reaches_its_offset,
            offsets_are_not_used_again_after_a_full_trim,
            a_read_below_the_start_reads_from_the_start,
        }
    };
}
pub(crate) use conformance_suite;

const ALL: ReadLimit = ReadLimit { records: usize::MAX, bytes: usize::MAX };
const MIB: usize = 1024 * 1024;
/// Only a guard: what is awaited under it has happened, or never will.
const GUARD: Duration = Duration::from_secs(60);
/// Of every topic these tests make, unless they say otherwise.
const MAX_RECORD_BYTES: usize = 16 * MIB + 1024;

impl Harness {
    /// `prefix`: put before every topic and group, for engines that tests share.
    pub async fn new(engine: impl Engine + 'static, prefix: &str) -> Self {
        let log = engine.open().await;
        Self { engine: Box::new(engine), log, prefix: prefix.to_owned() }
    }

    /// The same engine after a restart. Every membership must be gone.
    async fn reopen(self) -> Self {
        let Self { engine, log, prefix } = self;
        drop(log);
        let log = engine.open().await;
        Self { engine, log, prefix }
    }

    /// A new topic.
    async fn topic(&self, name: &str, partitions: u32) -> Arc<str> {
        let spec = self.spec(name, partitions);
        self.create_topic(&spec).await.unwrap();
        spec.name.into()
    }

    fn spec(&self, name: &str, partitions: u32) -> TopicSpec {
        let name = format!("{}{name}", self.prefix);
        TopicSpec { name, partitions, max_record_bytes: MAX_RECORD_BYTES, retention: None }
    }

    fn group(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A member of the group and the lanes it was told of, by topic and partition.
    async fn member(&self, group: &str, topics: &[&str]) -> (Box<dyn Membership>, Vec<Lane>) {
        let member = self.join(&self.group(group), topics).await.unwrap();
        let lanes = assigned(member.as_ref()).await;
        (member, lanes)
    }

    /// As [`Self::member`], with an older member that does not know of it.
    async fn usurper(&self, group: &str, topics: &[&str]) -> (Box<dyn Membership>, Vec<Lane>) {
        let member = self.engine.usurp(self.log.as_ref(), &self.group(group), topics).await;
        let lanes = assigned(member.as_ref()).await;
        (member, lanes)
    }

    /// Appends texts to one partition.
    async fn put(&self, topic: &Arc<str>, partition: u32, values: &[&str]) -> Vec<Position> {
        let appends = values.iter().map(|value| to(topic, partition, value)).collect();
        self.append(appends).await.unwrap()
    }

    /// Every record of a partition.
    async fn records(&self, topic: &str, partition: u32) -> Vec<Stored> {
        let mut records: Vec<Stored> = Vec::new();
        loop {
            let from = records.last().map_or(0, |stored| stored.offset + 1);
            let more = self.read(topic, partition, from, ALL).await.unwrap();
            if more.is_empty() {
                return records;
            }
            records.extend(more);
        }
    }

    /// The value of every record of a partition, as text.
    async fn values(&self, topic: &str, partition: u32) -> Vec<String> {
        self.records(topic, partition).await.iter().map(text).collect()
    }

    async fn pass_time(&self, by_ms: i64) {
        self.engine.pass_time(by_ms).await;
    }
}

impl Deref for Harness {
    type Target = dyn EventLog;

    fn deref(&self) -> &Self::Target {
        self.log.as_ref()
    }
}

async fn assigned(member: &dyn Membership) -> Vec<Lane> {
    match within(member.next()).await.unwrap() {
        Ownership::Assigned(mut lanes) => {
            lanes.sort();
            lanes
        }
        Ownership::Revoked(lanes) => panic!("revoked before anything was assigned: {lanes:?}"),
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, future).await.expect("it never happened")
}

/// Polls once and finds that there is nothing yet.
fn assert_pending<T>(future: &mut BoxFuture<'_, T>) {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
}

fn to(topic: &Arc<str>, partition: u32, value: &str) -> Append {
    Append { topic: topic.clone(), partition: Some(partition), record: record(value) }
}

fn record(value: &str) -> Record {
    Record { key: None, value: Some(Bytes::copy_from_slice(value.as_bytes())), headers: Vec::new() }
}

fn text(stored: &Stored) -> String {
    String::from_utf8(stored.record.value.as_deref().unwrap_or_default().to_vec()).unwrap()
}

fn commit(lane: &Lane, offset: i64, appends: Vec<Append>) -> LaneEffects {
    LaneEffects { lane: lane.clone(), offset: at(offset, ""), others: Default::default(), appends }
}

fn at(offset: i64, metadata: &str) -> OffsetCommit {
    OffsetCommit { offset, metadata: metadata.to_owned() }
}
