//! The bytes of records: kept for a while as they are read, and read again when they are gone.
//!
//! A lane knows places only. Most records are attempted soon after they were read, so the last ones read of the lane's
//! own topic are kept, up to a bound in bytes; everything else is read at its place when it is due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::driver::topics::Topics;
use crate::lane::command::{self, Command, Verb};
use crate::lane::place::{Place, Topic};
use crate::lane::{header, moved};
use crate::log::{ReadLimit, Record, Stored};
use crate::ownership::{Calls, End, LaneStatus};

/// Bytes kept of the lane's own topic.
const MOST_KEPT: usize = 8 << 20;

/// Records read at once when some near each other are wanted.
const PAGE: ReadLimit = ReadLimit { records: 64, bytes: 4 << 20 };

const ONE: ReadLimit = ReadLimit { records: 1, bytes: 1 };

/// A record as it lies somewhere, ready to be moved or attempted.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    /// With the headers of the lane.
    pub record: Record,
    /// Append time of the copy that is moved, epoch milliseconds.
    pub appended_at_ms: i64,
    /// The command that has just given it another value.
    pub edited_by: Option<String>,
}

/// Where a decision or an attempt has its bytes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub origin: Place,
    pub payload: Place,
}

/// Records of the lane's own topic, the last ones read.
#[derive(Debug, Default)]
pub(super) struct Kept {
    records: BTreeMap<i64, Stored>,
    bytes: usize,
}

/// Reads records of one lane.
#[derive(Clone)]
pub(super) struct Source {
    pub calls: Calls,
    pub topics: Arc<Topics>,
}

impl Payload {
    /// The record as it came, or as it was edited.
    pub fn restored(&self) -> Record {
        moved::restore(&self.record)
    }

    /// Append time in the lane's own topic.
    pub fn since(&self) -> i64 {
        let since = self.record.header(header::SOURCE_TIME).and_then(|text| text.parse().ok());
        since.unwrap_or(self.appended_at_ms)
    }

    /// The command that gave the record the value it has.
    pub fn edit(&self) -> Option<String> {
        self.edited_by.clone().or_else(|| self.record.header(header::EDIT).map(str::to_owned))
    }
}

impl Kept {
    pub fn keep(&mut self, stored: Stored) {
        self.bytes = self.bytes.saturating_add(stored.record.size());
        self.records.insert(stored.offset, stored);
        while self.bytes > MOST_KEPT
            && let Some((_, oldest)) = self.records.pop_first()
        {
            self.bytes = self.bytes.saturating_sub(oldest.record.size());
        }
    }

    pub fn get(&self, place: Place) -> Option<&Stored> {
        if place.topic == Topic::Source { self.records.get(&place.offset) } else { None }
    }

    /// The record is finished, or elsewhere.
    pub fn forget(&mut self, place: Place) {
        if place.topic == Topic::Source
            && let Some(stored) = self.records.remove(&place.offset)
        {
            self.bytes = self.bytes.saturating_sub(stored.record.size());
        }
    }
}

impl Source {
    /// Everything that is wanted: from `kept`, else read, neighbours together.
    ///
    /// # Errors
    /// [`End::Refused`] if a record is not where it was.
    pub async fn payloads(&self, wanted: &[Wanted], kept: &Kept) -> Result<BTreeMap<Wanted, Payload>, End> {
        let places: BTreeSet<_> = wanted.iter().flat_map(|wanted| [wanted.origin, wanted.payload]).collect();
        let (mut found, mut missing) = (BTreeMap::new(), BTreeSet::new());
        for place in places {
            match kept.get(place) {
                Some(stored) => drop(found.insert(place, stored.clone())),
                None => drop(missing.insert(place)),
            }
        }
        while let Some(place) = missing.first().copied() {
            for stored in self.read(place, if missing.len() == 1 { ONE } else { PAGE }).await? {
                let place = Place::new(place.topic, stored.offset);
                if missing.remove(&place) {
                    found.insert(place, stored);
                }
            }
            if missing.contains(&place) {
                return Err(self.gone(place));
            }
        }
        wanted.iter().map(|wanted| Ok((*wanted, self.payload(*wanted, &found)?))).collect()
    }

    /// One, alone.
    pub async fn one(&self, wanted: Wanted) -> Result<Payload, End> {
        let mut found = self.payloads(&[wanted], &Kept::default()).await?;
        found.remove(&wanted).ok_or_else(|| self.gone(wanted.payload))
    }

    /// Records of a topic of the lane, from a place on.
    pub async fn read(&self, from: Place, limit: ReadLimit) -> Result<Vec<Stored>, End> {
        let Some(name) = self.topics.name(from.topic) else { return Err(self.gone(from)) };
        let Calls { log, id, .. } = &self.calls;
        let read = || log.read(name, id.partition, from.offset, limit);
        self.calls.patiently("log.read", LaneStatus::Running, read).await
    }

    fn payload(&self, wanted: Wanted, found: &BTreeMap<Place, Stored>) -> Result<Payload, End> {
        let at = |place: Place| found.get(&place).ok_or_else(|| self.gone(place));
        let origin = at(wanted.origin)?;
        let appended_at_ms = origin.timestamp_ms;
        if wanted.origin.topic == Topic::Control {
            // A replay: the command's record is the dead letter.
            let record = command::carried(&origin.record);
            return Ok(Payload { record, appended_at_ms, edited_by: None });
        }
        if wanted.payload == wanted.origin {
            return Ok(Payload { record: origin.record.clone(), appended_at_ms, edited_by: None });
        }
        // An edit: of the command's record the value alone counts.
        let edit = at(wanted.payload)?;
        let id = match Command::read(&edit.record) {
            Ok(Command { id, verb: Verb::Edit { .. }, .. }) => id,
            _ => return Err(self.gone(wanted.payload)),
        };
        let record = Record { value: edit.record.value.clone(), ..origin.record.clone() };
        Ok(Payload { record, appended_at_ms, edited_by: Some(id) })
    }

    fn gone(&self, place: Place) -> End {
        End::Refused { reason: format!("the record at {place} is gone, though the lane has not finished it") }
    }
}
