//! Received -> Verified: bearer tokens, signatures and their age. The only way to obtain a [`Verified`] delivery.
//!
//! On HTTP a delivery passes two steps. [`Claim::read`] looks at the headers alone: the token names the binding,
//! the timestamp must be fresh, the signature must have its form. [`Claim::prove`] then holds the body against the
//! binding's secrets. In between the body is read, so a sender nobody knows never gets memory for one.
//!
//! A [`Refusal`] says precisely what failed, for the log and the metrics; the sender is told one uniform sentence.

mod signature;
mod token;

pub use signature::{Claim, Refusal, SIGNATURE, TIMESTAMP, TOLERANCE_S, sign};
pub use token::{Tokens, bearer_token};

use std::sync::Arc;

use bytes::Bytes;

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
    pub traceparent: Option<String>,
    pub retry_count: u32,
}

impl Verified {
    /// A payload an operator hands over on this machine (`map`, the cases of an adapter): there is no sender to
    /// authenticate.
    pub fn by_operator(binding: Arc<Binding>, body: Bytes, context: Context) -> Self {
        Self::new(binding, body, context)
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
