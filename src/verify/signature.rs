//! The signature of a sales system's delivery: an HMAC over its time and its body.
//!
//! Source: `contracts/canonical-events.md` sections 7 and 9.

use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::config::binding::Binding;
use crate::config::secret::Secret;
use crate::verify::token::{Tokens, bearer_token, only_value};
use crate::verify::{Context, Verified};

/// Header with the time of signing, epoch seconds.
pub const TIMESTAMP: &str = "x-fsm-timestamp";
/// Header with `v1=<hex HMAC-SHA256>`.
pub const SIGNATURE: &str = "x-fsm-signature";
/// How far the time of signing may be from ours, in seconds, either side and inclusive.
pub const TOLERANCE_S: i64 = 300;

/// What the headers of a delivery claim, before its body has proved it.
#[derive(Debug)]
pub struct Claim {
    binding: Arc<Binding>,
    /// As sent: the signature covers this text, not the number it stands for.
    timestamp: String,
    signature: [u8; 32],
}

impl Claim {
    /// Reads the claim of a delivery to a route of `adapter`. `now_ms`: epoch milliseconds.
    ///
    /// # Errors
    /// A header that is missing, repeated or ill-formed; a token that no binding of `adapter` has; a time of signing
    /// more than [`TOLERANCE_S`] away.
    pub fn read(
        headers: &HeaderMap,
        tokens: &Tokens<Arc<Binding>>,
        adapter: &str,
        now_ms: i64,
    ) -> Result<Self, Refusal> {
        let token = bearer_token(headers)?;
        let binding =
            tokens.owner(token).filter(|binding| binding.adapter == adapter).ok_or(Refusal::UnknownToken)?.clone();
        let timestamp = only_value(headers, TIMESTAMP)?;
        let skew_s = now_ms.div_euclid(1000) - epoch_seconds(timestamp)?;
        if skew_s.abs() > TOLERANCE_S {
            return Err(Refusal::ClockSkew { binding: binding.name.clone(), skew_s });
        }
        let signature = parse_signature(only_value(headers, SIGNATURE)?)?;
        Ok(Self { binding, timestamp: timestamp.to_owned(), signature })
    }

    pub fn binding(&self) -> &Arc<Binding> {
        &self.binding
    }

    /// Holds `body`, as raw bytes, against every active secret of the binding.
    ///
    /// # Errors
    /// [`Refusal::NoSecretMatched`]; a binding without a secret refuses everything.
    pub fn prove(self, body: Bytes, context: Context) -> Result<Verified, Refusal> {
        let matched = self
            .binding
            .signing_secret
            .iter()
            .any(|secret| authenticator(secret, &self.timestamp, &body).verify_slice(&self.signature).is_ok());
        if !matched {
            return Err(Refusal::NoSecretMatched { binding: self.binding.name.clone() });
        }
        Ok(Verified::new(self.binding, body, context))
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
            Self::ClockSkew { .. } => "clock_skew",
            Self::NoSecretMatched { .. } => "no_secret_matched",
        }
    }

    /// The binding, where the token named one.
    pub fn binding(&self) -> Option<&str> {
        match self {
            Self::ClockSkew { binding, .. } | Self::NoSecretMatched { binding } => Some(binding),
            _ => None,
        }
    }
}

/// Value of [`SIGNATURE`] for `body` signed at `epoch_s`.
pub fn sign(secret: &Secret, epoch_s: i64, body: &[u8]) -> String {
    let tag = authenticator(secret, &epoch_s.to_string(), body).finalize().into_bytes();
    format!("v1={}", hex::encode(tag))
}

fn authenticator(secret: &Secret, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length: this cannot fail, and a fallback key would be the worse answer if it did.
    #[expect(clippy::expect_used, reason = "HMAC accepts keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).expect("a key of any length");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

fn epoch_seconds(text: &str) -> Result<i64, Refusal> {
    let well_formed = (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if well_formed { text.parse().ok() } else { None };
    seconds.ok_or_else(|| Refusal::IllFormedHeader { header: TIMESTAMP.to_owned(), expected: "epoch seconds" })
}

fn parse_signature(text: &str) -> Result<[u8; 32], Refusal> {
    let mut signature = [0; 32];
    text.strip_prefix("v1=").and_then(|digits| hex::decode_to_slice(digits, &mut signature).ok()).ok_or_else(|| {
        Refusal::IllFormedHeader { header: SIGNATURE.to_owned(), expected: "`v1=` and 64 hex digits" }
    })?;
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_772_612_130;
    const BODY: &[u8] = br#"{"order_id":"PYX-1"}"#;

    fn binding() -> Arc<Binding> {
        Arc::new(Binding {
            name: "pyxis-north".into(),
            adapter: "pyxis".into(),
            tenant_id: "north".into(),
            countries: vec![],
            rate_limit_per_minute: 0,
            bearer_tokens: vec![Secret::new("token")],
            signing_secret: vec![Secret::new("new secret"), Secret::new("old secret")],
            parameters: Default::default(),
        })
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.parse::<axum::http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn verify(headers: &HeaderMap, body: &'static [u8]) -> Result<Verified, Refusal> {
        let binding = binding();
        let tokens = Tokens::new(binding.bearer_tokens.iter().map(|token| (token, binding.clone())));
        Claim::read(headers, &tokens, "pyxis", NOW_S * 1000 + 999)?.prove(Bytes::from_static(body), Context::default())
    }

    fn signed(secret: &str, at_s: i64) -> HeaderMap {
        headers(&[
            ("authorization", "Bearer token"),
            (TIMESTAMP, &at_s.to_string()),
            (SIGNATURE, &sign(&Secret::new(secret), at_s, BODY)),
        ])
    }

    #[test]
    fn a_signature_is_the_one_openssl_makes() {
        // printf '1772612130.{"a":1}' | openssl dgst -sha256 -hmac secret
        assert_eq!(
            sign(&Secret::new("secret"), NOW_S, br#"{"a":1}"#),
            "v1=ef2b06388704a5aa2ecc469d059ebed96e44e26f0598a962640594df6c2cc9e6"
        );
    }

    #[test]
    fn every_active_secret_is_accepted_and_no_other() {
        for (secret, accepted) in [("new secret", true), ("old secret", true), ("older secret", false), ("", false)] {
            let verified = verify(&signed(secret, NOW_S), BODY);

            assert_eq!(verified.is_ok(), accepted, "{secret}");
        }
    }

    #[test]
    fn a_verified_delivery_carries_its_binding_body_and_digest() {
        let verified = verify(&signed("new secret", NOW_S), BODY).unwrap();

        assert_eq!(verified.binding().name, "pyxis-north");
        assert_eq!(verified.body().as_ref(), BODY);
        assert_eq!(verified.digest(), crate::canonical::ids::Sha256Digest::of(BODY));
    }

    #[test]
    fn the_time_of_signing_may_be_300_seconds_away_on_either_side() {
        for (offset_s, accepted) in [(0, true), (-300, true), (300, true), (-301, false), (301, false)] {
            let verified = verify(&signed("new secret", NOW_S + offset_s), BODY);

            match verified {
                Ok(_) => assert!(accepted, "{offset_s}"),
                Err(refusal) => {
                    assert!(!accepted, "{offset_s}");
                    assert_eq!(
                        refusal,
                        Refusal::ClockSkew { binding: "pyxis-north".into(), skew_s: -offset_s },
                        "{offset_s}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_body_changed_by_one_byte_is_refused() {
        let refusal = verify(&signed("new secret", NOW_S), br#"{"order_id":"PYX-2"}"#).unwrap_err();

        assert_eq!(refusal, Refusal::NoSecretMatched { binding: "pyxis-north".into() });
    }

    #[test]
    fn each_header_must_be_there_once_and_well_formed() {
        let good = sign(&Secret::new("new secret"), NOW_S, BODY);
        let now = NOW_S.to_string();
        let (token, time, tag) = (("authorization", "Bearer token"), (TIMESTAMP, &*now), (SIGNATURE, &*good));
        let two = format!("{good},{good}");
        for (pairs, reason) in [
            (vec![time, tag], "missing_header"),
            (vec![token, tag], "missing_header"),
            (vec![token, time], "missing_header"),
            (vec![token, token, time, tag], "repeated_header"),
            (vec![token, time, time, tag], "repeated_header"),
            (vec![token, time, tag, tag], "repeated_header"),
            (vec![("authorization", "Basic token"), time, tag], "ill_formed_header"),
            (vec![("authorization", "Bearer other"), time, tag], "unknown_token"),
            (vec![token, (TIMESTAMP, "soon"), tag], "ill_formed_header"),
            (vec![token, (TIMESTAMP, "+1772612130"), tag], "ill_formed_header"),
            (vec![token, (TIMESTAMP, "1772612130.0"), tag], "ill_formed_header"),
            (vec![token, (TIMESTAMP, "99999999999999999999"), tag], "ill_formed_header"),
            (vec![token, (TIMESTAMP, ""), tag], "ill_formed_header"),
            (vec![token, (TIMESTAMP, "1772612130000"), tag], "ill_formed_header"), // milliseconds
            (vec![token, time, (SIGNATURE, &good[3..])], "ill_formed_header"),
            (vec![token, time, (SIGNATURE, "v1=00")], "ill_formed_header"),
            (vec![token, time, (SIGNATURE, &two)], "ill_formed_header"),
            (vec![token, time, (SIGNATURE, "v2=00")], "ill_formed_header"),
        ] {
            let refusal = verify(&headers(&pairs), BODY).unwrap_err();

            assert_eq!(refusal.reason(), reason, "{pairs:?}: {refusal}");
        }
    }

    #[test]
    fn a_token_of_another_adapter_is_unknown_to_the_route() {
        let binding = binding();
        let tokens = Tokens::new(binding.bearer_tokens.iter().map(|token| (token, binding.clone())));

        let refusal = Claim::read(&signed("new secret", NOW_S), &tokens, "tempo", NOW_S * 1000).unwrap_err();

        assert_eq!(refusal, Refusal::UnknownToken);
    }

    #[test]
    fn a_binding_without_a_secret_refuses_everything() {
        let binding = Arc::new(Binding { signing_secret: vec![], ..(*binding()).clone() });
        let tokens = Tokens::new(binding.bearer_tokens.iter().map(|token| (token, binding.clone())));

        let claim = Claim::read(&signed("", NOW_S), &tokens, "pyxis", NOW_S * 1000).unwrap();

        assert!(claim.prove(Bytes::from_static(BODY), Context::default()).is_err());
    }
}
