//! The headers of a delivery nobody has authenticated yet, of any bytes, and any body behind them.

use std::sync::{Arc, LazyLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use crossdock::config::binding::Binding;
use crossdock::config::secret::Secret;
use crossdock::verify::scheme::Scheme;
use crossdock::verify::{self, Context, Gate, Source, Tokens};

/// The time of the seeds' signatures, epoch seconds.
pub const NOW_S: i64 = 1_772_612_130;
pub const TOKEN: &str = "token";
pub const SECRET: &str = "secret";

static BINDING: LazyLock<Arc<Binding>> = LazyLock::new(|| {
    Arc::new(Binding {
        name: "pyxis-north".to_owned(),
        adapter: "pyxis".to_owned(),
        tenant_id: "north".to_owned(),
        bearer_tokens: vec![Secret::new(TOKEN)],
        signing_secret: vec![Secret::new(SECRET)],
        ..Binding::default()
    })
});

static HOUSE: LazyLock<Gate> = LazyLock::new(|| {
    let tokens = Tokens::new(BINDING.bearer_tokens.iter().map(|token| (token, Arc::clone(&BINDING))));
    Gate::House { adapter: "pyxis".to_owned(), tokens: Arc::new(tokens) }
});

/// A source of webhooks by Standard Webhooks.
static SOURCE: LazyLock<Gate> = LazyLock::new(|| {
    let secret = Secret::new("whsec_c2VjcmV0IG9mIGEgc291cmNlIG9mIHdlYmhvb2tz");
    let binding = Binding { signing_secret: vec![secret], ..Binding::clone(&BINDING) };
    Gate::Source(Arc::new(Source::new(Arc::new(binding), Scheme::Standard).expect("a secret of the scheme's form")))
});

/// `data`: lines, each a letter for the header and its value; an empty line; the body.
pub fn signature(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, behind) = (&rest[..end], &rest[end + 1..]);
        rest = behind;
        let Some((name, value)) = line.split_first() else { break };
        let name = match name {
            b'a' => HeaderName::from_static("authorization"),
            b't' => HeaderName::from_static(verify::TIMESTAMP),
            b'i' => HeaderName::from_static("webhook-id"),
            b'w' => HeaderName::from_static("webhook-timestamp"),
            b's' => HeaderName::from_static("webhook-signature"),
            _ => HeaderName::from_static(verify::SIGNATURE),
        };
        // What is no header's value never gets past the HTTP server.
        let Ok(value) = HeaderValue::from_bytes(value) else { continue };
        headers.append(name, value);
    }
    let body = Bytes::copy_from_slice(rest);
    if let Ok(claim) = SOURCE.claim(&headers, NOW_S * 1000) {
        // Its secret is in no seed.
        assert!(claim.prove(body.clone(), Context::default()).is_err(), "nothing proves what was not signed");
    }
    let Ok(claim) = HOUSE.claim(&headers, NOW_S * 1000) else { return };
    let claimed = headers.get(verify::SIGNATURE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let timestamp: i64 = headers
        .get(verify::TIMESTAMP)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .expect("a claim has a time of signing");

    let verified = claim.prove(body.clone(), Context::default());

    // Leading zeros of the time are signed as they are written, so only a canonical one can be signed again here.
    let canonical =
        headers.get(verify::TIMESTAMP).is_some_and(|value| value.as_bytes() == timestamp.to_string().as_bytes());
    if canonical {
        let genuine = verify::sign(&Secret::new(SECRET), timestamp, &body);
        assert_eq!(verified.is_ok(), genuine.eq_ignore_ascii_case(claimed), "only a genuine signature proves a claim");
    }
}
