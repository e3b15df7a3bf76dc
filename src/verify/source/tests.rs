//! Each scheme: what is believed, and why the rest is not.

use bytes::Bytes;

use super::*;
use crate::verify::scheme::Encoding;
use crate::verify::{Context, Gate};

const NOW_S: i64 = 1_772_612_130;
const BODY: &[u8] = br#"{"type":"order.placed"}"#;
const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_b2xkIHNlY3JldCBvZiB0aGUgc291cmNl";
const OTHER: &str = "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCE=";

fn source(scheme: &Scheme) -> Arc<Source> {
    let secrets = |values: [&str; 2]| values.map(Secret::new).to_vec();
    let binding = Binding {
        name: "acme-north".into(),
        signing_secret: secrets([NEW, OLD]),
        bearer_tokens: secrets(["new-token", "old-token"]),
        basic_credentials: secrets(["acme:new password", "acme:old"]),
        ..Binding::default()
    };
    Arc::new(Source::new(Arc::new(binding), scheme.clone()).expect("its secrets are well-formed"))
}

fn hmac(encoding: Encoding, prefix: &str, timestamp_header: Option<&str>) -> Scheme {
    Scheme::HmacHeader(HmacHeader {
        header: "x-acme-signature".into(),
        encoding,
        prefix: prefix.into(),
        timestamp_header: timestamp_header.map(str::to_owned),
    })
}

fn verify(scheme: &Scheme, pairs: &[(&str, &str)], body: &'static [u8]) -> Result<(), &'static str> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name.parse::<axum::http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    let claim = Gate::Source(source(scheme)).claim(&headers, NOW_S * 1000 + 999);
    let proved = claim.and_then(|claim| claim.prove(Bytes::from_static(body), Context::default()));
    proved.map(|_| ()).map_err(|refusal| refusal.reason())
}

/// The headers of a sender with `secret`, replaced by those of the same name in `other`.
fn sent(scheme: &Scheme, secret: &str, at_s: i64, other: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut headers = scheme.sign(&Secret::new(secret), "msg_1", at_s, BODY).expect("a secret of the scheme");
    for (name, value) in other {
        headers.retain(|(known, _)| known != name);
        headers.push(((*name).to_owned(), (*value).to_owned()));
    }
    headers
}

fn check(scheme: &Scheme, headers: &[(String, String)], body: &'static [u8]) -> Result<(), &'static str> {
    let pairs: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    verify(scheme, &pairs, body)
}

#[test]
fn every_active_secret_is_accepted_and_no_other_by_every_scheme() {
    for (scheme, [new, old, other], reason) in [
        (Scheme::Standard, [NEW, OLD, OTHER], "no_secret_matched"),
        (hmac(Encoding::Hex, "sha256=", None), [NEW, OLD, OTHER], "no_secret_matched"),
        (hmac(Encoding::Base64, "", None), [NEW, OLD, OTHER], "no_secret_matched"),
        (hmac(Encoding::Hex, "", Some("x-acme-time")), [NEW, OLD, OTHER], "no_secret_matched"),
        (Scheme::Bearer, ["new-token", "old-token", "new-toke"], "unknown_token"),
        (Scheme::Basic, ["acme:new password", "acme:old", "acme:"], "wrong_password"),
    ] {
        for (secret, expected) in [(new, Ok(())), (old, Ok(())), (other, Err(reason))] {
            assert_eq!(check(&scheme, &sent(&scheme, secret, NOW_S, &[]), BODY), expected, "{scheme:?} {secret}");
        }
    }
}

#[test]
fn a_body_changed_by_one_byte_is_refused_by_every_scheme_that_signs_it() {
    for scheme in
        [Scheme::Standard, hmac(Encoding::Hex, "", None), hmac(Encoding::Base64, "sha256=", Some("x-acme-time"))]
    {
        let headers = sent(&scheme, NEW, NOW_S, &[]);

        assert_eq!(check(&scheme, &headers, br#"{"type":"order.Placed"}"#), Err("no_secret_matched"), "{scheme:?}");
    }
}

#[test]
fn the_time_of_signing_may_be_five_minutes_away_on_either_side() {
    for scheme in [Scheme::Standard, hmac(Encoding::Hex, "", Some("x-acme-time"))] {
        for (offset_s, expected) in [
            (0, Ok(())),
            (-300, Ok(())),
            (300, Ok(())),
            (-301, Err("clock_skew")),
            (301, Err("clock_skew")),
            (-360, Err("clock_skew")),
        ] {
            let headers = sent(&scheme, NEW, NOW_S + offset_s, &[]);

            assert_eq!(check(&scheme, &headers, BODY), expected, "{scheme:?} {offset_s}");
        }
    }
}

#[test]
fn one_good_entry_of_a_list_of_signatures_is_enough() {
    let good = sent(&Scheme::Standard, NEW, NOW_S, &[])[2].1.clone();
    let wrong = sent(&Scheme::Standard, OTHER, NOW_S, &[])[2].1.clone();
    let asymmetric = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";
    for (list, expected) in [
        (good.clone(), Ok(())),
        (format!("{wrong} {good}"), Ok(())),
        (format!("{good} {wrong}"), Ok(())),
        (format!("{asymmetric} {good}"), Ok(())),
        (format!("v1,short v1, {good}"), Ok(())),
        (format!("{wrong} {wrong}"), Err("no_secret_matched")),
        (asymmetric.to_owned(), Err("ill_formed_header")), // no version known here
        ("v1,".to_owned(), Err("ill_formed_header")),
        (good.replace("v1,", "v2,"), Err("ill_formed_header")),
        (good.replace(',', "="), Err("ill_formed_header")),
        (String::new(), Err("ill_formed_header")),
    ] {
        let headers = sent(&Scheme::Standard, NEW, NOW_S, &[("webhook-signature", &list)]);

        assert_eq!(check(&Scheme::Standard, &headers, BODY), expected, "{list}");
    }
}

#[test]
fn id_and_time_are_signed_with_the_body() {
    let later = (NOW_S + 1).to_string();
    for (name, value) in [("webhook-id", "msg_2"), ("webhook-timestamp", &later)] {
        let headers = sent(&Scheme::Standard, NEW, NOW_S, &[(name, value)]);

        assert_eq!(check(&Scheme::Standard, &headers, BODY), Err("no_secret_matched"), "{name}");
    }
}

#[test]
fn each_header_must_be_there_once_and_well_formed() {
    let long = "x".repeat(257);
    for (scheme, other, expected) in [
        (Scheme::Standard, vec![("webhook-id", "")], "ill_formed_header"),
        (Scheme::Standard, vec![("webhook-id", &*long)], "ill_formed_header"),
        (Scheme::Standard, vec![("webhook-timestamp", "soon")], "ill_formed_header"),
        (Scheme::Standard, vec![("webhook-timestamp", "1772612130000")], "ill_formed_header"),
        (hmac(Encoding::Hex, "sha256=", None), vec![("x-acme-signature", "sha1=00")], "ill_formed_header"),
        (hmac(Encoding::Hex, "", None), vec![("x-acme-signature", "00")], "ill_formed_header"),
        (hmac(Encoding::Hex, "", None), vec![("x-acme-signature", "zz")], "ill_formed_header"),
        (hmac(Encoding::Base64, "", None), vec![("x-acme-signature", "****")], "ill_formed_header"),
        (Scheme::Bearer, vec![("authorization", "Basic bmV3LXRva2Vu")], "ill_formed_header"),
        (Scheme::Basic, vec![("authorization", "Bearer new-token")], "ill_formed_header"),
        (Scheme::Basic, vec![("authorization", "Basic ***")], "ill_formed_header"),
    ] {
        let secret = if scheme == Scheme::Basic { "acme:old" } else { NEW };
        let headers = sent(&scheme, secret, NOW_S, &other);

        assert_eq!(check(&scheme, &headers, BODY), Err(expected), "{scheme:?} {other:?}");
    }
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut headers = sent(&Scheme::Standard, NEW, NOW_S, &[]);
        let kept: Vec<_> = headers.iter().filter(|(known, _)| known != name).cloned().collect();
        assert_eq!(check(&Scheme::Standard, &kept, BODY), Err("missing_header"), "{name}");

        let repeated = headers.iter().find(|(known, _)| known == name).cloned();
        headers.extend(repeated);
        assert_eq!(check(&Scheme::Standard, &headers, BODY), Err("repeated_header"), "{name}");
    }
}

#[test]
fn a_source_without_a_usable_secret_is_none() {
    let with = |secret: &str| Binding {
        signing_secret: vec![Secret::new(secret)],
        basic_credentials: vec![Secret::new(secret)],
        ..Binding::default()
    };
    for (binding, scheme, expected) in [
        (Binding::default(), Scheme::Standard, WrongSecret::Missing),
        (Binding::default(), Scheme::Bearer, WrongSecret::Missing),
        (with("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Scheme::Standard, WrongSecret::NotStandard),
        (with("whsec_"), Scheme::Standard, WrongSecret::NotStandard),
        (with("whsec_***"), Scheme::Standard, WrongSecret::NotStandard),
        (with("acme"), Scheme::Basic, WrongSecret::NoPassword),
    ] {
        assert_eq!(Source::new(Arc::new(binding), scheme.clone()).err(), Some(expected), "{scheme:?}");
    }
}
