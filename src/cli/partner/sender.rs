//! A partner system's HTTP client: signs each delivery as it goes out.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use url::Url;

use crate::cli::client::{self, chain};
use crate::cli::partner::{Delivery, Expected};
use crate::clock::{Clock as _, SystemClock};
use crate::config::resolve::Credentials;
use crate::config::secret::Secret;
use crate::verify;

/// From the first byte of a request to the last of its answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Sends as one binding.
#[derive(Debug)]
pub struct Sender {
    http: reqwest::Client,
    door: Url,
    credentials: Credentials,
}

/// What the door said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Class and pointer of the first problem, as they were written.
    pub problem: Option<(String, String)>,
}

impl Sender {
    /// `credentials`: of the binding it sends as.
    ///
    /// # Errors
    /// `client::Error::Setup` if the HTTP client cannot be made.
    pub fn new(door: Url, credentials: Credentials) -> Result<Self, client::Error> {
        Ok(Self { http: client::http(&door)?, door, credentials })
    }

    /// # Errors
    /// Why there was no answer, as one line.
    pub async fn send(&self, delivery: &Delivery) -> Result<Answer, String> {
        let mut url = self.door.clone();
        url.set_path(&delivery.path);
        let mut request = self.http.post(url).timeout(TIMEOUT).header(CONTENT_TYPE, delivery.media_type.as_str());
        let at = SystemClock.now_ms().div_euclid(1000);
        if let Some(secret) = self.credentials.signing_secret.first() {
            let wrong = Secret::new("not the binding's");
            let secret = if delivery.is_authentic { secret } else { &wrong };
            let signature = verify::sign(secret, at, &delivery.body);
            request = request.header(verify::TIMESTAMP, at.to_string()).header(verify::SIGNATURE, signature);
        }
        if let Some(token) = self.credentials.bearer_tokens.first() {
            request = request.bearer_auth(token.reveal());
        }
        let answered = request.body(delivery.body.clone()).send().await.map_err(|error| chain(&error))?;
        let status = answered.status().as_u16();
        let body = answered.bytes().await.map_err(|error| chain(&error))?;
        let document: Value = serde_json::from_slice(&body).unwrap_or_default();
        let first = &document["errors"][0];
        let problem = first["code"].as_str().zip(first["field"].as_str());
        Ok(Answer { status, problem: problem.map(|(code, field)| (code.to_owned(), field.to_owned())) })
    }
}

impl Expected {
    /// How `answer` is another than this one, if it is.
    pub fn difference(&self, answer: &Result<Answer, String>) -> Option<String> {
        let told = |status: u16, problem: Option<(&str, &str)>| match problem {
            Some((code, field)) => format!("{status} {code} at `{field}`"),
            None => status.to_string(),
        };
        let wanted = self.problem.as_ref().map(|(code, field)| (code.as_str(), field.as_str()));
        let found = match answer {
            Ok(Answer { status, problem }) => {
                let problem = problem.as_ref().map(|(code, field)| (code.as_str(), field.as_str()));
                if *status == self.status && problem == wanted {
                    return None;
                }
                told(*status, problem)
            }
            Err(cause) => format!("no answer: {cause}"),
        };
        Some(format!("expected {}, found {found}", told(self.status, wanted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::rejection::Code;

    #[test]
    fn an_answer_is_held_against_status_class_and_pointer() {
        let problem = |code: &str, field: &str| Some((code.to_owned(), field.to_owned()));
        let accepted = Expected { status: 202, problem: None };
        let refused = Expected { status: 422, problem: Some((Code::UnknownCode, "/channel".to_owned())) };
        for (expected, answer, difference) in [
            (&accepted, Ok(Answer { status: 202, problem: None }), None),
            (&refused, Ok(Answer { status: 422, problem: problem("UNKNOWN_CODE", "/channel") }), None),
            (
                &refused,
                Ok(Answer { status: 422, problem: problem("UNKNOWN_CODE", "/store") }),
                Some("expected 422 UNKNOWN_CODE at `/channel`, found 422 UNKNOWN_CODE at `/store`"),
            ),
            (&accepted, Ok(Answer { status: 503, problem: None }), Some("expected 202, found 503")),
            (&accepted, Err("reset".to_owned()), Some("expected 202, found no answer: reset")),
        ] {
            assert_eq!(expected.difference(&answer).as_deref(), difference);
        }
    }
}
