//! What a delivery's headers claim, and how its body proves it.

use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

use crate::config::binding::Binding;
use crate::verify::source::Source;
use crate::verify::token::{Tokens, only_value};
use crate::verify::{Context, Verified, signature};

/// How far the time of signing may be from ours, in seconds, either side and inclusive.
pub const TOLERANCE_S: i64 = 300;

/// How the senders of one route prove who they are.
#[derive(Debug, Clone)]
pub enum Gate {
    /// House systems: a bearer token names the binding, and the binding's secret signs.
    House { adapter: String, tokens: Arc<Tokens<Arc<Binding>>> },
    /// A source with a scheme of its own: the path has named the binding.
    Source(Arc<Source>),
}

/// What the headers of a delivery claim, before its body has proved it.
#[derive(Debug)]
pub struct Claim {
    pub(super) binding: Arc<Binding>,
    pub(super) proof: Proof,
}

/// What is left to prove.
#[derive(Debug)]
pub(super) enum Proof {
    /// Nothing: the credentials themselves were sent.
    Given,
    /// One of `signatures` must be the HMAC-SHA256 of `before` and the body by one of the keys.
    Signed { before: Vec<u8>, signatures: Vec<[u8; 32]>, keys: Keys },
}

/// Where the keys are.
#[derive(Debug)]
pub(super) enum Keys {
    /// The text of each signing secret is a key.
    OfBinding,
    OfSource(Arc<Source>),
}

impl Gate {
    /// Reads the claim of a delivery. `now_ms`: epoch milliseconds.
    ///
    /// # Errors
    /// A header that is missing, repeated or ill-formed; credentials nobody has; a time of signing more than
    /// [`TOLERANCE_S`] away.
    pub fn claim(&self, headers: &HeaderMap, now_ms: i64) -> Result<Claim, Refusal> {
        match self {
            Self::House { adapter, tokens } => signature::read(headers, tokens, adapter, now_ms),
            Self::Source(source) => source.claim(headers, now_ms),
        }
    }
}

impl Claim {
    pub fn binding(&self) -> &Arc<Binding> {
        &self.binding
    }

    /// Holds `body`, as raw bytes, against every active secret of the binding.
    ///
    /// # Errors
    /// [`Refusal::NoSecretMatched`]; a binding without a secret refuses everything.
    pub fn prove(self, body: Bytes, context: Context) -> Result<Verified, Refusal> {
        let Self { binding, proof } = self;
        if let Proof::Signed { before, signatures, keys } = &proof
            && !keys.of(&binding).any(|key| is_signed(key, before, &body, signatures))
        {
            return Err(Refusal::NoSecretMatched { binding: binding.name.clone() });
        }
        Ok(Verified::new(binding, body, context))
    }
}

impl Keys {
    fn of<'a>(&'a self, binding: &'a Binding) -> Box<dyn Iterator<Item = &'a [u8]> + 'a> {
        match self {
            Self::OfBinding => Box::new(binding.signing_secret.iter().map(|secret| secret.reveal().as_bytes())),
            Self::OfSource(source) => Box::new(source.keys()),
        }
    }
}

/// Why a delivery is not believed. Names no token, secret or digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("header `{header}` is missing")]
    MissingHeader { header: String },
    #[error("header `{header}` is there more than once")]
    RepeatedHeader { header: String },
    #[error("header `{header}` is ill-formed, expected {expected}")]
    IllFormedHeader { header: String, expected: &'static str },
    #[error("bearer token is not one of the route's bindings")]
    UnknownToken,
    #[error("user and password are not those of binding `{binding}`")]
    WrongPassword { binding: String },
    /// Positive: signed in the past.
    #[error("signed {skew_s} s before our clock by binding `{binding}`, at most 300 s either side are allowed")]
    ClockSkew { binding: String, skew_s: i64 },
    #[error("no signing secret of binding `{binding}` matches")]
    NoSecretMatched { binding: String },
}

impl Refusal {
    /// A closed set of short names, for the metric's label.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::MissingHeader { .. } => "missing_header",
            Self::RepeatedHeader { .. } => "repeated_header",
            Self::IllFormedHeader { .. } => "ill_formed_header",
            Self::UnknownToken => "unknown_token",
            Self::WrongPassword { .. } => "wrong_password",
            Self::ClockSkew { .. } => "clock_skew",
            Self::NoSecretMatched { .. } => "no_secret_matched",
        }
    }

    /// The binding, where the headers named one.
    pub fn binding(&self) -> Option<&str> {
        match self {
            Self::WrongPassword { binding } | Self::ClockSkew { binding, .. } | Self::NoSecretMatched { binding } => {
                Some(binding)
            }
            _ => None,
        }
    }
}

/// The time of signing in `header`, as it was sent.
///
/// # Errors
/// It is missing, no number of seconds, or more than [`TOLERANCE_S`] from `now_ms`.
pub(super) fn fresh<'a>(
    headers: &'a HeaderMap,
    header: &str,
    binding: &Binding,
    now_ms: i64,
) -> Result<&'a str, Refusal> {
    let timestamp = only_value(headers, header)?;
    let well_formed = (1..=12).contains(&timestamp.len()) && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: Option<i64> = if well_formed { timestamp.parse().ok() } else { None };
    let ill_formed = || Refusal::IllFormedHeader { header: header.to_owned(), expected: "epoch seconds" };
    let skew_s = now_ms.div_euclid(1000) - seconds.ok_or_else(ill_formed)?;
    if skew_s.abs() > TOLERANCE_S {
        return Err(Refusal::ClockSkew { binding: binding.name.clone(), skew_s });
    }
    Ok(timestamp)
}

/// The HMAC-SHA256 of `before` and `body`.
pub(super) fn hmac(key: &[u8], before: &[u8], body: &[u8]) -> [u8; 32] {
    // HMAC takes a key of any length: this cannot fail, and a fallback key would be the worse answer if it did.
    #[expect(clippy::expect_used, reason = "HMAC accepts keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(before);
    mac.update(body);
    mac.finalize().into_bytes().into()
}

/// The body is hashed once a key; all signatures are compared, so that the time taken does not tell which matched.
fn is_signed(key: &[u8], before: &[u8], body: &[u8], signatures: &[[u8; 32]]) -> bool {
    let tag = hmac(key, before, body);
    let matched = signatures.iter().fold(Choice::from(0), |any, signature| any | signature.ct_eq(&tag));
    matched.into()
}
