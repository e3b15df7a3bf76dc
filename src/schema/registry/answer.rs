//! What a registry's answers mean.

use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::schema::registry::{Error, connect};

pub(super) const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
pub(super) const MEDIA_TYPES: &str = "application/vnd.schemaregistry.v1+json, application/json";

/// Longest answer that is read; the longest schema in use anywhere is a small part of it.
const LONGEST: usize = 4 << 20;
/// Longest reason that is passed on: registries repeat whole schemas in them.
const LONGEST_REASON: usize = 500;
const MOST_REASONS: usize = 20;

/// An answer as it came.
pub(super) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

#[derive(Deserialize)]
pub(super) struct Id {
    pub id: u32,
}

/// A schema as it was registered.
#[derive(Debug, Deserialize)]
pub(super) struct Schema {
    #[serde(rename = "schema")]
    pub text: String,
    /// `None` is Avro.
    #[serde(rename = "schemaType")]
    pub kind: Option<String>,
    #[serde(default)]
    pub references: Vec<Reference>,
}

/// Another schema that this one uses the names of.
#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    pub subject: String,
    pub version: u32,
}

#[derive(Deserialize)]
pub(super) struct Compatibility {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

#[derive(Deserialize)]
struct Problem {
    error_code: u32,
    #[serde(default)]
    message: String,
}

/// The whole of an answer.
///
/// # Errors
/// Why it did not come to its end.
pub(super) async fn read(mut response: Response) -> Result<Answer, String> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| connect::cause(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST {
            return Err(format!("its answer is longer than {LONGEST} bytes"));
        }
    }
    Ok(Answer { status, body })
}

impl Answer {
    /// What was asked for, or what the registry says instead.
    ///
    /// # Errors
    /// This is no registry's answer, or one that says to come again.
    pub fn meaning<T: DeserializeOwned>(&self, what: &str, url: &str) -> Result<Result<T, Error>, String> {
        let status = self.status;
        if status.is_success() {
            let answer = serde_json::from_slice(&self.body);
            return answer.map(Ok).map_err(|_| format!("it answered {status} and nothing a schema registry says"));
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(Err(Error::Forbidden { url: url.to_owned(), status: status.as_u16() }));
        }
        let may_pass = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        if may_pass || !status.is_client_error() {
            return Err(format!("it answered {status}"));
        }
        let Ok(Problem { error_code, message }) = serde_json::from_slice(&self.body) else {
            return Err(format!("it answered {status} without a schema registry's error code"));
        };
        match (status, error_code) {
            // 40401 no subject, 40402 no version, 40403 no schema. 404 alone: there is no such path.
            (StatusCode::NOT_FOUND, 40401..=40403) => Ok(Err(Error::Unknown { what: what.to_owned() })),
            (StatusCode::NOT_FOUND, _) => Err(format!("it answered {status}, error code {error_code}")),
            _ => Ok(Err(Error::Refused { what: what.to_owned(), reasons: vec![plain(&message)] })),
        }
    }
}

impl Compatibility {
    /// Why not; none if it is compatible.
    pub fn reasons(self) -> Vec<String> {
        if self.is_compatible {
            return Vec::new();
        }
        let reasons: Vec<_> = self.messages.iter().take(MOST_REASONS).map(|message| plain(message)).collect();
        if reasons.is_empty() { vec!["the registry gives no reason".to_owned()] } else { reasons }
    }
}

/// One line that is safe on a terminal and in a log.
fn plain(message: &str) -> String {
    let line = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    match message.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => line(message.get(..end).unwrap_or_default()) + "…",
        None => line(message),
    }
}
