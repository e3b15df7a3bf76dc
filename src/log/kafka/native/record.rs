//! What a fetched record carries, and how far a partition has been read.

use std::ffi::c_void;
use std::ptr;
use std::slice;

use bytes::Bytes;
use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;

use super::text;
use crate::log::Header;

/// The headers of a record in their order. A header without a value has an empty one; what is not UTF-8 in a name is
/// replaced.
pub fn headers(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let mut native = ptr::null_mut();
    // SAFETY: the message outlives the call and owns the headers.
    let found = unsafe { sys::rd_kafka_message_headers(message.ptr(), &mut native) };
    let mut headers = Vec::new();
    if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return headers;
    }
    for index in 0.. {
        let (mut name, mut value, mut bytes) = (ptr::null(), ptr::null::<c_void>(), 0);
        // SAFETY: the headers are alive as long as the message; name and value point into them and are copied.
        let header = unsafe {
            if sys::rd_kafka_header_get_all(native, index, &mut name, &mut value, &mut bytes)
                != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                return headers;
            }
            let value = if value.is_null() { &[][..] } else { slice::from_raw_parts(value.cast::<u8>(), bytes) };
            Header { name: text(name), value: Bytes::copy_from_slice(value) }
        };
        headers.push(header);
    }
    headers
}

/// The offset after everything the application was given of `partition`, commit markers and refused records
/// included; `None` if nothing was since it was opened or repositioned.
pub fn position<C: ClientContext>(consumer: &Client<C>, partition: &mut TopicPartitionList) -> Option<i64> {
    // SAFETY: client and list outlive the call, which writes only into the list.
    let code = unsafe { sys::rd_kafka_position(consumer.native_ptr(), partition.ptr()) };
    if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return None;
    }
    let position = partition.elements().first()?.offset().to_raw()?;
    (position >= 0).then_some(position)
}
