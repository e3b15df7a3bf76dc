//! A log as Kafka is one: transactions whose marks arrive late in each partition, readers that stop at the last stable
//! offset, offsets in the same transaction, members fenced by generation, and a clock of its own at each broker.

use std::collections::BTreeMap;

use crate::lane::command::Command;
use crate::lane::moved::Moved;
use crate::lane::place::{Key, Place, Seq, Topic};
use crate::log::Committed;

#[derive(Debug, Clone)]
pub enum Body {
    Source {
        key: Key,
    },
    /// `value`: which value the record has: 0, or the offset of the command that edited it.
    Copy {
        moved: Moved,
        value: i64,
    },
    Tombstone {
        seq: Seq,
    },
    Command {
        command: Command,
        value: i64,
    },
}

#[derive(Debug, Clone)]
pub struct Item {
    pub at_ms: i64,
    /// `None`: the mark of a transaction.
    pub body: Option<Body>,
    transaction: Option<usize>,
}

#[derive(Debug, Default)]
pub struct Part {
    pub items: Vec<Item>,
    /// How far this broker's clock is ahead.
    pub skew_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Open,
    Committed,
    Aborted,
}

#[derive(Debug, Default)]
pub struct Log {
    pub parts: BTreeMap<Topic, Part>,
    pub committed: BTreeMap<Topic, Committed>,
    /// Of the newest member.
    pub generation: u64,
    pub transactions: Vec<Fate>,
    /// Marks that have not arrived: transaction and topic.
    pub marks: Vec<(usize, Topic)>,
    /// Marks arrive at once and take no offset, as on the embedded engine.
    pub is_embedded: bool,
}

impl Log {
    pub fn append(&mut self, topic: Topic, now_ms: i64, body: Body, transaction: Option<usize>) -> i64 {
        let part = self.parts.get_mut(&topic).unwrap();
        let item = Item { at_ms: now_ms + part.skew_ms, body: Some(body), transaction };
        part.items.push(item);
        part.items.len() as i64 - 1
    }

    /// The part of a commit before its point of no return. `Err`: the member is of an older generation.
    pub fn begin(&mut self, generation: u64, now_ms: i64, appends: Vec<(Topic, Body)>) -> Result<usize, ()> {
        let transaction = self.transactions.len();
        self.transactions.push(Fate::Open);
        let mut topics: Vec<_> = appends.iter().map(|(topic, _)| *topic).collect();
        topics.sort_unstable();
        topics.dedup();
        for (topic, body) in appends {
            self.append(topic, now_ms, body, Some(transaction));
        }
        self.marks.extend(topics.into_iter().map(|topic| (transaction, topic)));
        if generation != self.generation {
            self.end(transaction, Fate::Aborted, now_ms);
            return Err(());
        }
        Ok(transaction)
    }

    pub fn commit(&mut self, transaction: usize, offsets: BTreeMap<Topic, Committed>, now_ms: i64) {
        self.committed.extend(offsets);
        self.end(transaction, Fate::Committed, now_ms);
    }

    pub fn abort(&mut self, transaction: usize, now_ms: i64) {
        self.end(transaction, Fate::Aborted, now_ms);
    }

    fn end(&mut self, transaction: usize, fate: Fate, now_ms: i64) {
        self.transactions[transaction] = fate;
        if self.is_embedded {
            while self.deliver(|_| true, now_ms) {}
        }
    }

    /// Lets one mark arrive; `false` if there is none.
    pub fn deliver(&mut self, wanted: impl Fn(Topic) -> bool, now_ms: i64) -> bool {
        let ended =
            |(transaction, topic): &(usize, Topic)| self.transactions[*transaction] != Fate::Open && wanted(*topic);
        let Some(place) = self.marks.iter().position(ended) else { return false };
        let (_, topic) = self.marks.remove(place);
        if !self.is_embedded {
            let part = self.parts.get_mut(&topic).unwrap();
            part.items.push(Item { at_ms: now_ms + part.skew_ms, body: None, transaction: None });
        }
        true
    }

    /// What a reader of committed records cannot pass.
    pub fn last_stable(&self, topic: Topic) -> i64 {
        let items = &self.parts[&topic].items;
        let is_unstable = |item: &Item| item.transaction.is_some_and(|id| self.marks.contains(&(id, topic)));
        items.iter().position(is_unstable).unwrap_or(items.len()) as i64
    }

    /// What a reader of uncommitted records cannot pass.
    pub fn end_of(&self, topic: Topic) -> i64 {
        self.parts[&topic].items.len() as i64
    }

    /// At most `most` committed records from `from` on.
    pub fn read(&self, topic: Topic, from: i64, most: usize) -> Vec<(i64, i64, Body)> {
        let stable = self.last_stable(topic);
        let items = self.parts[&topic].items.iter().enumerate().skip(usize::try_from(from).unwrap());
        let visible = items.filter_map(|(offset, item)| {
            let is_aborted = item.transaction.is_some_and(|id| self.transactions[id] != Fate::Committed);
            let body = item.body.clone().filter(|_| !is_aborted && (offset as i64) < stable)?;
            Some((offset as i64, item.at_ms, body))
        });
        visible.take(most).collect()
    }

    /// Which value a copy has.
    pub fn value(&self, place: Place) -> i64 {
        match &self.item(place.topic, place.offset).body {
            Some(Body::Copy { value, .. } | Body::Command { value, .. }) => *value,
            _ => 0,
        }
    }

    pub fn item(&self, topic: Topic, offset: i64) -> &Item {
        &self.parts[&topic].items[usize::try_from(offset).unwrap()]
    }
}
