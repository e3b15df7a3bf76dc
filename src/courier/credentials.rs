//! How a target is shown who calls: an authorization, and a signature over time and body.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::config::binding::{Binding, Parameter, SignatureMode};
use crate::config::secret::Secret;
use crate::verify::scheme::Scheme;
use crate::verify::{self, SIGNATURE, TIMESTAMP};

/// What a target asks for. `Debug` shows no secret.
#[derive(Debug, Default)]
pub struct Credentials {
    authorization: Option<Authorization>,
    signing: Option<Signing>,
}

/// Secrets of which one is shown at a time. While one is being replaced there are two: the one that is refused gives
/// way to the next.
#[derive(Debug)]
pub struct Authorization {
    kind: Kind,
    secrets: Vec<Secret>,
    current: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bearer,
    /// Secrets are `user:password`.
    Basic,
}

#[derive(Debug, Clone)]
pub struct Signing {
    pub secret: Secret,
    pub mode: SignatureMode,
}

/// The credential a request was sent with; says which one was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown(usize);

/// A secret holds what no header can carry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a credential that a header can carry, found other characters")]
pub struct Error;

impl Credentials {
    /// # Errors
    /// A secret that no header can carry.
    pub fn new(authorization: Option<Authorization>, signing: Option<Signing>) -> Result<Self, Error> {
        if let Some(authorization) = &authorization {
            for secret in &authorization.secrets {
                authorization.kind.header(secret)?;
            }
        }
        Ok(Self { authorization, signing })
    }

    /// A sales system's: `outbound_token` as bearer token, the first signing secret to sign with, where given.
    ///
    /// # Errors
    /// As [`Credentials::new`].
    pub fn of(binding: &Binding) -> Result<Self, Error> {
        let authorization = match binding.parameters.get("outbound_token") {
            Some(Parameter::Secrets(secrets)) => Some(Authorization::new(Kind::Bearer, secrets.clone())),
            _ => None,
        };
        let signing = binding.signing_secret.first().cloned();
        Self::new(authorization, signing.map(|secret| Signing { secret, mode: binding.signature_mode }))
    }

    /// Adds what shows who calls to `headers`. `epoch_s`: the time of signing. `webhook_id`: of a call that is signed as
    /// Standard Webhooks are.
    pub(super) fn apply(&self, headers: &mut HeaderMap, body: &[u8], epoch_s: i64, webhook_id: Option<&str>) -> Shown {
        let mut shown = Shown(0);
        if let Some(authorization) = &self.authorization
            && let Some((index, value)) = authorization.current()
        {
            headers.insert(AUTHORIZATION, value);
            shown = Shown(index);
        }
        if let Some(Signing { secret, mode }) = &self.signing {
            let house =
                |signature| vec![(TIMESTAMP.to_owned(), epoch_s.to_string()), (SIGNATURE.to_owned(), signature)];
            let signed = match (webhook_id, mode) {
                // Whether the secret has the form it needs was looked at when the bindings were read.
                (Some(id), _) => Scheme::Standard.sign(secret, id, epoch_s, body).unwrap_or_default(),
                (None, SignatureMode::Timestamp) => house(verify::sign(secret, epoch_s, body)),
                (None, SignatureMode::Body) => house(verify::sign_body(secret, body)),
            };
            for (name, value) in signed {
                // Digits, Base64 and an id that was looked at.
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    headers.insert(name, value);
                }
            }
        }
        shown
    }

    /// The target refused what it was shown: the next request shows the next credential, if another request has not
    /// brought that about already.
    pub(super) fn refresh(&self, refused: Shown) {
        if let Some(authorization) = &self.authorization {
            let next = (refused.0 + 1) % authorization.secrets.len().max(1);
            let _ = authorization.current.compare_exchange(refused.0, next, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// Every secret there is, to be recognized where a target repeats it.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let shown = self.authorization.iter().flat_map(|authorization| &authorization.secrets);
        shown.chain(self.signing.iter().map(|signing| &signing.secret))
    }
}

impl Authorization {
    pub fn new(kind: Kind, secrets: Vec<Secret>) -> Self {
        Self { kind, secrets, current: AtomicUsize::new(0) }
    }

    fn current(&self) -> Option<(usize, HeaderValue)> {
        let index = self.current.load(Ordering::SeqCst);
        // Looked at when the credentials were made: every secret fits.
        Some((index, self.kind.header(self.secrets.get(index)?).ok()?))
    }
}

impl Kind {
    fn header(self, secret: &Secret) -> Result<HeaderValue, Error> {
        let text = match self {
            Self::Bearer => format!("Bearer {}", secret.reveal()),
            Self::Basic => format!("Basic {}", STANDARD.encode(secret.reveal())),
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| Error)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_772_612_130;

    fn bearer(tokens: &[&str]) -> Option<Authorization> {
        Some(Authorization::new(Kind::Bearer, tokens.iter().map(|token| Secret::new(*token)).collect()))
    }

    fn shown(credentials: &Credentials) -> (Shown, HeaderMap) {
        let mut headers = HeaderMap::new();
        let shown = credentials.apply(&mut headers, br#"{"a":1}"#, NOW_S, None);
        (shown, headers)
    }

    #[test]
    fn a_signature_covers_the_time_unless_the_binding_restores_the_old_form() {
        for (mode, signature) in [
            // printf '1772612130.{"a":1}' | openssl dgst -sha256 -hmac secret
            (SignatureMode::Timestamp, "v1=ef2b06388704a5aa2ecc469d059ebed96e44e26f0598a962640594df6c2cc9e6"),
            // printf '{"a":1}' | openssl dgst -sha256 -hmac secret
            (SignatureMode::Body, "v1=aa9e2e3575f5d7098b6caccd790888c36d5fdb63342a73bada2d6a51747a8494"),
        ] {
            let signing = Some(Signing { secret: Secret::new("secret"), mode });

            let (_, headers) = shown(&Credentials::new(None, signing).unwrap());

            assert_eq!(headers["x-fsm-signature"], signature);
            assert_eq!(headers["x-fsm-timestamp"], "1772612130");
            assert!(!headers.contains_key("authorization"));
        }
    }

    #[test]
    fn a_webhook_is_signed_as_standard_webhooks_are() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signing = Some(Signing { secret, mode: SignatureMode::Timestamp });
        let mut headers = HeaderMap::new();

        Credentials::new(None, signing).unwrap().apply(&mut headers, b"{}", NOW_S, Some("msg_1"));

        assert_eq!(
            (&headers["webhook-id"], &headers["webhook-timestamp"]),
            (&"msg_1".parse().unwrap(), &"1772612130".parse().unwrap())
        );
        assert_eq!(headers["webhook-signature"], "v1,BSauE12ghJ3zm7lh5cxJReL1beUYAQPbL4g3+QNGeZg=");
        assert!(!headers.contains_key("x-fsm-signature"));
    }

    #[test]
    fn a_refused_credential_gives_way_to_the_next_once_however_many_were_refused() {
        let credentials = Credentials::new(bearer(&["new", "old"]), None).unwrap();
        let (first, headers) = shown(&credentials);
        assert_eq!(headers["authorization"], "Bearer new");

        credentials.refresh(first);
        credentials.refresh(first); // a second request that was under way with the same one
        let (second, headers) = shown(&credentials);
        assert_eq!(headers["authorization"], "Bearer old");

        credentials.refresh(second);
        assert_eq!(shown(&credentials).1["authorization"], "Bearer new");
    }

    #[test]
    fn basic_credentials_are_encoded_and_ill_formed_ones_refused_at_the_start() {
        let basic = Authorization::new(Kind::Basic, vec![Secret::new("user:pass")]);
        let (_, headers) = shown(&Credentials::new(Some(basic), None).unwrap());
        assert_eq!(headers["authorization"], "Basic dXNlcjpwYXNz");
        assert!(headers["authorization"].is_sensitive());

        assert_eq!(Credentials::new(bearer(&["new", "a\nb"]), None).map(drop), Err(Error));
    }

    #[test]
    fn a_binding_is_shown_by_its_outbound_token_and_its_first_signing_secret() {
        let mut binding =
            Binding { signing_secret: vec![Secret::new("secret"), Secret::new("old")], ..Binding::default() };
        binding.parameters.insert("outbound_token".into(), Parameter::Secrets(vec![Secret::new("t0ken")]));

        let credentials = Credentials::of(&binding).unwrap();
        let (_, headers) = shown(&credentials);

        assert_eq!(headers["authorization"], "Bearer t0ken");
        assert_eq!(headers["x-fsm-signature"], verify::sign(&Secret::new("secret"), NOW_S, br#"{"a":1}"#).as_str());
        assert!(!format!("{credentials:?}{headers:?}").contains("t0ken"));
    }
}
