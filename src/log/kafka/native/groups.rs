//! Offsets of consumer groups, read by an ordinary client. All calls block.

use std::ffi::CString;
use std::ptr;
use std::slice;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

use super::{CallError, Owned, describe, outcome, text};
use crate::log::OffsetCommit;

/// An offset that a group has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    pub topic: String,
    pub partition: i32,
    pub committed: OffsetCommit,
}

type Event = Owned<sys::rd_kafka_event_t>;
type Request = Owned<sys::rd_kafka_AdminOptions_t>;
type Operation = sys::rd_kafka_admin_op_t;

/// What `group` has committed of `partitions`. An offset that a transaction under way is about to change is waited
/// for; that is why the partitions are named: a broker asked for all of them leaves out one whose first offset is
/// still in a transaction. Metadata that is not UTF-8 is not ours and comes back empty.
pub fn offsets<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    partitions: &TopicPartitionList,
    timeout: Duration,
) -> Result<Vec<GroupOffset>, CallError> {
    let group = CString::new(group)
        .map_err(|_| CallError::new(RDKafkaErrorCode::InvalidGroupId, "a group's name has no zero byte"))?;
    let deadline = Instant::now() + timeout;
    loop {
        match offsets_once(client, &group, partitions, timeout) {
            Err(error) if Instant::now() < deadline => match pause(error.code) {
                Some(pause) => std::thread::sleep(pause),
                None => return Err(error),
            },
            done => return done,
        }
    }
}

/// How long what passes by itself is left alone.
fn pause(code: RDKafkaErrorCode) -> Option<Duration> {
    match code {
        // Milliseconds, or until the transaction of a dead process has timed out.
        RDKafkaErrorCode::UnstableOffsetCommit => Some(Duration::from_millis(2)),
        // A coordinator that is new, or has moved.
        RDKafkaErrorCode::NotCoordinator
        | RDKafkaErrorCode::CoordinatorLoadInProgress
        | RDKafkaErrorCode::CoordinatorNotAvailable => Some(Duration::from_millis(50)),
        _ => None,
    }
}

/// Every group the cluster knows, with members or without.
pub fn names<C: ClientContext>(client: &Client<C>, timeout: Duration) -> Result<Vec<String>, CallError> {
    let request = request(client, Operation::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, timeout)?;
    // SAFETY: client, request and queue outlive the call.
    let event = ask(client, timeout, |queue| unsafe {
        sys::rd_kafka_ListConsumerGroups(client.native_ptr(), request.as_ptr(), queue);
    })?;
    // SAFETY: the result and everything in it belongs to the event, which outlives this block.
    unsafe {
        let result = sys::rd_kafka_event_ListConsumerGroups_result(event.as_ptr());
        if result.is_null() {
            return Err(unexpected());
        }
        let mut count = 0;
        let errors = sys::rd_kafka_ListConsumerGroups_result_errors(result, &mut count);
        if count > 0 {
            // One broker that does not answer hides its groups.
            return Err(describe(*errors));
        }
        let groups = sys::rd_kafka_ListConsumerGroups_result_valid(result, &mut count);
        let name = |index| text(sys::rd_kafka_ConsumerGroupListing_group_id(*groups.add(index)));
        Ok((0..count).map(name).collect())
    }
}

fn offsets_once<C: ClientContext>(
    client: &Client<C>,
    group: &CString,
    partitions: &TopicPartitionList,
    timeout: Duration,
) -> Result<Vec<GroupOffset>, CallError> {
    let request = request(client, Operation::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, timeout)?;
    // SAFETY: name and partitions are copied; what is returned is ours to destroy.
    let wanted = unsafe {
        outcome(sys::rd_kafka_AdminOptions_set_require_stable_offsets(request.as_ptr(), 1))?;
        let wanted = sys::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), partitions.ptr());
        Owned::new(wanted, sys::rd_kafka_ListConsumerGroupOffsets_destroy).ok_or_else(unexpected)?
    };
    // SAFETY: client, request, queue and the array of one outlive the call.
    let event = ask(client, timeout, |queue| unsafe {
        let mut wanted = [wanted.as_ptr()];
        sys::rd_kafka_ListConsumerGroupOffsets(
            client.native_ptr(),
            wanted.as_mut_ptr(),
            wanted.len(),
            request.as_ptr(),
            queue,
        );
    })?;
    // SAFETY: the result and everything in it belongs to the event, which outlives this block.
    unsafe {
        let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event.as_ptr());
        if result.is_null() {
            return Err(unexpected());
        }
        let mut count = 0;
        let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
        if count != 1 {
            return Err(unexpected());
        }
        let error = sys::rd_kafka_group_result_error(*groups);
        if !error.is_null() {
            return Err(describe(error));
        }
        let list = sys::rd_kafka_group_result_partitions(*groups);
        if list.is_null() || (*list).cnt <= 0 {
            return Ok(Vec::new());
        }
        let elements = slice::from_raw_parts((*list).elems, (*list).cnt as usize);
        elements.iter().filter_map(|element| committed(element).transpose()).collect()
    }
}

/// # Safety
/// `element` is one of a list that outlives the call.
unsafe fn committed(element: &sys::rd_kafka_topic_partition_t) -> Result<Option<GroupOffset>, CallError> {
    match RDKafkaErrorCode::from(element.err) {
        RDKafkaErrorCode::NoError => {}
        // A partition that is gone has no offset.
        RDKafkaErrorCode::UnknownTopicOrPartition => return Ok(None),
        code => return Err(CallError::new(code, code.to_string())),
    }
    if element.offset < 0 {
        return Ok(None);
    }
    // SAFETY: the element owns its name and its metadata.
    let (topic, metadata) = unsafe {
        let metadata = match element.metadata.is_null() {
            true => &[][..],
            false => slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size),
        };
        (text(element.topic), metadata)
    };
    let metadata = std::str::from_utf8(metadata).unwrap_or_default().to_owned();
    let committed = OffsetCommit { offset: element.offset, metadata };
    Ok(Some(GroupOffset { topic, partition: element.partition, committed }))
}

fn request<C: ClientContext>(
    client: &Client<C>,
    operation: Operation,
    timeout: Duration,
) -> Result<Request, CallError> {
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client outlives the call, what is returned is ours to destroy; no text is asked for.
    unsafe {
        let request = sys::rd_kafka_AdminOptions_new(client.native_ptr(), operation);
        let request = Owned::new(request, sys::rd_kafka_AdminOptions_destroy).ok_or_else(unexpected)?;
        let code = sys::rd_kafka_AdminOptions_set_request_timeout(request.as_ptr(), millis, ptr::null_mut(), 0);
        match RDKafkaErrorCode::from(code) {
            RDKafkaErrorCode::NoError => Ok(request),
            code => Err(CallError::new(code, code.to_string())),
        }
    }
}

/// Sends a request and waits for its answer.
fn ask<C: ClientContext>(
    client: &Client<C>,
    timeout: Duration,
    send: impl FnOnce(*mut sys::rd_kafka_queue_t),
) -> Result<Event, CallError> {
    // SAFETY: the client outlives the queue, which is ours to destroy.
    let queue = unsafe { Owned::new(sys::rd_kafka_queue_new(client.native_ptr()), sys::rd_kafka_queue_destroy) }
        .ok_or_else(unexpected)?;
    send(queue.as_ptr());
    // The request has its own timeout and answers then; this one only guards it.
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).saturating_add(5_000);
    // SAFETY: the queue is alive; the event is ours to destroy.
    let event = unsafe { Owned::new(sys::rd_kafka_queue_poll(queue.as_ptr(), millis), sys::rd_kafka_event_destroy) };
    let event = event.ok_or_else(|| CallError::new(RDKafkaErrorCode::OperationTimedOut, "no answer in time"))?;
    // SAFETY: the event is alive, and so is its text.
    let (code, reason) = unsafe {
        let code = RDKafkaErrorCode::from(sys::rd_kafka_event_error(event.as_ptr()));
        (code, text(sys::rd_kafka_event_error_string(event.as_ptr())))
    };
    if code == RDKafkaErrorCode::NoError { Ok(event) } else { Err(CallError::new(code, reason)) }
}

fn unexpected() -> CallError {
    CallError::new(RDKafkaErrorCode::Fail, "librdkafka gave no answer of the expected kind")
}
