//! Where each partition goes on: moved as records are written, shown to readers once they are on disk.

use std::sync::Arc;

use rusqlite::{Connection, params};

use crate::log::sqlite::catalog::{Partition, Slot};
use crate::log::sqlite::files::{self, Mark};
use crate::log::sqlite::queue::Row;
use crate::log::sqlite::{headers, records};

/// The tails of all partitions. Slots are dense, and every partition that was made has its tail here.
#[derive(Debug)]
pub struct Tails {
    by_slot: Vec<Tail>,
    /// Slots the running transaction has moved.
    touched: Vec<Slot>,
    /// A transaction failed, and what is on disk could not be read since.
    stale: bool,
    /// The headers column of the record being written.
    headers: Vec<u8>,
}

#[derive(Debug)]
struct Tail {
    partition: Arc<Partition>,
    committed: Mark,
    staged: Mark,
    insert_sql: String,
}

impl Tails {
    pub fn new(marks: Vec<(Arc<Partition>, Mark)>) -> Self {
        let by_slot = marks.into_iter().map(|(partition, mark)| Tail::new(partition, mark)).collect();
        Self { by_slot, touched: Vec::new(), stale: false, headers: Vec::new() }
    }

    /// Number of partitions; the slot of the next one.
    pub fn count(&self) -> Slot {
        self.by_slot.len() as Slot
    }

    pub fn partition(&self, slot: Slot) -> Arc<Partition> {
        self.by_slot[slot as usize].partition.clone()
    }

    /// Adds partitions that hold nothing yet.
    pub fn add(&mut self, partitions: &[Arc<Partition>]) {
        self.by_slot.extend(partitions.iter().map(|partition| Tail::new(partition.clone(), Mark::default())));
    }

    /// Writes a record at the end of its partition and sets its offset and append time.
    pub fn append(&mut self, connection: &Connection, row: &mut Row, now_ms: i64) -> rusqlite::Result<()> {
        let slot = row.partition.slot;
        let tail = &mut self.by_slot[slot as usize];
        let mark = tail.staged;
        row.offset = mark.next;
        row.timestamp_ms = mark.last_ms.max(now_ms);
        headers::encode(&row.record.headers, &mut self.headers);
        let (key, value) = (row.record.key.as_deref(), row.record.value.as_deref());
        let mut insert = connection.prepare_cached(&tail.insert_sql)?;
        insert.execute(params![row.offset, row.timestamp_ms, key, value, self.headers])?;
        if mark == tail.committed {
            self.touched.push(slot);
        }
        tail.staged = Mark { next: mark.next + 1, last_ms: row.timestamp_ms };
        Ok(())
    }

    /// The transaction is on disk: readers may see it.
    pub fn publish(&mut self) {
        for slot in self.touched.drain(..) {
            let tail = &mut self.by_slot[slot as usize];
            tail.committed = tail.staged;
            tail.partition.publish_end(tail.committed.next);
        }
    }

    /// The transaction failed. What is on disk decides where its partitions go on, and if that cannot be read now,
    /// nothing is written before it can.
    pub fn forget(&mut self, connection: &Connection) {
        self.stale = self.reread(connection).is_err();
    }

    /// To be called before a transaction.
    pub fn make_sure(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.stale {
            self.reread(connection)?;
            self.stale = false;
        }
        Ok(())
    }

    fn reread(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        while let Some(slot) = self.touched.last().copied() {
            let tail = &mut self.by_slot[slot as usize];
            let (_, mark) = files::mark(connection, slot)?;
            if mark != tail.committed {
                // On disk in spite of the error. These records were not kept, so what is kept would have a gap.
                tail.partition.recent().clear();
                tail.partition.publish_end(mark.next);
            }
            (tail.committed, tail.staged) = (mark, mark);
            self.touched.pop();
        }
        Ok(())
    }
}

impl Tail {
    fn new(partition: Arc<Partition>, mark: Mark) -> Self {
        let insert_sql = records::insert_sql(partition.slot);
        Self { partition, committed: mark, staged: mark, insert_sql }
    }
}
