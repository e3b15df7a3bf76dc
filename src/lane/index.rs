//! Every outstanding record of a lane: where it is and what it waits for. No payloads: they are read again when due.
//!
//! 40 bytes a record here, 8 for its place in the order of its key, 8 for its key in the map, 16 in the marks of the
//! topic it lies in: 72 bytes, the trees' own (about half as much again) apart. A lane at its default cap of 16 384
//! records holds 2.1 MiB, trees included.

use std::collections::{BTreeMap, BTreeSet};

use crate::lane::batch::Role;
use crate::lane::place::{Key, Place, Seq, Topic};

/// Offset of a copy that was written and has not been read back.
const UNREAD: i64 = i64::MIN;

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// In `topic`; [`UNREAD`] until the copy is read back.
    offset: i64,
    /// Not attempted before this time, by the clock of the log `topic` is in. Tiers and second rounds only.
    pub due: i64,
    pub key: KeyId,
    pub hop: u32,
    pub attempts: u16,
    pub topic: Topic,
    /// Where it is going, once its decision is committed; `topic` if nowhere.
    pub to: Topic,
    pub round: u8,
    pub phase: Phase,
    pub is_head: bool,
    pub is_passing: bool,
    /// An operator wants a held head attempted, or lets a replay overtake.
    pub is_commanded: bool,
    /// An operator ends it; it is claimed once more for that, and not attempted.
    pub is_doomed: bool,
    /// The attempt under way is a second round.
    pub in_round: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting,
    /// Its claim is on the way to the store.
    Claimed,
    Running,
    /// An earlier owner may still be at it.
    Barred,
    /// Decided; the decision is not committed yet.
    Decided,
}

pub(super) type KeyId = u32;

/// The outstanding records of one key.
#[derive(Debug)]
pub(super) struct KeyState {
    pub name: Key,
    pub seqs: BTreeSet<Seq>,
    /// The one whose claim or attempt is under way.
    pub running: Option<Seq>,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    entries: BTreeMap<Seq, Entry>,
    names: BTreeMap<Key, KeyId>,
    keys: BTreeMap<KeyId, KeyState>,
    next_id: KeyId,
}

impl Entry {
    pub fn new(key: KeyId, place: Place, hop: u32) -> Self {
        Self {
            offset: place.offset,
            due: i64::MIN,
            key,
            hop,
            attempts: 0,
            topic: place.topic,
            to: place.topic,
            round: 0,
            phase: Phase::Waiting,
            is_head: true,
            is_passing: false,
            is_commanded: false,
            is_doomed: false,
            in_round: false,
        }
    }

    /// `None` until the copy has been read back.
    pub fn place(&self) -> Option<Place> {
        (self.offset != UNREAD).then_some(Place::new(self.topic, self.offset))
    }

    /// Whether something can be done with it: it is located, and nothing is under way.
    pub fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting && self.place().is_some()
    }

    pub fn put(&mut self, place: Place) {
        (self.topic, self.to, self.offset) = (place.topic, place.topic, place.offset);
    }

    /// Its copy in `to` is in the log, at an offset not known yet.
    pub fn arrive(&mut self) {
        (self.topic, self.offset) = (self.to, UNREAD);
    }

    pub fn role(&self) -> Role {
        if self.is_head { Role::Head } else { Role::Follower }
    }

    pub fn is_held_head(&self) -> bool {
        self.to == Topic::Held && self.is_head
    }
}

impl Index {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn get(&self, seq: Seq) -> Option<&Entry> {
        self.entries.get(&seq)
    }

    pub fn get_mut(&mut self, seq: Seq) -> Option<&mut Entry> {
        self.entries.get_mut(&seq)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Seq, &Entry)> {
        self.entries.iter().map(|(seq, entry)| (*seq, entry))
    }

    pub fn keys(&self) -> impl Iterator<Item = (KeyId, &KeyState)> {
        self.keys.iter().map(|(id, key)| (*id, key))
    }

    pub fn key(&self, id: KeyId) -> Option<&KeyState> {
        self.keys.get(&id)
    }

    pub fn key_mut(&mut self, id: KeyId) -> Option<&mut KeyState> {
        self.keys.get_mut(&id)
    }

    pub fn id_of(&self, key: &Key) -> Option<KeyId> {
        self.names.get(key).copied()
    }

    pub fn key_of(&self, seq: Seq) -> Option<&KeyState> {
        self.key(self.get(seq)?.key)
    }

    /// The smallest outstanding sequence of the key.
    pub fn first(&self, id: KeyId) -> Option<Seq> {
        self.key(id)?.seqs.first().copied()
    }

    /// Takes a record in; a copy of it that was known is forgotten.
    pub fn insert(&mut self, seq: Seq, key: &Key, place: Place, hop: u32) -> KeyId {
        self.remove(seq);
        let id = self.names.get(key).copied().unwrap_or_else(|| self.name(key));
        if let Some(state) = self.keys.get_mut(&id) {
            state.seqs.insert(seq);
        }
        self.entries.insert(seq, Entry::new(id, place, hop));
        id
    }

    /// The record is not outstanding any more. A key without any is free, and not stored.
    pub fn remove(&mut self, seq: Seq) -> Option<Entry> {
        let entry = self.entries.remove(&seq)?;
        if let Some(key) = self.keys.get_mut(&entry.key) {
            key.seqs.remove(&seq);
            if key.running == Some(seq) {
                key.running = None;
            }
            if key.seqs.is_empty() {
                self.names.remove(&key.name);
                self.keys.remove(&entry.key);
            }
        }
        Some(entry)
    }

    fn name(&mut self, key: &Key) -> KeyId {
        while self.keys.contains_key(&self.next_id) {
            self.next_id = self.next_id.wrapping_add(1);
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.names.insert(key.clone(), id);
        self.keys.insert(id, KeyState { name: key.clone(), seqs: BTreeSet::new(), running: None });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outstanding_record_takes_the_bytes_that_are_said() {
        assert_eq!(size_of::<Entry>(), 40);
    }

    #[test]
    fn a_key_without_records_is_free_and_not_stored() {
        let mut index = Index::default();
        let key = Key::new(b"k").unwrap();
        let id = index.insert(4, &key, Place::new(Topic::Source, 4), 0);
        index.insert(2, &key, Place::new(Topic::Tier(0), 9), 1);

        assert_eq!(index.first(id), Some(2));
        index.remove(2);
        assert_eq!(index.first(id), Some(4));
        index.remove(4);
        assert_eq!((index.id_of(&key), index.len()), (None, 0));
    }
}
