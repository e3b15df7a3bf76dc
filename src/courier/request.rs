//! What a target is asked: made of a notification by a mapping, completed here with what every partner is told.

use std::fmt;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::canonical::ids::Sha256Digest;

/// Who asks: the same for every call that belongs to one journey.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// Which call it is: the same for each of its repeats.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("x-idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

const LONGEST_CORRELATION_ID: usize = 256;
const MOST_HEADERS: usize = 64;
const MOST_HEADER_BYTES: usize = 16 * 1024;

/// Set by the courier, or by HTTP for the one connection it is sent on.
const RESERVED: [&str; 18] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-correlation-id",
    "x-fsm-signature",
    "x-fsm-timestamp",
    "x-idempotency-key",
];

/// A request as it will be sent, but for credentials and signature.
#[derive(Clone)]
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    effect: Effect,
    webhook_id: Option<String>,
}

/// Which call it is and whose journey it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    pub idempotency_key: IdempotencyKey,
    pub correlation_id: String,
    /// W3C trace context, as it came.
    pub traceparent: Option<String>,
}

/// Names a call: each retry and replay of it carries the same, an edited one its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Sha256Digest);

/// Why something is no request. Says names, never values.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("expected one of the methods GET, POST, PUT, PATCH, DELETE, found another")]
    Method,
    #[error("expected an absolute http or https address without user and fragment, found other text")]
    Address,
    #[error("header `{name}`: expected a name and a value that HTTP can carry")]
    Header { name: String },
    #[error("header `{name}` is set by the gateway itself")]
    Reserved { name: String },
    #[error("expected at most {MOST_HEADERS} headers of {MOST_HEADER_BYTES} bytes in all, found more")]
    TooManyHeaders,
}

impl Request {
    /// `url`: absolute. `headers`: names and values, such as `Content-Type`; none of those the courier sets.
    ///
    /// # Errors
    /// The first part that HTTP cannot carry, or that is not a mapping's to say.
    pub fn new(
        method: &str,
        url: &str,
        headers: impl IntoIterator<Item = (String, String)>,
        body: Bytes,
        effect: Effect,
    ) -> Result<Self, Error> {
        let method = match method {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            _ => return Err(Error::Method),
        };
        Ok(Self { method, url: address(url)?, headers: checked(headers)?, body, effect, webhook_id: None })
    }

    /// Signed as Standard Webhooks are, under that id.
    pub fn as_webhook(self, id: &str) -> Self {
        Self { webhook_id: Some(id.to_owned()), ..self }
    }

    pub fn webhook_id(&self) -> Option<&str> {
        self.webhook_id.as_deref()
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    pub fn body(&self) -> &Bytes {
        &self.body
    }

    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    /// The mapping's headers and those that name the call.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.insert(CORRELATION_ID, correlation_id(&self.effect.correlation_id));
        headers.insert(IDEMPOTENCY_KEY, self.effect.idempotency_key.header());
        let traceparent = self.effect.traceparent.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(traceparent)) = traceparent {
            headers.insert(TRACEPARENT, traceparent);
        }
        headers
    }
}

impl From<Sha256Digest> for IdempotencyKey {
    /// As a notification gives it: see `Notification::idempotency_key`.
    fn from(digest: Sha256Digest) -> Self {
        Self(digest)
    }
}

impl IdempotencyKey {
    pub(super) fn digest(self) -> Sha256Digest {
        self.0
    }

    fn header(self) -> HeaderValue {
        // Hex digits: cannot fail.
        HeaderValue::from_str(&self.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({})", self.0)
    }
}

/// Shows neither values of headers, nor the body, nor the query: each may hold customer data or a secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        if url.query().is_some() {
            url.set_query(Some("***"));
        }
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &url.as_str())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .field("effect", &self.effect)
            .finish()
    }
}

fn address(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|_| Error::Address)?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if is_web && is_bare { Ok(url) } else { Err(Error::Address) }
}

fn checked(headers: impl IntoIterator<Item = (String, String)>) -> Result<HeaderMap, Error> {
    let mut checked = HeaderMap::new();
    let mut bytes = 0_usize;
    for (name, value) in headers {
        bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
        if checked.len() >= MOST_HEADERS || bytes > MOST_HEADER_BYTES {
            return Err(Error::TooManyHeaders);
        }
        let (Ok(known), Ok(value)) = (HeaderName::try_from(&name), HeaderValue::try_from(value)) else {
            return Err(Error::Header { name: name.escape_debug().to_string() });
        };
        if RESERVED.contains(&known.as_str()) {
            return Err(Error::Reserved { name: known.to_string() });
        }
        checked.append(known, value);
    }
    Ok(checked)
}

/// The id came from a partner: what a header cannot carry becomes `_`, and what is too long is cut off.
fn correlation_id(text: &str) -> HeaderValue {
    let visible = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' });
    let text: String = visible.take(LONGEST_CORRELATION_ID).collect();
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect() -> Effect {
        let key = Sha256Digest::of(b"north|pyxis-north|PYX-1|status|0d8f").into();
        Effect { idempotency_key: key, correlation_id: "corr 1\n".into(), traceparent: Some("00-ab-cd-01".into()) }
    }

    fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Request, Error> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Request::new(method, url, headers, Bytes::from_static(b"{\"name\":\"Anna\"}"), effect())
    }

    #[test]
    fn what_names_the_call_is_said_in_headers() {
        let request = request("POST", "https://pyxis.example/hook", &[("Content-Type", "application/json")]).unwrap();

        let headers = request.headers();

        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        assert_eq!(value("content-type"), "application/json");
        assert_eq!(value("x-correlation-id"), "corr_1_");
        assert_eq!(value("x-idempotency-key"), effect().idempotency_key.to_string());
        assert_eq!(value("traceparent"), "00-ab-cd-01");
    }

    #[test]
    fn what_http_cannot_carry_or_a_mapping_may_not_say_is_no_request() {
        let url = "https://pyxis.example/hook?q=1";
        let header = |name: &str| Err(Error::Header { name: name.into() });
        let reserved = |name: &str| Err(Error::Reserved { name: name.into() });
        let long = "x".repeat(MOST_HEADER_BYTES);
        for (method, url, headers, expected) in [
            ("POST", url, vec![("Accept", "*/*"), ("Accept", "text/plain")], Ok(())),
            ("TRACE", url, vec![], Err(Error::Method)),
            ("post", url, vec![], Err(Error::Method)),
            ("POST", "/hook", vec![], Err(Error::Address)),
            ("POST", "ftp://pyxis.example/", vec![], Err(Error::Address)),
            ("POST", "https://me:secret@pyxis.example/", vec![], Err(Error::Address)),
            ("POST", "https://pyxis.example/#part", vec![], Err(Error::Address)),
            ("POST", url, vec![("a b", "1")], header("a b")),
            ("POST", url, vec![("x-a", "1\r\nx-b: 2")], header("x-a")),
            ("POST", url, vec![("Authorization", "Bearer mine")], reserved("authorization")),
            ("POST", url, vec![("X-FSM-Signature", "v1=00")], reserved("x-fsm-signature")),
            ("POST", url, vec![("Content-Length", "3")], reserved("content-length")),
            ("POST", url, vec![("x-long", &long)], Err(Error::TooManyHeaders)),
            ("POST", url, vec![("x-a", "1"); MOST_HEADERS + 1], Err(Error::TooManyHeaders)),
        ] {
            assert_eq!(request(method, url, &headers).map(drop), expected, "{method} {url} {:?}", headers.first());
        }
    }

    #[test]
    fn what_is_shown_of_a_request_holds_no_value() {
        let shown = request("POST", "https://pyxis.example/hook?token=t0ken", &[("x-api-key", "s3cret")]).unwrap();

        let shown = format!("{shown:?}");

        assert!(shown.contains("pyxis.example/hook") && shown.contains("x-api-key"), "{shown}");
        for secret in ["t0ken", "s3cret", "Anna"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
