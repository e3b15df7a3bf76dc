//! Where a hop read a message, told by the header `cd-src` of its record.
//!
//! A hop appends before it commits its offsets, so after a crash in between it appends the same record again. State
//! alone cannot always tell: a parked update would wait twice, and one mapped anew, by a mapping that changed in
//! between, would contradict itself. So the store remembers for 35 days what was decided of each such record.

use uuid::Uuid;

use crate::canonical::draft::DraftHead;
use crate::canonical::{headers, ids};
use crate::log::Record;

/// Longest text taken for a place: a topic's name has at most 249 characters.
const MAX_PLACE_BYTES: usize = 300;

/// The record a message was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    /// `topic/partition/offset`.
    pub place: &'a str,
    /// Under which the store remembers it.
    pub id: Uuid,
}

impl<'a> Source<'a> {
    /// `None` if the message did not come from a topic.
    pub fn of(record: &'a Record, head: &DraftHead) -> Option<Self> {
        let place = record.header(headers::SOURCE).filter(|place| place.len() <= MAX_PLACE_BYTES)?;
        Some(Self { place, id: ids::source_id(place, head.raw_sha256, head.retry_count) })
    }
}
