//! Which subscription of a group has a topic: the newest that asked for it.
//!
//! Asked within the transaction that commits offsets, so that a commit that waited in the queue while its topic was
//! taken over cannot put the newer subscription's offset back.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::log::sqlite::queue::{Claim, Cursor, Seat};

#[derive(Debug, Default)]
pub struct Subscriptions {
    /// By group id and topic. As many as the configuration names, so none is ever removed.
    holders: HashMap<(i64, Arc<str>), Holder>,
}

#[derive(Debug)]
struct Holder {
    seat: Seat,
    /// Becomes true when a newer subscription has the topic.
    taken: watch::Sender<bool>,
}

impl Subscriptions {
    pub fn take_over(&mut self, seat: Seat, topic: Arc<str>, taken: watch::Sender<bool>) {
        if let Some(older) = self.holders.insert((seat.group_id, topic), Holder { seat, taken }) {
            older.taken.send_replace(true);
        }
    }

    /// Whether a commit under `claim` may move this cursor.
    pub fn hold(&self, claim: &Claim, cursor: &Cursor) -> bool {
        let Claim::Subscription(seat) = claim else { return true };
        let holder = self.holders.get(&(seat.group_id, cursor.partition.topic.clone()));
        holder.is_some_and(|holder| holder.seat == *seat)
    }
}
