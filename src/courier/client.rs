//! One request to one target and its answer: connections, TLS, and what went wrong if there is no answer.
//!
//! Nothing is repeated here but what was never written: a kept connection that turns out to be closed. Redirects are
//! answers like any other, so a credential goes where it was sent and nowhere else.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity, Method};
use url::Url;

use crate::config::settings::TlsSettings;
use crate::courier::answer::Cause;

/// What is read of a body; the rest is left unread, with its connection.
pub const MOST_BODY_BYTES: usize = 64 * 1024;

/// Shorter than what servers usually keep: who closes first is not hit by a request under way.
const KEPT_FOR: Duration = Duration::from_secs(15);
/// A server has no business sending more.
const MOST_HEADERS: usize = 128;
const USER_AGENT: &str = concat!("crossdock/", env!("CARGO_PKG_VERSION"));

/// One target's connections.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
}

/// An answer, whole but for what is too long.
#[derive(Debug)]
pub(super) struct Received {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub is_truncated: bool,
}

/// No answer, or not the whole of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Broken {
    pub cause: Cause,
    pub status: Option<u16>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{}`: expected certificates, and one key beside them, in PEM form", path.display())]
    Unusable { path: PathBuf },
    #[error("no HTTP client")]
    Setup {
        #[source]
        cause: reqwest::Error,
    },
}

impl Client {
    /// `url`: of the target; `concurrency`: as many connections are kept.
    ///
    /// # Errors
    /// A file of `tls`, or the machine's own certificates, cannot be used.
    pub fn new(url: &Url, tls: &TlsSettings, concurrency: usize) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            // No proxy an environment variable names: where data goes stands in the configuration alone.
            .no_proxy()
            .referer(false)
            .user_agent(USER_AGENT)
            .http1_max_headers(MOST_HEADERS)
            .pool_idle_timeout(KEPT_FOR)
            .pool_max_idle_per_host(concurrency);
        if url.scheme() == "http" {
            // No certificate is ever looked at, so a machine without any is as good.
            builder = builder.tls_certs_only([]);
        } else if let Some(ca) = &tls.ca {
            let authorities = Certificate::from_pem_bundle(&read(ca)?);
            builder = builder.tls_certs_only(authorities.map_err(|_| Error::Unusable { path: ca.clone() })?);
        }
        if let Some(client) = &tls.client {
            let mut pem = read(&client.certificate)?;
            pem.push(b'\n');
            pem.extend(read(&client.key)?);
            let unusable = |_| Error::Unusable { path: client.certificate.clone() };
            builder = builder.identity(Identity::from_pem(&pem).map_err(unusable)?);
        }
        Ok(Self { http: builder.build().map_err(|cause| Error::Setup { cause })? })
    }

    /// Sends one request and reads its answer. There is no time-out here: whoever waits drops this, and the connection
    /// with it.
    pub async fn send(&self, method: Method, url: Url, headers: HeaderMap, body: Bytes) -> Result<Received, Broken> {
        let request = self.http.request(method, url).headers(headers).body(body);
        let mut response = request.send().await.map_err(|error| Broken { cause: cause_of(&error), status: None })?;
        let status = response.status().as_u16();
        let mut body = BytesMut::new();
        let mut is_truncated = false;
        // Half an answer is none, whatever its status said: the rest may have said more.
        let broken = |error: reqwest::Error| {
            let cause = if error.is_timeout() { Cause::TimedOut } else { Cause::Incomplete };
            Broken { cause, status: Some(status) }
        };
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            let room = MOST_BODY_BYTES - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                is_truncated = true;
                break;
            }
        }
        let headers = std::mem::take(response.headers_mut());
        Ok(Received { status, headers, body: body.freeze(), is_truncated })
    }
}

/// Before an answer began.
fn cause_of(error: &reqwest::Error) -> Cause {
    if error.is_timeout() {
        return Cause::TimedOut;
    }
    if error.is_dns() {
        return Cause::Dns;
    }
    let is_tls = is_tls(error);
    if error.is_connect() {
        return if is_tls { Cause::Tls } else { Cause::Refused };
    }
    // TLS 1.3: a certificate of ours that is refused is refused after the connection came about.
    if is_tls {
        return Cause::Tls;
    }
    let is_malformed =
        chain(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_parse);
    if is_malformed { Cause::Malformed } else { Cause::Reset }
}

fn is_tls(error: &reqwest::Error) -> bool {
    chain(error).flat_map(wrapped).any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        // The other side went away in the middle of a handshake.
        let is_cut = error.is_connect() && io.is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof);
        cause.is::<rustls::Error>() || is_cut
    })
}

/// `cause` and what it wraps: the source of an `io::Error` is that of the error within, which is left out so.
fn wrapped<'a>(
    cause: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(cause), |cause: &&'a (dyn std::error::Error + 'static)| {
        let inner = cause.downcast_ref::<io::Error>()?.get_ref()?;
        Some(inner as &'a (dyn std::error::Error + 'static))
    })
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause| (**cause).source())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|cause| Error::Unreadable { path: path.to_owned(), cause })
}
