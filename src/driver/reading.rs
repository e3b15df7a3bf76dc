//! What the log has for a lane: its own topic, the copies a commit made, commands.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::driver::owner::Owner;
use crate::lane::batch::Decision;
use crate::lane::command::{Command, Verb};
use crate::lane::header;
use crate::lane::moved::{self, Moved};
use crate::lane::place::{Key, Place, Seq, Topic};
use crate::log::{ReadLimit, Record, Stored};
use crate::ownership::{Calls, End, LaneStatus};
use crate::store::lanes::Decided;

/// Bytes of one read.
pub(super) const PAGE_BYTES: usize = 4 << 20;
/// Records of one read.
pub(super) const PAGE_RECORDS: usize = 1_000;

impl Owner {
    pub(super) async fn read_source(&mut self) -> Result<bool, End> {
        let records = self.lane.wanted();
        if records == 0 || self.is_source_dry {
            return Ok(false);
        }
        let calls = &self.source.calls;
        let (from, limit) = (self.lane.position(Topic::Source), ReadLimit { records, bytes: PAGE_BYTES });
        let poll = || calls.membership.poll(&calls.lane, from, limit, Duration::ZERO);
        let records = calls.patiently("log.poll", LaneStatus::Running, poll).await?;
        self.is_source_dry = records.is_empty();
        let any = !records.is_empty();
        self.take(records).await?;
        Ok(any)
    }

    /// Hands in records of the lane's own topic.
    pub(super) async fn take(&mut self, records: Vec<Stored>) -> Result<(), End> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let (from, to) = (first.offset, last.offset.saturating_add(1).min(self.decided));
        let (mut known, mut ended) = (BTreeMap::new(), BTreeMap::new());
        if from < to {
            known = self.known(Topic::Source, from, to).await?;
            let seqs: Vec<_> = records.iter().map(|stored| stored.offset).filter(|offset| *offset < to).collect();
            let Calls { id, .. } = &self.source.calls;
            let call = || self.deps.store.ended(id, seqs.clone());
            ended = self.source.calls.patiently("store.ended", LaneStatus::Running, call).await?;
        }
        for stored in records {
            let offset = stored.offset;
            let key = self.key_of(&stored);
            self.sizes.insert(offset, stored.record.size());
            self.kept.keep(stored);
            self.lane.record(offset, &key, known.remove(&offset), ended.get(&offset).copied());
        }
        Ok(())
    }

    /// A record without a key, or without a value, is alone: it is dead at its attempt, and nobody waits behind it. A
    /// value that is nothing would be a tombstone in the held topic.
    fn key_of(&self, stored: &Stored) -> Key {
        let Record { key, value, .. } = &stored.record;
        let key = key.as_ref().filter(|_| value.is_some()).and_then(|key| Key::new(key));
        key.unwrap_or_else(|| Key::of_place(&stored.topic, stored.partition, stored.offset))
    }

    /// What the store has decided about copies in `from..to`, by offset.
    async fn known(&self, topic: Topic, from: i64, to: i64) -> Result<BTreeMap<i64, Decision>, End> {
        let Calls { id, .. } = &self.source.calls;
        let call = || self.deps.store.decided_in(id, topic, from, to);
        let decided = self.source.calls.patiently("store.decided_in", LaneStatus::Running, call).await?;
        Ok(decided.into_iter().map(|Decided { decision, .. }| (decision.origin.offset, decision)).collect())
    }

    /// Reads back what was committed to tiers and to the held topic.
    pub(super) async fn read_copies(&mut self) -> Result<bool, End> {
        let mut any = false;
        for topic in self.awaited.keys().copied().collect::<Vec<_>>() {
            let from = Place::new(topic, self.lane.position(topic));
            let limit = ReadLimit { records: PAGE_RECORDS, bytes: PAGE_BYTES };
            let records = self.source.read(from, limit).await?;
            any |= !records.is_empty();
            // One that compaction took is not waited for: a read that gives nothing has seen everything.
            let read = if records.is_empty() { u64::MAX } else { records.len() as u64 };
            for stored in records {
                self.take_copy(topic, &stored);
            }
            if let Some(left) = self.awaited.get_mut(&topic) {
                *left = left.saturating_sub(read);
            }
        }
        self.awaited.retain(|_, left| *left > 0);
        Ok(any)
    }

    fn take_copy(&mut self, topic: Topic, stored: &Stored) {
        let place = Place::new(topic, stored.offset);
        if is_tombstone(topic, &stored.record) {
            return self.lane.passed(topic, stored.offset.saturating_add(1));
        }
        match Moved::read(&stored.record) {
            Ok(moved) => {
                self.sizes.insert(moved.seq, stored.record.size());
                self.lane.copy(place, stored.timestamp_ms, &moved);
            }
            Err(error) => {
                tracing::warn!(%place, %error, "copy is none of the lane's, left out");
                self.lane.unreadable(place);
            }
        }
    }

    pub(super) async fn read_commands(&mut self) -> Result<bool, End> {
        let records = self.lane.wanted_commands();
        if records == 0 || self.is_control_dry {
            return Ok(false);
        }
        let from = Place::new(Topic::Control, self.lane.position(Topic::Control));
        let records = self.source.read(from, ReadLimit { records, bytes: PAGE_BYTES }).await?;
        self.is_control_dry = records.is_empty();
        let commands: Vec<_> = records.iter().map(|stored| (stored, Command::read(&stored.record))).collect();
        let ids: Vec<_> = commands.iter().filter_map(|(_, command)| Some(command.as_ref().ok()?.id.clone())).collect();
        let executed = self.source.executed(self.deps.store.as_ref(), ids, LaneStatus::Running).await?;
        let any = !commands.is_empty();
        for (stored, command) in commands {
            match command {
                Ok(command) => {
                    if let Verb::Replay { seq, .. } = command.verb {
                        self.sizes.insert(seq, stored.record.size());
                    }
                    let is_known = executed.contains(&command.id);
                    self.lane.command(stored.offset, command, is_known);
                }
                Err(error) => {
                    tracing::warn!(offset = stored.offset, %error, "control record is no command, left out");
                    self.lane.unreadable(Place::new(Topic::Control, stored.offset));
                }
            }
        }
        Ok(any)
    }
}

/// Whether a record of the held topic releases another.
pub(super) fn is_tombstone(topic: Topic, record: &Record) -> bool {
    topic == Topic::Held && record.value.is_none() && record.header(header::ORIGIN).is_none()
}

/// The record a tombstone releases.
pub(super) fn released_seq(record: &Record) -> Option<Seq> {
    record.key.as_ref().and_then(|key| moved::held_seq(key))
}
