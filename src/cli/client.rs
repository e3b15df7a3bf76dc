//! The operations API as the commands see it: a token, an address, and every answer that is not the expected one
//! as one clear line.

use std::time::Duration;

use clap::Args;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use url::{Host, Url};

use crate::cli::{Common, Exit, Failure};
use crate::config::environment::Environment;
use crate::config::operator_token;
use crate::config::secret::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// From sending a request to its answer's head, and for each part of its body unless it is followed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Of an answer that says why not; the rest is not read.
const LONGEST_PROBLEM: usize = 64 * 1024;

/// Which gateway to ask, and as whom.
#[derive(Debug, Clone, Args)]
pub struct Gateway {
    /// The gateway's operations listener
    #[arg(long, env = "CROSSDOCK_URL", default_value = "http://127.0.0.1:8081", value_parser = web_address)]
    url: Url,
    /// Operator token [default: the file `operator.token` in the data folder]
    #[arg(long, env = "CROSSDOCK_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Asks one gateway.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
    authorization: HeaderValue,
}

/// Why there is no answer of use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("this client cannot be set up: {cause}")]
    Setup { cause: String },
    #[error("the operator token: expected visible ASCII characters without spaces, found others")]
    Token,
    #[error("no gateway answers at `{url}`: {cause}; is `crossdock serve` running there? (`--url`, `CROSSDOCK_URL`)")]
    NoGateway { url: String, cause: String },
    #[error("the connection to `{url}` broke: {cause}")]
    Broken { url: String, cause: String },
    #[error("the gateway at `{url}` ended the stream")]
    Ended { url: String },
    #[error("the gateway at `{url}` does not know this operator token (`--token`, `CROSSDOCK_TOKEN`, `--data-dir`)")]
    Unauthorized { url: String },
    #[error("this operator may not do that: {problem}")]
    Forbidden { problem: String },
    #[error("{problem}")]
    Refused { status: StatusCode, problem: String },
    #[error("`{url}` answered {status}, expected {expected}: is it a gateway's operations listener?")]
    Unexpected { url: String, status: StatusCode, expected: &'static str },
}

/// Source: RFC 9457.
#[derive(Debug, Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
}

impl Gateway {
    /// The client, with the token given or that of the data folder.
    pub(super) fn client(&self, common: &Common, environment: Environment) -> Result<Client, Failure> {
        let token = match self.token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => Secret::new(token),
            None => {
                let data_dir = common.folders(environment)?.data_dir;
                let path = data_dir.join(operator_token::FILE);
                operator_token::read(&data_dir)?.ok_or(Failure::NoOperatorToken { path })?
            }
        };
        Ok(Client::new(self.url.clone(), &token)?)
    }
}

impl Client {
    pub(super) fn new(url: Url, token: &Secret) -> Result<Self, Error> {
        let http = http(&url)?;
        if !token.is_token() {
            return Err(Error::Token);
        }
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {}", token.reveal())).map_err(|_| Error::Token)?;
        authorization.set_sensitive(true);
        Ok(Self { http, url, authorization })
    }

    /// A request to `/api/v1/ops/` and `segments`; these and `query` are percent-encoded as need be.
    pub(super) fn request(&self, method: Method, segments: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let segments: Vec<_> = ["api", "v1", "ops"].iter().chain(segments).copied().collect();
        self.request_outside(method, &segments, query)
    }

    /// As [`Self::request`], to a path outside `/api/v1/ops/`.
    pub(super) fn request_outside(&self, method: Method, segments: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.url.clone();
        // An http address always has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http.request(method, url).header(reqwest::header::AUTHORIZATION, self.authorization.clone())
    }

    /// Sends the request; a success whose media type is `expected` comes back, its body unread.
    ///
    /// # Errors
    /// No gateway, no answer in time, or any other answer.
    pub(super) async fn send(&self, request: RequestBuilder, expected: &'static str) -> Result<Response, Error> {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await.map_err(|_| Error::NoGateway {
            url: self.shown(),
            cause: format!("no answer in {} seconds", ANSWER_TIMEOUT.as_secs()),
        })?;
        let answer = answer.map_err(|error| match error.is_connect() {
            true => Error::NoGateway { url: self.shown(), cause: chain(&error) },
            false => self.broken(&error),
        })?;
        let status = answer.status();
        if status.is_success() {
            let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
            if media_type.split(';').next().is_some_and(|essence| essence.trim() == expected) {
                return Ok(answer);
            }
            return Err(Error::Unexpected { url: self.shown(), status, expected });
        }
        Err(self.refused(status, answer).await)
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection broke, or nothing came in time and the body is not followed.
    pub(super) async fn chunk(&self, answer: &mut Response, follow: bool) -> Result<Option<bytes::Bytes>, Error> {
        let chunk = if follow {
            answer.chunk().await
        } else {
            let silent = |_| Error::Broken {
                url: self.shown(),
                cause: format!("nothing more in {} seconds", ANSWER_TIMEOUT.as_secs()),
            };
            tokio::time::timeout(ANSWER_TIMEOUT, answer.chunk()).await.map_err(silent)?
        };
        chunk.map_err(|error| self.broken(&error))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// The connection broke, or the body is no JSON.
    pub(super) async fn json(&self, answer: Response) -> Result<serde_json::Value, Error> {
        let status = answer.status();
        let body = self.body(answer).await?;
        let unexpected = |_| Error::Unexpected { url: self.shown(), status, expected: "a JSON document" };
        serde_json::from_slice(&body).map_err(unexpected)
    }

    /// The whole body.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn body(&self, mut answer: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(&mut answer, false).await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    pub(super) fn ended(&self) -> Error {
        Error::Ended { url: self.shown() }
    }

    /// The address as the user would write it.
    fn shown(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }

    async fn refused(&self, status: StatusCode, mut answer: Response) -> Error {
        let mut body = Vec::new();
        // What is missing of it is not needed to say that the request failed.
        while body.len() < LONGEST_PROBLEM
            && let Ok(Some(chunk)) = self.chunk(&mut answer, false).await
        {
            body.extend_from_slice(&chunk);
        }
        let problem = problem(status, &body);
        match status {
            StatusCode::UNAUTHORIZED => Error::Unauthorized { url: self.shown() },
            StatusCode::FORBIDDEN => Error::Forbidden { problem },
            _ if status.is_client_error() || status.is_server_error() => Error::Refused { status, problem },
            _ => Error::Unexpected { url: self.shown(), status, expected: "success" },
        }
    }

    fn broken(&self, error: &reqwest::Error) -> Error {
        Error::Broken { url: self.shown(), cause: chain(error) }
    }
}

impl Error {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Setup { .. }
            | Self::NoGateway { .. }
            | Self::Broken { .. }
            | Self::Ended { .. }
            | Self::Unexpected { .. } => Exit::Unavailable,
            Self::Token | Self::Unauthorized { .. } | Self::Forbidden { .. } => Exit::BadConfiguration,
            Self::Refused { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                Exit::Unavailable
            }
            Self::Refused { .. } => Exit::BadData,
        }
    }
}

/// An HTTP client for `url` and whatever else is on that host.
///
/// # Errors
/// [`Error::Setup`].
pub(super) fn http(url: &Url) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // A token goes where it was sent and nowhere else.
        .redirect(reqwest::redirect::Policy::none());
    if url.scheme() == "http" {
        // No certificate is ever looked at, so a machine without any is as good.
        builder = builder.tls_certs_only([]);
    }
    if is_this_machine(url) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| Error::Setup { cause: chain(&error) })
}

/// What the gateway said, as one line that is safe on a terminal.
fn problem(status: StatusCode, body: &[u8]) -> String {
    let Problem { title, detail } = serde_json::from_slice(body).unwrap_or(Problem { title: None, detail: None });
    let title = title.unwrap_or_else(|| status.canonical_reason().unwrap_or("refused").to_owned());
    let line = match detail {
        Some(detail) if detail != title => format!("{title}: {detail} ({})", status.as_u16()),
        _ => format!("{title} ({})", status.as_u16()),
    };
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// An error's causes, outermost first; the address is told elsewhere.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    // The outer ones say "error sending request" and the like.
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

pub(super) fn web_address(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err("expected an http or https address".to_owned()),
    }
}
