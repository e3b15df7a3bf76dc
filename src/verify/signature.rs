//! The signature of a sales system's delivery: an HMAC over its time and its body.
//!
//! Source: `contracts/canonical-events.md` sections 7 and 9.

use std::sync::Arc;

use axum::http::HeaderMap;

use crate::config::binding::Binding;
use crate::config::secret::Secret;
use crate::verify::claim::{Claim, Keys, Proof, Refusal, fresh, hmac};
use crate::verify::token::{Tokens, bearer_token, only_value};

/// Header with the time of signing, epoch seconds.
pub const TIMESTAMP: &str = "x-fsm-timestamp";
/// Header with `v1=<hex HMAC-SHA256>`.
pub const SIGNATURE: &str = "x-fsm-signature";

/// Reads the claim of a house system's delivery to a route of `adapter`. `now_ms`: epoch milliseconds.
///
/// # Errors
/// A header that is missing, repeated or ill-formed; a token that no binding of `adapter` has; a time of signing
/// more than [`TOLERANCE_S`](super::TOLERANCE_S) away.
pub(super) fn read(
    headers: &HeaderMap,
    tokens: &Tokens<Arc<Binding>>,
    adapter: &str,
    now_ms: i64,
) -> Result<Claim, Refusal> {
    let token = bearer_token(headers)?;
    let binding =
        tokens.owner(token).filter(|binding| binding.adapter == adapter).ok_or(Refusal::UnknownToken)?.clone();
    let timestamp = fresh(headers, TIMESTAMP, &binding, now_ms)?;
    let signatures = vec![parse_signature(only_value(headers, SIGNATURE)?)?];
    let proof = Proof::Signed { before: before(timestamp), signatures, keys: Keys::OfBinding };
    Ok(Claim { binding, proof })
}

/// Value of [`SIGNATURE`] for `body` signed at `epoch_s`.
pub fn sign(secret: &Secret, epoch_s: i64, body: &[u8]) -> String {
    let tag = hmac(secret.reveal().as_bytes(), &before(&epoch_s.to_string()), body);
    format!("v1={}", hex::encode(tag))
}

/// As [`sign`], but the time is not covered: the older form, for partners that know no other.
pub fn sign_body(secret: &Secret, body: &[u8]) -> String {
    format!("v1={}", hex::encode(hmac(secret.reveal().as_bytes(), &[], body)))
}

/// What is signed in front of the body: the time as it was sent, not the number it stands for.
fn before(timestamp: &str) -> Vec<u8> {
    format!("{timestamp}.").into_bytes()
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
    use bytes::Bytes;

    use super::*;
    use crate::verify::{Context, Verified};

    const NOW_S: i64 = 1_772_612_130;
    const BODY: &[u8] = br#"{"order_id":"PYX-1"}"#;

    fn binding() -> Arc<Binding> {
        Arc::new(Binding {
            name: "pyxis-north".into(),
            adapter: "pyxis".into(),
            tenant_id: "north".into(),
            bearer_tokens: vec![Secret::new("token")],
            signing_secret: vec![Secret::new("new secret"), Secret::new("old secret")],
            ..Binding::default()
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
        read(headers, &tokens, "pyxis", NOW_S * 1000 + 999)?.prove(Bytes::from_static(body), Context::default())
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

        let refusal = read(&signed("new secret", NOW_S), &tokens, "tempo", NOW_S * 1000).unwrap_err();

        assert_eq!(refusal, Refusal::UnknownToken);
    }

    #[test]
    fn a_binding_without_a_secret_refuses_everything() {
        let binding = Arc::new(Binding { signing_secret: vec![], ..(*binding()).clone() });
        let tokens = Tokens::new(binding.bearer_tokens.iter().map(|token| (token, binding.clone())));

        let claim = read(&signed("", NOW_S), &tokens, "pyxis", NOW_S * 1000).unwrap();

        assert!(claim.prove(Bytes::from_static(BODY), Context::default()).is_err());
    }
}
