//! The detail of a ledger row: what one message of an order's journey was and how it ended.
//!
//! Written by the lane, read by `orders show` and `GET /api/v1/orders/{id}`. One JSON object; members that say
//! nothing are left out.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::canonical::draft::DraftHead;
use crate::canonical::event::Event;
use crate::canonical::ids::Sha256Digest;
use crate::canonical::order::Warning;
use crate::canonical::rejection::{Code, Rejection};
use crate::sequence::decide::Verdict;
use crate::store::Outcome;

/// Longest `error_message` kept; the published rejection carries more.
pub const MAX_MESSAGE_BYTES: usize = 4 << 10;
/// Room for an ordinary row, so that writing one allocates once.
const USUAL_BYTES: usize = 1024;

/// One message, one waiting message that ended, or one gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    pub what: What,
    /// Absent on a gap only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// `http` or the topic. This and those up to `retry_count`: where the message came from; absent on the end of a tombstone,
    /// on a gap and on an unreadable record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_from: Option<String>,
    /// `topic/partition/offset` of the record the message was made of, if it came from a topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The record at `source` was decided before: a hop that crashed has appended it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeat: bool,
    /// Epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_sha256: Option<Sha256Digest>,
    /// How often the payload was replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<u32>,
    /// `event_id` of the rejection the payload is a replay of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<Code>,
    /// At most [`MAX_MESSAGE_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What it publishes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Published>,
    /// Offset of the record that ended the waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_by: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// What the message counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Created,
    Updated,
    Cancelled,
    /// Refused before it reached the lane, or unreadable in it.
    Rejection,
    /// Records an operator let the lane skip.
    Gap,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub topic: String,
    pub key: String,
    pub event_id: String,
    /// Name of the schema's record.
    pub record: String,
    /// The event was published of the same payload before, and so not again; only a rejection's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub already_published: bool,
}

/// Offsets of the lane that were never taken: `from` is the first, `to` the first taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub from: i64,
    pub to: i64,
}

impl Detail {
    /// The detail of a verdict; `head` is that of the message it is about.
    pub fn of_verdict(
        verdict: &Verdict,
        head: Option<&DraftHead>,
        warnings: &[Warning],
        released_by: Option<i64>,
    ) -> Self {
        let rejection = verdict.rejection.as_ref();
        Self {
            what: verdict.what,
            outcome: Some(verdict.outcome),
            revision: verdict.revision,
            received_from: head.map(|head| head.received_from.clone()),
            source: None,
            repeat: false,
            received_at: head.map(|head| head.received_at),
            correlation_id: head.map(|head| head.correlation_id.clone()),
            binding: head.map(|head| head.binding.clone()),
            raw_sha256: head.map(|head| head.raw_sha256),
            retry_count: head.map(|head| head.retry_count),
            replay_of: head.and_then(|head| head.replay_of),
            error_code: rejection.map(Rejection::code),
            error_message: rejection.map(|rejection| cut(rejection.message())),
            warnings: warnings.to_vec(),
            events: verdict.events.iter().map(Published::of).collect(),
            released_by,
            gap: None,
        }
    }

    /// Marks every event as published before.
    pub fn publish_nothing_again(&mut self) {
        for event in &mut self.events {
            event.already_published = true;
        }
    }

    pub fn of_gap(gap: Gap) -> Self {
        Self { gap: Some(gap), ..Self::of_unread(What::Gap, None) }
    }

    /// The detail of a record that is no message.
    pub fn of_unreadable(code: Code, message: String) -> Self {
        Self {
            error_code: Some(code),
            error_message: Some(cut(message)),
            ..Self::of_unread(What::Rejection, Some(Outcome::Rejected))
        }
    }

    fn of_unread(what: What, outcome: Option<Outcome>) -> Self {
        Self {
            what,
            outcome,
            revision: None,
            received_from: None,
            source: None,
            repeat: false,
            received_at: None,
            correlation_id: None,
            binding: None,
            raw_sha256: None,
            retry_count: None,
            replay_of: None,
            error_code: None,
            error_message: None,
            warnings: Vec::new(),
            events: Vec::new(),
            released_by: None,
            gap: None,
        }
    }

    /// The text of a ledger row.
    pub fn to_text(&self) -> String {
        // Text, numbers and lists of them are always JSON.
        let mut json = Vec::with_capacity(USUAL_BYTES);
        let written = serde_json::to_writer(&mut json, self);
        written.ok().and_then(|()| String::from_utf8(json).ok()).unwrap_or_default()
    }

    /// Reads the text of a ledger row.
    ///
    /// # Errors
    /// If it was not written by [`Self::to_text`].
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl Published {
    fn of(event: &Event) -> Self {
        Self {
            topic: event.topic.to_owned(),
            key: event.key.clone(),
            event_id: event.event_id.to_string(),
            record: event.body.record().to_owned(),
            already_published: false,
        }
    }
}

fn cut(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_say_nothing_are_left_out_and_read_back() {
        let gap = Detail::of_gap(Gap { from: 2, to: 4 });

        assert_eq!(gap.to_text(), r#"{"what":"gap","gap":{"from":2,"to":4}}"#);
        assert_eq!(Detail::parse(&gap.to_text()).expect("it was written here"), gap);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let detail = Detail::of_unreadable(Code::SchemaMismatch, "é".repeat(MAX_MESSAGE_BYTES));

        assert_eq!(detail.error_message.map(|message| message.len()), Some(MAX_MESSAGE_BYTES));
    }
}
