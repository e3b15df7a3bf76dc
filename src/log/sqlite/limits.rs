//! Bounds of memory and of the work done at once.

/// All bounds of one log.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes that may wait for the writer; more wait for room.
    pub queue_bytes: usize,
    /// A transaction that has as many bytes takes no further write.
    pub batch_bytes: usize,
    /// Bytes of the newest records kept for readers.
    pub recent_bytes: usize,
    /// Reads of the files that run at the same time.
    pub readers: usize,
    /// Records, and bytes, deleted in one transaction: the writer's longest pause for a trim.
    pub trim_records: i64,
    pub trim_bytes: i64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            queue_bytes: 64 * MIB,
            batch_bytes: 8 * MIB,
            recent_bytes: 16 * MIB,
            readers: 4,
            trim_records: 1000,
            trim_bytes: 8 * MIB as i64,
        }
    }
}
