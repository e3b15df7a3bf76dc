//! A source of webhooks: one binding and the scheme of its adapter.
//!
//! The path names the source, so who may claim to be it is known before any header is read; the binding's secrets
//! decide whether the claim is true. Everything here is pure: headers, body and time in, a claim or a refusal out.

use std::fmt;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::{Choice, ConstantTimeEq as _};

use crate::canonical::ids::Sha256Digest;
use crate::config::binding::Binding;
use crate::config::secret::Secret;
use crate::verify::claim::{Claim, Keys, Proof, Refusal, fresh};
use crate::verify::scheme::{self, HmacHeader, Scheme, WrongSecret, base64_decode};
use crate::verify::token::{bearer_token, only_value};

/// A binding with its keys in the form its scheme needs.
pub struct Source {
    binding: Arc<Binding>,
    scheme: Scheme,
    keys: Vec<Vec<u8>>,
}

impl Source {
    /// # Errors
    /// The binding has no secret for `scheme`, or one of another form.
    pub fn new(binding: Arc<Binding>, scheme: Scheme) -> Result<Self, WrongSecret> {
        let secrets: &[Secret] = match scheme {
            Scheme::Standard | Scheme::HmacHeader(_) => &binding.signing_secret,
            Scheme::Bearer => &binding.bearer_tokens,
            Scheme::Basic => &binding.basic_credentials,
        };
        if secrets.is_empty() {
            return Err(WrongSecret::Missing);
        }
        let keys = secrets.iter().map(|secret| scheme.key(secret)).collect::<Result<_, _>>()?;
        Ok(Self { binding, scheme, keys })
    }

    pub fn binding(&self) -> &Arc<Binding> {
        &self.binding
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(Vec::as_slice)
    }

    /// Reads the claim of a delivery to this source. `now_ms`: epoch milliseconds.
    ///
    /// # Errors
    /// As [`Gate::claim`](super::Gate::claim).
    pub(super) fn claim(self: &Arc<Self>, headers: &HeaderMap, now_ms: i64) -> Result<Claim, Refusal> {
        let proof = match &self.scheme {
            Scheme::Standard => self.standard(headers, now_ms)?,
            Scheme::HmacHeader(form) => self.hmac_header(form, headers, now_ms)?,
            Scheme::Bearer => {
                let token = bearer_token(headers)?;
                if !self.has_key(token.as_bytes()) {
                    return Err(Refusal::UnknownToken);
                }
                Proof::Given
            }
            Scheme::Basic => {
                if !self.has_key(&basic_credentials(headers)?) {
                    return Err(Refusal::WrongPassword { binding: self.binding.name.clone() });
                }
                Proof::Given
            }
        };
        Ok(Claim { binding: Arc::clone(&self.binding), proof })
    }

    fn standard(self: &Arc<Self>, headers: &HeaderMap, now_ms: i64) -> Result<Proof, Refusal> {
        let id = only_value(headers, scheme::ID)?;
        if id.is_empty() || id.len() > scheme::MAX_ID_BYTES {
            return Err(ill_formed(scheme::ID, "1 to 256 characters"));
        }
        let timestamp = fresh(headers, scheme::TIMESTAMP, &self.binding, now_ms)?;
        // Versions that are not known here are for others; so is what one of ours cannot be.
        let list = only_value(headers, scheme::SIGNATURE)?.split(' ');
        let ours = list.filter_map(|entry| entry.strip_prefix("v1,"));
        let signatures: Vec<_> = ours.filter_map(|text| scheme::Encoding::Base64.decode(text)).collect();
        if signatures.is_empty() {
            return Err(ill_formed(scheme::SIGNATURE, "`v1,` and the Base64 of 32 bytes"));
        }
        Ok(self.signed(format!("{id}.{timestamp}.").into_bytes(), signatures))
    }

    fn hmac_header(self: &Arc<Self>, form: &HmacHeader, headers: &HeaderMap, now_ms: i64) -> Result<Proof, Refusal> {
        let before = match &form.timestamp_header {
            Some(header) => format!("{}.", fresh(headers, header, &self.binding, now_ms)?).into_bytes(),
            None => Vec::new(),
        };
        let digits = only_value(headers, &form.header)?.strip_prefix(form.prefix.as_str());
        let signature = digits.and_then(|digits| form.encoding.decode(digits));
        let signature =
            signature.ok_or_else(|| ill_formed(&form.header, "32 bytes in the encoding and with the prefix agreed"))?;
        Ok(self.signed(before, vec![signature]))
    }

    fn signed(self: &Arc<Self>, before: Vec<u8>, signatures: Vec<[u8; 32]>) -> Proof {
        Proof::Signed { before, signatures, keys: Keys::OfSource(Arc::clone(self)) }
    }

    /// Compares digests, so that neither the time nor the length tells anything about a key.
    fn has_key(&self, candidate: &[u8]) -> bool {
        let digest = Sha256Digest::of(candidate);
        let matched = self.keys.iter().fold(Choice::from(0), |any, key| any | Sha256Digest::of(key).0.ct_eq(&digest.0));
        matched.into()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("binding", &self.binding.name)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// `user:password` of `Authorization: Basic <Base64>`.
///
/// Source: RFC 7617 section 2; the scheme's name is case-insensitive.
fn basic_credentials(headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
    let value = only_value(headers, AUTHORIZATION.as_str())?;
    let encoded = value.split_once(' ').filter(|(name, _)| name.eq_ignore_ascii_case("basic"));
    let credentials = encoded.and_then(|(_, encoded)| base64_decode(encoded.trim_start_matches(' ')));
    credentials.ok_or_else(|| ill_formed(AUTHORIZATION.as_str(), "`Basic <Base64 of user:password>`"))
}

fn ill_formed(header: &str, expected: &'static str) -> Refusal {
    Refusal::IllFormedHeader { header: header.to_owned(), expected }
}

#[cfg(test)]
mod tests;
