//! How a source of webhooks proves who it is: the schemes an adapter can choose from.
//!
//! A [`Scheme`] is what the adapter's manifest says; together with a binding's secrets it is a
//! [`Source`](super::Source). There is no scheme that asks for nothing.
//!
//! Source: `contracts/webhook.md`, "Transport and authentication"; Standard Webhooks specification 1.0.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::config::secret::Secret;
use crate::verify::claim::hmac;

/// Header with the id of a delivery: the same on every repeat of it.
pub const ID: &str = "webhook-id";
/// Header with the time of signing, epoch seconds.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// Header with the signatures: `v1,<Base64>`, several parted by spaces while a secret rotates.
pub const SIGNATURE: &str = "webhook-signature";
/// In front of the Base64 of a secret of [`Scheme::Standard`].
pub const SECRET_PREFIX: &str = "whsec_";
/// Longest id of a delivery.
pub const MAX_ID_BYTES: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// Standard Webhooks: an HMAC over id, time and body.
    Standard,
    /// An HMAC in a header of the source's choice.
    HmacHeader(HmacHeader),
    /// `Authorization: Bearer <token>`.
    Bearer,
    /// `Authorization: Basic <Base64 of user:password>`.
    Basic,
}

/// Where an HMAC-SHA256 stands, how it is written, and what it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HmacHeader {
    /// In lower case.
    pub header: String,
    pub encoding: Encoding,
    /// In front of the digits, such as `sha256=`; may be empty.
    pub prefix: String,
    /// Header with the time of signing, epoch seconds, in lower case: `{timestamp}.{body}` is signed. `None`: the body.
    pub timestamp_header: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Hex,
    Base64,
}

/// Which of a binding's secrets a scheme uses, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongSecret {
    #[error("expected `whsec_` and Base64")]
    NotStandard,
    #[error("expected `user:password`")]
    NoPassword,
    #[error("is missing")]
    Missing,
}

impl Scheme {
    /// The key of a binding whose secrets the scheme uses.
    pub const fn secrets_key(&self) -> &'static str {
        match self {
            Self::Standard | Self::HmacHeader(_) => "signing_secret",
            Self::Bearer => "bearer_tokens",
            Self::Basic => "basic_credentials",
        }
    }

    /// What `secret` is for the scheme: the bytes to sign with or to compare.
    ///
    /// # Errors
    /// It has another form than the scheme wants.
    pub(super) fn key(&self, secret: &Secret) -> Result<Vec<u8>, WrongSecret> {
        let text = secret.reveal();
        match self {
            Self::Standard => {
                let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(WrongSecret::NotStandard)?;
                let key = base64_decode(encoded).ok_or(WrongSecret::NotStandard)?;
                if key.is_empty() { Err(WrongSecret::NotStandard) } else { Ok(key) }
            }
            Self::Basic if !text.contains(':') => Err(WrongSecret::NoPassword),
            Self::HmacHeader(_) | Self::Bearer | Self::Basic => Ok(text.as_bytes().to_vec()),
        }
    }

    /// The headers a sender with `secret` sends with `body` at `epoch_s`. `id`: of the delivery.
    ///
    /// # Errors
    /// [`WrongSecret`].
    pub fn sign(
        &self,
        secret: &Secret,
        id: &str,
        epoch_s: i64,
        body: &[u8],
    ) -> Result<Vec<(String, String)>, WrongSecret> {
        let key = self.key(secret)?;
        let digest = |before: &str| hmac(&key, before.as_bytes(), body);
        let header = |name: &str, value: String| (name.to_owned(), value);
        Ok(match self {
            Self::Standard => vec![
                header(ID, id.to_owned()),
                header(TIMESTAMP, epoch_s.to_string()),
                header(SIGNATURE, format!("v1,{}", STANDARD.encode(digest(&format!("{id}.{epoch_s}."))))),
            ],
            Self::HmacHeader(HmacHeader { header: name, encoding, prefix, timestamp_header }) => {
                let before = timestamp_header.as_ref().map(|_| format!("{epoch_s}.")).unwrap_or_default();
                let signature = (name.clone(), format!("{prefix}{}", encoding.encode(&digest(&before))));
                let timestamp = timestamp_header.iter().map(|name| (name.clone(), epoch_s.to_string()));
                timestamp.chain([signature]).collect()
            }
            Self::Bearer => vec![header("authorization", format!("Bearer {}", secret.reveal()))],
            Self::Basic => vec![header("authorization", format!("Basic {}", STANDARD.encode(&key)))],
        })
    }
}

impl Encoding {
    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => STANDARD.encode(bytes),
        }
    }

    pub(super) fn decode(self, text: &str) -> Option<[u8; 32]> {
        match self {
            Self::Hex => hex::decode(text).ok()?.try_into().ok(),
            Self::Base64 => base64_decode(text)?.try_into().ok(),
        }
    }
}

/// A new secret for [`Scheme::Standard`]: 32 random bytes.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn new_standard_secret() -> Result<Secret, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes))))
}

/// Padding may be there or not: senders differ.
pub(crate) fn base64_decode(text: &str) -> Option<Vec<u8>> {
    const EITHER: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    EITHER.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    use super::*;

    #[test]
    fn base64_is_read_with_and_without_padding() {
        for bytes in [&b"a"[..], b"ab", b"abc", b""] {
            assert_eq!(base64_decode(&STANDARD.encode(bytes)).as_deref(), Some(bytes));
            assert_eq!(base64_decode(&STANDARD_NO_PAD.encode(bytes)).as_deref(), Some(bytes));
        }
        assert_eq!(base64_decode("a b"), None);
        assert_eq!(base64_decode("_-8="), None);
    }

    #[test]
    fn a_standard_signature_is_the_one_of_the_specification() {
        // The example of the Standard Webhooks libraries.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let headers =
            Scheme::Standard.sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);

        let headers = headers.expect("a standard secret");
        assert_eq!(headers[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_new_standard_secret_is_one() {
        let secret = new_standard_secret().expect("randomness");

        assert_eq!(Scheme::Standard.key(&secret).map(|key| key.len()), Ok(32));
    }
}
