//! The calls of a transaction, in the order they are made. All of them block.

use std::ffi::CString;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

use super::{CallError, Owned, outcome};

/// Who commits offsets: a member of a group in one generation, or nobody in particular.
pub struct GroupMetadata(Owned<sys::rd_kafka_consumer_group_metadata_t>);

// SAFETY: plain data; librdkafka only reads it after it is made.
unsafe impl Send for GroupMetadata {}

impl GroupMetadata {
    /// The member that `consumer` is now. `None` while it is no member: without one a broker takes a transaction's
    /// offsets from anybody.
    pub fn of<C: ClientContext>(consumer: &Client<C>) -> Option<Self> {
        // SAFETY: the client outlives the call; what is returned is ours to destroy.
        let metadata = unsafe {
            let metadata = sys::rd_kafka_consumer_group_metadata(consumer.native_ptr());
            Owned::new(metadata, sys::rd_kafka_consumer_group_metadata_destroy)
        }?;
        // SAFETY: the metadata is alive, and so is the member's name while it is.
        let is_member = unsafe {
            let member = sys::rd_kafka_consumer_group_metadata_member_id(metadata.as_ptr());
            let generation = sys::rd_kafka_consumer_group_metadata_generation_id(metadata.as_ptr());
            generation >= 0 && !member.is_null() && *member != 0
        };
        is_member.then_some(Self(metadata))
    }

    /// For offsets of a group without members. `None` if no group can have that name.
    pub fn memberless(group: &str) -> Option<Self> {
        let group = CString::new(group).ok()?;
        // SAFETY: the name is copied; what is returned is ours to destroy.
        unsafe {
            let metadata = sys::rd_kafka_consumer_group_metadata_new(group.as_ptr());
            Owned::new(metadata, sys::rd_kafka_consumer_group_metadata_destroy)
        }
        .map(Self)
    }
}

/// Makes the producer the only one of its transactional id; what an earlier one left open has ended afterwards.
pub fn init<C: ClientContext>(producer: &Client<C>, timeout: Duration) -> Result<(), CallError> {
    // SAFETY: the client outlives the call.
    unsafe { outcome(sys::rd_kafka_init_transactions(producer.native_ptr(), millis(timeout))) }
}

pub fn begin<C: ClientContext>(producer: &Client<C>) -> Result<(), CallError> {
    // SAFETY: the client outlives the call.
    unsafe { outcome(sys::rd_kafka_begin_transaction(producer.native_ptr())) }
}

pub fn send_offsets<C: ClientContext>(
    producer: &Client<C>,
    offsets: &TopicPartitionList,
    group: &GroupMetadata,
    timeout: Duration,
) -> Result<(), CallError> {
    let (client, timeout) = (producer.native_ptr(), millis(timeout));
    // SAFETY: all three outlive the call.
    unsafe { outcome(sys::rd_kafka_send_offsets_to_transaction(client, offsets.ptr(), group.0.as_ptr(), timeout)) }
}

/// Waits until every record is delivered or has failed.
pub fn flush<C: ClientContext>(producer: &Client<C>, timeout: Duration) -> Result<(), CallError> {
    // SAFETY: the client outlives the call. The wrapper's thread serves the delivery reports meanwhile.
    let code = unsafe { sys::rd_kafka_flush(producer.native_ptr(), millis(timeout)) };
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(CallError::new(code, format!("records are not delivered: {code}"))),
    }
}

pub fn commit<C: ClientContext>(producer: &Client<C>, timeout: Duration) -> Result<(), CallError> {
    // SAFETY: the client outlives the call.
    unsafe { outcome(sys::rd_kafka_commit_transaction(producer.native_ptr(), millis(timeout))) }
}

pub fn abort<C: ClientContext>(producer: &Client<C>, timeout: Duration) -> Result<(), CallError> {
    // SAFETY: the client outlives the call.
    unsafe { outcome(sys::rd_kafka_abort_transaction(producer.native_ptr(), millis(timeout))) }
}

fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}
