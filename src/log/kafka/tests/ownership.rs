//! Who owns a lane, when processes come and go.

use std::sync::Arc;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::oneshot;

use super::super::committer::{Entry, Failure, Job, Staged, Transactor};
use super::super::delivery::Row;
use super::super::native::CallError;
use super::super::roster::Roster;
use super::super::{GroupProtocol, KafkaLog, Options};
use super::{Slot, commit, options, own, to, unique_prefix, values, within};
use crate::log::{Error, EventLog as _, Lane, LaneEffects, Membership as _, OffsetCommit, Ownership};

async fn two_members_split_the_lanes_and_one_takes_them_back(first: Slot, other: Arc<KafkaLog>) {
    let topic = first.topic("orders", 2).await;
    let (older, mut older_lanes) = (first.join(&first.log, &topic).await, Vec::new());
    own(older.as_ref(), &mut older_lanes, 2).await;
    older.commit(commit(&older_lanes[1], 1, vec![])).await.unwrap();

    let (newer, mut newer_lanes) = (first.join(&other, &topic).await, Vec::new());
    own(older.as_ref(), &mut older_lanes, 1).await;
    own(newer.as_ref(), &mut newer_lanes, 1).await;
    assert_ne!(older_lanes[0].partition, newer_lanes[0].partition);
    older.commit(commit(&older_lanes[0], 2, vec![to(&topic, 0, "older")])).await.unwrap();
    newer.commit(commit(&newer_lanes[0], 3, vec![to(&topic, 0, "newer")])).await.unwrap();

    drop(older);
    own(newer.as_ref(), &mut newer_lanes, 2).await;

    for lane in &newer_lanes {
        let found = newer.committed(lane).await.unwrap()[&*topic].offset;
        newer.commit(commit(lane, found + 10, vec![])).await.unwrap();
    }
    let mut offsets: Vec<_> =
        other.committed(&first.group(), &topic).await.unwrap().into_values().map(|of| of.offset).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [12, 13]);
    let mut written = values(&other, &topic, 0).await;
    written.sort();
    assert_eq!(written, ["newer", "older"]);
}

#[tokio::test]
async fn lanes_are_split_and_taken_back_when_members_assign_them() {
    let first = Slot::open().await;
    let other = first.another().await;
    two_members_split_the_lanes_and_one_takes_them_back(first, other).await;
}

#[tokio::test]
async fn lanes_are_split_and_taken_back_when_the_broker_assigns_them() {
    let prefix = unique_prefix();
    let open = |id: String| KafkaLog::open(Options { group_protocol: GroupProtocol::Consumer, ..without_timing(&id) });
    let log = open(prefix.clone()).await.unwrap();
    let other = open(unique_prefix()).await.unwrap();
    two_members_split_the_lanes_and_one_takes_them_back(Slot { prefix, log }, other).await;
}

#[tokio::test]
async fn a_lane_that_moved_away_is_refused_and_the_one_that_stayed_is_not() {
    let first = Slot::open().await;
    let other = first.another().await;
    let topic = first.topic("orders", 2).await;
    let (older, mut older_lanes) = (first.join(&first.log, &topic).await, Vec::new());
    own(older.as_ref(), &mut older_lanes, 2).await;
    let before = older_lanes.clone();
    let (newer, mut newer_lanes) = (first.join(&other, &topic).await, Vec::new());
    own(older.as_ref(), &mut older_lanes, 1).await;
    own(newer.as_ref(), &mut newer_lanes, 1).await;

    let moved = before.iter().find(|lane| !older_lanes.contains(lane)).unwrap();
    let refused = older.commit(commit(moved, 9, vec![to(&topic, 0, "moved")])).await.unwrap_err();
    older.commit(commit(&older_lanes[0], 1, vec![to(&topic, 0, "stayed")])).await.unwrap();

    assert!(matches!(refused, Error::Fenced { partition, .. } if partition == moved.partition), "{refused:?}");
    assert_eq!(values(&other, &topic, 0).await, ["stayed"]);
    let committed = other.committed(&first.group(), &topic).await.unwrap();
    assert_eq!(committed.keys().collect::<Vec<_>>(), [&older_lanes[0].partition]);
}

#[tokio::test]
async fn the_broker_refuses_a_transaction_whose_member_was_replaced_while_it_ran() {
    let prefix = unique_prefix();
    let first = Slot { log: log_as(&prefix, "slot").await, prefix };
    let topic = first.topic("orders", 1).await;
    let (older, mut lanes) = (first.log.member(&first.group(), &topic).await, Vec::new());
    own(&older, &mut lanes, 1).await;
    let (job, answer) = job(&first.log, &older.roster, &lanes[0], &topic).await;
    let entry = Entry::of(vec![job]);
    assert_eq!(entry.admitted.len(), 1);

    // The older member believes all along that the lane is its own: it waits for this transaction to end.
    let usurper = log_as(&first.prefix, "usurper").await;
    let (newer, mut newer_lanes) = (first.join(&usurper, &topic).await, Vec::new());
    own(newer.as_ref(), &mut newer_lanes, 1).await;
    newer.commit(commit(&newer_lanes[0], 4, vec![to(&topic, 0, "newer")])).await.unwrap();
    let probe = first.log.inner.probe.clone();
    let stale = tokio::task::spawn_blocking(move || {
        let outcome = Transactor::new(options(&unique_prefix()), probe).run(&entry);
        entry.leave();
        outcome
    });

    let failure = within(stale).await.unwrap().unwrap_err();
    assert!(matches!(failure, Failure::NotAMember { gone: true, .. }), "{failure:?}");
    drop(answer);
    assert_eq!(values(&usurper, &topic, 0).await, ["newer"]);
    assert_eq!(usurper.committed(&first.group(), &topic).await.unwrap()[&0].offset, 4);
    let Ok(Ownership::Revoked(revoked)) = within(older.next()).await else { panic!() };
    assert_eq!(revoked, lanes);
}

#[tokio::test]
async fn an_offset_reset_by_another_tool_has_no_metadata() {
    let slot = Slot::open().await;
    let (topic, retry) = (slot.topic("orders", 1).await, slot.topic("orders.retry.1", 1).await);
    let (member, mut lanes) = (slot.join(&slot.log, &topic).await, Vec::new());
    own(member.as_ref(), &mut lanes, 1).await;
    let ours = OffsetCommit { offset: 7, metadata: "cd1:abc".to_owned() };
    let others = [(retry.to_string(), ours.clone())].into();
    let effects = LaneEffects { lane: lanes[0].clone(), offset: ours.clone(), others, appends: vec![] };
    member.commit(vec![effects]).await.unwrap();
    assert_eq!(member.committed(&lanes[0]).await.unwrap()[&*retry], ours);

    reset(&format!("{}.lanes", slot.group()), &retry, 2).await;

    let committed = member.committed(&lanes[0]).await.unwrap();
    assert_eq!(committed[&*retry], OffsetCommit { offset: 2, metadata: String::new() });
    assert_eq!(committed[&*topic], ours);
}

#[tokio::test]
async fn the_first_offset_of_every_lane_is_seen_as_soon_as_it_is_committed() {
    let slot = Slot::open().await;
    let (topic, held) = (slot.topic("orders", 12).await, slot.topic("orders.held", 12).await);
    let (member, mut lanes) = (slot.join(&slot.log, &topic).await, Vec::new());
    own(member.as_ref(), &mut lanes, 12).await;

    for lane in lanes {
        let at = |offset| OffsetCommit { offset, metadata: "cd1:".to_owned() };
        let others = [(held.to_string(), at(2))].into();
        member.commit(vec![LaneEffects { lane: lane.clone(), offset: at(1), others, appends: vec![] }]).await.unwrap();

        let expected = [(topic.to_string(), at(1)), (held.to_string(), at(2))];
        assert_eq!(member.committed(&lane).await.unwrap(), expected.into(), "{lane:?}");
    }
}

#[tokio::test]
async fn what_became_of_an_unanswered_commit_is_read_from_its_lanes() {
    let slot = Slot::open().await;
    let topic = slot.topic("orders", 1).await;
    let (member, mut lanes) = (slot.log.member(&slot.group(), &topic).await, Vec::new());
    own(&member, &mut lanes, 1).await;
    member.commit(commit(&lanes[0], 1, vec![])).await.unwrap();
    let (job, _answer) = job(&slot.log, &member.roster, &lanes[0], &topic).await;
    let entry = Entry::of(vec![job]);
    let probe = slot.log.inner.probe.clone();

    let decided = tokio::task::spawn_blocking(move || {
        let mut transactor = Transactor::new(options(&unique_prefix()), probe);
        let unanswered = CallError::new(RDKafkaErrorCode::OperationTimedOut, "no answer");
        let before = transactor.decide(&entry, &unanswered);
        transactor.run(&entry).unwrap();
        let after = transactor.decide(&entry, &unanswered);
        entry.leave();
        (before, after)
    });

    let (before, after) = within(decided).await.unwrap();
    assert!(matches!(before, Err(Failure::Unnamed(_))), "{before:?}");
    assert!(after.is_ok(), "{after:?}");
}

/// A log whose members have the same name in their group, whatever the slot.
async fn log_as(prefix: &str, slot: &str) -> Arc<KafkaLog> {
    let mut options = options(&format!("{prefix}{slot}"));
    options.settings.insert("group.instance.id".to_owned(), prefix.to_owned());
    KafkaLog::open(options).await.unwrap()
}

/// The broker sets the times of a group whose lanes it assigns.
fn without_timing(transactional_id: &str) -> Options {
    let mut options = options(transactional_id);
    options.settings.clear();
    options
}

async fn job(
    log: &KafkaLog,
    roster: &Arc<Roster>,
    lane: &Lane,
    topic: &Arc<str>,
) -> (Job, oneshot::Receiver<Result<(), Error>>) {
    let row: Row = log.inner.row(to(topic, 0, "stale")).await.unwrap();
    let offset = OffsetCommit { offset: 9, metadata: String::new() };
    let staged = Staged { lane: lane.clone(), offset, others: Default::default(), rows: vec![row] };
    let (reply, answer) = oneshot::channel();
    (Job::new(roster.clone(), vec![staged], reply), answer)
}

/// What `kafka-consumer-groups --reset-offsets` does: a commit without a member and without metadata.
async fn reset(group: &str, topic: &str, offset: i64) {
    let mut config = options("unused").admin();
    config.set("group.id", group);
    let topic = topic.to_owned();
    let committed = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create().unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&topic, 0, Offset::Offset(offset)).unwrap();
        consumer.commit(&offsets, CommitMode::Sync)
    });
    committed.await.unwrap().unwrap();
}
