//! Received -> Verified: bearer tokens, signatures and their age. The only way to obtain a [`Verified`] delivery.
//!
//! On HTTP a delivery passes two steps. [`Gate::claim`] looks at the headers alone: the token or the path names the
//! binding, the timestamp must be fresh, the signature must have its form. [`Claim::prove`] then holds the body against
//! the binding's secrets. In between the body is read, so a sender nobody knows never gets memory for one.
//!
//! On a topic the log's broker has done both ([`Verified::by_topic`]).
//!
//! A [`Refusal`] says precisely what failed, for the log and the metrics; the sender is told one uniform sentence.

mod claim;
pub mod scheme;
mod signature;
mod source;
mod token;

pub use claim::{Claim, Gate, Refusal, TOLERANCE_S};
pub use signature::{SIGNATURE, TIMESTAMP, sign, sign_body};
pub use source::Source;
pub use token::{Tokens, bearer_token};

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::canonical::ids::Sha256Digest;
use crate::config::binding::Binding;

/// A delivery whose sender is known. Without one nothing is mapped.
#[derive(Debug, Clone)]
pub struct Verified {
    binding: Arc<Binding>,
    body: Bytes,
    digest: Sha256Digest,
    context: Context,
}

/// What is known of a delivery beside its body.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// `http` or the topic it came from.
    pub received_from: String,
    /// Epoch milliseconds.
    pub received_at: i64,
    pub correlation_id: String,
    /// Parameters of the route's path, by name.
    pub path: Vec<(String, String)>,
    /// The headers its route reads, names in lower case, in the order sent.
    pub headers: Vec<(String, String)>,
    pub traceparent: Option<String>,
    pub retry_count: u32,
    /// `event_id` of the rejection this payload is a replay of.
    pub replay_of: Option<Uuid>,
}

impl Verified {
    /// A payload an operator hands over (`map`, the cases of an adapter, a replay): there is no sender to authenticate,
    /// or it was authenticated when the payload first came.
    pub fn by_operator(binding: Arc<Binding>, body: Bytes, context: Context) -> Self {
        Self::new(binding, body, context)
    }

    /// A record of the topic that only senders of `binding` may write to: the log's broker has authenticated its
    /// writer and held it against the topic's access list, before the record could be read. `value` is what was read.
    pub fn by_topic(binding: Arc<Binding>, value: Bytes, context: Context) -> Self {
        Self::new(binding, value, context)
    }

    /// A part of the body as a delivery of its own: one item of a batch. `None` if `range` is not within the body.
    pub fn part(&self, range: Range<usize>) -> Option<Self> {
        let is_within = range.start <= range.end && range.end <= self.body.len();
        is_within.then(|| Self::new(Arc::clone(&self.binding), self.body.slice(range), self.context.clone()))
    }

    fn new(binding: Arc<Binding>, body: Bytes, context: Context) -> Self {
        Self { digest: Sha256Digest::of(&body), binding, body, context }
    }

    pub fn binding(&self) -> &Arc<Binding> {
        &self.binding
    }

    pub fn body(&self) -> &Bytes {
        &self.body
    }

    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    pub fn context(&self) -> &Context {
        &self.context
    }
}

impl Context {
    /// The value of a header the route reads; `None` if it is absent or there more than once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}
