//! The newest records of all partitions, kept in memory for the readers who are up to date.
//!
//! A lane reads a record right after it was appended. Serving it from here saves the hop to a blocking thread and
//! the query, which cost more than the append itself. Bounded in bytes over all partitions together; the oldest
//! record goes first, so what is left of a partition has no gap. Only committed records enter.

use std::collections::VecDeque;
use std::sync::Arc;

use super::catalog::Partition;
use crate::log::{ReadLimit, Stored};

/// Allocations and places around a record's own bytes.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// Owned by the writer, which alone adds and takes away.
#[derive(Debug)]
pub struct Recent {
    max_bytes: usize,
    used_bytes: usize,
    /// Partition and size of every record held, oldest first.
    held: VecDeque<(Arc<Partition>, usize)>,
}

impl Recent {
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, used_bytes: 0, held: VecDeque::new() }
    }

    /// Takes a committed record whose predecessor in the partition was taken before it.
    pub fn push(&mut self, partition: &Arc<Partition>, stored: Stored) {
        let bytes = stored.record.size() + RECORD_OVERHEAD_BYTES;
        partition.recent().push_back(stored);
        self.held.push_back((partition.clone(), bytes));
        self.used_bytes += bytes;
        while self.used_bytes > self.max_bytes {
            let Some((partition, bytes)) = self.held.pop_front() else { break };
            partition.recent().pop_front();
            self.used_bytes -= bytes;
        }
    }
}

/// The records from `from` on and below `end`; `None` if the one at `from` is no longer held.
pub fn read(partition: &Partition, from: i64, end: i64, limit: ReadLimit) -> Option<Vec<Stored>> {
    let held = partition.recent();
    let first = held.front()?.offset;
    let skip = usize::try_from(from.checked_sub(first)?).ok()?;
    let mut page = Page::new(limit);
    for stored in held.iter().skip(skip).take_while(|stored| stored.offset < end) {
        if !page.fits(stored.record.size()) {
            break;
        }
        page.push(stored.clone());
    }
    Some(page.records).filter(|records| !records.is_empty())
}

/// Records as they are collected under a limit; the first one always fits.
#[derive(Debug)]
pub struct Page {
    pub records: Vec<Stored>,
    limit: ReadLimit,
    bytes: usize,
}

impl Page {
    pub fn new(limit: ReadLimit) -> Self {
        Self { records: Vec::new(), limit, bytes: 0 }
    }

    pub fn fits(&self, bytes: usize) -> bool {
        let within = self.records.len() < self.limit.records && self.bytes.saturating_add(bytes) <= self.limit.bytes;
        within || self.records.is_empty()
    }

    /// Whether no further record can fit.
    pub fn is_full(&self) -> bool {
        self.records.len() >= self.limit.records || self.bytes >= self.limit.bytes
    }

    pub fn push(&mut self, stored: Stored) {
        self.bytes += stored.record.size();
        self.records.push(stored);
    }
}
